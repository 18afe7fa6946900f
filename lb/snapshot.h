// SPDX-License-Identifier: Apache-2.0
/*
 * One loaded configuration with its runtime objects: frontends and their routes, backends and their
 * servers. Made by control before workers see it; what changes in it is atomic. The snapshot of
 * another configuration shares what both have: a frontend's and a backend's home, and servers.
 *
 * stat_ids number the counter blocks: at start frontends, then for each backend itself and its
 * servers; what a reload brings takes numbers that nobody has.
 */
#ifndef LIMPET_LB_SNAPSHOT_H
#define LIMPET_LB_SNAPSHOT_H

#include "config/config.h"
#include "lb/capture.h"
#include "lb/limits.h"
#include "lb/route.h"
#include "lb/server.h"
#include "proto/head.h"

struct edition;
struct stat_ids;
struct tls_context;

/* What a frontend is in all configurations that have it. */
struct frontend_home {
    char *name;
    struct limits *limits; /* made when a configuration first sets a rate_limit; else NULL */
    uint16_t stat_id;
    unsigned refs;               /* views; control's */
    struct capture *bad_request; /* the last malformed one */
    _Atomic int connections;     /* open client connections, all workers */
    _Atomic int connections_max;
    _Atomic int max_connections; /* configured, or set since */
    atomic_bool disabled;        /* its listeners accept nobody; what is open stays */
};

/* One configuration's view of it. */
struct frontend {
    const char *name;
    const struct config_frontend *config;
    struct frontend_home *home;
    struct route_table *routes;
    struct head_limits head_limits;
    char hsts[64];         /* value of Strict-Transport-Security; "": none */
    struct limits *limits; /* home's, per client address; NULL when no rate_limit is set */
    uint16_t index, stat_id;
};

/* A listen address: every worker has sockets of it. */
struct snapshot_listen {
    unsigned id; /* of the binding: what a later configuration knows it by */
    size_t frontend;
    int *
        fds; /* fd_count of them, for a new one, worker i's are i, i + workers, …; NULL: the workers have them */
    size_t fd_count;
};

struct snapshot {
    const struct config *config; /* must outlive the snapshot */
    struct config
        *own_config; /* the same when it goes with the snapshot, else NULL: the caller's */
    struct frontend *frontends;
    size_t frontend_count;
    struct backend **backends;
    size_t backend_count;
    size_t stat_count;               /* counter blocks per worker that may be in use */
    struct stat_ids *ids;            /* shared by all snapshots of a process */
    struct snapshot_listen *listens; /* by a reload; at start the bindings say it */
    size_t listen_count;

    /* lb/secure: by listener, in the order of `listens`, then by backend; NULL: without TLS */
    struct tls_context **tls;
    size_t tls_count;

    /* lb/edition */
    struct edition *editions; /* edition_count of them, one per worker */
    unsigned edition_count;
    unsigned adopted;      /* workers that go by it; control's */
    unsigned released;     /* workers that are done with it; control's */
    struct snapshot *next; /* older ones that are not free yet; control's */
};

enum { STAT_IDS_MAX = 32768 };

/* sid tables come from `table_fds` (two per backend: sids, cookies; -1 = create) so that they
 * outlive a crash. NULL: errno. */
struct snapshot *snapshot_new(const struct config *config, const int *table_fds, int64_t now_ms);
/*
 * The same for another configuration beside `old`; nothing that others see changes. table_fds as
 * above, used for backends and cookie tables that are new. After it became the newest one,
 * snapshot_settle points what control sees of servers at it. NULL: errno.
 */
struct snapshot *snapshot_renew(struct snapshot *old, const struct config *config,
                                const int *table_fds, int64_t now_ms);
void snapshot_settle(struct snapshot *snapshot);
void snapshot_free(struct snapshot *snapshot);

struct frontend *snapshot_frontend(const struct snapshot *snapshot, const char *name);
struct backend *snapshot_backend(const struct snapshot *snapshot, const char *name);
struct server *snapshot_server(struct snapshot *snapshot, struct span backend, struct span server);

#endif
