// SPDX-License-Identifier: Apache-2.0
/* Option types: what they read, what they refuse and with which words. */
#include "config/value.h"

#include "base/mem.h"
#include "config/expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char error[VALUE_ERROR_MAX];

static bool read_row(const struct section *section, const char *path, const char *text, void *opt)
{
    const struct option *row = section_find(section, path);
    assert_non_null(row);
    error[0] = '\0';
    return value_read(row, span_str(text), opt, error);
}

static void expect_ms(const char *text, int64_t ms)
{
    struct process_options opt = {0};
    assert_true(read_row(&section_process, "grace", text, &opt));
    assert_int_equal(opt.grace_ms, ms);
}

static void expect_bytes(const char *text, int64_t bytes)
{
    struct frontend_options opt = {0};
    assert_true(read_row(&section_frontend, "limits.body", text, &opt));
    assert_int_equal(opt.limit_body, bytes);
}

static void expect_refused(const struct section *section, const char *path, const char *text,
                           const char *message)
{
    char opt[4096] = {0};
    assert_true(section->struct_size <= sizeof opt);
    assert_false(read_row(section, path, text, opt));
    assert_string_equal(error, message);
    value_clear(section_find(section, path), opt);
}

static void test_durations(void **state)
{
    (void)state;
    expect_ms("0s", 0);
    expect_ms("500ms", 500);
    expect_ms("30 s", 30000);
    expect_ms("5m", 300000);
    expect_ms("1h", 3600000);
    expect_ms("1d", 86400000);
    expect_refused(&section_process, "grace", "2d", "must be between 0s and 1d, not '2d'");
    expect_refused(&section_process, "grace", "99999999999999999999s",
                   "must be between 0s and 1d, not '99999999999999999999s'");
    expect_refused(&section_process, "grace", "5",
                   "needs a unit: write 5s for seconds or 5ms for milliseconds");
    expect_refused(&section_process, "grace", "5S",
                   "must be a duration like 500ms, 30s, 5m, 1h or 1d, not '5S'");
    expect_refused(&section_process, "grace", "-5s",
                   "must be a duration like 500ms, 30s, 5m, 1h or 1d, not '-5s'");
    expect_refused(&section_process, "grace", "s",
                   "must be a duration like 500ms, 30s, 5m, 1h or 1d, not 's'");
}

static void test_sizes(void **state)
{
    (void)state;
    expect_bytes("0", 0);
    expect_bytes("512", 512);
    expect_bytes("512B", 512);
    expect_bytes("1kB", 1000);
    expect_bytes("1MB", 1000000);
    expect_bytes("16KiB", 16384);
    expect_bytes("1 GiB", 1 << 30);
    expect_refused(&section_frontend, "limits.body", "2TiB",
                   "must be between 0 and 1TiB, not '2TiB'");
    expect_refused(&section_frontend, "limits.body", "9223372036854775807TiB",
                   "must be between 0 and 1TiB, not '9223372036854775807TiB'");
    expect_refused(&section_frontend, "limits.body", "16m",
                   "needs a whole unit: write 16MiB (1024) or 16MB (1000)");
    expect_refused(&section_frontend, "limits.body", "MB",
                   "must be a size like 16KiB, 1MB or 512, not 'MB'");
}

static void test_numbers(void **state)
{
    (void)state;
    struct process_options opt = {.workers = 7};
    assert_true(read_row(&section_process, "workers", "auto", &opt));
    assert_int_equal(opt.workers, 0);
    assert_true(read_row(&section_process, "workers", "064", &opt));
    assert_int_equal(opt.workers, 64);
    assert_false(read_row(&section_process, "workers", "0", &opt));
    assert_int_equal(opt.workers, 64);
    expect_refused(&section_backend, "retries", "auto", "must be a whole number, not 'auto'");
    expect_refused(&section_backend, "retries", "0x2", "must be a whole number, not '0x2'");
    expect_refused(&section_backend, "retries", "", "must be a whole number, not ''");

    struct admin_options admin = {0};
    assert_true(read_row(&section_admin, "socket_mode", "0660", &admin));
    assert_int_equal(admin.socket_mode, 0660);
    assert_true(read_row(&section_admin, "socket_mode", "600", &admin));
    assert_int_equal(admin.socket_mode, 0600);
    expect_refused(&section_admin, "socket_mode", "7777",
                   "must be an octal file mode like \"0660\", not '7777'");
}

static void expect_rate(const char *text, int64_t events, int64_t per_ms)
{
    struct frontend_options opt = {0};
    assert_true(read_row(&section_frontend, "rate_limit.handshakes_per_ip", text, &opt));
    assert_int_equal(opt.handshakes_per_ip.events, events);
    assert_int_equal(opt.handshakes_per_ip.per_ms, per_ms);
}

static void test_rates(void **state)
{
    (void)state;
    expect_rate("20/s", 20, 1000);
    expect_rate("100 / m", 100, 60000);
    expect_rate("5/10s", 5, 10000);
    expect_rate("0", 0, 1000);
    static const char *const bad[] = {"20", "20/", "/s", "20/0s", "20/x", "20/s/s", "-1/s", ""};
    for (size_t i = 0; i < array_len(bad); i++) {
        struct frontend_options opt = {0};
        assert_false(read_row(&section_frontend, "rate_limit.handshakes_per_ip", bad[i], &opt));
    }
}

static void test_words(void **state)
{
    (void)state;
    struct backend_options opt = {0};
    assert_true(read_row(&section_backend, "balance", "hash", &opt));
    assert_int_equal(opt.balance, BALANCE_HASH);
    assert_string_equal(config_word("balance_kind", BALANCE_HASH), "hash");
    assert_null(config_word("no_such_enum", 0));
    expect_refused(&section_backend, "balance", "roundrobbin",
                   "must be leastconn, roundrobin, random, source or hash, not 'roundrobbin'; did "
                   "you mean 'roundrobin'?");
    expect_refused(&section_backend, "balance", "HASH",
                   "must be leastconn, roundrobin, random, source or hash, not 'HASH'");
    expect_refused(&section_process, "master", "True", "must be true or false, not 'True'");

    assert_true(read_row(&section_backend, "sticky", "source , sid", &opt));
    assert_int_equal(opt.sticky_count, 2);
    assert_int_equal(opt.sticky[0], STICKY_SOURCE);
    assert_int_equal(opt.sticky[1], STICKY_SID);
    assert_false(read_row(&section_backend, "sticky", "sid", &opt));
    assert_string_equal(error, "names 'sid' twice");
    value_clear(section_find(&section_backend, "sticky"), &opt);
    assert_null(opt.sticky);
    assert_int_equal(opt.sticky_count, 0);
}

static void test_statuses(void **state)
{
    (void)state;
    struct backend_options opt = {0};
    const char *path = "health.http.expect";
    assert_true(read_row(&section_backend, path, "200-299, 404", &opt));
    assert_int_equal(opt.health_http_expect_count, 2);
    assert_int_equal(opt.health_http_expect[0].from, 200);
    assert_int_equal(opt.health_http_expect[0].to, 299);
    assert_int_equal(opt.health_http_expect[1].from, 404);
    assert_int_equal(opt.health_http_expect[1].to, 404);
    static const char *const bad[] = {"99", "600",  "300-200", "2xx",
                                      "",   "200-", "200,",    "200-201-202"};
    for (size_t i = 0; i < array_len(bad); i++)
        assert_false(read_row(&section_backend, path, bad[i], &opt));
    value_clear(section_find(&section_backend, path), &opt);
    assert_false(read_row(&section_backend, path,
                          "200,201,202,203,204,205,206,207,208,209,210,211,212,213,214,215,216",
                          &opt));
    assert_string_equal(error, "may name 16 statuses or ranges at most");
    value_clear(section_find(&section_backend, path), &opt);
}

static void test_strings_and_networks(void **state)
{
    (void)state;
    struct frontend_options opt = {0};
    assert_true(read_row(&section_frontend, "trusted_proxies", "10.0.0.0/8, ::1", &opt));
    assert_int_equal(opt.trusted_proxies_count, 2);
    assert_int_equal(opt.trusted_proxies[0].bits, 8);
    assert_true(opt.trusted_proxies[1].v6);
    value_clear(section_find(&section_frontend, "trusted_proxies"), &opt);
    assert_true(read_row(&section_frontend, "backend", "a", &opt));
    assert_true(read_row(&section_frontend, "backend", "b", &opt));
    assert_string_equal(opt.backend_name, "b");
    value_clear(section_find(&section_frontend, "backend"), &opt);
    expect_refused(&section_frontend, "backend", "", "must not be empty");
    expect_refused(&section_frontend, "backend", "a\nb", "must not hold control characters");
    expect_refused(&section_frontend, "backend", "a\xff", "must be UTF-8");
    expect_refused(&section_frontend, "trusted_proxies", "localhost",
                   "must be addresses or networks like 10.0.0.0/8, not 'localhost'");
}

/* Defaults are read by the same parser, and each path is in the table once. */
static void test_the_table(void **state)
{
    (void)state;
#define CHOICES(name, ...)
#define CHOICE(value, word)
#define SECTION(scope) &section_##scope,
#define OPTION(scope, path, type, field, ...)
#define END_SECTION
    static const struct section *const sections[] = {
#include "config/options.def"
    };
    for (size_t s = 0; s < array_len(sections); s++) {
        void *opt = mem_must_alloc(sections[s]->struct_size);
        section_each(row, sections[s])
        {
            const char *text = option_default(row);
            if (text && !value_read(row, span_str(text), opt, error))
                fail_msg("%s: %s %s", sections[s]->name, row->path, error);
            assert_ptr_equal(section_find(sections[s], row->path), row);
            assert_false(section_has_group(sections[s], row->path));
            assert_true(row->help[strlen(row->help) - 1] == '.');
            value_clear(row, opt);
        }
        free(opt);
    }
    section_each(row, &section_defaults)
        assert_ptr_equal(section_find(&section_defaults, row->path), row);
}

static void expect_expanded(const char *text, const char *expected)
{
    char *out = expand(span_str(text), error);
    assert_non_null(out);
    assert_string_equal(out, expected);
    free(out);
}

static void expect_not_expanded(const char *text, const char *message)
{
    assert_null(expand(span_str(text), error));
    assert_string_equal(error, message);
}

static void test_variables(void **state)
{
    (void)state;
    setenv("LIMPET_A", "one", 1);
    setenv("LIMPET_EMPTY", "", 1);
    setenv("LIMPET_DOLLAR", "${LIMPET_A}", 1);
    unsetenv("LIMPET_NONE");
    expect_expanded("", "");
    expect_expanded("plain", "plain");
    expect_expanded("${LIMPET_A}", "one");
    expect_expanded("a${LIMPET_A}b${LIMPET_A}", "aonebone");
    expect_expanded("$$${LIMPET_A}$$", "$one$");
    expect_expanded("$${LIMPET_A}", "${LIMPET_A}");
    expect_expanded("5$ $x $", "5$ $x $");
    expect_expanded("[${LIMPET_EMPTY}]", "[]");
    expect_expanded("${LIMPET_DOLLAR}", "${LIMPET_A}");
    expect_expanded("${LIMPET_NONE:-a:-b}", "a:-b");
    expect_expanded("${LIMPET_EMPTY:-b}", "b");
    expect_expanded("${LIMPET_NONE:-}", "");
    expect_expanded("${LIMPET_A:-b}${LIMPET_A:?no}", "oneone");
    expect_not_expanded("${LIMPET_NONE}", "the variable LIMPET_NONE is not set");
    expect_not_expanded("${LIMPET_NONE:?ask ops}", "the variable LIMPET_NONE is not set: ask ops");
    expect_not_expanded("${LIMPET_EMPTY:?}", "the variable LIMPET_EMPTY is not set");
    expect_not_expanded("${LIMPET_A", "'${' without '}'; write $$ for a '$'");
    expect_not_expanded("${}", "'${}' is not ${VAR}, ${VAR:-default} or ${VAR:?message}; write $$ "
                               "for a '$'");
    expect_not_expanded("${1A}", "'${1A}' is not ${VAR}, ${VAR:-default} or ${VAR:?message}; write "
                                 "$$ for a '$'");
}

static void test_variables_are_bounded(void **state)
{
    (void)state;
    char *big = mem_must_alloc(100 * 1024 + 1);
    memset(big, 'a', 100 * 1024);
    setenv("LIMPET_BIG", big, 1);
    free(big);
    expect_not_expanded(
        "${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}"
        "${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}${LIMPET_BIG}",
        "the variables expand to more than 1 MiB");
    unsetenv("LIMPET_BIG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_strings_and_networks),
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_variables_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
