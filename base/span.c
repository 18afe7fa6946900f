// SPDX-License-Identifier: Apache-2.0
/*
 * Views of bytes. Everything here is a pure function of its arguments; the only memory that is
 * written is the caller's `out`. An empty span may have a NULL pointer, so no mem* function is
 * called on one.
 */
#include "base/span.h"

#include <string.h>

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool bytes_eq(const char *a, const char *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

static bool bytes_eq_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (fold(a[i]) != fold(b[i]))
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct span span_str(const char *string)
{
    return string ? span_of(string, strlen(string)) : SPAN_NONE;
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && bytes_eq(a.ptr, b.ptr, a.len);
}

bool span_eq_nocase(struct span a, struct span b)
{
    return a.len == b.len && bytes_eq_nocase(a.ptr, b.ptr, a.len);
}

bool span_starts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && bytes_eq(s.ptr, prefix.ptr, prefix.len);
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && bytes_eq_nocase(s.ptr, prefix.ptr, prefix.len);
}

bool span_ends(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_eq(span_from(s, s.len - suffix.len), suffix);
}

bool span_ends_nocase(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_eq_nocase(span_from(s, s.len - suffix.len), suffix);
}

struct span span_from(struct span s, size_t n)
{
    if (n == 0)
        return s;
    if (n > s.len)
        n = s.len;
    return span_of(s.ptr + n, s.len - n);
}

struct span span_upto(struct span s, size_t n)
{
    return span_of(s.ptr, n < s.len ? n : s.len);
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

size_t span_index(struct span s, char c)
{
    const char *found = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return found ? (size_t)(found - s.ptr) : SIZE_MAX;
}

size_t span_find(struct span s, struct span needle)
{
    if (needle.len == 0)
        return 0;
    const char *found = s.len > 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return found ? (size_t)(found - s.ptr) : SIZE_MAX;
}

struct span span_cut(struct span *rest, char separator)
{
    struct span all = *rest;
    size_t at = span_index(all, separator);
    if (at == SIZE_MAX) {
        *rest = SPAN_NONE;
        return all;
    }
    *rest = span_from(all, at + 1);
    return span_upto(all, at);
}

bool span_to_u64(struct span s, uint64_t *out)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool span_hex_to_u64(struct span s, uint64_t *out)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0 || value >> 60 != 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return true;
}

void span_write_hex(uint64_t value, char out[static 16])
{
    for (size_t i = 16; i-- > 0; value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

bool span_percent_decode(struct span s, bool plus_is_space, char *out, size_t size, size_t *len)
{
    size_t end = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%' && s.len - i > 2) {
            int high = hex_digit(s.ptr[i + 1]), low = hex_digit(s.ptr[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        if (end == size)
            return false;
        out[end++] = c;
    }
    *len = end;
    return true;
}

char *span_to_str(struct span s, char *out, size_t size)
{
    size_t len = s.len < size ? s.len : size - 1;
    if (len > 0)
        memcpy(out, s.ptr, len);
    out[len] = '\0';
    return out;
}
