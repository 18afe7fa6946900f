// SPDX-License-Identifier: Apache-2.0
/*
 * A configuration's runtime objects, made once at start before any worker runs, freed after the
 * last has ended. Counter blocks are numbered here: frontends first, then each backend followed by
 * its servers, so that a reader of the counters walks them in the order of the configuration.
 *
 *     stat_id:  frontend 0 … n-1 │ backend 0, its servers │ backend 1, its servers │ …
 */
#include "lb/snapshot.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static void frontend_init(struct frontend *frontend, const struct config_frontend *config,
                          size_t index)
{
    frontend->name = config->name;
    frontend->config = config;
    frontend->routes = route_table_new(config);
    frontend->head_limits = (struct head_limits){
        .header_bytes = (uint32_t)config->opt.limit_header_bytes,
        .fields = (uint32_t)config->opt.limit_headers,
        .target = (uint32_t)config->opt.limit_target,
    };
    if (config->opt.connections_per_ip > 0 || config->opt.handshakes_per_ip.events > 0)
        frontend->limits = limits_new();
    frontend->index = frontend->stat_id = (uint16_t)index;
    atomic_init(&frontend->max_connections, (int)config->opt.max_connections);
}

static size_t snapshot_stats(const struct config *config)
{
    size_t count = config->frontend_count + config->backend_count;
    for (size_t i = 0; i < config->backend_count; i++)
        count += config->backends[i].server_count;
    return count;
}

static bool snapshot_add_backends(struct snapshot *snapshot, const int *table_fds, int64_t now_ms)
{
    const struct config *config = snapshot->config;
    size_t stat_id = snapshot->frontend_count;
    for (size_t i = 0; i < config->backend_count; i++) {
        struct backend *backend = backend_new(&config->backends[i], (uint16_t)i, (uint16_t)stat_id,
                                              table_fds[2 * i], table_fds[2 * i + 1], now_ms);
        if (!backend)
            return false;
        snapshot->backends[snapshot->backend_count++] = backend;
        stat_id += 1 + backend->server_count;
    }
    return true;
}

struct snapshot *snapshot_new(const struct config *config, const int *table_fds, int64_t now_ms)
{
    size_t stat_count = snapshot_stats(config);
    if (stat_count > UINT16_MAX) {
        errno = E2BIG;
        return NULL;
    }
    struct snapshot *snapshot = mem_must_alloc(sizeof(*snapshot));
    snapshot->config = config;
    snapshot->stat_count = stat_count;
    snapshot->frontends = mem_must_alloc(config->frontend_count * sizeof(*snapshot->frontends));
    for (; snapshot->frontend_count < config->frontend_count; snapshot->frontend_count++) {
        size_t i = snapshot->frontend_count;
        frontend_init(&snapshot->frontends[i], &config->frontends[i], i);
    }
    snapshot->backends = mem_must_alloc(config->backend_count * sizeof(struct backend *));
    if (!snapshot_add_backends(snapshot, table_fds, now_ms)) {
        int error = errno;
        snapshot_free(snapshot);
        errno = error;
        return NULL;
    }
    return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        route_table_free(snapshot->frontends[i].routes);
        limits_free(snapshot->frontends[i].limits);
    }
    for (size_t i = 0; i < snapshot->backend_count; i++)
        backend_free(snapshot->backends[i]);
    free(snapshot->frontends);
    free(snapshot->backends);
    free(snapshot);
}

struct server *snapshot_server(struct snapshot *snapshot, struct span backend, struct span server)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(span_str(snapshot->backends[i]->name), backend))
            return backend_server(snapshot->backends[i], server);
    }
    return NULL;
}
