// SPDX-License-Identifier: Apache-2.0
/*
 * From checks and reports to verdicts, one struct member per server:
 *
 *     timer ──► probe ──► member_probed ──► good or bad in a row ──► member_change ──► verdict, log
 * line ▲                                │ report ─────┴─ probe at once                 └─ when the
 * next check begins
 *
 * How sure one must be. A server that is up goes down after `fall` bad checks in a row; after one,
 * when
 * - it has not proven itself yet: each good check earns it one bad one (as in HAProxy), so the
 * first check of all decides alone, while a server that came up again has full credit;
 * - live traffic was refused and the check is refused too: nobody listens there;
 * - live traffic failed max_fails times and the check fails too, unless that would take the last
 * half of the backend (then `fall` counts). A report never changes anything without a check, as
 * long as there are checks.
 *
 * When. Checks are timed from begin to begin. The interval is shortened by up to a tenth, never
 * lengthened, so that `interval × fall + timeout` bounds how long a silent server stays up. A check
 * asked for by a report comes at once, but not within URGENT_GAP_MS of the last one's begin.
 *
 * What does not count: a check that expired while our own loop was held up (repeated, at most
 * LATE_REPEATS times in a row, so that a steadily starved process still notices a dead server), and
 * one that this process could not even try for want of descriptors or memory.
 */
#include "health/health.h"

#include "base/log.h"
#include "base/mem.h"
#include "health/passive.h"
#include "health/probe.h"
#include "health/words.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    START_SPREAD_MS = 1000, /* the first checks of all servers begin within this, or the interval */
    RESUME_SPREAD_MS = 100, /* the same after a pause or a change of address */
    URGENT_GAP_MS = 20,     /* between the begins of two checks that reports asked for */
    DOUBT_GAP_MAX_MS = 1000, /* between two checks while a verdict is about to change */
    LATE_REPEATS = 3,
};

struct member {
    struct health *health;
    const struct config_server *config;
    struct health_status status;
    struct probe probe;
    struct passive passive;
    struct timer timer; /* the next check; without checks: the end of a passive down */
    int64_t began_ms;   /* of the last check */
    int64_t proven;     /* good checks so far, at most `fall` */
    int late_repeats;
    bool paused;
    bool refused; /* live traffic was refused, and no check has answered that yet */
    bool doubted; /* live traffic failed max_fails times, likewise */
    bool urgent;  /* a report came while a check was under way: another one follows at once */
};

struct health {
    struct loop *loop;
    struct rng *rng;
    const struct config_backend *config;
    struct tls_context *tls; /* NULL: checks speak without */
    health_verdict_fn *verdict;
    void *ctx;
    size_t count;
    struct member members[];
};

/* ---- verdicts ---- */

static size_t health_up_count(const struct health *health)
{
    size_t up = 0;
    for (size_t i = 0; i < health->count; i++)
        up += health->members[i].status.state != HEALTH_DOWN && !health->members[i].paused;
    return up;
}

static void member_log(const struct member *member, enum health_state old, int64_t lasted_ms,
                       const char *why, const char *how)
{
    const struct health *health = member->health;
    char lasted[32], line[512];
    duration_format(lasted_ms, lasted, sizeof(lasted));
    size_t up = health_up_count(health);
    snprintf(line, sizeof(line),
             "server %s/%s is %s: %s (%s); was %s for %s; %zu of %zu servers %s",
             health->config->name, member->config->name, health_state_word(member->status.state),
             why, how, health_state_word(old), lasted, up, health->count,
             member->status.state == HEALTH_DOWN ? "remain" : "are up");
    if (up == 0)
        log_error("%s", line);
    else if (member->status.state == HEALTH_DOWN)
        log_warning("%s", line);
    else
        log_info("%s", line);
}

/* The only writer of a state. how: what the verdict rests on, for the log. */
static void member_change(struct member *member, enum health_state state, const char *why,
                          const char *how)
{
    struct health *health = member->health;
    struct health_status *status = &member->status;
    enum health_state old = status->state;
    int64_t lasted_ms = health->loop->now_ms - status->changed_ms;
    if (old == HEALTH_DOWN)
        status->down_total_ms += lasted_ms;
    if (state == HEALTH_DOWN)
        status->downs++;
    else
        member->proven = health->config->opt.health_fall;
    status->state = state;
    status->changed_ms = health->loop->now_ms;
    status->forced = false;
    member_log(member, old, lasted_ms, why, how);
    health->verdict(health->ctx, (size_t)(member - health->members), old, state, why);
}

/* ---- when to check ---- */

static bool member_is_checked(const struct member *member)
{
    return member->health->config->health_kind != HEALTH_NONE;
}

static bool member_may_check(const struct member *member)
{
    return member_is_checked(member) && !member->paused && member->probe.addr.len > 0;
}

/* Starts the timer for a check that begins at this time, or as soon as possible. */
static void member_check_at(struct member *member, int64_t at_ms)
{
    struct loop *loop = member->health->loop;
    int64_t after_ms = at_ms - loop->now_ms;
    loop_timer_start(loop, &member->timer, after_ms > 0 ? after_ms : 1);
}

/* The next check, behind one that has just ended. */
static void member_check_later(struct member *member)
{
    const struct health *health = member->health;
    const struct health_status *status = &member->status;
    int64_t gap_ms = health->config->opt.health_interval_ms;
    bool in_doubt = status->state == HEALTH_DOWN ? status->good > 0 : status->bad > 0;
    if (member->urgent) {
        gap_ms = URGENT_GAP_MS;
    } else if (in_doubt) {
        gap_ms = gap_ms / 4 < DOUBT_GAP_MAX_MS ? gap_ms / 4 : DOUBT_GAP_MAX_MS;
    } else {
        gap_ms -= (int64_t)rng_below(health->rng, (uint64_t)(gap_ms / 10) + 1);
    }
    member_check_at(member, member->began_ms + gap_ms);
}

/* A report wants to know now. */
static void member_check_now(struct member *member)
{
    if (!member_may_check(member))
        return;
    if (probe_running(&member->probe)) {
        member->urgent = true; // That one may have begun before what was reported.
        return;
    }
    int64_t at_ms = member->began_ms + URGENT_GAP_MS;
    if (!timer_running(&member->timer) || member->timer.at_ms > at_ms)
        member_check_at(member, at_ms);
}

/* First checks, spread so that many servers are not asked in the same moment. */
static void member_check_soon(struct member *member, int64_t spread_ms)
{
    const struct health *health = member->health;
    int64_t interval_ms = health->config->opt.health_interval_ms;
    int64_t within_ms = interval_ms < spread_ms ? interval_ms : spread_ms;
    member_check_at(member, health->loop->now_ms +
                                (int64_t)rng_below(health->rng, (uint64_t)within_ms + 1));
}

/* ---- what a check says ---- */

static void member_good(struct member *member)
{
    struct health_status *status = &member->status;
    int64_t rise = member->health->config->opt.health_rise;
    status->bad = 0;
    if (status->good < INT_MAX)
        status->good++;
    if (member->proven < member->health->config->opt.health_fall)
        member->proven++;
    if (!member->urgent) {
        member->refused = member->doubted = false;
        passive_clear(&member->passive);
    }
    if (status->state != HEALTH_DOWN || status->good < rise)
        return;
    char how[64];
    snprintf(how, sizeof(how), "after %d of %" PRId64 " good checks", status->good, rise);
    member_change(member, HEALTH_UP, status->detail, how);
}

static void member_bad(struct member *member, bool refused)
{
    struct health *health = member->health;
    struct health_status *status = &member->status;
    int64_t fall = health->config->opt.health_fall;
    status->good = 0;
    status->failed_checks++;
    if (status->bad < INT_MAX)
        status->bad++;
    if (status->state == HEALTH_DOWN)
        return;
    char how[96];
    if (member->refused && refused)
        snprintf(how, sizeof(how), "live traffic and a check at once");
    else if (member->doubted && passive_floor_allows(health->count, health_up_count(health)))
        snprintf(how, sizeof(how), "failures in live traffic and a failed check");
    else if (status->bad >= fall)
        snprintf(how, sizeof(how), "after %d of %" PRId64 " failed checks", status->bad, fall);
    else if (status->bad > member->proven)
        snprintf(how, sizeof(how), "after %d of %" PRId64 " failed checks, not proven yet",
                 status->bad, member->proven + 1);
    else
        return;
    member->refused = member->doubted = false;
    passive_clear(&member->passive);
    member_change(member, HEALTH_DOWN, status->detail, how);
}

/* The check could not even be tried: says nothing about the server. Logged once per spell. */
static void member_not_checked(struct member *member, const char *why)
{
    struct health_status *status = &member->status;
    if (status->check != CHECK_SOCKERR)
        log_warning("cannot check server %s/%s: %s; trying on, its state stays",
                    member->health->config->name, member->config->name, why);
    status->check = CHECK_SOCKERR;
    status->code = 0;
    snprintf(status->detail, sizeof(status->detail), "%s", why);
}

static void member_probed(void *ctx, const struct probe_result *result)
{
    struct member *member = ctx;
    struct health_status *status = &member->status;
    if (result->late && member->late_repeats < LATE_REPEATS) {
        member->late_repeats++;
        log_debug("repeating a check of server %s/%s: this process was held up",
                  member->health->config->name, member->config->name);
        member_check_at(member, 0);
        return;
    }
    member->late_repeats = 0;
    if (result->status == CHECK_SOCKERR) {
        member_not_checked(member, result->detail);
        member_check_later(member);
        return;
    }
    status->check = result->status;
    status->code = result->code;
    status->duration_ms = result->duration_ms;
    snprintf(status->detail, sizeof(status->detail), "%s", result->detail);
    status->checks++;
    if (result->good)
        member_good(member);
    else
        member_bad(member, result->refused);
    if (member_may_check(member)) // The verdict's receiver may have paused it.
        member_check_later(member);
}

static void member_check(struct member *member)
{
    if (!member_may_check(member))
        return;
    member->began_ms = member->health->loop->now_ms;
    member->urgent = false;
    if (probe_start(&member->probe))
        return;
    const char *why = strerrordesc_np(errno);
    member_not_checked(member, why ? why : "unknown error");
    member_check_later(member);
}

/* ---- without checks ---- */

/* Live traffic failed too often: down for fail_timeout, then tried again. */
static void member_passive_down(struct member *member, enum health_event event)
{
    struct health *health = member->health;
    if (!passive_floor_allows(health->count, health_up_count(health)))
        return;
    passive_clear(&member->passive);
    loop_timer_start(health->loop, &member->timer, health->config->opt.health_fail_timeout_ms);
    member_change(member, HEALTH_DOWN, health_event_text(event), "failures in live traffic");
}

static void member_passive_up(struct member *member)
{
    passive_try(&member->passive, member->health->loop->now_ms);
    if (member->status.state == HEALTH_DOWN)
        member_change(member, HEALTH_UNCHECKED, "tried again", "fail_timeout is over");
}

static void member_on_timer(struct timer *timer)
{
    struct member *member = container_of(timer, struct member, timer);
    if (member_is_checked(member))
        member_check(member);
    else
        member_passive_up(member);
}

/* ---- the contract ---- */

struct health *health_new(struct loop *loop, struct shelf *shelf, struct rng *rng,
                          const struct config_backend *config, health_verdict_fn *verdict,
                          void *ctx)
{
    struct health *health = mem_must_alloc(sizeof(*health) +
                                           config->server_count * sizeof(health->members[0]));
    health->loop = loop;
    health->rng = rng;
    health->config = config;
    health->verdict = verdict;
    health->ctx = ctx;
    health->count = config->server_count;
    for (size_t i = 0; i < health->count; i++) {
        struct member *member = &health->members[i];
        member->health = health;
        member->config = &config->servers[i];
        bool checked = member_is_checked(member);
        member->status.state = checked ? HEALTH_UP : HEALTH_UNCHECKED;
        member->status.check = checked ? CHECK_INI : CHECK_UNK;
        member->status.duration_ms = -1;
        member->status.changed_ms = loop->now_ms;
        timer_init(&member->timer, member_on_timer);
        probe_init(&member->probe, loop, shelf, config, member->config, member_probed, member);
        passive_init(&member->passive, config->opt.health_max_fails,
                     config->opt.health_fail_timeout_ms);
    }
    return health;
}

void health_use_tls(struct health *health, struct tls_context *context)
{
    health->tls = tls_context_ref(context);
    for (size_t i = 0; i < health->count; i++)
        health->members[i].probe.tls = context;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    for (size_t i = 0; i < health->count; i++) {
        struct member *member = &health->members[i];
        loop_timer_stop(health->loop, &member->timer);
        probe_stop(&member->probe);
        tls_session_forget(&member->probe.tls_session);
        passive_fini(&member->passive);
    }
    tls_context_unref(health->tls);
    free(health);
}

static struct member *health_member(struct health *health, size_t server)
{
    assert(server < health->count);
    return &health->members[server];
}

/* What was seen of the server so far says nothing any more; only its state stays. */
static void member_start_over(struct member *member)
{
    probe_stop(&member->probe);
    if (member_is_checked(member))
        loop_timer_stop(member->health->loop, &member->timer);
    passive_clear(&member->passive);
    member->status.good = member->status.bad = 0;
    member->proven = 0;
    member->late_repeats = 0;
    member->refused = member->doubted = member->urgent = false;
}

void health_begin_down(struct health *health, size_t server)
{
    struct member *member = health_member(health, server);
    if (member_is_checked(member))
        member->status.state = HEALTH_DOWN;
}

void health_adopt(struct health *health, size_t server, const struct health *old, size_t old_server)
{
    assert(old_server < old->count);
    struct member *member = health_member(health, server);
    const struct member *from = &old->members[old_server];
    bool checked = member_is_checked(member), same_kind = checked == member_is_checked(from);
    enum health_state fresh = member->status.state;
    member->probe.addr = from->probe.addr;
    member->probe.eio_protocol = from->probe.eio_protocol;
    member->paused = from->paused;
    member->status = from->status;
    if (!same_kind) {
        member->status.state = fresh;
        member->status.check = checked ? CHECK_INI : CHECK_UNK;
        member->status.good = member->status.bad = 0;
        if (member_may_check(member))
            member_check_soon(member, START_SPREAD_MS);
        return;
    }
    int64_t fall = health->config->opt.health_fall;
    member->proven = from->proven < fall ? from->proven : fall;
    member->late_repeats = from->late_repeats;
    member->refused = from->refused;
    member->doubted = from->doubted;
    member->urgent = from->urgent;
    member->began_ms = from->began_ms;
    int64_t at_ms = timer_running(&from->timer) ? from->timer.at_ms : 0;
    int64_t latest_ms = health->loop->now_ms + health->config->opt.health_interval_ms;
    if (member_may_check(member)) // One that was under way begins again.
        member_check_at(member, at_ms < latest_ms ? at_ms : latest_ms);
    else if (!checked && timer_running(&from->timer))
        loop_timer_start(health->loop, &member->timer, at_ms - health->loop->now_ms);
}

void health_set_addr(struct health *health, size_t server, const struct addr *addr)
{
    struct member *member = health_member(health, server);
    bool first = member->probe.addr.len == 0;
    if (!first && addr_eq(&member->probe.addr, addr))
        return;
    member_start_over(member);
    member->probe.addr = *addr;
    if (member_may_check(member))
        member_check_soon(member, first ? START_SPREAD_MS : RESUME_SPREAD_MS);
}

void health_report(struct health *health, size_t server, enum health_event event)
{
    struct member *member = health_member(health, server);
    if (member->paused || member->status.state == HEALTH_DOWN)
        return;
    bool too_many = passive_note(&member->passive, health->loop->now_ms);
    if (!member_is_checked(member)) {
        if (too_many)
            member_passive_down(member, event);
        return;
    }
    member->refused |= event == HEALTH_EVENT_REFUSED;
    member->doubted |= too_many;
    if (too_many || event == HEALTH_EVENT_REFUSED)
        member_check_now(member);
}

void health_pause(struct health *health, size_t server, bool paused)
{
    struct member *member = health_member(health, server);
    if (member->paused == paused)
        return;
    member->paused = paused;
    member_start_over(member);
    if (member_may_check(member))
        member_check_soon(member, RESUME_SPREAD_MS);
}

void health_force(struct health *health, size_t server, enum health_state state)
{
    struct member *member = health_member(health, server);
    if (state != HEALTH_DOWN)
        state = member_is_checked(member) ? HEALTH_UP : HEALTH_UNCHECKED;
    member->status.good = member->status.bad = 0;
    member->refused = member->doubted = false;
    passive_clear(&member->passive);
    if (!member_is_checked(member))
        loop_timer_stop(health->loop, &member->timer);
    if (member->status.state != state)
        member_change(member, state, "set by the runtime API", "by hand");
    member->status.forced = true;
}

const struct health_status *health_status(const struct health *health, size_t server)
{
    assert(server < health->count);
    return &health->members[server].status;
}
