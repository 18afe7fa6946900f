// SPDX-License-Identifier: Apache-2.0
/*
 * The control thread is the serving process's first thread. It has a loop of its own and everything
 * on it that is not traffic: the line to the master (or the signals), the runtime API (admin), the
 * view of the servers (watch), the pacing of a stop (drain), and a housekeeping timer. It may be
 * slow for a moment; no client notices.
 *
 *     master ── line ──┐
 *     signals ─────────┤                  ┌─► drain ── orders ──► workers
 *     runtime API ─────┼──► this thread ──┤
 *     workers' reports ┤                  └─► watch ── notices ─► workers
 *     timers ──────────┘
 *
 * Under a master no signal is read here: see lb/signals. A line that ends means that the master
 * died; its serving process then stops gracefully, so that another master can take over the
 * addresses.
 */
#include "lb/control.h"

#include "base/console.h"
#include "base/notify.h"
#include "base/signals.h"
#include "lb/admin.h"
#include "lb/drain.h"
#include "lb/events.h"
#include "lb/failover.h"
#include "lb/heartbeat.h"
#include "lb/line.h"
#include "lb/move.h"
#include "lb/reload.h"
#include "lb/stats.h"
#include "lb/upgrade.h"
#include "lb/watch.h"
#include "lb/web.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,    /* how often expired entries are removed */
    SWEEP_SHARE = 32,   /* a sweep looks at this part of a table … */
    SWEEP_LEAST = 4096, /* … or at this many entries */
    LIMITS_EVERY = 5,   /* sweeps per sweep of the address limits */
    BURST_LEAST = 100,  /* a burst is over when so many clients, … */
    BURST_SHARE = 8,    /* … and this part of the most there were, have left */
};

struct control {
    struct serving *serving;
    struct loop loop;
    struct shelf *shelf;
    struct watch *watch;
    struct drain *drain;
    struct moves *moves;
    struct failovers *failovers;
    struct reload *reload;
    struct heartbeat *heartbeat; /* NULL: nobody asked for it */
    struct bindings *bindings;   /* without a master: what is open */
    struct parcel parcel;        /* on its way from the master */
    struct reload_wait reloaded; /* for the master */
    struct console *admin;
    struct web *web;
    struct io line;    /* to the master; fd -1: none */
    struct io signals; /* without a master */
    struct timer sweep;
    unsigned sweeps;
    int64_t clients_most; /* since memory was given back last */
};

struct loop *control_loop(struct control *control)
{
    return &control->loop;
}

struct moves *control_moves(struct control *control)
{
    return control->moves;
}

struct failovers *control_failovers(struct control *control)
{
    return control->failovers;
}

struct shelf *control_shelf(struct control *control)
{
    return control->shelf;
}

struct watch *control_watch(struct control *control)
{
    return control->watch;
}

const struct health_status *control_health(struct control *control, const struct server *server)
{
    return watch_health(control->watch, server);
}

static void control_report(struct serving *serving, struct server *server, enum health_event event)
{
    watch_report(serving->control->watch, server, event);
}

/* ---- stopping ---- */

void control_stop_gracefully(struct control *control, const char *why)
{
    struct serving *serving = control->serving;
    if (drain_begun(control->drain)) {
        log_warning("stopping now reason=\"%s\"", why);
        drain_cut(control->drain);
        return;
    }
    if (control->line.fd < 0)
        notify_systemd("STOPPING=1\nSTATUS=Stopping gracefully");
    log_info("stopping gracefully reason=\"%s\" connections=%lld grace=%lldms", why,
             (long long)atomic_load(&serving->client_connections),
             (long long)serving->config->process.grace_ms);
    drain_begin(control->drain, serving->config->process.grace_ms);
}

/* drain_done_fn: nothing is left. */
static void control_leave(void *ctx)
{
    struct control *control = ctx;
    struct serving *serving = control->serving;
    for (unsigned i = 0; i < serving->worker_count; i++)
        worker_order(&serving->workers[i], ORDER_QUIT, 0);
    loop_stop(&control->loop);
}

/* ---- what the master, or a signal, says ---- */

/* done of struct reload_wait. */
static void control_tell_reload(struct reload_wait *wait, const struct reload_status *status)
{
    struct control *control = container_of(wait, struct control, reloaded);
    enum line_word word = status->last_failed ? LINE_REFUSED : LINE_DONE;
    if (!line_send(control->line.fd, word, span_str(status->error), NULL, 0))
        log_error("cannot tell the master of a reload reason=\"%s\"", strerror(errno));
}

/* The parcel has all that belongs to it: apply it. The master is told when every worker has. */
static void control_take_parcel(struct control *control)
{
    if (!parcel_complete(&control->parcel))
        return;
    control->reloaded.done = control_tell_reload;
    reload_await(control->reload, &control->reloaded);
    reload_apply(control->reload, &control->parcel);
    parcel_free(&control->parcel);
}

/* ---- a binary upgrade ---- */

static void control_send_states(struct control *control)
{
    int fd = memfd_create("limpet-states", MFD_CLOEXEC);
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    bool ok = out && upgrade_write_states(control->serving->snapshot, out);
    if (out)
        ok = fclose(out) == 0 && ok;
    if (!line_send(control->line.fd, LINE_STATES, SPAN_NONE, &fd, ok ? 1 : 0))
        log_error("cannot tell the master of the servers' states reason=\"%s\"", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* A successor has the sockets: nobody is accepted here any more, and nothing administered. */
static void control_leave_to(struct control *control, const char *pid)
{
    struct serving *serving = control->serving;
    atomic_store(&serving->handed_over, true);
    log_info("another executable has taken over, draining pid=%s connections=%lld grace=%lldms",
             pid, (long long)atomic_load(&serving->client_connections),
             (long long)serving->config->process.grace_ms);
    events_add(serving, EVENT_UPGRADE, "another executable has taken over, pid %s; draining", pid);
    if (control->admin)
        console_stop_accepting(control->admin);
    web_free(control->web); // Browsers come again by themselves.
    control->web = NULL;
    if (!drain_begun(control->drain))
        drain_begin(control->drain, serving->config->process.grace_ms);
}

/* What it still held in the tables, it holds no more. */
static void control_forget_predecessor(struct control *control)
{
    struct serving *serving = control->serving;
    struct snapshot *snapshot = serving->snapshot;
    int64_t now_ms = control->loop.now_ms;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend_home *home = snapshot->backends[i]->home;
        sidmap_reset(home->sids, 1 - sidmap_party(), now_ms);
        if (home->cookies)
            sidmap_reset(home->cookies, 1 - sidmap_party(), now_ms);
    }
    serving->predecessor = 0;
    log_info("the process before the upgrade is gone");
    events_add(serving, EVENT_UPGRADE, "the process before the upgrade is gone");
}

static void control_hear(struct control *control, const struct line_message *message)
{
    switch (message->word) {
    case LINE_STOP:
        control_stop_gracefully(control, "asked to");
        return;
    case LINE_REOPEN:
        log_reopen();
        return;
    case LINE_PARCEL:
        parcel_free(&control->parcel);
        if (!parcel_open(&control->parcel, message))
            line_send(control->line.fd, LINE_REFUSED, SPAN("the parcel is broken"), NULL, 0);
        else
            control_take_parcel(control);
        return;
    case LINE_FDS:
        if (parcel_add(&control->parcel, message))
            control_take_parcel(control);
        return;
    case LINE_REFUSED:
        reload_refuse(control->reload, message->text);
        return;
    case LINE_STATES:
        control_send_states(control);
        return;
    case LINE_LEAVE:
        control_leave_to(control, message->text);
        return;
    case LINE_ALONE:
        control_forget_predecessor(control);
        return;
    case LINE_READY:
    case LINE_ALIVE:
    case LINE_RELOAD:
    case LINE_DONE:
        return; // Words for the master.
    }
}

static void control_read_line(struct io *io, uint32_t events)
{
    struct control *control = container_of(io, struct control, line);
    struct line_message message;
    (void)events;
    enum line_result result = line_receive(io->fd, &message);
    for (; result == LINE_GOT; result = line_receive(io->fd, &message))
        control_hear(control, &message);
    if (result == LINE_NOTHING)
        return;
    loop_close(&control->loop, io);
    log_error("the master process is gone, stopping gracefully");
    if (!drain_begun(control->drain))
        control_stop_gracefully(control, "the master is gone");
}

void control_reload(struct control *control)
{
    if (control->line.fd < 0) {
        notify_reloading();
        reload_alone(control->reload, control->bindings);
        notify_systemd("READY=1");
    } else if (!line_send(control->line.fd, LINE_RELOAD, SPAN_NONE, NULL, 0)) {
        reload_refuse(control->reload, "the master process does not listen");
    }
}

static void control_read_signals(struct io *io, uint32_t events)
{
    struct control *control = container_of(io, struct control, signals);
    (void)events;
    int signo = signals_next(io->fd);
    for (; signo != 0; signo = signals_next(io->fd)) {
        if (signo == SIGTERM || signo == SIGINT)
            control_stop_gracefully(control, signo == SIGTERM ? "SIGTERM" : "SIGINT");
        else if (signo == SIGUSR1)
            log_reopen();
        else if (signo == SIGHUP)
            control_reload(control);
        else if (signo == SIGUSR2)
            log_warning("an upgrade needs a master process, nothing changed: process.master is "
                        "false");
    }
}

/* Everything turns: whoever watches over us is told. */
static void control_beat(void *ctx)
{
    struct control *control = ctx;
    if (control->line.fd < 0)
        notify_systemd("WATCHDOG=1");
    else
        line_send(control->line.fd, LINE_ALIVE, SPAN_NONE, NULL, 0);
}

/* ---- housekeeping ---- */

static void sweep_table(struct sidmap *map, int64_t now_ms)
{
    if (!map)
        return;
    size_t share = sidmap_max(map) / SWEEP_SHARE;
    sidmap_expire(map, now_ms, share > SWEEP_LEAST ? share : SWEEP_LEAST);
}

/*
 * When a burst of clients is over. OpenSSL has its memory from malloc(), some 40 KiB for a connection, and malloc()
 * keeps what lies below anything that is still used; buffers and our own objects go back by themselves.
 */
static void note_clients(struct control *control)
{
    int64_t now = atomic_load_explicit(&control->serving->client_connections, memory_order_relaxed);
    if (now > control->clients_most)
        control->clients_most = now;
    int64_t left = control->clients_most - now;
    if (left < BURST_LEAST || left < control->clients_most / BURST_SHARE)
        return;
    control->clients_most = now;
    mem_give_back();
}

static void control_sweep(struct timer *timer)
{
    struct control *control = container_of(timer, struct control, sweep);
    struct snapshot *snapshot = control->serving->snapshot;
    int64_t now = control->loop.now_ms;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        sweep_table(snapshot->backends[i]->sids, now);
        sweep_table(snapshot->backends[i]->cookies, now);
    }
    control->sweeps++;
    bool limits = control->sweeps % LIMITS_EVERY == 0;
    for (size_t i = 0; limits && i < snapshot->frontend_count; i++) {
        if (snapshot->frontends[i].limits)
            limits_sweep(snapshot->frontends[i].limits, now);
    }
    if (limits)
        shelf_trim(control->shelf);
    note_clients(control);
    for (unsigned i = 0; i < control->serving->worker_count; i++)
        worker_note_busy(&control->serving->workers[i]);
    stats_tick(control->serving);
    if (control->web)
        web_tick(control->web);
    loop_timer_start(&control->loop, timer, SWEEP_MS);
}

/* ---- life ---- */

struct control *control_new(struct serving *serving)
{
    struct control *control = mem_must_alloc(sizeof(*control));
    control->serving = serving;
    serving->report = control_report;
    io_init(&control->line, -1, control_read_line);
    io_init(&control->signals, -1, control_read_signals);
    timer_init(&control->sweep, control_sweep);
    if (!loop_init(&control->loop, control)) {
        free(control);
        return NULL;
    }
    control->shelf = shelf_new();
    control->drain = drain_new(serving, &control->loop, control_leave, control);
    control->moves = moves_new(serving, &control->loop);
    control->failovers = failovers_new(serving, &control->loop);
    control->watch = watch_new(serving, &control->loop, control->shelf);
    if (!control->watch)
        return NULL;
    control->reload = reload_new(serving, &control->loop, control->watch, control->shelf);
    return control;
}

void control_await_names(struct control *control, int64_t at_most_ms)
{
    int64_t until_ms = control->loop.now_ms + at_most_ms;
    while (watch_names_pending(control->watch) > 0 && control->loop.now_ms < until_ms)
        loop_turn(&control->loop, (int)(until_ms - control->loop.now_ms));
}

bool control_start(struct control *control, struct bindings *bindings, int line_fd)
{
    struct loop *loop = &control->loop;
    int admin_fd = bindings->admin_fd, http_fd = bindings->http_fd;
    bindings->admin_fd = bindings->http_fd = -1;
    control->bindings = bindings;
    watch_tell_workers(control->watch);
    if (admin_fd >= 0) {
        control->admin = admin_console(control->serving, loop, control->shelf, admin_fd);
        if (!control->admin)
            return false;
    }
    if (http_fd >= 0) {
        control->web = web_new(control->serving, loop, control->shelf, http_fd);
        if (!control->web)
            return false;
    }
    struct io *source = line_fd >= 0 ? &control->line : &control->signals;
    source->fd = line_fd >= 0 ? line_fd : signals_open();
    if (source->fd < 0 || !loop_add(loop, source))
        return false;
    loop_timer_start(loop, &control->sweep, SWEEP_MS);
    control->heartbeat = heartbeat_new(control->serving, loop, control_beat, control);
    return true;
}

void control_run(struct control *control)
{
    loop_run(&control->loop);
}

bool control_settle(struct control *control, int64_t at_most_ms)
{
    int64_t until_ms = control->loop.now_ms + at_most_ms;
    while (watch_asks(control->watch) && control->loop.now_ms < until_ms)
        loop_turn(&control->loop, (int)(until_ms - control->loop.now_ms));
    return !watch_asks(control->watch);
}

void control_stop(struct control *control)
{
    struct loop *loop = &control->loop;
    reload_end(control->reload);
    heartbeat_stop(control->heartbeat);
    parcel_free(&control->parcel);
    if (control->admin)
        console_free(control->admin);
    web_free(control->web);
    watch_stop(control->watch);
    drain_free(control->drain);
    moves_stop(control->moves);
    failovers_stop(control->failovers);
    loop_timer_stop(loop, &control->sweep);
    loop_close(loop, &control->line);
    loop_close(loop, &control->signals);
}

void control_free(struct control *control)
{
    loop_fini(&control->loop);
    reload_free(control->reload);
    heartbeat_free(control->heartbeat);
    moves_free(control->moves);
    failovers_free(control->failovers);
    watch_free(control->watch);
    shelf_free(control->shelf);
    free(control);
}
