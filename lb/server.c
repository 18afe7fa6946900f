// SPDX-License-Identifier: Apache-2.0
/*
 * Servers and backends at run time: places taken and given back, load, and the way from a stable id
 * of a sid table back to the server.
 *
 * A backend is one allocation with its two id tables behind it. The id tables are written here,
 * before any worker starts, and only read afterwards. Ids of servers that are no longer configured
 * lead nowhere: their sessions' owner is gone.
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

int64_t server_load(const struct server *server)
{
    return sidmap_sessions(server->backend->sids, server->sid_id) +
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

/* What a server is before anybody has looked at it. False: one of the tables takes no more names
 * (errno). */
static bool server_init(struct server *server, struct backend *backend, size_t index,
                        uint16_t stat_id)
{
    const struct config_server *config = &backend->config->servers[index];
    struct span name = span_str(config->name);

    server->name = config->name;
    server->backend = backend;
    server->config = config;
    server->index = (uint16_t)index;
    server->stat_id = stat_id;
    server->name_hash = hash_stable(name);
    server->sid_id = sidmap_server_id(backend->sids, name);
    server->cookie_id = backend->cookies ? sidmap_server_id(backend->cookies, name) : -1;
    atomic_init(&server->health,
                backend->config->health_kind == HEALTH_NONE ? SERVER_UNCHECKED : SERVER_UP);
    atomic_init(&server->admin, SERVER_READY);
    atomic_init(&server->weight_now, (int)config->opt.weight * SERVER_WEIGHT_SCALE);
    atomic_init(&server->max_connections, (int)config->opt.max_connections);
    atomic_init(&server->changed_ms, clock_wall_ms());
    if (config->endpoint.kind == ENDPOINT_ADDR) {
        server->addr = config->endpoint.addr;
        server->addr_known = true;
    }
    if (server->sid_id < 0 || (backend->cookies && server->cookie_id < 0)) {
        errno = ENOSPC;
        return false;
    }
    body_of(backend)->by_sid_id[server->sid_id] = (int16_t)index;
    if (server->cookie_id >= 0)
        body_of(backend)->by_cookie_id[server->cookie_id] = (int16_t)index;
    return true;
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
    struct sidmap *map = fd >= 0 ? sidmap_attach(fd, true, now_ms) : NULL;
    return map ? map : sidmap_new(name, max_entries);
}

static bool tables_open(struct backend *backend, int sids_fd, int cookies_fd, int64_t now_ms)
{
    size_t max_entries = (size_t)backend->config->opt.sid_max_entries;

    backend->sids = table_open("limpet-sids", max_entries, sids_fd, now_ms);
    if (!backend->sids)
        return false;
    if (!learns_cookies(backend->config))
        return true;
    backend->cookies = table_open("limpet-cookies", max_entries, cookies_fd, now_ms);
    return backend->cookies != NULL;
}

struct backend *backend_new(const struct config_backend *config, uint16_t index,
                            uint16_t first_stat_id, int sids_fd, int cookies_fd, int64_t now_ms)
{
    if (config->server_count > SIDMAP_SERVERS_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    struct backend_body *body = mem_must_alloc(sizeof(*body));
    struct backend *backend = &body->backend;

    for (size_t i = 0; i < SIDMAP_SERVERS_MAX; i++)
        body->by_sid_id[i] = body->by_cookie_id[i] = NO_SERVER;
    backend->name = config->name;
    backend->config = config;
    backend->index = index;
    backend->stat_id = first_stat_id;
    backend->servers = mem_must_alloc((config->server_count + 1) * sizeof(*backend->servers));
    backend->server_count = config->server_count;
    if (!tables_open(backend, sids_fd, cookies_fd, now_ms))
        goto failed;
    for (size_t i = 0; i < config->server_count; i++)
        if (!server_init(&backend->servers[i], backend, i, (uint16_t)(first_stat_id + 1 + i)))
            goto failed;
    return backend;

failed:;
    int error = errno;
    backend_free(backend);
    errno = error;
    return NULL;
}

void backend_free(struct backend *backend)
{
    if (!backend)
        return;
    sidmap_free(backend->sids);
    sidmap_free(backend->cookies);
    free(backend->servers);
    free(body_of(backend));
}

struct server *backend_server(struct backend *backend, struct span name)
{
    for (size_t i = 0; i < backend->server_count; i++)
        if (span_eq(span_str(backend->servers[i].name), name))
            return &backend->servers[i];
    return NULL;
}

static struct server *server_at(struct backend *backend, const int16_t *table, int id)
{
    if (id < 0 || id >= SIDMAP_SERVERS_MAX || table[id] == NO_SERVER)
        return NULL;
    return &backend->servers[table[id]];
}

struct server *backend_server_by_sid_id(struct backend *backend, int sid_id)
{
    return server_at(backend, body_of(backend)->by_sid_id, sid_id);
}

struct server *backend_server_by_cookie_id(struct backend *backend, int cookie_id)
{
    return server_at(backend, body_of(backend)->by_cookie_id, cookie_id);
}
