// SPDX-License-Identifier: Apache-2.0
/*
 * The strict scan: says of a raw HTTP/1.x head whether every byte of it is where the grammar allows it
 * (RFC 9112 §2–§5), before any parser gives the bytes a meaning: CRLF only, no bare CR or LF, no obs-fold,
 * tokens as names, no white space before the colon, no control characters, visible ASCII targets, HTTP/1.0 or 1.1.
 * Table driven; knows lines and characters, not fields' meanings (that is head.c).
 */
#ifndef LIMPET_PROTO_SCAN_H
#define LIMPET_PROTO_SCAN_H

#include "base/span.h"

/* Position behind the empty line (CRLF CRLF) that ends the head, searching from *seen on; 0: not there yet (*seen moves on). */
size_t scan_head_end(struct span bytes, size_t *seen);

struct scan_line {
    uint32_t name_at, name_len, value_at, value_len; /* value trimmed of SP and HTAB */
};

/* Calls out of head.c only. Fills at most `max` field lines. NULL: fine; else a phrase, with *at the offset. */
const char *scan_fields(struct span head, size_t from, struct scan_line *lines, size_t max, size_t *count, size_t *at);

bool scan_is_token(struct span s);   /* RFC 9110 §5.6.2, at least one byte */
bool scan_is_host(struct span s);    /* uri-host [":" port], RFC 9110 §7.2, no comma, no userinfo */
bool scan_is_target(struct span s);  /* visible ASCII, no '#' */

#endif
