// SPDX-License-Identifier: Apache-2.0
/*
 * How the barrier decides.
 *
 * Two things move: the stage (what all may be asked for: hold, sub, pub, or cancel) and each node's
 * `done` (how far it is). A node is always asked for the next phase behind its own `done`, up to the
 * stage; so whoever is late, was down, or begins in the middle takes the same steps as the others.
 *
 *   stage    left when                                          a node is asked for
 *   HOLD     undecided: hold.max → CANCEL                        hold
 *            decided: all hold, or deadline / 2 → SUB
 *   SUB      all subscribed, or the deadline → PUB               hold, sub
 *   PUB      never (a newer failover comes; it is called over    hold, sub, pub; then fence
 *            when all publish there, or the deadline has passed)
 *   CANCEL   all cancelled; or the deadline and hold.max, when   cancel, if it was asked to hold
 *            they have let go by themselves
 *
 * Why `sub` waits for all to hold: who has moved to the new master hears nothing that is still
 * published at the old one, which may well be alive (a manual failover).
 *
 * `now` may be a failover that is only expected (HOLD, undecided); `settled` is the newest that has
 * happened. When an expected one is called off, the nodes go on with `settled` from where they
 * were: those that never got its `pub` begin again with `hold`.
 *
 * A node that was held for an older failover and not released is still held for the newer one
 * (node_carry). After a `pub` or `cancel` has left it nobody knows, so it is asked to hold again.
 */
#include "sentinel-watch/barrier.h"

#include "sentinel-watch/event.h"

#include <stdio.h>
#include <string.h>

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 2000,
    RETRY_JITTER = 25,    /* percent */
    AHEAD_MS = 1000,      /* between two looks at a node that has seen something newer */
    DEADLINE_MIN_MS = 50, /* what a node is told at least */
};

/* Below, equal to or above 0, like memcmp. */
static int order_of(uint64_t generation, uint64_t epoch, const struct failover *than)
{
    if (generation != than->generation)
        return generation < than->generation ? -1 : 1;
    return epoch < than->epoch ? -1 : epoch > than->epoch;
}

static int64_t at_least(int64_t value, int64_t least)
{
    return value > least ? value : least;
}

static int failover_order(const struct failover *a, const struct failover *b)
{
    return order_of(a->generation, a->epoch, b);
}

void barrier_init(struct barrier *barrier, const struct barrier_times *times, uint64_t seed,
                  const struct barrier_owner *owner, void *ctx)
{
    *barrier = (struct barrier){.owner = owner, .ctx = ctx, .times = *times, .over = true};
    rng_seed(&barrier->rng, seed);
    list_init(&barrier->nodes);
}

void barrier_join(struct barrier *barrier, struct barrier_node *node)
{
    *node = (struct barrier_node){0};
    list_push_back(&barrier->nodes, &node->node);
}

void barrier_leave(struct barrier_node *node)
{
    list_remove(&node->node);
}

static struct barrier_node *node_of(struct list *link)
{
    return container_of(link, struct barrier_node, node);
}

static void enter(struct barrier *barrier, enum phase stage)
{
    barrier->stage = stage;
    barrier->over = false;
    barrier->owner->phase(barrier->ctx, &barrier->now, stage);
}

/* From here on nodes are asked about another failover: what is in flight is void. */
static void turn_to(struct barrier *barrier, const struct failover *failover)
{
    barrier->now = *failover;
    barrier->serial++;
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        node->ahead = false;
        node->attempt = 0;
        node->next_ms = 0;
    }
}

/* How far a node is in a failover that takes the place of the one under way. */
static enum phase node_carry(const struct barrier_node *node)
{
    return node->done >= PHASE_HOLD && node->done <= PHASE_SUB && !node->released ? PHASE_HOLD
                                                                                  : PHASE_NONE;
}

/* ---- what the state machine says ----------------------------------------------------------- */

bool barrier_is_news(const struct barrier *barrier, const struct failover *failover)
{
    return !barrier->known || failover_order(failover, &barrier->settled) > 0;
}

/* `failover` has happened, and nobody is held for it: each node gets there by itself. */
static void settle_quietly(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    barrier->settled = *failover;
    barrier->known = barrier->released = true;
    turn_to(barrier, failover);
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        node->done = PHASE_NONE;
        node->home = false;
    }
    barrier->stage = PHASE_PUB;
    barrier->pub_ms = now_ms;
    barrier->over = false;
}

void barrier_baseline(struct barrier *barrier, const struct failover *now, int64_t now_ms)
{
    const struct place *was = &barrier->settled.new_place, *is = &now->new_place;
    if (!barrier_is_news(barrier, now))
        return;
    bool moved = barrier->known && !place_eq(was, is);
    if (moved)
        barrier_switch(barrier, now, now_ms);
    else
        settle_quietly(barrier, now, now_ms);
}

void barrier_hold(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    bool holds = barrier->stage == PHASE_HOLD && !barrier->decided;
    if (holds || !barrier_is_news(barrier, failover))
        return;
    turn_to(barrier, failover);
    list_each(link, &barrier->nodes) node_of(link)->done = PHASE_NONE;
    barrier->decided = false;
    barrier->held_ms = now_ms;
    enter(barrier, PHASE_HOLD);
}

/* Stage HOLD of a failover that has happened, from whatever stage. */
static void begin_switch(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    bool held = barrier->stage == PHASE_HOLD;
    turn_to(barrier, failover);
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        node->done = node_carry(node);
        node->home = false;
    }
    barrier->decided = true;
    barrier->released = false;
    barrier->decided_ms = now_ms;
    if (held)
        return;
    barrier->held_ms = now_ms;
    enter(barrier, PHASE_HOLD);
}

void barrier_switch(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    if (!barrier_is_news(barrier, failover))
        return;
    barrier->settled = *failover;
    barrier->known = true;
    begin_switch(barrier, failover, now_ms);
    barrier_run(barrier, now_ms);
}

static void call_off(struct barrier *barrier, int64_t now_ms)
{
    barrier->serial++;
    barrier->cancel_ms = now_ms;
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        node->done = PHASE_NONE;
        node->attempt = 0;
        node->next_ms = 0;
    }
    enter(barrier, PHASE_CANCEL);
}

void barrier_cancel(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    if (barrier->stage != PHASE_HOLD || barrier->decided)
        return;
    snprintf(barrier->now.reason, sizeof(barrier->now.reason), "%s", failover->reason);
    call_off(barrier, now_ms);
    barrier_run(barrier, now_ms);
}

void barrier_fence(struct barrier *barrier, const struct failover *failover, int64_t now_ms)
{
    if (!barrier->known || failover_order(failover, &barrier->settled) != 0)
        return;
    barrier->fence = *failover;
    barrier->fence_round++;
    barrier->owner->phase(barrier->ctx, &barrier->fence, PHASE_FENCE);
    if (barrier->stage == PHASE_PUB)
        barrier->over = false;
    barrier_run(barrier, now_ms);
}

/* ---- stages -------------------------------------------------------------------------------- */

static enum phase node_wants(const struct barrier *barrier, const struct barrier_node *node)
{
    if (barrier->stage == PHASE_CANCEL)
        return node->held ? PHASE_CANCEL : PHASE_NONE;
    if (node->done < barrier->stage)
        return node->done + 1;
    bool to_fence = barrier->stage == PHASE_PUB && node->fenced != barrier->fence_round;
    return to_fence ? PHASE_FENCE : PHASE_NONE;
}

/* Has every node that can be reached done this much? */
static bool all_have(struct barrier *barrier, enum phase phase)
{
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        if (node->done < phase && !node->down && !node->ahead)
            return false;
    }
    return true;
}

static bool all_have_cancelled(struct barrier *barrier)
{
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        if (node->held)
            return false;
    }
    return true;
}

static void tell_over(struct barrier *barrier)
{
    if (!barrier->over)
        barrier->owner->phase(barrier->ctx, &barrier->now, PHASE_NONE);
    barrier->over = true;
}

/* Nothing is expected any more: back to what has happened, if anything has. */
static void end_cancel(struct barrier *barrier, int64_t now_ms)
{
    tell_over(barrier);
    list_each(link, &barrier->nodes) node_of(link)->held =
        false; // The others have let go by themselves: hold.max has passed.
    barrier->stage = PHASE_NONE;
    if (!barrier->known)
        return;
    if (!barrier->released) {
        begin_switch(barrier, &barrier->settled, now_ms);
        return;
    }
    turn_to(barrier, &barrier->settled);
    barrier->stage = PHASE_PUB;
    barrier->pub_ms = now_ms;
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        node->done = node->home ? PHASE_PUB : PHASE_NONE;
        if (!node->home)
            barrier->over = false;
    }
}

static void release(struct barrier *barrier, int64_t now_ms)
{
    barrier->released = true;
    barrier->pub_ms = now_ms;
    enter(barrier, PHASE_PUB);
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        if (node->done >= PHASE_SUB || node->ahead)
            continue;
        node->stale = true;
        barrier->owner->late(barrier->ctx, node, &barrier->now);
    }
}

/* One step of the stage. True: it took one, look again. *until: when time alone will make it. */
static bool step(struct barrier *barrier, int64_t now_ms, int64_t *until)
{
    const struct barrier_times *times = &barrier->times;
    *until = -1;
    switch (barrier->stage) {
    case PHASE_HOLD:
        if (!barrier->decided) {
            *until = barrier->held_ms + times->hold_max_ms;
            if (now_ms < *until)
                return false;
            snprintf(barrier->now.reason, sizeof(barrier->now.reason), "hold.max has passed");
            call_off(barrier, now_ms);
            return true;
        }
        *until = barrier->decided_ms + times->deadline_ms / 2;
        if (now_ms < *until && !all_have(barrier, PHASE_HOLD))
            return false;
        enter(barrier, PHASE_SUB);
        return true;
    case PHASE_SUB:
        *until = barrier->decided_ms + times->deadline_ms;
        if (now_ms < *until && !all_have(barrier, PHASE_SUB))
            return false;
        release(barrier, now_ms);
        return true;
    case PHASE_CANCEL:
        *until = at_least(barrier->held_ms + times->hold_max_ms,
                          barrier->cancel_ms + times->deadline_ms);
        if (now_ms < *until && !all_have_cancelled(barrier))
            return false;
        end_cancel(barrier, now_ms);
        return true;
    case PHASE_PUB:
        *until = barrier->over ? -1 : barrier->pub_ms + times->deadline_ms;
        if (now_ms < *until && !all_have(barrier, PHASE_PUB))
            return false;
        tell_over(barrier);
        *until = -1;
        return false;
    case PHASE_NONE:
    case PHASE_FENCE: // Never a stage.
        return false;
    }
    return false;
}

int64_t barrier_run(struct barrier *barrier, int64_t now_ms)
{
    int64_t until;
    while (step(barrier, now_ms, &until))
        ;
    list_each(link, &barrier->nodes)
    {
        struct barrier_node *node = node_of(link);
        bool waits = node->asked == PHASE_NONE && node->next_ms > now_ms &&
                     node_wants(barrier, node) != PHASE_NONE;
        if (waits && (until < 0 || node->next_ms < until))
            until = node->next_ms;
    }
    return until;
}

/* ---- orders and answers -------------------------------------------------------------------- */

bool barrier_order(struct barrier *barrier, struct barrier_node *node, int64_t now_ms,
                   struct order *out)
{
    enum phase wants = node_wants(barrier, node);
    if (wants == PHASE_NONE || node->asked != PHASE_NONE || now_ms < node->next_ms)
        return false;
    const struct barrier_times *times = &barrier->times;
    bool together = barrier->decided && barrier->stage < PHASE_PUB;
    int64_t deadline_ms = times->deadline_ms - (together ? now_ms - barrier->decided_ms : 0);
    int64_t hold_ms = times->hold_max_ms;
    if (barrier->stage < PHASE_PUB)
        hold_ms -= now_ms - barrier->held_ms;
    *out = (struct order){
        .failover = wants == PHASE_FENCE ? &barrier->fence : &barrier->now,
        .phase = wants,
        .attempt = node->attempt + 1,
        .deadline_ms = at_least(deadline_ms, DEADLINE_MIN_MS),
        .hold_max_ms = at_least(hold_ms, times->deadline_ms),
    };
    return true;
}

void barrier_sent(struct barrier *barrier, struct barrier_node *node, const struct order *order)
{
    node->asked = order->phase;
    node->asked_serial = barrier->serial;
    node->attempt++;
    node->down = false;
    if (order->phase == PHASE_HOLD) {
        node->held = true;
        node->released = false;
    }
    if (order->phase == PHASE_PUB || order->phase == PHASE_CANCEL)
        node->released = true;
}

bool barrier_superseded(const struct barrier *barrier, const struct barrier_node *node)
{
    return node->asked != PHASE_NONE && node->asked_serial != barrier->serial;
}

static void retry_later(struct barrier *barrier, struct barrier_node *node, int64_t now_ms)
{
    uint32_t doublings = node->attempt > 0 ? node->attempt - 1 : 0;
    int64_t wait_ms = doublings < 6 ? (int64_t)RETRY_FIRST_MS << doublings : RETRY_MAX_MS;
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    node->next_ms = now_ms + rng_jitter(&barrier->rng, wait_ms, RETRY_JITTER);
}

static void reached(struct barrier *barrier, struct barrier_node *node, enum phase phase)
{
    node->attempt = 0;
    node->next_ms = 0;
    node->trouble = NULL;
    switch (phase) {
    case PHASE_HOLD:
    case PHASE_SUB:
    case PHASE_PUB:
        if (node->done < phase)
            node->done = phase;
        break;
    case PHASE_FENCE:
        node->fenced = barrier->fence_round;
        return;
    case PHASE_CANCEL:
        node->done = PHASE_NONE;
        node->held = false;
        return;
    case PHASE_NONE:
        return;
    }
    if (phase >= PHASE_SUB) {
        node->stale = false;
        node->followed = true;
        node->epoch = barrier->now.epoch;
        node->generation = barrier->now.generation;
    }
    if (phase == PHASE_PUB) {
        node->home = true;
        node->held = false;
        node->fenced = barrier->fence_round; // Verified just now, so not at the old one.
    }
}

/* Is the connection that it speaks of one to the new master? NULL: yes, else what is wrong. */
static const char *misled(const struct failover *failover, const struct ack *ack)
{
    char address[PLACE_TEXT_MAX];
    if (strcmp(ack->role, "master") != 0)
        return "is not connected to a master";
    if (failover->run_id[0] != '\0' && ack->run_id[0] != '\0')
        return strcmp(failover->run_id, ack->run_id) == 0 ? NULL : "is connected to another master";
    return strcmp(ack->connected_to, place_show(&failover->new_place, address)) == 0
               ? NULL
               : "is connected to another address";
}

/* An acknowledgement of `phase`; NULL: it is one, else what is wrong with it. */
static const char *doubt(const struct barrier *barrier, enum phase phase, const struct ack *ack)
{
    char address[PLACE_TEXT_MAX];
    switch (phase) {
    case PHASE_SUB:
    case PHASE_PUB:
        return misled(&barrier->now, ack);
    case PHASE_FENCE:
        return ack->connected_to[0] != '\0' &&
                       strcmp(ack->connected_to, place_show(&barrier->fence.old_place, address)) ==
                           0
                   ? "is still connected to the old master"
                   : NULL;
    case PHASE_NONE:
    case PHASE_HOLD:
    case PHASE_CANCEL:
        return NULL;
    }
    return NULL;
}

/* 200. NULL: it was an acknowledgement. */
static const char *take_ack(struct barrier *barrier, struct barrier_node *node, enum phase asked,
                            const struct ack *ack)
{
    if (strcmp(ack->master, barrier->now.master) != 0 || ack->phase != asked ||
        order_of(ack->generation, ack->epoch, &barrier->now) != 0)
        return "answers to something else";
    const char *wrong = doubt(barrier, asked, ack);
    if (!wrong)
        reached(barrier, node, asked);
    return wrong;
}

/* 409: the node says how far it is. NULL: as far as asked for, or further. */
static const char *take_stale(struct barrier *barrier, struct barrier_node *node, enum phase asked,
                              const struct ack *ack)
{
    if (strcmp(ack->master, barrier->now.master) != 0)
        return "answers to something else";
    int order = order_of(ack->generation, ack->epoch, &barrier->now);
    if (asked == PHASE_CANCEL) {
        reached(barrier, node, asked); // It holds for something else, or not at all.
        return NULL;
    }
    if (order > 0) {
        barrier->owner->outdated(barrier->ctx, node, ack->generation, ack->epoch);
        node->ahead = true;
        return "has seen a newer failover";
    }
    if (order < 0 || ack->phase == PHASE_CANCEL || ack->phase < asked)
        return "says 409 for no reason";
    enum phase phase = ack->phase == PHASE_FENCE ? PHASE_PUB : ack->phase;
    const char *wrong = doubt(barrier, phase, ack);
    if (!wrong)
        reached(barrier, node, phase);
    return wrong;
}

void barrier_answer(struct barrier *barrier, struct barrier_node *node,
                    const struct outcome *outcome, int64_t now_ms)
{
    enum phase asked = node->asked;
    bool superseded = barrier_superseded(barrier, node);
    node->asked = PHASE_NONE;
    if (superseded || outcome->kind == OUTCOME_AGAIN) {
        barrier_run(barrier, now_ms);
        return;
    }
    switch (outcome->kind) {
    case OUTCOME_ACK:
        node->queued = outcome->ack->queued;
        node->trouble = take_ack(barrier, node, asked, outcome->ack);
        break;
    case OUTCOME_STALE:
        node->queued = outcome->ack->queued;
        node->trouble = take_stale(barrier, node, asked, outcome->ack);
        break;
    case OUTCOME_UNREACHED:
        node->down = true;
        node->attempt++; // Nothing was sent, but it was a try.
        node->trouble = outcome->trouble;
        break;
    case OUTCOME_AGAIN:
    case OUTCOME_NONE:
        node->trouble = outcome->trouble;
        break;
    }
    if (node->trouble && node->ahead)
        node->next_ms = now_ms + AHEAD_MS;
    else if (node->trouble)
        retry_later(barrier, node, now_ms);
    barrier_run(barrier, now_ms);
}

void barrier_lost(struct barrier *barrier, struct barrier_node *node, int64_t now_ms)
{
    node->down = true;
    node->home = false;
    node->done = PHASE_NONE;
    node->trouble = "cannot be reached";
    node->stale = barrier->known;
    retry_later(barrier, node, now_ms);
    barrier_run(barrier, now_ms);
}
