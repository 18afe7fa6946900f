// SPDX-License-Identifier: Apache-2.0
/* health/passive: the sliding count of failures, the trial after it, and the floor. */
#include "health/passive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void counts_within_a_sliding_time(void **state)
{
    (void)state;
    struct passive passive;
    passive_init(&passive, 3, 1000);
    assert_false(passive_note(&passive, 0));
    assert_false(passive_note(&passive, 900));
    assert_false(passive_note(&passive, 1100)); // The first is 1100 ms old.
    assert_true(passive_note(&passive, 1900));  // 900, 1100, 1900
    assert_true(passive_note(&passive, 1901));
    assert_false(passive_note(&passive, 5000));
    passive_clear(&passive);
    assert_false(passive_note(&passive, 5001));
    assert_false(passive_note(&passive, 5002));
    assert_true(passive_note(&passive, 5003));
    passive_fini(&passive);
}

static void one_is_enough_when_one_is_asked_for(void **state)
{
    (void)state;
    struct passive passive;
    passive_init(&passive, 1, 1000);
    assert_true(passive_note(&passive, 7));
    assert_true(passive_note(&passive, 100000));
    passive_fini(&passive);
}

static void zero_is_off(void **state)
{
    (void)state;
    struct passive passive;
    passive_init(&passive, 0, 1000);
    passive_try(&passive, 0);
    for (int i = 0; i < 100; i++)
        assert_false(passive_note(&passive, i));
    passive_fini(&passive);
}

static void during_a_trial_one_is_enough(void **state)
{
    (void)state;
    struct passive passive;
    passive_init(&passive, 3, 1000);
    passive_try(&passive, 5000);
    assert_true(passive_note(&passive, 5999));
    passive_try(&passive, 10000);
    assert_false(passive_note(&passive, 11000));
    passive_try(&passive, 20000);
    passive_clear(&passive);
    assert_false(passive_note(&passive, 20001));
    passive_fini(&passive);
}

static void half_of_the_servers_stay(void **state)
{
    (void)state;
    assert_false(passive_floor_allows(1, 1));
    assert_true(passive_floor_allows(2, 2));
    assert_false(passive_floor_allows(2, 1));
    assert_true(passive_floor_allows(3, 3));
    assert_false(passive_floor_allows(3, 2));
    assert_true(passive_floor_allows(4, 3));
    assert_false(passive_floor_allows(4, 2));
    assert_false(passive_floor_allows(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_within_a_sliding_time),
        cmocka_unit_test(one_is_enough_when_one_is_asked_for),
        cmocka_unit_test(zero_is_off),
        cmocka_unit_test(during_a_trial_one_is_enough),
        cmocka_unit_test(half_of_the_servers_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
