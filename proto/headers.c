// SPDX-License-Identifier: Apache-2.0
/*
 * Heads, written anew.
 *
 * One pass over the parsed fields: each is either left out, written as it was parsed ("name: value";
 * in one copy where the lines of several were exactly that), or replaced. What limpet itself says
 * (Host, framing, connection options, X-Forwarded-*)
 * is written from decisions, never copied from a field line, and fields of those names are left out
 * by id. So there is exactly one of each, in one form.
 *
 * Every put checks the room that is left; a writer that overflowed writes nothing more and the call
 * returns 0.
 */
#include "proto/headers.h"

#include <string.h>

#define BIT(id) (UINT64_C(1) << (id))

struct writer {
    char *begin, *at, *end;
    bool full;
};

static struct writer writer_of(char *out, size_t size)
{
    return (struct writer){.begin = out, .at = out, .end = out + size};
}

static size_t written(const struct writer *w)
{
    return w->full ? 0 : (size_t)(w->at - w->begin);
}

static bool has_room(struct writer *w, size_t len)
{
    if ((size_t)(w->end - w->at) < len)
        w->full = true;
    return !w->full;
}

/* Inlined, so that constant text is written by a few stores. */
#define INLINE inline __attribute__((always_inline))

static INLINE void put(struct writer *w, struct span s)
{
    if (s.len == 0 || !has_room(w, s.len))
        return;
    memcpy(w->at, s.ptr, s.len);
    w->at += s.len;
}

/* `name` ends with ": " already. */
static INLINE void put_line(struct writer *w, struct span name, struct span value)
{
    if (!has_room(w, name.len + value.len + 2))
        return;
    memcpy(w->at, name.ptr, name.len);
    memcpy(w->at + name.len, value.ptr, value.len);
    memcpy(w->at + name.len + value.len, "\r\n", 2);
    w->at += name.len + value.len + 2;
}

static INLINE void put_line_unless_empty(struct writer *w, struct span name, struct span value)
{
    if (value.len > 0)
        put_line(w, name, value);
}

/* Lines that are copied as they are, and lie one behind the other: they leave together. */
struct run {
    const char *at;
    size_t len;
};

static void put_run(struct writer *w, struct run *run)
{
    put(w, span_of(run->at, run->len));
    *run = (struct run){0};
}

static INLINE void put_field(struct writer *w, struct run *run, const char *base,
                             const struct field *field)
{
    const char *line = base + field->name.at;
    if (!field->plain || run->at + run->len != line) {
        put_run(w, run);
        run->at = line;
    }
    if (field->plain) {
        run->len += (size_t)field->name.len + field->value.len + 4;
        return;
    }
    put(w, slice_of(base, field->name));
    put_line(w, SPAN(": "), slice_of(base, field->value));
}

enum { DIGITS_MAX = 20 };

static struct span digits_of(uint64_t n, char digits[static DIGITS_MAX])
{
    size_t at = DIGITS_MAX;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return span_of(digits + at, DIGITS_MAX - at);
}

static void put_content_length(struct writer *w, uint64_t n)
{
    char digits[DIGITS_MAX];
    put_line(w, SPAN("Content-Length: "), digits_of(n, digits));
}

static bool is_dropped(const struct header_edit *edit, struct span name)
{
    for (size_t i = 0; edit && i < edit->drop_count; i++) {
        if (span_eq_nocase(name, edit->drop[i]))
            return true;
    }
    return false;
}

static void put_set(struct writer *w, const struct header_edit *edit)
{
    for (size_t i = 0; edit && i < edit->set_count; i++) {
        put(w, edit->set[i].name);
        put_line(w, SPAN(": "), edit->set[i].value);
    }
}

/* ---- requests ---- */

/* Written by us, from what was decided. */
static const uint64_t request_own_ids = BIT(HEADER_HOST) | BIT(HEADER_CONTENT_LENGTH) |
                                        BIT(HEADER_TRANSFER_ENCODING) | BIT(HEADER_EXPECT) |
                                        BIT(HEADER_X_FORWARDED_FOR);
/* Kept from a trusted proxy only. */
static const uint64_t forwarded_ids = BIT(HEADER_X_FORWARDED_PROTO) | BIT(HEADER_X_FORWARDED_HOST) |
                                      BIT(HEADER_X_FORWARDED_PORT) | BIT(HEADER_X_REAL_IP) |
                                      BIT(HEADER_X_REQUEST_ID) | BIT(HEADER_FORWARDED);

static void put_target(struct writer *w, const struct head *head, const char *base,
                       enum eio_sid_place untag)
{
    if (head->target_is_root) {
        // RFC 9112 §3.2.4: OPTIONS for a whole server, in its absolute form.
        bool asterisk = head->method == METHOD_OPTIONS && head->target.len == 0;
        put(w, asterisk ? SPAN("*") : SPAN("/"));
    }
    if (untag == EIO_SID_NOWHERE)
        put(w, slice_of(base, head->target));
    else if (has_room(w, head->target.len))
        w->at += eio_untag_target(slice_of(base, head->target), untag, w->at);
}

static void put_request_line(struct writer *w, const struct head *head, const char *base,
                             const struct request_edit *edit)
{
    put(w, slice_of(base, head->method_text));
    put(w, SPAN(" "));
    put_target(w, head, base, edit->untag);
    put(w, SPAN(" HTTP/1.1\r\n"));
    put_line(w, SPAN("Host: "),
             head->host.len > 0 ? slice_of(base, head->host) : edit->default_host);
}

static void put_cookie(struct writer *w, const char *base, const struct field *field,
                       const struct cookie_edit *edit)
{
    static const struct span name = {"Cookie: ", 8};
    if (!has_room(w, name.len + field->value.len + 2))
        return;
    size_t len = cookie_write(slice_of(base, field->value), edit, w->at + name.len);
    if (len == 0)
        return;
    memcpy(w->at, name.ptr, name.len);
    w->at += name.len + len;
    put(w, SPAN("\r\n"));
}

/* A trusted proxy's list with our peer behind it, else our peer alone. */
static void put_forwarded_for(struct writer *w, const struct head *head, const char *base,
                              const struct request_edit *edit)
{
    bool extend = edit->trust_forwarded && head->first[HEADER_X_FORWARDED_FOR] != 0;
    bool first = true;
    if (!extend && edit->client_ip.len == 0)
        return;
    put(w, SPAN("X-Forwarded-For: "));
    for (size_t i = extend ? head->first[HEADER_X_FORWARDED_FOR] - 1u : head->nfields;
         i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        if (field->id != HEADER_X_FORWARDED_FOR || field->value.len == 0)
            continue;
        put(w, first ? SPAN_NONE : SPAN(", "));
        put(w, slice_of(base, field->value));
        first = false;
    }
    if (edit->client_ip.len > 0) {
        put(w, first ? SPAN_NONE : SPAN(", "));
        put(w, edit->client_ip);
    }
    put(w, SPAN("\r\n"));
}

/* The address that the last trusted proxy saw, when it says so; else our peer's. */
static struct span real_ip(const struct head *head, const char *base,
                           const struct request_edit *edit)
{
    struct span last = SPAN_NONE;
    if (!edit->trust_forwarded || head->first[HEADER_X_FORWARDED_FOR] == 0)
        return edit->client_ip;
    for (size_t i = head->first[HEADER_X_FORWARDED_FOR] - 1u; i < head->nfields; i++) {
        if (head->fields[i].id == HEADER_X_FORWARDED_FOR)
            last = slice_of(base, head->fields[i].value);
    }
    for (size_t comma = span_index(last, ','); comma != SIZE_MAX; comma = span_index(last, ','))
        last = span_from(last, comma + 1);
    last = span_trim(last);
    return last.len > 0 ? last : edit->client_ip;
}

/* Do we write this field, or has a trusted proxy? */
static bool says(const struct head *head, const struct request_edit *edit, enum header_id id)
{
    return !edit->trust_forwarded || head->first[id] == 0;
}

static void put_forwarded(struct writer *w, const struct head *head, const char *base,
                          const struct request_edit *edit)
{
    put_forwarded_for(w, head, base, edit);
    if (says(head, edit, HEADER_X_FORWARDED_PROTO))
        put_line_unless_empty(w, SPAN("X-Forwarded-Proto: "), edit->scheme);
    if (says(head, edit, HEADER_X_FORWARDED_HOST))
        put_line_unless_empty(w, SPAN("X-Forwarded-Host: "), slice_of(base, head->host));
    if (says(head, edit, HEADER_X_FORWARDED_PORT))
        put_line_unless_empty(w, SPAN("X-Forwarded-Port: "), edit->port);
    if (says(head, edit, HEADER_X_REAL_IP))
        put_line_unless_empty(w, SPAN("X-Real-IP: "), real_ip(head, base, edit));
    if (says(head, edit, HEADER_X_REQUEST_ID))
        put_line_unless_empty(w, SPAN("X-Request-ID: "), edit->request_id);
}

static void put_request_framing(struct writer *w, const struct request_edit *edit)
{
    switch (edit->framing) {
    case FRAMING_LENGTH:
        put_content_length(w, edit->content_length);
        break;
    case FRAMING_CHUNKED:
        put(w, SPAN("Transfer-Encoding: chunked\r\n"));
        break;
    case FRAMING_NONE:
    case FRAMING_UNTIL_CLOSE: // no request has it
        break;
    }
}

/* What only we, or a proxy that we trust, may say about a client's certificate. */
static bool claims_certificate(const struct field *field, const char *base)
{
    static const struct span prefix = {"x-ssl-client-", 13};
    return field->id == HEADER_OTHER && span_starts_nocase(slice_of(base, field->name), prefix);
}

static bool keeps_request_field(const struct field *field, const char *base,
                                const struct request_edit *edit)
{
    uint64_t bit = BIT(field->id);
    if (field->hop_by_hop || field->underscore || (bit & request_own_ids) != 0)
        return false;
    if ((bit & forwarded_ids) != 0)
        return edit->trust_forwarded;
    if (claims_certificate(field, base))
        return edit->trust_forwarded && edit->client_certificate.len == 0;
    return field->id != HEADER_ACCEPT_ENCODING || !edit->drop_accept_encoding;
}

size_t headers_write_request(const struct head *head, const char *base,
                             const struct request_edit *edit, char *out, size_t size)
{
    struct writer w = writer_of(out, size);
    struct run run = {0};
    put_request_line(&w, head, base, edit);
    for (size_t i = 0; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        if (!keeps_request_field(field, base, edit) ||
            is_dropped(edit->fields, slice_of(base, field->name)))
            continue;
        if (field->id != HEADER_COOKIE || edit->cookie.change == COOKIE_KEEP) {
            put_field(&w, &run, base, field);
            continue;
        }
        put_run(&w, &run);
        put_cookie(&w, base, field, &edit->cookie);
    }
    put_run(&w, &run);
    put_set(&w, edit->fields);
    put_forwarded(&w, head, base, edit);
    put(&w, edit->client_certificate);
    if (edit->upgrade)
        put(&w, SPAN("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (edit->close)
        put(&w, SPAN("Connection: close\r\n"));
    put_request_framing(&w, edit);
    put(&w, SPAN("\r\n"));
    return written(&w);
}

/* ---- responses ---- */

static void put_status_line(struct writer *w, const struct head *head, const char *base)
{
    char digits[DIGITS_MAX];
    put(w, SPAN("HTTP/1.1 "));
    put(w, digits_of(head->status, digits));
    put_line(w, SPAN(" "), slice_of(base, head->reason));
}

static void put_set_cookie(struct writer *w, const char *base, const struct field *field,
                           const struct set_cookie_edit *edit)
{
    put(w, SPAN("Set-Cookie: "));
    if (!has_room(w, (size_t)field->value.len + edit->server.len + 1))
        return;
    w->at += set_cookie_write(slice_of(base, field->value), edit, w->at);
    put(w, SPAN("\r\n"));
}

/* Does the client learn the end of this body only by the end of the connection? */
static bool ends_by_close(const struct response_edit *edit)
{
    return edit->framing == FRAMING_UNTIL_CLOSE ||
           (edit->framing == FRAMING_CHUNKED && edit->to_minor == 0);
}

static void put_response_connection(struct writer *w, const struct response_edit *edit)
{
    if (edit->upgrade)
        put(w, SPAN("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (edit->close || ends_by_close(edit))
        put(w, SPAN("Connection: close\r\n"));
    else if (edit->say_keep_alive)
        put(w, SPAN("Connection: keep-alive\r\n"));
}

static void put_response_framing(struct writer *w, const struct response_edit *edit)
{
    switch (edit->framing) {
    case FRAMING_LENGTH:
        put_content_length(w, edit->content_length);
        break;
    case FRAMING_CHUNKED:
        if (!ends_by_close(edit))
            put(w, SPAN("Transfer-Encoding: chunked\r\n"));
        break;
    case FRAMING_NONE:
        if (edit->has_content_length)
            put_content_length(w, edit->content_length);
        break;
    case FRAMING_UNTIL_CLOSE:
        break;
    }
}

size_t headers_write_response(const struct head *head, const char *base,
                              const struct response_edit *edit, char *out, size_t size)
{
    struct writer w = writer_of(out, size);
    struct run run = {0};
    put_status_line(&w, head, base);
    for (size_t i = 0; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        if (field->hop_by_hop || field->id == HEADER_CONTENT_LENGTH ||
            is_dropped(edit->fields, slice_of(base, field->name)))
            continue;
        if (field->id != HEADER_SET_COOKIE || edit->set_cookie.change == SET_COOKIE_KEEP) {
            put_field(&w, &run, base, field);
            continue;
        }
        put_run(&w, &run);
        put_set_cookie(&w, base, field, &edit->set_cookie);
    }
    put_run(&w, &run);
    put_set(&w, edit->fields);
    static const struct span hsts = {"Strict-Transport-Security", 25};
    if (head->first[HEADER_STRICT_TRANSPORT_SECURITY] == 0 && !is_dropped(edit->fields, hsts))
        put_line_unless_empty(&w, SPAN("Strict-Transport-Security: "), edit->hsts);
    put_line_unless_empty(&w, SPAN("Set-Cookie: "), edit->add_set_cookie);
    put_response_connection(&w, edit);
    put_response_framing(&w, edit);
    put(&w, SPAN("\r\n"));
    return written(&w);
}
