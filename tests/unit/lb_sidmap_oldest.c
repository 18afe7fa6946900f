// SPDX-License-Identifier: Apache-2.0
/* The oldest sessions of a server, and their marks. */
#include "lb/sidmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIFETIME_MS = 60000, LIST_MAX = 100 };

static int64_t bind_many(struct sidmap *map, int server, int count, int64_t now_ms)
{
    char sid[32];
    // Out of order: 7919 is a prime, so that every age comes once.
    for (int i = 0; i < count; i++) {
        int n = snprintf(sid, sizeof(sid), "s%d-%d", server, i);
        int64_t age_ms = (int64_t)(i * 7919 % count) * 125;
        assert_int_equal(
            sidmap_bind(map, span_of(sid, (size_t)n), server, LIFETIME_MS, now_ms - age_ms),
            SID_BOUND);
    }
    return (int64_t)(count - 1) * 125;
}

static void the_oldest_come_first(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 10000);
    int one = sidmap_server_id(map, SPAN("one")), two = sidmap_server_id(map, SPAN("two"));
    int64_t now_ms = 1000000;
    struct sid_name list[LIST_MAX];
    int64_t oldest_ms = bind_many(map, one, 300, now_ms);
    bind_many(map, two, 300, now_ms);

    size_t count = sidmap_oldest(map, one, now_ms, list, LIST_MAX);
    assert_int_equal(count, LIST_MAX);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i].created_ms, now_ms - oldest_ms + (int64_t)i * 125);
    assert_int_equal(sidmap_oldest(map, one, now_ms, list, 0), 0);
    sidmap_free(map);
}

static void marked_ones_are_not_named_again(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    int one = sidmap_server_id(map, SPAN("one")), two = sidmap_server_id(map, SPAN("two"));
    int64_t now_ms = 1000000;
    struct sid_name list[LIST_MAX], again[LIST_MAX];
    struct sid_found found;
    struct sid_hold hold;
    bool held;
    bind_many(map, one, 10, now_ms);
    assert_true(sidmap_hold(map, SPAN("s0-0"), now_ms, &found, &hold)); // the youngest
    assert_int_equal(sidmap_oldest(map, one, now_ms, list, LIST_MAX), 10);

    assert_true(sidmap_mark_named(map, &list[0], one, &held));
    assert_false(held);
    assert_false(sidmap_mark_named(map, &list[0], one, &held)); // was marked
    assert_false(sidmap_mark_named(map, &list[1], two, &held)); // not that server's
    assert_false(sidmap_marked(map, &hold));
    assert_true(sidmap_mark_named(map, &list[9], one, &held));
    assert_true(held);
    assert_true(sidmap_marked(map, &hold));
    assert_int_equal(sidmap_oldest(map, one, now_ms, again, LIST_MAX), 8);

    assert_true(sidmap_drop(map, &hold));
    assert_false(sidmap_drop(map, &hold));
    assert_false(sidmap_mark_named(map, &list[9], one, &held)); // gone
    assert_int_equal(sidmap_sessions(map, one), 9);
    sidmap_free(map);
}

static void expired_ones_are_left_out(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    int one = sidmap_server_id(map, SPAN("one"));
    struct sid_name list[LIST_MAX];
    bind_many(map, one, 5, 1000000);
    int64_t later_ms = 1000000 + LIFETIME_MS + SIDMAP_SLACK_MS;
    assert_int_equal(sidmap_oldest(map, one, later_ms + 1, list, LIST_MAX), 0);
    sidmap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_come_first),
        cmocka_unit_test(marked_ones_are_not_named_again),
        cmocka_unit_test(expired_ones_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
