// SPDX-License-Identifier: Apache-2.0
/* Buffers and the shelf: blocks come when needed, grow, and go back. */
#include "base/buf.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct shelf *shelf;

static int set_up(void **state)
{
    (void)state;
    shelf = shelf_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shelf_free(shelf);
    return 0;
}

static struct shelf_stats stats(void)
{
    struct shelf_stats now;
    shelf_stats(shelf, &now);
    return now;
}

static void an_empty_buffer_owns_nothing(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_int_equal(buf_len(&buf), 0);
    assert_int_equal(buf_space(&buf), 0);
    assert_true(buf_append(shelf, &buf, SPAN("")));
    assert_null(buf.data);
    assert_true(buf_append(shelf, &buf, SPAN("hello")));
    assert_int_equal(stats().lent, 1);
    assert_int_equal(buf_cap(&buf), BUF_SMALL);
    buf_consume(shelf, &buf, 2);
    assert_true(span_eq(buf_bytes(&buf), SPAN("llo")));
    buf_consume(shelf, &buf, 3);
    assert_null(buf.data);
    assert_int_equal(stats().lent, 0);
    assert_int_equal(stats().kept, 1);
    buf_clear(shelf, &buf);
}

static void warm_paths_map_nothing(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 100; i++) {
        assert_true(buf_append(shelf, &buf, SPAN("request")));
        buf_consume(shelf, &buf, 7);
    }
    assert_int_equal(stats().mapped, 1);
}

static void reserve_moves_before_it_grows(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_true(buf_reserve(shelf, &buf, BUF_SMALL));
    memset(buf.data, 'a', BUF_SMALL);
    buf.end = BUF_SMALL;
    buf_consume(shelf, &buf, BUF_SMALL - 10);
    char *block = buf.data;
    assert_true(buf_reserve(shelf, &buf, 100));
    assert_ptr_equal(buf.data, block);
    assert_int_equal(buf.start, 0);
    assert_int_equal(buf_len(&buf), 10);
    assert_true(buf_reserve(shelf, &buf, BUF_SMALL));
    assert_int_equal(buf_cap(&buf), BUF_MIDDLE);
    assert_true(span_eq(buf_bytes(&buf), SPAN("aaaaaaaaaa")));
    assert_true(buf_reserve(shelf, &buf, BUF_MIDDLE));
    assert_int_equal(buf_cap(&buf), BUF_LARGE);
    assert_true(span_eq(buf_bytes(&buf), SPAN("aaaaaaaaaa")));
    assert_int_equal(stats().lent, 1);
    buf_clear(shelf, &buf);
}

static void nothing_grows_beyond_the_maximum(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_false(buf_reserve(shelf, &buf, BUF_MAX + 1));
    assert_false(buf_reserve(shelf, &buf, SIZE_MAX));
    assert_null(buf.data);
    assert_true(buf_append(shelf, &buf, SPAN("x")));
    assert_false(buf_reserve(shelf, &buf, BUF_MAX));
    assert_false(buf_reserve(shelf, &buf, SIZE_MAX));
    assert_true(span_eq(buf_bytes(&buf), SPAN("x")));
    assert_true(buf_reserve(shelf, &buf, BUF_MAX - 1));
    buf_clear(shelf, &buf);
}

static void move_copies_nothing(void **state)
{
    (void)state;
    struct buf from = {0}, to = {0};
    assert_true(buf_append(shelf, &from, SPAN("bytes")));
    char *block = from.data;
    buf_move(&to, &from);
    assert_ptr_equal(to.data, block);
    assert_true(span_eq(buf_bytes(&to), SPAN("bytes")));
    assert_null(from.data);
    assert_int_equal(buf_cap(&from), 0);
    buf_clear(shelf, &to);
}

static void a_burst_goes_back_to_the_system(void **state)
{
    (void)state;
    enum { BURST = 64 };
    struct buf bufs[BURST] = {0};
    for (int i = 0; i < BURST; i++)
        assert_true(buf_append(shelf, &bufs[i], SPAN("x")));
    for (int i = 0; i < BURST; i++)
        buf_clear(shelf, &bufs[i]);
    assert_int_equal(stats().bytes, BURST * BUF_SMALL);
    shelf_trim(shelf); // The first call only sees that all were needed.
    assert_int_equal(stats().kept, BURST);
    for (int i = 0; i < 10; i++)
        shelf_trim(shelf);
    assert_int_equal(stats().kept, 0);
    assert_int_equal(stats().bytes, 0);
}

static void what_is_in_use_is_not_trimmed(void **state)
{
    (void)state;
    struct buf bufs[8] = {0};
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < 8; i++)
            assert_true(buf_append(shelf, &bufs[i], SPAN("x")));
        for (size_t i = 0; i < 8; i++)
            buf_clear(shelf, &bufs[i]);
        shelf_trim(shelf);
    }
    assert_int_equal(stats().kept, 8);
    assert_int_equal(stats().mapped, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_buffer_owns_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(warm_paths_map_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reserve_moves_before_it_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_grows_beyond_the_maximum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(move_copies_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_burst_goes_back_to_the_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_use_is_not_trimmed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
