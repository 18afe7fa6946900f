// SPDX-License-Identifier: Apache-2.0
/* Cookies: found, taken off, prefixed; everything else stays byte for byte. */
#include "proto/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char out[256];

static void cookies_are_found(void **state)
{
    (void)state;
    struct span value;
    assert_true(cookie_find(SPAN("a=1; io=x; io=y"), SPAN("io"), &value));
    assert_true(span_eq(value, SPAN("x")));
    assert_true(cookie_find(SPAN("a=1;io = \"q\" ;b"), SPAN("io"), &value));
    assert_true(span_eq(value, SPAN("\"q\"")));
    assert_true(cookie_find(SPAN("io=a=b"), SPAN("io"), &value));
    assert_true(span_eq(value, SPAN("a=b")));
    assert_true(cookie_find(SPAN("io="), SPAN("io"), &value));
    assert_int_equal(value.len, 0);
    assert_false(cookie_find(SPAN("IO=x; xio=y; io; ioo=z"), SPAN("io"), &value));
    assert_false(cookie_find(SPAN_NONE, SPAN("io"), &value));
}

static void becomes(enum cookie_change change, struct span field, const char *wanted)
{
    struct cookie_edit edit = {change, SPAN("io")};
    size_t len = cookie_write(field, &edit, out);
    assert_true(len <= field.len);
    out[len] = '\0';
    assert_string_equal(out, wanted);
}

static void cookies_are_removed(void **state)
{
    (void)state;
    becomes(COOKIE_REMOVE, SPAN("a=1; io=x; b=2"), "a=1; b=2");
    becomes(COOKIE_REMOVE, SPAN("io=x; b=2;  c"), "b=2;  c");
    becomes(COOKIE_REMOVE, SPAN("io=x; io=y;b=2"), "b=2");
    becomes(COOKIE_REMOVE, SPAN("a=1;io=x"), "a=1");
    becomes(COOKIE_REMOVE, SPAN("io=x"), "");
    becomes(COOKIE_REMOVE, SPAN("io=x; io=y; "), "");
    becomes(COOKIE_REMOVE, SPAN("io; xio=1"), "io; xio=1");
    becomes(COOKIE_KEEP, SPAN("a=1 ;; io=x"), "a=1 ;; io=x");
    becomes(COOKIE_REMOVE, SPAN_NONE, "");
}

static void prefixes_are_taken_off(void **state)
{
    (void)state;
    becomes(COOKIE_STRIP_PREFIX, SPAN("a=s~1; io=s1~x~y; b=2"), "a=s~1; io=x~y; b=2");
    becomes(COOKIE_STRIP_PREFIX, SPAN("io = s1~x ;io=s1~"), "io = x ;io=");
    becomes(COOKIE_STRIP_PREFIX, SPAN("io=x"), "io=x");
    becomes(COOKIE_STRIP_PREFIX, SPAN("io=~x"), "io=~x");
    becomes(COOKIE_STRIP_PREFIX, SPAN("io=a b~x"), "io=a b~x");
}

static void prefixes_are_server_names(void **state)
{
    (void)state;
    struct span prefix, rest;
    assert_true(cookie_split_prefix(SPAN("app-01.a:3_~x"), &prefix, &rest));
    assert_true(span_eq(prefix, SPAN("app-01.a:3_")));
    assert_true(span_eq(rest, SPAN("x")));
    char name[70];
    memset(name, 'a', sizeof(name));
    name[64] = '~';
    assert_true(cookie_split_prefix(span_of(name, 65), &prefix, &rest));
    assert_int_equal(prefix.len, 64);
    name[64] = 'a';
    name[65] = '~';
    assert_false(cookie_split_prefix(span_of(name, 66), &prefix, &rest));
    assert_false(cookie_split_prefix(SPAN_NONE, &prefix, &rest));
    assert_false(cookie_split_prefix(SPAN("abc"), &prefix, &rest));
}

static void set_cookies_are_read(void **state)
{
    (void)state;
    struct span name, value;
    assert_true(set_cookie_parse(SPAN(" io = x ; Path=/; a=b"), &name, &value));
    assert_true(span_eq(name, SPAN("io")));
    assert_true(span_eq(value, SPAN("x")));
    assert_true(set_cookie_parse(SPAN("io="), &name, &value));
    assert_false(set_cookie_parse(SPAN("io; a=b"), &name, &value));
    assert_false(set_cookie_parse(SPAN("=x"), &name, &value));
    assert_false(set_cookie_parse(SPAN_NONE, &name, &value));
}

static void set_becomes(enum set_cookie_change change, struct span field, const char *wanted)
{
    struct set_cookie_edit edit = {change, SPAN("io"), SPAN("s1")};
    size_t len = set_cookie_write(field, &edit, out);
    assert_true(len <= field.len + 3);
    out[len] = '\0';
    assert_string_equal(out, wanted);
}

static void set_cookies_are_changed(void **state)
{
    (void)state;
    set_becomes(SET_COOKIE_PREFIX, SPAN("io=x; Path=/"), "io=s1~x; Path=/");
    set_becomes(SET_COOKIE_PREFIX, SPAN(" io = x ;Path=/"), " io = s1~x ;Path=/");
    set_becomes(SET_COOKIE_PREFIX, SPAN("io="), "io=s1~");
    set_becomes(SET_COOKIE_REPLACE, SPAN("io=x; Path=/"), "io=s1; Path=/");
    set_becomes(SET_COOKIE_REPLACE, SPAN("io=x"), "io=s1");
    set_becomes(SET_COOKIE_REPLACE, SPAN("IO=x; a=b"), "IO=x; a=b");
    set_becomes(SET_COOKIE_KEEP, SPAN("io=x"), "io=x");
    set_becomes(SET_COOKIE_PREFIX, SPAN_NONE, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_are_found),      cmocka_unit_test(cookies_are_removed),
        cmocka_unit_test(prefixes_are_taken_off), cmocka_unit_test(prefixes_are_server_names),
        cmocka_unit_test(set_cookies_are_read),   cmocka_unit_test(set_cookies_are_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
