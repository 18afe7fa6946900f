// SPDX-License-Identifier: Apache-2.0
/* Redis' protocol: what is read, what is refused before hiredis sees it, and how commands look. */
#include "base/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct resp *read_one(const char *text)
{
    struct resp_reader *reader = resp_reader_new();
    struct resp *reply = NULL, *more = NULL;
    assert_true(resp_reader_feed(reader, span_str(text)));
    assert_int_equal(resp_reader_next(reader, &reply), RESP_WHOLE);
    assert_int_equal(resp_reader_next(reader, &more), RESP_MORE);
    resp_reader_free(reader);
    return reply;
}

static void test_a_role(void **state)
{
    (void)state;
    struct resp *role = read_one(
        "*3\r\n$6\r\nmaster\r\n:77\r\n*2\r\n*3\r\n$1\r\na\r\n$4\r\n7302\r\n$"
        "1\r\n0\r\n*0\r\n");
    assert_int_equal(role->type, RESP_ARRAY);
    assert_true(span_eq(resp_text(role, 0), SPAN("master")));
    assert_int_equal(role->items[1]->integer, 77);
    assert_true(span_eq(resp_text(role->items[2]->items[0], 1), SPAN("7302")));
    assert_int_equal(role->items[2]->items[1]->count, 0);
    assert_int_equal(resp_text(role, 9).len, 0);
    assert_int_equal(resp_text(NULL, 0).len, 0);
    resp_free(role);
}

static void test_fields_by_name(void **state)
{
    (void)state;
    struct resp *list = read_one(
        "*5\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$1\r\n7\r\n$3\r\nodd\r\n");
    assert_true(span_eq(resp_field(list, "config-epoch"), SPAN("7")));
    assert_int_equal(resp_field(list, "odd").len, 0);
    assert_int_equal(resp_field(list, "none").len, 0);
    assert_int_equal(resp_field(NULL, "none").len, 0);
    resp_free(list);
}

static void test_kinds(void **state)
{
    (void)state;
    struct resp_reader *reader = resp_reader_new();
    static const enum resp_type kinds[] = {RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_NIL,
                                           RESP_NIL,    RESP_BULK,  RESP_ARRAY};
    assert_true(
        resp_reader_feed(reader, SPAN("+OK\r\n-ERR no\r\n:-5\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n")));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct resp *reply = NULL;
        assert_int_equal(resp_reader_next(reader, &reply), RESP_WHOLE);
        assert_int_equal(reply->type, kinds[i]);
        resp_free(reply);
    }
    resp_reader_free(reader);
}

static void expect_refused(const char *text, const char *error)
{
    struct resp_reader *reader = resp_reader_new();
    struct resp *reply = NULL;
    assert_false(resp_reader_feed(reader, span_str(text)));
    if (!strstr(resp_reader_error(reader), error))
        fail_msg("%s: %s", text, resp_reader_error(reader));
    assert_int_equal(resp_reader_next(reader, &reply), RESP_BROKEN);
    assert_false(resp_reader_feed(reader, SPAN("+OK\r\n")));
    resp_reader_free(reader);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    expect_refused("*2000000000\r\n", "too many elements");
    expect_refused("*4097\r\n", "too many elements");
    expect_refused("$2000000000\r\n", "too long a string");
    expect_refused("$99999999999999999999\r\n", "too long a string");
    expect_refused("$999999999999999999999999\r\n", "too long a line");
    expect_refused("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "nested");
    expect_refused("HTTP/1.1 200 OK\r\n", "not Redis' protocol");
    expect_refused("%1\r\n", "not Redis' protocol");
    expect_refused("$3\r\nabcd\r\n", "longer than it says");
    expect_refused("$3\r\nabc\rx", "longer than it says");
    expect_refused("+a\nb\r\n", "bare LF");
    expect_refused("+a\rb\r\n", "bare CR");
    expect_refused("$\r\n", "bad length");
    expect_refused("$-\r\n", "bad length");
    expect_refused("$-2\r\n", "bad length");
    expect_refused("*-7\r\n", "bad length");
    expect_refused("*+1\r\n", "bad number");
    expect_refused(":1x\r\n", "bad number");
}

static void test_a_reply_is_bounded_as_a_whole(void **state)
{
    (void)state;
    struct resp_reader *reader = resp_reader_new();
    struct resp *reply = NULL;
    char *block = malloc(RESP_BULK_MAX);
    bool good = resp_reader_feed(reader, SPAN("*10\r\n"));
    memset(block, 'x', RESP_BULK_MAX);
    for (int i = 0; i < 5 && good; i++)
        good = resp_reader_feed(reader, SPAN("$524288\r\n")) &&
               resp_reader_feed(reader, span_of(block, RESP_BULK_MAX)) &&
               resp_reader_feed(reader, SPAN("\r\n"));
    assert_false(good);
    assert_non_null(strstr(resp_reader_error(reader), "too long a reply"));
    assert_int_equal(resp_reader_next(reader, &reply), RESP_BROKEN);
    free(block);
    resp_reader_free(reader);
}

static void test_whole_replies_before_a_broken_one_count(void **state)
{
    (void)state;
    struct resp_reader *reader = resp_reader_new();
    struct resp *reply = NULL;
    assert_false(resp_reader_feed(reader, SPAN("+OK\r\nnonsense")));
    assert_int_equal(resp_reader_next(reader, &reply), RESP_WHOLE);
    resp_free(reply);
    assert_int_equal(resp_reader_next(reader, &reply), RESP_BROKEN);
    resp_reader_free(reader);
}

static void test_commands(void **state)
{
    (void)state;
    struct text out = {0};
    struct span words[] = {SPAN("PUBLISH"), SPAN("a b"), SPAN_NONE};
    assert_true(resp_format(&out, 3, words));
    assert_true(span_eq(span_of(out.data, out.len),
                        SPAN("*3\r\n$7\r\nPUBLISH\r\n$3\r\na b\r\n$0\r\n\r\n")));
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_role),
        cmocka_unit_test(test_fields_by_name),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_reply_is_bounded_as_a_whole),
        cmocka_unit_test(test_whole_replies_before_a_broken_one_count),
        cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
