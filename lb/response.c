// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns the way of a response: its head is parsed and judged, interim answers pass (a
 * few), 101 becomes a tunnel, what the answer teaches is learned, head and body are written anew to
 * the client as they come.
 *
 * Learning never holds anything back: a piece of a handshake's body is looked at before it is sent
 * on, so the sid is bound, visible to all workers, before the piece that completes it can leave.
 * Bytes go out in the turn they came in.
 *
 * Servers are not trusted with other clients: anything beyond the response, or malformed, ends the
 * server connection.
 */
#include "lb/exchange.h"

#include "proto/headers.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct exchange *exchange_of(struct conn *conn)
{
    return container_of(conn, struct server_conn, conn)->user;
}

/* ---- what is learned as the body passes ---- */

static void watch_handshake(struct exchange *x, struct span body, struct span piece)
{
    struct eio_handshake handshake;
    /* Only these bytes can complete it: the object's end, or 0.9's line with its colons and commas.
     */
    if (!x->legacy && !memchr(piece.ptr, '}', piece.len) && body.len < EIO_HANDSHAKE_MAX)
        return;
    switch (eio_parse_handshake(body, x->legacy, &handshake)) {
    case EIO_PARSE_MORE:
        return;
    case EIO_PARSE_FOUND:
        sids_learn(x, &handshake);
        break;
    case EIO_PARSE_NOT:
        flow_count(x->flow, COUNTER_SIO_UNLEARNED, 1);
        break;
    }
    x->watch = WATCH_NOTHING;
}

static void watch_look(struct exchange *x, struct span body, struct span piece)
{
    switch (x->watch) {
    case WATCH_HANDSHAKE:
        watch_handshake(x, body, piece);
        return;
    case WATCH_UNKNOWN:
        if (eio_is_unknown_sid(body)) {
            x->unproven = !x->hold.held;
            flow_count(x->flow, COUNTER_SIO_UNKNOWN_ANSWERS, 1);
            sidmap_drop(x->backend->sids, &x->hold);
            x->watch = WATCH_NOTHING;
        }
        return;
    case WATCH_CLOSE:
        if (body.len == x->response.left + piece.len || x->response.left == 0)
            x->closes_sid = eio_is_close(body, x->protocol);
        return;
    case WATCH_NOTHING:
        return;
    }
}

/* Looks at a piece of the body before it is sent on. */
static void watch(struct exchange *x, struct span piece)
{
    struct worker *worker = x->flow->worker;
    size_t most = x->watch == WATCH_HANDSHAKE ? EIO_HANDSHAKE_MAX : WATCH_MAX;
    if (buf_len(&x->watched) == 0 && x->response.done) {
        watch_look(x, span_upto(piece, most), piece); /* all of it in one piece: the usual case */
        return;
    }
    size_t room = most - buf_len(&x->watched);
    if (!buf_append(worker->shelf, &x->watched, span_upto(piece, room))) {
        x->watch = WATCH_NOTHING;
        return;
    }
    watch_look(x, buf_bytes(&x->watched), piece);
    if (x->watch == WATCH_NOTHING || buf_len(&x->watched) >= most) {
        x->watch = WATCH_NOTHING;
        buf_clear(worker->shelf, &x->watched);
    }
}

static enum watch watch_for(const struct exchange *x, const struct head *head)
{
    if (x->handshake && (x->polling || x->legacy) && head->status == 200)
        return WATCH_HANDSHAKE;
    bool watched = x->hold.held || x->owned || (x->unproven && x->legacy);
    if (watched && (head->status == 400 || (x->legacy && head->status == 200)))
        return WATCH_UNKNOWN;
    if (x->held_poll && x->hold.held && head->status == 200 && head->framing == FRAMING_LENGTH &&
        head->content_length <= 3)
        return WATCH_CLOSE;
    return WATCH_NOTHING;
}

/* ---- its end ---- */

static void response_done(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *up = &x->up->conn;
    bool reuse = x->server_keeps && x->request.done && !x->request_broken && conn_quiet(up) &&
                 buf_len(&up->out) == 0;
    bool keep = x->client_keeps;
    if (x->watch == WATCH_HANDSHAKE)
        flow_count(flow, COUNTER_SIO_UNLEARNED, 1);
    exchange_end(x, END_DONE, reuse);
    if (keep)
        flow_next(flow);
    else
        flow_finish(flow);
}

/* ---- the body ---- */

/* One piece goes straight through; several, and chunks, gather in `out` and leave with the flush. */
bool response_send(struct exchange *x, const struct span *parts, size_t count)
{
    struct conn *client = &x->flow->client;
    char size[CHUNKED_HEAD_MAX];
    size_t len = 0;
    bool fits = true;
    if (!x->response_chunked && count == 1)
        return conn_write(client, parts, 1) != IO_FAILED;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    if (len == 0)
        return true; /* an empty chunk would be the last one */
    if (x->response_chunked)
        fits = buf_append(client->loop->shelf, &client->out,
                          span_of(size, chunked_write_head(len, size)));
    for (size_t i = 0; i < count && fits; i++)
        fits = buf_append(client->loop->shelf, &client->out, parts[i]);
    if (x->response_chunked)
        fits = fits && buf_append(client->loop->shelf, &client->out, SPAN("\r\n"));
    return fits;
}

/* Hands one piece to the client. False: the client is gone. */
static bool send_piece(struct exchange *x, struct span piece)
{
    if (x->held_back)
        return sids_take(x, piece);
    if (x->watch != WATCH_NOTHING)
        watch(x, piece);
    return response_send(x, &piece, 1);
}

/* Why body reading stopped. */
enum step { STEP_MORE, STEP_DONE, STEP_BAD, STEP_CLIENT_GONE };

static enum step relay_plain(struct exchange *x)
{
    struct conn *up = &x->up->conn;
    struct span in = buf_bytes(&up->in);
    struct span piece = in;
    if (x->response.framing == FRAMING_LENGTH) {
        piece = span_upto(in, x->response.left > SIZE_MAX ? SIZE_MAX : (size_t)x->response.left);
        x->response.left -= piece.len;
        x->response.done = x->response.left == 0;
    }
    if (piece.len > 0 && !send_piece(x, piece))
        return STEP_CLIENT_GONE;
    conn_consume(up, piece.len);
    return x->response.done ? STEP_DONE : STEP_MORE;
}

static enum step relay_chunks(struct exchange *x)
{
    struct conn *up = &x->up->conn;
    struct span in = buf_bytes(&up->in);
    size_t total = 0;
    enum chunked_result result;
    do {
        size_t used;
        struct span piece = SPAN_NONE;
        result = chunked_next(&x->response.chunked, span_from(in, total), &used, &piece);
        total += used;
        if (result == CHUNKED_DATA && !send_piece(x, piece))
            return STEP_CLIENT_GONE;
    } while (result == CHUNKED_DATA);
    conn_consume(up, total);
    if (result == CHUNKED_BAD)
        return STEP_BAD;
    x->response.done = result == CHUNKED_DONE;
    return x->response.done ? STEP_DONE : STEP_MORE;
}

/* After what came was handed over: who is waited for now? */
static void response_wait(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *client = &flow->client;
    if (client->blocked) {
        conn_pause(&x->up->conn);
        flow->progress = (uint32_t)conn_taken(client);
        flow_deadline(flow, x->frontend->config->opt.timeout_client_ms, END_CLIENT_STALLED);
    } else {
        flow_deadline(flow, x->backend->config->opt.timeout_response_ms,
                      x->answered ? END_RESPONSE_STALLED : END_RESPONSE_TIMEOUT);
    }
}

/* The response's head lies in the client's `out` (or is held back), bytes of the body perhaps in the server's `in`.
 */
static void response_relay(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *client = &flow->client;
    enum step step = STEP_DONE;
    if (!x->response.done)
        step = x->response.framing == FRAMING_CHUNKED ? relay_chunks(x) : relay_plain(x);
    if (step == STEP_DONE && x->held_back && !sids_release(x))
        step = STEP_CLIENT_GONE;
    if (step == STEP_DONE && x->response_chunked &&
        !buf_append(client->loop->shelf, &client->out, CHUNKED_END))
        step = STEP_CLIENT_GONE;
    if (step != STEP_CLIENT_GONE && conn_flush(client) == IO_FAILED)
        step = STEP_CLIENT_GONE;
    switch (step) {
    case STEP_MORE:
        response_wait(x);
        return;
    case STEP_DONE:
        response_done(x);
        return;
    case STEP_BAD:
        log_info("response body refused: %s server=%s/%s", chunked_error(&x->response.chunked),
                 x->backend->name, x->server->name);
        flow_end(flow, x->answered ? END_SERVER_GONE_BODY : END_RESPONSE_BAD);
        return;
    case STEP_CLIENT_GONE:
        flow_end(flow, END_CLIENT_GONE_DATA);
        return;
    }
}

void response_drained(struct exchange *x)
{
    if (!x->up)
        return;
    conn_resume(&x->up->conn);
    if (x->answered || x->held_back)
        flow_deadline(x->flow, x->backend->config->opt.timeout_response_ms,
                      x->answered ? END_RESPONSE_STALLED : END_RESPONSE_TIMEOUT);
}

/* ---- the head ---- */

static void note_framing(struct exchange *x, const struct head *head)
{
    x->response.framing = head->framing;
    x->response.left = head->content_length;
    x->response.done = head->framing == FRAMING_NONE ||
                       (head->framing == FRAMING_LENGTH && head->content_length == 0);
    if (head->framing == FRAMING_CHUNKED)
        chunked_init(&x->response.chunked);
}

static void decide_framing(struct exchange *x, const struct head *head, size_t grown,
                           struct response_edit *edit)
{
    bool unknown_length = head->framing == FRAMING_CHUNKED || head->framing == FRAMING_UNTIL_CLOSE;
    x->response_chunked = unknown_length && !x->minor_0;
    if (unknown_length && x->minor_0)
        x->client_keeps = false; /* HTTP/1.0 knows only the connection's end */
    edit->framing = x->response_chunked ? FRAMING_CHUNKED
                    : unknown_length    ? FRAMING_UNTIL_CLOSE
                                        : head->framing;
    edit->content_length = head->content_length + grown;
    edit->has_content_length = head->has_content_length;
}

bool response_write_head(struct exchange *x, const char *base, size_t grown)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    struct conn *client = &flow->client;
    const struct head *head = &worker->head;
    char cookie[512];
    struct response_edit edit = {.to_minor = x->minor_0 ? 0 : 1,
                                 .fields = rules_response_fields(x->rules)};
    if (flow_came_with_tls(flow))
        edit.hsts = span_str(x->frontend->hsts);
    decide_framing(x, head, grown, &edit);
    x->client_keeps = x->client_keeps && x->request.done && !x->request_broken &&
                      exchange_more_may_follow(x) && !flow_leaves(flow);
    edit.close = !x->client_keeps;
    edit.say_keep_alive = x->client_keeps && x->minor_0;
    sticky_edit_response(x->backend, x->server, x->cookie_server, head, base, worker->loop.now_ms,
                         &edit, cookie, sizeof cookie);
    size_t room = head->bytes * 2 + HEADERS_SLACK + (edit.fields ? edit.fields->bytes : 0);
    if (!buf_reserve(client->loop->shelf, &client->out, room))
        return false;
    size_t n = headers_write_response(head, base, &edit, client->out.data + client->out.end,
                                      buf_space(&client->out));
    client->out.end += (uint32_t)n;
    x->answered = n > 0;
    return x->answered;
}

/* A final response's head is in worker->head. */
static void response_begin(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *up = &x->up->conn;
    const struct head *head = &flow->worker->head;
    const char *base = buf_bytes(&up->in).ptr;
    x->response_us = flow->worker->loop.now_us;
    x->status = head->status;
    x->server_keeps = head->keep_alive;
    x->watch = watch_for(x, head);
    if (x->head_kept)
        request_forget_head(x);
    note_framing(x, head);
    sids_confirm(x, head->status);
    if (!sids_hold_back(x, base) && !response_write_head(x, base, 0)) {
        flow_end(flow, END_NO_MEMORY);
        return;
    }
    conn_consume(up, head->bytes);
    response_relay(x);
}

/* 1xx other than 101: passed on to HTTP/1.1 clients, but 100, which was answered by us. False:
 * ended. */
static bool response_interim(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *client = &flow->client;
    const struct head *head = &flow->worker->head;
    const char *base = buf_bytes(&x->up->conn.in).ptr;
    if (++x->interim > INTERIM_MAX) {
        flow_end_status(flow, END_RESPONSE_BAD, 502, "too many interim answers");
        return false;
    }
    if (head->status != 100 && !x->minor_0) {
        struct response_edit edit = {.to_minor = 1};
        bool room = buf_reserve(client->loop->shelf, &client->out, head->bytes * 2 + HEADERS_SLACK);
        size_t n = room ? headers_write_response(head, base, &edit,
                                                 client->out.data + client->out.end,
                                                 buf_space(&client->out))
                        : 0;
        client->out.end += (uint32_t)n;
        if (n == 0 || conn_flush(client) == IO_FAILED) {
            flow_end_status(flow, END_CLIENT_GONE_WAIT, 0, NULL);
            return false;
        }
    }
    conn_consume(&x->up->conn, head->bytes);
    x->seen = 0;
    return true;
}

static void response_bad(struct exchange *x, const char *why)
{
    log_info("response refused: %s server=%s/%s", why, x->backend->name, x->server->name);
    exchange_report(x, HEALTH_EVENT_RESPONSE);
    flow_end_status(x->flow, END_RESPONSE_BAD, 502, NULL);
}

/* A whole head is in worker->head. True: look for the next one. */
static bool response_head(struct exchange *x)
{
    const struct head *head = &x->flow->worker->head;
    if (head->status == 101) {
        if (!x->upgrade || !head->upgrade_websocket) {
            response_bad(x, "101 that nobody asked for");
            return false;
        }
        sids_confirm(x, 101);
        tunnel_start(x);
        return false;
    }
    if (head->status < 200)
        return response_interim(x);
    response_begin(x);
    return false;
}

static void response_read_head(struct exchange *x)
{
    enum { HEAD_MOST = 60 * 1024 };
    struct worker *worker = x->flow->worker;
    struct conn *up = &x->up->conn;
    const struct head_limits limits = {
        .header_bytes = HEAD_MOST, .fields = HEAD_FIELDS_MAX, .target = 0};
    struct head_error error;
    bool next = true;
    while (next && buf_len(&up->in) > 0) {
        size_t seen = x->seen;
        enum head_result result = head_parse_response(&worker->head, buf_bytes(&up->in), &seen,
                                                      x->method, &limits, &error);
        x->seen = (uint32_t)seen;
        if (result == HEAD_MORE) {
            up->in_limit = HEAD_MOST + 1;
            return;
        }
        if (result == HEAD_BAD) {
            exchange_capture(x->flow, x->backend->home->bad_response, buf_bytes(&up->in), &error,
                             x->server);
            response_bad(x, error.reason);
            return;
        }
        next = response_head(x);
    }
}

/* ---- the server connection's events ---- */

static void server_connected(struct conn *conn)
{
    request_connected(exchange_of(conn));
}

static void server_bytes(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    if (x->flow->state != FLOW_RELAY)
        return; /* a server that speaks before it was asked: judged when the request is out */
    if (x->answered || x->held_back)
        response_relay(x);
    else
        response_read_head(x);
}

static void server_drained(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    if (x->flow->state == FLOW_RELAY && !x->request.done && !x->request_broken)
        request_relay(x);
}

static void server_gone(struct exchange *x, bool reset)
{
    struct flow *flow = x->flow;
    bool ends_so = (x->answered || x->held_back) && x->response.framing == FRAMING_UNTIL_CLOSE;
    if (ends_so && !reset) {
        x->response.done = true;
        x->server_keeps = false;
        response_relay(x);
        return;
    }
    if (!x->answered) {
        request_failed(x, END_SERVER_GONE_HEAD);
        return;
    }
    flow_end(flow, END_SERVER_GONE_BODY);
}

static void server_eof(struct conn *conn)
{
    server_gone(exchange_of(conn), conn->truncated);
}

static void server_failed(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    if (x->flow->state != FLOW_CONNECT) {
        server_gone(x, true);
        return;
    }
    enum health_event event = conn->error == ECONNREFUSED ? HEALTH_EVENT_REFUSED
                                                          : HEALTH_EVENT_CONNECT;
    upstream_note_failure(x->up);
    if (!net_error_is_ours(conn->error))
        exchange_report(x, event);
    request_failed(x, END_CONNECT_FAILED);
}

const struct conn_owner exchange_server_owner = {
    .connected = server_connected,
    .bytes = server_bytes,
    .drained = server_drained,
    .eof = server_eof,
    .failed = server_failed,
};
