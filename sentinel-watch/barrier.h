// SPDX-License-Identifier: Apache-2.0
/*
 * The barrier of one master: which server is asked for which phase, and when. A failover loses
 * nothing when nobody publishes at the new master before everybody has subscribed there:
 *
 *              all hold             all subscribed          all publish
 *     ── hold ────────────► sub ──────────────────► pub ─────────────────► calm
 *         │      or half of the deadline     or the deadline
 *         └──► cancel: the old master came back, or hold.max has passed
 *
 * "All" are those that can be reached. Who is late or was down goes through the same phases alone,
 * when it answers. A newer failover takes the place of a running one at any point: who was not
 * released yet is still held and goes on to `sub` of the newer one.
 *
 * Knows no sockets and no clock: time comes in, orders go out. The caller asks barrier_order for every
 * node that has nothing in flight, sends what it says, and reports what came of it.
 */
#ifndef LIMPET_SENTINEL_WATCH_BARRIER_H
#define LIMPET_SENTINEL_WATCH_BARRIER_H

#include "base/list.h"
#include "base/rand.h"
#include "sentinel-watch/ack.h"

struct barrier_node;

/* What the barrier tells, from inside its functions. `late` and `outdated` are about one node. */
struct barrier_owner {
    /* All enter a phase; PHASE_NONE: it is over, or was not waited for any longer. */
    void (*phase)(void *ctx, const struct failover *failover, enum phase phase);
    /* The others were released without it. */
    void (*late)(void *ctx, struct barrier_node *node, const struct failover *failover);
    /* It has seen a newer failover than we have; `ahead` when it said so before. */
    void (*outdated)(void *ctx, struct barrier_node *node, uint64_t generation, uint64_t epoch);
};

/* One server; embedded in what the caller keeps of it. Fields are the barrier's, for others to read. */
struct barrier_node {
    struct list node;
    enum phase done;  /* of the failover that is under way: NONE, HOLD, SUB or PUB */
    enum phase asked; /* in flight; NONE: nothing */
    uint64_t asked_serial;
    bool held : 1;     /* a hold has left and nothing that undoes it was acknowledged */
    bool released : 1; /* a pub or cancel has left: it may publish */
    bool home : 1;     /* has acknowledged `pub` of the master that is known */
    bool down : 1;     /* could not be reached last time */
    bool ahead : 1;    /* has seen something newer: nothing to tell it */
    bool stale : 1;    /* others were released without it, or it is gone: no new sessions for it */
    bool followed : 1; /* it has acknowledged a `sub` or `pub`: there is something to say of it */
    uint32_t fenced;   /* last round of fencing that it acknowledged */
    uint32_t attempt;  /* tries of what is wanted from it now */
    int64_t next_ms;   /* not before */
    uint64_t epoch;    /* of the last `sub` or `pub` that it acknowledged, with its generation */
    uint64_t generation;
    uint64_t queued;     /* publishes that waited, by its last answer */
    const char *trouble; /* why its last answer was none; NULL: it was one */
};

struct barrier_times {
    int64_t deadline_ms; /* notify.deadline */
    int64_t hold_max_ms; /* hold.max */
};

struct barrier {
    const struct barrier_owner *owner;
    void *ctx;
    struct barrier_times times;
    struct rng rng;
    struct list nodes;
    enum phase stage;        /* of all */
    struct failover now;     /* what nodes are asked to go through */
    struct failover settled; /* the newest that has happened */
    struct failover fence;   /* settled, with the address that is to be left */
    bool known;              /* there is a settled one */
    bool decided;            /* stage HOLD: `now` has happened; else it is expected */
    bool released;           /* settled: `pub` has been allowed */
    bool over;               /* calm was told */
    uint32_t fence_round;
    uint64_t serial;    /* grows when what is in flight is not wanted any more */
    int64_t held_ms;    /* when stage HOLD began */
    int64_t decided_ms; /* when it was decided */
    int64_t pub_ms;     /* when stage PUB began */
    int64_t cancel_ms;  /* and CANCEL */
};

/* Something to send. Valid until the next call of a barrier function. */
struct order {
    const struct failover *failover;
    enum phase phase;
    uint32_t attempt;    /* from 1 */
    int64_t deadline_ms; /* how long the others wait for the answer */
    int64_t hold_max_ms; /* how much longer publishes may be held */
};

enum outcome_kind {
    OUTCOME_ACK,   /* 200 with an ack */
    OUTCOME_STALE, /* 409 with an ack */
    OUTCOME_AGAIN, /* nobody's fault (a kept connection was closed, another secret): at once again */
    OUTCOME_NONE,  /* no answer, or not what an answer is */
    OUTCOME_UNREACHED, /* no connection */
};
struct outcome {
    enum outcome_kind kind;
    const struct ack *ack; /* with ACK and STALE */
    const char *trouble;   /* a phrase that lives on, with NONE and UNREACHED */
};

void barrier_init(struct barrier *barrier, const struct barrier_times *times, uint64_t seed,
                  const struct barrier_owner *owner, void *ctx);

void barrier_join(struct barrier *barrier,
                  struct barrier_node *node); /* all zero, or left before */
void barrier_leave(struct barrier_node *node);

/* What the state machine says; see doors.h. What is not newer than what is known is ignored. */
void barrier_baseline(struct barrier *barrier, const struct failover *now, int64_t now_ms);
void barrier_hold(struct barrier *barrier, const struct failover *failover, int64_t now_ms);
void barrier_switch(struct barrier *barrier, const struct failover *failover, int64_t now_ms);
void barrier_cancel(struct barrier *barrier, const struct failover *failover, int64_t now_ms);
void barrier_fence(struct barrier *barrier, const struct failover *failover, int64_t now_ms);

/* Is it newer than what has happened? */
bool barrier_is_news(const struct barrier *barrier, const struct failover *failover);

/* Goes on where time or answers allow it. Returns when to call again, and to look for orders, at the
 * latest; -1: not by itself. */
int64_t barrier_run(struct barrier *barrier, int64_t now_ms);

/* What this node is to be asked now. False: nothing (it is asked already, or not yet). */
bool barrier_order(struct barrier *barrier, struct barrier_node *node, int64_t now_ms,
                   struct order *out);
/* The order of just now is on its way to the node, over a connection that stands. */
void barrier_sent(struct barrier *barrier, struct barrier_node *node, const struct order *order);
/* Is what is in flight to it not wanted any more? Then give it up, with OUTCOME_AGAIN. */
bool barrier_superseded(const struct barrier *barrier, const struct barrier_node *node);
void barrier_answer(struct barrier *barrier, struct barrier_node *node,
                    const struct outcome *outcome, int64_t now_ms);
/* A connection to it stands: it is waited for again. */
static inline void barrier_found(struct barrier_node *node)
{
    node->down = false;
}
/* Its process is gone, as far as we can see: what it had acknowledged counts no more. */
void barrier_lost(struct barrier *barrier, struct barrier_node *node, int64_t now_ms);

#endif
