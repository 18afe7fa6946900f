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
 * In a graceful stop the connections that already wait are accepted before the socket is closed:
 * the kernel has told their clients that they are connected.
 */
#include "lb/flow.h"
#include "lb/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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
static bool frontend_admit(struct frontend *frontend)
{
    int now = atomic_fetch_add_explicit(&frontend->connections, 1, memory_order_relaxed) + 1;
    if (now > frontend->config->opt.max_connections) {
        atomic_fetch_sub_explicit(&frontend->connections, 1, memory_order_relaxed);
        return false;
    }
    int most = atomic_load_explicit(&frontend->connections_max, memory_order_relaxed);
    while (now > most &&
           !atomic_compare_exchange_weak_explicit(&frontend->connections_max, &most, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return true;
}

/* Takes one of the address's places; flow gives it back, whenever the frontend counts addresses. */
static bool address_admit(struct frontend *frontend, const struct addr *peer)
{
    if (!frontend->limits)
        return true;
    int64_t max = frontend->config->opt.connections_per_ip;
    bool unbounded = max == 0 || peer->any.sa_family == AF_UNIX;
    return limits_connect(frontend->limits, peer, unbounded ? INT64_MAX : max);
}

static void listener_pause(struct listener *listener)
{
    struct worker *worker = listener->worker;
    if (!listener->paused) {
        listener->paused = true;
        worker->listeners_paused++;
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
    bool place = frontend_admit(frontend);
    if (!place || !address_admit(frontend, peer)) {
        if (place)
            atomic_fetch_sub_explicit(&frontend->connections, 1, memory_order_relaxed);
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

bool worker_listen(struct worker *worker, struct frontend *frontend, int fd)
{
    struct listener *listener = mem_must_alloc(sizeof(*listener));
    listener->worker = worker;
    listener->frontend = frontend;
    io_init(&listener->io, fd, listener_accept);
    timer_init(&listener->retry, listener_retry);
    if (!net_local_addr(fd, &listener->addr) ||
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

void listener_close_all(struct worker *worker, bool accept_waiting)
{
    list_each(node, &worker->listeners)
    {
        struct listener *listener = container_of(node, struct listener, node);
        if (listener->io.fd < 0)
            continue;
        if (accept_waiting)
            listener_accept_last(listener);
        listener_resume(listener);
        loop_close(&worker->loop, &listener->io);
    }
}

void worker_client_closed(struct worker *worker, struct frontend *frontend)
{
    serving_dismiss(worker->serving);
    atomic_fetch_sub_explicit(&frontend->connections, 1, memory_order_relaxed);
    listener_resume_all(worker);
}
