// SPDX-License-Identifier: Apache-2.0
/*
 * Servers to measure proxies with, many in one process: `bench_echo ADDRESS…` prints one ready line
 * with the addresses it got. Each speaks HTTP/1.1 and as much Engine.IO as a proxy can see:
 *
 *   GET  /bytes/N                       N bytes
 *   GET  ?transport=polling             a handshake with a sid of its own
 *   GET  …&sid=S   POST …&sid=S         a packet, "ok"; &hang=1 never answers
 *   GET  ?transport=websocket, Upgrade  101, the open packet, then every frame comes back
 *   anything else                       a few bytes
 *
 * A sid names the server that made it; every other server refuses it the way Engine.IO does, so a
 * proxy that loses a session shows as an error and not as speed. Not for the open internet.
 */
#include "bench/echo.h"

#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 8192, LARGEST = 4 * 1024 * 1024 }; /* connections; bytes of a body */

/* The one key that our load generator sends, and the answer to it (RFC 6455 §1.3). */
#define WEBSOCKET_KEY "dGhlIHNhbXBsZSBub25jZQ=="
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Accept: "
                                "s3pPLMBiTxaQ9kYgZZHBuvDjK0s=\r\n\r\n";

/* Server 7's sids look like 007-0000002a-9e3779b: nothing is kept, everything can be checked. */
static void sid_write(unsigned server, unsigned number, char out[static ECHO_SID + 1])
{
    unsigned check = (number * 2654435761u ^ server * 40503u) >> 4;
    snprintf(out, ECHO_SID + 1, "%03u-%08x-%07x", server % 1000, number, check & 0xfffffff);
}

static bool sid_is_own(const struct echo_server *server, struct span sid)
{
    uint64_t number;
    char expected[ECHO_SID + 1];
    if (sid.len != ECHO_SID || !span_hex_to_u64(span_upto(span_from(sid, 4), 8), &number) ||
        number >= server->issued)
        return false;
    sid_write(server->index, (unsigned)number, expected);
    return span_eq(sid, span_of(expected, ECHO_SID));
}

size_t echo_handshake(struct echo_server *server, char out[static ECHO_HANDSHAKE])
{
    char sid[ECHO_SID + 1];
    sid_write(server->index, server->issued++, sid);
    int len = snprintf(out, ECHO_HANDSHAKE,
                       "0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
                       "\"pingTimeout\":20000,\"maxPayload\":1000000}",
                       sid);
    return (size_t)len;
}

static void answer(struct caller *caller, const char *status, const char *headers, struct span body)
{
    char head[512];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=UTF-8\r\n"
                       "Cache-Control: no-store\r\n%sContent-Length: %zu\r\n\r\n",
                       status, headers, body.len);
    static char whole[sizeof head + LARGEST];
    memcpy(whole, head, (size_t)len);
    memcpy(whole + len, body.ptr, body.len);
    stream_send(&caller->stream, span_of(whole, (size_t)len + body.len));
}

static struct span query_value(struct span target, struct span name)
{
    struct span query = target;
    span_cut(&query, '?');
    while (query.ptr) {
        struct span value = span_cut(&query, '&');
        if (span_eq(span_cut(&value, '='), name))
            return value;
    }
    return SPAN_NONE;
}

static void answer_handshake(struct caller *caller)
{
    char packet[ECHO_HANDSHAKE], cookie[64];
    size_t len = echo_handshake(caller->server, packet);
    /* Engine.IO's cookie of old, for proxies that learn a sid from it. */
    snprintf(cookie, sizeof cookie, "Set-Cookie: io=%.*s; Path=/\r\n", ECHO_SID,
             packet + sizeof "0{\"sid\":\"" - 1);
    answer(caller, "200 OK", cookie, span_of(packet, len));
}

static void answer_upgrade(struct caller *caller, struct span head)
{
    if (span_find(head, SPAN(WEBSOCKET_KEY)) == SIZE_MAX) {
        answer(caller, "400 Bad Request", "", SPAN("unknown key"));
        return;
    }
    char packet[ECHO_HANDSHAKE];
    size_t len = echo_handshake(caller->server, packet);
    stream_send(&caller->stream, SPAN(switching));
    echo_send_text(caller, span_of(packet, len));
    caller->websocket = true;
}

static void answer_engineio(struct caller *caller, struct span target, struct span head)
{
    struct span sid = query_value(target, SPAN("sid"));
    if (sid.len > 0 && !sid_is_own(caller->server, sid))
        answer(caller, "400 Bad Request", "",
               SPAN("{\"code\":1,\"message\":\"Session ID unknown\"}"));
    else if (span_eq(query_value(target, SPAN("transport")), SPAN("websocket")))
        answer_upgrade(caller, head);
    else if (sid.len == 0)
        answer_handshake(caller);
    else if (span_starts(head, SPAN("POST ")))
        answer(caller, "200 OK", "", SPAN("ok"));
    else if (query_value(target, SPAN("hang")).len == 0)
        answer(caller, "200 OK", "", SPAN("42[\"news\",{\"n\":1}]"));
}

static void answer_request(struct caller *caller, struct span head)
{
    static char filler[LARGEST];
    struct span line = head;
    span_cut(&line, ' ');
    struct span target = span_cut(&line, ' ');
    uint64_t size;
    if (query_value(target, SPAN("transport")).len > 0)
        answer_engineio(caller, target, head);
    else if (span_starts(target, SPAN("/bytes/")) && span_to_u64(span_from(target, 7), &size) &&
             size <= LARGEST)
        answer(caller, "200 OK", "", span_of(filler, size));
    else
        answer(caller, "200 OK", "", SPAN("hello, world\n"));
}

/* Answers the first whole request of `bytes`; 0: it is not whole. */
static size_t answer_http(struct caller *caller, struct span bytes)
{
    size_t end = span_find(bytes, SPAN("\r\n\r\n"));
    if (end == SIZE_MAX)
        return 0;
    struct span head = span_upto(bytes, end + 4);
    uint64_t body = 0;
    for (struct span rest = head; rest.ptr;) {
        struct span line = span_cut(&rest, '\n');
        line = span_cut(&line, '\r');
        if (span_eq_nocase(span_cut(&line, ':'), SPAN("content-length")) &&
            !span_to_u64(span_trim(line), &body))
            return SIZE_MAX;
    }
    if (bytes.len < head.len + body)
        return 0;
    answer_request(caller, head);
    return head.len + body;
}

static void caller_free(struct grave *grave)
{
    struct caller *caller = container_of(grave, struct caller, grave);
    free(caller->kept);
    free(caller);
}

static void caller_end(struct caller *caller)
{
    stream_close(&caller->stream);
    caller->grave.fn = caller_free;
    loop_bury(caller->server->loop, &caller->grave);
}

static void caller_keep(struct caller *caller, struct span bytes)
{
    if (caller->kept_len + bytes.len > caller->kept_size) {
        caller->kept_size = caller->kept_len + bytes.len;
        caller->kept = mem_must_resize(caller->kept, caller->kept_size);
    }
    if (bytes.len > 0)
        memmove(caller->kept + caller->kept_len, bytes.ptr, bytes.len);
    caller->kept_len += bytes.len;
}

static void caller_bytes(struct stream *stream, struct span bytes)
{
    struct caller *caller = container_of(stream, struct caller, stream);
    struct span all = bytes;
    if (caller->kept_len > 0) {
        caller_keep(caller, bytes);
        all = span_of(caller->kept, caller->kept_len);
    }
    while (all.len > 0) {
        size_t used = caller->websocket ? echo_frame(caller, all) : answer_http(caller, all);
        if (used == SIZE_MAX) {
            caller_end(caller);
            return;
        }
        if (used == 0)
            break;
        all = span_from(all, used);
    }
    caller->kept_len = 0;
    caller_keep(caller, all);
    if (caller->kept_len == 0) {
        free(caller->kept);
        caller->kept = NULL;
        caller->kept_size = 0;
    }
}

static void caller_ended(struct stream *stream)
{
    caller_end(container_of(stream, struct caller, stream));
}

static void caller_connected(struct stream *stream)
{
    (void)stream;
}

static const struct stream_owner caller_owner = {caller_connected, caller_bytes, caller_ended};

static void server_event(struct io *io, uint32_t events)
{
    (void)events;
    struct echo_server *server = container_of(io, struct echo_server, io);
    for (;;) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct caller *caller = mem_must_alloc(sizeof *caller);
        caller->server = server;
        if (!stream_accept(&caller->stream, server->loop, fd, &caller_owner))
            free(caller);
    }
}

static bool server_open(struct echo_server *server, struct loop *loop, unsigned index,
                        const char *text)
{
    struct endpoint at;
    endpoint_parse(span_str(text), true, &at);
    int fd = at.kind == ENDPOINT_ADDR ? net_listen(&at.addr, BACKLOG, false) : -1;
    *server = (struct echo_server){.loop = loop, .index = index};
    io_init(&server->io, fd, server_event);
    struct addr local;
    char shown[ADDR_TEXT_MAX];
    if (fd < 0 || !loop_add(loop, &server->io) || !net_local_addr(fd, &local)) {
        fprintf(stderr, "bench_echo: cannot listen on %s\n", text);
        return false;
    }
    printf(" %s", addr_format(&local, shown));
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_echo ADDRESS...\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    struct loop loop;
    if (!loop_init(&loop, NULL))
        return 2;
    struct echo_server *servers = mem_must_alloc((size_t)argc * sizeof *servers);
    printf("ready");
    for (int i = 1; i < argc; i++) {
        if (!server_open(&servers[i - 1], &loop, (unsigned)i, argv[i]))
            return 2;
    }
    printf("\n");
    fflush(stdout);
    loop_run(&loop);
}
