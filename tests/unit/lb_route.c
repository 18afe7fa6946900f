// SPDX-License-Identifier: Apache-2.0
/* Host and path → backend. */
#include "lb/route.h"

#include "base/mem.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *host, *path;
};

/* A table whose rule number i leads to backend 10 + i, and everything else to 5. */
static struct route_table *table_of(const struct row *rows, size_t count)
{
    struct config_route *routes = calloc(count + 1, sizeof(*routes));
    for (size_t i = 0; i < count; i++) {
        routes[i].opt.host = (char *)rows[i].host;
        routes[i].opt.path = (char *)rows[i].path;
        routes[i].backend = 10 + i;
    }
    struct config_frontend frontend = {.routes = routes, .route_count = count, .backend = 5};
    struct route_table *table = route_table_new(&frontend);
    free(routes);
    return table;
}

static ptrdiff_t find(const struct route_table *table, const char *host, const char *path)
{
    const struct rules *rules;
    return route_find(table, span_str(host), span_str(path), &rules);
}

static void without_routes(void **state)
{
    (void)state;
    struct route_table *table = table_of(NULL, 0);
    assert_int_equal(find(table, "x", "/"), 5);
    route_table_free(table);
    struct config_frontend frontend = {.backend = -1};
    table = route_table_new(&frontend);
    assert_int_equal(find(table, "x", "/"), -1);
    route_table_free(table);
    route_table_free(NULL);
}

static void hosts(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"chat.example.com", NULL}, {"*.example.com", NULL}, {"Shop.Example.NET", "/"},
        {"[2001:db8::1]", NULL},    {"10.0.0.1", NULL},
    };
    struct route_table *table = table_of(rows, array_len(rows));
    assert_int_equal(find(table, "chat.example.com", "/"), 10);
    assert_int_equal(find(table, "CHAT.example.COM", "/"), 10);
    assert_int_equal(find(table, "chat.example.com:8080", "/"), 10);
    assert_int_equal(find(table, "chat.example.com.", "/"), 10);
    assert_int_equal(find(table, "chat.example.com.:80", "/"), 10);
    assert_int_equal(find(table, "a.example.com", "/"), 11);
    assert_int_equal(find(table, "a.b.c.example.com", "/"), 11);
    assert_int_equal(find(table, "a.chat.example.com", "/"), 11);
    assert_int_equal(find(table, "example.com", "/"), 5);
    assert_int_equal(find(table, ".example.com", "/"), 5);
    assert_int_equal(find(table, "notexample.com", "/"), 5);
    assert_int_equal(find(table, "shop.example.net", "/x"), 12);
    assert_int_equal(find(table, "[2001:db8::1]", "/"), 13);
    assert_int_equal(find(table, "[2001:DB8::1]:443", "/"), 13);
    assert_int_equal(find(table, "[2001:db8::2]:443", "/"), 5);
    assert_int_equal(find(table, "10.0.0.1:80", "/"), 14);
    assert_int_equal(find(table, "", "/"), 5);
    assert_int_equal(find(table, ":80", "/"), 5);
    assert_int_equal(find(table, ".", "/"), 5);
    char huge[4096];
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    memcpy(huge + sizeof(huge) - 14, ".example.com", 12);
    assert_int_equal(find(table, huge, "/"), 5);
    route_table_free(table);
}

static void the_first_match_wins(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"*.example.com", "/static/"},
        {"a.example.com", "/static/a"},
        {NULL, "/socket.io/"},
        {"a.example.com", NULL},
        {"*.com", NULL},
        {NULL, "/socket.io/late"},
        {"*", "/star"},
        {"b.org", "/socket.io/x"},
    };
    struct route_table *table = table_of(rows, array_len(rows));
    assert_int_equal(find(table, "a.example.com", "/static/a"), 10);
    assert_int_equal(find(table, "a.example.com", "/socket.io/?x"), 12);
    assert_int_equal(find(table, "a.example.com", "/other"), 13);
    assert_int_equal(find(table, "b.example.com", "/other"), 14);
    assert_int_equal(find(table, "b.org", "/socket.io/late"), 12);
    assert_int_equal(find(table, "b.org", "/socket.io"), 5);
    assert_int_equal(find(table, "b.org", "/star"), 16);
    assert_int_equal(find(table, "b.org", "/STAR"), 5);
    assert_int_equal(find(table, "b.org", "/socket.io/x"), 12);
    route_table_free(table);
}

/* The rules one after the other, as the manual says it. */
static ptrdiff_t naive(const struct row *rows, size_t count, const char *host, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        struct span pattern = span_str(rows[i].host), name = span_str(host);
        bool fits = !rows[i].host || span_eq(pattern, name) ||
                    (span_starts(pattern, SPAN("*.")) && name.len > pattern.len - 1 &&
                     span_ends(name, span_from(pattern, 1)));
        if (fits && (!rows[i].path || span_starts(span_str(path), span_str(rows[i].path))))
            return (ptrdiff_t)(10 + i);
    }
    return 5;
}

static void agrees_with_the_manual(void **state)
{
    (void)state;
    static const char *const patterns[] = {NULL,      "a.x",     "*.x", "b.a.x", "*.a.x",
                                           "c.b.a.x", "*.b.a.x", "y",   "*.y",   "a.y"};
    static const char *const asked[] = {"x", "a.x", "b.a.x", "c.b.a.x", "d.c.b.a.x",
                                        "y", "a.y", "z",     "q.z"};
    static const char *const paths[] = {NULL, "/", "/a", "/a/", "/a/b", "/b"};
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 300; round++) {
        struct row rows[40];
        size_t count = (size_t)rng_below(&rng, 40);
        for (size_t i = 0; i < count; i++) {
            rows[i].host = patterns[rng_below(&rng, array_len(patterns))];
            rows[i].path = paths[rng_below(&rng, array_len(paths))];
        }
        struct route_table *table = table_of(rows, count);
        for (size_t h = 0; h < array_len(asked); h++)
            for (size_t p = 1; p < array_len(paths); p++)
                assert_int_equal(find(table, asked[h], paths[p]),
                                 naive(rows, count, asked[h], paths[p]));
        route_table_free(table);
    }
}

static void many_hosts(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char names[COUNT][32];
    struct row rows[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), i % 2 ? "host%d.example" : "*.zone%d.example", i);
        rows[i] = (struct row){names[i], "/socket.io/"};
    }
    struct route_table *table = table_of(rows, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char host[40];
        snprintf(host, sizeof(host), "%s%s", i % 2 ? "" : "www", names[i] + (i % 2 ? 0 : 1));
        assert_int_equal(find(table, host, "/socket.io/"), 10 + i);
        assert_int_equal(find(table, host, "/"), 5);
    }
    route_table_free(table);
}

static bool is_signal(const char *configured, const char *path)
{
    char *backend = "chat";
    struct config_sentinel sentinel = {.opt = {.notify_path = (char *)configured,
                                               .notify_backends = &backend,
                                               .notify_backends_count = 1}};
    struct config config = {.sentinels = &sentinel, .sentinel_count = 1};
    return route_is_signal(&config, span_str(path));
}

static void signals_are_not_for_clients(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "/limpet/redis-failover",      "/limpet/redis-failover/",
        "//limpet///redis-failover//", "/%6Cimpet/redis%2dfailover",
        "/limpet%2Fredis-failover",    "/LIMPET/Redis-Failover",
        "/limpet/redis-failover%2f",   "/%6c%69%6d%70%65%74/redis-failover"};
    static const char *const others[] = {"/",
                                         "/limpet",
                                         "/limpet/redis-failove",
                                         "/limpet/redis-failover2",
                                         "/limpet/redis-failover/x",
                                         "/limpet/redis-failover%",
                                         "/limpet/redis-failover%2",
                                         "/a/limpet/redis-failover",
                                         ""};
    for (size_t i = 0; i < array_len(spellings); i++) {
        assert_true(is_signal("/limpet/redis-failover", spellings[i]));
        assert_true(is_signal("/limpet/redis-failover/", spellings[i]));
    }
    for (size_t i = 0; i < array_len(others); i++)
        assert_false(is_signal("/limpet/redis-failover", others[i]));
    struct config none = {.sentinel_count = 0};
    assert_false(route_is_signal(&none, SPAN("/limpet/redis-failover")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_routes),
        cmocka_unit_test(signals_are_not_for_clients),
        cmocka_unit_test(hosts),
        cmocka_unit_test(the_first_match_wins),
        cmocka_unit_test(agrees_with_the_manual),
        cmocka_unit_test(many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
