// SPDX-License-Identifier: Apache-2.0
/*
 * One struct door per master, found by its name; each has a notify, a relay, hooks and a tally. What
 * is said to a door goes to all of them in an order that matters:
 *
 *   hold     barrier first (servers queue as early as can be), then the relay holds newcomers
 *   switch   relay and files first (who connects anew shall find the new master), then the barrier
 *   pub      told by the barrier: `publish` comes last, when all who listen there are there
 *
 * A reload prepares what can fail (listeners) for all masters, then commits what cannot.
 */
#include "sentinel-watch/doors.h"

#include "base/log.h"
#include "sentinel-watch/balancer.h"
#include "sentinel-watch/event.h"
#include "sentinel-watch/hook.h"
#include "sentinel-watch/notify.h"
#include "sentinel-watch/relay.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_OVER_MS = 5000 };

struct door {
    struct list node;
    struct doors *doors;
    char *master;
    struct notify *notify;
    struct relay *relay;
    struct hook *hook;
    struct tally tally;
    const struct config_sentinel *sentinel;
    bool keep;       /* during doors_apply */
    int64_t over_ms; /* when a failover was over; balancers are told for a while */
};

struct doors {
    struct doors_world world;
    struct list list;
    struct balancers *balancers;
};

static struct door *door_of(struct list *node)
{
    return container_of(node, struct door, node);
}

static struct door *door_find(const struct doors *doors, const char *master)
{
    list_each(node, &doors->list)
    {
        if (strcmp(door_of(node)->master, master) == 0)
            return door_of(node);
    }
    return NULL;
}

/* Of a master that is configured: doors_apply has made it. */
static struct door *door_get(const struct doors *doors, const char *master)
{
    struct door *door = door_find(doors, master);
    assert(door);
    return door;
}

/* ---- what the barrier tells ---------------------------------------------------------------- */

static void on_phase(void *ctx, const struct failover *failover, enum phase phase)
{
    struct door *door = ctx;
    const struct doors_world *world = &door->doors->world;
    if (phase == PHASE_CANCEL)
        relay_release(door->relay);
    if (phase == PHASE_NONE)
        door->over_ms = world->loop->now_ms;
    hook_phase(door->hook, failover, phase);
    balancers_tell(door->doors->balancers);
    world->owner->phase(world->ctx, failover, phase);
}

static void on_outdated(void *ctx, const char *master, uint64_t generation, uint64_t epoch)
{
    struct door *door = ctx;
    const struct doors_world *world = &door->doors->world;
    world->owner->outdated(world->ctx, master, generation, epoch);
}

static void on_changed(void *ctx)
{
    struct door *door = ctx;
    balancers_tell(door->doors->balancers);
}

static const struct notify_owner notify_owner = {on_phase, on_outdated, on_changed};

/* ---- what balancers are told --------------------------------------------------------------- */

struct saying {
    struct text *out;
    struct list *door; /* of the server that is looked at */
    struct list *all;
};

/* What a server is to all masters that it is told of: following if it follows each. */
static void say_server(void *ctx, const struct notify_server *server)
{
    struct saying *saying = ctx;
    struct notify_server other, worst = *server;
    bool reached = false; // the door that it was found at
    for (struct list *node = saying->all->next; node != saying->all; node = node->next) {
        if (!notify_find(door_of(node)->notify, server->backend, server->name, &other))
            continue;
        if (node == saying->door)
            reached = true;
        else if (!reached)
            return; // It was said there.
        if (other.standing > worst.standing)
            worst = other;
    }
    if (worst.standing != STANDING_UNKNOWN)
        text_addf(saying->out, "sio redis %s/%s %s %" PRIu64 " lease %d\n", server->backend,
                  server->name, worst.standing == STANDING_READY ? "ready" : "stale",
                  worst.node->epoch, BALANCER_LEASE_S);
}

static void fill(void *ctx, struct text *out)
{
    struct doors *doors = ctx;
    list_each(node, &doors->list)
    {
        struct door *door = door_of(node);
        enum phase phase = doors_phase(doors, door->master);
        bool is_over = phase == PHASE_NONE && door->over_ms > 0 &&
                       doors->world.loop->now_ms - door->over_ms < TELL_OVER_MS;
        if (phase != PHASE_NONE || is_over)
            text_addf(out, "sio failover %s %s lease %d\n", door->master, phase_word(phase),
                      BALANCER_LEASE_S);
        struct saying saying = {out, node, &doors->list};
        notify_each(door->notify, say_server, &saying);
    }
}

/* ---- masters that come and go -------------------------------------------------------------- */

static struct door *door_new(struct doors *doors, const char *master)
{
    struct door *door = mem_must_alloc(sizeof(*door));
    struct world world = {doors->world.loop, doors->world.shelf, doors->world.resolver,
                          doors->world.watcher, &door->tally};
    door->doors = doors;
    door->master = mem_must_copy(master);
    door->notify = notify_new(&world, &notify_owner, door);
    door->relay = relay_new(&world);
    door->hook = hook_new(&world);
    list_push_back(&doors->list, &door->node);
    return door;
}

static void door_free(struct door *door)
{
    list_remove(&door->node);
    notify_free(door->notify);
    relay_free(door->relay);
    hook_free(door->hook);
    free(door->master);
    free(door);
}

/* Listeners and TLS of all masters. False: some are as the new configuration says, all that were are still
 * open. */
static bool open_all(struct doors *doors, const struct config *config, char **error)
{
    for (size_t i = 0; i < config->sentinel_count; i++) {
        const struct config_sentinel *sentinel = &config->sentinels[i];
        struct door *door = door_find(doors, sentinel->opt.master);
        if (!door)
            door = door_new(doors, sentinel->opt.master);
        if (!notify_prepare(door->notify, config, sentinel, error) ||
            !relay_configure(door->relay, sentinel, error))
            return false;
        door->keep = true;
    }
    return true;
}

/* Back to what was: doors that were new go, the others listen as before. */
static void undo(struct doors *doors)
{
    list_each_safe(node, &doors->list)
    {
        struct door *door = door_of(node);
        char *error = NULL;
        if (!door->sentinel)
            door_free(door);
        else if (door->keep && !relay_configure(door->relay, door->sentinel, &error))
            log_error("%s; a reload has closed it and cannot go back", error);
        free(error);
    }
}

static void name_balancers(struct doors *doors, const struct config *config)
{
    balancers_begin(doors->balancers);
    for (size_t i = 0; i < config->sentinel_count; i++) {
        const struct sentinel_options *opt = &config->sentinels[i].opt;
        for (size_t k = 0; k < opt->limpet_count; k++)
            balancers_name(doors->balancers, opt->limpet[k]);
    }
    balancers_end(doors->balancers);
    balancers_tell(doors->balancers);
}

bool doors_apply(struct doors *doors, const struct config *config, char **error)
{
    list_each(node, &doors->list) door_of(node)->keep = false;
    if (!open_all(doors, config, error)) {
        undo(doors);
        return false;
    }
    list_each_safe(node, &doors->list)
    {
        if (!door_of(node)->keep)
            door_free(door_of(node));
    }
    for (size_t i = 0; i < config->sentinel_count; i++) {
        struct door *door = door_get(doors, config->sentinels[i].opt.master);
        door->sentinel = &config->sentinels[i];
        notify_configure(door->notify, config, door->sentinel);
        hook_configure(door->hook, door->sentinel);
    }
    name_balancers(doors, config);
    return true;
}

struct doors *doors_new(const struct doors_world *world)
{
    struct doors *doors = mem_must_alloc(sizeof(*doors));
    doors->world = *world;
    list_init(&doors->list);
    doors->balancers = balancers_new(world->loop, world->shelf, fill, doors);
    return doors;
}

void doors_free(struct doors *doors)
{
    if (!doors)
        return;
    list_each_safe(node, &doors->list) door_free(door_of(node));
    balancers_free(doors->balancers);
    free(doors);
}

/* ---- what the state machine says ----------------------------------------------------------- */

static int64_t now_of(const struct doors *doors)
{
    return doors->world.loop->now_ms;
}

void doors_baseline(struct doors *doors, const struct failover *now)
{
    struct door *door = door_get(doors, now->master);
    struct barrier *barrier = notify_barrier(door->notify);
    if (!barrier_is_news(barrier, now))
        return;
    bool moved = barrier->known && !place_eq(&barrier->settled.new_place, &now->new_place);
    relay_lead(door->relay, &now->new_place);
    hook_lead(door->hook, now, moved);
    barrier_baseline(barrier, now, now_of(doors));
    notify_go(door->notify);
}

void doors_hold(struct doors *doors, const struct failover *failover)
{
    struct door *door = door_get(doors, failover->master);
    struct barrier *barrier = notify_barrier(door->notify);
    barrier_hold(barrier, failover, now_of(doors));
    if (barrier->stage == PHASE_HOLD && !barrier->decided)
        relay_hold(door->relay);
    notify_go(door->notify);
}

void doors_switch(struct doors *doors, const struct failover *failover)
{
    struct door *door = door_get(doors, failover->master);
    if (!barrier_is_news(notify_barrier(door->notify), failover))
        return;
    relay_lead(door->relay, &failover->new_place);
    hook_lead(door->hook, failover, true);
    barrier_switch(notify_barrier(door->notify), failover, now_of(doors));
    notify_go(door->notify);
}

void doors_cancel(struct doors *doors, const struct failover *failover)
{
    struct door *door = door_get(doors, failover->master);
    barrier_cancel(notify_barrier(door->notify), failover, now_of(doors));
    notify_go(door->notify);
}

void doors_fence(struct doors *doors, const struct failover *failover)
{
    struct door *door = door_get(doors, failover->master);
    barrier_fence(notify_barrier(door->notify), failover, now_of(doors));
    notify_go(door->notify);
}

/* ---- for people and tools ------------------------------------------------------------------ */

enum phase doors_phase(const struct doors *doors, const char *master)
{
    struct door *door = door_find(doors, master);
    const struct barrier *barrier = door ? notify_barrier(door->notify) : NULL;
    return barrier && !barrier->over ? barrier->stage : PHASE_NONE;
}

struct listing {
    void (*each)(void *ctx, const char *name, const struct addr *addr);
    void *ctx;
    char name[FAILOVER_NAME_MAX + 8];
};

static void list_one(void *ctx, const struct addr *addr)
{
    struct listing *listing = ctx;
    listing->each(listing->ctx, listing->name, addr);
}

void doors_listeners(const struct doors *doors,
                     void (*each)(void *ctx, const char *name, const struct addr *addr), void *ctx)
{
    bool several = !list_empty(&doors->list) && doors->list.next != doors->list.prev;
    list_each(node, &doors->list)
    {
        const struct door *door = door_of(node);
        struct listing listing = {each, ctx, "relay"};
        if (several)
            snprintf(listing.name, sizeof(listing.name), "relay.%s", door->master);
        relay_listeners(door->relay, list_one, &listing);
    }
}

void doors_show(const struct doors *doors, const char *master, struct text *out)
{
    struct door *door = door_find(doors, master);
    if (!door)
        return;
    text_addf(out, "{\"nodes\":");
    notify_show(door->notify, out);
    text_addf(out, ",\"relay\":");
    relay_show(door->relay, out);
    text_addf(out, ",\"limpet\":");
    balancers_show(doors->balancers, out);
    text_addf(out, "}");
}

/* One row of tally.def for every master. Times are counted in ms and shown in seconds. */
static void metric(const struct doors *doors, enum tally_id id, struct text *out)
{
    const struct tally_info *info = &tally_table[id];
    if (info->help[0] != '\0')
        text_addf(out, "# HELP limpet_sentinel_%s %s\n# TYPE limpet_sentinel_%s %s\n", info->metric,
                  info->help, info->metric, info->gauge ? "gauge" : "counter");
    list_each(node, &doors->list)
    {
        const struct door *door = door_of(node);
        text_addf(out, "limpet_sentinel_%s{master=\"%s\"%s%s} ", info->metric, door->master,
                  info->labels[0] != '\0' ? "," : "", info->labels);
        int64_t value = door->tally.value[id];
        if (strstr(info->metric, "_seconds_"))
            text_addf(out, "%" PRId64 ".%03d\n", value / 1000, (int)(value % 1000));
        else
            text_addf(out, "%" PRId64 "\n", value);
    }
}

static const char *standing_word(enum standing standing)
{
    static const char *const words[] = {
        [STANDING_UNKNOWN] = "unknown", [STANDING_READY] = "ready", [STANDING_STALE] = "stale"};
    return words[standing];
}

struct server_metrics {
    struct text *out;
    const struct door *door;
};

static void server_metric(void *ctx, const struct notify_server *server)
{
    struct server_metrics *metrics = ctx;
    static const enum standing all[] = {STANDING_UNKNOWN, STANDING_READY, STANDING_STALE};
    for (size_t i = 0; i < array_len(all); i++)
        text_addf(metrics->out,
                  "limpet_sentinel_server_state{master=\"%s\",server=\"%s/%s\",state=\"%s\"} %d\n",
                  metrics->door->master, server->backend, server->name, standing_word(all[i]),
                  server->standing == all[i]);
}

void doors_metrics(const struct doors *doors, struct text *out)
{
    for (size_t id = 0; id < TALLIES; id++)
        metric(doors, (enum tally_id)id, out);
    text_addf(out, "# HELP limpet_sentinel_server_state whether a server follows the master\n"
                   "# TYPE limpet_sentinel_server_state gauge\n");
    list_each(node, &doors->list)
    {
        struct server_metrics metrics = {out, door_of(node)};
        notify_each(door_of(node)->notify, server_metric, &metrics);
    }
    balancers_metrics(doors->balancers, out);
}
