// SPDX-License-Identifier: Apache-2.0
/*
 * Requests: kept alive, on new connections, and Engine.IO polls. A poll carries another session's
 * sid every time, so that no connection is bound to one server: whoever routes by connection or
 * loses a sid gets 400s, which are errors here.
 */
#include "bench/load.h"

#include <stdarg.h>
#include <stdio.h>

#define HEADERS                                                                                    \
    "Host: bench.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko\r\n"       \
    "Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n"                                           \
    "Origin: https://bench.example\r\nReferer: https://bench.example/chat\r\n\r\n"

void http_send(struct client *client, const char *format, ...)
{
    char request[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(request, sizeof request, format, args);
    va_end(args);
    answer_init(&client->answer);
    client->requests++;
    stream_send(&client->stream, span_of(request, (size_t)len));
}

void http_ask_sid(struct client *client)
{
    http_send(client, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HEADERS);
}

bool http_take_sid(struct client *client)
{
    struct span body = answer_body(&client->answer);
    size_t at = span_find(body, SPAN("\"sid\":\""));
    if (client->answer.status != 200 || at == SIZE_MAX)
        return false;
    body = span_from(body, at + 7);
    struct span sid = span_cut(&body, '"');
    span_to_str(sid, client->sid, sizeof client->sid);
    client->sid_len = sid.len;
    return sid.len > 0 && sid.len < SID_MAX;
}

/* True once the answer is whole and what was hoped for. */
static bool http_answered(struct client *client, struct span *in)
{
    enum answer_state state = answer_feed(&client->answer, in);
    if (state == ANSWER_MORE)
        return false;
    if (state == ANSWER_WHOLE && client->answer.status == 200 && in->len == 0)
        return true;
    load_error(client, state == ANSWER_BAD ? "not an answer" : client->answer.head);
    return false;
}

static void http_begin(struct client *client)
{
    size_t size = client->load->options.size;
    if (size > 0)
        http_send(client, "GET /bytes/%zu HTTP/1.1\r\n" HEADERS, size);
    else
        http_send(client, "GET /api/rooms/42?since=1700000000 HTTP/1.1\r\n" HEADERS);
}

static void http_bytes(struct client *client, struct span in)
{
    if (http_answered(client, &in))
        load_done(client);
}

const struct mode mode_http = {
    .name = "http",
    .what = "requests on kept-alive connections; --size: of the answer's body",
    .connected = load_prepared,
    .begin = http_begin,
    .bytes = http_bytes,
};

/* An operation begins by connecting; the first connection of all may fetch the ticket. */
static void new_begin(struct client *client)
{
    stream_close(&client->stream);
    load_open(client);
}

static void new_connected(struct client *client)
{
    if (!client->prepared && client->load->options.tls != TLS_RESUMED) {
        load_prepared(client);
        return;
    }
    if (client->prepared && client->stream.tls && client->load->options.tls == TLS_RESUMED &&
        !tls_line_resumed(client->stream.tls)) {
        load_error(client, "the handshake was not a resumption");
        return;
    }
    http_begin(client);
}

static void new_bytes(struct client *client, struct span in)
{
    if (!http_answered(client, &in))
        return;
    if (!client->prepared) {
        load_prepared(client);
        return;
    }
    stream_close(&client->stream);
    load_done(client);
}

const struct mode mode_new = {
    .name = "new",
    .what = "a connection per request; with --tls a handshake too",
    .connected = new_connected,
    .begin = new_begin,
    .bytes = new_bytes,
    .reconnects = true,
};

static void poll_begin(struct client *client)
{
    struct load *load = client->load;
    unsigned whose = (client->index + client->requests) % load->options.connections;
    const char *sid = load->clients[whose].sid;
    http_send(client, "GET /socket.io/?EIO=4&transport=polling&t=P%x&sid=%s HTTP/1.1\r\n" HEADERS,
              client->requests, sid);
}

static void poll_bytes(struct client *client, struct span in)
{
    if (!http_answered(client, &in))
        return;
    if (client->prepared)
        load_done(client);
    else if (http_take_sid(client))
        load_prepared(client);
    else
        load_error(client, "no sid in the handshake");
}

const struct mode mode_poll = {
    .name = "poll",
    .what = "Engine.IO polls of changing sessions, no cookies",
    .connected = http_ask_sid,
    .begin = poll_begin,
    .bytes = poll_bytes,
};

static void handshake_bytes(struct client *client, struct span in)
{
    if (!http_answered(client, &in))
        return;
    if (http_take_sid(client))
        load_done(client);
    else
        load_error(client, "no sid in the handshake");
}

const struct mode mode_handshake = {
    .name = "handshake",
    .what = "Engine.IO handshakes: a new sid each",
    .connected = load_prepared,
    .begin = http_ask_sid,
    .bytes = handshake_bytes,
};
