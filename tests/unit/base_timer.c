// SPDX-License-Identifier: Apache-2.0
/* The timer wheel against a plain model: what is started, and when it must fire. Time is passed in.
 */
#include "base/timer.h"

#include "base/mem.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct alarm {
    struct timer timer;
    int fired;
    int64_t fired_ms;
};

static int64_t now_ms; /* what the tests take for the time */
static struct timer_wheel *wheel;

static void ring(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    alarm->fired++;
    alarm->fired_ms = now_ms;
    assert_true(timer->at_ms <= now_ms);
}

static int set_up(void **state)
{
    (void)state;
    now_ms = 1000;
    wheel = timer_wheel_new(now_ms);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    timer_wheel_free(wheel);
    return 0;
}

static void go(int64_t to_ms)
{
    now_ms = to_ms;
    timer_wheel_run(wheel, now_ms);
}

static void fires_at_its_time(void **state)
{
    (void)state;
    static const int64_t delays[] = {1, 2, 63, 64, 65, 4095, 4096, 4097, 262144, 3600000, 86400000};
    for (size_t i = 0; i < array_len(delays); i++) {
        struct alarm alarm = {0};
        timer_init(&alarm.timer, ring);
        int64_t at = now_ms + delays[i];
        timer_start(wheel, &alarm.timer, at);
        assert_true(timer_running(&alarm.timer));
        go(at - 1);
        assert_int_equal(alarm.fired, 0);
        go(at);
        assert_int_equal(alarm.fired, 1);
        assert_false(timer_running(&alarm.timer));
    }
    assert_int_equal(timer_wheel_wait_ms(wheel, now_ms), -1);
}

static void a_time_that_has_passed_fires_in_the_next_run(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_start(wheel, &alarm.timer, now_ms - 500);
    assert_int_equal(timer_wheel_wait_ms(wheel, now_ms), 0);
    go(now_ms);
    assert_int_equal(alarm.fired, 1);
}

static void a_later_start_costs_no_move_and_counts(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_start(wheel, &alarm.timer, now_ms + 60000);
    struct list *slot = alarm.timer.node.next;
    for (int64_t at = now_ms + 60001; at < now_ms + 120000; at += 997) {
        timer_start(wheel, &alarm.timer, at);
        assert_ptr_equal(alarm.timer.node.next, slot);
    }
    int64_t last = alarm.timer.at_ms;
    go(last - 1);
    assert_int_equal(alarm.fired, 0);
    go(last);
    assert_int_equal(alarm.fired, 1);
}

static void an_earlier_start_fires_earlier(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_start(wheel, &alarm.timer, now_ms + 60000);
    timer_start(wheel, &alarm.timer, now_ms + 5);
    go(now_ms + 5);
    assert_int_equal(alarm.fired, 1);
    assert_int_equal(timer_wheel_wait_ms(wheel, now_ms), -1);
}

static void a_stopped_timer_is_silent(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_stop(wheel, &alarm.timer);
    timer_start(wheel, &alarm.timer, now_ms + 10);
    timer_stop(wheel, &alarm.timer);
    assert_int_equal(timer_wheel_wait_ms(wheel, now_ms), -1);
    go(now_ms + 100);
    assert_int_equal(alarm.fired, 0);
}

static void the_wait_is_never_too_long(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_start(wheel, &alarm.timer, now_ms + 100000);
    int64_t at = now_ms + 100000;
    int waits = 0;
    while (!alarm.fired) {
        int wait = timer_wheel_wait_ms(wheel, now_ms);
        assert_true(wait >= 0 && now_ms + wait <= at);
        go(now_ms + wait);
        waits++;
    }
    assert_int_equal(now_ms, at);
    assert_true(waits <= 8);
}

static struct alarm pair[2];

static void stop_the_other(struct timer *timer)
{
    struct alarm *mine = container_of(timer, struct alarm, timer);
    mine->fired++;
    timer_stop(wheel, &pair[mine == &pair[0]].timer);
}

static void a_callback_may_stop_one_that_is_due_too(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        pair[i].fired = 0;
        timer_init(&pair[i].timer, stop_the_other);
        timer_start(wheel, &pair[i].timer, now_ms + 7);
    }
    go(now_ms + 10);
    assert_int_equal(pair[0].fired + pair[1].fired, 1);
}

static void again_at_once(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    alarm->fired++;
    timer_start(wheel, timer, now_ms);
}

static void a_timer_that_restarts_for_now_waits_for_the_next_run(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, again_at_once);
    timer_start(wheel, &alarm.timer, now_ms + 5);
    go(now_ms + 5);
    int fired = alarm.fired;
    assert_in_range(fired, 1, 2);
    go(now_ms);
    assert_int_equal(alarm.fired, fired + 1);
    timer_stop(wheel, &alarm.timer);
}

static void free_itself(struct timer *timer)
{
    free(container_of(timer, struct alarm, timer));
}

static void a_callback_may_free_its_timer(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct alarm *alarm = mem_must_alloc(sizeof(*alarm));
        timer_init(&alarm->timer, free_itself);
        timer_start(wheel, &alarm->timer, now_ms + i % 3);
    }
    go(now_ms + 5);
}

static void far_times_stay_quiet(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    timer_init(&alarm.timer, ring);
    timer_start(wheel, &alarm.timer, INT64_MAX);
    assert_true(timer_wheel_wait_ms(wheel, now_ms) > 0);
    go(now_ms + (int64_t)86400000 * 3650);
    assert_int_equal(alarm.fired, 0);
    timer_stop(wheel, &alarm.timer);
    assert_int_equal(timer_wheel_wait_ms(wheel, now_ms), -1);
}

/* Random starts, moves, stops and jumps of time; every firing is compared with the model. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    enum { COUNT = 200, STEPS = 20000 };
    static struct alarm alarms[COUNT];
    static int64_t due[COUNT]; // INT64_MAX: not running
    struct rng rng;
    rng_seed(&rng, 4711);
    for (int i = 0; i < COUNT; i++) {
        alarms[i] = (struct alarm){0};
        timer_init(&alarms[i].timer, ring);
        due[i] = INT64_MAX;
    }
    for (int step = 0; step < STEPS; step++) {
        int i = (int)rng_below(&rng, COUNT);
        uint64_t what = rng_below(&rng, 10);
        if (what == 0) {
            timer_stop(wheel, &alarms[i].timer);
            due[i] = INT64_MAX;
        } else if (what < 8) {
            due[i] = now_ms + (int64_t)rng_below(&rng, (uint64_t)1 << rng_below(&rng, 24));
            timer_start(wheel, &alarms[i].timer, due[i]);
        } else {
            int64_t earliest = INT64_MAX;
            for (int k = 0; k < COUNT; k++)
                earliest = due[k] < earliest ? due[k] : earliest;
            int wait = timer_wheel_wait_ms(wheel, now_ms);
            if (earliest == INT64_MAX)
                assert_int_equal(wait, -1);
            else
                assert_true(wait >= 0 && (now_ms + wait <= earliest || wait == 0));
            go(now_ms + (int64_t)rng_below(&rng, (uint64_t)1 << rng_below(&rng, 20)));
            for (int k = 0; k < COUNT; k++) {
                assert_int_equal(alarms[k].fired, due[k] <= now_ms);
                assert_int_equal(timer_running(&alarms[k].timer),
                                 due[k] > now_ms && due[k] < INT64_MAX);
                if (alarms[k].fired)
                    due[k] = INT64_MAX;
                alarms[k].fired = 0;
            }
        }
    }
    for (int i = 0; i < COUNT; i++)
        timer_stop(wheel, &alarms[i].timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fires_at_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_time_that_has_passed_fires_in_the_next_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_later_start_costs_no_move_and_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_earlier_start_fires_earlier, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stopped_timer_is_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_wait_is_never_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_callback_may_stop_one_that_is_due_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_timer_that_restarts_for_now_waits_for_the_next_run,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_callback_may_free_its_timer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(far_times_stay_quiet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(agrees_with_a_model, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
