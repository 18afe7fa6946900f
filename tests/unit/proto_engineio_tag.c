// SPDX-License-Identifier: Apache-2.0
/* Tags on sids: put into every form of a handshake, found and taken off in every way to write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "proto/engineio_tag.h"

#define BODY(text) SPAN(text)

static uint64_t tag(void)
{
    uint64_t value;
    assert_true(tag_read(SPAN("k3Q_xA"), &value));
    return value;
}

static void tags_are_short_and_stable(void **state)
{
    (void)state;
    char text[TAG_LEN];
    uint64_t value;
    tag_write(tag_of_name(SPAN("app01")), text);
    assert_true(tag_read(span_of(text, TAG_LEN), &value));
    assert_int_equal(value, tag_of_name(SPAN("app01")));
    assert_int_equal(value, tag_of_hash(hash_stable(SPAN("app01"))));
    // Other balancers, also of other versions, make the same: this may never change.
    assert_memory_equal(text, "mC0SWk", TAG_LEN);
    assert_false(tag_read(SPAN("k3Q_x"), &value));
    assert_false(tag_read(SPAN("k3Q_xAA"), &value));
    assert_false(tag_read(SPAN("k3Q.xA"), &value));
    assert_true(tag_read(SPAN("______"), &value));
    assert_int_equal(value, (UINT64_C(1) << 36) - 1);
}

static void a_tagged_sid_is_split(void **state)
{
    (void)state;
    uint64_t value;
    struct span rest;
    assert_true(eio_tag_split(SPAN("k3Q_xA~b7Lv8o"), &value, &rest));
    assert_int_equal(value, tag());
    assert_true(span_eq(rest, SPAN("b7Lv8o")));
    assert_true(eio_tag_split(SPAN("k3Q_xA~AAAAAA~x"), &value, &rest));
    assert_true(span_eq(rest, SPAN("AAAAAA~x")));
    assert_false(eio_tag_split(SPAN("k3Q_xA~"), &value, &rest));
    assert_false(eio_tag_split(SPAN("k3Q_xA.b7Lv"), &value, &rest));
    assert_false(eio_tag_split(SPAN("b7Lv8o_tjMAztqEQAAAA"), &value, &rest));
    assert_false(eio_tag_split(SPAN_NONE, &value, &rest));
}

static void a_named_sid_is_recognised(void **state)
{
    (void)state;
    assert_true(eio_sid_is_of(SPAN("app1.x"), SPAN("app1")));
    assert_true(eio_sid_is_of(SPAN("app1~x"), SPAN("app1")));
    assert_true(eio_sid_is_of(SPAN("127.0.0.1:3001~x"), SPAN("127.0.0.1:3001")));
    assert_false(eio_sid_is_of(SPAN("app1."), SPAN("app1")));
    assert_false(eio_sid_is_of(SPAN("app1"), SPAN("app1")));
    assert_false(eio_sid_is_of(SPAN("app11.x"), SPAN("app1")));
    assert_false(eio_sid_is_of(SPAN("App1.x"), SPAN("app1")));
    assert_true(eio_sid_has_name(SPAN("app9.x")));
    assert_true(eio_sid_has_name(SPAN("127.0.0.1:3001~x")));
    assert_false(eio_sid_has_name(SPAN("b7Lv8o_tjMAztqEQAAAA")));
    assert_false(eio_sid_has_name(SPAN(".x")));
    assert_false(eio_sid_has_name(SPAN("app9.")));
    assert_false(eio_sid_has_name(SPAN("a/b.c")));
    assert_false(eio_sid_has_name(SPAN_NONE));
}

/* The body with the tag in it must be `wanted`, be a handshake, and have the tagged sid. */
static void check_handshake(struct span body, bool legacy, struct span wanted)
{
    struct eio_handshake found, again;
    struct eio_tagged tagged;
    char all[2048];
    size_t len = 0;
    assert_int_equal(eio_parse_handshake(body, legacy, &found), EIO_PARSE_FOUND);
    assert_true(eio_tag_handshake(body, &found, tag(), &tagged));
    for (size_t i = 0; i < tagged.count; i++) {
        memcpy(all + len, tagged.parts[i].ptr, tagged.parts[i].len);
        len += tagged.parts[i].len;
    }
    assert_int_equal(len, tagged.len);
    assert_int_equal(len, wanted.len);
    assert_memory_equal(all, wanted.ptr, len);
    assert_int_equal(eio_parse_handshake(span_of(all, len), legacy, &again), EIO_PARSE_FOUND);
    assert_int_equal(again.sid_len, found.sid_len + EIO_TAG_ROOM);
    assert_memory_equal(again.sid, "k3Q_xA~", EIO_TAG_ROOM);
    assert_memory_equal(again.sid + EIO_TAG_ROOM, found.sid, found.sid_len);
    assert_int_equal(again.ping_interval_ms, found.ping_interval_ms);
    assert_int_equal(again.ping_timeout_ms, found.ping_timeout_ms);
}

static void every_form_of_handshake_takes_one(void **state)
{
    (void)state;
    check_handshake(BODY("0{\"sid\":\"YDgLaTTg\",\"upgrades\":[],\"pingInterval\":25000}"), false,
                    BODY("0{\"sid\":\"k3Q_xA~YDgLaTTg\",\"upgrades\":[],\"pingInterval\":25000}"));
    check_handshake(BODY("96:0{\"sid\":\"b7Lv\",\"pingTimeout\":5000}2:40"), false,
                    BODY("103:0{\"sid\":\"k3Q_xA~b7Lv\",\"pingTimeout\":5000}2:40"));
    check_handshake(BODY("\0\011\007\3770{\"sid\":\"b7Lv\"}"), false,
                    BODY("\0\001\000\004\3770{\"sid\":\"k3Q_xA~b7Lv\"}"));
    check_handshake(BODY("___eio[7](\"0{\\\"sid\\\":\\\"axRc\\\",\\\"pingInterval\\\":25000}\");"),
                    false,
                    BODY("___eio[7](\"0{\\\"sid\\\":\\\"k3Q_xA~axRc\\\",\\\"pingInterval\\\":25000}"
                         "\");"));
    // A NUL in the literal is a byte like any other.
    check_handshake(BODY("___eio[7](\"\0\3770{\\\"sid\\\":\\\"axRc\\\"}\");"), false,
                    BODY("___eio[7](\"\0\3770{\\\"sid\\\":\\\"k3Q_xA~axRc\\\"}\");"));
    check_handshake(BODY("___eio[12](\"95:0{\\\"sid\\\":\\\"axRc\\\"}2:40\");"), false,
                    BODY("___eio[12](\"102:0{\\\"sid\\\":\\\"k3Q_xA~axRc\\\"}2:40\");"));
    check_handshake(BODY("6sj-l2LB:60:60:websocket,htmlfile"), true,
                    BODY("k3Q_xA~6sj-l2LB:60:60:websocket,htmlfile"));
    check_handshake(BODY("io.j[0](\"8MjyOhvi:60:60:websocket\");"), true,
                    BODY("io.j[0](\"k3Q_xA~8MjyOhvi:60:60:websocket\");"));
}

static void so_do_odd_ones(void **state)
{
    (void)state;
    // Spaces, another order, escapes, a sid said twice (the last one counts), letters beyond ASCII.
    check_handshake(BODY("0 { \"pingInterval\" : 25000 , \"sid\" : \"ab\\\"c\" }"), false,
                    BODY("0 { \"pingInterval\" : 25000 , \"sid\" : \"k3Q_xA~ab\\\"c\" }"));
    check_handshake(BODY("0{\"x\":\"\\u00fc\\n\",\"sid\":\"\\u0041b\"}"), false,
                    BODY("0{\"x\":\"\\u00fc\\n\",\"sid\":\"k3Q_xA~\\u0041b\"}"));
    check_handshake(BODY("0{\"sid\":\"first\",\"sid\":\"last\"}"), false,
                    BODY("0{\"sid\":\"first\",\"sid\":\"k3Q_xA~last\"}"));
    check_handshake(
        BODY("___eio[0](\"0{\\\"x\\\":\\\"\\u65e5\xc3\xbc\\\\n\\\",\\\"sid\\\":\\\"a\\\"}\");"),
        false,
        BODY("___eio[0](\"0{\\\"x\\\":\\\"\\u65e5\xc3\xbc\\\\n\\\",\\\"sid\\\":"
             "\\\"k3Q_xA~a\\\"}\");"));
    check_handshake(BODY("9:0{\"sid\":\"x\"}"), false, BODY("16:0{\"sid\":\"k3Q_xA~x\"}"));
}

static void some_take_none(void **state)
{
    (void)state;
    struct eio_handshake found;
    struct eio_tagged tagged;
    char body[400];
    memset(body, 'x', sizeof(body));
    memcpy(body, "0{\"sid\":\"", 9);
    memcpy(body + 9 + EIO_TAGGED_SID_MAX, "\"}", 2);
    struct span fits = {body, 9 + EIO_TAGGED_SID_MAX + 2};
    assert_int_equal(eio_parse_handshake(fits, false, &found), EIO_PARSE_FOUND);
    assert_true(eio_tag_handshake(fits, &found, tag(), &tagged));
    memcpy(body + 9 + EIO_TAGGED_SID_MAX, "x\"}", 3);
    struct span longer = {body, fits.len + 1};
    assert_int_equal(eio_parse_handshake(longer, false, &found), EIO_PARSE_FOUND);
    assert_false(eio_tag_handshake(longer, &found, tag(), &tagged));
    // A length that was escaped in the script's literal.
    struct span escaped = SPAN("___eio[0](\"\\u0039\\u0035:0{\\\"sid\\\":\\\"axRc\\\"}\");");
    assert_int_equal(eio_parse_handshake(escaped, false, &found), EIO_PARSE_FOUND);
    assert_false(eio_tag_handshake(escaped, &found, tag(), &tagged));
    // A length that would get one digit more than is read.
    struct span most = SPAN("9999999992:0{\"sid\":\"axRc\"}"),
                more = SPAN("9999999993:0{\"sid\":\"axRc\"}");
    assert_int_equal(eio_parse_handshake(most, false, &found), EIO_PARSE_FOUND);
    assert_true(eio_tag_handshake(most, &found, tag(), &tagged));
    assert_int_equal(eio_parse_handshake(more, false, &found), EIO_PARSE_FOUND);
    assert_false(eio_tag_handshake(more, &found, tag(), &tagged));
    // Binary "digits" that are none.
    struct span odd = SPAN("\0\011\101\3770{\"sid\":\"b7Lv\"}");
    assert_int_equal(eio_parse_handshake(odd, false, &found), EIO_PARSE_FOUND);
    assert_false(eio_tag_handshake(odd, &found, tag(), &tagged));
}

static void check_target(const char *target, enum eio_sid_place place, const char *wanted)
{
    size_t room = strlen(target);
    char *out = malloc(room + 1); // exactly: what is written beyond it is found by the sanitizer
    assert_non_null(out);
    size_t len = eio_untag_target(span_str(target), place, out);
    assert_true(span_eq(span_of(out, len), span_str(wanted)));
    free(out);
}

static void tags_are_taken_off_queries(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"/s/?EIO=4&transport=polling&sid=k3Q_xA~b7Lv&t=1",
         "/s/?EIO=4&transport=polling&sid=b7Lv&t=1"},
        {"/s/?sid=k3Q_xA%7Eb7Lv", "/s/?sid=b7Lv"},
        {"/s/?sid=%6b%33%51%5F%78%41%7e%62%37", "/s/?sid=%62%37"},
        {"/s/?%73id=k3Q_xA~b&s%69%64=k3Q_xA~c&", "/s/?%73id=b&s%69%64=c&"},
        {"/s/?sid=k3Q_xA~k3Q_xA~b", "/s/?sid=k3Q_xA~b"},
        {"/s/?sid=k3Q_xA~", "/s/?sid=k3Q_xA~"},
        {"/s/?sid=b7Lv8o_tjMA", "/s/?sid=b7Lv8o_tjMA"},
        {"/s/?SID=k3Q_xA~b&xsid=k3Q_xA~b&sid2=k3Q_xA~b&sid",
         "/s/?SID=k3Q_xA~b&xsid=k3Q_xA~b&sid2=k3Q_xA~b&sid"},
        {"/s/?sid=&sid=k3Q_xA~%&&a=?sid=k3Q_xA~b", "/s/?sid=&sid=%&&a=?sid=k3Q_xA~b"},
        {"/s/?sid=k3Q_xA~%zz", "/s/?sid=%zz"},
        {"/s/?sid=k3Q+xA~b", "/s/?sid=k3Q+xA~b"},
        {"/s/k3Q_xA~b", "/s/k3Q_xA~b"},
        {"/s/?", "/s/?"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check_target(pairs[i][0], EIO_SID_IN_QUERY, pairs[i][1]);
    check_target("/s/?sid=k3Q_xA~b", EIO_SID_NOWHERE, "/s/?sid=k3Q_xA~b");
}

static void tags_are_taken_off_paths(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"/s/1/websocket/k3Q_xA~b7Lv", "/s/1/websocket/b7Lv"},
        {"/s/1/xhr-polling/k3Q_xA~b7Lv/?t=1&sid=k3Q_xA~x",
         "/s/1/xhr-polling/b7Lv/?t=1&sid=k3Q_xA~x"},
        {"/s/1/xhr-polling/k3Q_xA%7eb7Lv?disconnect=1", "/s/1/xhr-polling/b7Lv?disconnect=1"},
        {"/s/1/websocket/b7Lv/", "/s/1/websocket/b7Lv/"},
        {"k3Q_xA~b7Lv", "b7Lv"},
        {"/", "/"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check_target(pairs[i][0], EIO_SID_IN_PATH, pairs[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_short_and_stable),
        cmocka_unit_test(a_tagged_sid_is_split),
        cmocka_unit_test(a_named_sid_is_recognised),
        cmocka_unit_test(every_form_of_handshake_takes_one),
        cmocka_unit_test(so_do_odd_ones),
        cmocka_unit_test(some_take_none),
        cmocka_unit_test(tags_are_taken_off_queries),
        cmocka_unit_test(tags_are_taken_off_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
