// SPDX-License-Identifier: Apache-2.0
/*
 * The votes. Two things need care:
 *
 * - Whom is a flag about? During a failover the leader still flags the old master while it names the
 *   new one already. So every sdown and odown keeps the place that it is about, and counts only
 *   against the current master.
 * - Who may be believed? One sentinel may be wrong, lie, or be cut off. The address needs a majority
 *   for the same place and the same epoch; being down needs what Sentinel's own quorum says, but two
 *   at least, where there are two.
 */
#include "sentinel-watch/votes.h"

#include <string.h>

int votes_add(struct votes *votes)
{
    for (int i = 0; i < VOTERS_MAX; i++) {
        if (votes->list[i].used)
            continue;
        votes->list[i] = (struct voter){.used = true};
        if ((size_t)i >= votes->count)
            votes->count = (size_t)i + 1;
        return i;
    }
    return -1;
}

void votes_remove(struct votes *votes, int voter)
{
    votes->list[voter].used = false;
    while (votes->count > 0 && !votes->list[votes->count - 1].used)
        votes->count--;
}

void votes_lost(struct votes *votes, int voter)
{
    votes->list[voter] = (struct voter){.used = true};
}

void votes_report(struct votes *votes, int voter, const struct report *report, int64_t now_ms)
{
    struct voter *v = &votes->list[voter];
    v->up = true;
    v->heard_ms = now_ms;
    v->report = *report;
    v->down_place = report->flags_place;
    v->sdown = report->sdown;
    v->odown = report->odown;
    v->failing_over = report->failing_over;
    v->tilted = report->tilted;
}

/* Flags of an event, about the place that it names. */
static void note_down(struct voter *v, const struct event *event, bool *flag, bool value)
{
    if (event->instance != INSTANCE_MASTER)
        return;
    if (!place_eq(&v->down_place, &event->place)) {
        if (!value)
            return;
        v->sdown = v->odown = false;
        v->down_place = event->place;
    }
    *flag = value;
}

static void note_epoch(struct voter *v, uint64_t epoch)
{
    if (epoch > v->seen_epoch)
        v->seen_epoch = epoch;
}

void votes_event(struct votes *votes, int voter, const struct event *event)
{
    struct voter *v = &votes->list[voter];
    switch (event->kind) {
    case EVENT_SDOWN:
        note_down(v, event, &v->sdown, true);
        break;
    case EVENT_SDOWN_OVER:
        note_down(v, event, &v->sdown, false);
        break;
    case EVENT_ODOWN:
        note_down(v, event, &v->odown, true);
        break;
    case EVENT_ODOWN_OVER:
        note_down(v, event, &v->odown, false);
        break;
    case EVENT_TRY_FAILOVER:
    case EVENT_SELECTED:
    case EVENT_PROMOTING:
    case EVENT_PROMOTED:
        v->failing_over = true;
        break;
    case EVENT_FAILOVER_END:
    case EVENT_FAILOVER_ABORT:
    case EVENT_FAILOVER_LOST:
    case EVENT_SWITCH:
    case EVENT_RESET:
        v->failing_over = false;
        break;
    case EVENT_NEW_EPOCH:
        note_epoch(v, event->epoch);
        break;
    case EVENT_VOTE:
        note_epoch(v, event->epoch);
        v->voted_epoch = event->epoch;
        memcpy(v->voted_for, event->run_id, sizeof(v->voted_for));
        break;
    case EVENT_TILT:
        v->tilted = true;
        break;
    case EVENT_TILT_OVER:
        v->tilted = false;
        break;
    case EVENT_OTHER:
    case EVENT_CONFIG_UPDATE:
    case EVENT_ROLE_WRONG:
    case EVENT_CONVERT:
    case EVENT_REBOOT:
    case EVENT_MEMBER:
        break;
    }
}

/* ---- what they amount to ---- */

static bool is_fresh(const struct voter *v, int64_t now_ms)
{
    return v->used && v->up && now_ms - v->heard_ms <= VOTE_FRESH_MS;
}

static bool may_vote(const struct voter *v, int64_t now_ms)
{
    return is_fresh(v, now_ms) && !v->tilted;
}

static size_t agreeing(const struct votes *votes, const struct report *report, int64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < votes->count; i++) {
        const struct voter *v = &votes->list[i];
        count += may_vote(v, now_ms) && v->report.epoch == report->epoch &&
                 place_eq(&v->report.place, &report->place);
    }
    return count;
}

static size_t same_vote(const struct votes *votes, const struct voter *one, int64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < votes->count; i++) {
        const struct voter *v = &votes->list[i];
        count += may_vote(v, now_ms) && v->voted_epoch == one->voted_epoch &&
                 strcmp(v->voted_for, one->voted_for) == 0;
    }
    return count;
}

/* The highest epoch that at least `majority` voters have seen. */
static uint64_t seen_by_majority(const struct votes *votes, size_t majority, int64_t now_ms)
{
    uint64_t best = 0;
    for (size_t i = 0; i < votes->count; i++) {
        uint64_t epoch = votes->list[i].seen_epoch;
        size_t count = 0;
        for (size_t k = 0; k < votes->count; k++)
            count += may_vote(&votes->list[k], now_ms) && votes->list[k].seen_epoch >= epoch;
        if (count >= majority && epoch > best)
            best = epoch;
    }
    return best;
}

static void count_voter(const struct voter *v, const struct place *master, int64_t now_ms,
                        struct opinion *out)
{
    out->voters += v->used;
    if (!is_fresh(v, now_ms))
        return;
    out->up++;
    out->tilted += v->tilted;
    if (v->tilted)
        return;
    bool about_it = place_eq(&v->down_place, master);
    out->sdown += about_it && (v->sdown || v->odown);
    out->odown += about_it && v->odown;
    out->failing_over += v->failing_over && place_eq(&v->report.flags_place, master);
    if (v->report.quorum > out->need)
        out->need = v->report.quorum;
}

void votes_count(const struct votes *votes, const struct place *master, uint64_t epoch,
                 int64_t now_ms, struct opinion *out)
{
    *out = (struct opinion){0};
    for (size_t i = 0; i < votes->count; i++)
        count_voter(&votes->list[i], master, now_ms, out);
    out->majority = out->voters / 2 + 1;
    size_t least = out->voters > 1 ? 2 : 1;
    if (out->need < least || out->need > out->voters)
        out->need = out->need < least ? least : out->voters;
    out->blind = out->up - out->tilted < out->majority;
    out->degraded = out->voters == 1;
    out->seen_epoch = seen_by_majority(votes, out->majority, now_ms);
    for (size_t i = 0; i < votes->count; i++) {
        const struct voter *v = &votes->list[i];
        if (!may_vote(v, now_ms))
            continue;
        size_t agree = agreeing(votes, &v->report, now_ms);
        if (agree > out->agree) {
            out->agree = agree;
            out->place = v->report.place;
            out->epoch = v->report.epoch;
        }
        if (v->voted_epoch > epoch && same_vote(votes, v, now_ms) >= out->majority)
            out->elected = true;
    }
}
