// SPDX-License-Identifier: Apache-2.0
/*
 * One loaded configuration with its runtime objects: frontends and their routes, backends and their servers. Made by control before
 * workers see it; what changes in it is atomic. stat_ids number the counter blocks: frontends, then for each backend itself and its servers.
 */
#ifndef LIMPET_LB_SNAPSHOT_H
#define LIMPET_LB_SNAPSHOT_H

#include "config/config.h"
#include "lb/limits.h"
#include "lb/route.h"
#include "lb/server.h"
#include "proto/head.h"

struct frontend {
    const char *name;
    const struct config_frontend *config;
    struct route_table *routes;
    struct head_limits head_limits;
    struct limits *limits; /* per client address; NULL when no rate_limit is set */
    uint16_t index, stat_id;
    _Atomic int connections; /* open client connections, all workers */
    _Atomic int connections_max;
    _Atomic int max_connections; /* configured, or set since */
    _Atomic bool disabled;       /* its listeners take nobody, by the runtime API */
};

struct snapshot {
    const struct config *config;
    struct frontend *frontends;
    size_t frontend_count;
    struct backend **backends;
    size_t backend_count;
    size_t stat_count; /* counter blocks per worker */
};

/* sid tables come from `table_fds` (two per backend: sids, cookies; -1 = create) so that they outlive a crash. NULL: errno. */
struct snapshot *snapshot_new(const struct config *config, const int *table_fds, int64_t now_ms);
void snapshot_free(struct snapshot *snapshot);
struct server *snapshot_server(struct snapshot *snapshot, struct span backend, struct span server);

#endif
