// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions on their way from one server to others, a few per second: drains (a server is to lose
 * all) and rebalances (each server is to lose what it has beyond its share). On control's thread.
 *
 * A session that leaves gets its client's own reconnection: WebSocket Close 1012, or Engine.IO's
 * close packet as the answer to its poll; the server is told. New sessions go where `balance` sends
 * them, and never to the server that they left because a cookie says so.
 */
#ifndef LIMPET_LB_MOVE_H
#define LIMPET_LB_MOVE_H

#include "lb/worker.h"

enum { MOVE_RATE_DEFAULT = 20 /* sessions per second */, MOVE_RATE_MAX = 100000 };

struct moves;

struct moves *moves_new(struct serving *serving, struct loop *loop);
void moves_stop(struct moves *moves); /* ends all, while the loop is still there */
void moves_free(struct moves *moves); /* after the loop's last letter */

/*
 * Sets the server to drain; then its sessions leave. A second call changes the rate, if one is
 * given (NULL: 20/s, or as it is). Ends when none is left; setting the server's state ends it, too.
 * NULL, or why not.
 */
const char *moves_drain(struct moves *moves, struct server *server, const struct rate *rate,
                        const char *by);
/* Ends when every server is within 5 % (or one session) of its share by weight. */
const char *moves_rebalance(struct moves *moves, struct backend *backend, const struct rate *rate,
                            const char *by);
const char *moves_rebalance_stop(struct moves *moves, struct backend *backend, const char *by);

/* What a drain or rebalance is doing; also of the last one that ended. */
struct move_status {
    enum move_reason kind;
    const char *backend, *server; /* server: NULL for a rebalance */
    bool running;
    const char *waits; /* why nothing moves at present; NULL: it moves */
    const char *ended; /* why it ended; NULL while it runs */
    struct rate rate;
    int64_t moved;  /* so far */
    int64_t left;   /* to move, as known now */
    int64_t eta_ms; /* -1: unknown */
    int64_t began_wall_ms, ended_wall_ms;
};
/* The i-th, in no order; false: there are no more. */
bool moves_status(struct moves *moves, size_t i, struct move_status *out);
/* Of this server's drain; false: there was none. */
bool moves_drain_status(struct moves *moves, const struct server *server, struct move_status *out);
bool moves_rebalance_status(struct moves *moves, const struct backend *backend,
                            struct move_status *out);

#endif
