// SPDX-License-Identifier: Apache-2.0
/* Rules of a route: who may pass, however things are spelled. */
#include "lb/rules.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Would this request pass? `fields` are whole lines. */
static bool passes_from(const struct route_options *options, const char *from, const char *method,
                        const char *path, const char *fields)
{
    char text[1024];
    struct head head;
    struct head_error error;
    struct head_limits limits = {.header_bytes = 16384, .fields = 100, .target = 8000};
    size_t seen = 0;
    struct endpoint client;
    endpoint_parse(span_str(from), false, &client);
    assert_int_equal(client.kind, ENDPOINT_ADDR);
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path,
                     fields);
    enum head_result result = head_parse_request(&head, span_of(text, (size_t)n), &seen, &limits,
                                                 &error);
    assert_int_equal(result, HEAD_OK);
    struct rules *rules = rules_new(options);
    bool passes = !rules ||
                  !rules_refuse(rules, &client.addr, &head, text, slice_of(text, head.path));
    rules_free(rules);
    return passes;
}

static bool passes(const struct route_options *options, const char *method, const char *path,
                   const char *fields)
{
    return passes_from(options, "192.0.2.1:1", method, path, fields);
}

static void without_rules(void **state)
{
    (void)state;
    struct route_options none = {0};
    assert_null(rules_new(&none));
    assert_null(rules_request_fields(NULL));
    assert_true(passes(&none, "GET", "/", ""));
}

static void addresses(void **state)
{
    (void)state;
    struct netmask inside, one, six;
    assert_true(netmask_parse(SPAN("10.0.0.0/8"), &inside));
    assert_true(netmask_parse(SPAN("10.0.0.9"), &one));
    assert_true(netmask_parse(SPAN("2001:db8::/32"), &six));
    struct netmask allowed[] = {inside, six};
    struct route_options deny = {.deny = &one, .deny_count = 1};
    assert_false(passes_from(&deny, "10.0.0.9:1", "GET", "/", ""));
    assert_false(passes_from(&deny, "[::ffff:10.0.0.9]:1", "GET", "/", ""));
    assert_true(passes_from(&deny, "10.0.0.8:1", "GET", "/", ""));
    struct route_options both = {.allow = allowed, .allow_count = 2, .deny = &one, .deny_count = 1};
    assert_true(passes_from(&both, "10.1.2.3:1", "GET", "/", ""));
    assert_true(passes_from(&both, "[2001:db8::1]:1", "GET", "/", ""));
    assert_false(passes_from(&both, "10.0.0.9:1", "GET", "/", ""));
    assert_false(passes_from(&both, "192.0.2.1:1", "GET", "/", ""));
    assert_false(passes_from(&both, "unix:/run/x", "GET", "/", ""));
}

static void methods(void **state)
{
    (void)state;
    char *list[] = {"GET", "POST"};
    struct route_options options = {.methods = list, .methods_count = 2};
    assert_true(passes(&options, "GET", "/", ""));
    assert_true(passes(&options, "POST", "/", "Content-Length: 0\r\n"));
    assert_false(passes(&options, "DELETE", "/", ""));
    assert_false(passes(&options, "get", "/", ""));
    assert_false(passes(&options, "GETS", "/", ""));
}

static void paths(void **state)
{
    (void)state;
    char *list[] = {"/Admin", "/a/b/"};
    struct route_options options = {.deny_paths = list, .deny_paths_count = 2};
    static const char *const denied[] = {
        "/admin",        "/admin/",          "/ADMIN/x?y", "/administrator", "//admin",
        "/%61dmin",      "/%61%44MIN",       "/./admin",   "/x/../admin",    "/x/%2e%2e/admin",
        "/x/..%2fadmin", "/%2fadmin",        "/\\admin",   "/x\\..\\admin",  "/../../admin",
        "/x//..//admin", "/a/./b/",          "/a//b/c",    "/a/c/../b/",     "/a/b/c/..",
        "/a/b/.",        "/x/y/../../admin",
    };
    static const char *const fine[] = {
        "/",         "/adm",     "/x/admin", "/a/b",       "/a/b/..",   "/a/bc",    "/admi%6",
        "/x?/admin", "/..admin", "/.admin",  "/%2561dmin", "/admin/..", "/a/b/../",
    };
    for (size_t i = 0; i < array_len(denied); i++) {
        if (passes(&options, "GET", denied[i], ""))
            fail_msg("%s passed", denied[i]);
    }
    for (size_t i = 0; i < array_len(fine); i++) {
        if (!passes(&options, "GET", fine[i], ""))
            fail_msg("%s was refused", fine[i]);
    }
}

#define WEBSOCKET                                                                                  \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static bool opens(const struct route_options *options, const char *origin)
{
    char fields[512];
    snprintf(fields, sizeof fields, WEBSOCKET "Origin: %s\r\n", origin);
    return passes(options, "GET", "/", fields);
}

static void origins(void **state)
{
    (void)state;
    char *list[] = {"https://chat.example.com", "https://*.example.org", "http://localhost:3000"};
    struct route_options options = {.origins = list, .origins_count = 3};
    static const char *const listed[] = {
        "https://chat.example.com", "HTTPS://CHAT.example.com", "https://a.example.org",
        "https://a.b.example.org",  "http://localhost:3000",
    };
    static const char *const strange[] = {
        "https://example.com",
        "http://chat.example.com",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil",
        "https://example.org",
        "https://.example.org",
        "https://evil/.example.org",
        "https://evil:1@x.example.org",
        "https://xexample.org",
        "http://a.example.org",
        "http://localhost",
        "null",
        "https://a.example.org:1",
        "https://evil.com?.example.org",
    };
    for (size_t i = 0; i < array_len(listed); i++)
        assert_true(opens(&options, listed[i]));
    for (size_t i = 0; i < array_len(strange); i++) {
        if (opens(&options, strange[i]))
            fail_msg("%s passed", strange[i]);
    }
    assert_true(passes(&options, "GET", "/", WEBSOCKET));                  // no browser
    assert_true(passes(&options, "GET", "/", "Origin: https://evil\r\n")); // CORS's business
    assert_false(passes(&options, "GET", "/",
                        WEBSOCKET "Origin: https://chat.example.com\r\n"
                                  "Origin: https://evil\r\n"));
}

static void fields(void **state)
{
    (void)state;
    struct pair set[] = {{"X-A", "1"}, {"X-B", "two"}};
    char *remove[] = {"Server"};
    struct route_options options = {
        .response_set = set,
        .response_set_count = 2,
        .response_remove = remove,
        .response_remove_count = 1,
    };
    struct rules *rules = rules_new(&options);
    assert_null(rules_request_fields(rules));
    const struct header_edit *edit = rules_response_fields(rules);
    assert_int_equal(edit->set_count, 2);
    assert_int_equal(edit->drop_count, 3);
    assert_int_equal(edit->bytes, strlen("X-A: 1\r\nX-B: two\r\n"));
    assert_true(span_eq(edit->drop[2], SPAN("Server")));
    rules_free(rules);
    rules_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules), cmocka_unit_test(addresses), cmocka_unit_test(methods),
        cmocka_unit_test(paths),         cmocka_unit_test(origins),   cmocka_unit_test(fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
