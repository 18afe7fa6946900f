// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns the bodies of requests. Up to 64 KiB are gathered behind the head before a server is
 * chosen, of a longer body its first 64 KiB, so that a slow client costs no server anything; a chunked
 * body is decoded in place and goes on with a plain length. The rest of a longer body streams: what has
 * come is handed to the server in the same turn, and while the server takes no more the client is not
 * read.
 *
 * A client that announces a body has to send it: silence ends it after timeouts.client, and after the
 * first timeouts.request its average must reach limits.body_rate, whether bytes come or not. Waiting
 * for a slow server does not count against it.
 */
#include "lb/exchange.h"

#include <string.h>

/* ---- the body ---- */

/* The client sent n more bytes of its body. False: it is too slow (limits.body_rate, after the
 * first timeouts.request). */
static bool body_received(struct exchange *x, uint64_t n)
{
    const struct frontend_options *options = &x->frontend->config->opt;
    int64_t now_us = x->flow->worker->loop.now_us;
    x->request_received += n;
    x->rate_received += n;
    if (x->rate_since_us == 0)
        x->rate_since_us = now_us;
    int64_t over_us = now_us - x->rate_since_us - options->timeout_request_ms * 1000;
    return over_us <= 0 ||
           (double)x->rate_received >= (double)options->limit_body_rate * (double)over_us / 1e6;
}

/* With what the chunk under way has announced. */
static bool body_too_large(const struct exchange *x)
{
    uint64_t announced = 0;
    if (x->request.framing == FRAMING_CHUNKED)
        announced = chunked_announced(&x->request.chunked);
    return x->request_received + announced > (uint64_t)x->frontend->config->opt.limit_body;
}

/* Waiting for the client's next bytes of the body: until it was silent for too long, or its average
 * falls below the least rate, whichever comes first. */
static void body_deadline(struct exchange *x)
{
    const struct frontend_options *options = &x->frontend->config->opt;
    int64_t now_us = x->flow->worker->loop.now_us;
    int64_t ms = options->timeout_client_ms;
    if (x->rate_since_us == 0)
        x->rate_since_us = now_us;
    if (options->limit_body_rate > 0) {
        double paid_ms = (double)x->rate_received * 1000 / (double)options->limit_body_rate;
        double left_ms = (double)options->timeout_request_ms + paid_ms -
                         (double)(now_us - x->rate_since_us) / 1000;
        if (left_ms < (double)ms)
            ms = left_ms > 0 ? (int64_t)left_ms + 1 : 1;
    }
    flow_deadline(x->flow, ms, END_BODY_SLOW);
}

/*
 * Decodes what has come of a chunked body, in place: data moves up to the end of the data before
 * it, raw bytes that are left (of a later request) behind that. False: ended.
 */
static bool gather_chunks(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct buf *in = &flow->client.in;
    char *body_end = in->data + in->start + x->head_bytes + x->body_bytes;
    struct span raw = {body_end, (size_t)(in->data + in->end - body_end)};
    enum chunked_result result;
    do {
        size_t used;
        struct span data = SPAN_NONE;
        result = chunked_next(&x->request.chunked, raw, &used, &data);
        if (result == CHUNKED_DATA) {
            memmove(body_end, data.ptr, data.len);
            body_end += data.len;
            x->body_bytes += (uint32_t)data.len;
        }
        raw = span_from(raw, used);
    } while (result == CHUNKED_DATA);
    if (result == CHUNKED_BAD) {
        flow_end_status(flow, END_BODY_BAD, 400, chunked_error(&x->request.chunked));
        return false;
    }
    memmove(body_end, raw.ptr, raw.len);
    in->end = (uint32_t)(body_end + raw.len - in->data);
    if (result == CHUNKED_DONE) {
        x->request.done = true;
        x->request.framing = FRAMING_LENGTH;
        x->request.left = x->body_bytes;
    }
    return true;
}

/* Takes stock of a body that is being gathered. False: ended. */
static bool gather(struct exchange *x)
{
    struct conn *client = &x->flow->client;
    size_t before = x->request_received;
    if (x->request.framing == FRAMING_CHUNKED) {
        if (!gather_chunks(x))
            return false;
        if (!body_received(x, x->body_bytes - before)) {
            flow_end(x->flow, END_BODY_SLOW);
            return false;
        }
        if (body_too_large(x)) {
            flow_end(x->flow, END_BODY_TOO_LARGE);
            return false;
        }
        return true;
    }
    size_t have = buf_len(&client->in) - x->head_bytes;
    size_t body = have < x->request.left ? have : (size_t)x->request.left;
    if (!body_received(x, body - before)) {
        flow_end(x->flow, END_BODY_SLOW);
        return false;
    }
    x->body_bytes = (uint32_t)body;
    x->request.done = body == x->request.left;
    return true;
}

static bool say_continue(struct exchange *x)
{
    if (x->continued || !x->flow->worker->head.expect_continue)
        return true;
    struct span answer = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
    x->continued = true;
    return conn_write(&x->flow->client, &answer, 1) != IO_FAILED;
}

/* Enough of it is there to bother a server with: a slow sender of a long body costs it nothing either. */
static bool gathered(const struct exchange *x)
{
    return x->request.done || x->body_bytes > GATHER_MAX;
}

/* The head is there, the body is announced: gather it, or as much of a long one. */
void request_body(struct exchange *x)
{
    struct flow *flow = x->flow;
    bool expects = flow->worker->head.expect_continue;
    if (!gather(x))
        return;
    if (!x->request.done && flow->client_eof) {
        flow_end_status(flow, END_CLIENT_GONE_BODY, 0, NULL);
        return;
    }
    if (!x->request.done && expects && buf_len(&flow->client.in) == x->head_bytes &&
        !say_continue(x)) {
        flow_end_status(flow, END_CLIENT_GONE_BODY, 0, NULL);
        return;
    }
    if (gathered(x)) {
        request_choose(x);
        return;
    }
    flow->client.in_limit = x->head_bytes + GATHER_MAX + BUF_SMALL;
    flow_enter(flow, FLOW_GATHER);
    body_deadline(x);
}

void request_gather(struct flow *flow)
{
    struct exchange *x = flow->exchange;
    if (!gather(x))
        return;
    if (gathered(x)) {
        request_parse_again(x);
        request_choose(x);
        return;
    }
    body_deadline(x);
}

/* ---- a streamed body ---- */

/* Sends the next piece of the body. False: the server takes no more (IO_FAILED). */
static bool relay_data(struct exchange *x, struct span data)
{
    if (x->request.framing == FRAMING_LENGTH)
        return conn_write(&x->up->conn, &data, 1) != IO_FAILED;
    char size[CHUNKED_HEAD_MAX];
    struct span parts[] = {{size, chunked_write_head(data.len, size)}, data, SPAN("\r\n")};
    return conn_write(&x->up->conn, parts, 3) != IO_FAILED;
}

/* One piece of what lies in the client's `in`. False: ended, or the server takes no more. */
static bool relay_step(struct exchange *x)
{
    struct conn *client = &x->flow->client;
    struct span in = buf_bytes(&client->in);
    struct span data = SPAN_NONE;
    size_t used;
    if (x->request.framing == FRAMING_LENGTH) {
        data = span_upto(in, x->request.left > SIZE_MAX ? SIZE_MAX : (size_t)x->request.left);
        used = data.len;
        x->request.left -= data.len;
        x->request.done = x->request.left == 0;
    } else {
        enum chunked_result result = chunked_next(&x->request.chunked, in, &used, &data);
        if (result == CHUNKED_BAD) {
            flow_end_status(x->flow, END_BODY_BAD, 400, chunked_error(&x->request.chunked));
            return false;
        }
        x->request.done = result == CHUNKED_DONE;
    }
    bool in_time = body_received(x, data.len);
    bool sent = data.len == 0 || relay_data(x, data);
    if (sent && x->request.done && x->request.framing == FRAMING_CHUNKED)
        sent = conn_write(&x->up->conn, &CHUNKED_END, 1) != IO_FAILED;
    conn_consume(client, used);
    if (!sent) {
        x->request_broken = true;
        return false;
    }
    if (!in_time || body_too_large(x)) {
        flow_end(x->flow, in_time ? END_BODY_TOO_LARGE : END_BODY_SLOW);
        return false;
    }
    return true;
}

void request_await_response(struct exchange *x)
{
    int64_t ms = x->backend->config->opt.timeout_response_ms;
    if (x->held_poll && x->lifetime_ms > ms)
        ms = x->lifetime_ms;
    flow_deadline(x->flow, ms, END_RESPONSE_TIMEOUT);
}

void request_relay(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *client = &flow->client;
    while (!x->request.done && !x->up->conn.blocked && buf_len(&client->in) > 0) {
        if (!relay_step(x))
            break;
    }
    if (flow->exchange != x)
        return;
    if (x->request_broken || x->up->conn.blocked) {
        /* The client is not to blame for this wait: its rate is measured anew afterwards. */
        x->rate_since_us = 0;
        x->rate_received = 0;
        conn_pause(client);
        request_await_response(x);
        return;
    }
    if (x->request.done) {
        request_await_response(x);
        return;
    }
    if (flow->client_eof) {
        flow_end_status(flow, END_CLIENT_GONE_BODY, 0, NULL);
        return;
    }
    body_deadline(x);
    conn_resume(client);
}
