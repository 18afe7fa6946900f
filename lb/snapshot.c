// SPDX-License-Identifier: Apache-2.0
/*
 * A configuration's runtime objects. Counter blocks are numbered here, so that a reader of the
 * counters walks them in the order of the configuration that the process started with:
 *
 *     stat_id:  frontend 0 … n-1 │ backend 0, its servers │ backend 1, its servers │ … │ later ones
 *
 * A number is given back with the last view of its object: nobody can count there any more.
 */
#include "lb/snapshot.h"

#include "base/mem.h"
#include "lb/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- stat_ids ---- */

struct stat_ids {
    unsigned refs; /* snapshots */
    size_t most;   /* all that were ever given are below this */
    bool given[STAT_IDS_MAX];
};

/* NO_STAT: none is left. */
static uint16_t stat_take(struct stat_ids *ids)
{
    for (size_t i = 0; i < STAT_IDS_MAX; i++) {
        if (ids->given[i])
            continue;
        ids->given[i] = true;
        if (ids->most <= i)
            ids->most = i + 1;
        return (uint16_t)i;
    }
    errno = E2BIG;
    return NO_STAT;
}

static void stat_give_back(struct stat_ids *ids, uint16_t id)
{
    if (id != NO_STAT)
        ids->given[id] = false;
}

/* ---- frontends ---- */

static void home_unref(struct frontend_home *home)
{
    if (--home->refs > 0)
        return;
    limits_free(home->limits);
    capture_free(home->bad_request);
    free(home->name);
    free(home);
}

static bool has_limits(const struct config_frontend *config)
{
    return config->opt.connections_per_ip > 0 || config->opt.handshakes_per_ip.events > 0;
}

static bool frontend_init(struct frontend *frontend, const struct config_frontend *config,
                          size_t index, struct frontend_home *home, struct stat_ids *ids)
{
    if (!home) {
        home = mem_must_alloc(sizeof(*home));
        home->name = mem_must_copy(config->name);
        home->stat_id = stat_take(ids);
        home->bad_request = capture_new();
        atomic_init(&home->max_connections, (int)config->opt.max_connections);
    }
    home->refs++;
    if (has_limits(config) && !home->limits)
        home->limits = limits_new();
    frontend->name = config->name;
    frontend->config = config;
    frontend->home = home;
    frontend->routes = route_table_new(config);
    frontend->head_limits = (struct head_limits){
        .header_bytes = (uint32_t)config->opt.limit_header_bytes,
        .fields = (uint32_t)config->opt.limit_headers,
        .target = (uint32_t)config->opt.limit_target,
    };
    if (config->opt.https_hsts_ms > 0)
        snprintf(frontend->hsts, sizeof(frontend->hsts), "max-age=%lld%s",
                 (long long)(config->opt.https_hsts_ms / 1000),
                 config->opt.https_hsts_subdomains ? "; includeSubDomains" : "");
    frontend->limits = has_limits(config) ? home->limits : NULL;
    frontend->index = (uint16_t)index;
    frontend->stat_id = home->stat_id;
    return home->stat_id != NO_STAT;
}

static void frontend_fini(struct frontend *frontend, struct stat_ids *ids)
{
    route_table_free(frontend->routes);
    if (frontend->home->refs == 1)
        stat_give_back(ids, frontend->home->stat_id);
    home_unref(frontend->home);
}

static bool snapshot_add_frontends(struct snapshot *snapshot, const struct snapshot *old)
{
    const struct config *config = snapshot->config;
    snapshot->frontends = mem_must_alloc(config->frontend_count * sizeof(*snapshot->frontends));
    for (size_t i = 0; i < config->frontend_count; i++) {
        struct frontend *known = old ? snapshot_frontend(old, config->frontends[i].name) : NULL;
        snapshot->frontend_count++;
        if (!frontend_init(&snapshot->frontends[i], &config->frontends[i], i,
                           known ? known->home : NULL, snapshot->ids))
            return false;
    }
    return true;
}

/* ---- backends ---- */

/* Numbers for what has none yet. */
static bool backend_number(struct backend *backend, bool fresh, struct stat_ids *ids)
{
    if (fresh)
        backend->stat_id = backend->home->stat_id = stat_take(ids);
    bool all = backend->stat_id != NO_STAT;
    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[i];
        if (fresh || server->stat_id == NO_STAT)
            server->stat_id = stat_take(ids);
        all = all && server->stat_id != NO_STAT;
    }
    return all;
}

static void backend_give_back(struct backend *backend, struct stat_ids *ids)
{
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++) {
        if (backend->servers[i]->refs == 1)
            stat_give_back(ids, backend->servers[i]->stat_id);
    }
    if (backend->home->refs == 1)
        stat_give_back(ids, backend->home->stat_id);
    backend_free(backend);
}

static bool snapshot_add_backends(struct snapshot *snapshot, const struct snapshot *old,
                                  const int *table_fds, int64_t now_ms)
{
    const struct config *config = snapshot->config;
    snapshot->backends = mem_must_alloc(config->backend_count * sizeof(struct backend *));
    for (size_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *one = &config->backends[i];
        const int *fds = &table_fds[2 * i];
        struct backend *known = old ? snapshot_backend(old, one->name) : NULL;
        struct backend *backend = known ? backend_renew(known, one, (uint16_t)i, fds[1], now_ms)
                                        : backend_new(one, (uint16_t)i, 0, fds[0], fds[1], now_ms);
        if (!backend)
            return false;
        snapshot->backends[snapshot->backend_count++] = backend;
        if (!backend_number(backend, !known, snapshot->ids))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

static struct snapshot *snapshot_make(const struct config *config, const struct snapshot *old,
                                      const int *table_fds, int64_t now_ms)
{
    struct snapshot *snapshot = mem_must_alloc(sizeof(*snapshot));
    snapshot->config = config;
    snapshot->ids = old ? old->ids : mem_must_alloc(sizeof(*snapshot->ids));
    snapshot->ids->refs++;
    if (!snapshot_add_frontends(snapshot, old) ||
        !snapshot_add_backends(snapshot, old, table_fds, now_ms)) {
        int error = errno;
        snapshot_free(snapshot);
        errno = error;
        return NULL;
    }
    snapshot->stat_count = snapshot->ids->most;
    return snapshot;
}

struct snapshot *snapshot_new(const struct config *config, const int *table_fds, int64_t now_ms)
{
    return snapshot_make(config, NULL, table_fds, now_ms);
}

struct snapshot *snapshot_renew(struct snapshot *old, const struct config *config,
                                const int *table_fds, int64_t now_ms)
{
    return snapshot_make(config, old, table_fds, now_ms);
}

void snapshot_settle(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            struct server *server = backend->servers[k];
            server->backend = backend;
            server->config = k < backend->server_count ? &backend->config->servers[k] : NULL;
            server->index = (uint16_t)k;
        }
    }
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->frontend_count; i++)
        frontend_fini(&snapshot->frontends[i], snapshot->ids);
    for (size_t i = 0; i < snapshot->backend_count; i++)
        backend_give_back(snapshot->backends[i], snapshot->ids);
    if (--snapshot->ids->refs == 0)
        free(snapshot->ids);
    for (size_t i = 0; i < snapshot->listen_count; i++)
        free(snapshot->listens[i].fds);
    free(snapshot->listens);
    secure_fini(snapshot);
    free(snapshot->frontends);
    free(snapshot->backends);
    free(snapshot);
}

struct frontend *snapshot_frontend(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        if (strcmp(snapshot->frontends[i].name, name) == 0)
            return &snapshot->frontends[i];
    }
    return NULL;
}

struct backend *snapshot_backend(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (strcmp(snapshot->backends[i]->name, name) == 0)
            return snapshot->backends[i];
    }
    return NULL;
}

struct server *snapshot_server(struct snapshot *snapshot, struct span backend, struct span server)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(span_str(snapshot->backends[i]->name), backend))
            return backend_server(snapshot->backends[i], server);
    }
    return NULL;
}
