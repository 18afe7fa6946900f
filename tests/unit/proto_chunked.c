// SPDX-License-Identifier: Apache-2.0
/* The chunked coding: legal bodies in any pieces, and everything else refused. */
#include "proto/chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct result {
    enum chunked_result end;
    size_t used, len;
    char data[8192];
};

/* Feeds pieces of `step` bytes, each in memory of its own size. */
static struct result read_in(const char *text, size_t len, size_t step)
{
    static struct result result;
    struct chunked chunked;
    result = (struct result){.end = CHUNKED_MORE};
    chunked_init(&chunked);
    while (result.used < len && (result.end == CHUNKED_MORE || result.end == CHUNKED_DATA)) {
        size_t n = len - result.used < step ? len - result.used : step, used;
        char *copy = malloc(n);
        struct span data;
        assert_non_null(copy);
        memcpy(copy, text + result.used, n);
        result.end = chunked_next(&chunked, span_of(copy, n), &used, &data);
        assert_true(used <= n && used > 0);
        if (result.end == CHUNKED_DATA) {
            assert_true(result.len + data.len <= sizeof(result.data));
            memcpy(result.data + result.len, data.ptr, data.len);
            result.len += data.len;
        }
        result.used += used;
        free(copy);
    }
    assert_true((result.end == CHUNKED_BAD) == (chunked_error(&chunked) != NULL));
    return result;
}

static void good(const char *text, const char *data, size_t rest)
{
    size_t len = strlen(text);
    for (size_t step = 1; step <= len; step++) {
        struct result result = read_in(text, len, step);
        assert_int_equal(result.end, CHUNKED_DONE);
        assert_int_equal(result.used, len - rest);
        assert_int_equal(result.len, strlen(data));
        assert_memory_equal(result.data, data, result.len);
    }
}

static void bad(const char *text)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct result result = read_in(text, strlen(text), step);
        if (result.end != CHUNKED_BAD)
            fail_msg("not refused: %s", text);
    }
}

static void legal_bodies(void **state)
{
    (void)state;
    good("0\r\n\r\n", "", 0);
    good("5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5);
    good("5\r\nhello\r\n00a\r\n wide worl\r\n1\r\nd\r\n000\r\n\r\n", "hello wide world", 0);
    good("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0);
}

static void extensions_and_trailers_are_dropped(void **state)
{
    (void)state;
    good("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", 0);
    good("5 ; a = \"q;\\\" \" ;b=\"x\"\t;c=d\r\nhello\r\n0\r\n\r\n", "hello", 0);
}

static void bodies_that_are_refused(void **state)
{
    (void)state;
    bad("\r\n");
    bad(" 5\r\nhello");
    bad("5 \r\nhello");
    bad("+5\r\nhello");
    bad("0x5\r\nhello");
    bad("5\nhello");
    bad("5\rXhello");
    bad("5\r\nhelloXX0\r\n\r\n");
    bad("5\r\nhello\n0\r\n\r\n");
    bad("5\r\nhello\rX");
    bad("5;\r\nhello");
    bad("5;a\nhello");
    bad("5;a=\r\nhello");
    bad("5;a=\"b\nc\"\r\n");
    bad("5;a=b c\r\nhello");
    bad("5;a=\"b\"c\r\nhello");
    bad("5;a\x01\r\nhello");
    bad("ffffffffffffffff\r\n");
    bad("8000000000000000\r\n");
    bad("10000000000000000\r\n");
    bad("0\r\nX : y\r\n\r\n");
    bad("0\r\n: y\r\n\r\n");
    bad("0\r\nX: y\r\n folded\r\n\r\n");
    bad("0\r\nX: y\n\r\n");
    bad("0\r\nX: y\r\n\n");
    bad("0\r\nX\r\n\r\n");
    bad("0\r\n\rX");
    bad("0\n\n");
}

static void trailers(void **state)
{
    (void)state;
    good("0\r\nX: y\r\nContent-Length: 5\r\n\r\nrest", "", 4);
    good("1\r\na\r\n0\r\nX:\r\n\r\n", "a", 0);
}

static void overhead_is_bounded(void **state)
{
    (void)state;
    char *text = malloc(400000);
    assert_non_null(text);
    // A long line.
    memset(text, '0', 300);
    assert_int_equal(read_in(text, 300, 300).end, CHUNKED_BAD);
    // Many extensions of a hundred bytes.
    size_t len = 0;
    for (size_t i = 0; i < 50; i++) {
        memcpy(text + len, "1;", 2);
        memset(text + len + 2, 'x', 98);
        memcpy(text + len + 100, "\r\na\r\n", 5);
        len += 105;
    }
    assert_int_equal(read_in(text, len, len).end, CHUNKED_BAD);
    // Trailers.
    memcpy(text, "0\r\nX:", 5);
    memset(text + 5, 'y', 5000);
    assert_int_equal(read_in(text, 5005, 5005).end, CHUNKED_BAD);
    // Thousands of chunks of one byte are just that.
    len = 0;
    for (size_t i = 0; i < 8000; i++, len += 6)
        memcpy(text + len, "1\r\na\r\n", 6);
    memcpy(text + len, "0\r\n\r\n", 5);
    struct result result = read_in(text, len + 5, 1000);
    assert_int_equal(result.end, CHUNKED_DONE);
    assert_int_equal(result.len, 8000);
    free(text);
}

static void the_sum_of_sizes_is_bounded(void **state)
{
    (void)state;
    struct chunked chunked;
    struct span data;
    size_t used;
    chunked_init(&chunked);
    chunked.data = INT64_MAX - 4;
    assert_int_equal(chunked_next(&chunked, SPAN("5\r\n"), &used, &data), CHUNKED_BAD);
}

static void a_chunk_is_announced_by_its_whole_line(void **state)
{
    static const struct {
        const char *bytes;
        uint64_t announced;
    } steps[] = {{"3e", 0},    {"9", 0},    {";x", 0},   {"\r", 0},
                 {"\n", 1001}, {"d", 1000}, {"ata", 997}};
    struct chunked chunked;
    (void)state;
    chunked_init(&chunked);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        size_t used;
        struct span data;
        chunked_next(&chunked, span_str(steps[i].bytes), &used, &data);
        assert_int_equal(chunked_announced(&chunked), steps[i].announced);
    }
}

static void heads_are_written(void **state)
{
    (void)state;
    char out[CHUNKED_HEAD_MAX];
    assert_int_equal(chunked_write_head(1, out), 3);
    assert_memory_equal(out, "1\r\n", 3);
    assert_int_equal(chunked_write_head(0x1a0, out), 5);
    assert_memory_equal(out, "1a0\r\n", 5);
    assert_int_equal(chunked_write_head(UINT64_MAX, out), 18);
    assert_memory_equal(out, "ffffffffffffffff\r\n", 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_bodies),
        cmocka_unit_test(extensions_and_trailers_are_dropped),
        cmocka_unit_test(bodies_that_are_refused),
        cmocka_unit_test(trailers),
        cmocka_unit_test(overhead_is_bounded),
        cmocka_unit_test(the_sum_of_sizes_is_bounded),
        cmocka_unit_test(a_chunk_is_announced_by_its_whole_line),
        cmocka_unit_test(heads_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
