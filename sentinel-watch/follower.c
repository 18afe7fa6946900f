// SPDX-License-Identifier: Apache-2.0
/*
 * From votes, roles and time to decisions. Whatever comes in is noted, then follower_decide looks at
 * everything anew; so a decision never hangs on the order in which things arrived, nor on an event
 * that may have been missed.
 *
 *   START ── majority ──► CALM ◄──────────────────────────────────────────────────┐
 *                          │ ▲ doubts are over                                    │
 *                    sdown ▼ │                                                    │
 *                        SUSPECT ── quorum: down ──► HOLD ── successor ──► PROBE  │
 *                            ▲                        │ cancel              │     │
 *                            └────────────────────────┴─────────────────────┤     │
 *                                                             its own ROLE  ▼     │
 *   any state ── majority names a newer one, and its own ROLE ─────────► SWITCH   │
 *                                                                           │ all told
 *                                                                         SETTLE ─┘
 *
 * What makes it safe:
 *
 * - A switch needs two witnesses who do not know of each other: a majority of sentinels with one
 *   place and one epoch above the current, and the place itself saying that it is a master. The fast
 *   path replaces the first by an election that a majority voted in, or by a role that changed from
 *   replica to master before our eyes.
 * - Epochs only rise. A majority that insists on something else (wiped sentinels, REMOVE and MONITOR)
 *   raises the generation instead, after some seconds, and it is said.
 * - A hold needs two sentinels, where there are two, or a role that changed. It is given up when the
 *   master is back, when there is nobody to fail over to, and in any case after hold.max; then it is spent:
 *   the same outage does not hold again until another failover is tried.
 * - Without a majority that can be heard and is not in tilt nothing is begun.
 */
#include "sentinel-watch/follower.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    POLL_CALM_MS = 1000,
    POLL_BUSY_MS = 100,
    ASK_CURRENT_MS = 1000,
    ASK_CANDIDATE_MS = 20,
    ASK_FORMER_MS = 500,
    ROLE_FRESH_MS = 2500, /* an older answer decides nothing */
    QUIET_MS = 300,       /* so long nothing must speak for a failover before a hold is undone */
    ABORT_MS = 2000,      /* so long another sentinel may try after an abort */
    CANDIDATE_MS = 60000, /* an event's candidate is forgotten */
    BASELINE_MS = 3000,   /* a majority must insist so long on what contradicts us */
    BASELINE_LIVING_MS = 15000, /* and so long when our master still says that it is one */
    SETTLE_MAX_MS = 30000,
    TOLD_MAX_MS = 60000,
    FORMER_MS = 600000, /* the former master is watched */
};

const char *follower_state_word(enum follower_state state)
{
    static const char *const words[] = {
        [FOLLOWER_START] = "start",   [FOLLOWER_CALM] = "calm",   [FOLLOWER_SUSPECT] = "suspect",
        [FOLLOWER_HOLD] = "hold",     [FOLLOWER_PROBE] = "probe", [FOLLOWER_SWITCH] = "switch",
        [FOLLOWER_SETTLE] = "settle",
    };
    return words[state];
}

const char *role_word(enum role role)
{
    static const char *const words[] = {
        [ROLE_UNKNOWN] = "unknown", [ROLE_UNREACHABLE] = "unreachable", [ROLE_REFUSED] = "refused",
        [ROLE_MASTER] = "master",   [ROLE_REPLICA] = "replica",         [ROLE_OTHER] = "other",
    };
    return words[role];
}

/* ---- small things ---- */

__attribute__((format(printf, 3, 4))) static void
note(struct follower *f, enum follower_weight weight, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    f->owner->note(f->ctx, weight, text);
}

static void enter(struct follower *f, enum follower_state state, int64_t now_ms)
{
    if (f->state == state)
        return;
    f->state = state;
    f->state_since_ms = now_ms;
    if (state == FOLLOWER_CALM)
        f->first_sign_ms = 0;
    else if (f->first_sign_ms == 0)
        f->first_sign_ms = now_ms;
}

static bool role_is(const struct follower *f, enum ask_kind kind, const struct place *place,
                    enum role role, int64_t now_ms)
{
    const struct answered_role *answer = &f->roles[kind];
    return place_known(place) && place_eq(&answer->place, place) && answer->role == role &&
           now_ms - answer->at_ms <= ROLE_FRESH_MS;
}

/* Does the place itself say that it is a master, in whichever capacity it was asked? */
static const struct answered_role *master_by_itself(const struct follower *f,
                                                    const struct place *place, int64_t now_ms)
{
    for (enum ask_kind kind = 0; kind < ASK_KINDS; kind++)
        if (role_is(f, kind, place, ROLE_MASTER, now_ms))
            return &f->roles[kind];
    return NULL;
}

/* Was it the master once, and is not any more? */
static bool was_master(const struct follower *f, const struct place *place)
{
    for (size_t i = 0; i < FORMERS_MAX; i++)
        if (place_eq(&f->formers[i], place))
            return !place_eq(place, &f->place);
    return false;
}

static void set_candidate(struct follower *f, const struct place *place, int64_t now_ms)
{
    if (!place_eq(&f->candidate, place))
        f->candidate_since_ms = now_ms;
    f->candidate = *place;
}

static void forget_candidate(struct follower *f)
{
    f->candidate = (struct place){0};
    f->candidate_by_majority = false;
}

/* What is about to happen or has happened, for everybody downstream. */
static void describe(struct follower *f, uint64_t epoch, const struct place *new_place,
                     const char *run_id, const char *reason)
{
    struct failover *failover = &f->failover;
    *failover = (struct failover){
        .generation = f->generation,
        .epoch = epoch,
        .old_place = f->place,
        .new_place = *new_place,
        .began_ms = f->first_sign_ms,
    };
    snprintf(failover->master, sizeof(failover->master), "%s", f->options.master);
    snprintf(failover->id, sizeof(failover->id), "%s:%" PRIu64 ":%" PRIu64, f->options.master,
             f->generation, epoch);
    snprintf(failover->run_id, sizeof(failover->run_id), "%s", run_id);
    snprintf(failover->reason, sizeof(failover->reason), "%s", reason);
}

/* ---- hold and cancel ---- */

static void hold(struct follower *f, uint64_t epoch, const char *reason, int64_t now_ms)
{
    if (f->held)
        return;
    if (f->first_sign_ms == 0)
        f->first_sign_ms = now_ms;
    describe(f, epoch, &(struct place){0}, "", reason);
    f->held = true;
    f->held_since_ms = now_ms;
    f->quiet_since_ms = f->aborted_ms = 0;
    note(f, FOLLOWER_INFO, "publishes are held: %s", reason);
    f->owner->hold(f->ctx, &f->failover);
}

static void cancel(struct follower *f, const char *reason, int64_t now_ms)
{
    if (!f->held)
        return;
    f->held = false;
    f->spent = true;
    f->spent_attempt = f->attempts;
    if (!f->candidate_by_majority)
        forget_candidate(f);
    snprintf(f->failover.reason, sizeof(f->failover.reason), "%s", reason);
    note(f, FOLLOWER_WARNING, "publishes are released without a switch: %s", reason);
    f->owner->cancel(f->ctx, &f->failover);
    enter(f, FOLLOWER_SUSPECT, now_ms);
}

/* The epoch that a failover which begins now will have at least. */
static uint64_t next_epoch(const struct follower *f)
{
    return f->opinion.seen_epoch > f->epoch ? f->opinion.seen_epoch : f->epoch + 1;
}

/* At a quorum's odown, or when somebody carries out a failover of a master that others find down. */
static void decide_hold(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    bool again = !f->spent || f->attempts > f->spent_attempt;
    bool down = t->sdown >= t->need && (t->odown > 0 || t->failing_over > 0);
    if (f->held || !f->options.hold_at_odown || !again || !down)
        return;
    char reason[FAILOVER_REASON_MAX];
    snprintf(reason, sizeof(reason), "the master is down for %zu of %zu sentinels", t->sdown,
             t->voters);
    hold(f, next_epoch(f), reason, now_ms);
}

static void decide_cancel(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    if (!f->held)
        return;
    if (now_ms - f->held_since_ms >= f->options.hold_max_ms) {
        cancel(f, "hold.max has passed", now_ms);
        return;
    }
    bool down = t->sdown >= t->need;
    bool quiet = !t->blind && t->failing_over == 0 && !f->candidate_by_majority &&
                 !place_known(&f->candidate) && (!down || f->aborted_ms != 0);
    if (!quiet) {
        f->quiet_since_ms = 0;
        return;
    }
    if (f->quiet_since_ms == 0)
        f->quiet_since_ms = now_ms;
    if (now_ms - f->quiet_since_ms >= (down ? ABORT_MS : QUIET_MS))
        cancel(f, down ? "the failover was aborted" : "the master is back", now_ms);
}

/* ---- switch ---- */

static void become(struct follower *f, uint64_t epoch, const struct answered_role *master,
                   const char *reason, int64_t now_ms)
{
    char place[PLACE_TEXT_MAX], before[PLACE_TEXT_MAX];
    if (f->first_sign_ms == 0)
        f->first_sign_ms = now_ms;
    struct answered_role answer = *master; // It may lie in the slots that are cleared below.
    describe(f, epoch, &answer.place, answer.run_id, reason);
    f->former = f->place;
    f->former_since_ms = now_ms;
    f->formers[f->former_count++ % FORMERS_MAX] = f->place;
    f->place = answer.place;
    f->epoch = epoch;
    f->held = f->spent = f->fenced = f->settled = f->rival = false;
    f->told = true;
    f->baseline_since_ms = f->aborted_ms = f->quiet_since_ms = 0;
    f->roles[ASK_FORMER] = (struct answered_role){0};
    f->roles[ASK_CURRENT] = answer;
    forget_candidate(f);
    f->state = FOLLOWER_PROBE; // So that a switch that overtakes another counts its time anew.
    enter(f, FOLLOWER_SWITCH, now_ms);
    note(f, FOLLOWER_WARNING, "the master is %s now, it was %s: %s; epoch %" PRIu64 ", run id %s",
         place_show(&f->place, place), place_show(&f->former, before), reason, epoch,
         answer.run_id[0] ? answer.run_id : "unknown");
    f->owner->switched(f->ctx, &f->failover);
}

/* A majority names a newer master. True: that decides this turn. */
static bool decide_switch(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    bool newer = t->agree >= t->majority && t->epoch > f->epoch && !t->blind;
    f->candidate_by_majority = newer;
    if (!newer)
        return false;
    if (place_eq(&t->place, &f->place)) { // The epoch of a fast path, or a failover to itself.
        f->epoch = t->epoch;
        f->unconfirmed = f->candidate_by_majority = false;
        return false;
    }
    set_candidate(f, &t->place, now_ms);
    f->candidate_epoch = t->epoch;
    char reason[FAILOVER_REASON_MAX];
    snprintf(reason, sizeof(reason), "%zu of %zu sentinels say so, and it does itself", t->agree,
             t->voters);
    const struct answered_role *master = master_by_itself(f, &t->place, now_ms);
    if (master) {
        f->unconfirmed = false;
        become(f, t->epoch, master, reason, now_ms);
        return true;
    }
    if (f->options.hold_at_odown && (f->held_epoch != t->epoch || !f->spent)) {
        f->held_epoch = t->epoch;
        hold(f, t->epoch, "a majority of sentinels names another master", now_ms);
    }
    return false;
}

/* The candidate's role changed, and no majority has said so yet. True: that decides this turn. */
static bool decide_candidate(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    const struct answered_role *answer = &f->roles[ASK_CANDIDATE];
    if (!place_known(&f->candidate) || f->candidate_by_majority || t->blind)
        return false;
    if (now_ms - f->candidate_since_ms > CANDIDATE_MS) {
        forget_candidate(f);
        return false;
    }
    bool master = role_is(f, ASK_CANDIDATE, &f->candidate, ROLE_MASTER, now_ms);
    bool believed = answer->was_replica || (t->elected && t->sdown >= t->need);
    if (!master || !believed)
        return false;
    if (!f->options.fast_path) {
        if (f->options.hold_at_odown && (!f->spent || f->attempts > f->spent_attempt))
            hold(f, next_epoch(f), "a replica has become a master", now_ms);
        return false;
    }
    f->unconfirmed = true;
    become(f, next_epoch(f), answer, "it says so itself, ahead of the sentinels", now_ms);
    return true;
}

/* ---- a majority that contradicts us ---- */

/* Wiped sentinels count from 0 again; an operator points them elsewhere: it is no failover, and it is
 * believed only after a while. */
static void decide_baseline(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    bool same = t->epoch == f->epoch && place_eq(&t->place, &f->place);
    bool rival = f->rival && f->rival_epoch > t->epoch;
    if (t->agree < t->majority || t->blind || t->epoch > f->epoch || (same && !rival)) {
        if (f->baseline_since_ms != 0 && !f->candidate_by_majority)
            forget_candidate(f);
        f->baseline_since_ms = 0;
        if (same)
            f->unconfirmed = f->rival = false;
        return;
    }
    if (f->baseline_since_ms == 0)
        f->baseline_since_ms = now_ms;
    bool moved = !place_eq(&t->place, &f->place);
    if (moved && now_ms - f->baseline_since_ms >= BASELINE_MS / 2)
        set_candidate(f, &t->place, now_ms);
    bool living = moved && master_by_itself(f, &f->place, now_ms) != NULL;
    const struct answered_role *master = master_by_itself(f, &t->place, now_ms);
    if (!master || now_ms - f->baseline_since_ms < (living ? BASELINE_LIVING_MS : BASELINE_MS))
        return;
    note(f, FOLLOWER_WARNING,
         "epochs began anew: sentinels agree on epoch %" PRIu64 " after %" PRIu64
         "; the generation is %" PRIu64 " now",
         t->epoch, f->epoch, f->generation + 1);
    f->generation++;
    f->unconfirmed = f->rival = false;
    f->baseline_since_ms = 0;
    if (moved) {
        become(f, t->epoch, master, "the sentinels were set up anew", now_ms);
        return;
    }
    f->epoch = t->epoch;
    describe(f, f->epoch, &f->place, master->run_id, "epochs began anew");
    f->owner->baseline(f->ctx, &f->failover);
}

/* ---- the first time ---- */

static void decide_start(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    if (t->blind || t->agree < t->majority)
        return;
    char place[PLACE_TEXT_MAX];
    f->place = t->place;
    f->epoch = t->epoch;
    note(f, FOLLOWER_INFO, "the master is %s, say %zu of %zu sentinels; epoch %" PRIu64,
         place_show(&f->place, place), t->agree, t->voters, f->epoch);
    enter(f, FOLLOWER_CALM, now_ms);
}

/* Nobody is told of a master that does not say itself that it is one. */
static void decide_told(struct follower *f, int64_t now_ms)
{
    const struct answered_role *master = master_by_itself(f, &f->place, now_ms);
    if (f->told || f->held || !master)
        return;
    f->told = true;
    describe(f, f->epoch, &f->place, master->run_id, "it was the master when this began");
    f->failover.old_place = (struct place){0};
    f->owner->baseline(f->ctx, &f->failover);
}

/* ---- afterwards ---- */

static void decide_fence(struct follower *f, int64_t now_ms)
{
    bool changing = f->opinion.failing_over > 0 || place_known(&f->candidate);
    if (!place_known(&f->former) || place_eq(&f->former, &f->place) || changing)
        return;
    bool master = role_is(f, ASK_FORMER, &f->former, ROLE_MASTER, now_ms);
    if (!master && f->roles[ASK_FORMER].role != ROLE_UNKNOWN)
        f->fenced = false;
    if (!master || f->fenced || !f->settled)
        return;
    char place[PLACE_TEXT_MAX];
    f->fenced = true;
    struct failover fence = f->failover;
    fence.old_place = f->former;
    snprintf(fence.reason, sizeof(fence.reason), "the old master accepts clients");
    note(f, FOLLOWER_WARNING,
         "the old master %s says that it is a master: whoever is there must leave",
         place_show(&f->former, place));
    f->owner->fence(f->ctx, &fence);
}

/* Which state follows from everything that was decided. */
static void decide_state(struct follower *f, int64_t now_ms)
{
    const struct opinion *t = &f->opinion;
    int64_t age_ms = now_ms - f->state_since_ms;
    bool doubts = t->sdown > 0 || t->failing_over > 0 || place_known(&f->candidate);
    if (f->state == FOLLOWER_SWITCH && (f->settled || age_ms >= TOLD_MAX_MS)) {
        f->settled = true;
        enter(f, FOLLOWER_SETTLE, now_ms);
        return;
    }
    if (f->held) {
        enter(f, place_known(&f->candidate) ? FOLLOWER_PROBE : FOLLOWER_HOLD, now_ms);
        return;
    }
    if (f->state == FOLLOWER_START || f->state == FOLLOWER_SWITCH)
        return;
    bool late = t->failing_over > 0 || t->agree < t->up - t->tilted || f->unconfirmed;
    if (f->state == FOLLOWER_SETTLE && late && age_ms < SETTLE_MAX_MS && t->sdown == 0)
        return;
    if (place_known(&f->candidate) && !t->blind)
        enter(f, FOLLOWER_PROBE, now_ms);
    else
        enter(f, doubts ? FOLLOWER_SUSPECT : FOLLOWER_CALM, now_ms);
    if (t->sdown == 0 && !t->blind && f->spent && !f->candidate_by_majority)
        f->spent = false;
}

static void note_blindness(struct follower *f)
{
    const struct opinion *t = &f->opinion;
    if (f->blind == t->blind)
        return;
    f->blind = t->blind;
    if (t->blind)
        note(f, FOLLOWER_WARNING,
             "%zu of %zu sentinels can be believed (%zu in tilt), %zu are needed: nothing is done",
             t->up - t->tilted, t->voters, t->tilted, t->majority);
    else
        note(f, FOLLOWER_INFO, "%zu of %zu sentinels can be believed%s", t->up - t->tilted,
             t->voters, t->degraded ? "; with one only, nobody contradicts it (degraded)" : "");
}

static void choose_asks(struct follower *f, int64_t now_ms)
{
    bool watch_former = place_known(&f->former) && !place_eq(&f->former, &f->place) &&
                        now_ms - f->former_since_ms < FORMER_MS;
    static const struct place nobody = {0};
    f->asks[ASK_CURRENT] = (struct ask){f->place, ASK_CURRENT_MS};
    f->asks[ASK_CANDIDATE] = (struct ask){f->candidate, ASK_CANDIDATE_MS};
    f->asks[ASK_FORMER] = (struct ask){watch_former ? f->former : nobody, ASK_FORMER_MS};
}

static void follower_decide(struct follower *f, int64_t now_ms)
{
    votes_count(&f->votes, &f->place, f->epoch, now_ms, &f->opinion);
    note_blindness(f);
    if (f->state == FOLLOWER_START)
        decide_start(f, now_ms);
    if (f->state != FOLLOWER_START) {
        decide_told(f, now_ms);
        if (!decide_switch(f, now_ms) && !decide_candidate(f, now_ms)) {
            decide_baseline(f, now_ms);
            if (!f->opinion.blind && f->state != FOLLOWER_SWITCH)
                decide_hold(f, now_ms);
            decide_cancel(f, now_ms);
        }
        decide_fence(f, now_ms);
        decide_state(f, now_ms);
    }
    choose_asks(f, now_ms);
}

/* ---- what comes in ---- */

void follower_init(struct follower *f, const struct follower_options *options,
                   const struct follower_owner *owner, void *ctx)
{
    *f = (struct follower){.options = *options, .owner = owner, .ctx = ctx, .generation = 1};
    f->blind = true;
    f->opinion.blind = true;
}

void follower_resume(struct follower *f, const struct failover *told, int64_t now_ms)
{
    f->generation = told->generation;
    f->epoch = told->epoch;
    f->place = told->new_place;
    f->failover = *told;
    f->told = f->settled = true;
    enter(f, FOLLOWER_CALM, now_ms);
}

int follower_add_sentinel(struct follower *f)
{
    return votes_add(&f->votes);
}

void follower_remove_sentinel(struct follower *f, int voter, int64_t now_ms)
{
    votes_remove(&f->votes, voter);
    follower_decide(f, now_ms);
}

void follower_lost_sentinel(struct follower *f, int voter, int64_t now_ms)
{
    votes_lost(&f->votes, voter);
    follower_decide(f, now_ms);
}

void follower_report(struct follower *f, int voter, const struct report *report, int64_t now_ms)
{
    votes_report(&f->votes, voter, report, now_ms);
    follower_decide(f, now_ms);
}

bool follower_event(struct follower *f, int voter, const struct event *event, int64_t now_ms)
{
    votes_event(&f->votes, voter, event);
    if (event->kind == EVENT_TRY_FAILOVER)
        f->attempts++;
    if (event->kind == EVENT_FAILOVER_ABORT)
        f->aborted_ms = now_ms;
    bool names_replica = event->kind == EVENT_SELECTED || event->kind == EVENT_PROMOTING ||
                         event->kind == EVENT_PROMOTED;
    if (names_replica && event->instance == INSTANCE_REPLICA && !f->candidate_by_majority &&
        !place_eq(&event->place, &f->place))
        set_candidate(f, &event->place, now_ms);
    bool over = event->kind == EVENT_FAILOVER_ABORT || event->kind == EVENT_FAILOVER_LOST;
    if (over && !f->candidate_by_majority)
        forget_candidate(f);
    if (event->kind == EVENT_ROLE_WRONG && was_master(f, &event->place)) {
        f->former = event->place;
        f->former_since_ms = now_ms;
    }
    follower_decide(f, now_ms);
    return event->kind != EVENT_OTHER && event->kind != EVENT_MEMBER;
}

void follower_role(struct follower *f, const struct place *place, enum role role,
                   const char *run_id, int64_t now_ms)
{
    for (enum ask_kind kind = 0; kind < ASK_KINDS; kind++) {
        struct answered_role *answer = &f->roles[kind];
        if (!place_known(&f->asks[kind].place) || !place_eq(&f->asks[kind].place, place))
            continue;
        if (!place_eq(&answer->place, place))
            *answer = (struct answered_role){.place = *place};
        answer->role = role;
        answer->at_ms = now_ms;
        answer->was_replica = answer->was_replica || role == ROLE_REPLICA;
        snprintf(answer->run_id, sizeof(answer->run_id), "%s", run_id);
    }
    follower_decide(f, now_ms);
}

void follower_told(struct follower *f, int64_t now_ms)
{
    if (f->state == FOLLOWER_SWITCH)
        f->settled = true;
    follower_decide(f, now_ms);
}

void follower_outdated(struct follower *f, uint64_t generation, uint64_t epoch, int64_t now_ms)
{
    enum { GENERATION_MAX = 1000000 }; // What a server answers is not signed.
    if (generation < f->generation || generation > GENERATION_MAX)
        return;
    bool raised = generation > f->generation;
    if (raised)
        f->generation = generation;
    if (raised && f->told && !f->held && f->state != FOLLOWER_SWITCH && epoch <= f->epoch) {
        describe(f, f->epoch, &f->place, f->roles[ASK_CURRENT].run_id,
                 "servers know a newer generation");
        f->owner->baseline(f->ctx, &f->failover);
    }
    if (epoch > f->epoch) {
        f->rival = true;
        f->rival_epoch = epoch;
    }
    follower_decide(f, now_ms);
}

void follower_tick(struct follower *f, int64_t now_ms)
{
    follower_decide(f, now_ms);
}

const struct ask *follower_ask(const struct follower *f, enum ask_kind kind)
{
    return &f->asks[kind];
}

int64_t follower_poll_ms(const struct follower *f)
{
    bool calm = f->state == FOLLOWER_CALM || f->state == FOLLOWER_START ||
                (f->state == FOLLOWER_SUSPECT && f->opinion.odown == 0 &&
                 f->opinion.failing_over == 0);
    return calm ? POLL_CALM_MS : POLL_BUSY_MS;
}
