// SPDX-License-Identifier: Apache-2.0
/*
 * Between health checks and traffic.
 *
 *     health ── verdict ──►┐                  ┌─► server->health, weight_now (atomics: all see them)
 *     resolver ─ address ─►│  struct watched ─┤
 *     workers ── reports ─►┘  (one per server)└─► notices ─► each worker: tunnels end, the queue is
 *                                                             tried, the new address is used
 *
 * Letters are never allocated and never pile up. A report (worker → control) counts events and has
 * one letter that is under way while there are any; a notice (control → one worker) is a set of
 * bits with one letter likewise. So a server that fails a thousand times a second costs control one
 * letter per turn.
 *
 * A server whose name is not resolved yet is down, whatever the checks (which have not begun) say.
 * An address that was found stays in use until it is no longer among the answers: neither a name
 * server that is away nor one that turns its list round changes anything.
 *
 * A server that comes up grows to its full weight in SLOW_STEPS steps over slow_start; at process
 * start all begin with theirs.
 */
#include "lb/watch.h"

#include "base/clock.h"
#include "lb/flow.h"
#include "lb/upstream.h"

#include <stdlib.h>

enum {
    SLOW_STEPS = 20,
    RESOLVE_AGAIN_MS = 30000, /* a name that has an address */
    RESOLVE_RETRY_MS = 2000,  /* a name that has none yet */
    REPORTS_MAX = 1000,       /* events of one kind passed on per letter: no `fall` needs more */
    HEALTH_EVENTS = HEALTH_EVENT_RESPONSE + 1,
};

enum notice_bit { NOTICE_ADDR = 1, NOTICE_DOWN = 2, NOTICE_UP = 4 };

/* Control to one worker, about one server. */
struct notice {
    struct letter letter;
    _Atomic unsigned what; /* enum notice_bit */
    struct watched *watched;
};

/* Any worker to control, about one server. */
struct report {
    struct letter letter;
    atomic_bool under_way;
    _Atomic unsigned count[HEALTH_EVENTS];
};

struct watched {
    struct watch *watch;
    struct server *server;
    struct health *health; /* its backend's */
    struct report report;
    struct notice *notices; /* per worker */
    struct timer slow;
    int slow_step;

    struct resolve ask; /* the resolver's while `asking` */
    struct timer ask_again;
    pthread_mutex_t addr_lock;
    struct addr addr; /* what the notices carry */
    bool named, asking, answered, resolved, failing;
};

struct watched_backend {
    struct watch *watch;
    struct backend *backend;
    struct health *health;
    struct watched *servers;
};

struct watch {
    struct serving *serving;
    struct loop *loop;
    struct resolver *resolver; /* NULL: no names */
    struct rng rng;
    struct watched_backend *backends;
    size_t backend_count;
    size_t names_pending; /* never answered yet */
    size_t names_asked;   /* at the resolver now */
    bool tells_workers, stopped;
};

static struct watched *watched_of(const struct watch *watch, const struct server *server)
{
    return &watch->backends[server->backend->index].servers[server->index];
}

/* ---- to the workers ---- */

static void notice_deliver(struct letter *letter, void *receiver)
{
    struct worker *worker = receiver;
    struct notice *notice = container_of(letter, struct notice, letter);
    struct watched *watched = notice->watched;
    unsigned what = atomic_exchange(&notice->what, 0);
    if (what & NOTICE_ADDR) {
        pthread_mutex_lock(&watched->addr_lock);
        struct addr addr = watched->addr;
        pthread_mutex_unlock(&watched->addr_lock);
        upstream_set_addr(worker, watched->server, &addr);
    }
    if (what & NOTICE_DOWN)
        flow_server_down(worker, watched->server);
    if (what & NOTICE_UP)
        flow_place_free(worker, watched->server->backend);
}

static void watched_notify(struct watched *watched, unsigned what)
{
    struct watch *watch = watched->watch;
    if (!watch->tells_workers)
        return;
    for (unsigned i = 0; i < watch->serving->worker_count; i++) {
        struct notice *notice = &watched->notices[i];
        if (atomic_fetch_or(&notice->what, what) == 0)
            mailbox_post(&watch->serving->workers[i].loop.mailbox, &notice->letter);
    }
}

/* ---- weight ---- */

static void watched_set_weight(struct watched *watched, int step)
{
    int64_t full = watched->server->config->opt.weight * SERVER_WEIGHT_SCALE;
    int64_t now = full * step / SLOW_STEPS;
    if (now == 0 && full > 0)
        now = 1;
    atomic_store_explicit(&watched->server->weight_now, (int)now, memory_order_relaxed);
}

static void watched_grow(struct timer *timer)
{
    struct watched *watched = container_of(timer, struct watched, slow);
    watched->slow_step++;
    watched_set_weight(watched, watched->slow_step);
    if (watched->slow_step < SLOW_STEPS)
        loop_timer_start(watched->watch->loop, timer,
                         watched->server->backend->config->opt.slow_start_ms / SLOW_STEPS);
}

static void watched_start_slowly(struct watched *watched)
{
    bool slowly = watched->server->backend->config->opt.slow_start_ms > 0;
    watched->slow_step = slowly ? 1 : SLOW_STEPS;
    watched_set_weight(watched, watched->slow_step);
    if (slowly)
        loop_timer_start(watched->watch->loop, &watched->slow,
                         watched->server->backend->config->opt.slow_start_ms / SLOW_STEPS);
}

/* ---- verdicts ---- */

static enum server_health health_of(enum health_state state)
{
    switch (state) {
    case HEALTH_UP:
        return SERVER_UP;
    case HEALTH_DOWN:
        return SERVER_DOWN;
    case HEALTH_UNCHECKED:
        return SERVER_UNCHECKED;
    }
    return SERVER_DOWN;
}

static void watched_set_health(struct watched *watched, enum server_health now)
{
    struct server *server = watched->server;
    enum server_health old = (enum server_health)atomic_exchange(&server->health, (int)now);
    if (old == now)
        return;
    atomic_store_explicit(&server->changed_ms, clock_wall_ms(), memory_order_relaxed);
    if (now == SERVER_DOWN) {
        loop_timer_stop(watched->watch->loop, &watched->slow);
        watched_notify(watched, NOTICE_DOWN);
    } else if (old == SERVER_DOWN) {
        watched_notify(watched, NOTICE_UP);
    }
}

/* health_verdict_fn. health has logged the change. */
static void watch_verdict(void *ctx, size_t index, enum health_state old, enum health_state now,
                          const char *why)
{
    struct watched_backend *local = ctx;
    struct watched *watched = &local->servers[index];
    (void)why;
    if (watched->named && !watched->resolved)
        return;
    if (old == HEALTH_DOWN && now != HEALTH_DOWN)
        watched_start_slowly(watched);
    watched_set_health(watched, health_of(now));
}

static void report_deliver(struct letter *letter, void *receiver)
{
    struct report *report = container_of(letter, struct report, letter);
    struct watched *watched = container_of(report, struct watched, report);
    (void)receiver;
    // First the flag: an event that is counted from here on posts a letter of its own.
    atomic_store(&report->under_way, false);
    for (int event = 0; event < HEALTH_EVENTS; event++) {
        unsigned count = atomic_exchange(&report->count[event], 0);
        if (watched->watch->stopped)
            continue;
        for (unsigned i = 0; i < count && i < REPORTS_MAX; i++)
            health_report(watched->health, watched->server->index, (enum health_event)event);
    }
}

void watch_report(struct watch *watch, struct server *server, enum health_event event)
{
    struct report *report = &watched_of(watch, server)->report;
    atomic_fetch_add(&report->count[event], 1);
    if (!atomic_exchange(&report->under_way, true))
        mailbox_post(&watch->loop->mailbox, &report->letter);
}

/* ---- names ---- */

static void watched_ask(struct timer *timer)
{
    struct watched *watched = container_of(timer, struct watched, ask_again);
    watched->asking = true;
    watched->watch->names_asked++;
    watched->ask.prefer = watched->addr;
    resolver_ask(watched->watch->resolver, &watched->ask);
}

static void watched_set_addr(struct watched *watched, const struct addr *addr)
{
    struct server *server = watched->server;
    char text[ADDR_TEXT_MAX];
    log_info("server has an address server=%s/%s name=%s address=%s", server->backend->name,
             server->name, watched->ask.host, addr_format(addr, text));
    pthread_mutex_lock(&watched->addr_lock);
    watched->addr = *addr;
    pthread_mutex_unlock(&watched->addr_lock);
    server->addr = *addr;
    server->addr_known = true;
    health_set_addr(watched->health, server->index, addr);
    watched_notify(watched, NOTICE_ADDR);
    if (watched->resolved)
        return;
    watched->resolved = true;
    const struct health_status *status = health_status(watched->health, server->index);
    watched_set_health(watched, health_of(status->state));
}

static void watched_note_failure(struct watched *watched)
{
    if (watched->failing)
        return;
    const char *backend = watched->server->backend->name;
    if (watched->resolved)
        log_warning("a server's name cannot be resolved any more, its last address stays in use "
                    "server=%s/%s name=%s reason=\"%s\"",
                    backend, watched->server->name, watched->ask.host, watched->ask.error);
    else
        log_error("a server's name cannot be resolved, it gets no traffic until it can be "
                  "server=%s/%s name=%s reason=\"%s\"",
                  backend, watched->server->name, watched->ask.host, watched->ask.error);
}

/* The resolver's answer. */
static void watched_answer(struct letter *letter, void *receiver)
{
    struct resolve *ask = container_of(letter, struct resolve, letter);
    struct watched *watched = container_of(ask, struct watched, ask);
    struct watch *watch = watched->watch;
    (void)receiver;
    watched->asking = false;
    watch->names_asked--;
    if (watch->stopped)
        return;
    if (!watched->answered)
        watch->names_pending--;
    watched->answered = true;
    if (!ask->ok)
        watched_note_failure(watched);
    else if (!watched->resolved || !addr_eq(&ask->addr, &watched->addr))
        watched_set_addr(watched, &ask->addr);
    watched->failing = !ask->ok;
    loop_timer_start(watch->loop, &watched->ask_again,
                     watched->resolved ? RESOLVE_AGAIN_MS : RESOLVE_RETRY_MS);
}

static bool watched_name(struct watched *watched)
{
    struct watch *watch = watched->watch;
    const struct endpoint *endpoint = &watched->server->config->endpoint;
    if (!watch->resolver)
        watch->resolver = resolver_new();
    if (!watch->resolver)
        return false;
    watched->named = true;
    watch->names_pending++;
    watched->ask.letter.deliver = watched_answer;
    watched->ask.reply_to = &watch->loop->mailbox;
    watched->ask.port = endpoint->port;
    span_to_str(span_str(endpoint->host), watched->ask.host, sizeof(watched->ask.host));
    atomic_store(&watched->server->health, SERVER_DOWN);
    watched_ask(&watched->ask_again);
    return true;
}

/* ---- life ---- */

static bool watched_init(struct watched *watched, struct watched_backend *local, size_t index)
{
    struct watch *watch = local->watch;
    unsigned worker_count = watch->serving->worker_count;
    watched->watch = watch;
    watched->server = &local->backend->servers[index];
    watched->health = local->health;
    watched->report.letter.deliver = report_deliver;
    watched->notices = mem_must_alloc(worker_count * sizeof(*watched->notices));
    for (unsigned i = 0; i < worker_count; i++) {
        watched->notices[i].letter.deliver = notice_deliver;
        watched->notices[i].watched = watched;
    }
    timer_init(&watched->slow, watched_grow);
    timer_init(&watched->ask_again, watched_ask);
    pthread_mutex_init(&watched->addr_lock, NULL);
    if (watched->server->config->endpoint.kind == ENDPOINT_NAME)
        return watched_name(watched);
    health_set_addr(local->health, index, &watched->server->addr);
    return true;
}

static bool watched_backend_init(struct watched_backend *local, struct shelf *shelf)
{
    struct watch *watch = local->watch;
    struct backend *backend = local->backend;
    local->servers = mem_must_alloc(backend->server_count * sizeof(*local->servers));
    local->health = health_new(watch->loop, shelf, &watch->rng, backend->config, watch_verdict,
                               local);
    if (!local->health)
        return false;
    for (size_t i = 0; i < backend->server_count; i++) {
        if (!watched_init(&local->servers[i], local, i))
            return false;
    }
    return true;
}

struct watch *watch_new(struct serving *serving, struct loop *loop, struct shelf *shelf)
{
    struct snapshot *snapshot = serving->snapshot;
    struct watch *watch = mem_must_alloc(sizeof(*watch));
    watch->serving = serving;
    watch->loop = loop;
    rng_seed_from_system(&watch->rng);
    watch->backends = mem_must_alloc(snapshot->backend_count * sizeof(*watch->backends));
    for (; watch->backend_count < snapshot->backend_count; watch->backend_count++) {
        struct watched_backend *local = &watch->backends[watch->backend_count];
        local->watch = watch;
        local->backend = snapshot->backends[watch->backend_count];
        if (!watched_backend_init(local, shelf))
            return NULL; // Start-up ends here, and the process with it.
    }
    return watch;
}

void watch_tell_workers(struct watch *watch)
{
    watch->tells_workers = true;
}

size_t watch_names_pending(const struct watch *watch)
{
    return watch->names_pending;
}

bool watch_asks(const struct watch *watch)
{
    return watch->names_asked > 0;
}

const struct health_status *watch_health(const struct watch *watch, const struct server *server)
{
    return health_status(watched_of(watch, server)->health, server->index);
}

void watch_stop(struct watch *watch)
{
    watch->stopped = true;
    watch->tells_workers = false;
    for (size_t i = 0; i < watch->backend_count; i++) {
        struct watched_backend *local = &watch->backends[i];
        for (size_t k = 0; k < local->backend->server_count; k++) {
            loop_timer_stop(watch->loop, &local->servers[k].slow);
            loop_timer_stop(watch->loop, &local->servers[k].ask_again);
        }
        health_free(local->health);
    }
    if (watch->resolver)
        resolver_free(watch->resolver);
}

void watch_free(struct watch *watch)
{
    for (size_t i = 0; i < watch->backend_count; i++) {
        struct watched_backend *local = &watch->backends[i];
        for (size_t k = 0; k < local->backend->server_count; k++) {
            pthread_mutex_destroy(&local->servers[k].addr_lock);
            free(local->servers[k].notices);
        }
        free(local->servers);
    }
    free(watch->backends);
    free(watch);
}
