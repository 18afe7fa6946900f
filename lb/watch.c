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
 * Another configuration makes the checks of all backends anew, and they go on where the old ones
 * were; what is watched of a server stays. A server that is leaving is not checked any more: a
 * connection that fails takes it down for good, so that its sessions move on.
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
#include "lb/events.h"
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

enum notice_bit {
    NOTICE_ADDR = 1,
    NOTICE_DOWN = 2,
    NOTICE_UP = 4, /* somebody who waits may be served now */
    NOTICE_MAINT = 8,
    NOTICE_END = 16, /* end its sessions */
};

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
    struct health *health; /* its backend's; NULL: it is leaving, or gone */
    size_t index;          /* there */
    struct report report;
    struct notice *notices; /* per worker */
    struct timer slow;
    int slow_step;

    struct resolve ask; /* the resolver's while `asking` */
    struct timer ask_again;
    pthread_mutex_t addr_lock;
    struct addr addr; /* what the notices carry */
    bool named, asking, answered, resolved, failing;
    bool other_name; /* it got another one while the resolver was asked */
    bool forgotten;  /* the server is freed; this goes with the resolver's answer */
    bool pinned;     /* an operator gave the address */
    bool checks_off; /* by an operator */
};

struct watched_backend {
    struct watch *watch;
    struct backend *backend;
    struct health *health;
    struct server **servers; /* as checked: by health's index */
    size_t count;
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
    (void)watch;
    return server->watched;
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
    if (what & NOTICE_MAINT)
        flow_server_maint(worker, watched->server);
    if (what & NOTICE_END)
        flow_server_end(worker, watched->server);
    if (what & NOTICE_UP)
        flow_place_free(worker, watched->server->home);
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
    int64_t full = (int64_t)atomic_load(&watched->server->weight) * SERVER_WEIGHT_SCALE;
    int64_t now = full * step / SLOW_STEPS;
    if (now == 0 && full > 0)
        now = 1;
    atomic_store_explicit(&watched->server->weight_now, (int)now, memory_order_relaxed);
}

static void watched_grow(struct timer *timer)
{
    struct watched *watched = container_of(timer, struct watched, slow);
    if (watched->slow_step < SLOW_STEPS)
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
    struct watched *watched = local->servers[index]->watched;
    if (watched->named && !watched->resolved)
        return;
    events_add(local->watch->serving, EVENT_HEALTH, "%s/%s is %s: %s", local->backend->name,
               watched->server->name, now == HEALTH_DOWN ? "down" : "up", why);
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
        if (!watched->health) {
            if (count > 0 && event != HEALTH_EVENT_RESPONSE)
                watched_set_health(watched, SERVER_DOWN);
            continue;
        }
        for (unsigned i = 0; i < count && i < REPORTS_MAX; i++)
            health_report(watched->health, watched->index, (enum health_event)event);
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

/* From here on it is found there; checks start over. */
static void watched_move(struct watched *watched, const struct addr *addr)
{
    struct server *server = watched->server;
    pthread_mutex_lock(&watched->addr_lock);
    watched->addr = *addr;
    pthread_mutex_unlock(&watched->addr_lock);
    server->addr = *addr;
    server->addr_known = true;
    health_set_addr(watched->health, watched->index, addr);
    watched_notify(watched, NOTICE_ADDR);
    if (watched->resolved)
        return;
    watched->resolved = true;
    const struct health_status *status = health_status(watched->health, watched->index);
    watched_set_health(watched, health_of(status->state));
}

static void watched_set_addr(struct watched *watched, const struct addr *addr)
{
    const struct server *server = watched->server;
    char text[ADDR_TEXT_MAX];
    log_info("server has an address server=%s/%s name=%s address=%s", server->backend->name,
             server->name, watched->ask.host, addr_format(addr, text));
    watched_move(watched, addr);
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

static void watched_free(struct watched *watched)
{
    pthread_mutex_destroy(&watched->addr_lock);
    free(watched->notices);
    free(watched);
}

static void watched_set_host(struct watched *watched)
{
    const struct endpoint *endpoint = &watched->server->config->endpoint;
    watched->ask.port = endpoint->port;
    span_to_str(span_str(endpoint->host), watched->ask.host, sizeof(watched->ask.host));
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
    if (watched->forgotten) {
        watched_free(watched);
        return;
    }
    if (watch->stopped || !watched->health)
        return;
    if (watched->other_name) {
        watched->other_name = false;
        watched_set_host(watched);
        watched_ask(&watched->ask_again);
        return;
    }
    if (!watched->answered)
        watch->names_pending--;
    watched->answered = true;
    if (watched->pinned)
        return;
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
    if (!watch->resolver)
        watch->resolver = resolver_new();
    if (!watch->resolver)
        return false;
    watched->named = true;
    watch->names_pending++;
    watched->ask.letter.deliver = watched_answer;
    watched->ask.reply_to = &watch->loop->mailbox;
    watched_set_host(watched);
    atomic_store(&watched->server->health, SERVER_DOWN);
    watched_ask(&watched->ask_again);
    return true;
}

/* ---- life ---- */

static bool watched_new(struct watch *watch, struct server *server, struct health *health)
{
    unsigned worker_count = watch->serving->worker_count;
    struct watched *watched = mem_must_alloc(sizeof(*watched));
    server->watched = watched;
    watched->watch = watch;
    watched->server = server;
    watched->health = health;
    watched->report.letter.deliver = report_deliver;
    watched->notices = mem_must_alloc(worker_count * sizeof(*watched->notices));
    for (unsigned i = 0; i < worker_count; i++) {
        watched->notices[i].letter.deliver = notice_deliver;
        watched->notices[i].watched = watched;
    }
    watched->slow_step = SLOW_STEPS;
    timer_init(&watched->slow, watched_grow);
    timer_init(&watched->ask_again, watched_ask);
    pthread_mutex_init(&watched->addr_lock, NULL);
    if (server->config->endpoint.kind == ENDPOINT_NAME)
        return watched_name(watched);
    if (atomic_load(&server->health) == SERVER_DOWN) // A predecessor found that out.
        health_begin_down(health, server->index);
    health_set_addr(health, server->index, &server->addr);
    if (atomic_load(&server->admin) == SERVER_MAINT)
        health_pause(health, server->index, true);
    return true;
}

static void watched_stop(struct watched *watched)
{
    loop_timer_stop(watched->watch->loop, &watched->slow);
    loop_timer_stop(watched->watch->loop, &watched->ask_again);
    if (watched->named && !watched->answered)
        watched->watch->names_pending--;
    watched->answered = true;
    watched->health = NULL;
}

/* The checks of a backend, going on where those of `old` are (NULL: there are none). */
static bool watched_backend_init(struct watched_backend *local, struct shelf *shelf)
{
    struct watch *watch = local->watch;
    struct backend *backend = local->backend;
    local->health = health_new(watch->loop, shelf, &watch->rng, backend->config, watch_verdict,
                               local);
    if (!local->health)
        return false;
    if (backend->tls)
        health_use_tls(local->health, backend->tls);
    local->count = backend->server_count;
    local->servers = mem_must_alloc((local->count + 1) * sizeof(struct server *));
    for (size_t i = 0; i < backend->server_count; i++) {
        local->servers[i] = backend->servers[i];
        struct server *server = backend->servers[i];
        struct watched *watched = server->watched;
        if (!watched && !watched_new(watch, server, local->health))
            return false;
        if (!watched || !watched->health)
            continue;
        health_adopt(local->health, i, watched->health, watched->index);
        watched->health = local->health;
    }
    for (size_t i = 0; i < backend->server_count; i++)
        backend->servers[i]->watched->index = i;
    return true;
}

static bool watch_backends_init(struct watch *watch, struct shelf *shelf)
{
    struct snapshot *snapshot = watch->serving->snapshot;
    watch->backends = mem_must_alloc(snapshot->backend_count * sizeof(*watch->backends));
    watch->backend_count = 0;
    for (; watch->backend_count < snapshot->backend_count; watch->backend_count++) {
        struct watched_backend *local = &watch->backends[watch->backend_count];
        local->watch = watch;
        local->backend = snapshot->backends[watch->backend_count];
        if (!watched_backend_init(local, shelf))
            return false;
    }
    return true;
}

struct watch *watch_new(struct serving *serving, struct loop *loop, struct shelf *shelf)
{
    struct watch *watch = mem_must_alloc(sizeof(*watch));
    watch->serving = serving;
    watch->loop = loop;
    rng_seed_from_system(&watch->rng);
    return watch_backends_init(watch, shelf) ? watch : NULL; // The process ends with start-up.
}

/* ---- another configuration ---- */

static void watched_pause(struct watched *watched)
{
    bool maint = atomic_load(&watched->server->admin) == SERVER_MAINT;
    health_pause(watched->health, watched->index, maint || watched->checks_off);
}

/* A server whose checks have a new shape, or that came back: the state that follows. */
static void watched_take_state(struct watched *watched)
{
    enum health_state state = health_status(watched->health, watched->index)->state;
    if (!watched->named || watched->resolved)
        watched_set_health(watched, health_of(state));
}

static void watched_take_address(struct watched *watched)
{
    const struct endpoint *endpoint = &watched->server->config->endpoint;
    watched->pinned = false;
    loop_timer_stop(watched->watch->loop, &watched->ask_again);
    watched->named = endpoint->kind == ENDPOINT_NAME;
    if (!watched->named) {
        watched->resolved = true;
        watched->other_name = false;
        watched_move(watched, &endpoint->addr);
        return;
    }
    watched->resolved = watched->server->addr_known; // The old address, until there is an answer.
    watched->other_name = watched->asking;
    if (watched->asking)
        return;
    struct watch *watch = watched->watch;
    if (!watch->resolver)
        watch->resolver = resolver_new();
    watched->ask.letter.deliver = watched_answer;
    watched->ask.reply_to = &watch->loop->mailbox;
    watched->answered = true; // Nobody waits for it.
    watched_set_host(watched);
    if (watch->resolver)
        watched_ask(&watched->ask_again);
}

void watch_change(struct watch *watch, struct shelf *shelf)
{
    struct watched_backend *old = watch->backends;
    size_t old_count = watch->backend_count;
    // Whoever is not configured any more is not checked; some of them are found again below.
    watch_backends_init(watch, shelf);
    for (size_t i = 0; i < watch->backend_count; i++) {
        struct backend *backend = watch->backends[i].backend;
        for (size_t k = 0; k < backend->server_count; k++) {
            struct watched *watched = backend->servers[k]->watched;
            if (!watched->health) { // It was leaving, and is back.
                watched->health = watch->backends[i].health;
                watched_take_address(watched);
            }
            watched_pause(watched);
            watched_take_state(watched);
        }
    }
    for (size_t i = 0; i < old_count; i++) {
        for (size_t k = 0; k < old[i].count; k++) {
            if (old[i].servers[k]->watched->health == old[i].health)
                watched_stop(old[i].servers[k]->watched);
        }
        health_free(old[i].health);
        free(old[i].servers);
    }
    free(old);
}

void watch_address_changed(struct watch *watch, struct server *server)
{
    watched_take_address(watched_of(watch, server));
}

void watch_forget(struct watch *watch, struct server *server)
{
    struct watched *watched = server->watched;
    (void)watch;
    if (!watched)
        return;
    server->watched = NULL;
    if (watched->health)
        watched_stop(watched);
    watched->server = NULL;
    watched->forgotten = true;
    if (!watched->asking)
        watched_free(watched);
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
    return health_status(watched_of(watch, server)->health, watched_of(watch, server)->index);
}

/* ---- an operator's wishes ---- */

void watch_admin_changed(struct watch *watch, struct server *server, enum server_admin before)
{
    struct watched *watched = watched_of(watch, server);
    watched_pause(watched);
    switch ((enum server_admin)atomic_load(&server->admin)) {
    case SERVER_MAINT:
        loop_timer_stop(watch->loop, &watched->slow);
        watched_notify(watched, NOTICE_MAINT);
        return;
    case SERVER_READY:
        if (before == SERVER_MAINT)
            watched_start_slowly(watched);
        watched_notify(watched, NOTICE_UP);
        return;
    case SERVER_DRAIN:
        if (before == SERVER_MAINT)
            watched_set_weight(watched, SLOW_STEPS);
        return;
    }
}

void watch_weight_changed(struct watch *watch, struct server *server)
{
    struct watched *watched = watched_of(watch, server);
    watched_set_weight(watched, watched->slow_step);
    watched_notify(watched, NOTICE_UP);
}

void watch_limit_changed(struct watch *watch, struct server *server)
{
    watched_notify(watched_of(watch, server), NOTICE_UP);
}

void watch_force_health(struct watch *watch, struct server *server, bool up)
{
    struct watched *watched = watched_of(watch, server);
    bool checked = server->backend->config->health_kind != HEALTH_NONE;
    enum health_state state = !up ? HEALTH_DOWN : checked ? HEALTH_UP : HEALTH_UNCHECKED;
    health_force(watched->health, watched->index, state);
}

bool watch_set_checks(struct watch *watch, struct server *server, bool enabled)
{
    struct watched *watched = watched_of(watch, server);
    if (server->backend->config->health_kind == HEALTH_NONE)
        return false;
    watched->checks_off = !enabled;
    watched_pause(watched);
    return true;
}

bool watch_checks(const struct watch *watch, const struct server *server)
{
    return server->backend->config->health_kind != HEALTH_NONE &&
           !watched_of(watch, server)->checks_off;
}

void watch_set_addr(struct watch *watch, struct server *server, const struct addr *addr)
{
    struct watched *watched = watched_of(watch, server);
    loop_timer_stop(watch->loop, &watched->ask_again);
    if (watched->named && !watched->pinned && !watched->answered)
        watch->names_pending--;
    watched->pinned = watched->answered = true;
    watched_move(watched, addr);
}

void watch_end_sessions(struct watch *watch, struct server *server)
{
    watched_notify(watched_of(watch, server), NOTICE_END);
}

void watch_stop(struct watch *watch)
{
    watch->stopped = true;
    watch->tells_workers = false;
    struct snapshot *snapshot = watch->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count; k++)
            watched_stop(backend->servers[k]->watched);
    }
    for (size_t i = 0; i < watch->backend_count; i++)
        health_free(watch->backends[i].health);
    if (watch->resolver)
        resolver_free(watch->resolver);
}

void watch_free(struct watch *watch)
{
    struct snapshot *snapshot = watch->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            watched_free(backend->servers[k]->watched);
            backend->servers[k]->watched = NULL;
        }
    }
    for (size_t i = 0; i < watch->backend_count; i++)
        free(watch->backends[i].servers);
    free(watch->backends);
    free(watch);
}
