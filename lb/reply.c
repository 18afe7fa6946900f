// SPDX-License-Identifier: Apache-2.0
/*
 * limpet's own answers.
 *
 * What real servers say about a session id that they do not know (asked byte by byte:
 * engine.io 6.6, 3.6, 1.8 and socket.io 0.9):
 *
 *   polling, JSONP  400, application/json, {"code":1,"message":"Session ID unknown"}; JSONP gets it
 *                   bare as well. Protocol 3 servers allow every origin: the request's with
 *                   credentials, "*" when it names none. Protocol 4 servers allow what they are
 *                   configured to; we cannot know that, so the Origin is echoed: the answer tells
 *                   nothing that needs hiding, and a page that may not read it would wait for nothing
 *   upgrade         400, text/html, the bare message, and the connection closes; no CORS fields
 *   0.9             200, the packet 7:::1+0 ("error, client not handshaken, reconnect"), in
 *                   io.j[N]("…"); for JSONP. Its WebSocket would accept and then send that packet;
 *                   ours is refused like any other upgrade
 *
 * They send these in chunks with a Date; ours have a Content-Length and none.
 */
#include "lb/reply.h"

#include <stdarg.h>
#include <stdio.h>

/* Appends to a bounded text; `full` once something did not fit. */
struct text {
    char *out;
    size_t size, len;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...)
{
    if (text->full)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->out + text->len, text->size - text->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= text->size - text->len)
        text->full = true;
    else
        text->len += (size_t)n;
}

static size_t text_end(const struct text *text)
{
    return text->full ? 0 : text->len;
}

/* RFC 9110 §15, RFC 6585 */
static const struct {
    uint16_t status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {204, "No Content"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *reply_phrase(uint16_t status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return status < 400 ? "OK" : status < 500 ? "Bad Request" : "Internal Server Error";
}

size_t reply_write(const struct reply *reply, char *out, size_t size)
{
    struct text text = {.out = out, .size = size, .full = size == 0};
    const char *phrase = reply_phrase(reply->status);
    const char *reason = reply->reason ? reply->reason : phrase;
    int body = snprintf(NULL, 0, "%u %s\n", reply->status, reason);

    text_add(&text, "HTTP/1.1 %u %s\r\n", reply->status, phrase);
    text_add(&text, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", body);
    text_add(&text, "Cache-Control: no-store\r\n");
    if (reply->retry_after_s > 0)
        text_add(&text, "Retry-After: %d\r\n", reply->retry_after_s);
    if (reply->location.len > 0)
        text_add(&text, "Location: %.*s%.*s\r\n", SPAN_ARG(reply->location),
                 SPAN_ARG(reply->location_rest));
    if (reply->request_id.len > 0)
        text_add(&text, "X-Request-ID: %.*s\r\n", SPAN_ARG(reply->request_id));
    if (reply->close)
        text_add(&text, "Connection: close\r\n");
    else if (reply->keep_alive_10)
        text_add(&text, "Connection: keep-alive\r\n");
    text_add(&text, "\r\n");
    if (!reply->to_head)
        text_add(&text, "%u %s\n", reply->status, reason);
    return text_end(&text);
}

/* A refused upgrade: byte for byte what engine.io's abortUpgrade writes. */
static void unknown_upgrade(struct text *text)
{
    text_add(text, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n"
                   "Content-Length: 18\r\n\r\nSession ID unknown");
}

/* May the page read it? The fields of each server generation, see above. */
static void add_cors(struct text *text, uint8_t protocol, struct span origin)
{
    if (origin.len > 0) {
        text_add(text, "Access-Control-Allow-Origin: %.*s\r\n", SPAN_ARG(origin));
        text_add(text, "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
    } else if (protocol == 3) {
        text_add(text, "Access-Control-Allow-Origin: *\r\n");
    }
}

static void unknown_polling(struct text *text, const struct eio_request *eio, struct span origin,
                            bool close)
{
    text_add(text, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    add_cors(text, eio->protocol, origin);
    text_add(text, "Cache-Control: no-store\r\nContent-Length: 41\r\n%s\r\n",
             close ? "Connection: close\r\n" : "");
    text_add(text, "{\"code\":1,\"message\":\"Session ID unknown\"}");
}

static void unknown_legacy(struct text *text, const struct eio_request *eio, struct span origin,
                           bool close)
{
    char body[48];
    int len = eio->jsonp ? snprintf(body, sizeof(body), "io.j[%u](\"7:::1+0\");", eio->jsonp_index)
                         : snprintf(body, sizeof(body), "7:::1+0");

    text_add(text, "HTTP/1.1 200 OK\r\nContent-Type: text/%s; charset=UTF-8\r\n",
             eio->jsonp ? "javascript" : "plain");
    if (eio->jsonp)
        text_add(text, "X-XSS-Protection: 0\r\n");
    else
        add_cors(text, eio->protocol, origin);
    text_add(text, "Cache-Control: no-store\r\nContent-Length: %d\r\n%s\r\n%s", len,
             close ? "Connection: close\r\n" : "", body);
}

size_t reply_write_unknown_sid(const struct eio_request *eio, bool upgrade, struct span origin,
                               bool close, char *out, size_t size)
{
    struct text text = {.out = out, .size = size, .full = size == 0};

    if (upgrade)
        unknown_upgrade(&text);
    else if (eio->protocol == 0)
        unknown_legacy(&text, eio, origin, close);
    else
        unknown_polling(&text, eio, origin, close);
    return text_end(&text);
}

size_t reply_write_close_packet(const struct eio_request *eio, struct span origin, bool close,
                                char *out, size_t size)
{
    struct text text = {.out = out, .size = size, .full = size == 0};
    const char *packet = eio->protocol == 4 ? "1" : "1:1";
    char body[48];
    int len = eio->jsonp
                  ? snprintf(body, sizeof(body), "___eio[%u](\"%s\");", eio->jsonp_index, packet)
                  : snprintf(body, sizeof(body), "%s", packet);

    text_add(&text, "HTTP/1.1 200 OK\r\nContent-Type: text/%s; charset=UTF-8\r\n",
             eio->jsonp ? "javascript" : "plain");
    add_cors(&text, eio->protocol, origin);
    text_add(&text, "Cache-Control: no-store\r\nContent-Length: %d\r\n%s\r\n%s", len,
             close ? "Connection: close\r\n" : "", body);
    return text_end(&text);
}
