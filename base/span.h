// SPDX-License-Identifier: Apache-2.0
/*
 * A span is a view of bytes that somebody else owns: never NUL-terminated, never freed, not stored
 * past the call unless a comment says what keeps the bytes alive. Comparisons are on bytes; the
 * _nocase forms fold ASCII letters only.
 */
#ifndef LIMPET_BASE_SPAN_H
#define LIMPET_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *ptr;
    size_t len; /* bytes */
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
#define SPAN_NONE     ((struct span){NULL, 0})
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){ptr, len};
}

/* The bytes of a C string; NULL gives an empty span. */
struct span span_str(const char *string);

bool span_eq(struct span a, struct span b);
bool span_eq_nocase(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
bool span_ends_nocase(struct span s, struct span suffix);

/* The part after the first n bytes, and the first n bytes; n beyond the end gives an empty / the
 * whole span. */
struct span span_from(struct span s, size_t n);
struct span span_upto(struct span s, size_t n);

/* Without SP and HTAB at both ends. */
struct span span_trim(struct span s);

/* Position of the first such byte or substring, SIZE_MAX when there is none. */
size_t span_index(struct span s, char c);
size_t span_find(struct span s, struct span needle);

/*
 * Takes the next piece up to `separator` off the front of *rest and returns it; *rest becomes what
 * follows the separator, and {NULL, 0} after the last piece. A loop runs while rest.ptr != NULL.
 */
struct span span_cut(struct span *rest, char separator);

/* Decimal and hexadecimal digits only, at least one; false on anything else and on overflow. */
bool span_to_u64(struct span s, uint64_t *out);
bool span_hex_to_u64(struct span s, uint64_t *out);
/* All sixteen digits, lower case; no NUL. */
void span_write_hex(uint64_t value, char out[static 16]);

/*
 * Decodes %XX into out (at most `size` bytes). '+' is kept unless plus_is_space. A '%' that two hex
 * digits do not follow is kept as it is. False when it does not fit.
 */
bool span_percent_decode(struct span s, bool plus_is_space, char *out, size_t size, size_t *len);

/* A NUL-terminated copy, cut to size - 1 bytes; returns out. */
char *span_to_str(struct span s, char *out, size_t size);

#endif
