// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns a worker's server connections while nobody uses them, and its queues.
 *
 *     lend ──► in use (its borrower's conn_owner) ──► give_back ──► idle (idle_owner) ──► lend …
 *                         └─► upstream_close                          └─► closed: by the server,
 *                                                                         or after timeouts.idle
 *
 * An idle connection on which anything happens (bytes, FIN, reset) is closed: no server has
 * anything to say unasked. One timer per server closes idle connections from the oldest end, so
 * that lending and giving back touch no timer.
 *
 * Queues are per worker. A backend's mask says which workers have waiters; whoever leaves a place
 * tells its own, and when they need no more the others. A place may be taken by somebody else
 * meanwhile: the woken waiters then simply stay where they are.
 */
#include "lb/upstream.h"

#include "lb/balance.h"
#include "lb/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { IDLE_PER_SERVER = 1024 }; /* connections kept at most, per worker */

struct upstream_server {
    struct worker *worker;
    struct server *server;
    struct addr addr;
    bool addr_known;
    struct list idle; /* most recently used first */
    size_t idle_count;
    struct timer reaper;
};

/* Tells another worker of a free place; one per worker and backend, so never allocated. */
struct place_letter {
    struct letter letter;
    struct backend *backend;
    struct worker *worker; /* the receiver */
    atomic_bool posted;
};

struct upstream_backend {
    struct upstream_server *servers;
    struct balance_state balance;
    struct list queue;
    size_t queued;
    struct turn_hook place_free; /* this worker itself is told at the end of the turn */
    struct place_letter letter;  /* received by this worker */
    struct worker *worker;
    struct backend *backend;
};

struct upstream {
    struct worker *worker;
    struct upstream_backend *backends;
    size_t backend_count;
};

/* ---- setting up ---- */

static struct upstream_server *server_local(struct worker *worker, const struct server *server)
{
    return &worker->upstream->backends[server->backend->index].servers[server->index];
}

static struct upstream_backend *backend_local(struct worker *worker, const struct backend *backend)
{
    return &worker->upstream->backends[backend->index];
}

static void idle_reap(struct timer *timer);

static void place_letter_deliver(struct letter *letter, void *receiver)
{
    (void)receiver;
    struct place_letter *place = container_of(letter, struct place_letter, letter);
    atomic_store_explicit(&place->posted, false, memory_order_release);
    flow_place_free(place->worker, place->backend);
}

/* The other workers with waiters. */
static void tell_others(struct worker *worker, struct backend *backend, uint64_t mask)
{
    for (unsigned i = 0; i < worker->serving->worker_count; i++) {
        struct worker *other = &worker->serving->workers[i];
        if (other == worker || !(mask & UINT64_C(1) << i))
            continue;
        struct place_letter *place = &backend_local(other, backend)->letter;
        if (!atomic_exchange(&place->posted, true))
            mailbox_post(&other->loop.mailbox, &place->letter);
    }
}

static void place_hook(struct turn_hook *hook)
{
    struct upstream_backend *local = container_of(hook, struct upstream_backend, place_free);
    if (flow_place_free(local->worker, local->backend))
        tell_others(local->worker, local->backend, atomic_load(&local->backend->queued_workers));
}

static bool backend_local_init(struct upstream_backend *local, struct worker *worker,
                               struct backend *backend)
{
    local->worker = worker;
    local->backend = backend;
    list_init(&local->queue);
    list_init(&local->place_free.node);
    local->place_free.fn = place_hook;
    local->letter = (struct place_letter){
        .letter.deliver = place_letter_deliver, .backend = backend, .worker = worker};
    local->servers = mem_must_alloc(backend->server_count * sizeof *local->servers);
    for (size_t i = 0; i < backend->server_count; i++) {
        struct upstream_server *server = &local->servers[i];
        server->worker = worker;
        server->server = &backend->servers[i];
        server->addr = backend->servers[i].addr;
        server->addr_known = backend->servers[i].addr_known;
        list_init(&server->idle);
        timer_init(&server->reaper, idle_reap);
    }
    return balance_state_init(&local->balance, backend, &worker->rng);
}

struct upstream *upstream_new(struct worker *worker)
{
    struct snapshot *snapshot = worker->snapshot;
    struct upstream *upstream = mem_must_alloc(sizeof *upstream);
    upstream->worker = worker;
    upstream->backends = mem_must_alloc(snapshot->backend_count * sizeof *upstream->backends);
    for (; upstream->backend_count < snapshot->backend_count; upstream->backend_count++) {
        size_t i = upstream->backend_count;
        if (!backend_local_init(&upstream->backends[i], worker, snapshot->backends[i])) {
            free(upstream->backends[i].servers);
            upstream_free(upstream);
            return NULL;
        }
    }
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    for (size_t i = 0; i < upstream->backend_count; i++) {
        struct upstream_backend *local = &upstream->backends[i];
        assert(list_empty(&local->queue));
        for (size_t k = 0; k < local->backend->server_count; k++) {
            while (!list_empty(&local->servers[k].idle))
                upstream_close(container_of(local->servers[k].idle.next, struct server_conn, node));
            loop_timer_stop(&upstream->worker->loop, &local->servers[k].reaper);
        }
        balance_state_fini(&local->balance);
        free(local->servers);
    }
    free(upstream->backends);
    free(upstream);
}

void upstream_set_addr(struct worker *worker, struct server *server, const struct addr *addr)
{
    struct upstream_server *local = server_local(worker, server);
    local->addr = *addr;
    local->addr_known = true;
    upstream_close_idle(worker, server);
}

struct balance_state *upstream_balance(struct worker *worker, const struct backend *backend)
{
    return &backend_local(worker, backend)->balance;
}

/* ---- connections kept idle ---- */

static void count_server(struct server_conn *conn, enum counter id, int64_t n)
{
    counter_add(worker_stats(conn->worker, conn->server->stat_id), id, n);
}

static void server_conn_bury(struct grave *grave)
{
    struct server_conn *conn = container_of(grave, struct server_conn, grave);
    pool_give_back(&conn->worker->server_conns, conn);
}

static void idle_remove(struct server_conn *conn)
{
    list_remove(&conn->node);
    server_local(conn->worker, conn->server)->idle_count--;
    count_server(conn, COUNTER_SERVER_CONNS_IDLE, -1);
}

void upstream_close(struct server_conn *conn)
{
    if (list_single(&conn->node))
        count_server(conn, COUNTER_SERVER_CONNS_USED, -1);
    else
        idle_remove(conn);
    conn_close(&conn->conn);
    loop_bury(&conn->worker->loop, &conn->grave);
}

static void idle_over(struct conn *conn)
{
    upstream_close(container_of(conn, struct server_conn, conn));
}

/* Whatever an idle connection says means its end. `connected` and `drained` cannot come. */
static const struct conn_owner idle_owner = {
    .connected = idle_over,
    .bytes = idle_over,
    .drained = idle_over,
    .eof = idle_over,
    .failed = idle_over,
};

static void idle_reap(struct timer *timer)
{
    struct upstream_server *local = container_of(timer, struct upstream_server, reaper);
    struct loop *loop = &local->worker->loop;
    int64_t idle_ms = local->server->backend->config->opt.timeout_idle_ms;
    while (!list_empty(&local->idle)) {
        struct server_conn *oldest = container_of(local->idle.prev, struct server_conn, node);
        if (oldest->idle_since_ms + idle_ms > loop->now_ms) {
            timer_start(loop->timers, timer, oldest->idle_since_ms + idle_ms);
            return;
        }
        upstream_close(oldest);
    }
}

void upstream_give_back(struct server_conn *conn)
{
    struct upstream_server *local = server_local(conn->worker, conn->server);
    int64_t idle_ms = conn->server->backend->config->opt.timeout_idle_ms;
    if (idle_ms == 0 || local->idle_count >= IDLE_PER_SERVER || conn->worker->stopping ||
        !server_alive(conn->server)) {
        upstream_close(conn);
        return;
    }
    conn->user = NULL;
    conn->reused = true;
    conn->idle_since_ms = conn->worker->loop.now_ms;
    conn_set_owner(&conn->conn, &idle_owner);
    if (conn->conn.paused)
        conn_resume(&conn->conn);
    list_push_front(&local->idle, &conn->node);
    local->idle_count++;
    count_server(conn, COUNTER_SERVER_CONNS_USED, -1);
    count_server(conn, COUNTER_SERVER_CONNS_IDLE, 1);
    if (!timer_running(&local->reaper))
        loop_timer_start(&conn->worker->loop, &local->reaper, idle_ms);
}

void upstream_close_idle(struct worker *worker, struct server *server)
{
    struct upstream *upstream = worker->upstream;
    for (size_t i = 0; i < upstream->backend_count; i++) {
        struct upstream_backend *local = &upstream->backends[i];
        for (size_t k = 0; k < local->backend->server_count; k++) {
            struct upstream_server *kept = &local->servers[k];
            if (server && kept->server != server)
                continue;
            while (!list_empty(&kept->idle))
                upstream_close(container_of(kept->idle.next, struct server_conn, node));
        }
    }
}

/* ---- lending ---- */

static struct server_conn *server_conn_open(struct upstream_server *local,
                                            const struct conn_owner *owner)
{
    struct worker *worker = local->worker;
    if (!local->addr_known) {
        errno = EDESTADDRREQ;
        return NULL;
    }
    struct server_conn *conn = pool_lend(&worker->server_conns);
    if (!conn) {
        errno = ENOMEM;
        return NULL;
    }
    list_init(&conn->node);
    conn->grave.fn = server_conn_bury;
    conn->server = local->server;
    conn->worker = worker;
    int fd = net_connect(&local->addr);
    if (fd >= 0 && conn_init(&conn->conn, &worker->loop, worker->shelf, fd, true, owner))
        return conn;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    pool_give_back(&worker->server_conns, conn);
    errno = saved;
    return NULL;
}

struct server_conn *upstream_lend(struct worker *worker, struct server *server, bool fresh,
                                  const struct conn_owner *owner, void *user)
{
    struct upstream_server *local = server_local(worker, server);
    struct list *first = fresh ? NULL : list_first(&local->idle);
    struct server_conn *conn;
    if (first) {
        conn = container_of(first, struct server_conn, node);
        idle_remove(conn);
        conn_set_owner(&conn->conn, owner);
        count_server(conn, COUNTER_REUSES, 1);
    } else {
        conn = server_conn_open(local, owner);
        if (!conn)
            return NULL;
        count_server(conn, COUNTER_CONNECTS, 1);
    }
    conn->user = user;
    count_server(conn, COUNTER_SERVER_CONNS_USED, 1);
    return conn;
}

/* ---- waiting for a place ---- */

static uint64_t worker_bit(const struct worker *worker)
{
    return UINT64_C(1) << worker->index;
}

void upstream_queue_push(struct worker *worker, struct backend *backend, struct list *node)
{
    struct upstream_backend *local = backend_local(worker, backend);
    list_push_back(&local->queue, node);
    local->queued++;
    counter_add(worker_stats(worker, backend->stat_id), COUNTER_QUEUED_NOW, 1);
    counter_add(worker_stats(worker, backend->stat_id), COUNTER_QUEUED, 1);
    atomic_fetch_or(&backend->queued_workers, worker_bit(worker));
}

void upstream_queue_remove(struct worker *worker, struct backend *backend, struct list *node)
{
    struct upstream_backend *local = backend_local(worker, backend);
    list_remove(node);
    local->queued--;
    counter_add(worker_stats(worker, backend->stat_id), COUNTER_QUEUED_NOW, -1);
    if (local->queued == 0)
        atomic_fetch_and(&backend->queued_workers, ~worker_bit(worker));
}

struct list *upstream_queue_first(struct worker *worker, struct backend *backend)
{
    return list_first(&backend_local(worker, backend)->queue);
}

struct list *upstream_queue_next(struct worker *worker, struct backend *backend,
                                 const struct list *node)
{
    return node->next != &backend_local(worker, backend)->queue ? node->next : NULL;
}

void upstream_place_left(struct worker *worker, struct backend *backend)
{
    uint64_t mask = atomic_load(&backend->queued_workers);
    if (mask == 0)
        return;
    if (!(mask & worker_bit(worker))) {
        tell_others(worker, backend, mask);
        return;
    }
    struct upstream_backend *local = backend_local(worker, backend);
    if (list_single(&local->place_free.node))
        loop_at_turn_end(&worker->loop, &local->place_free);
}
