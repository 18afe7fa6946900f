// SPDX-License-Identifier: Apache-2.0
/*
 * The strict scan: says of a raw HTTP/1.x head whether every byte of it is where the grammar allows
 * it (RFC 9112 §2–§5), before any parser gives the bytes a meaning: CRLF only, no bare CR or LF, no
 * obs-fold, tokens as names, no white space before the colon, no control characters, visible ASCII
 * targets, HTTP/1.0 or 1.1. Table driven; knows lines and characters, not fields' meanings (that is
 * head.c).
 */
#ifndef LIMPET_PROTO_SCAN_H
#define LIMPET_PROTO_SCAN_H

#include "base/span.h"

#include <string.h>

/* What a byte may be part of. */
enum scan_class {
    SCAN_TOKEN = 0x01,    /* tchar, RFC 9110 §5.6.2 */
    SCAN_VALUE = 0x02,    /* field value: SP, HTAB, VCHAR, obs-text */
    SCAN_TARGET = 0x04,   /* request target: visible ASCII without '#' */
    SCAN_REG_NAME = 0x08, /* reg-name of RFC 3986 §3.2.2 with '%' and without ',' */
    SCAN_HEX = 0x10,      /* HEXDIG, either case */
    SCAN_UNDERSCORE = 0x20,
    SCAN_QUERY = 0x40, /* what a query is read by: '&', '=', and the encoding's '%' and '+' */
};
extern const uint8_t scan_classes[256];

static inline bool scan_is(char c, enum scan_class class)
{
    return (scan_classes[(unsigned char)c] & class) != 0;
}

/*
 * Position behind the empty line (CRLF CRLF) that ends the head, searching from *seen on; 0: not
 * there yet (*seen moves on). A LF without CR before it ends the search as well, since nothing
 * behind it can make the head a good one: the position behind it is returned, and scan_field or the
 * start line's rules refuse what lies before.
 */
size_t scan_head_end(struct span bytes, size_t *seen);

/* Do the bytes end with an empty line? Then some head ends in them, and no scan runs past it. */
static inline bool scan_ends_empty(struct span bytes)
{
    return bytes.len >= 4 && memcmp(bytes.ptr + bytes.len - 4, "\r\n\r\n", 4) == 0;
}

/* Is there a CR that no LF follows in bytes[from..]? A CR as the last byte is not one yet. */
bool scan_bare_cr(struct span bytes, size_t from);

struct scan_line {
    uint32_t name_at, name_len, value_at, value_len; /* value trimmed of SP and HTAB */
    bool underscore;                                 /* there is one in the name */
    bool plain; /* the line is "name: value" CRLF with nothing trimmed */
};

/*
 * Reads the field line at *at of a head that ends with LF; *at moves behind its CRLF. NULL: fine;
 * else a phrase, with *at the offset of the offending byte.
 */
const char *scan_field(struct span head, size_t *at, struct scan_line *line);

/* The first byte from p on that may not stand in a target; the bytes end with LF, at `end`. */
const char *scan_target_end(const char *p, const char *end);

bool scan_is_token(struct span s); /* RFC 9110 §5.6.2, at least one byte */
bool scan_is_host(
    struct span s); /* uri-host [":" port], RFC 9110 §7.2, no comma, no userinfo, not empty */
bool scan_is_target(struct span s); /* visible ASCII, no '#', at least one byte */

#endif
