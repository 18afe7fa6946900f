// SPDX-License-Identifier: Apache-2.0
/*
 * The preconditions stand in one table, in the order in which they are looked at; the first that does
 * not hold is the doubt. Each sees everything. Only then what is gone is collected: what every
 * sentinel has had down for `after`. Something that is down for a shorter time, or for some sentinels
 * only, is a doubt too: a RESET would forget it as well, and it may be back in a moment.
 */
#include "sentinel-watch/prune_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOTHING ((size_t)-1)

struct look {
    const struct prune_view *view;
    const struct prune_bounds *bounds;
    struct prune_plan *plan;
};

__attribute__((format(printf, 2, 3))) static bool doubt(const struct look *look, const char *format,
                                                        ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(look->plan->doubt, sizeof(look->plan->doubt), format, args);
    va_end(args);
    return false;
}

/* ---- members ---- */

/* Sentinels are the same by their run id, replicas by their place. */
static bool same_member(const struct prune_member *a, const struct prune_member *b)
{
    if (a->run_id[0] != '\0' || b->run_id[0] != '\0')
        return strcmp(a->run_id, b->run_id) == 0;
    return place_eq(&a->place, &b->place);
}

static size_t find_member(const struct prune_member *list, size_t count,
                          const struct prune_member *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (same_member(&list[i], wanted))
            return i;
    return NOTHING;
}

static const struct prune_member *members(const struct prune_witness *witness, bool sentinels,
                                          size_t *count)
{
    *count = sentinels ? witness->sentinel_count : witness->replica_count;
    return sentinels ? witness->sentinels : witness->replicas;
}

/* ---- preconditions ---- */

static bool all_answer(const struct look *look)
{
    const struct prune_view *view = look->view;
    if (view->witness_count < view->configured || view->witness_count == 0)
        return doubt(look, "only %zu of %zu sentinels are known", view->witness_count,
                     view->configured);
    for (size_t i = 0; i < view->witness_count; i++) {
        const struct prune_witness *witness = &view->witnesses[i];
        if (witness->refused)
            return doubt(look, "the sentinel %s refuses: %s", witness->name, witness->trouble);
        if (witness->answered < PRUNE_ANSWERS)
            return doubt(look, "the sentinel %s does not answer", witness->name);
    }
    return true;
}

static bool is_calm(const struct look *look)
{
    if (!look->view->calm)
        return doubt(look, "a failover is under way, or the master is in doubt");
    return true;
}

static bool is_quiet(const struct look *look)
{
    int64_t need_ms = look->bounds->quiet_ms;
    for (size_t i = 0; i < look->view->witness_count; i++)
        if (2 * look->view->witnesses[i].failover_timeout_ms > need_ms)
            need_ms = 2 * look->view->witnesses[i].failover_timeout_ms;
    if (look->view->quiet_ms < need_ms)
        return doubt(look, "it has been quiet for %lld s only, %lld s are wanted",
                     (long long)look->view->quiet_ms / 1000, (long long)need_ms / 1000);
    return true;
}

static bool all_agree(const struct look *look)
{
    const struct prune_witness *first = &look->view->witnesses[0];
    char place[PLACE_TEXT_MAX];
    if (!place_eq(&first->master, &look->view->master))
        return doubt(look, "the sentinel %s has another master than we follow, %s", first->name,
                     place_show(&first->master, place));
    for (size_t i = 0; i < look->view->witness_count; i++) {
        const struct prune_witness *witness = &look->view->witnesses[i];
        if (!place_eq(&witness->master, &first->master))
            return doubt(look, "the sentinel %s has another master, %s", witness->name,
                         place_show(&witness->master, place));
        if (witness->epoch != first->epoch)
            return doubt(look, "the sentinel %s has another epoch", witness->name);
        if (witness->flagged)
            return doubt(look, "the sentinel %s thinks that the master is down, or replaces it",
                         witness->name);
        if (witness->tilted)
            return doubt(look, "the sentinel %s is in tilt", witness->name);
        if (!witness->quorum)
            return doubt(look, "the sentinel %s sees no quorum: %s", witness->name,
                         witness->trouble);
    }
    return true;
}

static bool was_asked(const struct prune_view *view, const struct prune_member *sentinel)
{
    for (size_t i = 0; i < view->witness_count; i++)
        if (strcmp(view->witnesses[i].run_id, sentinel->run_id) == 0)
            return true;
    return false;
}

/* Whoever is alive for one of them has been asked, too: it would not be reset with the others. */
static bool all_were_asked(const struct look *look)
{
    char place[PLACE_TEXT_MAX];
    for (size_t i = 0; i < look->view->witness_count; i++) {
        const struct prune_witness *witness = &look->view->witnesses[i];
        for (size_t k = 0; k < witness->sentinel_count; k++) {
            const struct prune_member *other = &witness->sentinels[k];
            if (other->down_ms == 0 && !was_asked(look->view, other))
                return doubt(look, "the sentinel %s is alive for %s, and cannot be asked from here",
                             place_show(&other->place, place), witness->name);
        }
    }
    return true;
}

/* They count each other as alive. */
static bool all_know_each_other(const struct look *look)
{
    const struct prune_view *view = look->view;
    for (size_t i = 0; i < view->witness_count; i++) {
        const struct prune_witness *witness = &view->witnesses[i];
        for (size_t k = 0; k < view->witness_count; k++) {
            struct prune_member other = {0};
            memcpy(other.run_id, view->witnesses[k].run_id, sizeof(other.run_id));
            if (k == i)
                continue;
            size_t at = find_member(witness->sentinels, witness->sentinel_count, &other);
            if (at == NOTHING || witness->sentinels[at].down_ms > 0)
                return doubt(look, "the sentinel %s does not hear %s", witness->name,
                             view->witnesses[k].name);
        }
    }
    return true;
}

static bool master_is_one(const struct look *look)
{
    if (!look->view->master_answered)
        return doubt(look, "the master does not answer");
    if (!look->view->is_master)
        return doubt(look, "the master says that it is none");
    if (look->view->online_count == 0)
        return doubt(look, "the master has no replica that is online");
    return true;
}

/* What one sentinel has down, all have, and for long enough; what is not down is really there. */
static bool members_settled(const struct look *look, bool sentinels)
{
    const struct prune_view *view = look->view;
    char place[PLACE_TEXT_MAX];
    for (size_t i = 0; i < view->witness_count; i++) {
        size_t count;
        const struct prune_member *list = members(&view->witnesses[i], sentinels, &count);
        for (size_t k = 0; k < count; k++) {
            const struct prune_member *member = &list[k];
            if (member->down_ms > 0 && member->down_ms < look->bounds->after_ms)
                return doubt(look, "%s is down for %lld s only", place_show(&member->place, place),
                             (long long)member->down_ms / 1000);
            for (size_t w = 0; member->down_ms > 0 && w < view->witness_count; w++) {
                size_t others;
                const struct prune_member *theirs = members(&view->witnesses[w], sentinels,
                                                            &others);
                size_t at = find_member(theirs, others, member);
                bool itself = strcmp(view->witnesses[w].run_id, member->run_id) == 0;
                if (itself || (at != NOTHING && theirs[at].down_ms == 0))
                    return doubt(look, "%s is down for %s, not for %s",
                                 place_show(&member->place, place), view->witnesses[i].name,
                                 view->witnesses[w].name);
            }
        }
    }
    return true;
}

static bool lists(const struct prune_witness *witness, const struct place *replica)
{
    for (size_t i = 0; i < witness->replica_count; i++)
        if (place_eq(&witness->replicas[i].place, replica))
            return true;
    return false;
}

/* A sentinel that was reset a moment ago does not know its replicas yet. */
static bool online_are_known(const struct look *look)
{
    const struct prune_view *view = look->view;
    char place[PLACE_TEXT_MAX];
    for (size_t i = 0; i < view->witness_count; i++)
        for (size_t o = 0; o < view->online_count; o++)
            if (!lists(&view->witnesses[i], &view->online[o]))
                return doubt(look, "the sentinel %s does not know the replica %s",
                             view->witnesses[i].name, place_show(&view->online[o], place));
    return true;
}

static bool replicas_settled(const struct look *look)
{
    const struct prune_view *view = look->view;
    char place[PLACE_TEXT_MAX];
    if (!members_settled(look, false))
        return false;
    for (size_t i = 0; i < view->witness_count; i++) {
        const struct prune_witness *witness = &view->witnesses[i];
        for (size_t k = 0; k < witness->replica_count; k++) {
            const struct place *replica = &witness->replicas[k].place;
            bool online = false;
            for (size_t o = 0; o < view->online_count; o++)
                online = online || place_eq(&view->online[o], replica);
            if (online != (witness->replicas[k].down_ms == 0))
                return doubt(look, "%s is %s for the master, and %s for the sentinel %s",
                             place_show(replica, place), online ? "online" : "not online",
                             online ? "down" : "not down", witness->name);
        }
    }
    return true;
}

static bool sentinels_settled(const struct look *look)
{
    return members_settled(look, true);
}

static bool (*const preconditions[])(const struct look *look) = {
    all_answer,          is_calm,       is_quiet,         all_agree,        all_were_asked,
    all_know_each_other, master_is_one, online_are_known, replicas_settled, sentinels_settled,
};

/* ---- the plan ---- */

static void collect(const struct look *look, bool sentinels, struct prune_member *list,
                    size_t *listed)
{
    for (size_t i = 0; i < look->view->witness_count; i++) {
        size_t count;
        const struct prune_member *theirs = members(&look->view->witnesses[i], sentinels, &count);
        for (size_t k = 0; k < count; k++) {
            if (theirs[k].down_ms > 0 && *listed < PRUNE_MEMBERS_MAX &&
                find_member(list, *listed, &theirs[k]) == NOTHING)
                list[(*listed)++] = theirs[k];
        }
    }
}

void prune_plan(const struct prune_view *view, const struct prune_bounds *bounds,
                struct prune_plan *out)
{
    *out = (struct prune_plan){0};
    struct look look = {view, bounds, out};
    for (size_t i = 0; i < sizeof(preconditions) / sizeof(preconditions[0]); i++)
        if (!preconditions[i](&look))
            return;
    collect(&look, false, out->replicas, &out->replica_count);
    collect(&look, true, out->sentinels, &out->sentinel_count);
}

static bool all_there(const struct prune_member *before, size_t before_count,
                      const struct prune_member *now, size_t now_count)
{
    for (size_t i = 0; i < before_count; i++)
        if (before[i].down_ms == 0 && find_member(now, now_count, &before[i]) == NOTHING)
            return false;
    return true;
}

static bool any_there(const struct prune_member *gone, size_t gone_count,
                      const struct prune_member *now, size_t now_count)
{
    for (size_t i = 0; i < gone_count; i++)
        if (find_member(now, now_count, &gone[i]) != NOTHING)
            return true;
    return false;
}

const char *prune_relearned(const struct prune_view *view, const struct prune_witness *before,
                            const struct prune_witness *now, const struct prune_plan *plan)
{
    bool all_online = true;
    for (size_t o = 0; o < view->online_count; o++)
        all_online = all_online && lists(now, &view->online[o]);
    if (now->refused || now->answered < PRUNE_ANSWERS)
        return "it does not answer";
    if (!place_eq(&now->master, &before->master))
        return "it has another master";
    if (now->flagged || now->tilted)
        return "the master is in doubt";
    if (!all_there(before->sentinels, before->sentinel_count, now->sentinels, now->sentinel_count))
        return "it does not know all sentinels again";
    if (!all_online ||
        !all_there(before->replicas, before->replica_count, now->replicas, now->replica_count))
        return "it does not know all replicas again";
    if (!now->quorum)
        return "it sees no quorum";
    if (any_there(plan->replicas, plan->replica_count, now->replicas, now->replica_count) ||
        any_there(plan->sentinels, plan->sentinel_count, now->sentinels, now->sentinel_count))
        return "what is gone was told to it again";
    return NULL;
}

/* ---- answers ---- */

static void trouble(struct prune_witness *witness, struct span text)
{
    size_t len = text.len < sizeof(witness->trouble) - 1 ? text.len : sizeof(witness->trouble) - 1;
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        witness->trouble[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    witness->trouble[len] = '\0';
}

static int64_t number_field(const struct resp *list, const char *name)
{
    uint64_t number = 0;
    return span_to_u64(resp_field(list, name), &number) && number < INT64_MAX ? (int64_t)number : 0;
}

static bool has_word(struct span flags, const char *word)
{
    return span_find(flags, span_str(word)) != SIZE_MAX;
}

static bool take_member(const struct resp *fields, struct prune_member *out)
{
    struct span run_id = resp_field(fields, "runid"), flags = resp_field(fields, "flags");
    *out = (struct prune_member){0};
    if (!place_parse(resp_field(fields, "ip"), resp_field(fields, "port"), &out->place))
        return false;
    if (has_word(flags, "sentinel") && run_id.len < sizeof(out->run_id))
        memcpy(out->run_id, run_id.ptr, run_id.len);
    if (has_word(flags, "s_down")) {
        int64_t down_ms = number_field(fields, "s-down-time");
        out->down_ms = down_ms > 0 ? down_ms : 1;
    }
    return true;
}

/* False: more than we can keep, or not what it should be. */
static bool take_members(const struct resp *list, struct prune_member *out, size_t *count)
{
    if (list->type != RESP_ARRAY || list->count > PRUNE_MEMBERS_MAX)
        return false;
    *count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!take_member(list->items[i], &out[(*count)++]))
            return false;
    return true;
}

static bool take_master(struct prune_witness *witness, const struct resp *fields)
{
    uint64_t epoch = 0;
    struct span flags = resp_field(fields, "flags");
    bool whole = span_to_u64(resp_field(fields, "config-epoch"), &epoch) && flags.len > 0;
    witness->epoch = epoch;
    witness->failover_timeout_ms = number_field(fields, "failover-timeout");
    witness->flagged = has_word(flags, "_down") || has_word(flags, "failover_in_progress");
    return whole;
}

static bool take_myid(struct prune_witness *witness, struct span text)
{
    if (text.len == 0 || text.len >= sizeof(witness->run_id))
        return false;
    memcpy(witness->run_id, text.ptr, text.len);
    witness->run_id[text.len] = '\0';
    return true;
}

static bool hear(struct prune_witness *witness, enum prune_question question,
                 const struct resp *answer)
{
    switch (question) {
    case PRUNE_ADDR:
        return place_parse(resp_text(answer, 0), resp_text(answer, 1), &witness->master);
    case PRUNE_MASTER:
        return take_master(witness, answer);
    case PRUNE_REPLICAS:
        return take_members(answer, witness->replicas, &witness->replica_count);
    case PRUNE_SENTINELS:
        return take_members(answer, witness->sentinels, &witness->sentinel_count);
    case PRUNE_QUORUM:
        witness->quorum = answer->type == RESP_STATUS && span_starts(answer->text, SPAN("OK"));
        return true;
    case PRUNE_MYID:
        return take_myid(witness, answer->text);
    case PRUNE_INFO:
        witness->tilted = !has_word(answer->text, "sentinel_tilt:0");
        return true;
    case PRUNE_ANSWERS:
        break;
    }
    return false;
}

void prune_hear(struct prune_witness *witness, enum prune_question question,
                const struct resp *answer)
{
    bool error = answer->type == RESP_ERROR;
    witness->answered++;
    if (error)
        trouble(witness, answer->text);
    if (error && question != PRUNE_QUORUM) {
        witness->refused = true;
    } else if (!hear(witness, question, answer)) {
        witness->refused = true;
        trouble(witness, SPAN("an answer that is none"));
    }
}

void prune_hear_role(struct prune_view *view, const struct resp *answer)
{
    view->master_answered = true;
    view->is_master = span_eq(resp_text(answer, 0), SPAN("master"));
}

/* "slave0:ip=127.0.0.1,port=6380,state=online,offset=…" */
void prune_hear_replication(struct prune_view *view, const struct resp *answer)
{
    struct span text = answer->type == RESP_BULK ? answer->text : SPAN_NONE;
    view->online_count = 0;
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n');
        if (!span_starts(line, SPAN("slave")) || !has_word(line, ",state=online,") ||
            view->online_count == PRUNE_MEMBERS_MAX)
            continue;
        (void)span_cut(&line, ':');
        struct span host = span_cut(&line, ','), port = span_cut(&line, ',');
        (void)span_cut(&host, '=');
        (void)span_cut(&port, '=');
        if (place_parse(host, port, &view->online[view->online_count]))
            view->online_count++;
    }
}
