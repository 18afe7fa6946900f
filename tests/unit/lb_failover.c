// SPDX-License-Identifier: Apache-2.0
/* What sentinel-watch says of Redis: leases, epochs, and what they hold up. */
#include "lb/admin_command.h"
#include "lb/events.h"
#include "lb/failover.h"
#include "stats_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What is due then happens. */
static void later(struct house *house, int64_t ms)
{
    house->loop.now_ms += ms;
    timer_wheel_run(house->loop.timers, house->loop.now_ms);
}

static void check(struct house *house, const char *command, const char *answer)
{
    struct admin_caller caller = {.serving = &house->serving, .level = ADMIN_LEVEL_OPERATOR};
    admin_run(&caller, span_str(command));
    text_add(&caller.answer, span_of("", 1));
    assert_string_equal(caller.answer.data, answer);
    text_free(&caller.answer);
}

static bool held(const struct house *house)
{
    return atomic_load(&house->serving.moves_held);
}

static void a_failover_holds_moves_for_its_lease(void **state)
{
    (void)state;
    struct house *house = house_new();
    check(house, "sio failover", "# master phase lease_s\n");
    check(house, "sio failover mymaster hold lease 10", "");
    assert_true(held(house));
    later(house, 8000);
    check(house, "sio failover mymaster sub lease 10", "");
    later(house, 8000);
    assert_true(held(house));
    check(house, "sio failover", "# master phase lease_s\nmymaster sub 2\n");
    later(house, 2000);
    assert_false(held(house));
    check(house, "sio failover", "# master phase lease_s\nmymaster calm 0\n");
    check(house, "sio failover other pub lease 5", "");
    check(house, "sio failover mymaster fence lease 5", "");
    assert_true(held(house));
    check(house, "sio failover other calm lease 5", "");
    assert_false(held(house));
    assert_int_equal(events_count(&house->serving), 6);
    events_fini(&house->serving);
    house_free(house);
}

static void renewing_is_no_event(void **state)
{
    (void)state;
    struct house *house = house_new();
    for (int i = 0; i < 5; i++) {
        check(house, "sio failover mymaster pub lease 2s", "");
        check(house, "sio redis sio/a stale 7 lease 2s", "");
        later(house, 1500);
    }
    assert_int_equal(events_count(&house->serving), 2);
    assert_true(held(house));
    assert_true(server_stale(house->a));
    events_fini(&house->serving);
    house_free(house);
}

static void a_stale_server_is_held_for_its_lease(void **state)
{
    (void)state;
    struct house *house = house_new();
    check(house, "sio redis sio/a stale 7 lease 10", "");
    assert_true(server_held(house->sio, house->a));
    assert_false(server_takes_sessions(house->sio, house->a));
    assert_true(server_alive(house->a));
    check(house, "sio redis", "# backend/server state epoch lease_s\nsio/a stale 7 10\n");
    later(house, 10000);
    assert_false(server_stale(house->a));
    check(house, "sio redis", "# backend/server state epoch lease_s\n");
    check(house, "sio redis sio/a stale 7 lease 10", "");
    check(house, "sio redis sio/a ready 7 lease 10", "");
    assert_false(server_stale(house->a));
    events_fini(&house->serving);
    house_free(house);
}

static void an_older_epoch_says_nothing(void **state)
{
    (void)state;
    struct house *house = house_new();
    check(house, "sio redis sio/a ready 8 lease 10", "");
    check(house, "sio redis sio/a stale 7 lease 10", "A newer epoch is known.\n");
    assert_false(server_stale(house->a));
    later(house, 10000);
    check(house, "sio redis sio/a stale 7 lease 10", "");
    assert_true(server_stale(house->a));
    events_fini(&house->serving);
    house_free(house);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"sio failover m", "A master, a phase and a lease are expected.\n"},
        {"sio failover m hold", "'lease' and for how long are expected, like 'lease 10'.\n"},
        {"sio failover m hold lease 0",
         "'lease' and for how long are expected, like 'lease 10'.\n"},
        {"sio failover m hold lease 2h", "A lease lasts one hour at most.\n"},
        {"sio failover m hold lease 1 2", "Unexpected argument '2'.\n"},
        {"sio failover m\\\"x hold lease 1", "That is no name of a Redis master.\n"},
        {"sio failover m held lease 1",
         "The phase is one of 'calm', 'hold', 'sub', 'pub', 'fence', 'cancel'.\n"},
        {"sio redis sio/a", "'ready' or 'stale' is expected.\n"},
        {"sio redis sio/a gone 7 lease 1", "'ready' or 'stale' is expected.\n"},
        {"sio redis sio/a stale x lease 1", "The epoch of a failover is expected, a number.\n"},
        {"sio redis sio/a stale 7", "'lease' and for how long are expected, like 'lease 10'.\n"},
        {"sio redis sio/none stale 7 lease 1", "No such server.\n"},
    };
    struct house *house = house_new();
    for (size_t i = 0; i < array_len(cases); i++)
        check(house, cases[i][0], cases[i][1]);
    assert_false(held(house));
    assert_int_equal(events_count(&house->serving), 0);
    house_free(house);
}

static void masters_are_bounded(void **state)
{
    (void)state;
    struct house *house = house_new();
    char command[64];
    for (int i = 0; i < FAILOVER_MASTERS_MAX; i++) {
        snprintf(command, sizeof(command), "sio failover m%d hold lease 1", i);
        check(house, command, "");
    }
    check(house, "sio failover onemore hold lease 1", "There are too many Redis masters.\n");
    check(house, "sio failover m3 hold lease 1", "");
    events_fini(&house->serving);
    house_free(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failover_holds_moves_for_its_lease),
        cmocka_unit_test(renewing_is_no_event),
        cmocka_unit_test(a_stale_server_is_held_for_its_lease),
        cmocka_unit_test(an_older_epoch_says_nothing),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(masters_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
