// SPDX-License-Identifier: Apache-2.0
/*
 * The pace of drains and rebalances. Each has one timer and a grid of due times:
 *
 *     grid   |     |     |     |     |      one session per interval (1 s / rate)
 *     kicks  |    x|  x  |   x |x    |      each at a random place near its line
 *
 * so that clients do not come back in step, and yet as many leave in every second as were asked
 * for, give or take one. What was missed because control was late is made up for, but not more than
 * CATCH_UP_MS of it. A move that waits (no server to go to, one is down, a failover is on) starts
 * its grid anew afterwards.
 *
 * A drain knows its server, a rebalance all of its backend's: move_source.c says who is next. A
 * rebalance goes in rounds. A round's quotas are what each server has beyond its share; when they
 * are used up, those who left get time to come back; then it is looked again. So only the excess
 * moves, and weights, slow starts and sessions that come and go meanwhile are taken into account.
 * A backend whose sessions return to where they were (by client address, say) is given up on.
 *
 * Servers are known by name and looked up each time: a reload may replace or remove them.
 */
#include "lb/move.h"

#include "base/clock.h"
#include "lb/events.h"
#include "lb/move_source.h"
#include "lb/move_spread.h"
#include "lb/operate.h"

#include <stdlib.h>
#include <string.h>

enum {
    CATCH_UP_MS = 1000,
    WAIT_MS = 100,         /* between two looks at most: is it still to go on? */
    LOOK_MS = 500,         /* between two looks for further sessions of one server */
    SETTLE_MS = 2000,      /* for those who left to come back: clients wait up to 1.5 s … */
    SETTLE_LATE_MS = 7000, /* … and up to 5 s after failed attempts */
    FRUITLESS_ROUNDS = 3,
};

/* One server that loses sessions. */
struct leaving {
    char *server;
    struct move_source source;
    int64_t quota; /* of a rebalance's round */
};

struct move {
    struct list node;
    struct moves *moves;
    enum move_reason kind; /* MOVE_DRAIN or MOVE_REBALANCE */
    char *backend;
    struct leaving *leaving;
    size_t leaving_count;
    struct timer timer;
    struct rate rate;
    int64_t due_us, next_us; /* the grid's next line, and the kick that belongs to it */
    bool running;
    const char *waits, *ended;
    int64_t moved, left;
    int64_t began_wall_ms, ended_wall_ms;

    /* a rebalance's round */
    bool settling;
    int64_t settle_since_ms;
    int64_t round_total; /* sessions when it began */
    double round_worst;  /* how far the worst server was off */
    int fruitless;       /* rounds that brought nothing */
};

struct moves {
    struct serving *serving;
    struct loop *loop;
    struct rng rng;
    struct list list;
    bool stopped;
};

/* ---- what it is about ---- */

static struct backend *move_backend(const struct move *move)
{
    struct snapshot *snapshot = move->moves->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (strcmp(snapshot->backends[i]->name, move->backend) == 0)
            return snapshot->backends[i];
    }
    return NULL;
}

/* Also one that a reload removed and that still has sessions. */
static struct server *server_named(const struct backend *backend, const char *name)
{
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++) {
        if (strcmp(backend->servers[i]->name, name) == 0)
            return backend->servers[i];
    }
    return NULL;
}

static bool is_down(const struct server *server)
{
    return atomic_load_explicit(&server->health, memory_order_relaxed) == SERVER_DOWN;
}

static enum server_admin admin_of(const struct server *server)
{
    return (enum server_admin)atomic_load_explicit(&server->admin, memory_order_relaxed);
}

static enum event_kind move_event(const struct move *move)
{
    return move->kind == MOVE_DRAIN ? EVENT_DRAIN : EVENT_REBALANCE;
}

/* "chat/app01" or "chat" */
static const char *move_name(const struct move *move, char out[static 128])
{
    bool drain = move->kind == MOVE_DRAIN;
    snprintf(out, 128, "%s%s%s", move->backend, drain ? "/" : "",
             drain ? move->leaving[0].server : "");
    return out;
}

static int64_t interval_us(const struct move *move)
{
    return move->rate.per_ms * 1000 / move->rate.events;
}

/* ---- its end ---- */

static void move_unmark(struct move *move)
{
    struct backend *backend = move_backend(move);
    for (size_t i = 0; backend && i < move->leaving_count; i++) {
        struct server *server = server_named(backend, move->leaving[i].server);
        int why = (int)move->kind;
        if (server)
            atomic_compare_exchange_strong(&server->moving, &why, MOVE_NONE);
    }
}

/* A server that was drained stays marked until its state is set (lb/operate): no cookie may lead new
 * sessions there. */
static void move_end_as(struct move *move, const char *why, bool drained)
{
    char name[128];
    if (!move->running)
        return;
    move->running = false;
    move->ended = why;
    move->waits = NULL;
    move->left = 0;
    move->ended_wall_ms = clock_wall_ms();
    if (!drained)
        move_unmark(move);
    loop_timer_stop(move->moves->loop, &move->timer);
    for (size_t i = 0; i < move->leaving_count; i++)
        move_source_fini(&move->leaving[i].source);
    const char *kind = move->kind == MOVE_DRAIN ? "drain" : "rebalance";
    log_info("%s %s ended: %s moved=%lld", kind, move_name(move, name), why,
             (long long)move->moved);
    events_add(move->moves->serving, move_event(move), "%s of %s ended: %s, %lld moved", kind, name,
               why, (long long)move->moved);
}

static void move_end(struct move *move, const char *why)
{
    move_end_as(move, why, false);
}

static void move_free(struct move *move)
{
    for (size_t i = 0; i < move->leaving_count; i++) {
        move_source_fini(&move->leaving[i].source);
        free(move->leaving[i].server);
    }
    list_remove(&move->node);
    free(move->leaving);
    free(move->backend);
    free(move);
}

/* ---- when nothing may move ---- */

static bool somewhere_to_go(const struct backend *backend, const struct server *except)
{
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct server *server = backend->servers[i];
        if (server != except && server_takes_sessions(backend, server))
            return true;
    }
    return false;
}

static const char *any_move_waits(const struct move *move)
{
    const struct serving *serving = move->moves->serving;
    if (atomic_load_explicit(&serving->moves_held, memory_order_relaxed))
        return "a Redis failover is on";
    return NULL;
}

static const char *drain_waits(const struct move *move, const struct backend *backend,
                               const struct server *server)
{
    if (is_down(server))
        return "the server is down";
    if (!somewhere_to_go(backend, server))
        return "no other server takes sessions";
    return any_move_waits(move);
}

static const char *rebalance_waits(const struct move *move, const struct backend *backend)
{
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct server *server = backend->servers[i];
        if (is_down(server) && admin_of(server) == SERVER_READY && !server->config->opt.backup)
            return "a server is down";
        if (server_held(backend, server))
            return "a server has not followed Redis";
    }
    return any_move_waits(move);
}

/* ---- kicking ---- */

static void move_schedule(struct move *move, int64_t after_ms)
{
    loop_timer_start(move->moves->loop, &move->timer, after_ms);
}

static void move_restart_grid(struct move *move)
{
    move->due_us = move->next_us = move->moves->loop->now_us;
}

static void move_advance(struct move *move)
{
    int64_t interval = interval_us(move);
    int64_t late_us = move->moves->loop->now_us - CATCH_UP_MS * INT64_C(1000);
    move->due_us = (move->due_us > late_us ? move->due_us : late_us) + interval;
    // From 40 % of an interval before the line to 40 % behind it.
    int64_t room = interval * 4 / 5;
    int64_t at = room > 0 ? (int64_t)rng_below(&move->moves->rng, (uint64_t)room + 1) : 0;
    move->next_us = move->due_us - room / 2 + at;
}

/* Whose turn is it? NULL: nobody's quota is left. */
static struct leaving *move_turn(struct move *move)
{
    struct leaving *best = NULL;
    if (move->kind == MOVE_DRAIN)
        return &move->leaving[0];
    for (size_t i = 0; i < move->leaving_count; i++) {
        struct leaving *leaving = &move->leaving[i];
        if (leaving->quota > 0 && (!best || leaving->quota > best->quota))
            best = leaving;
    }
    return best;
}

/* Looks for further sessions of it, now or soon. */
static void leaving_look(struct move *move, struct leaving *leaving, const struct server *server)
{
    int64_t wait_ms = leaving->source.asked_ms + LOOK_MS - move->moves->loop->now_ms;
    if (move_source_looks(&leaving->source))
        return; // Its answer goes on.
    if (wait_ms > 0)
        move_schedule(move, wait_ms);
    else
        move_source_look(&leaving->source, server);
}

/* Kicks what is due. False: it cannot go on before somebody has been found. */
static bool move_kick_due(struct move *move, const struct backend *backend)
{
    struct moves *moves = move->moves;
    struct kicks kicks = {.count = 0};
    struct leaving *starved = NULL;
    while (move->next_us <= moves->loop->now_us && kicks.count < array_len(kicks.list)) {
        struct leaving *leaving = move_turn(move);
        struct server *server = leaving ? server_named(backend, leaving->server) : NULL;
        if (!server)
            break;
        if (!move_source_take(&leaving->source, server, &kicks)) {
            starved = leaving;
            break;
        }
        leaving->quota--;
        move->moved++;
        move_advance(move);
    }
    kicks_post(&kicks, moves->serving, backend->sids, move->kind);
    if (!starved)
        return true;
    move_restart_grid(move);
    leaving_look(move, starved, server_named(backend, starved->server));
    return false;
}

/* Until the next kick; not so long that a changed state would go unnoticed. */
static void move_sleep(struct move *move)
{
    int64_t wait_ms = (move->next_us - move->moves->loop->now_us + 999) / 1000;
    move_schedule(move, wait_ms < 0 ? 0 : wait_ms < WAIT_MS ? wait_ms : WAIT_MS);
}

/* ---- a drain ---- */

static void drain_step(struct move *move, struct backend *backend)
{
    struct server *server = server_named(backend, move->leaving[0].server);
    if (!server) {
        move_end(move, "the server is no longer configured");
        return;
    }
    if (server->config && admin_of(server) != SERVER_DRAIN) {
        move_end(move, "its state was set");
        return;
    }
    move->left = server_load(server);
    if (move->left == 0) {
        move_end_as(move, "all sessions have left", true);
        return;
    }
    move->waits = drain_waits(move, backend, server);
    if (move->waits) {
        move_restart_grid(move);
        move_schedule(move, WAIT_MS);
    } else if (move_kick_due(move, backend)) {
        move_sleep(move);
    }
}

/* ---- a rebalance ---- */

/* Sets the quotas. Servers that are new to the move get their place in it. */
static void round_begin(struct move *move, struct backend *backend, const struct spread *spread)
{
    for (size_t i = 0; i < move->leaving_count; i++) {
        struct leaving *leaving = &move->leaving[i];
        struct server *server = server_named(backend, leaving->server);
        leaving->quota = server ? spread_excess(spread, server) : 0;
        if (server)
            atomic_store(&server->moving, leaving->quota > 0 ? MOVE_REBALANCE : MOVE_NONE);
    }
    move->settling = false;
    move->round_total = spread->sessions;
    move->round_worst = spread->worst;
}

static void round_settle(struct move *move)
{
    move->settling = true;
    move->settle_since_ms = move->moves->loop->now_ms;
}

/* Have those who left come back? */
static bool round_settled(const struct move *move, const struct spread *spread)
{
    int64_t since_ms = move->moves->loop->now_ms - move->settle_since_ms;
    bool back = spread->sessions * 100 >= move->round_total * 98;
    return since_ms >= SETTLE_LATE_MS || (back && since_ms >= SETTLE_MS);
}

/* Between two rounds. */
static void rebalance_look(struct move *move, struct backend *backend)
{
    struct spread spread;
    spread_measure(&spread, backend);
    move->left = spread.excess;
    if (spread.servers < 2) {
        move->waits = "there are not two servers that take sessions";
    } else if (!round_settled(move, &spread)) {
        move->waits = NULL;
    } else if ((spread.even || spread.excess == 0) && !spread.growing) {
        move_end(move, "every server has its share");
        return;
    } else {
        if (spread.growing || spread.worst < move->round_worst * 0.9)
            move->fruitless = 0;
        else
            move->fruitless++;
        if (move->fruitless > FRUITLESS_ROUNDS) {
            move_end(move, "sessions come back to where they were");
            return;
        }
        if (spread.excess > 0) {
            round_begin(move, backend, &spread);
            move_restart_grid(move);
        } else {
            round_settle(move);
        }
    }
    move_schedule(move, move->settling ? WAIT_MS : 0);
}

/* A server whose sessions have gone by themselves loses no more. */
static void quotas_trim(struct move *move, const struct backend *backend)
{
    struct spread spread;
    spread_measure(&spread, backend);
    // Those who are on their way count as before.
    if (spread.sessions < move->round_total)
        spread.sessions = move->round_total;
    move->left = 0;
    for (size_t i = 0; i < move->leaving_count; i++) {
        struct leaving *leaving = &move->leaving[i];
        const struct server *server = server_named(backend, leaving->server);
        int64_t excess = server && spread.weight > 0 ? spread_excess(&spread, server) : 0;
        if (leaving->quota > excess)
            leaving->quota = excess;
        move->left += leaving->quota;
    }
}

static void rebalance_step(struct move *move, struct backend *backend)
{
    move->waits = rebalance_waits(move, backend);
    if (move->waits) {
        move_restart_grid(move);
        move_schedule(move, WAIT_MS);
        return;
    }
    if (move->settling) {
        rebalance_look(move, backend);
        return;
    }
    quotas_trim(move, backend);
    if (!move_turn(move)) {
        round_settle(move);
        move_schedule(move, WAIT_MS);
    } else if (move_kick_due(move, backend)) {
        move_sleep(move);
    }
}

static void move_step(struct timer *timer)
{
    struct move *move = container_of(timer, struct move, timer);
    struct backend *backend = move_backend(move);
    if (atomic_load(&move->moves->serving->stopping))
        move_end(move, "limpet stops");
    else if (!backend)
        move_end(move, "the backend is no longer configured");
    else if (move->kind == MOVE_DRAIN)
        drain_step(move, backend);
    else
        rebalance_step(move, backend);
}

/* move_source's `ready` */
static void move_go_on(void *ctx)
{
    struct move *move = ctx;
    if (move->running)
        move_schedule(move, 0);
}

/* ---- beginning ---- */

static struct move *move_find(struct moves *moves, enum move_reason kind, const char *backend,
                              const char *server)
{
    list_each(node, &moves->list)
    {
        struct move *move = container_of(node, struct move, node);
        if (move->kind == kind && strcmp(move->backend, backend) == 0 &&
            (!server || strcmp(move->leaving[0].server, server) == 0))
            return move;
    }
    return NULL;
}

static struct move *move_new(struct moves *moves, enum move_reason kind,
                             const struct backend *backend, const struct server *server)
{
    struct move *move = mem_must_alloc(sizeof(*move));
    *move = (struct move){.moves = moves, .kind = kind, .running = true};
    move->backend = mem_must_copy(backend->name);
    move->leaving_count = server ? 1 : backend->server_count;
    move->leaving = mem_must_alloc((move->leaving_count + 1) * sizeof(*move->leaving));
    for (size_t i = 0; i < move->leaving_count; i++) {
        struct leaving *leaving = &move->leaving[i];
        leaving->server = mem_must_copy(server ? server->name : backend->servers[i]->name);
        move_source_init(&leaving->source, moves->serving, moves->loop, move_go_on, move);
    }
    move->began_wall_ms = clock_wall_ms();
    timer_init(&move->timer, move_step);
    list_push_back(&moves->list, &move->node);
    return move;
}

static const char *rate_refused(const struct rate *rate)
{
    if (rate && (rate->events <= 0 || rate->per_ms <= 0))
        return "The rate must be more than 0.";
    if (rate && rate->events * 1000 / rate->per_ms > MOVE_RATE_MAX)
        return "The rate is too high.";
    return NULL;
}

/* One that runs gets the rate; else a new one takes the place of one that ended. */
static const char *move_begin(struct moves *moves, enum move_reason kind,
                              const struct backend *backend, const struct server *server,
                              const struct rate *rate, const char *by)
{
    char name[128];
    if (moves->stopped || atomic_load(&moves->serving->stopping))
        return "limpet is stopping.";
    struct move *move = move_find(moves, kind, backend->name, server ? server->name : NULL);
    if (move && !move->running) {
        move_free(move);
        move = NULL;
    }
    bool begins = !move;
    if (begins)
        move = move_new(moves, kind, backend, server);
    if (rate)
        move->rate = *rate;
    else if (begins)
        move->rate = (struct rate){MOVE_RATE_DEFAULT, 1000};
    move_restart_grid(move);
    if (begins) {
        // As if a round had just ended, and everybody were back.
        move->settling = true;
        move->settle_since_ms = moves->loop->now_ms - SETTLE_LATE_MS;
        move->round_worst = 1e9;
    }
    move_schedule(move, 0);
    const char *what = kind == MOVE_DRAIN ? "drain" : "rebalance";
    log_info("%s %s %s rate=%lld/%lldms by=\"%s\"", what, move_name(move, name),
             begins ? "begins" : "has another rate", (long long)move->rate.events,
             (long long)move->rate.per_ms, by);
    events_add(moves->serving, move_event(move), "%s of %s %s, %lld sessions per %lld ms (%s)",
               what, name, begins ? "begins" : "goes on", (long long)move->rate.events,
               (long long)move->rate.per_ms, by);
    return NULL;
}

const char *moves_drain(struct moves *moves, struct server *server, const struct rate *rate,
                        const char *by)
{
    const char *error = rate_refused(rate);
    if (error)
        return error;
    error = move_begin(moves, MOVE_DRAIN, server->backend, server, rate, by);
    if (error)
        return error;
    operate_server_admin(moves->serving, server, SERVER_DRAIN, by);
    atomic_store(&server->moving, MOVE_DRAIN);
    return NULL;
}

const char *moves_rebalance(struct moves *moves, struct backend *backend, const struct rate *rate,
                            const char *by)
{
    const char *error = rate_refused(rate);
    return error ? error : move_begin(moves, MOVE_REBALANCE, backend, NULL, rate, by);
}

const char *moves_rebalance_stop(struct moves *moves, struct backend *backend, const char *by)
{
    struct move *move = move_find(moves, MOVE_REBALANCE, backend->name, NULL);
    (void)by;
    if (!move || !move->running)
        return "There is no rebalance.";
    move_end(move, "stopped by command");
    return NULL;
}

/* ---- looking ---- */

static void move_describe(const struct move *move, struct move_status *out)
{
    *out = (struct move_status){
        .kind = move->kind,
        .backend = move->backend,
        .server = move->kind == MOVE_DRAIN ? move->leaving[0].server : NULL,
        .running = move->running,
        .waits = move->waits,
        .ended = move->ended,
        .rate = move->rate,
        .moved = move->moved,
        .left = move->left,
        .eta_ms = move->running && !move->waits ? move->left * interval_us(move) / 1000 : -1,
        .began_wall_ms = move->began_wall_ms,
        .ended_wall_ms = move->ended_wall_ms,
    };
}

bool moves_status(struct moves *moves, size_t i, struct move_status *out)
{
    list_each(node, &moves->list)
    {
        if (i-- == 0) {
            move_describe(container_of(node, struct move, node), out);
            return true;
        }
    }
    return false;
}

bool moves_drain_status(struct moves *moves, const struct server *server, struct move_status *out)
{
    struct move *move = move_find(moves, MOVE_DRAIN, server->backend->name, server->name);
    if (move)
        move_describe(move, out);
    return move != NULL;
}

bool moves_rebalance_status(struct moves *moves, const struct backend *backend,
                            struct move_status *out)
{
    struct move *move = move_find(moves, MOVE_REBALANCE, backend->name, NULL);
    if (move)
        move_describe(move, out);
    return move != NULL;
}

/* ---- life ---- */

struct moves *moves_new(struct serving *serving, struct loop *loop)
{
    struct moves *moves = mem_must_alloc(sizeof(*moves));
    *moves = (struct moves){.serving = serving, .loop = loop};
    rng_seed_from_system(&moves->rng);
    list_init(&moves->list);
    return moves;
}

void moves_stop(struct moves *moves)
{
    moves->stopped = true;
    list_each_safe(node, &moves->list)
    {
        struct move *move = container_of(node, struct move, node);
        move_end(move, "limpet stops");
        move_free(move);
    }
}

void moves_free(struct moves *moves)
{
    free(moves);
}
