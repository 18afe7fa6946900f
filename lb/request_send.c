// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns what a server gets to read: the head written anew from parsed values into the server
 * connection's out buffer, the gathered body behind it from where it lies, both in one system call.
 * From then on the buffer that held them belongs to nobody, unless the request may be repeated.
 */
#include "lb/exchange.h"

#include "base/tls.h"
#include "lb/client.h"
#include "proto/headers.h"

#include <stdio.h>

/* ---- sending ---- */

/* Host for a request that names none (HTTP/1.0): a unix socket has no name that could stand there. */
static struct span default_host(struct exchange *x)
{
    if (x->flow->worker->head.host.len > 0)
        return SPAN_NONE;
    struct span address = span_str(exchange_server_address(x));
    return span_starts(address, SPAN("unix:")) ? SPAN("localhost") : address;
}

/* What a listener that asks for certificates says of the client's; nothing for others. */
static struct span certificate_lines(const struct exchange *x, char out[static CERTIFICATE_ROOM])
{
    const struct tls *tls = x->flow->client.tls;
    struct tls_peer peer;
    if (!tls || !tls_asks(tls))
        return SPAN_NONE;
    int n;
    if (tls_peer(tls, &peer))
        n = snprintf(out, CERTIFICATE_ROOM,
                     "X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-DN: %s\r\n"
                     "X-SSL-Client-CN: %s\r\nX-SSL-Client-Issuer: %s\r\n"
                     "X-SSL-Client-Serial: %s\r\nX-SSL-Client-SHA256: %s\r\n",
                     peer.subject, peer.common_name, peer.issuer, peer.serial, peer.sha256);
    else
        n = snprintf(out, CERTIFICATE_ROOM, "X-SSL-Client-Verify: NONE\r\n");
    return span_of(out, (size_t)n);
}

static struct span proxied_port(const struct flow *flow, char out[static 8])
{
    struct addr local;
    flow_local_addr(flow, &local);
    return span_of(out, (size_t)snprintf(out, 8, "%u", (unsigned)addr_port(&local)));
}

/* Writes the head into the server connection's out buffer. */
static bool write_head(struct exchange *x)
{
    struct worker *worker = x->flow->worker;
    struct conn *up = &x->up->conn;
    const char *base = exchange_text(x).ptr;
    char ip[ADDR_TEXT_MAX], id[16], port[8];
    struct addr peer;
    peer_to_addr(&x->flow->peer, &peer);
    addr_format_host(&peer, ip);
    span_write_hex(x->id, id);
    struct request_edit edit = {
        .client_ip = span_str(ip),
        .trust_forwarded = client_trusted(x->frontend, &peer),
        .scheme = flow_came_with_tls(x->flow) ? SPAN("https") : SPAN("http"),
        .port = x->flow->proxied ? proxied_port(x->flow, port) : span_str(x->flow->listener->port),
        .request_id = span_of(id, 16),
        .default_host = default_host(x),
        .client_certificate = certificate_lines(x, worker->certificate),
        .drop_accept_encoding = x->handshake && (x->polling || x->legacy),
        .upgrade = x->upgrade,
        .fields = rules_request_fields(x->rules),
        .close = x->up->introduced,
        .framing = x->request.framing,
        .content_length = x->request.done && x->request.framing == FRAMING_LENGTH
                              ? x->body_bytes
                              : worker->head.content_length,
    };
    sticky_edit_request(x->backend, &edit.cookie);
    sticky_untag_request(x->backend, &worker->eio, &worker->head, base, &edit);
    size_t room = worker->head.bytes * 2 + HEADERS_SLACK + edit.client_certificate.len +
                  (edit.fields ? edit.fields->bytes : 0);
    if (!buf_reserve(up->loop->shelf, &up->out, room))
        return false;
    size_t n = headers_write_request(&worker->head, base, &edit, up->out.data + up->out.end,
                                     buf_space(&up->out));
    up->out.end += (uint32_t)n;
    return n > 0;
}

/* Sends head and gathered body; the body's chunk framing when the rest of it will stream. */
static enum io_result write_request(struct exchange *x)
{
    struct span body = span_upto(span_from(exchange_text(x), x->head_bytes), x->body_bytes);
    if (body.len == 0)
        return conn_flush(&x->up->conn);
    if (x->request.framing == FRAMING_LENGTH)
        return conn_write(&x->up->conn, &body, 1);
    char size[CHUNKED_HEAD_MAX];
    struct span parts[] = {{size, chunked_write_head(body.len, size)}, body, SPAN("\r\n")};
    return conn_write(&x->up->conn, parts, 3);
}

static void note_poll(struct exchange *x)
{
    x->counted_poll = true;
    flow_count(x->flow, COUNTER_SIO_POLLING_NOW, 1);
    atomic_fetch_add_explicit(&x->flow->worker->polls_now, 1, memory_order_relaxed);
}

/* The connection stands and worker->head is this request's. */
void request_send(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *up = &x->up->conn;
    uint64_t before = up->sent;
    x->connect_us = flow->worker->loop.now_us;
    if (!write_head(x)) {
        flow_end(flow, END_NO_MEMORY);
        return;
    }
    flow_enter(flow, FLOW_RELAY);
    enum io_result result = write_request(x);
    x->sent = result != IO_FAILED || up->sent != before;
    if (result == IO_FAILED) {
        request_failed(x, END_SERVER_GONE_HEAD);
        return;
    }
    if (x->has_sid && x->method == METHOD_POST && x->request.done)
        x->closes_sid = eio_is_close(
            span_upto(span_from(exchange_text(x), x->head_bytes), x->body_bytes), x->protocol);
    if (!x->request.done && x->request.framing == FRAMING_LENGTH)
        x->request.left -= x->body_bytes;
    if (x->held_poll)
        note_poll(x);
    if (!x->repeatable)
        request_forget_head(x);
    if (x->request.done)
        request_await_response(x);
    else
        request_relay(x);
}

void request_connected(struct exchange *x)
{
    request_parse_again(x);
    request_send(x);
}
