// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/ack: what is an answer, and what is not. */
#include "sentinel-watch/ack.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BASE "\"id\":\"m:1:7\",\"phase\":\"sub\""

static struct ack ack;

/* Parses a copy without a NUL behind it, so that reading on is seen by the sanitizer. */
static const char *parse(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    memcpy(copy, text, len);
    const char *error = ack_parse(span_of(copy, len), &ack);
    free(copy);
    return error;
}

static void reads_a_whole_answer(void **state)
{
    (void)state;
    assert_null(parse(
        " {\"id\":\"my:master:2:71\", \"phase\":\"pub\",\r\n\"connected_to\":\"127.0.0.1:6380\","
        "\"role\":\"master\",\"run_id\":\"0123456789012345678901234567890123456789\","
        "\"queued\":12}\n"));
    assert_string_equal(ack.master, "my:master");
    assert_int_equal(ack.generation, 2);
    assert_int_equal(ack.epoch, 71);
    assert_int_equal(ack.phase, PHASE_PUB);
    assert_string_equal(ack.connected_to, "127.0.0.1:6380");
    assert_string_equal(ack.role, "master");
    assert_string_equal(ack.run_id, "0123456789012345678901234567890123456789");
    assert_int_equal(ack.queued, 12);
}

static void needs_id_and_phase_only(void **state)
{
    (void)state;
    assert_null(parse("{" BASE "}"));
    assert_string_equal(ack.role, "");
    assert_string_equal(ack.run_id, "");
    assert_null(parse("{" BASE ",\"role\":null,\"connected_to\":null,\"run_id\":null}"));
    assert_non_null(parse("{\"id\":\"m:1:7\"}"));
    assert_non_null(parse("{\"phase\":\"sub\"}"));
    assert_non_null(parse("{}"));
    assert_non_null(parse("{\"id\":null,\"phase\":\"sub\"}"));
}

static void passes_over_what_it_does_not_know(void **state)
{
    (void)state;
    assert_null(parse("{\"a\":{\"id\":[1,-2.5e+3,true,false,null,{\"b\":\"\\u00e9\"}]}," BASE
                      ",\"z\":[],\"y\":{}}"));
    assert_int_equal(ack.epoch, 7);
    assert_null(parse("{" BASE ",\"a\":[[[[[[[1]]]]]]]}"));
    assert_non_null(parse("{" BASE ",\"a\":[[[[[[[[[1]]]]]]]]]}"));
}

static void decodes_escapes(void **state)
{
    (void)state;
    assert_null(parse(
        "{\"\\u0069d\":\"m\\/x:1:7\",\"phase\":\"s\\u0075b\",\"role\":\"\\ud83d\\ude00\\n\"}"));
    assert_string_equal(ack.master, "m/x");
    assert_string_equal(ack.role, "\xf0\x9f\x98\x80\n");
    assert_null(parse("{" BASE ",\"role\":\"\\u00e9\\u20ac\"}"));
    assert_string_equal(ack.role, "\xc3\xa9\xe2\x82\xac");
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "[]",
        "ok",
        "{",
        "{" BASE,
        "{" BASE ",}",
        "{" BASE "}}",
        "{" BASE "} x",
        "{,}",
        "{" BASE ",\"a\"}",
        "{" BASE ",\"a\":}",
        "{" BASE ",\"a\":tru}",
        "{" BASE ",\"a\":01}",
        "{" BASE ",\"a\":+1}",
        "{" BASE ",\"a\":1.}",
        "{" BASE ",\"a\":.5}",
        "{" BASE ",\"a\":1e}",
        "{" BASE ",\"a\":-}",
        "{" BASE ",\"a\":[1,]}",
        "{" BASE ",\"a\":[1}",
        "{" BASE ",\"a\":{\"b\"}}",
        "{" BASE ",\"a\":'b'}",
        "{" BASE ",\"a\":\"\n\"}",
        "{" BASE ",\"a\":\"\\x\"}",
        "{" BASE ",\"a\":\"\\u12g4\"}",
        "{" BASE ",\"a\":\"\\ud800\"}",
        "{" BASE ",\"a\":\"\\ud800\\u0041\"}",
        "{" BASE ",\"a\":\"\\udc00\"}",
        "{" BASE ",\"a\":\"\\u0000\"}",
        "{" BASE ",\"a\":\"",
        "{" BASE ",\"a\":\"\\",
        "{" BASE ",\"a\":\"\\u00",
        "\xef\xbb\xbf{" BASE "}",
    };
    for (size_t i = 0; i < array_len(bad); i++) {
        if (!parse(bad[i]))
            fail_msg("was taken for an answer: %s", bad[i]);
    }
}

static void refuses_members_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"id\":\"m:1\",\"phase\":\"sub\"}",
        "{\"id\":\":1:7\",\"phase\":\"sub\"}",
        "{\"id\":\"m:1:x\",\"phase\":\"sub\"}",
        "{\"id\":\"m:1:-7\",\"phase\":\"sub\"}",
        "{\"id\":\"m:1:99999999999999999999\",\"phase\":\"sub\"}",
        "{\"id\":7,\"phase\":\"sub\"}",
        "{\"id\":\"m:1:7\",\"phase\":\"calm\"}",
        "{\"id\":\"m:1:7\",\"phase\":\"SUB\"}",
        "{" BASE ",\"id\":\"m:1:7\"}",
        "{" BASE ",\"queued\":\"1\"}",
        "{" BASE ",\"queued\":-1}",
        "{" BASE ",\"queued\":1.5}",
        "{" BASE ",\"role\":1}",
        "{" BASE ",\"role\":\"much too long to be a role\"}",
        "{" BASE ",\"run_id\":\"01234567890123456789012345678901234567890\"}",
    };
    for (size_t i = 0; i < array_len(bad); i++) {
        if (!parse(bad[i]))
            fail_msg("was taken for an answer: %s", bad[i]);
    }
}

static void is_bounded(void **state)
{
    (void)state;
    char text[ACK_BYTES_MAX + 64];
    int len = snprintf(text, sizeof(text), "{" BASE ",\"a\":\"%*s\"}", ACK_BYTES_MAX - 64, "");
    assert_true(len <= ACK_BYTES_MAX);
    assert_null(parse(text));
    snprintf(text, sizeof(text), "{" BASE ",\"a\":\"%*s\"}", ACK_BYTES_MAX - 10, "");
    assert_non_null(parse(text));
    memset(text, '[', sizeof(text));
    memcpy(text, "{\"a\":", 5);
    text[ACK_BYTES_MAX] = '\0';
    assert_string_equal(parse(text), "nested too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_answer),
        cmocka_unit_test(needs_id_and_phase_only),
        cmocka_unit_test(passes_over_what_it_does_not_know),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(refuses_members_that_make_no_sense),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
