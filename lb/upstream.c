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

#include "base/tls.h"
#include "lb/edition.h"
#include "lb/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    IDLE_PER_SERVER = 1024,   /* connections kept at most, per worker */
    TROUBLE_EVERY_MS = 10000, /* between two log lines about TLS with one server, or its ports */
};

struct upstream_server {
    _Alignas(64) struct worker *worker; /* those of two workers share no cache line */
    struct server *server;
    struct list node; /* in upstream->servers, once it has had a connection; else single */
    struct addr addr;
    bool addr_known;
    bool gone;        /* the current snapshot lacks it: no connection is kept */
    struct list idle; /* the one that was quiet last first */
    size_t idle_count;
    int64_t quiet_until_ms; /* TLS trouble has been logged just now */
    int64_t ports_quiet_until_ms;
    struct timer reaper;
};

/* Tells another worker of a free place; one per worker and backend, so never allocated. */
struct place_letter {
    struct letter letter;
    atomic_bool posted;
};

struct upstream_backend {
    _Alignas(64) struct worker *worker;
    struct backend_home *home;
    struct backend *view; /* the current snapshot's; the last one's when that lacks it */
    struct list queue;
    size_t queued;
    struct turn_hook place_free; /* this worker itself is told at the end of the turn */
    struct place_letter letter;  /* received by this worker */
};

struct upstream {
    struct worker *worker;
    struct list servers; /* that have, or had, connections */
};

/* ---- setting up ---- */

static struct upstream_server *server_local(struct worker *worker, const struct server *server)
{
    return &server->locals[worker->index];
}

static struct upstream_backend *backend_local(struct worker *worker, const struct backend *backend)
{
    return &backend->home->locals[worker->index];
}

struct backend *upstream_backend(struct worker *worker, const struct server *server)
{
    return server->home->locals[worker->index].view;
}

static void idle_reap(struct timer *timer);

static void place_letter_deliver(struct letter *letter, void *receiver)
{
    (void)receiver;
    struct place_letter *place = container_of(letter, struct place_letter, letter);
    struct upstream_backend *local = container_of(place, struct upstream_backend, letter);
    atomic_store_explicit(&place->posted, false, memory_order_release);
    flow_place_free(local->worker, local->home);
}

/* The other workers with waiters. */
static void tell_others(struct worker *worker, const struct backend_home *home, uint64_t mask)
{
    for (unsigned i = 0; i < worker->serving->worker_count; i++) {
        struct worker *other = &worker->serving->workers[i];
        if (other == worker || !(mask & UINT64_C(1) << i))
            continue;
        struct place_letter *place = &home->locals[i].letter;
        if (!atomic_exchange(&place->posted, true))
            mailbox_post(&other->loop.mailbox, &place->letter);
    }
}

static void place_hook(struct turn_hook *hook)
{
    struct upstream_backend *local = container_of(hook, struct upstream_backend, place_free);
    if (flow_place_free(local->worker, local->home))
        tell_others(local->worker, local->home, atomic_load(&local->home->queued_workers));
}

static void *locals_new(unsigned count, size_t size)
{
    void *locals = aligned_alloc(64, count * size);
    if (!locals)
        abort();
    memset(locals, 0, count * size);
    return locals;
}

static void prepare_server(struct serving *serving, struct server *server)
{
    server->locals = locals_new(serving->worker_count, sizeof(*server->locals));
    server->sessions = mem_must_alloc(serving->worker_count * sizeof(*server->sessions));
    server->session_count = serving->worker_count;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        struct upstream_server *local = &server->locals[i];
        local->worker = &serving->workers[i];
        local->server = server;
        local->addr = server->addr;
        local->addr_known = server->addr_known;
        list_init(&local->node);
        list_init(&local->idle);
        timer_init(&local->reaper, idle_reap);
    }
}

static void prepare_backend(struct serving *serving, struct backend *backend)
{
    struct backend_home *home = backend->home;
    home->locals = locals_new(serving->worker_count, sizeof(*home->locals));
    for (unsigned i = 0; i < serving->worker_count; i++) {
        struct upstream_backend *local = &home->locals[i];
        local->worker = &serving->workers[i];
        local->home = home;
        list_init(&local->queue);
        list_init(&local->place_free.node);
        local->place_free.fn = place_hook;
        local->letter.letter.deliver = place_letter_deliver;
    }
}

void upstream_prepare(struct serving *serving, struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        if (!backend->home->locals)
            prepare_backend(serving, backend);
        for (size_t k = 0; k < backend->server_count; k++) {
            if (!backend->servers[k]->locals)
                prepare_server(serving, backend->servers[k]);
        }
    }
}

static void take_views(struct worker *worker)
{
    struct snapshot *snapshot = worker->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++)
        backend_local(worker, snapshot->backends[i])->view = snapshot->backends[i];
}

struct upstream *upstream_new(struct worker *worker)
{
    struct upstream *upstream = mem_must_alloc(sizeof *upstream);
    upstream->worker = worker;
    list_init(&upstream->servers);
    upstream_prepare(worker->serving, worker->snapshot);
    take_views(worker);
    return upstream;
}

static void close_idle(struct upstream_server *local)
{
    while (!list_empty(&local->idle))
        upstream_close(container_of(local->idle.next, struct server_conn, node));
}

bool upstream_server_gone(struct worker *worker, const struct server *server)
{
    return server_local(worker, server)->gone;
}

bool upstream_change(struct worker *worker, const struct snapshot *old)
{
    bool any_gone = false;
    take_views(worker);
    for (size_t i = 0; i < old->backend_count; i++) {
        const struct backend *backend = old->backends[i];
        const struct backend *view = backend_local(worker, backend)->view;
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            struct upstream_server *local = server_local(worker, backend->servers[k]);
            // A backend that is gone keeps its last view, which has the server.
            local->gone = view == backend || backend_index_of(view, local->server) < 0;
            if (!local->gone && (backend->tls || view->tls))
                close_idle(local); // They were made under other rules.
            if (!local->gone)
                continue;
            any_gone = true;
            close_idle(local);
            loop_timer_stop(&worker->loop, &local->reaper);
            list_remove(&local->node);
        }
    }
    return any_gone;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    while (!list_empty(&upstream->servers)) {
        struct upstream_server *local = container_of(upstream->servers.next, struct upstream_server,
                                                     node);
        close_idle(local);
        loop_timer_stop(&upstream->worker->loop, &local->reaper);
        list_remove(&local->node);
    }
    free(upstream);
}

void upstream_set_addr(struct worker *worker, struct server *server, const struct addr *addr)
{
    struct upstream_server *local = server_local(worker, server);
    local->addr = *addr;
    local->addr_known = true;
    upstream_close_idle(worker, server);
}

/* ---- connections kept idle ---- */

static struct worker *worker_of(const struct server_conn *conn)
{
    return conn->conn.loop->owner;
}

static void count_server(struct server_conn *conn, enum counter id, int64_t n)
{
    counter_add(worker_stats(worker_of(conn), conn->server->stat_id), id, n);
}

static void server_conn_free(struct grave *grave)
{
    struct server_conn *conn = container_of(grave, struct server_conn, grave);
    pool_give_back(&worker_of(conn)->server_conns, conn);
}

/* It is closed, and in no list. */
static void server_conn_bury(struct server_conn *conn)
{
    conn->grave.fn = server_conn_free;
    loop_bury(&worker_of(conn)->loop, &conn->grave);
}

static void idle_remove(struct server_conn *conn)
{
    list_remove(&conn->node);
    server_local(worker_of(conn), conn->server)->idle_count--;
    count_server(conn, COUNTER_SERVER_CONNS_IDLE, -1);
}

void upstream_close(struct server_conn *conn)
{
    if (list_single(&conn->node))
        count_server(conn, COUNTER_SERVER_CONNS_USED, -1);
    else
        idle_remove(conn);
    conn_close(&conn->conn);
    server_conn_bury(conn);
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
    int64_t idle_ms = upstream_backend(local->worker, local->server)->config->opt.timeout_idle_ms;
    while (!list_empty(&local->idle)) {
        struct server_conn *oldest = container_of(local->idle.prev, struct server_conn, node);
        if (oldest->quiet_since_ms + idle_ms > loop->now_ms) {
            timer_start(loop->timers, timer, oldest->quiet_since_ms + idle_ms);
            return;
        }
        upstream_close(oldest);
    }
}

/* Would a new connection speak TLS by the same rules? */
static bool secured_as_now(const struct server_conn *conn)
{
    const struct tls_context *now = upstream_backend(worker_of(conn), conn->server)->tls;
    return conn->conn.tls ? tls_is_of(conn->conn.tls, now) : now == NULL;
}

/* Puts it where it belongs by its time: nearly always first. */
static void idle_insert(struct upstream_server *local, struct server_conn *conn)
{
    struct list *at = &local->idle;
    while (at->next != &local->idle &&
           container_of(at->next, struct server_conn, node)->quiet_since_ms > conn->quiet_since_ms)
        at = at->next;
    list_insert_after(at, &conn->node);
    local->idle_count++;
}

void upstream_give_back(struct server_conn *conn, int64_t quiet_since_ms)
{
    struct upstream_server *local = server_local(worker_of(conn), conn->server);
    int64_t idle_ms = 0;
    if (!local->gone)
        idle_ms = upstream_backend(worker_of(conn), conn->server)->config->opt.timeout_idle_ms;
    struct loop *loop = &worker_of(conn)->loop;
    int64_t until_ms = quiet_since_ms + idle_ms;
    if (until_ms <= loop->now_ms || conn->introduced || !secured_as_now(conn) ||
        local->idle_count >= IDLE_PER_SERVER || worker_of(conn)->stopping ||
        !server_alive(conn->server)) {
        upstream_close(conn);
        return;
    }
    conn->reused = true;
    conn->quiet_since_ms = quiet_since_ms;
    conn_set_owner(&conn->conn, &idle_owner);
    if (conn->conn.paused)
        conn_resume(&conn->conn);
    count_server(conn, COUNTER_SERVER_CONNS_USED, -1);
    count_server(conn, COUNTER_SERVER_CONNS_IDLE, 1);
    idle_insert(local, conn);
    if (!timer_running(&local->reaper) || local->reaper.at_ms > until_ms)
        timer_start(loop->timers, &local->reaper, until_ms);
}

void upstream_close_idle(struct worker *worker, struct server *server)
{
    if (server) {
        close_idle(server_local(worker, server));
        return;
    }
    list_each_safe(node, &worker->upstream->servers)
    {
        close_idle(container_of(node, struct upstream_server, node));
    }
}

/* ---- lending ---- */

/* The connection, which has begun, speaks TLS if its backend wants that. False: no memory. */
static bool server_conn_secure(struct server_conn *conn)
{
    struct upstream_server *local = server_local(worker_of(conn), conn->server);
    const struct backend *view = upstream_backend(worker_of(conn), conn->server);
    char text[ADDR_TEXT_MAX];
    if (!view->tls)
        return true;
    const struct config_server *config = backend_server_config(view, conn->server);
    const char *name = config_tls_name(view->config, config, &local->addr, text);
    struct tls *tls = tls_connect(view->tls, name, &conn->server->sessions[worker_of(conn)->index]);
    if (!tls)
        return false;
    conn_secure(&conn->conn, tls);
    return true;
}

void upstream_note_failure(struct server_conn *conn)
{
    struct upstream_server *local = server_local(worker_of(conn), conn->server);
    const struct tls *tls = conn->conn.tls;
    int64_t now = worker_of(conn)->loop.now_ms;
    if (!tls || tls->trouble == TLS_TROUBLE_NONE || now < local->quiet_until_ms)
        return;
    local->quiet_until_ms = now + TROUBLE_EVERY_MS;
    log_warning(
        "TLS with a server failed, its requests go elsewhere if they can server=%s/%s kind=%s "
        "reason=\"%s\"",
        conn->server->home->name, conn->server->name, tls_trouble_word(tls->trouble),
        tls_error(tls));
}

static void note_no_port(struct upstream_server *local)
{
    int64_t now = local->worker->loop.now_ms;
    if (now < local->ports_quiet_until_ms)
        return;
    local->ports_quiet_until_ms = now + TROUBLE_EVERY_MS;
    log_warning("no local port is left for connections to a server, its requests go elsewhere if "
                "they can; net.ipv4.ip_local_port_range may be too narrow server=%s/%s",
                local->server->home->name, local->server->name);
}

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
    conn->server = local->server;
    int fd = net_connect(&local->addr);
    if (fd >= 0 && conn_init(&conn->conn, &worker->loop, worker->shelf, fd, true, owner)) {
        if (!server_conn_secure(conn)) {
            conn_close(&conn->conn);
            server_conn_bury(conn);
            errno = ENOMEM;
            return NULL;
        }
        if (list_single(&local->node) && !local->gone)
            list_push_back(&worker->upstream->servers, &local->node);
        return conn;
    }
    int saved = errno;
    if (saved == EADDRNOTAVAIL)
        note_no_port(local);
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

bool upstream_introduce(struct server_conn *conn, enum send_proxy how, const struct addr *source,
                        const struct addr *destination, const struct proxy_tls *tls)
{
    char header[PROXY_WRITE_MAX];
    size_t len = how == SEND_PROXY_V1 ? proxy_write_v1(source, destination, header)
                                      : proxy_write_v2(source, destination, tls, header);
    conn->introduced = true;
    return conn_preface(&conn->conn, span_of(header, len));
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
    atomic_fetch_or(&backend->home->queued_workers, worker_bit(worker));
}

void upstream_queue_remove(struct worker *worker, struct backend *backend, struct list *node)
{
    struct upstream_backend *local = backend_local(worker, backend);
    list_remove(node);
    local->queued--;
    counter_add(worker_stats(worker, backend->stat_id), COUNTER_QUEUED_NOW, -1);
    if (local->queued == 0)
        atomic_fetch_and(&backend->home->queued_workers, ~worker_bit(worker));
}

struct list *upstream_queue_first(struct worker *worker, const struct backend_home *home)
{
    return list_first(&home->locals[worker->index].queue);
}

struct list *upstream_queue_next(struct worker *worker, const struct backend_home *home,
                                 const struct list *node)
{
    return node->next != &home->locals[worker->index].queue ? node->next : NULL;
}

void upstream_place_left(struct worker *worker, struct backend *backend)
{
    uint64_t mask = atomic_load(&backend->home->queued_workers);
    if (mask == 0)
        return;
    if (!(mask & worker_bit(worker))) {
        tell_others(worker, backend->home, mask);
        return;
    }
    struct upstream_backend *local = backend_local(worker, backend);
    if (list_single(&local->place_free.node))
        loop_at_turn_end(&worker->loop, &local->place_free);
}
