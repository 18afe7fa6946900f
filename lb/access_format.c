// SPDX-License-Identifier: Apache-2.0
/*
 * How an access line looks. One is written for every exchange, so this is the hot path: no printf,
 * no locale, no system call. A pen writes and stops at its end; the end lies a few bytes before the
 * true one, so that the closing quote (or brace) and the line feed always fit and a long request
 * line is what gets cut.
 *
 * Session ids are credentials: only their first characters are logged, in the request line too.
 * Everything else from the network is escaped.
 */
#include "lb/access.h"

#include "base/log.h"

#include <string.h>

enum { SID_SHOWN = 6 }; /* characters */

/* Writes up to `end`; what does not fit is cut. */
struct pen {
    char *at, *end;
};

static inline void pen_char(struct pen *pen, char c)
{
    if (pen->at < pen->end)
        *pen->at++ = c;
}

static void pen_cut(struct pen *pen, const char *bytes)
{
    size_t room = (size_t)(pen->end - pen->at);
    memcpy(pen->at, bytes, room);
    pen->at += room;
}

/* A copy of constant length when there is room, so that literals become plain moves. */
static inline void pen_bytes(struct pen *pen, const char *bytes, size_t len)
{
    if (len > (size_t)(pen->end - pen->at)) {
        pen_cut(pen, bytes);
        return;
    }
    memcpy(pen->at, bytes, len);
    pen->at += len;
}

#define pen_literal(pen, literal) pen_bytes(pen, literal, sizeof(literal) - 1)

static void pen_text(struct pen *pen, const char *text)
{
    pen_bytes(pen, text, strlen(text));
}

static size_t digit_count(uint64_t value)
{
    size_t count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two digits at a time. */
static void pen_uint(struct pen *pen, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    if (value < 10) { // Most numbers of a line.
        pen_char(pen, (char)('0' + value));
        return;
    }
    size_t count = digit_count(value);
    if ((size_t)(pen->end - pen->at) < count) {
        pen->end = pen->at; // A cut number would be a wrong one: the line is full.
        return;
    }
    char *at = pen->at + count;
    pen->at = at;
    for (; value >= 100; value /= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
    }
    if (value >= 10)
        memcpy(at - 2, pairs + value * 2, 2);
    else
        at[-1] = (char)('0' + value);
}

static void pen_int(struct pen *pen, int64_t value)
{
    if (value < 0)
        pen_char(pen, '-');
    pen_uint(pen, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Exactly `width` digits. */
static void pen_padded(struct pen *pen, unsigned value, size_t width)
{
    char digits[4];
    for (size_t i = width; i > 0; i--, value /= 10)
        digits[i - 1] = (char)('0' + value % 10);
    pen_bytes(pen, digits, width);
}

static void pen_millis(struct pen *pen, int64_t wall_ms)
{
    pen_char(pen, '.');
    pen_padded(pen, (unsigned)(wall_ms % 1000), 3);
}

/* The address without port. IPv4 is most of what comes, and inet_ntop is slow at it. */
static void pen_host(struct pen *pen, const struct addr *addr)
{
    struct span ip = addr_ip_bytes(addr);
    if (ip.len != 4) {
        char text[ADDR_TEXT_MAX];
        pen_text(pen, addr_format_host(addr, text));
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            pen_char(pen, '.');
        pen_uint(pen, (uint8_t)ip.ptr[i]);
    }
}

static bool plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Of which of the eight bytes is the top bit set: they equal `byte`, or a lower one does. */
static uint64_t bytes_equal(uint64_t bytes, uint64_t byte)
{
    uint64_t zero = bytes ^ (byte * 0x0101010101010101u);
    return (zero - 0x0101010101010101u) & ~zero;
}

/* Copies bytes that neither format escapes, eight at a time, as many as it can; returns what is
 * left. */
static struct span pen_plain(struct pen *pen, struct span bytes)
{
    const uint64_t tops = 0x8080808080808080u;
    size_t room = (size_t)(pen->end - pen->at);
    size_t most = bytes.len < room ? bytes.len : room, n = 0;
    char *to = pen->at;
    for (; n + 8 <= most; n += 8) {
        uint64_t eight;
        memcpy(&eight, bytes.ptr + n, 8);
        uint64_t control = eight - 0x2020202020202020u;
        uint64_t odd = bytes_equal(eight, '"') | bytes_equal(eight, '\\') |
                       bytes_equal(eight, 0x7f) | control | eight;
        if (odd & tops)
            break;
        memcpy(to + n, &eight, 8);
    }
    for (; n < most && plain(bytes.ptr[n]); n++)
        to[n] = bytes.ptr[n];
    pen->at += n;
    return span_from(bytes, n);
}

static void pen_escaped(struct pen *pen, struct span bytes)
{
    bytes = pen_plain(pen, bytes);
    size_t room = (size_t)(pen->end - pen->at);
    if (bytes.len > 0)
        pen->at += log_escape(bytes, pen->at, room);
}

static void pen_json_escaped(struct pen *pen, struct span bytes)
{
    static const char hex[] = "0123456789abcdef";
    bytes = pen_plain(pen, bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (pen->end - pen->at < 6)
            return; // Half an escape would spoil the line.
        if (c == '"' || c == '\\') {
            pen_char(pen, '\\');
            pen_char(pen, (char)c);
        } else if (plain((char)c)) {
            pen_char(pen, (char)c);
        } else {
            pen_literal(pen, "\\u00");
            pen_char(pen, hex[c >> 4]);
            pen_char(pen, hex[c & 15]);
        }
    }
}

typedef void pen_escape_fn(struct pen *pen, struct span bytes);

static void pen_sid(struct pen *pen, struct span sid, pen_escape_fn *escape)
{
    escape(pen, span_upto(sid, SID_SHOWN));
    if (sid.len > SID_SHOWN)
        pen_literal(pen, "...");
}

static bool ends_value(char c)
{
    return c == '&' || c == ' ' || c == '?' || c == '/' || c == '#';
}

/* `text` with the sid in it shortened. The record may hold only the sid's beginning, so what
 * belongs to it is taken from the text: up to what ends a value or a path segment. */
static void pen_without_sid(struct pen *pen, struct span text, struct span sid,
                            pen_escape_fn *escape)
{
    size_t at = sid.len > SID_SHOWN ? span_find(text, sid) : SIZE_MAX;
    if (at == SIZE_MAX) {
        escape(pen, text);
        return;
    }
    size_t end = at + sid.len;
    while (end < text.len && !ends_value(text.ptr[end]))
        end++;
    escape(pen, span_upto(text, at));
    pen_sid(pen, sid, escape);
    escape(pen, span_from(text, end));
}

/* "web sio/a ", HAProxy's way: without a backend the frontend stands in its place. */
static void pen_names(struct pen *pen, const struct access_record *record)
{
    pen_text(pen, record->frontend);
    pen_char(pen, ' ');
    pen_text(pen, record->backend != NULL ? record->backend : record->frontend);
    pen_char(pen, '/');
    pen_text(pen, record->server != NULL ? record->server : "<NOSRV>");
    pen_char(pen, ' ');
}

static void pen_slashed(struct pen *pen, const int64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            pen_char(pen, '/');
        pen_int(pen, values[i]);
    }
}

static void pen_counts(struct pen *pen, const struct access_record *record)
{
    const int64_t open[] = {record->process_connections, record->frontend_connections,
                            record->backend_connections, record->server_connections};
    pen_slashed(pen, open, array_len(open));
    pen_char(pen, '/');
    if (record->redispatched)
        pen_char(pen, '+');
    pen_int(pen, record->retries);
    pen_char(pen, ' ');
    const int64_t queues[] = {record->server_queue, record->backend_queue};
    pen_slashed(pen, queues, array_len(queues));
}

size_t access_format_haproxy(const struct access_record *record, const char *stamp,
                             const char *host, int pid, const char *time, char *out, size_t size)
{
    if (size < 2)
        return 0;
    struct pen pen = {out, out + size - 2};
    pen_text(&pen, stamp);
    pen_char(&pen, ' ');
    pen_text(&pen, host);
    pen_literal(&pen, " limpet[");
    pen_int(&pen, pid);
    pen_literal(&pen, "]: ");
    pen_host(&pen, &record->client);
    pen_char(&pen, ':');
    pen_uint(&pen, addr_port(&record->client));
    pen_literal(&pen, " [");
    pen_text(&pen, time);
    pen_millis(&pen, record->accepted_wall_ms);
    pen_literal(&pen, "] ");
    pen_names(&pen, record);

    const int64_t timers[] = {record->time_request, record->time_queue, record->time_connect,
                              record->time_response, record->time_total};
    pen_slashed(&pen, timers, array_len(timers));
    pen_char(&pen, ' ');
    pen_int(&pen, record->status > 0 ? record->status : -1);
    pen_char(&pen, ' ');
    pen_uint(&pen, record->bytes);
    pen_literal(&pen, " - - ");
    pen_bytes(&pen, end_table[record->reason].flags, 2);
    pen_bytes(&pen, record->cookie_state, 2);
    pen_char(&pen, ' ');
    pen_counts(&pen, record);
    pen_literal(&pen, " \"");
    pen_without_sid(&pen, record->request_line, record->sid, pen_escaped);
    pen.end += 2;
    pen_literal(&pen, "\"\n");
    return (size_t)(pen.at - out);
}

/* ,"key": */
static void json_key(struct pen *pen, const char *key)
{
    pen_literal(pen, ",\"");
    pen_text(pen, key);
    pen_literal(pen, "\":");
}

static void json_int(struct pen *pen, const char *key, int64_t value)
{
    json_key(pen, key);
    pen_int(pen, value);
}

/* A text of ours, or null. */
static void json_text(struct pen *pen, const char *key, const char *text)
{
    json_key(pen, key);
    if (text == NULL) {
        pen_literal(pen, "null");
        return;
    }
    pen_char(pen, '"');
    pen_text(pen, text);
    pen_char(pen, '"');
}

static void json_client(struct pen *pen, const struct addr *client)
{
    json_key(pen, "client");
    pen_char(pen, '"');
    pen_host(pen, client);
    pen_char(pen, '"');
    json_int(pen, "client_port", addr_port(client));
}

static void json_times(struct pen *pen, const struct access_record *record)
{
    json_int(pen, "request_ms", record->time_request);
    json_int(pen, "queue_ms", record->time_queue);
    json_int(pen, "connect_ms", record->time_connect);
    json_int(pen, "response_ms", record->time_response);
    json_int(pen, "total_ms", record->time_total);
}

static void json_network_text(struct pen *pen, const char *key, struct span text, struct span sid)
{
    json_key(pen, key);
    pen_char(pen, '"');
    pen_without_sid(pen, text, sid, pen_json_escaped);
    pen_char(pen, '"');
}

/* The target comes last, and has all the room that is left. */
size_t access_format_json(const struct access_record *record, const char *time, char *out,
                          size_t size)
{
    if (size < 3)
        return 0;
    struct pen pen = {out, out + size - 3};
    pen_literal(&pen, "{\"time\":\"");
    pen_text(&pen, time);
    pen_millis(&pen, record->accepted_wall_ms);
    pen_literal(&pen, "Z\"");
    json_client(&pen, &record->client);
    json_text(&pen, "frontend", record->frontend);
    json_text(&pen, "backend", record->backend);
    json_text(&pen, "server", record->server);
    json_int(&pen, "status", record->status);
    pen_literal(&pen, ",\"bytes\":");
    pen_uint(&pen, record->bytes);
    json_times(&pen, record);
    json_text(&pen, "reason", end_table[record->reason].word);
    json_int(&pen, "retries", record->retries);
    json_key(&pen, "redispatched");
    pen_text(&pen, record->redispatched ? "true" : "false");
    json_text(&pen, "transport", record->transport);
    json_network_text(&pen, "sid", record->sid, record->sid);
    json_network_text(&pen, "request_id", span_upto(record->request_id, 128), SPAN_NONE);
    json_network_text(&pen, "method", span_upto(record->method, 32), SPAN_NONE);
    json_key(&pen, "target");
    pen_char(&pen, '"');
    pen_without_sid(&pen, record->target, record->sid, pen_json_escaped);
    pen.end += 3;
    pen_literal(&pen, "\"}\n");
    return (size_t)(pen.at - out);
}
