// SPDX-License-Identifier: Apache-2.0
/*
 * Servers and backends at run time: places taken and given back, load, the way from a stable id of a
 * sid table back to the server, and how a name's server outlives the configurations that name it.
 *
 *     view of configuration 1        view of configuration 2
 *       servers: a b c                 servers: b d │ c (leaving: its sessions are served on)
 *                │ │ │                          │ │   │
 *                ▼ ▼ ▼                          ▼ ▼   ▼
 *                a b c  ◄──── the same ────►    b d   c        one home: sid tables, queues' mask
 *
 * A view is one allocation with its two id tables behind it, written here before anybody else sees
 * it. Ids of servers that are in no view lead nowhere: their sessions' owner is gone. References are
 * counted by views only, on control's thread; who else needs a server has hold of a view (an
 * exchange) or of its edition (lb/edition).
 *
 * Limits are kept by compare-and-swap on `inflight`, so that max_connections holds exactly,
 * whatever many workers do at once; no other data is published through it. But who leaves a place
 * looks for waiters next, and who begins to wait looks for a place next (lb/upstream): one of the
 * two must see the other, so those accesses are in one order for all threads.
 */
#include "lb/server.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { NO_SERVER = -1 };

/* A backend and what only this file reads. */
struct backend_body {
    struct backend backend;
    int16_t by_sid_id[SIDMAP_SERVERS_MAX];    /* index in servers, NO_SERVER: gone */
    int16_t by_cookie_id[SIDMAP_SERVERS_MAX]; /* the same */
};

static struct backend_body *body_of(struct backend *backend)
{
    return container_of(backend, struct backend_body, backend);
}

bool server_held(const struct backend *backend, const struct server *server)
{
    if (!server_stale(server))
        return false;
    for (size_t i = 0; i < backend->server_count; i++) {
        if (server_usable(backend->servers[i]) && !server_stale(backend->servers[i]))
            return true;
    }
    return false;
}

int64_t server_load(const struct server *server)
{
    return sidmap_sessions(server->home->sids, server->sid_id) +
           atomic_load_explicit(&server->loose, memory_order_relaxed);
}

/* Remembers the highest number in flight. */
static void note_inflight(struct server *server, int now)
{
    int most = atomic_load_explicit(&server->inflight_max, memory_order_relaxed);
    while (now > most &&
           !atomic_compare_exchange_weak_explicit(&server->inflight_max, &most, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

bool server_take(struct server *server)
{
    int limit = atomic_load_explicit(&server->max_connections, memory_order_relaxed);
    int now = atomic_load(&server->inflight);
    do {
        if (limit > 0 && now >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&server->inflight, &now, now + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    note_inflight(server, now + 1);
    return true;
}

void server_take_over(struct server *server)
{
    int before = atomic_fetch_add_explicit(&server->inflight, 1, memory_order_relaxed);
    note_inflight(server, before + 1);
}

void server_leave(struct server *server)
{
    int before = atomic_fetch_sub(&server->inflight, 1);
    assert(before > 0);
    (void)before;
}

bool server_full(const struct server *server)
{
    int limit = atomic_load_explicit(&server->max_connections, memory_order_relaxed);
    return limit > 0 && atomic_load(&server->inflight) >= limit;
}

/*
 * A token bucket in one number: when it will be full again (GCRA, as in lb/limits). Each session
 * moves that time one interval on; there is none to be had while it lies more than a quarter of a
 * second ahead: that much may come at once.
 */
bool backend_handshake(struct backend *backend, int64_t now_us)
{
    _Atomic int64_t *full = &backend->home->handshakes_full_us;
    int64_t rate = backend->config->opt.handshake_rate;
    if (rate <= 0)
        return true;
    int64_t interval_us = 1000000 / rate;
    int64_t depth_us = interval_us > 250000 ? interval_us : 250000;
    int64_t full_us = atomic_load_explicit(full, memory_order_relaxed);
    int64_t next_us;
    do {
        next_us = (full_us > now_us ? full_us : now_us) + interval_us;
        if (next_us - now_us > depth_us)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(full, &full_us, next_us, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* What a server is before anybody has looked at it. NULL: one of the tables takes no more names
 * (errno). */
static struct server *server_new(struct backend *backend, size_t index)
{
    const struct config_server *config = &backend->config->servers[index];
    struct backend_home *home = backend->home;
    struct span name = span_str(config->name);
    struct server *server = mem_must_alloc(sizeof(*server));

    server->name = mem_must_copy(config->name);
    server->address = mem_must_copy(config->opt.address ? config->opt.address : config->name);
    server->home = home;
    server->stat_id = NO_STAT;
    server->name_hash = hash_stable(name);
    server->sid_id = sidmap_server_id(home->sids, name);
    server->cookie_id = home->cookies ? sidmap_server_id(home->cookies, name) : -1;
    atomic_init(&server->health,
                backend->config->health_kind == HEALTH_NONE ? SERVER_UNCHECKED : SERVER_UP);
    atomic_init(&server->admin, SERVER_READY);
    atomic_init(&server->weight, (int)config->opt.weight);
    atomic_init(&server->weight_now, (int)config->opt.weight * SERVER_WEIGHT_SCALE);
    atomic_init(&server->max_connections, (int)config->opt.max_connections);
    atomic_init(&server->changed_ms, clock_wall_ms());
    if (config->endpoint.kind == ENDPOINT_ADDR) {
        server->addr = config->endpoint.addr;
        server->addr_known = true;
    }
    if (server->sid_id >= 0 && (!home->cookies || server->cookie_id >= 0))
        return server;
    free(server->name);
    free(server->address);
    free(server);
    errno = ENOSPC;
    return NULL;
}

static void server_unref(struct server *server)
{
    if (--server->refs > 0)
        return;
    for (unsigned i = 0; i < server->session_count; i++)
        tls_session_forget(&server->sessions[i]);
    free(server->sessions);
    free(server->locals);
    free(server->address);
    free(server->name);
    free(server);
}

/* The server becomes the view's next one. */
static void backend_add(struct backend *backend, struct server *server, bool leaving)
{
    struct backend_body *body = body_of(backend);
    size_t index = backend->server_count + backend->leaving_count;
    server->refs++;
    backend->servers[index] = server;
    body->by_sid_id[server->sid_id] = (int16_t)index;
    if (server->cookie_id >= 0 && !leaving)
        body->by_cookie_id[server->cookie_id] = (int16_t)index;
    if (leaving)
        backend->leaving_count++;
    else
        backend->server_count++;
}

/* Does the configuration say that cookies are learned and asked? */
static bool learns_cookies(const struct config_backend *config)
{
    if (config->opt.cookie_mode != COOKIE_LEARN)
        return false;
    for (size_t i = 0; i < config->opt.sticky_count; i++)
        if (config->opt.sticky[i] == STICKY_COOKIE)
            return true;
    return false;
}

/* A table that survived, or, when there is none or it is not one of ours, a new one. */
static struct sidmap *table_open(const char *name, size_t max_entries, int fd, int64_t now_ms)
{
    struct sidmap *map = fd >= 0 ? sidmap_attach(fd) : NULL;
    if (!map)
        return sidmap_new(name, max_entries);
    sidmap_reset(map, sidmap_party(), now_ms); // Whoever was this party before us is dead.
    return map;
}

static bool home_open_cookies(struct backend_home *home, const struct config_backend *config,
                              int fd, int64_t now_ms)
{
    if (!learns_cookies(config) || home->cookies)
        return true;
    home->cookies = table_open("limpet-cookies", (size_t)config->opt.sid_max_entries, fd, now_ms);
    return home->cookies != NULL;
}

static void home_unref(struct backend_home *home)
{
    if (--home->refs > 0)
        return;
    capture_free(home->bad_response);
    sidmap_free(home->sids);
    sidmap_free(home->cookies);
    free(home->locals);
    free(home->name);
    free(home);
}

/* A view without servers, with room for `room` of them. */
static struct backend *view_new(struct backend_home *home, const struct config_backend *config,
                                uint16_t index, size_t room)
{
    struct backend_body *body = mem_must_alloc(sizeof(*body));
    struct backend *backend = &body->backend;

    for (size_t i = 0; i < SIDMAP_SERVERS_MAX; i++)
        body->by_sid_id[i] = body->by_cookie_id[i] = NO_SERVER;
    home->refs++;
    backend->home = home;
    backend->name = config->name;
    backend->config = config;
    backend->index = index;
    backend->stat_id = home->stat_id;
    backend->servers = mem_must_alloc((room + 1) * sizeof(struct server *));
    backend->sids = home->sids;
    backend->cookies = learns_cookies(config) ? home->cookies : NULL;
    backend->sid_path_count = config->opt.sid_paths_count;
    backend->sid_paths = mem_must_alloc((backend->sid_path_count + 1) * sizeof(struct span));
    for (size_t i = 0; i < backend->sid_path_count; i++)
        backend->sid_paths[i] = span_str(config->opt.sid_paths[i]);
    return backend;
}

static struct backend *view_failed(struct backend *backend)
{
    int error = errno;
    backend_free(backend);
    errno = error;
    return NULL;
}

struct backend *backend_new(const struct config_backend *config, uint16_t index,
                            uint16_t first_stat_id, int sids_fd, int cookies_fd, int64_t now_ms)
{
    if (config->server_count > SIDMAP_SERVERS_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    struct backend_home *home = mem_must_alloc(sizeof(*home));
    home->name = mem_must_copy(config->name);
    home->stat_id = first_stat_id;
    home->refs = 1;
    home->bad_response = capture_new();
    home->sids = table_open("limpet-sids", (size_t)config->opt.sid_max_entries, sids_fd, now_ms);
    if (!home->sids || !home_open_cookies(home, config, cookies_fd, now_ms)) {
        int error = errno;
        home_unref(home);
        errno = error;
        return NULL;
    }
    struct backend *backend = view_new(home, config, index, config->server_count);
    home_unref(home); // The view's from here on.
    for (size_t i = 0; i < config->server_count; i++) {
        struct server *server = server_new(backend, i);
        if (!server)
            return view_failed(backend);
        server->stat_id = (uint16_t)(first_stat_id + 1 + i);
        backend_add(backend, server, false);
        server->backend = backend;
        server->config = &config->servers[i];
        server->index = (uint16_t)i;
    }
    return backend;
}

/* Of all its servers, also the leaving ones. */
static struct server *server_named(const struct backend *backend, const char *name)
{
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++)
        if (span_eq(span_str(backend->servers[i]->name), span_str(name)))
            return backend->servers[i];
    return NULL;
}

bool server_in_use(const struct server *server)
{
    return sidmap_sessions(server->home->sids, server->sid_id) > 0 ||
           atomic_load_explicit(&server->inflight, memory_order_relaxed) > 0;
}

struct backend *backend_renew(struct backend *old, const struct config_backend *config,
                              uint16_t index, int cookies_fd, int64_t now_ms)
{
    struct backend_home *home = old->home;
    size_t known = old->server_count + old->leaving_count;
    bool first_cookies = !home->cookies;
    if (!home_open_cookies(home, config, cookies_fd, now_ms))
        return NULL;
    // Views that learn no cookies never look at cookie_id.
    for (size_t i = 0; home->cookies && first_cookies && i < known; i++)
        old->servers[i]->cookie_id = sidmap_server_id(home->cookies,
                                                      span_str(old->servers[i]->name));
    struct backend *backend = view_new(home, config, index, config->server_count + known);
    for (size_t i = 0; i < config->server_count; i++) {
        struct server *server = server_named(old, config->servers[i].name);
        if (!server)
            server = server_new(backend, i);
        if (!server)
            return view_failed(backend);
        backend_add(backend, server, false);
    }
    for (size_t i = 0; i < known; i++) {
        struct server *server = old->servers[i];
        if (!backend_server(backend, span_str(server->name)) && server_in_use(server))
            backend_add(backend, server, true);
    }
    return backend;
}

void backend_free(struct backend *backend)
{
    if (!backend)
        return;
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++)
        server_unref(backend->servers[i]);
    home_unref(backend->home);
    free(backend->servers);
    free(backend->sid_paths);
    free(body_of(backend));
}

ptrdiff_t backend_index_of(const struct backend *backend, const struct server *server)
{
    const struct backend_body *body = container_of(backend, const struct backend_body, backend);
    int index = body->by_sid_id[server->sid_id];
    return index != NO_SERVER && backend->servers[index] == server ? index : -1;
}

const struct config_server *backend_server_config(const struct backend *backend,
                                                  const struct server *server)
{
    ptrdiff_t index = backend_index_of(backend, server);
    bool configured = index >= 0 && (size_t)index < backend->server_count;
    return configured ? &backend->config->servers[index] : NULL;
}

struct server *backend_server(struct backend *backend, struct span name)
{
    for (size_t i = 0; i < backend->server_count; i++)
        if (span_eq(span_str(backend->servers[i]->name), name))
            return backend->servers[i];
    return NULL;
}

static struct server *server_at(struct backend *backend, const int16_t *table, int id)
{
    if (id < 0 || id >= SIDMAP_SERVERS_MAX || table[id] == NO_SERVER)
        return NULL;
    return backend->servers[table[id]];
}

struct server *backend_server_by_sid_id(struct backend *backend, int sid_id)
{
    return server_at(backend, body_of(backend)->by_sid_id, sid_id);
}

struct server *backend_server_by_cookie_id(struct backend *backend, int cookie_id)
{
    return server_at(backend, body_of(backend)->by_cookie_id, cookie_id);
}
