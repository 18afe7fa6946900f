// SPDX-License-Identifier: Apache-2.0
/*
 * The section `sentinel`: what it becomes for sentinel-watch, what limpet leaves alone, secrets in
 * files, and what is refused.
 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BALANCER                                                                                   \
    "frontends: {main: {listen: \":0\", backend: chat}}\n"                                         \
    "backends: {chat: {servers: [\"127.0.0.1:1\", \"127.0.0.1:2\"]}, other: {servers: [\"h:3\"]}}\n"
#define BASIC "master: m, sentinels: [\"127.0.0.1:26379\", \"[::1]:26380\", \"s3:26381\"]"

enum reader { LIMPET, WATCH };

static struct config *load_text(enum reader reader, const char *text, struct problems *problems)
{
    return reader == LIMPET ? config_load_text("test", span_str(text), problems)
                            : config_load_sentinel_text("test", span_str(text), problems);
}

static struct config *load_as(enum reader reader, const char *text)
{
    struct problems problems;
    struct config *config = load_text(reader, text, &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    assert_non_null(config);
    problems_free(&problems);
    return config;
}

static struct config *load(const char *text)
{
    return load_as(WATCH, text);
}

/* One problem, and this is in it. */
static void expect_refused(enum reader reader, const char *text, const char *message)
{
    struct problems problems;
    struct config *config = load_text(reader, text, &problems);
    assert_null(config);
    if (problems.count != 1 || !strstr(problems.list[0].message, message))
        problems_print(&problems, "test", false, stderr);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.list[0].message, message));
    problems_free(&problems);
}

static void test_alone_in_a_file(void **state)
{
    (void)state;
    struct config *config = load("sentinel: {" BASIC "}\n");
    assert_int_equal(config->sentinel_count, 1);
    const struct config_sentinel *sentinel = &config->sentinels[0];
    assert_string_equal(sentinel->opt.master, "m");
    assert_int_equal(sentinel->opt.sentinels_count, 3);
    assert_int_equal(addr_port(&sentinel->sentinels[1].addr), 26380);
    assert_int_equal(sentinel->sentinels[2].kind, ENDPOINT_NAME);
    assert_null(sentinel->opt.password);
    assert_int_equal(sentinel->opt.notify_backends_count, 0);
    assert_int_equal(sentinel->opt.hold_at, HOLD_ODOWN);
    assert_int_equal(sentinel->opt.hold_max_ms, 15000);
    assert_int_equal(sentinel->opt.canary_interval_ms, 100);
    assert_false(sentinel->opt.fast_path);
    assert_null(sentinel->opt.admin_socket);
    config_free(config);
}

static void test_all_together(void **state)
{
    (void)state;
    setenv("TEST_SENTINEL_SECRET", "of the environment", 1);
    struct config *config = load(
        BALANCER
        "sentinel:\n"
        "  - {" BASIC ", username: w, password: \"${TEST_SENTINEL_SECRET}\",\n"
        "     notify: {backends: [other, chat], secrets: [new, old]},\n"
        "     address_map: {\"10.0.0.5:6379\": \"redis-a:6379\", \"10.0.0.6:6379\": \"[::1]:7\"},\n"
        "     relay: {listen: [\"127.0.0.1:0\", \":6380\"]}, admin: {http: \"127.0.0.1:0\"}}\n"
        "  - {master: n, sentinels: \"127.0.0.1:1\", admin: {http: \"127.0.0.1:0\"}}\n");
    assert_int_equal(config->sentinel_count, 2);
    const struct config_sentinel *sentinel = &config->sentinels[0];
    assert_string_equal(sentinel->opt.password, "of the environment");
    assert_int_equal(sentinel->backends[0], 1);
    assert_int_equal(sentinel->backends[1], 0);
    assert_string_equal(sentinel->opt.notify_secrets[1], "old");
    assert_string_equal(sentinel->opt.notify_path, "/limpet/redis-failover");
    assert_int_equal(sentinel->opt.address_map_count, 2);
    assert_string_equal(sentinel->opt.address_map[0].to, "redis-a:6379");
    assert_int_equal(addr_port(&sentinel->relays[1].addr), 6380);
    assert_int_equal(sentinel->admin_http.kind, ENDPOINT_ADDR);
    // Frontends are the balancer's business.
    assert_int_equal(config->frontend_count, 0);
    assert_int_equal(config->backend_count, 2);
    config_free(config);
}

static void test_limpet_knows_no_secrets(void **state)
{
    (void)state;
    unsetenv("TEST_SENTINEL_UNSET");
    struct config *config = load_as(
        LIMPET, BALANCER
        "sentinel: {" BASIC ", password: \"${TEST_SENTINEL_UNSET}\",\n"
        "  redis: {password_file: /nonexistent/secret},\n"
        "  notify: {backends: [chat], secrets: [\"${TEST_SENTINEL_UNSET}\"], path: /f}}\n");
    assert_int_equal(config->frontend_count, 1);
    assert_string_equal(config->sentinels[0].opt.notify_path, "/f");
    assert_null(config->sentinels[0].opt.redis_password);
    config_free(config);
    expect_refused(WATCH, "sentinel: {" BASIC ", password: \"${TEST_SENTINEL_UNSET}\"}\n",
                   "TEST_SENTINEL_UNSET");
    expect_refused(LIMPET, "sentinel: {" BASIC "}\n" BALANCER "frontend: {}\n",
                   "unknown key 'frontend'");
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_secrets_in_files(void **state)
{
    (void)state;
    char one[] = "/tmp/config_sentinel_XXXXXX", two[] = "/tmp/config_sentinel_XXXXXX";
    char empty[] = "/tmp/config_sentinel_XXXXXX", text[1024];
    write_file(one, "first line\nsecond\n");
    write_file(two, "\nnew\r\n old \n\n");
    write_file(empty, "\n");
    snprintf(text, sizeof text,
             BALANCER "sentinel: {" BASIC ", password_file: \"%s\",\n"
                      " notify: {backends: chat, secrets_file: \"%s\"}}\n",
             one, two);
    struct config *config = load(text);
    assert_string_equal(config->sentinels[0].opt.password, "first line");
    assert_int_equal(config->sentinels[0].opt.notify_secrets_count, 2);
    assert_string_equal(config->sentinels[0].opt.notify_secrets[0], "new");
    assert_string_equal(config->sentinels[0].opt.notify_secrets[1], "old");
    config_free(config);
    snprintf(text, sizeof text, "sentinel: {" BASIC ", password_file: \"%s\"}\n", empty);
    expect_refused(WATCH, text, "must hold 1 to 4095 bytes");
    unlink(one);
    unlink(two);
    unlink(empty);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{" BASIC ", sentinals: x}", "did you mean 'sentinels'?"},
        {"{" BASIC ", tls: {ca: x}}", "stunnel"},
        {"{" BASIC ", username: x}", "'username' needs 'password'"},
        {"{" BASIC ", password: x, password_file: /y}", "cannot both be given"},
        {"{" BASIC ", notify: {path: /x}}", "needs 'notify.backends' too"},
        {"{" BASIC ", notify: {backends: chat}}", "'notify' needs 'secrets'"},
        {"{" BASIC ", notify: {backends: chap, secrets: x}}", "did you mean 'chat'?"},
        {"{" BASIC ", notify: {backends: chat, secrets: [x, y, z]}}", "two secrets at most"},
        {"{" BASIC ", notify: {backends: chat, secrets: x, path: y}}", "must begin with '/'"},
        {"{" BASIC ", address_map: {\"a\": \"b:1\"}}", "bad address 'a'"},
        {"{" BASIC ", address_map: [\"a:1\"]}", "must be a mapping like"},
        {"{" BASIC ", relay: {listen: \"1.2.3.4\"}}", "bad address"},
        {"{master: m, sentinels: []}", "must name 1 to 64 sentinels"},
        {"{master: m, sentinels: [\":26379\"]}", "bad address"},
        {"{master: \"a b\", sentinels: [\"s:1\"]}", "bad name of a master"},
        {"{sentinels: [\"s:1\"]}", "sentinel needs 'master'"},
        {"[]", "'sentinel' is empty"},
        {"[x]", "must be a mapping or a list"},
        {"[{" BASIC "}, {" BASIC "}]", "master 'm' is listed twice"},
        {"[{" BASIC ", admin: {socket: /a}}, {master: n, sentinels: \"s:1\", admin: {socket: /b}}]",
         "give them once"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, BALANCER "sentinel: %s\n", cases[i].text);
        expect_refused(WATCH, text, cases[i].message);
        expect_refused(LIMPET, text, cases[i].message);
    }
    expect_refused(WATCH, BALANCER, "'sentinel' is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_in_a_file),         cmocka_unit_test(test_all_together),
        cmocka_unit_test(test_limpet_knows_no_secrets), cmocka_unit_test(test_secrets_in_files),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
