// SPDX-License-Identifier: Apache-2.0
/*
 * A passage is one client's way through the door:
 *
 *     accepted ──► WAITING ──► CONNECTING ──► OPEN ──► CLOSING ──► gone
 *                     ▲            │            │         ▲
 *                     └─ failed ◄──┘            └── cut ──┘
 *
 * WAITING      the client's bytes stay in the kernel; it becomes CONNECTING when the door leads
 *              somewhere, and again PAUSE_MS after a failed try. At hold.max it is closed.
 * OPEN         bytes go both ways in steps of one read. A side that cannot be written to stops the
 *              other from being read: nothing piles up here beyond one step. The end of one
 *              direction (FIN) goes through, the other one stays open.
 * CLOSING      the master's side is gone; what it said before still goes to the client, for LINGER_MS.
 *
 * The master's side always ends with a RST when the door cuts: a frozen process then does not find
 * our client alive, with commands waiting, when it wakes. The client's side ends with a FIN behind the
 * last byte if it reads; its library connects again at once.
 *
 * A listener that has run out of descriptors is silent for a moment; the clients wait in its backlog.
 */
#include "sentinel-watch/relay.h"

#include "base/conn.h"
#include "base/log.h"
#include "base/rand.h"
#include "sentinel-watch/event.h"
#include "sentinel-watch/locator.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BACKLOG = 511,
    ACCEPTS_PER_TURN = 16,
    CONNECT_MS = 1000,
    PAUSE_MS = 50,        /* between two tries to reach the master, ± half */
    LOCATE_MS = 500,      /* between two tries to resolve its name */
    LINGER_MS = 1000,     /* for a client to take the last bytes */
    IDLE_DEAD_MS = 60000, /* hosts that vanish are noticed in about this time */
    SILENT_MS = 100,      /* of a listener without descriptors */
    CONNS_MAX = 8192,     /* clients of one relay; and half of what descriptors allow */
    DESCRIPTORS_SPARE = 200,
};

enum passage_state { PASSAGE_WAITING, PASSAGE_CONNECTING, PASSAGE_OPEN, PASSAGE_CLOSING };

struct passage {
    struct list node;
    struct grave grave;
    struct relay *relay;
    struct conn client, master;
    struct timer timer; /* the next try, the connect's end, or the linger's */
    enum passage_state state;
    bool held; /* it was counted as one that had to wait */
    int64_t accepted_ms;
};

struct listener {
    struct list node;
    struct relay *relay;
    struct io io;
    struct timer timer;
    char *text; /* as configured */
    struct addr addr;
    bool keep; /* during relay_configure */
};

struct relay {
    struct world world;
    struct list listeners, passages;
    struct locator *locator;
    struct timer timer; /* asks for the master's name again */
    struct rng rng;
    struct place place; /* where it leads; port 0: nowhere yet */
    struct addr addr;   /* the same; len 0: not resolved yet */
    bool named;         /* it came from the resolver */
    bool holding;
    size_t count, max;
    int64_t hold_max_ms;
};

static void add(const struct relay *relay, enum tally_id id, int64_t n)
{
    tally_add(relay->world.tally, id, n);
}

/* ---- the life of a passage -------------------------------------------------------------------- */

static void passage_free(struct grave *grave)
{
    free(container_of(grave, struct passage, grave));
}

static void passage_enter(struct passage *passage, enum passage_state state)
{
    bool waited = passage->state < PASSAGE_OPEN, waits = state < PASSAGE_OPEN;
    passage->state = state;
    if (passage->held && waited && !waits)
        add(passage->relay, TALLY_RELAY_HELD_NOW, -1);
}

static void passage_end(struct passage *passage)
{
    passage_enter(passage, PASSAGE_CLOSING);
    loop_timer_stop(passage->relay->world.loop, &passage->timer);
    conn_close(&passage->master);
    conn_close(&passage->client);
    list_remove(&passage->node);
    passage->relay->count--;
    add(passage->relay, TALLY_RELAY_NOW, -1);
    loop_bury(passage->relay->world.loop, &passage->grave);
}

/* The way to the master ends here; the client gets what it said, then the end. */
static void passage_cut(struct passage *passage)
{
    conn_reset(&passage->master);
    if (buf_len(&passage->client.out) == 0) {
        passage_end(passage);
        return;
    }
    passage_enter(passage, PASSAGE_CLOSING);
    conn_pause(&passage->client);
    conn_close_write(&passage->client);
    loop_timer_start(passage->relay->world.loop, &passage->timer, LINGER_MS);
}

/* It has to wait, for the first time or again. */
static void passage_wait(struct passage *passage, int64_t pause_ms)
{
    struct relay *relay = passage->relay;
    struct loop *loop = relay->world.loop;
    int64_t left_ms = passage->accepted_ms + relay->hold_max_ms - loop->now_ms;
    passage_enter(passage, PASSAGE_WAITING);
    if (!passage->held) {
        passage->held = true;
        add(relay, TALLY_RELAY_HELD, 1);
        add(relay, TALLY_RELAY_HELD_NOW, 1);
    }
    bool leads = relay->addr.len > 0 && !relay->holding;
    int64_t wait_ms = leads ? rng_jitter(&relay->rng, pause_ms, 50) : left_ms;
    loop_timer_start(loop, &passage->timer, wait_ms < left_ms ? wait_ms : left_ms);
}

/* A try to reach the master failed. Its name may mean another address by now. */
static void passage_failed(struct passage *passage)
{
    struct relay *relay = passage->relay;
    add(relay, TALLY_RELAY_CONNECT_FAILED, 1);
    if (relay->named && !timer_running(&relay->timer))
        loop_timer_start(relay->world.loop, &relay->timer, LOCATE_MS);
    conn_reset(&passage->master);
    passage_wait(passage, PAUSE_MS);
}

static bool passage_connect(struct passage *passage);

static void passage_go(struct passage *passage)
{
    struct relay *relay = passage->relay;
    if (relay->world.loop->now_ms >= passage->accepted_ms + relay->hold_max_ms) {
        add(relay, TALLY_RELAY_EXPIRED, 1);
        passage_end(passage);
    } else if (relay->addr.len == 0 || relay->holding || !passage_connect(passage)) {
        passage_wait(passage, PAUSE_MS);
    }
}

static void on_passage_timer(struct timer *timer)
{
    struct passage *passage = container_of(timer, struct passage, timer);
    switch (passage->state) {
    case PASSAGE_WAITING:
        passage_go(passage);
        return;
    case PASSAGE_CONNECTING:
        passage_failed(passage);
        return;
    case PASSAGE_OPEN:
    case PASSAGE_CLOSING:
        passage_end(passage);
        return;
    }
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* All that is in `from` goes to `to`. False: `to` cannot be written to any more. */
static bool move(struct relay *relay, struct conn *from, struct conn *to, enum tally_id id)
{
    struct span bytes = buf_bytes(&from->in);
    enum io_result result = conn_write(to, &bytes, 1);
    add(relay, id, (int64_t)bytes.len);
    conn_consume(from, bytes.len);
    if (result == IO_WANT_WRITE)
        conn_pause(from);
    return result != IO_FAILED;
}

/* Both directions have ended: the passage does, when the last bytes have left. */
static void passage_end_if_over(struct passage *passage)
{
    if (passage->client.eof_told && passage->master.eof_told &&
        buf_len(&passage->client.out) == 0 && buf_len(&passage->master.out) == 0)
        passage_end(passage);
}

static struct passage *passage_of_client(struct conn *conn)
{
    return container_of(conn, struct passage, client);
}

static struct passage *passage_of_master(struct conn *conn)
{
    return container_of(conn, struct passage, master);
}

static void client_connected(struct conn *conn)
{
    (void)conn; // It came connected.
}

static void client_bytes(struct conn *conn)
{
    struct passage *passage = passage_of_client(conn);
    // When it fails, what the master said last still comes, then its end.
    if (!move(passage->relay, conn, &passage->master, TALLY_RELAY_BYTES_IN))
        conn_pause(conn);
}

static void client_drained(struct conn *conn)
{
    struct passage *passage = passage_of_client(conn);
    if (passage->state == PASSAGE_CLOSING) {
        passage_end(passage);
        return;
    }
    conn_resume(&passage->master);
    passage_end_if_over(passage);
}

static void client_eof(struct conn *conn)
{
    struct passage *passage = passage_of_client(conn);
    conn_close_write(&passage->master);
    passage_end_if_over(passage);
}

static void client_failed(struct conn *conn)
{
    struct passage *passage = passage_of_client(conn);
    conn_reset(&passage->master);
    passage_end(passage);
}

static const struct conn_owner client_owner = {
    .connected = client_connected,
    .bytes = client_bytes,
    .drained = client_drained,
    .eof = client_eof,
    .failed = client_failed,
};

static void master_connected(struct conn *conn)
{
    struct passage *passage = passage_of_master(conn);
    if (net_is_self(conn->io.fd)) { // Nobody listens there, and we took its port.
        passage_failed(passage);
        return;
    }
    loop_timer_stop(passage->relay->world.loop, &passage->timer);
    passage_enter(passage, PASSAGE_OPEN);
    conn_resume(&passage->client);
}

static void master_bytes(struct conn *conn)
{
    struct passage *passage = passage_of_master(conn);
    if (move(passage->relay, conn, &passage->client, TALLY_RELAY_BYTES_OUT))
        return;
    conn_reset(conn);
    passage_end(passage);
}

static void master_drained(struct conn *conn)
{
    struct passage *passage = passage_of_master(conn);
    conn_resume(&passage->client);
    passage_end_if_over(passage);
}

static void master_eof(struct conn *conn)
{
    struct passage *passage = passage_of_master(conn);
    if (conn->unwritable) {
        passage_cut(passage);
        return;
    }
    conn_close_write(&passage->client);
    passage_end_if_over(passage);
}

static void master_failed(struct conn *conn)
{
    struct passage *passage = passage_of_master(conn);
    if (passage->state == PASSAGE_CONNECTING) {
        passage_failed(passage);
    } else {
        passage_cut(passage);
    }
}

static const struct conn_owner master_owner = {
    .connected = master_connected,
    .bytes = master_bytes,
    .drained = master_drained,
    .eof = master_eof,
    .failed = master_failed,
};

static bool passage_connect(struct passage *passage)
{
    struct relay *relay = passage->relay;
    int fd = net_connect(&relay->addr);
    if (fd < 0) {
        add(relay, TALLY_RELAY_CONNECT_FAILED, 1);
        return false;
    }
    net_keepalive(fd, IDLE_DEAD_MS);
    if (!conn_init(&passage->master, relay->world.loop, relay->world.shelf, fd, true,
                   &master_owner)) {
        close(fd);
        return false;
    }
    passage_enter(passage, PASSAGE_CONNECTING);
    loop_timer_start(relay->world.loop, &passage->timer, CONNECT_MS);
    return true;
}

/* ---- listeners ----------------------------------------------------------------------------- */

static void passage_new(struct relay *relay, int fd)
{
    struct passage *passage = relay->count < relay->max ? calloc(1, sizeof(*passage)) : NULL;
    if (!passage) {
        add(relay, TALLY_RELAY_REFUSED, 1);
        close(fd);
        return;
    }
    passage->relay = relay;
    passage->grave.fn = passage_free;
    passage->accepted_ms = relay->world.loop->now_ms;
    passage->master.io.fd = -1;
    timer_init(&passage->timer, on_passage_timer);
    net_keepalive(fd, IDLE_DEAD_MS);
    if (!conn_init(&passage->client, relay->world.loop, relay->world.shelf, fd, false,
                   &client_owner)) {
        close(fd);
        free(passage);
        return;
    }
    conn_pause(&passage->client);
    list_push_back(&relay->passages, &passage->node);
    relay->count++;
    add(relay, TALLY_RELAY_CONNS, 1);
    add(relay, TALLY_RELAY_NOW, 1);
    passage_go(passage);
}

static void on_accept(struct io *io, uint32_t events)
{
    struct listener *listener = container_of(io, struct listener, io);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            passage_new(listener->relay, fd);
            continue;
        }
        if (net_error_is_ours(errno)) {
            loop_change_level(listener->relay->world.loop, io, 0);
            loop_timer_start(listener->relay->world.loop, &listener->timer, SILENT_MS);
        }
        return;
    }
}

static void on_listener_timer(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, timer);
    loop_change_level(listener->relay->world.loop, &listener->io, EPOLLIN);
}

static void listener_close(struct listener *listener)
{
    loop_timer_stop(listener->relay->world.loop, &listener->timer);
    loop_close(listener->relay->world.loop, &listener->io);
    if (listener->addr.any.sa_family == AF_UNIX)
        unlink(listener->addr.un.sun_path);
    list_remove(&listener->node);
    free(listener->text);
    free(listener); // No event of this turn reaches it any more.
}

/* NULL: errno. */
static struct listener *listener_open(struct relay *relay, const char *text,
                                      const struct addr *addr)
{
    int fd = net_listen(addr, BACKLOG, false);
    if (fd < 0)
        return NULL;
    struct listener *listener = mem_must_alloc(sizeof(*listener));
    listener->relay = relay;
    listener->text = mem_must_copy(text);
    listener->addr = *addr;
    net_local_addr(fd, &listener->addr);
    io_init(&listener->io, fd, on_accept);
    timer_init(&listener->timer, on_listener_timer);
    list_push_back(&relay->listeners, &listener->node);
    listener->keep = true;
    if (loop_add_level(relay->world.loop, &listener->io, EPOLLIN))
        return listener;
    int error = errno;
    listener_close(listener);
    errno = error;
    return NULL;
}

static struct listener *listener_of(struct list *node)
{
    return container_of(node, struct listener, node);
}

static struct listener *find(struct relay *relay, const char *text)
{
    list_each(node, &relay->listeners)
    {
        if (strcmp(listener_of(node)->text, text) == 0)
            return listener_of(node);
    }
    return NULL;
}

/* Closes those whose `keep` is not as it should be. */
static void close_unless(struct relay *relay, bool keep)
{
    list_each_safe(node, &relay->listeners)
    {
        if (listener_of(node)->keep != keep)
            listener_close(listener_of(node));
    }
}

static bool open_all(struct relay *relay, const struct config_sentinel *sentinel, char **error)
{
    for (size_t i = 0; i < sentinel->opt.relay_listen_count; i++) {
        const char *text = sentinel->opt.relay_listen[i];
        struct listener *listener = find(relay, text);
        char address[300];
        if (listener || listener_open(relay, text, &sentinel->relays[i].addr))
            continue;
        snprintf(address, sizeof(address), "cannot listen on %.200s for the relay: %s", text,
                 strerror(errno));
        *error = mem_must_copy(address);
        return false;
    }
    return true;
}

static size_t passages_allowed(void)
{
    struct rlimit limit;
    size_t half = CONNS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        half = limit.rlim_cur > DESCRIPTORS_SPARE ? (limit.rlim_cur - DESCRIPTORS_SPARE) / 2 : 1;
    return half < CONNS_MAX ? half : CONNS_MAX;
}

bool relay_configure(struct relay *relay, const struct config_sentinel *sentinel, char **error)
{
    list_each(node, &relay->listeners) listener_of(node)->keep = false;
    if (!open_all(relay, sentinel, error)) {
        close_unless(relay, false);
        return false;
    }
    for (size_t i = 0; i < sentinel->opt.relay_listen_count; i++) {
        struct listener *listener = find(relay, sentinel->opt.relay_listen[i]);
        assert(listener); // open_all has opened it, or it was there.
        listener->keep = true;
    }
    close_unless(relay, true);
    relay->hold_max_ms = sentinel->opt.hold_max_ms;
    relay->max = passages_allowed();
    return true;
}

void relay_listeners(const struct relay *relay, void (*each)(void *ctx, const struct addr *addr),
                     void *ctx)
{
    list_each(node, &relay->listeners) each(ctx, &listener_of(node)->addr);
}

/* ---- where it leads ------------------------------------------------------------------------ */

static struct passage *passage_of(struct list *node)
{
    return container_of(node, struct passage, node);
}

/* The door leads somewhere: who waits goes through. */
static void let_in(struct relay *relay)
{
    if (relay->addr.len == 0 || relay->holding)
        return;
    list_each_safe(node, &relay->passages)
    {
        if (passage_of(node)->state == PASSAGE_WAITING)
            passage_go(passage_of(node));
    }
}

static void on_located(void *ctx, const struct addr *addr, const char *error)
{
    struct relay *relay = ctx;
    if (addr) {
        relay->addr = *addr;
        let_in(relay);
        return;
    }
    log_warning("the master's name cannot be resolved, the relay's clients wait: host=%s: %s",
                relay->place.host, error);
    loop_timer_start(relay->world.loop, &relay->timer, LOCATE_MS);
}

static void locate(struct relay *relay)
{
    static const struct addr none = {.len = 0};
    relay->named = !locator_ask(relay->locator, relay->place.host, relay->place.port, &none,
                                &relay->addr);
    if (!relay->named)
        let_in(relay);
}

static void on_timer(struct timer *timer)
{
    locate(container_of(timer, struct relay, timer));
}

static void cut_all(struct relay *relay)
{
    list_each_safe(node, &relay->passages)
    {
        struct passage *passage = passage_of(node);
        if (passage->state == PASSAGE_OPEN) {
            add(relay, TALLY_RELAY_CUT, 1);
            passage_cut(passage);
        } else if (passage->state == PASSAGE_CONNECTING) {
            conn_reset(&passage->master);
            passage_wait(passage, PAUSE_MS);
        }
    }
}

void relay_lead(struct relay *relay, const struct place *place)
{
    bool same = place_eq(&relay->place, place);
    relay->holding = false;
    if (same) {
        let_in(relay);
        return;
    }
    relay->place = *place;
    relay->addr.len = 0;
    loop_timer_stop(relay->world.loop, &relay->timer);
    cut_all(relay);
    locate(relay);
}

void relay_hold(struct relay *relay)
{
    relay->holding = true;
}

void relay_release(struct relay *relay)
{
    relay->holding = false;
    let_in(relay);
}

void relay_show(const struct relay *relay, struct text *out)
{
    char address[PLACE_TEXT_MAX];
    text_addf(out, "{\"leads_to\":\"%s\",\"holding\":%s,\"connections\":%zu}",
              place_show(&relay->place, address), relay->holding ? "true" : "false", relay->count);
}

struct relay *relay_new(const struct world *world)
{
    struct relay *relay = mem_must_alloc(sizeof(*relay));
    relay->world = *world;
    list_init(&relay->listeners);
    list_init(&relay->passages);
    timer_init(&relay->timer, on_timer);
    rng_seed_from_system(&relay->rng);
    relay->locator = locator_new(world->loop, world->resolver, on_located, relay);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    list_each_safe(node, &relay->listeners) listener_close(listener_of(node));
    list_each_safe(node, &relay->passages) passage_end(passage_of(node));
    loop_timer_stop(relay->world.loop, &relay->timer);
    locator_free(relay->locator);
    free(relay);
}
