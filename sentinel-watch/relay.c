// SPDX-License-Identifier: Apache-2.0
/*
 * A link is one client's way through the door:
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

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_OPEN, LINK_CLOSING };

struct link {
    struct list node;
    struct grave grave;
    struct relay *relay;
    struct conn client, master;
    struct timer timer; /* the next try, the connect's end, or the linger's */
    enum link_state state;
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
    struct list listeners, links;
    struct locator *locator;
    struct timer timer; /* asks for the master's name again */
    struct rng rng;
    struct place place; /* where it leads; port 0: nowhere yet */
    struct addr addr;   /* the same; len 0: not resolved yet */
    bool holding;
    size_t count, max;
    int64_t hold_max_ms;
};

static void add(const struct relay *relay, enum tally_id id, int64_t n)
{
    tally_add(relay->world.tally, id, n);
}

/* ---- the life of a link -------------------------------------------------------------------- */

static void link_free(struct grave *grave)
{
    free(container_of(grave, struct link, grave));
}

static void link_enter(struct link *link, enum link_state state)
{
    bool waited = link->state < LINK_OPEN, waits = state < LINK_OPEN;
    link->state = state;
    if (link->held && waited && !waits)
        add(link->relay, TALLY_RELAY_HELD_NOW, -1);
}

static void link_end(struct link *link)
{
    link_enter(link, LINK_CLOSING);
    loop_timer_stop(link->relay->world.loop, &link->timer);
    conn_close(&link->master);
    conn_close(&link->client);
    list_remove(&link->node);
    link->relay->count--;
    add(link->relay, TALLY_RELAY_NOW, -1);
    loop_bury(link->relay->world.loop, &link->grave);
}

/* The way to the master ends here; the client gets what it said, then the end. */
static void link_cut(struct link *link)
{
    conn_reset(&link->master);
    if (buf_len(&link->client.out) == 0) {
        link_end(link);
        return;
    }
    link_enter(link, LINK_CLOSING);
    conn_pause(&link->client);
    conn_close_write(&link->client);
    loop_timer_start(link->relay->world.loop, &link->timer, LINGER_MS);
}

/* It has to wait, for the first time or again. */
static void link_wait(struct link *link, int64_t pause_ms)
{
    struct relay *relay = link->relay;
    struct loop *loop = relay->world.loop;
    int64_t left_ms = link->accepted_ms + relay->hold_max_ms - loop->now_ms;
    link_enter(link, LINK_WAITING);
    if (!link->held) {
        link->held = true;
        add(relay, TALLY_RELAY_HELD, 1);
        add(relay, TALLY_RELAY_HELD_NOW, 1);
    }
    bool leads = relay->addr.len > 0 && !relay->holding;
    int64_t wait_ms = leads ? rng_jitter(&relay->rng, pause_ms, 50) : left_ms;
    loop_timer_start(loop, &link->timer, wait_ms < left_ms ? wait_ms : left_ms);
}

static bool link_connect(struct link *link);

static void link_go(struct link *link)
{
    struct relay *relay = link->relay;
    if (relay->world.loop->now_ms >= link->accepted_ms + relay->hold_max_ms) {
        add(relay, TALLY_RELAY_EXPIRED, 1);
        link_end(link);
    } else if (relay->addr.len == 0 || relay->holding || !link_connect(link)) {
        link_wait(link, PAUSE_MS);
    }
}

static void on_link_timer(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, timer);
    switch (link->state) {
    case LINK_WAITING:
        link_go(link);
        return;
    case LINK_CONNECTING:
        add(link->relay, TALLY_RELAY_CONNECT_FAILED, 1);
        conn_reset(&link->master);
        link_wait(link, PAUSE_MS);
        return;
    case LINK_OPEN:
    case LINK_CLOSING:
        link_end(link);
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

/* Both directions have ended: the link does, when the last bytes have left. */
static void link_end_if_over(struct link *link)
{
    if (link->client.eof_told && link->master.eof_told && buf_len(&link->client.out) == 0 &&
        buf_len(&link->master.out) == 0)
        link_end(link);
}

static struct link *link_of_client(struct conn *conn)
{
    return container_of(conn, struct link, client);
}

static struct link *link_of_master(struct conn *conn)
{
    return container_of(conn, struct link, master);
}

static void client_connected(struct conn *conn)
{
    (void)conn; // It came connected.
}

static void client_bytes(struct conn *conn)
{
    struct link *link = link_of_client(conn);
    // When it fails, what the master said last still comes, then its end.
    if (!move(link->relay, conn, &link->master, TALLY_RELAY_BYTES_IN))
        conn_pause(conn);
}

static void client_drained(struct conn *conn)
{
    struct link *link = link_of_client(conn);
    if (link->state == LINK_CLOSING) {
        link_end(link);
        return;
    }
    conn_resume(&link->master);
    link_end_if_over(link);
}

static void client_eof(struct conn *conn)
{
    struct link *link = link_of_client(conn);
    conn_close_write(&link->master);
    link_end_if_over(link);
}

static void client_failed(struct conn *conn)
{
    struct link *link = link_of_client(conn);
    conn_reset(&link->master);
    link_end(link);
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
    struct link *link = link_of_master(conn);
    if (net_is_self(conn->io.fd)) { // Nobody listens there, and we took its port.
        conn_reset(conn);
        link_wait(link, PAUSE_MS);
        return;
    }
    loop_timer_stop(link->relay->world.loop, &link->timer);
    link_enter(link, LINK_OPEN);
    conn_resume(&link->client);
}

static void master_bytes(struct conn *conn)
{
    struct link *link = link_of_master(conn);
    if (move(link->relay, conn, &link->client, TALLY_RELAY_BYTES_OUT))
        return;
    conn_reset(conn);
    link_end(link);
}

static void master_drained(struct conn *conn)
{
    struct link *link = link_of_master(conn);
    conn_resume(&link->client);
    link_end_if_over(link);
}

static void master_eof(struct conn *conn)
{
    struct link *link = link_of_master(conn);
    if (conn->unwritable) {
        link_cut(link);
        return;
    }
    conn_close_write(&link->client);
    link_end_if_over(link);
}

static void master_failed(struct conn *conn)
{
    struct link *link = link_of_master(conn);
    if (link->state == LINK_CONNECTING) {
        add(link->relay, TALLY_RELAY_CONNECT_FAILED, 1);
        conn_reset(conn);
        link_wait(link, PAUSE_MS);
    } else {
        link_cut(link);
    }
}

static const struct conn_owner master_owner = {
    .connected = master_connected,
    .bytes = master_bytes,
    .drained = master_drained,
    .eof = master_eof,
    .failed = master_failed,
};

static bool link_connect(struct link *link)
{
    struct relay *relay = link->relay;
    int fd = net_connect(&relay->addr);
    if (fd < 0) {
        add(relay, TALLY_RELAY_CONNECT_FAILED, 1);
        return false;
    }
    net_keepalive(fd, IDLE_DEAD_MS);
    if (!conn_init(&link->master, relay->world.loop, relay->world.shelf, fd, true, &master_owner)) {
        close(fd);
        return false;
    }
    link_enter(link, LINK_CONNECTING);
    loop_timer_start(relay->world.loop, &link->timer, CONNECT_MS);
    return true;
}

/* ---- listeners ----------------------------------------------------------------------------- */

static void link_new(struct relay *relay, int fd)
{
    struct link *link = relay->count < relay->max ? calloc(1, sizeof(*link)) : NULL;
    if (!link) {
        add(relay, TALLY_RELAY_REFUSED, 1);
        close(fd);
        return;
    }
    link->relay = relay;
    link->grave.fn = link_free;
    link->accepted_ms = relay->world.loop->now_ms;
    link->master.io.fd = -1;
    timer_init(&link->timer, on_link_timer);
    net_keepalive(fd, IDLE_DEAD_MS);
    if (!conn_init(&link->client, relay->world.loop, relay->world.shelf, fd, false,
                   &client_owner)) {
        close(fd);
        free(link);
        return;
    }
    conn_pause(&link->client);
    list_push_back(&relay->links, &link->node);
    relay->count++;
    add(relay, TALLY_RELAY_CONNS, 1);
    add(relay, TALLY_RELAY_NOW, 1);
    link_go(link);
}

static void on_accept(struct io *io, uint32_t events)
{
    struct listener *listener = container_of(io, struct listener, io);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            link_new(listener->relay, fd);
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

static size_t links_allowed(void)
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
    for (size_t i = 0; i < sentinel->opt.relay_listen_count; i++)
        find(relay, sentinel->opt.relay_listen[i])->keep = true;
    close_unless(relay, true);
    relay->hold_max_ms = sentinel->opt.hold_max_ms;
    relay->max = links_allowed();
    return true;
}

void relay_listeners(const struct relay *relay, void (*each)(void *ctx, const struct addr *addr),
                     void *ctx)
{
    list_each(node, &relay->listeners) each(ctx, &listener_of(node)->addr);
}

/* ---- where it leads ------------------------------------------------------------------------ */

static struct link *link_of(struct list *node)
{
    return container_of(node, struct link, node);
}

/* The door leads somewhere: who waits goes through. */
static void let_in(struct relay *relay)
{
    if (relay->addr.len == 0 || relay->holding)
        return;
    list_each_safe(node, &relay->links)
    {
        if (link_of(node)->state == LINK_WAITING)
            link_go(link_of(node));
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
    if (locator_ask(relay->locator, relay->place.host, relay->place.port, &none, &relay->addr))
        let_in(relay);
}

static void on_timer(struct timer *timer)
{
    locate(container_of(timer, struct relay, timer));
}

static void cut_all(struct relay *relay)
{
    list_each_safe(node, &relay->links)
    {
        struct link *link = link_of(node);
        if (link->state == LINK_OPEN) {
            add(relay, TALLY_RELAY_CUT, 1);
            link_cut(link);
        } else if (link->state == LINK_CONNECTING) {
            conn_reset(&link->master);
            link_wait(link, PAUSE_MS);
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
    list_init(&relay->links);
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
    list_each_safe(node, &relay->links) link_end(link_of(node));
    loop_timer_stop(relay->world.loop, &relay->timer);
    locator_free(relay->locator);
    free(relay);
}
