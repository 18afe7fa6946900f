// SPDX-License-Identifier: Apache-2.0
/* A backend `chat` of toy servers app01, app02 … with its health checks, and the verdicts that
 * came. */
#ifndef LIMPET_TESTS_HEALTH_FIXTURE_H
#define LIMPET_TESTS_HEALTH_FIXTURE_H

#include "base/clock.h"
#include "health/health.h"
#include "toy_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

enum { FIXTURE_SERVERS = 4, FIXTURE_VERDICTS = 32 };

static struct loop loop;
static struct shelf *shelf;
static struct rng rng;
static struct toy toys[FIXTURE_SERVERS];
static struct config_server servers[FIXTURE_SERVERS];
static struct status_range expected = {200, 299};
static struct config_backend backend;
static struct health *health;

static struct verdict {
    size_t server;
    enum health_state old, now;
    char why[96];
    int64_t at_ms;
} verdicts[FIXTURE_VERDICTS];
static size_t verdict_count;

static inline void fixture_verdict(void *ctx, size_t server, enum health_state old,
                                   enum health_state now, const char *why)
{
    assert_ptr_equal(ctx, verdicts);
    assert_true(verdict_count < FIXTURE_VERDICTS);
    struct verdict *verdict = &verdicts[verdict_count++];
    *verdict = (struct verdict){.server = server, .old = old, .now = now, .at_ms = loop.now_ms};
    snprintf(verdict->why, sizeof(verdict->why), "%s", why);
}

/* Toy servers, all well; options that a test may change before fixture_start. */
static inline int fixture_setup(void **state)
{
    static char *names[] = {"app01", "app02", "app03", "app04"};
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    rng_seed(&rng, 1);
    memset(servers, 0, sizeof(servers));
    for (size_t i = 0; i < FIXTURE_SERVERS; i++) {
        toy_init(&toys[i], &loop, shelf);
        servers[i].name = names[i];
        servers[i].endpoint.kind = ENDPOINT_ADDR;
        servers[i].endpoint.addr = toys[i].addr;
    }
    backend = (struct config_backend){
        .name = (char *)"chat",
        .health_kind = HEALTH_HTTP,
        .servers = servers,
        .server_count = 3,
    };
    backend.opt.health_http_path = (char *)"/health";
    backend.opt.health_http_expect = &expected;
    backend.opt.health_http_expect_count = 1;
    backend.opt.health_engineio_path = (char *)"/socket.io/";
    backend.opt.health_interval_ms = 40;
    backend.opt.health_timeout_ms = 30;
    backend.opt.health_rise = 2;
    backend.opt.health_fall = 3;
    backend.opt.health_max_fails = 3;
    backend.opt.health_fail_timeout_ms = 200;
    verdict_count = 0;
    return 0;
}

static inline void fixture_start(size_t count)
{
    backend.server_count = count;
    health = health_new(&loop, shelf, &rng, &backend, fixture_verdict, verdicts);
    for (size_t i = 0; i < count; i++)
        health_set_addr(health, i, &toys[i].addr);
}

static inline int fixture_teardown(void **state)
{
    (void)state;
    health_free(health);
    health = NULL;
    for (size_t i = 0; i < FIXTURE_SERVERS; i++)
        toy_close(&toys[i]);
    loop_fini(&loop);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

static inline void run_for(int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    while (clock_mono_ms() < until_ms)
        loop_turn(&loop, 5);
}

/* Runs until `condition` holds; fails the test when it does not within ten seconds. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        int64_t give_up_ms = clock_mono_ms() + 10000;                                              \
        while (!(condition) && clock_mono_ms() < give_up_ms)                                       \
            loop_turn(&loop, 5);                                                                   \
        assert_true(condition);                                                                    \
    } while (0)

static inline const struct health_status *status_of(size_t server)
{
    return health_status(health, server);
}

/* Blocks the loop's own thread. */
static inline void block_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
