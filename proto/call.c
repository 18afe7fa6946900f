// SPDX-License-Identifier: Apache-2.0
/*
 * One call: connect, send the request, read one answer, close.
 *
 *     connecting ──► answer (proto/answer) ──► done        any ──► failed, closed, deadline
 *
 * What needs care is the deadline, because a verdict about another process hangs on it:
 *
 * - The loop fires timers before it looks at its sockets, so after a stop of our own process the
 *   deadline comes by first although the answer waits in the kernel. The call therefore takes a
 * last look: the turn in which the deadline passed still reads, and only the next one ends the
 * call.
 * - A peer that needs several round trips lost that time all the same. So the timer ticks on the
 * way to the deadline, adds up how late every tick was, and the result says whether our own
 * lateness may have been the cause (a quarter of the time allowed).
 *
 * A connection to a closed port of this host may be answered by itself: TCP's simultaneous open,
 * when the kernel picks that very port as the local one. It counts as refused, and is reset so that
 * the port is free for the server that should listen there.
 */
#include "proto/call.h"

#include "base/tls.h"
#include "proto/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TICK_MAX_MS = 250,
    TICKS = 8,       /* per call */
    LATE_MIN_MS = 5, /* what less is, is a thread's usual waiting for its CPU */
};

struct call {
    struct conn conn; /* fd -1 when connecting failed at once */
    struct timer timer;
    struct grave grave;
    struct loop *loop;
    struct shelf *shelf;
    call_done_fn *done;
    void *ctx;
    bool connected;
    bool connect_only;
    bool last_look;  /* the deadline has passed */
    int start_error; /* errno of a connect that failed at once */
    int64_t began_ms, timeout_ms;
    int64_t lost_ms; /* sum of the ticks' lateness */
    struct answer_reader answer;
    size_t request_len;
    char request[];
};

static void call_free(struct grave *grave)
{
    free(container_of(grave, struct call, grave));
}

static void call_stop(struct call *call)
{
    loop_timer_stop(call->loop, &call->timer);
    conn_close(&call->conn);
}

static void call_end(struct call *call, enum call_end end, int error)
{
    char words[TLS_ERROR_MAX];
    snprintf(words, sizeof(words), "%s", call->conn.tls ? tls_error(call->conn.tls) : "");
    call_stop(call);
    struct call_result result = {
        .end = end,
        .error = error,
        .tls_error = words,
        .status = call->answer.status,
        .body = buf_bytes(&call->answer.body),
        .duration_ms = call->loop->now_ms - call->began_ms,
        .loop_was_late = call->lost_ms > LATE_MIN_MS && call->lost_ms * 4 >= call->timeout_ms,
    };
    call->done(call->ctx, &result);
    answer_fini(&call->answer, call->shelf);
    loop_bury(call->loop, &call->grave);
}

/* Starts the timer for the next tick, at the deadline at the latest. */
static void call_tick_later(struct call *call)
{
    int64_t tick_ms = call->timeout_ms / TICKS;
    if (tick_ms > TICK_MAX_MS)
        tick_ms = TICK_MAX_MS;
    if (tick_ms < 1)
        tick_ms = 1;
    int64_t left_ms = call->began_ms + call->timeout_ms - call->loop->now_ms;
    loop_timer_start(call->loop, &call->timer, tick_ms < left_ms ? tick_ms : left_ms);
}

static void call_tick(struct timer *timer)
{
    struct call *call = container_of(timer, struct call, timer);
    if (call->start_error != 0) {
        call_end(call, CALL_CONNECT_FAILED, call->start_error);
        return;
    }
    call->lost_ms += call->loop->now_ms - timer->at_ms;
    if (call->loop->now_ms < call->began_ms + call->timeout_ms) {
        call_tick_later(call);
    } else if (!call->last_look) {
        call->last_look = true;
        loop_timer_start(call->loop, timer, 1); // 0 could fire in this run of the wheel.
    } else {
        enum call_end late = call->conn.shaking ? CALL_TLS_TIMEOUT : CALL_CONNECT_TIMEOUT;
        call_end(call, call->connected ? CALL_TIMEOUT : late, 0);
    }
}

static void call_connected(struct conn *conn)
{
    struct call *call = container_of(conn, struct call, conn);
    if (net_is_self(conn->io.fd)) {
        conn_reset(conn);
        call_end(call, CALL_CONNECT_FAILED, ECONNREFUSED);
        return;
    }
    call->connected = true;
    if (call->connect_only) {
        conn_flush(conn);
        call_end(call, CALL_DONE, 0);
        return;
    }
    struct span request = span_of(call->request, call->request_len);
    if (conn_write(conn, &request, 1) == IO_FAILED)
        call_end(call, CALL_CLOSED, conn->error);
}

static void call_bytes(struct conn *conn)
{
    struct call *call = container_of(conn, struct call, conn);
    size_t used;
    enum answer_step step = answer_read(&call->answer, call->shelf, buf_bytes(&conn->in), &used);
    conn_consume(conn, used);
    switch (step) {
    case ANSWER_MORE:
        return;
    case ANSWER_DONE:
        call_end(call, CALL_DONE, 0);
        return;
    case ANSWER_BAD:
        call_end(call, CALL_BAD_ANSWER, 0);
        return;
    case ANSWER_NO_MEMORY:
        call_end(call, CALL_CLOSED, ENOMEM);
        return;
    }
}

static void call_drained(struct conn *conn)
{
    (void)conn;
}

static void call_eof(struct conn *conn)
{
    struct call *call = container_of(conn, struct call, conn);
    bool whole = answer_whole_at_end(&call->answer) && !conn->truncated;
    call_end(call, whole ? CALL_DONE : CALL_CLOSED, 0);
}

static void call_failed(struct conn *conn)
{
    struct call *call = container_of(conn, struct call, conn);
    enum call_end failure = conn->shaking ? CALL_TLS_FAILED : CALL_CONNECT_FAILED;
    call_end(call, call->connected ? CALL_CLOSED : failure, conn->error);
}

static const struct conn_owner call_owner = {
    .connected = call_connected,
    .bytes = call_bytes,
    .drained = call_drained,
    .eof = call_eof,
    .failed = call_failed,
};

static bool call_secure(struct call *call, const struct call_request *request)
{
    struct tls *tls = request->tls
                          ? tls_connect(request->tls, request->tls_name, request->tls_session)
                          : NULL;
    if (tls)
        conn_secure(&call->conn, tls);
    return tls || !request->tls;
}

/* Begins to connect. False: errno, and nothing was begun. */
static bool call_connect(struct call *call, const struct call_request *request)
{
    int fd = net_connect(&request->addr);
    if (fd < 0) {
        if (net_error_is_ours(errno))
            return false;
        call->start_error = errno;
        loop_timer_start(call->loop, &call->timer, 1);
        return true;
    }
    if (!conn_init(&call->conn, call->loop, call->shelf, fd, true, &call_owner)) {
        int error = errno;
        close(fd);
        errno = error;
        return false;
    }
    if (!call_secure(call, request)) {
        conn_close(&call->conn);
        errno = ENOMEM;
        return false;
    }
    call_tick_later(call);
    return true;
}

/* False: no memory, and nothing is left of it. */
static bool call_preface(struct call *call, struct span preface)
{
    if (preface.len == 0 || !conn_open(&call->conn) || conn_preface(&call->conn, preface))
        return true;
    call_stop(call);
    errno = ENOMEM;
    return false;
}

struct call *call_start(struct loop *loop, struct shelf *shelf, const struct call_request *request,
                        call_done_fn *done, void *ctx)
{
    size_t len = request->head_and_body.len;
    struct call *call = calloc(1, sizeof(*call) + len);
    if (!call)
        return NULL;
    call->loop = loop;
    call->shelf = shelf;
    call->done = done;
    call->ctx = ctx;
    answer_init(&call->answer, request->is_head, CALL_BODY_MAX);
    call->connect_only = request->connect_only;
    call->began_ms = loop->now_ms;
    call->timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : 1;
    call->grave.fn = call_free;
    call->conn.io.fd = -1;
    timer_init(&call->timer, call_tick);
    call->request_len = len;
    if (len > 0)
        memcpy(call->request, request->head_and_body.ptr, len);
    if (call_connect(call, request) && call_preface(call, request->preface))
        return call;
    int error = errno;
    free(call);
    errno = error;
    return NULL;
}

void call_cancel(struct call *call)
{
    call_stop(call);
    answer_fini(&call->answer, call->shelf);
    loop_bury(call->loop, &call->grave);
}
