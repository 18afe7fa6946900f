// SPDX-License-Identifier: Apache-2.0
/*
 *     client ◄── 200 "1" ── flow            the flow is done with the session in the same turn
 *
 *     server ◄── POST "1" ── farewell       a connection of its own, until the first answer
 *     server ──► "6" ──────► (thrown away)  the poll that the server held; its answer is for nobody
 *
 * The target is the poll's own: path, EIO, transport, j and sid (without our tag) stand in it. There are at most
 * FAREWELLS_MAX at a time in a worker; beyond that, and when memory or descriptors lack, the poll's
 * connection is simply closed, which frees the session, too.
 */
#include "lb/farewell.h"

#include "lb/sidname.h"
#include "proto/engineio_tag.h"

#include <stdio.h>
#include <stdlib.h>

enum { FAREWELLS_MAX = 256, WAIT_MS = 2000, HEAD_ROOM = 512 };

struct farewell {
    struct list node; /* in worker->farewells */
    struct worker *worker;
    struct server_conn *post;
    struct server_conn *get; /* NULL: there is none */
    struct edition *edition; /* held, for its server's sake */
    struct timer timer;
    struct grave grave;
    size_t len;
    char text[]; /* the request */
};

static void farewell_bury(struct grave *grave)
{
    free(container_of(grave, struct farewell, grave));
}

static void farewell_over(struct farewell *farewell)
{
    struct worker *worker = farewell->worker;
    list_remove(&farewell->node);
    worker->farewell_count--;
    loop_timer_stop(&worker->loop, &farewell->timer);
    upstream_close(farewell->post);
    if (farewell->get)
        upstream_close(farewell->get);
    edition_drop(farewell->edition);
    loop_bury(&worker->loop, &farewell->grave);
}

static void farewell_overdue(struct timer *timer)
{
    farewell_over(container_of(timer, struct farewell, timer));
}

static struct farewell *farewell_of(struct conn *conn)
{
    return container_of(conn, struct server_conn, conn)->user;
}

/* ---- the poll's connection ---- */

static void get_bytes(struct conn *conn)
{
    conn_consume(conn, buf_len(&conn->in));
}

static void get_ignored(struct conn *conn)
{
    (void)conn;
}

static void get_ended(struct conn *conn)
{
    struct farewell *farewell = farewell_of(conn);
    upstream_close(farewell->get);
    farewell->get = NULL;
}

static const struct conn_owner get_owner = {
    .connected = get_ignored,
    .bytes = get_bytes,
    .drained = get_ignored,
    .eof = get_ended,
    .failed = get_ended,
};

/* ---- the packet's connection ---- */

static void post_connected(struct conn *conn)
{
    struct farewell *farewell = farewell_of(conn);
    struct span request = {farewell->text, farewell->len};
    if (conn_write(conn, &request, 1) == IO_FAILED)
        farewell_over(farewell);
}

/* It has been answered, or cannot be. */
static void post_ended(struct conn *conn)
{
    farewell_over(farewell_of(conn));
}

static const struct conn_owner post_owner = {
    .connected = post_connected,
    .bytes = post_ended,
    .drained = get_ignored,
    .eof = post_ended,
    .failed = post_ended,
};

/* ---- making one ---- */

/* The request target of the exchange's line; empty when it was cut short. */
static struct span target_of(const struct exchange *x)
{
    struct span line = {x->line, x->line_len};
    struct span rest = line;
    (void)span_cut(&rest, ' ');
    struct span target = span_cut(&rest, ' ');
    return span_starts(rest, SPAN("HTTP/1.")) && rest.len == 8 ? target : SPAN_NONE;
}

static size_t write_request(const struct exchange *x, struct span target, char *out, size_t size)
{
    const char *packet = x->protocol == 4 ? "1" : "1:1";
    const char *type = x->jsonp ? "application/x-www-form-urlencoded" : "text/plain;charset=UTF-8";
    size_t len = (x->jsonp ? 2u : 0u) + (x->protocol == 4 ? 1u : 3u);
    int n = snprintf(out, size,
                     "POST %.*s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s%s",
                     SPAN_ARG(target), exchange_server_address(x), type, len, x->jsonp ? "d=" : "",
                     packet);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static struct farewell *farewell_new(struct exchange *x)
{
    struct worker *worker = x->flow->worker;
    struct span target = target_of(x);
    if (target.len == 0 || worker->farewell_count >= FAREWELLS_MAX)
        return NULL;
    size_t size = target.len + HEAD_ROOM;
    struct farewell *farewell = calloc(1, sizeof(*farewell) + size + target.len);
    if (!farewell)
        return NULL;
    char *bare = farewell->text + size;
    if (sidname_tags(x->backend))
        target = span_of(bare, eio_untag_target(target, EIO_SID_IN_QUERY, bare));
    farewell->worker = worker;
    farewell->grave.fn = farewell_bury;
    farewell->len = write_request(x, target, farewell->text, size);
    timer_init(&farewell->timer, farewell_overdue);
    if (farewell->len > 0)
        farewell->post = upstream_lend(worker, x->server, true, &post_owner, farewell);
    enum send_proxy how = x->backend->config->opt.send_proxy;
    if (farewell->post && how != SEND_PROXY_OFF &&
        !upstream_introduce(farewell->post, how, NULL, NULL, NULL)) {
        upstream_close(farewell->post);
        farewell->post = NULL;
    }
    if (farewell->post)
        return farewell;
    free(farewell);
    return NULL;
}

void farewell_send(struct exchange *x)
{
    bool wanted = !x->legacy && server_alive(x->server);
    struct farewell *farewell = wanted ? farewell_new(x) : NULL;
    if (!farewell)
        return;
    struct worker *worker = x->flow->worker;
    farewell->edition = edition_hold(x->edition);
    list_push_back(&worker->farewells, &farewell->node);
    worker->farewell_count++;
    loop_timer_start(&worker->loop, &farewell->timer, WAIT_MS);
    if (x->up && !x->up->conn.connecting) {
        farewell->get = x->up;
        farewell->get->user = farewell;
        conn_set_owner(&farewell->get->conn, &get_owner);
        x->up = NULL;
    }
    if (!farewell->post->conn.connecting)
        post_connected(&farewell->post->conn);
}

void farewell_end_all(struct worker *worker)
{
    while (!list_empty(&worker->farewells))
        farewell_over(container_of(list_first(&worker->farewells), struct farewell, node));
}
