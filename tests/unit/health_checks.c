// SPDX-License-Identifier: Apache-2.0
/* Active checks: what counts as healthy, rise and fall, timing, and what is our own fault. */
#include "health_fixture.h"

#include "base/log.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char ok_text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char ill_text[] = "HTTP/1.1 503 Ill\r\nContent-Length: 3\r\n\r\nill";

static void healthy_servers_stay_up_in_silence(void **state)
{
    (void)state;
    fixture_start(3);
    assert_int_equal(status_of(0)->state, HEALTH_UP);
    assert_int_equal(status_of(0)->check, CHECK_INI);
    assert_int_equal(status_of(0)->duration_ms, -1);
    run_until(status_of(0)->checks >= 4 && status_of(1)->checks >= 4 && status_of(2)->checks >= 4);
    assert_int_equal(verdict_count, 0);
    assert_int_equal(status_of(1)->check, CHECK_L7OK);
    assert_int_equal(status_of(1)->code, 200);
    assert_string_equal(status_of(1)->detail, "HTTP status 200");
    assert_true(status_of(1)->duration_ms >= 0);
    assert_int_equal(status_of(1)->failed_checks, 0);
    assert_non_null(strstr(toys[0].requests[0], "GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert_non_null(strstr(toys[0].requests[0], "\r\nConnection: close\r\n\r\n"));
}

static void the_request_is_as_configured(void **state)
{
    (void)state;
    backend.opt.health_http_method = PROBE_HEAD;
    backend.opt.health_http_host = (char *)"chat.internal";
    backend.opt.health_http_path = (char *)"/up?deep=1";
    toys[0].text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    toys[0].keep_open = true;
    fixture_start(1);
    run_until(status_of(0)->checks >= 1);
    assert_int_equal(status_of(0)->check, CHECK_L7OK);
    assert_non_null(
        strstr(toys[0].requests[0], "HEAD /up?deep=1 HTTP/1.1\r\nHost: chat.internal\r\n"));
}

static void a_named_server_is_asked_by_its_name(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "localhost:%u", (unsigned)addr_port(&toys[0].addr));
    servers[0].opt.address = name;
    servers[0].endpoint.kind = ENDPOINT_NAME;
    servers[0].endpoint.port = addr_port(&toys[0].addr);
    fixture_start(1);
    run_until(status_of(0)->checks >= 1);
    assert_non_null(strstr(toys[0].requests[0], "\r\nHost: localhost:"));
}

static void goes_down_by_fall_and_up_by_rise(void **state)
{
    (void)state;
    fixture_start(3);
    run_until(status_of(0)->checks >= 4);
    toys[0].text = ill_text;
    run_until(verdict_count == 1);
    assert_int_equal(verdicts[0].server, 0);
    assert_int_equal(verdicts[0].old, HEALTH_UP);
    assert_int_equal(verdicts[0].now, HEALTH_DOWN);
    assert_string_equal(verdicts[0].why, "HTTP status 503");
    assert_int_equal(status_of(0)->bad, 3);
    assert_int_equal(status_of(0)->failed_checks, 3);
    assert_int_equal(status_of(0)->downs, 1);
    assert_int_equal(status_of(0)->check, CHECK_L7STS);
    assert_int_equal(status_of(0)->code, 503);
    assert_int_equal(status_of(0)->changed_ms, verdicts[0].at_ms);

    run_for(100);
    assert_int_equal(verdict_count, 1);
    toys[0].text = ok_text;
    run_until(verdict_count == 2);
    assert_int_equal(verdicts[1].old, HEALTH_DOWN);
    assert_int_equal(verdicts[1].now, HEALTH_UP);
    assert_int_equal(status_of(0)->good, 2);
    assert_true(status_of(0)->down_total_ms >= 100);
    assert_int_equal(status_of(1)->state, HEALTH_UP);
}

static void fewer_than_fall_change_nothing(void **state)
{
    (void)state;
    fixture_start(1);
    run_until(status_of(0)->checks >= 4);
    for (int i = 0; i < 3; i++) {
        toys[0].text = ill_text;
        run_until(status_of(0)->bad == 2);
        toys[0].text = ok_text;
        run_until(status_of(0)->good == 1);
    }
    assert_int_equal(verdict_count, 0);
}

static void the_first_check_decides_alone(void **state)
{
    (void)state;
    toys[0].text = ill_text;
    fixture_start(2);
    run_until(verdict_count == 1);
    assert_int_equal(verdicts[0].server, 0);
    assert_int_equal(status_of(0)->checks, 1);
}

static void one_good_check_earns_one_bad_one(void **state)
{
    (void)state;
    fixture_start(1);
    run_until(status_of(0)->checks == 1);
    toys[0].text = ill_text;
    run_until(verdict_count == 1);
    assert_int_equal(status_of(0)->checks, 3);
}

static void in_doubt_the_next_check_comes_sooner(void **state)
{
    (void)state;
    backend.opt.health_interval_ms = 400;
    backend.opt.health_timeout_ms = 300;
    fixture_start(1);
    run_until(status_of(0)->checks >= 3);
    toys[0].text = ill_text;
    run_until(status_of(0)->bad == 1);
    int64_t began_ms = clock_mono_ms();
    run_until(verdict_count == 1);
    assert_in_range(verdicts[0].at_ms - began_ms, 150, 600); // Two more, 100 ms apart.
    toys[0].text = ok_text;
    run_until(status_of(0)->good == 1);
    began_ms = clock_mono_ms();
    run_until(verdict_count == 2);
    assert_in_range(verdicts[1].at_ms - began_ms, 60, 330);
}

static void first_checks_are_spread(void **state)
{
    (void)state;
    backend.opt.health_interval_ms = 300;
    backend.opt.health_timeout_ms = 100;
    fixture_start(FIXTURE_SERVERS);
    int64_t first_ms = INT64_MAX, last_ms = 0, give_up_ms = clock_mono_ms() + 10000;
    for (size_t seen = 0; seen < FIXTURE_SERVERS && clock_mono_ms() < give_up_ms;) {
        loop_turn(&loop, 5);
        size_t checked = 0;
        for (size_t i = 0; i < FIXTURE_SERVERS; i++)
            checked += status_of(i)->checks > 0;
        if (checked > seen && loop.now_ms < first_ms)
            first_ms = loop.now_ms;
        if (checked > seen)
            last_ms = loop.now_ms;
        seen = checked;
    }
    assert_in_range(last_ms - first_ms, 30, 2000);
}

static void goes_down_for(enum check_status check, const char *detail)
{
    toys[0].text = toys[0].text ? toys[0].text : ok_text;
    fixture_start(1);
    run_until(verdict_count == 1);
    assert_int_equal(verdicts[0].now, HEALTH_DOWN);
    assert_int_equal(status_of(0)->check, check);
    assert_string_equal(status_of(0)->detail, detail);
}

static void refused_is_ill(void **state)
{
    (void)state;
    toy_close(&toys[0]);
    goes_down_for(CHECK_L4CON, "Connection refused");
}

static void silence_is_ill(void **state)
{
    (void)state;
    toys[0].answer = toy_is_silent;
    goes_down_for(CHECK_L7TOUT, "no whole answer in time");
    assert_true(status_of(0)->duration_ms >= 30);
}

static void a_slow_drip_is_ill(void **state)
{
    (void)state;
    toys[0].drip_ms = 5;
    goes_down_for(CHECK_L7TOUT, "no whole answer in time");
}

static void garbage_is_ill(void **state)
{
    (void)state;
    toys[0].text = "\x16\x03\x01 what is this?\r\n\r\n";
    goes_down_for(CHECK_L7RSP, "the answer is not valid HTTP");
}

static void a_cut_answer_is_ill(void **state)
{
    (void)state;
    toys[0].text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    goes_down_for(CHECK_L7RSP, "closed before a whole answer");
}

static void a_reset_is_ill(void **state)
{
    (void)state;
    toys[0].reset = true;
    goes_down_for(CHECK_L7RSP, "Connection reset by peer");
}

static void an_unexpected_status_is_ill_and_an_expected_one_is_not(void **state)
{
    (void)state;
    expected = (struct status_range){404, 404};
    toys[1].text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    fixture_start(2);
    run_until(verdict_count == 1 && status_of(1)->checks >= 2);
    expected = (struct status_range){200, 299};
    assert_int_equal(status_of(0)->check, CHECK_L7STS);
    assert_int_equal(status_of(1)->check, CHECK_L7OK);
}

static void tcp_asks_for_a_connection_only(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_TCP;
    fixture_start(2);
    run_until(status_of(0)->checks >= 4 && status_of(1)->checks >= 4);
    assert_int_equal(status_of(0)->check, CHECK_L4OK);
    assert_int_equal(toys[0].answered, 0);
    toy_close(&toys[0]);
    run_until(verdict_count == 1);
    assert_string_equal(verdicts[0].why, "Connection refused");
    toy_open(&toys[0]);
    run_until(verdict_count == 2);
    assert_int_equal(verdicts[1].now, HEALTH_UP);
}

static void tcp_notices_a_full_backlog(void **state)
{
    (void)state;
    backend.health_kind = HEALTH_TCP;
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int listener = net_listen(&endpoint.addr, 0, false);
    struct addr addr;
    assert_true(net_local_addr(listener, &addr));
    int fill[3];
    for (size_t i = 0; i < array_len(fill); i++)
        fill[i] = net_connect(&addr);
    fixture_start(1);
    health_set_addr(health, 0, &addr);
    run_until(verdict_count == 1);
    assert_int_equal(status_of(0)->check, CHECK_L4TOUT);
    for (size_t i = 0; i < array_len(fill); i++)
        close(fill[i]);
    close(listener);
}

/* The thread of the checks was held up: what expired meanwhile is asked again, and says nothing. */
static void our_own_lateness_does_not_count(void **state)
{
    (void)state;
    backend.opt.health_fall = 1;
    backend.opt.health_interval_ms = 100;
    backend.opt.health_timeout_ms = 60;
    fixture_start(1);
    run_until(status_of(0)->checks >= 2);
    int answered = toys[0].answered;
    toys[0].answer = toy_is_silent;
    run_until(toys[0].answered == answered + 1);
    toys[0].answer = toy_says;
    block_ms(300);
    run_until(toys[0].answered >= answered + 3);
    assert_int_equal(verdict_count, 0);
    assert_int_equal(status_of(0)->failed_checks, 0);
}

/* … but a process that is always late must still see a dead server. */
static void steady_lateness_does_not_hide_a_dead_server(void **state)
{
    (void)state;
    backend.opt.health_fall = 1;
    toys[0].answer = toy_is_silent;
    fixture_start(1);
    int64_t give_up_ms = clock_mono_ms() + 10000;
    while (verdict_count == 0 && clock_mono_ms() < give_up_ms) {
        loop_turn(&loop, 1);
        block_ms(20);
    }
    assert_int_equal(verdict_count, 1);
    assert_int_equal(toys[0].answered, 4);
}

static void no_descriptors_is_our_own_fault(void **state)
{
    (void)state;
    backend.opt.health_fall = 1;
    fixture_start(1);
    run_until(status_of(0)->checks >= 2);
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_until(status_of(0)->check == CHECK_SOCKERR);
    run_for(100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(verdict_count, 0);
    run_until(status_of(0)->check == CHECK_L7OK);
    assert_int_equal(status_of(0)->failed_checks, 0);
}

static void a_paused_server_is_not_checked(void **state)
{
    (void)state;
    fixture_start(2);
    run_until(status_of(0)->checks >= 1);
    health_pause(health, 0, true);
    run_for(20);
    int accepted = toys[0].accepted;
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    run_for(150);
    assert_int_equal(toys[0].accepted, accepted);
    toy_close(&toys[0]);
    health_pause(health, 0, false);
    run_until(verdict_count == 1); // One bad check is enough, as at the start.
    assert_int_equal(status_of(0)->failed_checks, 1);
}

static void a_new_address_starts_over(void **state)
{
    (void)state;
    fixture_start(1);
    run_until(status_of(0)->checks >= 4);
    toys[1].text = ill_text;
    health_set_addr(health, 0, &toys[1].addr);
    run_until(verdict_count == 1);
    assert_int_equal(status_of(0)->bad, 1);
    uint64_t checks = status_of(0)->checks;
    health_set_addr(health, 0, &toys[1].addr);
    assert_int_equal(status_of(0)->bad, 1); // The same one is no news.
    run_until(status_of(0)->checks > checks);
}

static void checks_begin_with_an_address(void **state)
{
    (void)state;
    backend.server_count = 1;
    health = health_new(&loop, shelf, &rng, &backend, fixture_verdict, verdicts);
    health_report(health, 0, HEALTH_EVENT_REFUSED);
    run_for(100);
    assert_int_equal(status_of(0)->checks, 0);
    health_set_addr(health, 0, &toys[0].addr);
    run_until(status_of(0)->checks == 1);
}

static void a_forced_state_lasts_until_checks_change_it(void **state)
{
    (void)state;
    fixture_start(2);
    run_until(status_of(0)->checks >= 4);
    health_force(health, 0, HEALTH_DOWN);
    assert_int_equal(verdict_count, 1);
    assert_string_equal(verdicts[0].why, "set by the runtime API");
    assert_true(status_of(0)->forced);
    health_force(health, 0, HEALTH_DOWN);
    assert_int_equal(verdict_count, 1);
    run_until(verdict_count == 2);
    assert_int_equal(verdicts[1].now, HEALTH_UP);
    assert_false(status_of(0)->forced);

    toys[0].text = ill_text;
    run_until(verdict_count == 3);
    health_force(health, 0, HEALTH_UP);
    assert_int_equal(verdict_count, 4);
    run_until(verdict_count == 5);
    assert_int_equal(verdicts[4].now, HEALTH_DOWN);
    assert_int_equal(status_of(0)->bad, 3);
}

static void ending_amid_checks_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_SERVERS; i++)
        toys[i].answer = toy_is_silent;
    fixture_start(FIXTURE_SERVERS);
    run_until(toys[0].answered && toys[1].answered);
}

/* Runs until the verdict, and returns what was logged on the way. */
static char *logged_until_verdict(size_t count)
{
    static char text[2048];
    int ends[2], old = dup(STDERR_FILENO);
    fflush(stderr);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    run_until(verdict_count == count);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    ssize_t len = read(ends[0], text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(old);
    return text;
}

static void a_verdict_is_one_line(void **state)
{
    (void)state;
    fixture_start(3);
    run_until(status_of(0)->checks >= 4);
    toy_close(&toys[0]);
    const char *text = logged_until_verdict(1);
    assert_non_null(strstr(text,
                           "warning: server chat/app01 is DOWN: Connection refused (after 3 of "
                           "3 failed checks); was UP for "));
    assert_non_null(strstr(text, "ms; 2 of 3 servers remain\n"));
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
    toy_open(&toys[0]);
    text = logged_until_verdict(2);
    assert_non_null(strstr(text,
                           "info: server chat/app01 is UP: HTTP status 200 (after 2 of 2 good "
                           "checks); was DOWN for "));
    assert_non_null(strstr(text, "; 3 of 3 servers are up\n"));
}

int main(void)
{
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(healthy_servers_stay_up_in_silence),
        FIXTURE_TEST(the_request_is_as_configured),
        FIXTURE_TEST(a_named_server_is_asked_by_its_name),
        FIXTURE_TEST(goes_down_by_fall_and_up_by_rise),
        FIXTURE_TEST(fewer_than_fall_change_nothing),
        FIXTURE_TEST(the_first_check_decides_alone),
        FIXTURE_TEST(one_good_check_earns_one_bad_one),
        FIXTURE_TEST(in_doubt_the_next_check_comes_sooner),
        FIXTURE_TEST(first_checks_are_spread),
        FIXTURE_TEST(refused_is_ill),
        FIXTURE_TEST(silence_is_ill),
        FIXTURE_TEST(a_slow_drip_is_ill),
        FIXTURE_TEST(garbage_is_ill),
        FIXTURE_TEST(a_cut_answer_is_ill),
        FIXTURE_TEST(a_reset_is_ill),
        FIXTURE_TEST(an_unexpected_status_is_ill_and_an_expected_one_is_not),
        FIXTURE_TEST(tcp_asks_for_a_connection_only),
        FIXTURE_TEST(tcp_notices_a_full_backlog),
        FIXTURE_TEST(our_own_lateness_does_not_count),
        FIXTURE_TEST(steady_lateness_does_not_hide_a_dead_server),
        FIXTURE_TEST(no_descriptors_is_our_own_fault),
        FIXTURE_TEST(a_paused_server_is_not_checked),
        FIXTURE_TEST(a_new_address_starts_over),
        FIXTURE_TEST(checks_begin_with_an_address),
        FIXTURE_TEST(a_forced_state_lasts_until_checks_change_it),
        FIXTURE_TEST(ending_amid_checks_leaves_nothing),
        FIXTURE_TEST(a_verdict_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
