// SPDX-License-Identifier: Apache-2.0
/*
 * Tags on session ids: put in on the way to the client, taken off on the way to the server.
 *
 * '~' separates: it stands in no tag, in no server name, in no id that servers make by themselves,
 * and needs no escaping in a URL (RFC 3986 §2.3), a cookie (RFC 6265 §4.1.1), JSON, or 0.9's path.
 * So a tag goes in front of a sid in every envelope as it is, and every way to write the sid later
 * (encodeURIComponent leaves "TAG~" alone, other encoders may write %7E, or anything as %XX) is one
 * run of TAG_LEN + 1 characters, plain or encoded, at the front of a value.
 *
 *     97:0{"sid":"b7Lv…",…}2:40          →  104:0{"sid":"k3Q_xA~b7Lv…",…}2:40
 *     \x00\x09\x07\xff0{"sid":"b7Lv…     →  \x00\x01\x00\x04\xff0{"sid":"k3Q_xA~b7Lv…
 *     ___eio[0]("0{\"sid\":\"b7Lv…       →  ___eio[0]("0{\"sid\":\"k3Q_xA~b7Lv…
 *     b7Lv…:60:60:websocket              →  k3Q_xA~b7Lv…:60:60:websocket
 *
 * EIO3's length counts characters (text) or bytes (binary); a tag is ASCII, so it adds the same to
 * both, and nobody has to count.
 *
 * What does not have the form of a tag is left alone in both directions; once is enough: of
 * TAG~TAG~SID one is taken off, the other belongs to a balancer further in.
 */
#include "proto/engineio_tag.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_MAX = 64, SEPARATOR = '~' };

void eio_tag_write(uint64_t tag, char out[static EIO_TAG_ROOM])
{
    tag_write(tag, out);
    out[TAG_LEN] = SEPARATOR;
}

bool eio_tag_split(struct span sid, uint64_t *tag, struct span *rest)
{
    if (sid.len <= EIO_TAG_ROOM || sid.ptr[TAG_LEN] != SEPARATOR ||
        !tag_read(span_upto(sid, TAG_LEN), tag))
        return false;
    *rest = span_from(sid, EIO_TAG_ROOM);
    return true;
}

/* ---- names ---- */

static bool separates(char c)
{
    return c == '.' || c == SEPARATOR;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
}

bool eio_sid_is_of(struct span sid, struct span name)
{
    return name.len > 0 && sid.len > name.len + 1 && span_starts(sid, name) &&
           separates(sid.ptr[name.len]);
}

bool eio_sid_has_name(struct span sid)
{
    for (size_t i = 0; i + 1 < sid.len && i <= PREFIX_MAX; i++) {
        if (i > 0 && separates(sid.ptr[i]))
            return true;
        if (!is_name_char(sid.ptr[i]))
            return false;
    }
    return false;
}

/* ---- the handshake's answer ---- */

static void add_part(struct eio_tagged *out, struct span part)
{
    if (part.len == 0)
        return;
    assert(out->count < sizeof(out->parts) / sizeof(out->parts[0]));
    out->parts[out->count++] = part;
    out->len += part.len;
}

/* The length that stands there, with the tag counted. False: those are no digits, or become too
 * many. */
static bool new_length(struct span old, bool binary, struct eio_tagged *out, struct span *text)
{
    char digits[EIO_LENGTH_DIGITS_MAX];
    uint64_t length;
    if (old.len > sizeof(digits))
        return false;
    for (size_t i = 0; i < old.len; i++)
        digits[i] = (char)(old.ptr[i] + (binary ? '0' : 0));
    if (!span_to_u64(span_of(digits, old.len), &length))
        return false;
    int n = snprintf(out->length, sizeof(out->length), "%llu",
                     (unsigned long long)length + EIO_TAG_ROOM);
    for (int i = 0; binary && i < n; i++)
        out->length[i] = (char)(out->length[i] - '0');
    *text = span_of(out->length, (size_t)n);
    return text->len <= sizeof(digits);
}

bool eio_tag_handshake(struct span body, const struct eio_handshake *handshake, uint64_t tag,
                       struct eio_tagged *out)
{
    size_t done = 0;
    out->count = out->len = 0;
    if (!handshake->placed || handshake->sid_len > EIO_TAGGED_SID_MAX)
        return false;
    if (handshake->length_len > 0) {
        struct span old = span_upto(span_from(body, handshake->length_at), handshake->length_len);
        struct span length = SPAN_NONE;
        if (!new_length(old, handshake->length_binary, out, &length))
            return false;
        add_part(out, span_upto(body, handshake->length_at));
        add_part(out, length);
        done = handshake->length_at + handshake->length_len;
    }
    eio_tag_write(tag, out->tag);
    add_part(out, span_upto(span_from(body, done), handshake->sid_at - done));
    add_part(out, span_of(out->tag, EIO_TAG_ROOM));
    add_part(out, span_from(body, handshake->sid_at));
    return true;
}

/* ---- requests ---- */

enum eio_sid_place eio_sid_place(const struct eio_request *request)
{
    if (request->kind != EIO_SESSION)
        return EIO_SID_NOWHERE;
    return request->protocol == 0 ? EIO_SID_IN_PATH : EIO_SID_IN_QUERY;
}

/* One character off the front, plain or %XX; -1 at the end. */
static int take_char(struct span *text)
{
    uint64_t code;
    if (text->len == 0)
        return -1;
    size_t n = 1;
    int c = (unsigned char)text->ptr[0];
    if (c == '%' && text->len >= 3 && span_hex_to_u64(span_of(text->ptr + 1, 2), &code)) {
        c = (int)code;
        n = 3;
    }
    *text = span_from(*text, n);
    return c;
}

/* The value as it stands, without the tag in front if it has one and something behind it. */
static struct span without_tag(struct span value)
{
    char plain[EIO_TAG_ROOM] = {0};
    uint64_t tag;
    struct span rest = value;
    for (size_t i = 0; i < EIO_TAG_ROOM; i++)
        plain[i] = (char)take_char(&rest);
    bool tagged = rest.len > 0 && plain[TAG_LEN] == SEPARATOR &&
                  tag_read(span_of(plain, TAG_LEN), &tag);
    return tagged ? rest : value;
}

static bool key_is_sid(struct span key)
{
    for (const char *c = "sid"; *c != '\0'; c++) {
        if (take_char(&key) != *c)
            return false;
    }
    return key.len == 0;
}

static size_t append(char *out, size_t at, struct span s)
{
    if (s.len > 0)
        memmove(out + at, s.ptr, s.len);
    return at + s.len;
}

static size_t untag_query(struct span query, char *out, size_t at)
{
    for (bool first = true; query.ptr != NULL; first = false) {
        struct span pair = span_cut(&query, '&');
        size_t equals = span_index(pair, '=');
        if (!first)
            out[at++] = '&';
        if (equals == SIZE_MAX || !key_is_sid(span_upto(pair, equals))) {
            at = append(out, at, pair);
            continue;
        }
        at = append(out, at, span_upto(pair, equals + 1));
        at = append(out, at, without_tag(span_from(pair, equals + 1)));
    }
    return at;
}

/* PREFIX1/TRANSPORT/SID or …/SID/ */
static size_t untag_path(struct span path, char *out)
{
    size_t begin = path.len > 0 && path.ptr[path.len - 1] == '/' ? path.len - 1 : path.len;
    while (begin > 0 && path.ptr[begin - 1] != '/')
        begin--;
    size_t at = append(out, 0, span_upto(path, begin));
    struct span segment = span_from(path, begin), slash = SPAN_NONE;
    if (span_ends(segment, SPAN("/"))) {
        slash = span_from(segment, segment.len - 1);
        segment = span_upto(segment, segment.len - 1);
    }
    at = append(out, at, without_tag(segment));
    return append(out, at, slash);
}

size_t eio_untag_target(struct span target, enum eio_sid_place place, char *out)
{
    size_t mark = span_index(target, '?');
    struct span path = span_upto(target, mark);
    size_t at;
    switch (place) {
    case EIO_SID_NOWHERE:
        return append(out, 0, target);
    case EIO_SID_IN_PATH:
        at = untag_path(path, out);
        return append(out, at, span_from(target, path.len));
    case EIO_SID_IN_QUERY:
        break;
    }
    at = append(out, 0, path);
    if (mark == SIZE_MAX)
        return at;
    out[at++] = '?';
    return untag_query(span_from(target, mark + 1), out, at);
}
