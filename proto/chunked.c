// SPDX-License-Identifier: Apache-2.0
/*
 * The chunked coding, read strictly (RFC 9112 §7.1).
 *
 *   ┌────────────────────────────────────────────────────────────────┐
 *   ▼                                                                │
 *   SIZE ──────────────┬─► SIZE_LF ─► DATA ─► DATA_CR ─► DATA_LF ────┘
 *    └► EXT… (dropped) ┘      └ size 0 ► TRAILER ─► NAME ─► VALUE ─► VALUE_LF ─┐
 *                                          │ ▲─────────────────────────────────┘
 *                                          └─► END_LF ─► DONE
 *
 * Data is handed out in place. Everything else goes byte by byte and is bounded: a line by
 * CHUNKED_LINE_MAX, trailers by CHUNKED_TRAILER_MAX, and what a sender adds to the least that a
 * chunk needs (extensions, leading zeros) by 10 % of the data plus CHUNKED_OVERHEAD_FREE. The least
 * itself is not counted: a stream of small events in small chunks is legal for hours. A size is
 * below 2^63, and so is the sum.
 */
#include "proto/chunked.h"

#include <string.h>

#include "proto/scan.h"

enum state {
    SIZE0,      /* the first digit */
    SIZE,       /* more of them */
    EXT,        /* white space before ';' */
    EXT_NAME0,  /* behind ';', before the name */
    EXT_NAME,   /* in it */
    EXT_NAME1,  /* white space behind it */
    EXT_VALUE0, /* behind '=' */
    EXT_VALUE,  /* in a token */
    EXT_QUOTED, /* in a quoted string */
    EXT_PAIR,   /* behind a backslash in it */
    EXT_VALUE1, /* behind the quoted string */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* first byte of a trailer line */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
    BAD,
};

enum fault {
    FAULT_NONE,
    FAULT_SIZE_LARGE,
    FAULT_NO_DIGITS,
    FAULT_SIZE,
    FAULT_EXTENSION,
    FAULT_BODY_LARGE,
    FAULT_TRAILERS_LONG,
    FAULT_TRAILER,
    FAULT_SIZE_CRLF,
    FAULT_DATA_CRLF,
    FAULT_TRAILER_CRLF,
    FAULT_END_CRLF,
    FAULT_STATE,
    FAULT_LINE_LONG,
    FAULT_OVERHEAD,
};

/* Phrases for the log; what is read keeps a byte of each. */
static const char *const phrases[] = {
    [FAULT_SIZE_LARGE] = "chunk size too large",
    [FAULT_NO_DIGITS] = "chunk size without digits",
    [FAULT_SIZE] = "bad chunk size",
    [FAULT_EXTENSION] = "bad chunk extension",
    [FAULT_BODY_LARGE] = "body too large",
    [FAULT_TRAILERS_LONG] = "trailers too long",
    [FAULT_TRAILER] = "bad trailer field",
    [FAULT_SIZE_CRLF] = "chunk size without CRLF",
    [FAULT_DATA_CRLF] = "chunk data without CRLF",
    [FAULT_TRAILER_CRLF] = "trailer field without CRLF",
    [FAULT_END_CRLF] = "end of the body without CRLF",
    [FAULT_STATE] = "internal state",
    [FAULT_LINE_LONG] = "chunk size line too long",
    [FAULT_OVERHEAD] = "too much chunk overhead",
};

const char *chunked_error(const struct chunked *chunked)
{
    return phrases[chunked->fault];
}

uint64_t chunked_announced(const struct chunked *chunked)
{
    return chunked->state == DATA ? chunked->left : 0;
}

void chunked_init(struct chunked *chunked)
{
    *chunked = (struct chunked){.state = SIZE0};
}

static enum state bad(struct chunked *chunked, enum fault fault)
{
    chunked->fault = (uint8_t)fault;
    return BAD;
}

static void overhead(struct chunked *chunked)
{
    chunked->overhead += chunked->overhead < UINT32_MAX;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static enum state in_size(struct chunked *chunked, enum state state, char c)
{
    if (scan_is(c, SCAN_HEX)) {
        if (chunked->left > (uint64_t)INT64_MAX >> 4)
            return bad(chunked, FAULT_SIZE_LARGE);
        if (state == SIZE && chunked->left == 0)
            overhead(chunked); // a leading zero
        chunked->left = chunked->left << 4 | (uint64_t)hex_value(c);
        return SIZE;
    }
    if (state == SIZE0)
        return bad(chunked, FAULT_NO_DIGITS);
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXT_NAME0;
    if (c == ' ' || c == '\t')
        return EXT;
    return bad(chunked, FAULT_SIZE);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What may follow an extension's name or value. */
static enum state behind_ext(struct chunked *chunked, char c)
{
    if (c == ';')
        return EXT_NAME0;
    if (c == '\r')
        return SIZE_LF;
    if (is_blank(c))
        return EXT;
    return bad(chunked, FAULT_EXTENSION);
}

/* *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) */
static enum state in_ext(struct chunked *chunked, enum state state, char c)
{
    bool token = scan_is(c, SCAN_TOKEN);
    overhead(chunked);
    if (state == EXT && (is_blank(c) || c == ';'))
        return c == ';' ? EXT_NAME0 : EXT;
    if (state == EXT_NAME0 && (token || is_blank(c)))
        return token ? EXT_NAME : EXT_NAME0;
    if ((state == EXT_NAME || state == EXT_NAME1) && c == '=')
        return EXT_VALUE0;
    if (state == EXT_NAME && token)
        return EXT_NAME;
    if ((state == EXT_NAME || state == EXT_NAME1) && is_blank(c))
        return EXT_NAME1;
    if (state == EXT_NAME1 && c == ';')
        return EXT_NAME0;
    if (state == EXT_NAME)
        return behind_ext(chunked, c);
    if (state == EXT_VALUE0 && (token || c == '"' || is_blank(c)))
        return token ? EXT_VALUE : c == '"' ? EXT_QUOTED : EXT_VALUE0;
    if (state == EXT_VALUE)
        return token ? EXT_VALUE : behind_ext(chunked, c);
    if (state == EXT_QUOTED && scan_is(c, SCAN_VALUE))
        return c == '"' ? EXT_VALUE1 : c == '\\' ? EXT_PAIR : EXT_QUOTED;
    if (state == EXT_PAIR && scan_is(c, SCAN_VALUE))
        return EXT_QUOTED;
    if (state == EXT_VALUE1)
        return behind_ext(chunked, c);
    return bad(chunked, FAULT_EXTENSION);
}

/* The size line is complete. */
static enum state begin_chunk(struct chunked *chunked)
{
    chunked->line = 0;
    if (chunked->left > (uint64_t)INT64_MAX - chunked->data)
        return bad(chunked, FAULT_BODY_LARGE);
    return chunked->left > 0 ? DATA : TRAILER;
}

static enum state in_trailer(struct chunked *chunked, enum state state, char c)
{
    chunked->line++;
    if (state == TRAILER && c == '\r')
        return END_LF;
    if (chunked->line > CHUNKED_TRAILER_MAX)
        return bad(chunked, FAULT_TRAILERS_LONG);
    if ((state == TRAILER || state == NAME) && scan_is(c, SCAN_TOKEN))
        return NAME;
    if (state == NAME && c == ':')
        return VALUE;
    if (state == VALUE && (scan_is(c, SCAN_VALUE) || c == '\r'))
        return c == '\r' ? VALUE_LF : VALUE;
    return bad(chunked, FAULT_TRAILER);
}

static enum state want(struct chunked *chunked, char c, char wanted, enum state next,
                       enum fault fault)
{
    return c == wanted ? next : bad(chunked, fault);
}

static enum state step(struct chunked *chunked, enum state state, char c)
{
    switch (state) {
    case SIZE0:
    case SIZE:
        return in_size(chunked, state, c);
    case EXT:
    case EXT_NAME0:
    case EXT_NAME:
    case EXT_NAME1:
    case EXT_VALUE0:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_PAIR:
    case EXT_VALUE1:
        return in_ext(chunked, state, c);
    case SIZE_LF:
        return c == '\n' ? begin_chunk(chunked) : bad(chunked, FAULT_SIZE_CRLF);
    case DATA_CR:
        return want(chunked, c, '\r', DATA_LF, FAULT_DATA_CRLF);
    case DATA_LF:
        return want(chunked, c, '\n', SIZE0, FAULT_DATA_CRLF);
    case TRAILER:
    case NAME:
    case VALUE:
        return in_trailer(chunked, state, c);
    case VALUE_LF:
        return want(chunked, c, '\n', TRAILER, FAULT_TRAILER_CRLF);
    case END_LF:
        return want(chunked, c, '\n', DONE, FAULT_END_CRLF);
    case DATA:
    case DONE:
    case BAD:
        break;
    }
    return bad(chunked, FAULT_STATE);
}

/* Bounds that hold for every byte of a size line. */
static bool within_bounds(struct chunked *chunked)
{
    if (chunked->line > CHUNKED_LINE_MAX)
        chunked->fault = FAULT_LINE_LONG;
    else if (chunked->overhead > chunked->data / 10 + CHUNKED_OVERHEAD_FREE)
        chunked->fault = FAULT_OVERHEAD;
    return chunked->fault == FAULT_NONE;
}

static struct span take_data(struct chunked *chunked, struct span in, size_t at)
{
    size_t len = in.len - at;
    if (len > chunked->left)
        len = (size_t)chunked->left;
    chunked->left -= len;
    chunked->data += len;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
    return span_of(in.ptr + at, len);
}

enum chunked_result chunked_next(struct chunked *chunked, struct span in, size_t *used,
                                 struct span *data)
{
    size_t at = 0;
    *data = SPAN_NONE;
    while (chunked->state != DONE && chunked->state != BAD && at < in.len) {
        if (chunked->state == DATA) {
            *data = take_data(chunked, in, at);
            *used = at + data->len;
            return CHUNKED_DATA;
        }
        if (chunked->state < SIZE_LF)
            chunked->line++;
        chunked->state = (uint8_t)step(chunked, (enum state)chunked->state, in.ptr[at++]);
        if (chunked->state < SIZE_LF && !within_bounds(chunked))
            chunked->state = BAD;
    }
    *used = at;
    if (chunked->state == DONE)
        return CHUNKED_DONE;
    return chunked->state == BAD ? CHUNKED_BAD : CHUNKED_MORE;
}

size_t chunked_write_head(uint64_t n, char out[static CHUNKED_HEAD_MAX])
{
    size_t digits = 1, at;
    for (uint64_t rest = n >> 4; rest > 0; rest >>= 4)
        digits++;
    for (at = digits; at > 0; n >>= 4)
        out[--at] = "0123456789abcdef"[n & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}
