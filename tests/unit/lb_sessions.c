// SPDX-License-Identifier: Apache-2.0
/* Which flow holds which session. */
#include "lb/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct flow *flow_number(uintptr_t n)
{
    return (struct flow *)(n * 64); // Never looked into.
}

static void sids_are_found(void **state)
{
    enum { MANY = 5000 };
    (void)state;
    struct sessions sessions;
    struct held_session *list = calloc(MANY, sizeof(*list));
    sessions_init(&sessions);
    for (uint32_t i = 0; i < MANY; i++) {
        struct sid_hold hold = {.shard = i % 64, .slot = i, .generation = i / 7, .held = true};
        sessions_add(&sessions, &list[i], flow_number(i + 1), &hold);
    }
    assert_int_equal(sessions.used, MANY);
    assert_true(sessions.bucket_count >= MANY / 2);
    for (uint32_t i = 0; i < MANY; i++) {
        struct held_session *found = sessions_next_sid(&sessions, i % 64, i, i / 7, NULL);
        while (found && found != &list[i])
            found = sessions_next_sid(&sessions, i % 64, i, i / 7, found);
        assert_non_null(found);
        assert_ptr_equal(found->flow, flow_number(i + 1));
    }
    for (uint32_t i = 0; i < MANY; i += 2)
        sessions_remove(&sessions, &list[i]);
    for (uint32_t i = 0; i < MANY; i++) {
        struct held_session *found = sessions_next_sid(&sessions, i % 64, i, i / 7, NULL);
        while (found && found != &list[i])
            found = sessions_next_sid(&sessions, i % 64, i, i / 7, found);
        assert_int_equal(found != NULL, i % 2);
    }
    assert_int_equal(sessions.used, MANY / 2);
    sessions_fini(&sessions);
    free(list);
}

/* A poll and the WebSocket that is taking over from it hold the same sid. */
static void one_sid_twice(void **state)
{
    (void)state;
    struct sessions sessions;
    struct held_session poll = {0}, tunnel = {0};
    struct sid_hold hold = {.shard = 1, .slot = 2, .generation = 3, .held = true};
    sessions_init(&sessions);
    sessions_add(&sessions, &poll, flow_number(1), &hold);
    sessions_add(&sessions, &tunnel, flow_number(2), &hold);
    struct held_session *first = sessions_next_sid(&sessions, 1, 2, 3, NULL);
    struct held_session *second = sessions_next_sid(&sessions, 1, 2, 3, first);
    assert_ptr_equal(first, &tunnel);
    assert_ptr_equal(second, &poll);
    assert_null(sessions_next_sid(&sessions, 1, 2, 3, second));
    assert_null(sessions_next_sid(&sessions, 1, 2, 4, NULL));
    sessions_remove(&sessions, &tunnel);
    sessions_remove(&sessions, &tunnel);
    assert_ptr_equal(sessions_next_sid(&sessions, 1, 2, 3, NULL), &poll);
    sessions_fini(&sessions);
}

static void loose_ones_have_numbers(void **state)
{
    (void)state;
    struct sessions sessions;
    struct held_session one = {0}, two = {0}, three = {0};
    sessions_init(&sessions);
    sessions_add(&sessions, &one, flow_number(1), NULL);
    sessions_add(&sessions, &two, flow_number(2), NULL);
    assert_int_not_equal(one.loose_id, 0);
    assert_int_not_equal(one.loose_id, two.loose_id);
    assert_ptr_equal(sessions_find_loose(&sessions, one.loose_id), &one);
    assert_ptr_equal(sessions_find_loose(&sessions, two.loose_id), &two);
    uint32_t gone = two.loose_id;
    sessions_remove(&sessions, &two);
    assert_null(sessions_find_loose(&sessions, gone));
    sessions.last_id = UINT32_MAX;
    sessions_add(&sessions, &three, flow_number(3), NULL);
    assert_int_not_equal(three.loose_id, 0);
    sessions_fini(&sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sids_are_found),
        cmocka_unit_test(one_sid_twice),
        cmocka_unit_test(loose_ones_have_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
