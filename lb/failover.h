// SPDX-License-Identifier: Apache-2.0
/*
 * What sentinel-watch says of Redis, by the runtime API: whether a failover is on, and which servers
 * have followed the last one. On control's thread.
 *
 * Whatever is said holds for a lease and lapses with it, so that a companion that went away holds up
 * nothing. A failover never cuts or drains anybody: Socket.IO sessions live through it.
 * - While one is on, drains and rebalances pause (serving->moves_held).
 * - A server that has not followed is stale: it gets no new sessions, as long as another one may get
 *   them, and keeps those it has (server_held).
 */
#ifndef LIMPET_LB_FAILOVER_H
#define LIMPET_LB_FAILOVER_H

#include "lb/worker.h"

enum {
    FAILOVER_MASTERS_MAX = 64,
    FAILOVER_MASTER_NAME_MAX = 128,
    FAILOVER_LEASE_MAX_MS = 3600000,
};

struct failovers;

struct failovers *failovers_new(struct serving *serving, struct loop *loop);
void failovers_stop(struct failovers *failovers); /* while the loop is still there */
void failovers_free(struct failovers *failovers);

/*
 * The failover of this master is in a phase: "hold", "sub" or "pub" for as long as the lease;
 * "calm", "fence" or "cancel": none is on. NULL, or why this is refused.
 */
const char *failovers_say(struct failovers *failovers, struct span master, struct span phase,
                          int64_t lease_ms, const char *by);
/*
 * This server has, or has not, followed Redis to the failover that is counted `epoch`. What is said
 * of an older one while a lease runs is refused. NULL, or why.
 */
const char *failovers_server(struct failovers *failovers, struct server *server, bool stale,
                             uint64_t epoch, int64_t lease_ms, const char *by);

struct failover_status {
    const char *master, *phase; /* "calm" when nothing is on */
    bool running;
    int64_t left_ms; /* of the lease */
    int64_t changed_wall_ms;
};
/* The i-th master that was ever spoken of; false: there are no more. */
bool failovers_status(const struct failovers *failovers, size_t i, struct failover_status *out);

#endif
