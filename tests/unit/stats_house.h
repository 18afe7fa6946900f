// SPDX-License-Identifier: Apache-2.0
/*
 * A serving process without threads, sockets or health checks, for tests of stats and of the
 * runtime API: counters and health are what a test sets. One frontend `web`, a second one `alt`;
 * backends `sio` (a, b, spare) and `bare` (unchecked, one server).
 */
#ifndef LIMPET_TESTS_STATS_HOUSE_H
#define LIMPET_TESTS_STATS_HOUSE_H

#include "base/clock.h"
#include "lb/control.h"
#include "lb/failover.h"
#include "lb/stats_row.h"

#include <stdlib.h>
#include <string.h>

enum { HOUSE_WORKERS = 2 };

struct house {
    struct serving serving;
    struct config *config;
    struct worker workers[HOUSE_WORKERS];
    struct server *a, *b, *spare, *bare;
    struct backend *sio;
    struct frontend *web;
    struct loop loop; /* control's */
};

static struct health_status house_health[3]; /* of a, b and spare */

/* In the place of lb/control's. */
const struct health_status *control_health(struct control *control, const struct server *server)
{
    (void)control;
    return &house_health[server->index];
}

static struct watch *house_watch; /* whoever needs one makes it */

struct watch *control_watch(struct control *control)
{
    (void)control;
    return house_watch;
}

struct moves *control_moves(struct control *control)
{
    (void)control;
    return NULL;
}

static struct failovers *house_failovers;

struct failovers *control_failovers(struct control *control)
{
    (void)control;
    return house_failovers;
}

void control_reload(struct control *control)
{
    (void)control;
}

static const char house_text[] =
    "frontends:\n"
    "  web: {listen: '127.0.0.1:0', backend: sio, max_connections: 2000}\n"
    "  alt: {listen: '127.0.0.1:0', backend: bare}\n"
    "backends:\n"
    "  sio:\n"
    "    health: {rise: 2, fall: 3}\n"
    "    sid: {max_entries: 1000}\n"
    "    cookie: {mode: insert, name: node}\n"
    "    servers:\n"
    "      a: {address: '127.0.0.1:13001', max_connections: 100}\n"
    "      b: {address: '127.0.0.1:13002', weight: 4}\n"
    "      spare: {address: '127.0.0.1:13009', backup: true}\n"
    "  bare:\n"
    "    health: {tcp: false}\n"
    "    servers: {only: '127.0.0.1:13010'}\n";

static struct house *house_new(void)
{
    struct house *house = calloc(1, sizeof(*house));
    struct problems problems;
    house->config = config_load_text("house", span_str(house_text), &problems);
    if (house->config == NULL)
        problems_print(&problems, "house", false, stderr);
    problems_free(&problems);
    struct serving *serving = &house->serving;
    serving->config = house->config;
    serving->snapshot = snapshot_new(house->config, (const int[]){-1, -1, -1, -1}, clock_mono_ms());
    serving->workers = house->workers;
    serving->worker_count = HOUSE_WORKERS;
    serving->started_ms = clock_mono_ms() - 90061000; /* 1 d 1 h 1 m 1 s ago */
    serving->started_wall_ms = clock_wall_ms() - 90061000;
    serving->max_connections = 4000;
    serving->listen_fd_count = 3;
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        house->workers[i].stats = calloc(serving->snapshot->stat_count,
                                         sizeof(struct counter_block));
    if (!loop_init(&house->loop, house))
        abort();
    house_failovers = failovers_new(serving, &house->loop);
    house->web = &serving->snapshot->frontends[0];
    house->sio = serving->snapshot->backends[0];
    house->a = house->sio->servers[0];
    house->b = house->sio->servers[1];
    house->spare = house->sio->servers[2];
    house->bare = serving->snapshot->backends[1]->servers[0];
    for (size_t i = 0; i < 3; i++)
        house_health[i] = (struct health_status){
            .state = HEALTH_UP, .check = CHECK_L4OK, .duration_ms = 1, .good = 5};
    return house;
}

static void house_free(struct house *house)
{
    failovers_stop(house_failovers);
    failovers_free(house_failovers);
    loop_fini(&house->loop);
    stats_fini(&house->serving);
    snapshot_free(house->serving.snapshot);
    config_free(house->config);
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        free(house->workers[i].stats);
    free(house);
}

/* As if one of the workers had counted. */
static inline void house_count(struct house *house, unsigned worker, uint16_t stat_id,
                               enum counter id, int64_t n)
{
    counter_add(worker_stats(&house->workers[worker], stat_id), id, n);
}

#endif
