// SPDX-License-Identifier: Apache-2.0
/*
 * Engine.IO bodies: the handshake, the close packet, and "Session ID unknown".
 *
 * A handshake's bytes, and what is taken off until JSON remains:
 *
 *   EIO4          0{"sid":…}
 *   EIO3 text     97:0{"sid":…}2:40
 *   EIO3 binary   \x00 \x09 \x07 \xff 0{"sid":…}        one byte per decimal digit
 *   JSONP         ___eio[7]("0{\"sid\":…}");             around one of the first two
 *   0.9           SID:60:60:…     and     io.j[0]("SID:60:60:…");
 *
 * Everything is a function of the bytes so far; EIO_PARSE_MORE says that more of them could still
 * make it one. The JSON reader takes what JSON.parse takes (and some that it does not: nested
 * values are skipped by their brackets alone), since servers in other languages order and space
 * their keys differently.
 */
#include "proto/engineio.h"

#include <string.h>

/* ---- JSON ---- */

/* `state` stays FOUND while all is well; MORE: the text ends too early; NOT: it is not JSON. */
struct json {
    const char *at, *end;
    enum eio_parse state;
};

/* The next byte, not taken; 0 at the end (which then ends the reading). */
static char json_peek(struct json *json)
{
    if (json->state == EIO_PARSE_FOUND && json->at == json->end)
        json->state = EIO_PARSE_MORE;
    return json->state == EIO_PARSE_FOUND ? *json->at : 0;
}

static bool json_ok(const struct json *json)
{
    return json->state == EIO_PARSE_FOUND;
}

static char json_peek_solid(struct json *json)
{
    char c = json_peek(json);
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        json->at++;
        c = json_peek(json);
    }
    return c;
}

static bool json_take(struct json *json, char wanted)
{
    char c = json_peek_solid(json);
    if (json_ok(json) && c != wanted)
        json->state = EIO_PARSE_NOT;
    if (!json_ok(json))
        return false;
    json->at++;
    return true;
}

struct text {
    char *out;
    size_t size, len;
    bool overflow;
};

static void text_add(struct text *text, char c)
{
    if (text->len < text->size)
        text->out[text->len++] = c;
    else
        text->overflow = true;
}

static void text_add_utf8(struct text *text, uint32_t code)
{
    if (code < 0x80) {
        text_add(text, (char)code);
        return;
    }
    if (code < 0x800) {
        text_add(text, (char)(0xc0 | code >> 6));
    } else {
        if (code < 0x10000) {
            text_add(text, (char)(0xe0 | code >> 12));
        } else {
            text_add(text, (char)(0xf0 | code >> 18));
            text_add(text, (char)(0x80 | (code >> 12 & 0x3f)));
        }
        text_add(text, (char)(0x80 | (code >> 6 & 0x3f)));
    }
    text_add(text, (char)(0x80 | (code & 0x3f)));
}

/* XXXX behind "\u". */
static uint32_t json_hex4(struct json *json)
{
    uint64_t code = 0;
    if (json->end - json->at < 4)
        json->state = EIO_PARSE_MORE;
    else if (!span_hex_to_u64(span_of(json->at, 4), &code))
        json->state = EIO_PARSE_NOT;
    else
        json->at += 4;
    return (uint32_t)code;
}

/* Behind "\u": one code point, of two escapes when they are a surrogate pair. */
static uint32_t json_unicode(struct json *json)
{
    uint32_t high = json_hex4(json);
    if (!json_ok(json) || high < 0xd800 || high > 0xdfff)
        return high;
    if (json->end - json->at < 6) {
        json->state = EIO_PARSE_MORE;
        return 0;
    }
    if (high > 0xdbff || json->at[0] != '\\' || json->at[1] != 'u')
        return 0xfffd;
    const char *back = json->at;
    json->at += 2;
    uint32_t low = json_hex4(json);
    if (!json_ok(json) || (low >= 0xdc00 && low <= 0xdfff))
        return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    json->at = back;
    return 0xfffd;
}

/* Behind a backslash. */
static void json_escape(struct json *json, struct text *text)
{
    char c = json_peek(json);
    if (!json_ok(json))
        return;
    json->at++;
    switch (c) {
    case 'b':
        text_add(text, '\b');
        break;
    case 'f':
        text_add(text, '\f');
        break;
    case 'n':
        text_add(text, '\n');
        break;
    case 'r':
        text_add(text, '\r');
        break;
    case 't':
        text_add(text, '\t');
        break;
    case 'u': {
        uint32_t code = json_unicode(json);
        if (json_ok(json))
            text_add_utf8(text, code);
        break;
    }
    default: // of characters, not of an enum: '"', '\\', '/' stand for themselves
        text_add(text, c);
    }
}

/* A string literal; what was read before the text ended stays in `text`. */
static bool json_string(struct json *json, struct text *text)
{
    if (!json_take(json, '"'))
        return false;
    for (char c = json_peek(json); json_ok(json); c = json_peek(json)) {
        json->at++;
        if (c == '"')
            return true;
        if (c == '\\')
            json_escape(json, text);
        else
            text_add(text, c);
    }
    return false;
}

/* A number's whole part, at most 10^12; -1 for any other value. What is left of it is json_skip's.
 */
static int64_t json_number(struct json *json)
{
    const int64_t max = INT64_C(1000000000000);
    int64_t value = -1;
    char c = json_peek_solid(json);
    for (; json_ok(json) && c >= '0' && c <= '9'; c = json_peek(json)) {
        value = (value < 0 ? 0 : value) * 10 + (c - '0');
        value = value > max ? max : value;
        json->at++;
    }
    for (; json_ok(json) && (c == '.' || (c >= '0' && c <= '9')); c = json_peek(json))
        json->at++;
    return c == 'e' || c == 'E' ? -1 : value;
}

/* What is left of a value up to the ',' or '}' that ends it. */
static void json_skip(struct json *json)
{
    unsigned depth = 0;
    for (char c = json_peek(json); json_ok(json); c = json_peek(json)) {
        struct text nowhere = {0};
        if (depth == 0 && (c == ',' || c == '}'))
            return;
        if (c == '"') {
            json_string(json, &nowhere);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth-- == 0)
            json->state = EIO_PARSE_NOT;
        json->at++;
    }
}

/* Reads one member's value if it knows the key (json_skip takes what it leaves). */
typedef void (*json_member_fn)(struct json *json, struct span key, void *context);

static enum eio_parse json_object(struct span body, json_member_fn member, void *context)
{
    struct json json = {body.ptr, body.ptr + body.len, EIO_PARSE_FOUND};
    json_take(&json, '{');
    if (json_peek_solid(&json) == '}')
        return EIO_PARSE_FOUND;
    while (json_ok(&json)) {
        char room[16];
        struct text key = {.out = room, .size = sizeof(room)};
        if (!json_string(&json, &key) || !json_take(&json, ':'))
            break;
        json_peek_solid(&json);
        member(&json, key.overflow ? SPAN_NONE : span_of(room, key.len), context);
        json_skip(&json);
        if (json_peek(&json) == '}')
            return EIO_PARSE_FOUND;
        json_take(&json, ',');
    }
    return json.state;
}

/* ---- envelopes ---- */

/* Takes `literal` off the front of *body; MORE when *body may only be too short for it. */
static enum eio_parse take_literal(struct span *body, struct span literal)
{
    if (!span_starts(literal, span_upto(*body, literal.len)))
        return EIO_PARSE_NOT;
    if (body->len < literal.len)
        return EIO_PARSE_MORE;
    *body = span_from(*body, literal.len);
    return EIO_PARSE_FOUND;
}

static size_t leading_digits(struct span s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

/*
 * NAME 7]("…");  →  *body becomes the literal's text, decoded into `text`, as far as it is there
 * and good; *whole: no more of it will come. NOT: no such script, *body stays.
 */
static enum eio_parse open_script(struct span *body, struct span name, struct text *text,
                                  bool *whole)
{
    struct span rest = *body;
    enum eio_parse taken = take_literal(&rest, name);
    if (taken != EIO_PARSE_FOUND)
        return taken;
    rest = span_from(rest, leading_digits(rest));
    taken = take_literal(&rest, SPAN("]("));
    if (taken == EIO_PARSE_MORE)
        return taken;
    struct json json = {rest.ptr, rest.ptr + rest.len, taken};
    json_string(&json, text);
    *whole = json.state != EIO_PARSE_MORE;
    *body = span_of(text->out, text->len);
    return EIO_PARSE_FOUND;
}

/* Takes EIO3's length off, if there is one, and says where it was. */
static enum eio_parse open_packet(struct span *body, struct eio_handshake *out)
{
    if (body->len > 0 && body->ptr[0] == '\0') {
        size_t end = span_index(*body, '\xff');
        if (end == SIZE_MAX)
            return body->len <= EIO_LENGTH_DIGITS_MAX + 1 ? EIO_PARSE_MORE : EIO_PARSE_NOT;
        *body = span_from(*body, end + 1);
        out->length_binary = true;
        out->length_at = 1;
        out->length_len = (uint16_t)(end - 1);
        return end <= EIO_LENGTH_DIGITS_MAX + 1 ? EIO_PARSE_FOUND : EIO_PARSE_NOT;
    }
    size_t digits = leading_digits(*body);
    if (digits > EIO_LENGTH_DIGITS_MAX)
        return EIO_PARSE_NOT;
    if (digits == body->len)
        return EIO_PARSE_MORE;
    if (digits > 0 && body->ptr[digits] == ':') {
        *body = span_from(*body, digits + 1);
        out->length_len = (uint16_t)digits;
    }
    return EIO_PARSE_FOUND;
}

/* ---- handshakes ---- */

struct handshake_reader {
    struct eio_handshake *out;
    const char *body; /* what sid_at counts from */
    bool too_long;
};

static void handshake_member(struct json *json, struct span key, void *context)
{
    struct handshake_reader *reader = context;
    if (span_eq(key, SPAN("sid"))) {
        struct text sid = {.out = reader->out->sid, .size = EIO_SID_MAX};
        reader->out->sid_at = (uint16_t)(json->at + 1 - reader->body);
        json_string(json, &sid);
        reader->out->sid_len = (uint16_t)sid.len;
        reader->too_long = sid.overflow;
    } else if (span_eq(key, SPAN("pingInterval"))) {
        reader->out->ping_interval_ms = json_number(json);
    } else if (span_eq(key, SPAN("pingTimeout"))) {
        reader->out->ping_timeout_ms = json_number(json);
    }
}

static enum eio_parse parse_open_packet(struct span body, struct eio_handshake *out)
{
    struct handshake_reader reader = {.out = out, .body = body.ptr};
    enum eio_parse state = open_packet(&body, out);
    if (state == EIO_PARSE_FOUND)
        state = take_literal(&body, SPAN("0"));
    if (state == EIO_PARSE_FOUND)
        state = json_object(body, handshake_member, &reader);
    if (state == EIO_PARSE_FOUND && (out->sid_len == 0 || reader.too_long))
        return EIO_PARSE_NOT;
    return state;
}

/* "60:" → 60000; ":" → -1. */
static enum eio_parse take_seconds(struct span *body, int64_t *ms)
{
    enum { DIGITS_MAX = 9 };
    uint64_t seconds = 0;
    size_t digits = leading_digits(*body);
    if (digits > DIGITS_MAX)
        return EIO_PARSE_NOT;
    if (digits == body->len)
        return EIO_PARSE_MORE;
    if (body->ptr[digits] != ':')
        return EIO_PARSE_NOT;
    *ms = span_to_u64(span_upto(*body, digits), &seconds) ? (int64_t)seconds * 1000 : -1;
    *body = span_from(*body, digits + 1);
    return EIO_PARSE_FOUND;
}

/* SID:HEARTBEAT:CLOSE:TRANSPORTS */
static enum eio_parse parse_legacy(struct span body, struct eio_handshake *out)
{
    size_t colon = span_index(body, ':');
    if (colon == SIZE_MAX)
        return body.len <= EIO_SID_MAX ? EIO_PARSE_MORE : EIO_PARSE_NOT;
    if (colon == 0 || colon > EIO_SID_MAX)
        return EIO_PARSE_NOT;
    for (size_t i = 0; i < colon; i++) {
        if ((unsigned char)body.ptr[i] <= ' ')
            return EIO_PARSE_NOT;
    }
    memcpy(out->sid, body.ptr, colon);
    out->sid_len = (uint16_t)colon;
    struct span rest = span_from(body, colon + 1);
    enum eio_parse state = take_seconds(&rest, &out->ping_interval_ms);
    return state == EIO_PARSE_FOUND ? take_seconds(&rest, &out->ping_timeout_ms) : state;
}

/* Where the literal of a script that was opened has its byte `index` (decoded): in the script. */
static size_t place_in_script(struct span script, size_t index)
{
    char again[EIO_HANDSHAKE_MAX];
    struct text text = {.out = again, .size = sizeof(again)};
    size_t quote = span_index(script, '"');
    struct json json = {script.ptr + quote + 1, script.ptr + script.len, EIO_PARSE_FOUND};
    while (text.len < index) {
        char c = json_peek(&json);
        if (!json_ok(&json))
            break;
        json.at++;
        if (c == '\\')
            json_escape(&json, &text);
        else
            text_add(&text, c);
    }
    return (size_t)(json.at - script.ptr);
}

/* Places in the literal's text become places in the script that it stands in. */
static void place_handshake(struct span script, struct eio_handshake *out)
{
    size_t length_end = place_in_script(script, (size_t)out->length_at + out->length_len);
    out->length_at = (uint16_t)place_in_script(script, out->length_at);
    out->sid_at = (uint16_t)place_in_script(script, out->sid_at);
    out->placed = length_end - out->length_at == out->length_len;
}

enum eio_parse eio_parse_handshake(struct span body, bool legacy, struct eio_handshake *out)
{
    char literal[EIO_HANDSHAKE_MAX];
    struct text text = {.out = literal, .size = sizeof(literal)};
    struct span name = legacy ? SPAN("io.j[") : SPAN("___eio[");
    bool whole = false;
    out->sid_len = out->sid_at = out->length_at = out->length_len = 0;
    out->placed = out->length_binary = false;
    out->ping_interval_ms = out->ping_timeout_ms = -1;
    bool last_chance = body.len >= EIO_HANDSHAKE_MAX;
    struct span outside = body = span_upto(body, EIO_HANDSHAKE_MAX);
    enum eio_parse opened = open_script(&body, name, &text, &whole), state = opened;
    if (opened != EIO_PARSE_MORE)
        state = legacy ? parse_legacy(body, out) : parse_open_packet(body, out);
    out->placed = state == EIO_PARSE_FOUND;
    if (out->placed && opened == EIO_PARSE_FOUND)
        place_handshake(outside, out);
    return state == EIO_PARSE_MORE && (whole || last_chance) ? EIO_PARSE_NOT : state;
}

/* ---- other bodies ---- */

bool eio_is_close(struct span body, uint8_t protocol)
{
    if (protocol == 4)
        return span_eq(body, SPAN("1")) || span_eq(body, SPAN("d=1"));
    if (protocol == 3)
        return span_eq(body, SPAN("1:1")) || span_eq(body, SPAN("\0\1\3771")) ||
               span_eq(body, SPAN("d=1%3A1")) || span_eq(body, SPAN("d=1:1"));
    return span_eq(body, SPAN("0::"));
}

struct error_reader {
    int64_t code;
    bool unknown_sid;
};

static void error_member(struct json *json, struct span key, void *context)
{
    struct error_reader *reader = context;
    if (span_eq(key, SPAN("code"))) {
        reader->code = json_number(json);
    } else if (span_eq(key, SPAN("message"))) {
        char room[32];
        struct text message = {.out = room, .size = sizeof(room)};
        json_string(json, &message);
        reader->unknown_sid = !message.overflow &&
                              span_eq(span_of(room, message.len), SPAN("Session ID unknown"));
    }
}

bool eio_is_unknown_sid(struct span body)
{
    char room[64];
    struct text text = {.out = room, .size = sizeof(room)};
    bool whole = false;
    struct error_reader reader = {.code = -1};
    if (body.len == 0)
        return false;
    if (span_eq(body, SPAN("Session ID unknown"))) // what a refused upgrade gets
        return true;
    open_script(&body, SPAN("io.j["), &text, &whole);
    if (span_eq(body, SPAN("7:::1+0")))
        return true;
    return json_object(body, error_member, &reader) == EIO_PARSE_FOUND && reader.code == 1 &&
           reader.unknown_sid;
}
