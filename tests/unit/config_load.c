// SPDX-License-Identifier: Apache-2.0
/* The limits of the YAML reader, and what it makes of texts that no editor writes. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOOD                                                                                       \
    "frontends: {main: {listen: \":8080\", backend: chat}}\n"                                      \
    "backends: {chat: {servers: [\"127.0.0.1:1\"]}}\n"

struct text {
    char *bytes;
    size_t len;
    FILE *out;
};

static void text_init(struct text *text)
{
    text->out = open_memstream(&text->bytes, &text->len);
}

static void expect(struct span text, int line, int column, const char *message)
{
    struct problems problems;
    struct config *config = config_load_text("test", text, &problems);
    assert_null(config);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.list[0].message, message);
    assert_int_equal(problems.list[0].line, line);
    assert_int_equal(problems.list[0].column, column);
    problems_free(&problems);
}

static void expect_good(struct span text)
{
    struct problems problems;
    struct config *config = config_load_text("test", text, &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    assert_non_null(config);
    assert_int_equal(problems.count, 0);
    config_free(config);
    problems_free(&problems);
}

static void expect_text(struct text *text, int line, int column, const char *message)
{
    fclose(text->out);
    expect(span_of(text->bytes, text->len), line, column, message);
    free(text->bytes);
}

static void test_broken_utf8_has_a_position(void **state)
{
    (void)state;
    expect(SPAN(GOOD "x-a: \xc3\xa4\xff\n"), 3, 7, "invalid UTF-8 (0xff)");
    expect(SPAN("a: \xc3"), 1, 4, "invalid UTF-8");
    expect(SPAN(GOOD "x-a: \"\x01\"\n"), 3, 7, "control characters are not allowed (0x01)");
}

static void test_marks_and_line_ends(void **state)
{
    (void)state;
    expect_good(SPAN("\xef\xbb\xbf" GOOD));
    expect_good(SPAN("---\n" GOOD "...\n"));
    expect(SPAN("\xef\xbb\xbfx: 1\r\n" GOOD), 1, 1, "unknown key 'x'");
    expect(SPAN("# \xe2\x80\xa8# \xc2\x85# \r# \r\n" GOOD "y: 1"), 7, 1, "unknown key 'y'");
}

static void test_depth(void **state)
{
    (void)state;
    for (int depth = 63; depth <= 64; depth++) {
        struct text text;
        text_init(&text);
        fputs(GOOD "x-deep: ", text.out);
        for (int i = 0; i < depth; i++)
            putc('[', text.out);
        for (int i = 0; i < depth; i++)
            putc(']', text.out);
        if (depth == 64) {
            expect_text(&text, 3, 9 + 63, "nested deeper than 64 levels");
            continue;
        }
        fclose(text.out);
        expect_good(span_of(text.bytes, text.len));
        free(text.bytes);
    }
}

static void test_a_million_brackets(void **state)
{
    (void)state;
    struct text text;
    text_init(&text);
    for (int i = 0; i < 1000000; i++)
        putc('[', text.out);
    expect_text(&text, 1, 65, "nested deeper than 64 levels");
}

static void test_size(void **state)
{
    (void)state;
    struct text text;
    text_init(&text);
    fputs(GOOD "# ", text.out);
    fflush(text.out);
    while (text.len < 1024 * 1024) {
        putc('a', text.out);
        fflush(text.out);
    }
    expect_good(span_of(text.bytes, text.len));
    putc('a', text.out);
    expect_text(&text, 0, 0, "the file is larger than 1 MiB");
}

static void test_billion_laughs(void **state)
{
    (void)state;
    struct text text;
    text_init(&text);
    fputs("x-a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", text.out);
    for (int i = 1; i < 30; i++) {
        fprintf(text.out, "x-a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            fprintf(text.out, "%s*a%d", j > 0 ? ", " : "", i - 1);
        fputs("]\n", text.out);
    }
    expect_text(&text, 5, 47, "aliases expand to too much");
}

static void test_too_many_anchors(void **state)
{
    (void)state;
    struct text text;
    text_init(&text);
    for (int i = 0; i <= 1000; i++)
        fprintf(text.out, "x-%d: &a%d 1\n", i, i);
    expect_text(&text, 1001, 9, "too many anchors (1000 at most)");
}

static void test_many_problems_are_bounded(void **state)
{
    (void)state;
    struct text text;
    struct problems problems;
    text_init(&text);
    fputs(GOOD, text.out);
    for (int i = 0; i < 20000; i++)
        fprintf(text.out, "mistake%d: 1\n", i);
    fclose(text.out);
    assert_null(config_load_text("test", span_of(text.bytes, text.len), &problems));
    assert_int_equal(problems.count, 100);
    assert_string_equal(problems.list[99].message,
                        "unknown key 'mistake99' (and 19900 more problems)");
    problems_free(&problems);
    free(text.bytes);
}

static void test_merges(void **state)
{
    (void)state;
    struct problems problems;
    struct span text = SPAN("x-a: &a {retries: 1, balance: random}\n"
                            "x-b: &b {<<: *a, retries: 3, slow_start: 1s}\n"
                            "frontends: {main: {listen: \":8080\", backend: one}}\n"
                            "backends:\n"
                            "  one: {servers: &s [\"127.0.0.1:1\"], <<: *b, retries: 4}\n"
                            "  two: {<<: [*b, *a], servers: *s}\n"
                            "  three: {<<: {retries: 5}, servers: *s, \"x-<<\": 1}\n");
    struct config *config = config_load_text("test", text, &problems);
    assert_non_null(config);
    assert_int_equal(config->backends[0].opt.retries, 4);
    assert_int_equal(config->backends[0].opt.balance, BALANCE_RANDOM);
    assert_int_equal(config->backends[0].opt.slow_start_ms, 1000);
    assert_int_equal(config->backends[1].opt.retries, 3);
    assert_int_equal(config->backends[2].opt.retries, 5);
    config_free(config);
    problems_free(&problems);
}

#define TWO_OF_ONE_TAG(mode)                                                                       \
    SPAN("frontends: {main: {listen: \":8080\", backend: chat}}\n"                                 \
         "backends:\n"                                                                             \
         "  chat:\n"                                                                               \
         "    sid: {mode: " mode "}\n"                                                             \
         "    servers:\n"                                                                          \
         "      app332800: 127.0.0.1:1\n"                                                          \
         "      app2: 127.0.0.1:2\n"                                                               \
         "      app1743200: 127.0.0.1:3\n")

static void test_servers_of_one_tag(void **state)
{
    (void)state;
    expect(
        TWO_OF_ONE_TAG("tag"), 8, 7,
        "with 'sid.mode: tag', server 'app1743200' would have the same tag as 'app332800'; rename "
        "one of them");
    expect_good(TWO_OF_ONE_TAG("prefix"));
}

static void test_unreadable_files(void **state)
{
    (void)state;
    struct problems problems;
    assert_null(config_load_file("/nonexistent/limpet.yaml", &problems));
    assert_string_equal(problems.list[0].message, "cannot be read: No such file or directory");
    problems_free(&problems);
    assert_null(config_load_file("/", &problems));
    assert_string_equal(problems.list[0].message, "cannot be read: Is a directory");
    problems_free(&problems);
}

static char *shown(struct span text, bool json)
{
    char *out = NULL;
    size_t len = 0;
    struct problems problems;
    FILE *file = open_memstream(&out, &len);
    config_free(config_load_text("f.yaml", text, &problems));
    problems_print(&problems, "f.yaml", json, file);
    problems_free(&problems);
    fclose(file);
    return out;
}

static void test_problems_are_shown(void **state)
{
    (void)state;
    char *text = shown(SPAN("{\t\"x\": 1\x7f\xff\n"), false);
    assert_string_equal(text, "f.yaml:1:9: error: control characters are not allowed (0x7f)\n"
                              "    1 | {\t\"x\": 1??\n      |  \t      ^\n");
    free(text);
    text = shown(SPAN(GOOD "\"\xc3\xa4\\\"\\e\":\t1\n"), false);
    assert_string_equal(text, "f.yaml:3:1: error: unknown key '\xc3\xa4\"?'\n"
                              "    3 | \"\xc3\xa4\\\"\\e\":\t1\n      | ^\n");
    free(text);
    text = shown(SPAN("x-\xc3\xa4: {\ty\xc3\xa4: 1,\tx: *z}\n"), false);
    assert_string_equal(text, "f.yaml:1:18: error: no anchor '&z' before this\n"
                              "    1 | x-\xc3\xa4: {\ty\xc3\xa4: 1,\tx: *z}\n"
                              "      |       \t      \t   ^\n");
    free(text);
    text = shown(SPAN(GOOD "\"a\\\"b\": 1\n"), true);
    assert_string_equal(text,
                        "[\n  {\"file\": \"f.yaml\", \"line\": 3, \"column\": 1, \"severity\": "
                        "\"error\", \"message\": \"unknown key 'a\\\"b'\"}\n]\n");
    free(text);
    text = shown(SPAN(GOOD), true);
    assert_string_equal(text, "[]\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_utf8_has_a_position),
        cmocka_unit_test(test_marks_and_line_ends),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_a_million_brackets),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_billion_laughs),
        cmocka_unit_test(test_too_many_anchors),
        cmocka_unit_test(test_many_problems_are_bounded),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_servers_of_one_tag),
        cmocka_unit_test(test_unreadable_files),
        cmocka_unit_test(test_problems_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
