// SPDX-License-Identifier: Apache-2.0
/*
 * Listeners: from a waiting connection to flow_accept. One socket per worker and listen address;
 * the kernel spreads connections over them (SO_REUSEPORT). A unix socket is one socket that all
 * workers wait on: who comes first gets the connection, the others find nothing.
 *
 * A connection is admitted before it is accepted: one process-wide counter keeps descriptors in
 * reserve for the admin side, probes and server connections. When it is full a listener is silent
 * (paused) and the kernel's backlog holds who comes; a connection that closes on this worker wakes
 * it at once, those of other workers by the retry timer. Want of descriptors or memory pauses it in
 * the same way: level-triggered readiness would otherwise spin.
 *
 *     accepting ── process full, EMFILE … ──► paused ── a client closed, or RETRY_MS ──► accepting
 *
 * Limits of a frontend and of a client's address do not pause: such a connection is accepted and
 * closed, because whoever waits behind it may be welcome.
 *
 * A disabled frontend's TCP sockets stop listening, without being closed: who comes is refused by the
 * kernel, who had been connected by it already is accepted first. A unix socket cannot do that:
 * there, who comes waits.
 *
 * In a graceful stop the connections that already wait are accepted before the socket is closed:
 * the kernel has told their clients that they are connected.
 */
#include "lb/edition.h"
#include "lb/flow.h"
#include "lb/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 64,        /* connections per turn */
    ACCEPT_LAST = 4096,       /* connections taken from the backlog before a listener closes */
    RETRY_MS = 100,           /* accept again after a pause */
    TROUBLE_EVERY_MS = 60000, /* how often a failing accept is logged */
};

enum accept_result {
    ACCEPT_ONE,   /* a connection was dealt with */
    ACCEPT_NONE,  /* nobody waits */
    ACCEPT_PAUSE, /* not now: full, or the system refuses */
};

static void note_most(_Atomic int64_t *most, int64_t now)
{
    int64_t old = atomic_load_explicit(most, memory_order_relaxed);
    while (now > old && !atomic_compare_exchange_weak_explicit(
                            most, &old, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* Takes one of the process's places, before a descriptor is asked for. */
static bool serving_admit(struct serving *serving)
{
    int64_t now = atomic_fetch_add_explicit(&serving->client_connections, 1, memory_order_relaxed) +
                  1;
    if (now > serving->max_connections) {
        atomic_fetch_sub_explicit(&serving->client_connections, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

static void serving_dismiss(struct serving *serving)
{
    atomic_fetch_sub_explicit(&serving->client_connections, 1, memory_order_relaxed);
}

/* Takes one of the frontend's places. */
static bool frontend_admit(struct frontend_home *home)
{
    int now = atomic_fetch_add_explicit(&home->connections, 1, memory_order_relaxed) + 1;
    if (now > atomic_load_explicit(&home->max_connections, memory_order_relaxed)) {
        atomic_fetch_sub_explicit(&home->connections, 1, memory_order_relaxed);
        return false;
    }
    int most = atomic_load_explicit(&home->connections_max, memory_order_relaxed);
    while (now > most &&
           !atomic_compare_exchange_weak_explicit(&home->connections_max, &most, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return true;
}

static void listener_pause(struct listener *listener)
{
    struct worker *worker = listener->worker;
    if (!listener->paused) {
        listener->paused = true;
        worker->listeners_paused++;
        if (!listener->disabled)
            loop_change_level(&worker->loop, &listener->io, 0);
    }
    loop_timer_start(&worker->loop, &listener->retry, RETRY_MS);
}

static void listener_resume(struct listener *listener)
{
    struct worker *worker = listener->worker;
    if (!listener->paused)
        return;
    listener->paused = false;
    worker->listeners_paused--;
    loop_timer_stop(&worker->loop, &listener->retry);
    if (!listener->disabled)
        loop_change_level(&worker->loop, &listener->io, EPOLLIN);
}

static void listener_retry(struct timer *timer)
{
    listener_resume(container_of(timer, struct listener, retry));
}

/* accept4 failed: what now? Most errors are one connection's own, gone before we took it. */
static enum accept_result listener_trouble(struct listener *listener, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return ACCEPT_NONE;
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
        return ACCEPT_ONE;
    struct serving *serving = listener->worker->serving;
    int64_t now = listener->worker->loop.now_ms;
    int64_t told = atomic_load_explicit(&serving->accept_trouble_ms, memory_order_relaxed);
    if ((told == 0 || now - told >= TROUBLE_EVERY_MS) &&
        atomic_compare_exchange_strong(&serving->accept_trouble_ms, &told, now)) {
        char text[ADDR_TEXT_MAX];
        log_error("connections cannot be accepted, they wait in the kernel frontend=%s "
                  "address=%s reason=\"%s\" connections=%lld retry=%dms",
                  listener->frontend->name, addr_format(&listener->addr, text), strerror(error),
                  (long long)atomic_load(&serving->client_connections), RETRY_MS);
    }
    return ACCEPT_PAUSE;
}

/* An accepted, process-admitted connection: the frontend's and the address's limits, then flow. */
static void listener_welcome(struct listener *listener, int fd, const struct addr *peer)
{
    struct worker *worker = listener->worker;
    struct frontend *frontend = listener->frontend;
    bool place = frontend_admit(frontend->home);
    if (!place || !(flow_is_proxied(listener, peer) || flow_admit_address(frontend, peer))) {
        if (place)
            atomic_fetch_sub_explicit(&frontend->home->connections, 1, memory_order_relaxed);
        serving_dismiss(worker->serving);
        counter_add(worker_stats(worker, frontend->stat_id), COUNTER_CONNS_DENIED, 1);
        close(fd);
        return;
    }
    struct serving *serving = worker->serving;
    note_most(&serving->client_connections_max,
              atomic_load_explicit(&serving->client_connections, memory_order_relaxed));
    atomic_fetch_add_explicit(&serving->total_connections, 1, memory_order_relaxed);
    flow_accept(worker, listener, fd, peer);
}

static enum accept_result listener_accept_one(struct listener *listener)
{
    struct serving *serving = listener->worker->serving;
    if (!serving_admit(serving))
        return ACCEPT_PAUSE;
    struct addr peer = {.len = sizeof(peer.un)};
    int fd = accept4(listener->io.fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        serving_dismiss(serving);
        return listener_trouble(listener, error);
    }
    listener_welcome(listener, fd, &peer);
    return ACCEPT_ONE;
}

static void listener_accept(struct io *io, uint32_t events)
{
    struct listener *listener = container_of(io, struct listener, io);
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        enum accept_result result = listener_accept_one(listener);
        if (result == ACCEPT_PAUSE)
            listener_pause(listener);
        if (result != ACCEPT_ONE)
            return;
    }
}

static const struct snapshot_listen *listen_find(const struct snapshot *snapshot, unsigned id)
{
    for (size_t i = 0; i < snapshot->listen_count; i++) {
        if (snapshot->listens[i].id == id)
            return &snapshot->listens[i];
    }
    return NULL;
}

static struct tls_context *listen_tls(const struct snapshot *snapshot, unsigned id)
{
    const struct snapshot_listen *listen = listen_find(snapshot, id);
    size_t at = listen ? (size_t)(listen - snapshot->listens) : SIZE_MAX;
    return at < snapshot->tls_count ? snapshot->tls[at] : NULL;
}

static const struct config_listen *listen_config(const struct snapshot *snapshot, unsigned id)
{
    const struct snapshot_listen *listen = listen_find(snapshot, id);
    size_t k = 0;
    if (!listen)
        return NULL;
    for (const struct snapshot_listen *before = snapshot->listens; before < listen; before++)
        k += before->frontend == listen->frontend;
    return &snapshot->config->frontends[listen->frontend].listens[k];
}

bool worker_listen(struct worker *worker, struct frontend *frontend, unsigned binding, int fd)
{
    struct listener *listener = mem_must_alloc(sizeof(*listener));
    listener->worker = worker;
    listener->frontend = frontend;
    listener->binding = binding;
    listener->config = listen_config(worker->snapshot, binding);
    listener->tls = listen_tls(worker->snapshot, binding);
    io_init(&listener->io, fd, listener_accept);
    timer_init(&listener->retry, listener_retry);
    // Again, because it may have been disabled by a process that died since.
    if (listen(fd, LISTEN_BACKLOG) < 0 || !net_local_addr(fd, &listener->addr) ||
        !loop_add_level(&worker->loop, &listener->io, EPOLLIN)) {
        free(listener);
        return false;
    }
    snprintf(listener->port, sizeof(listener->port), "%u", (unsigned)addr_port(&listener->addr));
    list_push_back(&worker->listeners, &listener->node);
    return true;
}

void listener_resume_all(struct worker *worker)
{
    if (worker->listeners_paused == 0)
        return;
    list_each(node, &worker->listeners)
    {
        listener_resume(container_of(node, struct listener, node));
    }
}

/* Those whom the kernel has told already that they are connected. */
static void listener_accept_last(struct listener *listener)
{
    for (int i = 0; i < ACCEPT_LAST; i++) {
        if (listener_accept_one(listener) != ACCEPT_ONE)
            return;
    }
}

/* Off epoll as well: a socket that does not listen is forever ready with a hangup. */
static void listener_disable(struct listener *listener)
{
    listener_accept_last(listener);
    listener->disabled = true;
    loop_remove(&listener->worker->loop, &listener->io);
    if (listener->addr.any.sa_family != AF_UNIX)
        shutdown(listener->io.fd, SHUT_RD);
}

static void listener_enable(struct listener *listener)
{
    if (listener->addr.any.sa_family != AF_UNIX && listen(listener->io.fd, LISTEN_BACKLOG) < 0)
        log_error("cannot listen again frontend=%s reason=\"%s\"", listener->frontend->name,
                  strerror(errno));
    listener->disabled = false;
    loop_add_level(&listener->worker->loop, &listener->io, listener->paused ? 0 : EPOLLIN);
}

void listener_obey_all(struct worker *worker)
{
    list_each(node, &worker->listeners)
    {
        struct listener *listener = container_of(node, struct listener, node);
        bool disabled = atomic_load(&listener->frontend->home->disabled);
        if (listener->io.fd < 0 || listener->disabled == disabled)
            continue;
        if (disabled)
            listener_disable(listener);
        else
            listener_enable(listener);
    }
}

static void listener_close(struct listener *listener, bool accept_waiting)
{
    if (listener->io.fd < 0)
        return;
    if (accept_waiting && !listener->disabled)
        listener_accept_last(listener);
    listener_resume(listener);
    loop_close(&listener->worker->loop, &listener->io);
}

void listener_close_all(struct worker *worker, bool accept_waiting)
{
    list_each(node, &worker->listeners)
    {
        listener_close(container_of(node, struct listener, node), accept_waiting);
    }
}

/* ---- another configuration ---- */

/* Closed, and the last of its clients is buried. */
static void listener_free(struct listener *listener)
{
    struct edition *edition = listener->needs;
    list_remove(&listener->node);
    free(listener);
    if (edition)
        edition_drop(edition);
}

void listener_flow_gone(struct listener *listener)
{
    listener->flows--;
    if (listener->flows == 0 && listener->io.fd < 0)
        listener_free(listener);
}

static void listener_open(struct worker *worker, const struct snapshot_listen *listen, int fd)
{
    struct frontend *frontend = &worker->snapshot->frontends[listen->frontend];
    if (worker_listen(worker, frontend, listen->id, fd))
        return;
    log_error("a listening socket cannot be used frontend=%s reason=\"%s\"", frontend->name,
              strerror(errno));
    close(fd);
}

/* The socket now belongs to another frontend; who came through it before stays with the old one. */
static void listener_hand_over(struct listener *listener, const struct snapshot_listen *listen)
{
    struct worker *worker = listener->worker;
    int fd = listener->io.fd;
    listener_resume(listener);
    if (!listener->disabled)
        loop_remove(&worker->loop, &listener->io);
    listener->io.fd = -1;
    listener_open(worker, listen, fd);
}

static void listener_change(struct listener *listener, struct edition *before)
{
    const struct snapshot *snapshot = listener->worker->snapshot;
    struct frontend *frontend = snapshot_frontend(snapshot, listener->frontend->name);
    const struct snapshot_listen *listen = listen_find(snapshot, listener->binding);
    if (listener->io.fd >= 0) {
        if (!listen)
            listener_close(listener, true);
        else if (&snapshot->frontends[listen->frontend] != frontend)
            listener_hand_over(listener, listen);
    }
    if (listener->io.fd < 0 && listener->flows == 0) {
        listener_free(listener);
    } else if (frontend && frontend->home == listener->frontend->home) {
        listener->frontend = frontend;
        listener->config = listen_config(snapshot, listener->binding);
        listener->tls = listen_tls(snapshot, listener->binding);
    } else if (!listener->gone) { // One that was gone and comes back is another one.
        listener->gone = true;
        listener->needs = edition_hold(before);
    }
}

void listener_change_all(struct worker *worker, struct edition *before)
{
    const struct snapshot *snapshot = worker->snapshot;
    list_each_safe(node, &worker->listeners)
    {
        listener_change(container_of(node, struct listener, node), before);
    }
    for (size_t i = 0; i < snapshot->listen_count; i++) {
        const struct snapshot_listen *listen = &snapshot->listens[i];
        if (!listen->fds)
            continue;
        for (size_t k = worker->index; k < listen->fd_count; k += worker->serving->worker_count)
            listener_open(worker, listen, listen->fds[k]);
    }
}

void worker_client_closed(struct worker *worker, struct frontend *frontend)
{
    serving_dismiss(worker->serving);
    atomic_fetch_sub_explicit(&frontend->home->connections, 1, memory_order_relaxed);
    listener_resume_all(worker);
}
