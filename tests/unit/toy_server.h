// SPDX-License-Identifier: Apache-2.0
/*
 * A small server for tests, on the loop of the test itself: accepts on 127.0.0.1, reads a request
 * (its head, and a body of Content-Length) and sends what `answer` says, at once or byte by byte.
 */
#ifndef LIMPET_TESTS_TOY_SERVER_H
#define LIMPET_TESTS_TOY_SERVER_H

#include "base/conn.h"
#include "base/mem.h"
#include "base/net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { TOY_CONNS = 32, TOY_TEXT = 4096 };

struct toy;

struct toy_conn {
    struct conn conn;
    struct timer timer;
    struct toy *toy;
    const char *rest; /* of the answer */
};

struct toy {
    struct loop *loop;
    struct shelf *shelf;
    struct io listener;
    struct addr addr;
    /* The answer to a request, static text; NULL: none, the connection stays open. */
    const char *(*answer)(struct toy *toy, const char *request);
    const char *text; /* what toy_says answers */
    int drip_ms;      /* > 0: one byte every so often */
    bool keep_open;   /* do not close behind the answer */
    bool reset;       /* RST instead of an answer */
    int accepted, answered;
    char requests[8][TOY_TEXT]; /* the first ones */
    struct toy_conn conns[TOY_CONNS];
};

static inline const char *toy_says(struct toy *toy, const char *request)
{
    (void)request;
    return toy->text;
}

static inline const char *toy_is_silent(struct toy *toy, const char *request)
{
    (void)toy;
    (void)request;
    return NULL;
}

static inline bool toy_request_is_whole(struct span in)
{
    size_t head = span_find(in, SPAN("\r\n\r\n"));
    if (head == SIZE_MAX)
        return false;
    size_t at = span_find(in, SPAN("Content-Length: "));
    size_t body = at < head ? (size_t)strtoul(in.ptr + at + 16, NULL, 10) : 0;
    return in.len >= head + 4 + body;
}

static inline void toy_send(struct toy_conn *toy_conn)
{
    bool drips = toy_conn->toy->drip_ms > 0;
    struct span piece = span_str(toy_conn->rest);
    if (drips)
        piece = span_upto(piece, 1);
    toy_conn->rest += piece.len;
    if (conn_write(&toy_conn->conn, &piece, 1) == IO_FAILED)
        conn_close(&toy_conn->conn);
    else if (*toy_conn->rest != '\0')
        loop_timer_start(toy_conn->toy->loop, &toy_conn->timer, toy_conn->toy->drip_ms);
    else if (!toy_conn->toy->keep_open)
        conn_close_write(&toy_conn->conn);
}

static inline void toy_on_timer(struct timer *timer)
{
    struct toy_conn *toy_conn = container_of(timer, struct toy_conn, timer);
    if (conn_open(&toy_conn->conn))
        toy_send(toy_conn);
}

static inline void toy_bytes(struct conn *conn)
{
    struct toy_conn *toy_conn = container_of(conn, struct toy_conn, conn);
    struct toy *toy = toy_conn->toy;
    struct span in = buf_bytes(&conn->in);
    if (!toy_request_is_whole(in))
        return;
    char *request = toy->requests[toy->answered < 8 ? toy->answered : 7];
    span_to_str(in, request, TOY_TEXT);
    toy->answered++;
    conn_consume(conn, in.len);
    toy_conn->rest = toy->answer(toy, request);
    if (toy->reset)
        conn_reset(conn);
    else if (toy_conn->rest)
        toy_send(toy_conn);
}

static inline void toy_drained(struct conn *conn)
{
    (void)conn;
}

static inline void toy_over(struct conn *conn)
{
    struct toy_conn *toy_conn = container_of(conn, struct toy_conn, conn);
    loop_timer_stop(toy_conn->toy->loop, &toy_conn->timer);
    conn_close(conn);
}

static const struct conn_owner toy_owner = {
    .connected = toy_over,
    .bytes = toy_bytes,
    .drained = toy_drained,
    .eof = toy_over,
    .failed = toy_over,
};

static inline void toy_accept(struct io *io, uint32_t events)
{
    struct toy *toy = container_of(io, struct toy, listener);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    toy->accepted++;
    struct toy_conn *free_one = NULL;
    for (int i = 0; i < TOY_CONNS && !free_one; i++) {
        if (!conn_open(&toy->conns[i].conn))
            free_one = &toy->conns[i];
    }
    assert(free_one);
    free_one->toy = toy;
    timer_init(&free_one->timer, toy_on_timer);
    if (!conn_init(&free_one->conn, toy->loop, toy->shelf, fd, false, &toy_owner))
        abort();
}

/* Listens on 127.0.0.1 (toy->addr's port, if it has one already). */
static inline void toy_open(struct toy *toy)
{
    if (toy->addr.len == 0) {
        struct endpoint endpoint;
        endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
        toy->addr = endpoint.addr;
    }
    int fd = net_listen(&toy->addr, 64, false);
    if (fd < 0 || !net_local_addr(fd, &toy->addr))
        abort();
    io_init(&toy->listener, fd, toy_accept);
    if (!loop_add_level(toy->loop, &toy->listener, EPOLLIN))
        abort();
}

static inline void toy_init(struct toy *toy, struct loop *loop, struct shelf *shelf)
{
    memset(toy, 0, sizeof(*toy));
    toy->loop = loop;
    toy->shelf = shelf;
    toy->answer = toy_says;
    toy->text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (int i = 0; i < TOY_CONNS; i++)
        toy->conns[i].conn.io.fd = -1;
    toy_open(toy);
}

/* Stops to listen, and closes what is open. */
static inline void toy_close(struct toy *toy)
{
    loop_close(toy->loop, &toy->listener);
    for (int i = 0; i < TOY_CONNS; i++) {
        if (conn_open(&toy->conns[i].conn))
            toy_over(&toy->conns[i].conn);
    }
}

#endif
