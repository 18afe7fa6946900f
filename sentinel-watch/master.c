// SPDX-License-Identifier: Apache-2.0
/*
 * The glue of one master. Everything that arrives goes into the follower and then through
 * master_sync, which makes the questions to Redis nodes what the follower wants them to be. The
 * follower's decisions come out as callbacks; places are mapped there, so that the follower works
 * with the sentinels' own words and everybody downstream with addresses that can be reached.
 */
#include "sentinel-watch/master.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 100,
    CALM_TICK_MS = 500,
    ASK_TIMEOUT_MS = 500,
    ASK_CURRENT_TIMEOUT_MS = 1000,
};

struct asking {
    struct master *master;
    enum ask_kind kind;
    struct place place; /* in the sentinels' words; port 0: nobody is asked */
    struct asker *asker;
    char trouble[128];
};

struct master {
    struct link_world *world;
    const struct config_sentinel *config;
    struct doors *doors;
    struct journal *journal;
    struct follower follower;
    struct roster *roster;
    struct asking askings[ASK_KINDS];
    struct canary *canary; /* NULL: off */
    struct prune *prune;
    struct timer tick;
    struct grave grave;
    bool busy;         /* sentinels are asked often */
    bool told_pending; /* doors have told everybody; the follower hears of it in the next tick */
    struct master_memory memory;
    int64_t switched_ms;
    struct node nodes[NODES_MAX];
    size_t node_count;
};

static int64_t now_ms(const struct master *m)
{
    return m->world->loop->now_ms;
}

/* ---- what the follower decides ---- */

static struct failover mapped(const struct master *m, const struct failover *failover)
{
    struct failover out = *failover;
    place_map(m->config, &failover->old_place, &out.old_place);
    place_map(m->config, &failover->new_place, &out.new_place);
    return out;
}

static void remember(struct master *m, const struct failover *failover)
{
    m->memory.told = *failover;
    m->memory.has_told = true;
}

const int64_t times_bounds_ms[TIMES_MAX] = {50, 100, 250, 500, 1000, 2500, 5000, 15000};

static void times_add(struct times *times, int64_t ms)
{
    size_t i = 0;
    while (i < TIMES_MAX && ms > times_bounds_ms[i])
        i++;
    times->buckets[i]++;
    times->count++;
    times->sum_ms += ms;
}

static void on_baseline(void *ctx, const struct failover *now)
{
    struct master *m = ctx;
    struct failover failover = mapped(m, now);
    remember(m, now);
    doors_baseline(m->doors, &failover);
}

static void on_hold(void *ctx, const struct failover *failover)
{
    struct master *m = ctx;
    struct failover out = mapped(m, failover);
    m->memory.stats.holds++;
    doors_hold(m->doors, &out);
}

static void on_switched(void *ctx, const struct failover *failover)
{
    struct master *m = ctx;
    struct failover out = mapped(m, failover);
    remember(m, failover);
    m->told_pending = false;
    m->switched_ms = now_ms(m);
    m->memory.stats.switches++;
    times_add(&m->memory.stats.to_switch, now_ms(m) - failover->began_ms);
    doors_switch(m->doors, &out);
}

static void on_cancel(void *ctx, const struct failover *failover)
{
    struct master *m = ctx;
    struct failover out = mapped(m, failover);
    m->memory.stats.cancels++;
    doors_cancel(m->doors, &out);
}

static void on_fence(void *ctx, const struct failover *failover)
{
    struct master *m = ctx;
    struct failover out = mapped(m, failover);
    m->memory.stats.fences++;
    doors_fence(m->doors, &out);
}

static void on_note(void *ctx, enum follower_weight weight, const char *text)
{
    struct master *m = ctx;
    journal_add(m->journal, now_ms(m), ENTRY_STATE, weight == FOLLOWER_WARNING,
                m->config->opt.master, NULL, text);
}

static const struct follower_owner follower_owner = {
    .baseline = on_baseline,
    .hold = on_hold,
    .switched = on_switched,
    .cancel = on_cancel,
    .fence = on_fence,
    .note = on_note,
};

/* ---- questions to Redis nodes ---- */

static void master_sync(struct master *m);

static void on_role(void *ctx, const struct asker_answer *answer)
{
    struct asking *asking = ctx;
    struct master *m = asking->master;
    bool changed = strcmp(asking->trouble, answer->trouble) != 0;
    snprintf(asking->trouble, sizeof(asking->trouble), "%s", answer->trouble);
    if (changed && answer->role == ROLE_REFUSED) {
        char text[ENTRY_TEXT_MAX], place[PLACE_TEXT_MAX];
        snprintf(text, sizeof(text),
                 "%s may not be asked for its role: %s; nothing is switched to it",
                 place_show(&asking->place, place), answer->trouble);
        journal_add(m->journal, now_ms(m), ENTRY_STATE, true, m->config->opt.master, NULL, text);
    }
    struct place place = asking->place;
    follower_role(&m->follower, &place, answer->role, answer->run_id, now_ms(m));
    master_sync(m);
}

static void ask_place(struct asking *asking, const struct ask *ask)
{
    struct master *m = asking->master;
    asker_free(asking->asker);
    asking->asker = NULL;
    asking->place = ask->place;
    asking->trouble[0] = '\0';
    if (!place_known(&ask->place))
        return;
    const struct sentinel_options *opt = &m->config->opt;
    struct asker_options options = {
        .username = opt->redis_username,
        .password = opt->redis_password,
        .interval_ms = ask->interval_ms,
        .timeout_ms = asking->kind == ASK_CURRENT ? ASK_CURRENT_TIMEOUT_MS : ASK_TIMEOUT_MS,
    };
    place_map(m->config, &ask->place, &options.place);
    asking->asker = asker_new(m->world, &options, on_role, asking);
}

static bool is_busy(const struct master *m)
{
    return follower_poll_ms(&m->follower) <= TICK_MS;
}

/* Asks whom the follower wants to be asked, and all sentinels as soon as the calm is over. */
static void master_sync(struct master *m)
{
    for (enum ask_kind kind = 0; kind < ASK_KINDS; kind++) {
        const struct ask *ask = follower_ask(&m->follower, kind);
        if (!place_eq(&ask->place, &m->askings[kind].place))
            ask_place(&m->askings[kind], ask);
    }
    struct place current, former = {0};
    const struct place *old = &follower_ask(&m->follower, ASK_FORMER)->place;
    if (place_known(&m->follower.place)) {
        place_map(m->config, &m->follower.place, &current);
        canary_follow(m->canary, &current);
    }
    if (place_known(old))
        place_map(m->config, old, &former);
    canary_watch_former(m->canary, &former);
    bool begins = !m->busy && is_busy(m);
    m->busy = is_busy(m);
    if (begins)
        roster_poll(m->roster);
}

/* ---- sentinels ---- */

static int on_join(void *ctx)
{
    struct master *m = ctx;
    return follower_add_sentinel(&m->follower);
}

static void on_leave(void *ctx, int voter)
{
    struct master *m = ctx;
    follower_remove_sentinel(&m->follower, voter, now_ms(m));
    master_sync(m);
}

static void on_report(void *ctx, int voter, const struct report *report)
{
    struct master *m = ctx;
    follower_report(&m->follower, voter, report, now_ms(m));
    master_sync(m);
}

static void on_lost(void *ctx, int voter)
{
    struct master *m = ctx;
    follower_lost_sentinel(&m->follower, voter, now_ms(m));
    master_sync(m);
}

static bool on_event(void *ctx, int voter, const struct event *event)
{
    struct master *m = ctx;
    bool ask = voter >= 0 && follower_event(&m->follower, voter, event, now_ms(m));
    master_sync(m);
    return ask;
}

static void on_published(void *ctx, const char *source, struct span channel, struct span payload)
{
    struct master *m = ctx;
    journal_event(m->journal, now_ms(m), m->config->opt.master, source, channel, payload);
}

static void on_sentinel(void *ctx, const char *source, bool warning, const char *text)
{
    struct master *m = ctx;
    journal_add(m->journal, now_ms(m), ENTRY_SENTINEL, warning, m->config->opt.master, source,
                text);
}

static void on_replicas(void *ctx, const struct resp *list)
{
    struct master *m = ctx;
    m->node_count = 0;
    for (size_t i = 0; i < list->count && m->node_count < NODES_MAX; i++) {
        const struct resp *fields = list->items[i];
        struct node *node = &m->nodes[m->node_count];
        uint64_t offset = 0, priority = 0;
        *node = (struct node){0};
        if (!place_parse(resp_field(fields, "ip"), resp_field(fields, "port"), &node->place))
            continue;
        size_t len = log_escape(resp_field(fields, "flags"), node->flags, sizeof(node->flags) - 1);
        node->flags[len < sizeof(node->flags) ? len : sizeof(node->flags) - 1] = '\0';
        node->linked = span_eq(resp_field(fields, "master-link-status"), SPAN("ok"));
        node->offset = span_to_u64(resp_field(fields, "slave-repl-offset"), &offset)
                           ? (int64_t)offset
                           : 0;
        node->priority = span_to_u64(resp_field(fields, "slave-priority"), &priority)
                             ? (int64_t)priority
                             : 0;
        m->node_count++;
    }
}

static int64_t on_poll_ms(void *ctx)
{
    const struct master *m = ctx;
    return follower_poll_ms(&m->follower);
}

static const struct roster_owner roster_owner = {
    .join = on_join,
    .leave = on_leave,
    .report = on_report,
    .lost = on_lost,
    .event = on_event,
    .published = on_published,
    .note = on_sentinel,
    .replicas = on_replicas,
    .poll_ms = on_poll_ms,
};

/* ---- time, and what doors say ---- */

static void on_tick(struct timer *timer)
{
    struct master *m = container_of(timer, struct master, tick);
    if (m->told_pending) {
        m->told_pending = false;
        if (m->follower.state == FOLLOWER_SWITCH)
            times_add(&m->memory.stats.to_told, now_ms(m) - m->switched_ms);
        follower_told(&m->follower, now_ms(m));
    }
    follower_tick(&m->follower, now_ms(m));
    master_sync(m);
    loop_timer_start(m->world->loop, &m->tick, m->busy ? TICK_MS : CALM_TICK_MS);
}

void master_phase(struct master *m, const struct failover *failover, enum phase phase)
{
    char text[ENTRY_TEXT_MAX];
    if (phase == PHASE_NONE) {
        m->told_pending = true;
        loop_timer_start(m->world->loop, &m->tick, 0);
        snprintf(text, sizeof(text), "servers are where they should be: %s", failover->id);
    } else {
        snprintf(text, sizeof(text), "servers enter phase %s of %s", phase_word(phase),
                 failover->id);
    }
    journal_add(m->journal, now_ms(m), ENTRY_PHASE, false, m->config->opt.master, NULL, text);
}

void master_outdated(struct master *m, uint64_t generation, uint64_t epoch)
{
    follower_outdated(&m->follower, generation, epoch, now_ms(m));
    master_sync(m);
}

/* ---- beginning and end ---- */

/* canary_note_fn, prune_note_fn */
static void on_said(void *ctx, bool warning, const char *text)
{
    struct master *m = ctx;
    journal_add(m->journal, now_ms(m), ENTRY_STATE, warning, m->config->opt.master, NULL, text);
}

static void begin_canary(struct master *m, const char *watcher)
{
    const struct sentinel_options *opt = &m->config->opt;
    struct canary_options options = {
        .username = opt->redis_username,
        .password = opt->redis_password,
        .watcher = watcher,
        .channel = opt->canary_subscribers,
        .interval_ms = opt->canary_interval_ms,
    };
    m->canary = canary_new(m->world, &options, on_said, m);
}

struct master *master_new(struct link_world *world, const struct config_sentinel *config,
                          struct doors *doors, struct journal *journal, const char *watcher,
                          const struct master_memory *before)
{
    struct master *m = mem_must_alloc(sizeof(*m));
    m->world = world;
    m->config = config;
    m->doors = doors;
    m->journal = journal;
    struct follower_options options = {
        .master = config->opt.master,
        .hold_at_odown = config->opt.hold_at == HOLD_ODOWN,
        .hold_max_ms = config->opt.hold_max_ms,
        .fast_path = config->opt.fast_path,
    };
    follower_init(&m->follower, &options, &follower_owner, m);
    if (before)
        m->memory = *before;
    if (m->memory.has_told)
        follower_resume(&m->follower, &m->memory.told, now_ms(m));
    for (enum ask_kind kind = 0; kind < ASK_KINDS; kind++)
        m->askings[kind] = (struct asking){.master = m, .kind = kind};
    if (config->opt.canary_interval_ms > 0)
        begin_canary(m, watcher);
    m->roster = roster_new(world, config, &roster_owner, m);
    m->prune = prune_new(world, m, watcher, on_said, m);
    timer_init(&m->tick, on_tick);
    loop_timer_start(world->loop, &m->tick, TICK_MS);
    return m;
}

static void master_bury(struct grave *grave)
{
    free(container_of(grave, struct master, grave));
}

void master_free(struct master *m)
{
    if (!m)
        return;
    loop_timer_stop(m->world->loop, &m->tick);
    for (enum ask_kind kind = 0; kind < ASK_KINDS; kind++)
        asker_free(m->askings[kind].asker);
    canary_free(m->canary);
    prune_free(m->prune);
    roster_free(m->roster);
    m->grave.fn = master_bury;
    loop_bury(m->world->loop, &m->grave);
}

/* ---- to be read ---- */

const char *master_name(const struct master *m)
{
    return m->config->opt.master;
}

const struct config_sentinel *master_config(const struct master *m)
{
    return m->config;
}

const struct follower *master_follower(const struct master *m)
{
    return &m->follower;
}

bool master_told(const struct master *m, struct failover *out)
{
    if (m->memory.has_told)
        *out = mapped(m, &m->memory.told);
    return m->memory.has_told;
}

const struct master_stats *master_stats(const struct master *m)
{
    return &m->memory.stats;
}

void master_remember(const struct master *m, struct master_memory *out)
{
    *out = m->memory;
    out->told.generation = m->follower.generation;
    out->told.epoch = m->follower.epoch;
}

size_t master_sentinel_count(const struct master *m)
{
    return roster_count(m->roster);
}

struct sentinel *master_sentinel(const struct master *m, size_t i)
{
    return roster_at(m->roster, i);
}

bool master_canary(const struct master *m, struct canary_info *out)
{
    if (m->canary)
        canary_info(m->canary, out);
    return m->canary != NULL;
}

struct prune *master_prune(const struct master *m)
{
    return m->prune;
}

size_t master_nodes(const struct master *m, const struct node **list)
{
    *list = m->nodes;
    return m->node_count;
}

const struct answered_role *master_role(const struct master *m, enum ask_kind kind)
{
    return &m->follower.roles[kind];
}

const char *master_role_trouble(const struct master *m, enum ask_kind kind)
{
    return m->askings[kind].trouble;
}
