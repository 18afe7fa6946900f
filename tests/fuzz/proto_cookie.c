// SPDX-License-Identifier: Apache-2.0
/*
 * Cookies: the input is a cookie's name, LF, and a field value that is read as Cookie and as
 * Set-Cookie.
 *
 * Checked: nothing is written beyond the promised room; a cookie that was removed is not found; a
 * change of a cookie that is not there changes nothing; a prefix that was put before a value is
 * taken off again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of just that size, so that AddressSanitizer sees what is written beyond. */
static char *room(size_t size)
{
    char *out = malloc(size > 0 ? size : 1);
    assert(out != NULL);
    return out;
}

static void check_cookie(struct span field, struct span name)
{
    struct span value, after;
    char *out = room(field.len);
    bool found = cookie_find(field, name, &value);
    struct cookie_edit edit = {COOKIE_REMOVE, name};
    size_t len = cookie_write(field, &edit, out);
    assert(len <= field.len && !cookie_find(span_of(out, len), name, &after));
    assert(found || len == 0 || span_eq(span_of(out, len), field));

    edit.change = COOKIE_STRIP_PREFIX;
    len = cookie_write(field, &edit, out);
    assert(len <= field.len);
    assert(len == 0 || cookie_find(span_of(out, len), name, &after) == found);
    assert(found || len == 0 || span_eq(span_of(out, len), field));
    free(out);
}

static void check_set_cookie(struct span field, struct span wanted)
{
    struct span name, value, new_name, new_value, prefix, rest;
    struct set_cookie_edit edit = {SET_COOKIE_PREFIX, wanted, SPAN("app-01")};
    char *out = room(field.len + edit.server.len + 1);
    bool ours = set_cookie_parse(field, &name, &value) && span_eq(name, wanted);
    size_t len = set_cookie_write(field, &edit, out);
    assert(len == field.len + (ours ? edit.server.len + 1 : 0));
    assert(ours || span_eq(span_of(out, len), field));
    if (ours) {
        assert(set_cookie_parse(span_of(out, len), &new_name, &new_value));
        assert(span_eq(new_name, name) && cookie_split_prefix(new_value, &prefix, &rest));
        assert(span_eq(prefix, edit.server) && span_eq(rest, value));
    }
    edit.change = SET_COOKIE_REPLACE;
    len = set_cookie_write(field, &edit, out);
    if (ours) {
        assert(set_cookie_parse(span_of(out, len), &new_name, &new_value));
        assert(span_eq(new_value, edit.server));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span field = {(const char *)data, size};
    struct span name = span_cut(&field, '\n');
    check_cookie(field, name);
    check_set_cookie(field, name);
    return 0;
}
