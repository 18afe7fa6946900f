// SPDX-License-Identifier: Apache-2.0
/* What a good file becomes: defaults, inheritance, references, endpoints and kinds of checks. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config *load(const char *text)
{
    struct problems problems;
    struct config *config = config_load_text("test", span_str(text), &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    assert_non_null(config);
    problems_free(&problems);
    return config;
}

static void test_the_smallest_file(void **state)
{
    (void)state;
    struct config *config = load("frontends:\n"
                                 "  main: {listen: \":8080\", backend: chat}\n"
                                 "backends:\n"
                                 "  chat: {servers: [\"127.0.0.1:3001\", \"[::1]:3002\"]}\n");
    assert_string_equal(config->file, "test");
    assert_int_equal(config->process.workers, 0);
    assert_int_equal(config->process.grace_ms, 30000);
    assert_true(config->process.master);
    assert_null(config->process.user);
    assert_null(config->admin.socket);
    assert_int_equal(config->admin.socket_mode, 0660);
    assert_int_equal(config->log.level, CONFIG_LOG_INFO);
    assert_string_equal(config->log.access_to, "stderr");

    const struct config_frontend *frontend = &config->frontends[0];
    assert_string_equal(frontend->name, "main");
    assert_int_equal(frontend->listen_count, 1);
    assert_int_equal(frontend->listens[0].endpoint.kind, ENDPOINT_ADDR);
    assert_int_equal(addr_port(&frontend->listens[0].endpoint.addr), 8080);
    assert_int_equal(frontend->backend, 0);
    assert_int_equal(frontend->opt.limit_header_bytes, 16384);
    assert_int_equal(frontend->opt.trusted_proxies_count, 0);

    const struct config_backend *backend = &config->backends[0];
    assert_int_equal(backend->opt.balance, BALANCE_LEASTCONN);
    assert_int_equal(backend->opt.sticky_count, 2);
    assert_int_equal(backend->opt.sticky[1], STICKY_COOKIE);
    assert_string_equal(backend->opt.sid_paths[0], "/socket.io/");
    assert_int_equal(backend->health_kind, HEALTH_TCP);
    assert_true(backend->opt.health_tcp);
    assert_int_equal(backend->server_count, 2);
    assert_string_equal(backend->servers[0].name, "127.0.0.1:3001");
    assert_string_equal(backend->servers[1].name, "::1:3002");
    assert_int_equal(backend->servers[1].opt.weight, 1);
    config_free(config);
}

static void test_defaults_and_references(void **state)
{
    (void)state;
    struct config *config = load(
        "defaults:\n"
        "  timeouts: {connect: 3s, request: 7s, idle: 1s}\n"
        "  limits: {headers: 50}\n"
        "  backend: b\n"
        "  sticky: [source]\n"
        "x-anything: 1\n"
        "frontends:\n"
        "  one: {listen: [\":0\", {address: \":0\"}], timeouts: {request: 8s}}\n"
        "  two:\n"
        "    listen: {address: \"unix:/run/two.sock\", x-y: 1}\n"
        "    backend: a\n"
        "    routes: [{host: \"*.example.com\", backend: b}, {path: /x, backend: a}]\n"
        "backends:\n"
        "  a: {servers: {s: 127.0.0.1:1, t: {address: \"host:2\", weight: 0, backup: true}}}\n"
        "  b: {timeouts: {idle: 2s}, sticky: sid, servers: [\"127.0.0.1:1\"]}\n");
    assert_int_equal(config->frontends[0].opt.timeout_request_ms, 8000);
    assert_int_equal(config->frontends[1].opt.timeout_request_ms, 7000);
    assert_int_equal(config->frontends[1].opt.limit_headers, 50);
    assert_int_equal(config->frontends[0].backend, 1);
    assert_int_equal(config->frontends[0].listen_count, 2);
    assert_int_equal(config->frontends[1].backend, 0);
    assert_int_equal(config->frontends[1].route_count, 2);
    assert_int_equal(config->frontends[1].routes[0].backend, 1);
    assert_int_equal(config->frontends[1].routes[1].backend, 0);
    assert_int_equal(config->backends[0].opt.timeout_connect_ms, 3000);
    assert_int_equal(config->backends[0].opt.sticky[0], STICKY_SOURCE);
    assert_int_equal(config->backends[1].opt.timeout_idle_ms, 2000);
    assert_int_equal(config->backends[1].opt.sticky_count, 1);
    assert_int_equal(config->backends[1].opt.sticky[0], STICKY_SID);
    assert_int_equal(config->backends[0].servers[1].endpoint.kind, ENDPOINT_NAME);
    assert_int_equal(config->backends[0].servers[1].opt.weight, 0);
    assert_true(config->backends[0].servers[1].opt.backup);
    config_free(config);
}

static void expect_health(const char *defaults, const char *own, enum health_kind kind)
{
    char text[512];
    snprintf(text, sizeof text,
             "defaults: {health: {%s}}\n"
             "frontends: {main: {listen: \":0\", backend: chat}}\n"
             "backends: {chat: {servers: [\"127.0.0.1:1\"], health: {%s}}}\n",
             defaults, own);
    struct config *config = load(text);
    assert_int_equal(config->backends[0].health_kind, kind);
    assert_true(config->backends[0].opt.health_tcp == (kind == HEALTH_TCP));
    assert_true((config->backends[0].opt.health_http_path != NULL) == (kind == HEALTH_HTTP));
    config_free(config);
}

static void test_kinds_of_checks(void **state)
{
    (void)state;
    expect_health("", "", HEALTH_TCP);
    expect_health("", "tcp: true", HEALTH_TCP);
    expect_health("", "tcp: false", HEALTH_NONE);
    expect_health("", "http: {path: /h}", HEALTH_HTTP);
    expect_health("", "tcp: false, http: {path: /h}", HEALTH_HTTP);
    expect_health("", "engineio: {path: /e}", HEALTH_ENGINEIO);
    expect_health("http: {path: /h}", "", HEALTH_HTTP);
    expect_health("http: {path: /h}", "http: {expect: 200}", HEALTH_HTTP);
    expect_health("http: {path: /h}", "tcp: true", HEALTH_TCP);
    expect_health("http: {path: /h}", "engineio: {path: /e}", HEALTH_ENGINEIO);
    expect_health("tcp: true", "http: {path: /h}", HEALTH_HTTP);
    expect_health("tcp: false", "", HEALTH_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_file),
        cmocka_unit_test(test_defaults_and_references),
        cmocka_unit_test(test_kinds_of_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
