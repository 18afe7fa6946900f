// SPDX-License-Identifier: Apache-2.0
/* Verdicts, names and weights: what becomes of them in struct server. Real checks against loopback. */
#include "lb/watch.h"

#include "lb/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/lb_serving.h"

struct desk {
    struct fixture f;
    struct loop loop;
    struct shelf *shelf;
    struct watch *watch;
    int door; /* a server that accepts; -1: closed */
    struct addr addr;
};

/* host stands for the server's host; more: further options of the backend. */
static void desk_open(struct desk *desk, const char *host, const char *more)
{
    struct endpoint any;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &any);
    desk->door = net_listen(&any.addr, 1024, false);
    assert_true(net_local_addr(desk->door, &desk->addr));
    char text[512];
    snprintf(text, sizeof(text),
             "frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n"
             "backends: {b: {servers: [\"%s:%u\"], slow_start: 200ms%s,\n"
             "  health: {interval: 20ms, timeout: 500ms, rise: 1, fall: 1}}}\n",
             host, addr_port(&desk->addr), more);
    fixture_open(&desk->f, text, 1);
    assert_true(loop_init(&desk->loop, desk));
    desk->shelf = shelf_new();
    desk->watch = watch_new(&desk->f.serving, &desk->loop, desk->shelf);
    assert_non_null(desk->watch);
}

static void desk_close(struct desk *desk)
{
    watch_stop(desk->watch);
    loop_fini(&desk->loop);
    for (unsigned i = 0; i < desk->f.serving.worker_count; i++)
        worker_settle(&desk->f.serving.workers[i]);
    watch_free(desk->watch);
    events_fini(&desk->f.serving);
    shelf_free(desk->shelf);
    fixture_close(&desk->f);
    if (desk->door >= 0)
        close(desk->door);
}

static struct server *desk_server(struct desk *desk)
{
    return desk->f.serving.snapshot->backends[0]->servers[0];
}

static void desk_run(struct desk *desk, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    while (clock_mono_ms() < until)
        loop_turn(&desk->loop, 5);
}

static void desk_await_health(struct desk *desk, enum server_health health)
{
    int64_t until = clock_mono_ms() + 5000;
    while (atomic_load(&desk_server(desk)->health) != (int)health && clock_mono_ms() < until)
        loop_turn(&desk->loop, 5);
    assert_int_equal(atomic_load(&desk_server(desk)->health), health);
}

/* Closes the server's door, or opens it at the same address. */
static void desk_shut(struct desk *desk)
{
    close(desk->door);
    desk->door = -1;
}

static void desk_reopen(struct desk *desk)
{
    desk->door = net_listen(&desk->addr, 1024, false);
    assert_true(desk->door >= 0);
}

static void a_server_goes_down_and_comes_back_slowly(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk, "127.0.0.1", "");
    struct server *server = desk_server(&desk);
    assert_int_equal(atomic_load(&server->health), SERVER_UP);
    assert_int_equal(atomic_load(&server->weight_now), SERVER_WEIGHT_SCALE);
    desk_shut(&desk);
    desk_await_health(&desk, SERVER_DOWN);
    desk_reopen(&desk);
    desk_await_health(&desk, SERVER_UP);
    assert_in_range(atomic_load(&server->weight_now), 1, SERVER_WEIGHT_SCALE - 1);
    desk_run(&desk, 1000);
    assert_int_equal(atomic_load(&server->weight_now), SERVER_WEIGHT_SCALE);
    desk_close(&desk);
}

static void reports_reach_the_checks(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk, "127.0.0.1", "");
    desk_shut(&desk);
    for (int i = 0; i < 1000; i++)
        watch_report(desk.watch, desk_server(&desk), HEALTH_EVENT_REFUSED);
    desk_await_health(&desk, SERVER_DOWN);
    desk_close(&desk);
}

static void a_letter_that_is_late_changes_nothing(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk, "127.0.0.1", "");
    watch_tell_workers(desk.watch);
    watch_report(desk.watch, desk_server(&desk), HEALTH_EVENT_RESPONSE);
    desk_close(&desk);
}

static void a_name_is_resolved_before_it_is_used(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk, "localhost", "");
    struct server *server = desk_server(&desk);
    assert_false(server->addr_known);
    assert_int_equal(atomic_load(&server->health), SERVER_DOWN);
    assert_int_equal(watch_names_pending(desk.watch), 1);
    watch_tell_workers(desk.watch);
    desk_await_health(&desk, SERVER_UP);
    assert_int_equal(watch_names_pending(desk.watch), 0);
    assert_true(server->addr_known);
    assert_int_equal(addr_port(&server->addr), addr_port(&desk.addr));
    // Nobody was down: no slow start.
    assert_int_equal(atomic_load(&server->weight_now), SERVER_WEIGHT_SCALE);
    desk_close(&desk);
}

static void a_name_that_nobody_knows_stays_down(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk, "no-such-host.invalid", "");
    int64_t until = clock_mono_ms() + 20000;
    while (watch_names_pending(desk.watch) > 0 && clock_mono_ms() < until)
        loop_turn(&desk.loop, 5);
    assert_int_equal(watch_names_pending(desk.watch), 0);
    assert_int_equal(atomic_load(&desk_server(&desk)->health), SERVER_DOWN);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_goes_down_and_comes_back_slowly),
        cmocka_unit_test(reports_reach_the_checks),
        cmocka_unit_test(a_letter_that_is_late_changes_nothing),
        cmocka_unit_test(a_name_is_resolved_before_it_is_used),
        cmocka_unit_test(a_name_that_nobody_knows_stays_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
