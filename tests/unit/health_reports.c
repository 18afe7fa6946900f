// SPDX-License-Identifier: Apache-2.0
/* Reports from live traffic: with active checks they ask for one, without they decide, above a
 * floor. */
#include "health_fixture.h"

static const char ill_text[] = "HTTP/1.1 503 Ill\r\nContent-Length: 3\r\n\r\nill";

/* Four good checks each, and then none any more but those that reports ask for. */
static void start_with_rare_checks(size_t count)
{
    fixture_start(count);
    for (size_t i = 0; i < count; i++)
        run_until(status_of(i)->checks >= 4);
    backend.opt.health_interval_ms = 3600000;
    backend.opt.health_timeout_ms = 500;
    run_for(100); // Those that were due already.
}

static void refused_twice_is_down_at_once(void **state)
{
    (void)state;
    start_with_rare_checks(3);
    toy_close(&toys[1]);
    int64_t began_ms = clock_mono_ms();
    health_report(health, 1, HEALTH_EVENT_REFUSED);
    run_until(verdict_count == 1);
    assert_true(clock_mono_ms() - began_ms < 100);
    assert_int_equal(verdicts[0].server, 1);
    assert_int_equal(verdicts[0].now, HEALTH_DOWN);
    assert_string_equal(verdicts[0].why, "Connection refused");
    assert_int_equal(status_of(1)->failed_checks, 1);
}

static void every_server_can_be_refused(void **state)
{
    (void)state;
    start_with_rare_checks(3);
    for (size_t i = 0; i < 3; i++) {
        toy_close(&toys[i]);
        health_report(health, i, HEALTH_EVENT_REFUSED);
    }
    run_until(verdict_count == 3); // The floor is for weaker evidence.
}

static void a_refusal_that_the_check_does_not_see_is_forgotten(void **state)
{
    (void)state;
    start_with_rare_checks(1);
    uint64_t checks = status_of(0)->checks;
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    run_until(status_of(0)->checks == checks + 1);
    run_for(60);
    assert_int_equal(verdict_count, 0);
    assert_int_equal(status_of(0)->checks, checks + 1);
}

static void a_report_amid_a_check_asks_for_another(void **state)
{
    (void)state;
    start_with_rare_checks(2);
    uint64_t checks = status_of(0)->checks;
    int answered = toys[0].answered;
    toys[0].drip_ms = 1; // The next check takes a while.
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    run_until(toys[0].answered == answered + 1);
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    run_until(status_of(0)->checks == checks + 2);
    run_for(60);
    assert_int_equal(status_of(0)->checks, checks + 2);
    assert_int_equal(verdict_count, 0);
}

static void reports_do_not_flood_a_server_with_checks(void **state)
{
    (void)state;
    start_with_rare_checks(1);
    uint64_t checks = status_of(0)->checks;
    int64_t until_ms = clock_mono_ms() + 200;
    while (clock_mono_ms() < until_ms) {
        health_report(health, 0, HEALTH_EVENT_REFUSED);
        loop_turn(&loop, 1);
    }
    assert_in_range(status_of(0)->checks - checks, 2, 11);
}

static void max_fails_and_one_bad_check_are_down(void **state)
{
    (void)state;
    start_with_rare_checks(3);
    toys[2].text = ill_text;
    uint64_t checks = status_of(2)->checks;
    health_report(health, 2, HEALTH_EVENT_RESPONSE);
    health_report(health, 2, HEALTH_EVENT_CONNECT);
    run_for(60);
    assert_int_equal(status_of(2)->checks, checks);
    health_report(health, 2, HEALTH_EVENT_RESPONSE);
    run_until(verdict_count == 1);
    assert_int_equal(status_of(2)->failed_checks, 1);
    assert_string_equal(verdicts[0].why, "HTTP status 503");
}

static void the_last_half_is_not_taken_by_doubt(void **state)
{
    (void)state;
    start_with_rare_checks(3);
    for (size_t i = 0; i < 3; i++) {
        toys[i].text = ill_text;
        for (int n = 0; n < 3; n++)
            health_report(health, i, HEALTH_EVENT_RESPONSE);
    }
    run_until(status_of(0)->bad >= 1 && status_of(1)->bad >= 1 && status_of(2)->bad >= 1);
    assert_int_equal(verdict_count, 1);
}

static void a_good_check_clears_what_was_counted(void **state)
{
    (void)state;
    start_with_rare_checks(1);
    uint64_t checks = status_of(0)->checks;
    for (int n = 0; n < 3; n++)
        health_report(health, 0, HEALTH_EVENT_RESPONSE);
    run_until(status_of(0)->checks == checks + 1);
    health_report(health, 0, HEALTH_EVENT_RESPONSE);
    health_report(health, 0, HEALTH_EVENT_RESPONSE);
    run_for(60);
    assert_int_equal(status_of(0)->checks, checks + 1);
    assert_int_equal(verdict_count, 0);
}

static void max_fails_zero_is_off(void **state)
{
    (void)state;
    backend.opt.health_max_fails = 0;
    start_with_rare_checks(1);
    uint64_t checks = status_of(0)->checks;
    for (int n = 0; n < 50; n++)
        health_report(health, 0, HEALTH_EVENT_RESPONSE);
    run_for(60);
    assert_int_equal(status_of(0)->checks, checks);
}

static void without_checks_failures_take_a_server_down_for_a_while(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_NONE;
    fixture_start(3);
    assert_int_equal(status_of(0)->state, HEALTH_UNCHECKED);
    assert_int_equal(status_of(0)->check, CHECK_UNK);
    for (int n = 0; n < 3; n++)
        health_report(health, 0, HEALTH_EVENT_CONNECT);
    assert_int_equal(verdict_count, 1);
    assert_int_equal(verdicts[0].old, HEALTH_UNCHECKED);
    assert_int_equal(verdicts[0].now, HEALTH_DOWN);
    assert_string_equal(verdicts[0].why, "cannot connect");
    run_until(verdict_count == 2);
    assert_int_equal(verdicts[1].now, HEALTH_UNCHECKED);
    assert_in_range(verdicts[1].at_ms - verdicts[0].at_ms, 200, 400);
    assert_int_equal(toys[0].accepted, 0);

    health_report(health, 0, HEALTH_EVENT_REFUSED); // On trial one is enough.
    assert_int_equal(verdict_count, 3);
    run_until(verdict_count == 4);
    run_for(250);
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    assert_int_equal(verdict_count, 4);
}

static void without_checks_half_of_the_servers_stay(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_NONE;
    fixture_start(3);
    for (int n = 0; n < 10; n++) {
        for (size_t i = 0; i < 3; i++)
            health_report(health, i, HEALTH_EVENT_RESPONSE);
    }
    assert_int_equal(verdict_count, 1);
}

static void a_single_server_is_never_taken_by_traffic(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_NONE;
    fixture_start(1);
    for (int n = 0; n < 10; n++)
        health_report(health, 0, HEALTH_EVENT_REFUSED);
    assert_int_equal(verdict_count, 0);
}

static void forced_without_checks_stays(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_NONE;
    fixture_start(2);
    health_force(health, 0, HEALTH_DOWN);
    assert_int_equal(verdict_count, 1);
    run_for(300);
    assert_int_equal(verdict_count, 1);
    health_force(health, 0, HEALTH_UP);
    assert_int_equal(verdicts[1].now, HEALTH_UNCHECKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(refused_twice_is_down_at_once),
        FIXTURE_TEST(every_server_can_be_refused),
        FIXTURE_TEST(a_refusal_that_the_check_does_not_see_is_forgotten),
        FIXTURE_TEST(a_report_amid_a_check_asks_for_another),
        FIXTURE_TEST(reports_do_not_flood_a_server_with_checks),
        FIXTURE_TEST(max_fails_and_one_bad_check_are_down),
        FIXTURE_TEST(the_last_half_is_not_taken_by_doubt),
        FIXTURE_TEST(a_good_check_clears_what_was_counted),
        FIXTURE_TEST(max_fails_zero_is_off),
        FIXTURE_TEST(without_checks_failures_take_a_server_down_for_a_while),
        FIXTURE_TEST(without_checks_half_of_the_servers_stay),
        FIXTURE_TEST(a_single_server_is_never_taken_by_traffic),
        FIXTURE_TEST(forced_without_checks_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
