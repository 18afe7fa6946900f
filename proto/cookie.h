// SPDX-License-Identifier: Apache-2.0
/*
 * Cookies as a balancer needs them (RFC 6265 §4, §5.4): find one in Cookie, change or remove one on
 * the way to the server, change the value of one in Set-Cookie. Everything else in the field stays
 * byte for byte.
 */
#ifndef LIMPET_PROTO_COOKIE_H
#define LIMPET_PROTO_COOKIE_H

#include "base/span.h"

/* The value of the first cookie with that name (case-sensitive) in a Cookie field's value; false:
 * not there. Quotes stay. */
bool cookie_find(struct span cookie_field, struct span name, struct span *value);

enum cookie_change {
    COOKIE_KEEP,
    COOKIE_REMOVE,       /* take the pair off (all pairs of that name) */
    COOKIE_STRIP_PREFIX, /* take "PREFIX~" off the value, if it is there */
};
struct cookie_edit {
    enum cookie_change change;
    struct span name;
};
/* Writes the field's value changed; returns the bytes written (0: nothing is left, leave the field
 * out). `out` has at least cookie_field.len bytes. */
size_t cookie_write(struct span cookie_field, const struct cookie_edit *edit, char *out);

/* "PREFIX~rest" → true with both parts; the prefix is 1..64 bytes of [A-Za-z0-9_.:-]. */
bool cookie_split_prefix(struct span value, struct span *prefix, struct span *rest);

/* Of a Set-Cookie field's value: the cookie's name and value (quotes stay). */
bool set_cookie_parse(struct span set_cookie, struct span *name, struct span *value);

enum set_cookie_change {
    SET_COOKIE_KEEP,
    SET_COOKIE_PREFIX, /* NAME=value → NAME=server~value */
    SET_COOKIE_REPLACE /* NAME=value → NAME=server */
};
struct set_cookie_edit {
    enum set_cookie_change change;
    struct span name;   /* which cookie */
    struct span server; /* the server's name */
};
/* Writes the value changed if it is the named cookie, else as it is; `out` has at least
 * set_cookie.len + server.len + 1 bytes. */
size_t set_cookie_write(struct span set_cookie, const struct set_cookie_edit *edit, char *out);

#endif
