// SPDX-License-Identifier: Apache-2.0
/*
 * How a serving process leaves without anybody noticing more than a reconnect.
 *
 *     begin                      grace / 2                      grace       + LAST_MS
 *       │ listeners closed           │                            │              │
 *       │ idle connections closed    │                            │              │
 *       │ exchanges finish, their answers say close               │              │
 *       │◄── sessions are kicked ───►│◄── late ones, at once ────►│ all flows    │ leave
 *       │    at an even pace         │                            │ are ended    │ anyway
 *
 * Exchanges finish by themselves; what would stay is sessions: tunnels and held polls. All of them
 * at once would come back as one wave to whoever serves next, so they are kicked one after the
 * other, over half of the grace; the other half is for exchanges that take long. Few sessions need
 * no pacing: FLOOR_PER_S go in any case, so that a small instance is gone quickly.
 *
 * Every TICK_MS each worker earns a part of a kick; whole kicks are mailed to it. A worker's
 * sessions are counted by its atomics, and its flows only fall once it has closed its listeners
 * (stop_begun).
 */
#include "lb/drain.h"

#include <stdlib.h>

enum {
    TICK_MS = 20,
    FLOOR_PER_S = 20, /* sessions kicked per second at least, whole process */
    LAST_MS = 1000,   /* after everything was told to end */
    CREDIT = 1000000, /* one kick */
};

enum drain_phase { DRAIN_NOT, DRAIN_PACED, DRAIN_CUT, DRAIN_DONE };

struct drain {
    struct serving *serving;
    struct loop *loop;
    drain_done_fn *done;
    void *ctx;
    struct timer tick;
    enum drain_phase phase;
    int64_t last_tick_ms;
    int64_t paced_until_ms, cut_ms, leave_ms;
    int64_t *credit; /* per worker, in 1/CREDIT of a kick */
};

static int64_t worker_sessions(const struct worker *worker)
{
    return atomic_load_explicit(&worker->tunnels_now, memory_order_relaxed) +
           atomic_load_explicit(&worker->polls_now, memory_order_relaxed);
}

static bool drain_is_empty(const struct drain *drain)
{
    for (unsigned i = 0; i < drain->serving->worker_count; i++) {
        const struct worker *worker = &drain->serving->workers[i];
        if (!atomic_load(&worker->stop_begun) || atomic_load(&worker->flows_now) > 0)
            return false;
    }
    return true;
}

static void drain_order(struct drain *drain, unsigned what)
{
    for (unsigned i = 0; i < drain->serving->worker_count; i++)
        worker_order(&drain->serving->workers[i], what, 0);
}

/* How many of a worker's sessions go in this tick. */
static int64_t drain_share(struct drain *drain, unsigned index, int64_t sessions,
                           int64_t elapsed_ms)
{
    int64_t left_ms = drain->paced_until_ms - drain->loop->now_ms;
    if (left_ms <= TICK_MS)
        return sessions;
    int64_t even = sessions * elapsed_ms * CREDIT / left_ms;
    int64_t floor = FLOOR_PER_S * elapsed_ms * (CREDIT / 1000) / drain->serving->worker_count;
    int64_t *credit = &drain->credit[index];
    *credit += even > floor ? even : floor;
    int64_t kicks = *credit / CREDIT;
    *credit -= kicks * CREDIT;
    return kicks < sessions ? kicks : sessions;
}

static void drain_kick(struct drain *drain)
{
    int64_t elapsed_ms = drain->loop->now_ms - drain->last_tick_ms;
    drain->last_tick_ms = drain->loop->now_ms;
    for (unsigned i = 0; i < drain->serving->worker_count; i++) {
        struct worker *worker = &drain->serving->workers[i];
        int64_t sessions = worker_sessions(worker);
        if (sessions <= 0) {
            drain->credit[i] = CREDIT - 1; // The next one need not wait.
            continue;
        }
        int64_t kicks = drain_share(drain, i, sessions, elapsed_ms);
        if (kicks > 0)
            worker_order(worker, ORDER_KICK, (size_t)kicks);
    }
}

static void drain_finish(struct drain *drain)
{
    drain->phase = DRAIN_DONE;
    drain->done(drain->ctx);
}

static void drain_tick(struct timer *timer)
{
    struct drain *drain = container_of(timer, struct drain, tick);
    int64_t now = drain->loop->now_ms;
    if (drain_is_empty(drain) || (drain->phase == DRAIN_CUT && now >= drain->leave_ms)) {
        drain_finish(drain);
        return;
    }
    if (drain->phase == DRAIN_PACED && now >= drain->cut_ms)
        drain_cut(drain);
    else if (drain->phase == DRAIN_PACED)
        drain_kick(drain);
    loop_timer_start(drain->loop, timer, TICK_MS);
}

struct drain *drain_new(struct serving *serving, struct loop *loop, drain_done_fn *done, void *ctx)
{
    struct drain *drain = mem_must_alloc(sizeof(*drain));
    *drain = (struct drain){.serving = serving, .loop = loop, .done = done, .ctx = ctx};
    drain->credit = mem_must_alloc(serving->worker_count * sizeof(int64_t));
    timer_init(&drain->tick, drain_tick);
    return drain;
}

void drain_free(struct drain *drain)
{
    if (!drain)
        return;
    loop_timer_stop(drain->loop, &drain->tick);
    free(drain->credit);
    free(drain);
}

void drain_begin(struct drain *drain, int64_t grace_ms)
{
    if (drain->phase != DRAIN_NOT)
        return;
    int64_t now = drain->loop->now_ms;
    drain->phase = DRAIN_PACED;
    drain->last_tick_ms = now;
    drain->paced_until_ms = now + grace_ms / 2;
    drain->cut_ms = now + grace_ms;
    for (unsigned i = 0; i < drain->serving->worker_count; i++)
        drain->credit[i] = CREDIT - 1;
    atomic_store(&drain->serving->stopping, true);
    drain_order(drain, ORDER_STOP);
    loop_timer_start(drain->loop, &drain->tick, grace_ms > 0 ? TICK_MS : 0);
}

void drain_cut(struct drain *drain)
{
    if (drain->phase != DRAIN_PACED)
        return;
    drain->phase = DRAIN_CUT;
    drain->leave_ms = drain->loop->now_ms + LAST_MS;
    drain_order(drain, ORDER_END);
}

bool drain_begun(const struct drain *drain)
{
    return drain->phase != DRAIN_NOT;
}
