// SPDX-License-Identifier: Apache-2.0
/*
 * Two lists of leases: one per Redis master, one in each server (server->redis). One timer fires
 * when the next of them ends. Renewing a lease without news is neither logged nor an event.
 */
#include "lb/failover.h"

#include "base/clock.h"
#include "lb/events.h"

#include <stdlib.h>
#include <string.h>

/* The phases of sentinel-watch's barrier. */
static const struct phase {
    const char *word;
    bool running; /* publishes are held, or are being let go */
} phases[] = {
    {"calm", false}, {"hold", true},   {"sub", true},
    {"pub", true},   {"fence", false}, {"cancel", false},
};
#define CALM (&phases[0])

struct master {
    char name[FAILOVER_MASTER_NAME_MAX + 1];
    const struct phase *phase;
    int64_t until_ms; /* the lease's end, while it is running */
    int64_t changed_wall_ms;
};

struct failovers {
    struct serving *serving;
    struct loop *loop;
    struct timer timer;
    struct master *masters; /* FAILOVER_MASTERS_MAX of them, master_count in use */
    size_t master_count;
};

/* ---- leases ---- */

static void sooner(int64_t *at_ms, int64_t until_ms)
{
    if (*at_ms == 0 || until_ms < *at_ms)
        *at_ms = until_ms;
}

static void note_stale(struct failovers *failovers, struct server *server, bool stale,
                       const char *by)
{
    const char *backend = server->backend->name;
    unsigned long long epoch = server->redis.epoch;
    if (atomic_exchange_explicit(&server->stale, stale, memory_order_relaxed) == stale)
        return;
    atomic_store(&server->changed_ms, clock_wall_ms());
    if (stale) {
        log_warning(
            "server %s/%s has not followed Redis, it gets no new sessions epoch=%llu by=\"%s\"",
            backend, server->name, epoch, by);
        events_add(failovers->serving, EVENT_FAILOVER,
                   "%s/%s has not followed Redis to epoch %llu: no new sessions (%s)", backend,
                   server->name, epoch, by);
    } else {
        log_info("server %s/%s may get new sessions again epoch=%llu by=\"%s\"", backend,
                 server->name, epoch, by);
        events_add(failovers->serving, EVENT_FAILOVER, "%s/%s may get new sessions again (%s)",
                   backend, server->name, by);
    }
}

static void note_phase(struct failovers *failovers, struct master *master,
                       const struct phase *phase, const char *by)
{
    if (master->phase == phase)
        return;
    master->phase = phase;
    master->changed_wall_ms = clock_wall_ms();
    log_info("failover of Redis master %s: %s by=\"%s\"", master->name, phase->word, by);
    events_add(failovers->serving, EVENT_FAILOVER, "Redis master %s: %s (%s)", master->name,
               phase->word, by);
}

static void lease_end(struct failovers *failovers, struct server *server)
{
    note_stale(failovers, server, false, "the lease ended");
    server->redis = (struct server_redis){0};
}

/* Ends what has lapsed; what is still on decides what workers and moves may do, and when the next lease
 * ends. */
static void failovers_settle(struct failovers *failovers)
{
    const struct snapshot *snapshot = failovers->serving->snapshot;
    int64_t now_ms = failovers->loop->now_ms, at_ms = 0;
    bool running = false;
    for (size_t i = 0; i < failovers->master_count; i++) {
        struct master *master = &failovers->masters[i];
        if (master->phase->running && master->until_ms <= now_ms)
            note_phase(failovers, master, CALM, "the lease ended");
        if (!master->phase->running)
            continue;
        running = true;
        sooner(&at_ms, master->until_ms);
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            struct server *server = backend->servers[k];
            if (server->redis.until_ms > 0 && server->redis.until_ms <= now_ms)
                lease_end(failovers, server);
            else if (server->redis.until_ms > 0)
                sooner(&at_ms, server->redis.until_ms);
        }
    }
    atomic_store_explicit(&failovers->serving->moves_held, running, memory_order_relaxed);
    if (at_ms > 0)
        loop_timer_start(failovers->loop, &failovers->timer, at_ms - now_ms);
    else
        loop_timer_stop(failovers->loop, &failovers->timer);
}

static void failovers_tick(struct timer *timer)
{
    failovers_settle(container_of(timer, struct failovers, timer));
}

/* ---- life ---- */

struct failovers *failovers_new(struct serving *serving, struct loop *loop)
{
    struct failovers *failovers = mem_must_alloc(sizeof(*failovers));
    *failovers = (struct failovers){.serving = serving, .loop = loop};
    failovers->masters = mem_must_alloc(FAILOVER_MASTERS_MAX * sizeof(*failovers->masters));
    timer_init(&failovers->timer, failovers_tick);
    return failovers;
}

void failovers_stop(struct failovers *failovers)
{
    loop_timer_stop(failovers->loop, &failovers->timer);
}

void failovers_free(struct failovers *failovers)
{
    free(failovers->masters);
    free(failovers);
}

/* ---- what is said ---- */

static const struct phase *phase_named(struct span word)
{
    for (size_t i = 0; i < array_len(phases); i++) {
        if (span_eq(word, span_str(phases[i].word)))
            return &phases[i];
    }
    return NULL;
}

/* Names of the configuration's form, so that they can be labels. */
static bool is_master_name(struct span name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '\0' || strchr(letters, name.ptr[i]) == NULL)
            return false;
    }
    return name.len > 0 && name.len <= FAILOVER_MASTER_NAME_MAX;
}

/* NULL: there are too many. */
static struct master *master_named(struct failovers *failovers, struct span name)
{
    for (size_t i = 0; i < failovers->master_count; i++) {
        if (span_eq(name, span_str(failovers->masters[i].name)))
            return &failovers->masters[i];
    }
    if (failovers->master_count == FAILOVER_MASTERS_MAX)
        return NULL;
    struct master *master = &failovers->masters[failovers->master_count++];
    *master = (struct master){.phase = CALM, .changed_wall_ms = clock_wall_ms()};
    memcpy(master->name, name.ptr, name.len);
    return master;
}

static bool lease_fits(int64_t lease_ms)
{
    return lease_ms > 0 && lease_ms <= FAILOVER_LEASE_MAX_MS;
}

const char *failovers_say(struct failovers *failovers, struct span master_name,
                          struct span phase_word, int64_t lease_ms, const char *by)
{
    const struct phase *phase = phase_named(phase_word);
    if (phase == NULL)
        return "The phase is one of 'calm', 'hold', 'sub', 'pub', 'fence', 'cancel'.";
    if (!is_master_name(master_name))
        return "That is no name of a Redis master.";
    if (!lease_fits(lease_ms))
        return "A lease lasts one hour at most.";
    struct master *master = master_named(failovers, master_name);
    if (master == NULL)
        return "There are too many Redis masters.";
    master->until_ms = failovers->loop->now_ms + lease_ms;
    note_phase(failovers, master, phase, by);
    failovers_settle(failovers);
    return NULL;
}

const char *failovers_server(struct failovers *failovers, struct server *server, bool stale,
                             uint64_t epoch, int64_t lease_ms, const char *by)
{
    if (!lease_fits(lease_ms))
        return "A lease lasts one hour at most.";
    if (server->redis.until_ms > failovers->loop->now_ms && epoch < server->redis.epoch)
        return "A newer epoch is known.";
    server->redis.epoch = epoch;
    server->redis.until_ms = failovers->loop->now_ms + lease_ms;
    note_stale(failovers, server, stale, by);
    failovers_settle(failovers);
    return NULL;
}

bool failovers_status(const struct failovers *failovers, size_t i, struct failover_status *out)
{
    if (i >= failovers->master_count)
        return false;
    const struct master *master = &failovers->masters[i];
    int64_t left_ms = master->until_ms - failovers->loop->now_ms;
    *out = (struct failover_status){
        .master = master->name,
        .phase = master->phase->word,
        .running = master->phase->running,
        .left_ms = master->phase->running && left_ms > 0 ? left_ms : 0,
        .changed_wall_ms = master->changed_wall_ms,
    };
    return true;
}
