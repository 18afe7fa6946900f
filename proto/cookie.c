// SPDX-License-Identifier: Apache-2.0
/*
 * Cookies, read as servers read them: pairs between ';', white space around names and values aside,
 * the first pair of a name counts (RFC 6265 §5.4). Quotes are part of a value and do not protect
 * ';', as in browsers.
 *
 * In prefix mode a value looks like "SERVER~value": '~' stands in no server name and in no
 * separator of cookies.
 */
#include "proto/cookie.h"

#include <string.h>

enum { PREFIX_MAX = 64 };

/* " name = value " → both without the white space around; false: there is no '='. */
static bool pair_split(struct span pair, struct span *name, struct span *value)
{
    size_t equals = span_index(pair, '=');
    if (equals == SIZE_MAX)
        return false;
    *name = span_trim(span_upto(pair, equals));
    *value = span_trim(span_from(pair, equals + 1));
    return true;
}

bool cookie_find(struct span cookie_field, struct span name, struct span *value)
{
    struct span rest = cookie_field, found;
    while (rest.ptr != NULL) {
        if (pair_split(span_cut(&rest, ';'), &found, value) && span_eq(found, name))
            return true;
    }
    *value = SPAN_NONE;
    return false;
}

static char *append(char *at, struct span s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

/* The pair as it stands, but with its value replaced by the tail `rest` of it. */
static char *append_tail(char *at, struct span pair, struct span value, struct span rest)
{
    const char *tail = rest.ptr;
    at = append(at, span_of(pair.ptr, (size_t)(value.ptr - pair.ptr)));
    return append(at, span_of(tail, (size_t)(pair.ptr + pair.len - tail)));
}

static char *write_pair(char *at, struct span pair, const struct cookie_edit *edit)
{
    struct span name, value, prefix, rest;
    if (edit->change == COOKIE_STRIP_PREFIX && pair_split(pair, &name, &value) &&
        span_eq(name, edit->name) && cookie_split_prefix(value, &prefix, &rest))
        return append_tail(at, pair, value, rest);
    return append(at, pair);
}

static bool removes(struct span pair, const struct cookie_edit *edit)
{
    struct span name, value;
    return edit->change == COOKIE_REMOVE && pair_split(pair, &name, &value) &&
           span_eq(name, edit->name);
}

static struct span trim_front(struct span s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t'))
        s = span_from(s, 1);
    return s;
}

size_t cookie_write(struct span cookie_field, const struct cookie_edit *edit, char *out)
{
    char *at = out;
    bool first = true, something = false;
    struct span rest = cookie_field;
    while (rest.ptr != NULL) {
        struct span pair = span_cut(&rest, ';');
        if (removes(pair, edit))
            continue;
        if (!first)
            *at++ = ';';
        // Behind a pair that was taken off, the white space that set this one apart from it goes as
        // well.
        else if (pair.ptr != cookie_field.ptr)
            pair = trim_front(pair);
        something = something || trim_front(pair).len > 0;
        at = write_pair(at, pair, edit);
        first = false;
    }
    return something ? (size_t)(at - out) : 0;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
}

bool cookie_split_prefix(struct span value, struct span *prefix, struct span *rest)
{
    size_t len = 0;
    while (len < value.len && len <= PREFIX_MAX && is_name_char(value.ptr[len]))
        len++;
    if (len == 0 || len > PREFIX_MAX || len == value.len || value.ptr[len] != '~')
        return false;
    *prefix = span_upto(value, len);
    *rest = span_from(value, len + 1);
    return true;
}

bool set_cookie_parse(struct span set_cookie, struct span *name, struct span *value)
{
    return pair_split(span_upto(set_cookie, span_index(set_cookie, ';')), name, value) &&
           name->len > 0;
}

size_t set_cookie_write(struct span set_cookie, const struct set_cookie_edit *edit, char *out)
{
    struct span name, value;
    if (edit->change == SET_COOKIE_KEEP || !set_cookie_parse(set_cookie, &name, &value) ||
        !span_eq(name, edit->name))
        return (size_t)(append(out, set_cookie) - out);
    const char *end = set_cookie.ptr + set_cookie.len;
    const char *tail = edit->change == SET_COOKIE_PREFIX ? value.ptr : value.ptr + value.len;
    char *at = append(out, span_of(set_cookie.ptr, (size_t)(value.ptr - set_cookie.ptr)));
    at = append(at, edit->server);
    if (edit->change == SET_COOKIE_PREFIX)
        *at++ = '~';
    at = append(at, span_of(tail, (size_t)(end - tail)));
    return (size_t)(at - out);
}
