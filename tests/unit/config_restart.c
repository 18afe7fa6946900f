// SPDX-License-Identifier: Apache-2.0
/* What a reload leaves for a restart: kept as it is in force, and named. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define REST                                                                                       \
    "frontends: {f: {listen: \":0\", backend: b}}\n"                                               \
    "backends: {b: {servers: [\"127.0.0.1:1\"]"

static struct config *load(const char *text)
{
    struct problems problems;
    struct config *config = config_load_text("test", span_str(text), &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    problems_free(&problems);
    assert_non_null(config);
    return config;
}

static void what_needs_a_restart_is_kept_and_named(void **state)
{
    (void)state;
    struct config *now = load("process: {workers: 2, user: a}\n" REST "}}\n");
    struct config *next = load("process: {workers: 3, grace: 5s}\n" REST
                               ", sid: {max_entries: 99}, slow_start: 1s}}\n");
    char names[256];
    assert_int_equal(config_keep_restart(next, now, names, sizeof(names)), 3);
    assert_string_equal(names, "process.workers process.user backends.b.sid.max_entries");
    assert_int_equal(next->process.workers, 2);
    assert_string_equal(next->process.user, "a");
    assert_int_equal(next->process.grace_ms, 5000);
    assert_int_equal(next->backends[0].opt.sid_max_entries, 1000000);
    assert_int_equal(next->backends[0].opt.slow_start_ms, 1000);
    config_free(now);
    config_free(next);
}

static void what_is_new_is_nobodys_old_value(void **state)
{
    (void)state;
    struct config *now = load("process: {workers: 2}\n" REST "}}\n");
    struct config *next = load("process: {workers: 2}\n" REST
                               "}, c: {servers: [\"127.0.0.1:2\"], sid: {max_entries: 77}}}\n");
    char names[8] = "x";
    assert_int_equal(config_keep_restart(next, now, names, sizeof(names)), 0);
    assert_string_equal(names, "");
    assert_int_equal(next->backends[1].opt.sid_max_entries, 77);
    config_free(now);
    config_free(next);
}

static void names_that_do_not_fit_are_cut(void **state)
{
    (void)state;
    struct config *now = load("process: {workers: 2, user: a}\n" REST "}}\n");
    struct config *next = load("process: {workers: 3, user: b}\n" REST "}}\n");
    char names[10];
    assert_int_equal(config_keep_restart(next, now, names, sizeof(names)), 2);
    assert_string_equal(names, "process.w");
    config_free(now);
    config_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_a_restart_is_kept_and_named),
        cmocka_unit_test(what_is_new_is_nobodys_old_value),
        cmocka_unit_test(names_that_do_not_fit_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
