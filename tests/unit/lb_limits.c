// SPDX-License-Identifier: Apache-2.0
/* Limits per client address. */
#include "lb/limits.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

static struct addr v4(uint32_t number)
{
    struct addr addr = {.len = sizeof(addr.v4)};
    addr.v4.sin_family = AF_INET;
    addr.v4.sin_port = htons((uint16_t)(1024 + number % 1000)); // ports do not matter
    addr.v4.sin_addr.s_addr = htonl(0x0a000000 + number);
    return addr;
}

static struct addr v6(const char *text)
{
    struct addr addr = {.len = sizeof(addr.v6)};
    addr.v6.sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &addr.v6.sin6_addr), 1);
    return addr;
}

static void connections_are_counted(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr a = v4(1), b = v4(2);
    for (int i = 0; i < 3; i++)
        assert_true(limits_connect(limits, &a, 3));
    assert_false(limits_connect(limits, &a, 3));
    assert_true(limits_connect(limits, &b, 3));
    assert_int_equal(limits_used(limits), 2);
    limits_disconnect(limits, &a);
    assert_true(limits_connect(limits, &a, 3));
    assert_false(limits_connect(limits, &a, 3));
    assert_true(limits_connect(limits, &a, 4)); // the limit was raised
    for (int i = 0; i < 4; i++)
        limits_disconnect(limits, &a);
    limits_disconnect(limits, &b);
    assert_int_equal(limits_used(limits), 0); // and forgotten
    limits_disconnect(limits, &b);            // harmless
    assert_true(limits_connect(limits, &a, 0));
    assert_int_equal(limits_used(limits), 0); // no limit, nothing to remember
    limits_free(limits);
}

static void ipv6_counts_by_its_network(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr a = v6("2001:db8:1:2::1"), same = v6("2001:db8:1:2:ffff::9"),
                other = v6("2001:db8:1:3::1");
    struct addr mapped = v6("::ffff:10.0.0.1"), plain = v4(1);
    assert_true(limits_connect(limits, &a, 1));
    assert_false(limits_connect(limits, &same, 1));
    assert_true(limits_connect(limits, &other, 1));
    assert_true(limits_connect(limits, &mapped, 1));
    assert_false(limits_connect(limits, &plain, 1)); // the same client
    // an IPv4 address is no IPv6 prefix
    struct addr alike = v6("a00:1::");
    assert_true(limits_connect(limits, &alike, 1));
    limits_free(limits);
}

static void unix_sockets_have_no_address(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr addr = {.len = sizeof(sa_family_t)};
    struct rate rate = {1, 1000};
    addr.any.sa_family = AF_UNIX;
    for (int i = 0; i < 10; i++) {
        assert_true(limits_connect(limits, &addr, 1));
        assert_true(limits_handshake(limits, &addr, &rate, 0));
    }
    assert_int_equal(limits_used(limits), 0);
    limits_disconnect(limits, &addr);
    limits_free(limits);
}

static void a_bucket_is_as_deep_as_its_rate(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr a = v4(1), b = v4(2);
    struct rate rate = {20, 1000};
    int64_t now = 5000;
    for (int i = 0; i < 20; i++)
        assert_true(limits_handshake(limits, &a, &rate, now));
    assert_false(limits_handshake(limits, &a, &rate, now));
    assert_true(limits_handshake(limits, &b, &rate, now));
    assert_false(limits_handshake(limits, &a, &rate, now + 49));
    assert_true(limits_handshake(limits, &a, &rate, now + 50)); // one token in 50 ms
    assert_false(limits_handshake(limits, &a, &rate, now + 50));
    for (int i = 0; i < 20; i++)
        assert_true(limits_handshake(limits, &a, &rate, now + 5000)); // full again, and not fuller
    assert_false(limits_handshake(limits, &a, &rate, now + 5000));
    struct rate none = {0, 1000};
    for (int i = 0; i < 100; i++)
        assert_true(limits_handshake(limits, &a, &none, now + 5000));
    limits_free(limits);
}

/* Sids that were nobody's: counted afterwards, so that many asked at once run into debt. */
static void misses_have_a_bucket_of_their_own(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr a = v4(1), b = v4(2);
    struct rate rate = {20, 1000};
    int64_t now = 5000;
    for (int i = 0; i < 100; i++)
        assert_true(limits_may_miss(limits, &a, &rate, now)); // asking counts nothing
    assert_int_equal(limits_used(limits), 0);
    for (int i = 0; i < 20; i++) {
        assert_true(limits_may_miss(limits, &a, &rate, now));
        limits_miss(limits, &a, &rate, now);
    }
    assert_false(limits_may_miss(limits, &a, &rate, now));
    assert_true(limits_may_miss(limits, &b, &rate, now));
    assert_true(limits_handshake(limits, &a, &rate, now));
    assert_true(limits_may_miss(limits, &a, &rate, now + 50));
    for (int i = 0; i < 40; i++)
        limits_miss(limits, &a, &rate, now); // these were on their way already
    assert_false(limits_may_miss(limits, &a, &rate, now + 2049));
    assert_true(limits_may_miss(limits, &a, &rate, now + 2050));
    for (int i = 0; i < 100000; i++)
        limits_miss(limits, &a, &rate, now);
    limits_sweep(limits, now + 2000); // still there, though its other bucket is full
    assert_false(limits_may_miss(limits, &a, &rate, now + 60049));
    assert_true(limits_may_miss(limits, &a, &rate, now + 60050));
    limits_sweep(limits, now + 61000);
    assert_int_equal(limits_used(limits), 0);
    struct rate none = {0, 1000};
    limits_miss(limits, &a, &none, now);
    assert_true(limits_may_miss(limits, &a, &none, now));
    limits_free(limits);
}

static void slow_rates_are_exact(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct addr a = v4(1);
    struct rate rate = {7, 3600000}; // 7 an hour: not a whole number of milliseconds each
    int granted = 0;
    for (int64_t now = 0; now < 10 * (int64_t)3600000; now += 1000)
        granted += limits_handshake(limits, &a, &rate, now);
    assert_in_range(granted, 7 + 7 * 10 - 2, 7 + 7 * 10);
    limits_free(limits);
}

static void full_buckets_are_forgotten(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct rate rate = {20, 1000};
    for (uint32_t i = 0; i < 5000; i++) {
        struct addr a = v4(i);
        assert_true(limits_handshake(limits, &a, &rate, 1000));
    }
    struct addr held = v4(17);
    assert_true(limits_connect(limits, &held, 5));
    assert_int_equal(limits_used(limits), 5000);
    limits_sweep(limits, 1049);
    assert_int_equal(limits_used(limits), 5000);
    limits_sweep(limits, 1050);
    assert_int_equal(limits_used(limits), 1);
    limits_disconnect(limits, &held);
    limits_sweep(limits, 1050);
    assert_int_equal(limits_used(limits), 0);
    limits_free(limits);
}

/* A flood from more addresses than are remembered: bounded, and nobody is locked out. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    struct rate rate = {1, 3600000};
    for (uint32_t i = 0; i < 1150000; i++) {
        struct addr a = v4(i);
        assert_true(limits_handshake(limits, &a, &rate, 1000));
    }
    assert_true(limits_used(limits) <= 1 << 20);
    assert_true(limits_used(limits) > 1000000);
    struct addr late = v4(2000000);
    assert_true(limits_connect(limits, &late, 1));
    limits_disconnect(limits, &late);
    limits_free(limits);
}

struct job {
    struct limits *limits;
    _Atomic int open;
};

static void *connect_and_leave(void *arg)
{
    struct job *job = arg;
    struct addr a = v4(9);
    for (int i = 0; i < 30000; i++) {
        if (!limits_connect(job->limits, &a, 3))
            continue;
        assert_true(atomic_fetch_add(&job->open, 1) < 3);
        atomic_fetch_sub(&job->open, 1);
        limits_disconnect(job->limits, &a);
    }
    return NULL;
}

static void holds_between_threads(void **state)
{
    (void)state;
    struct job job = {.limits = limits_new()};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_and_leave, &job), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(limits_used(job.limits), 0);
    limits_free(job.limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_counted),
        cmocka_unit_test(ipv6_counts_by_its_network),
        cmocka_unit_test(unix_sockets_have_no_address),
        cmocka_unit_test(a_bucket_is_as_deep_as_its_rate),
        cmocka_unit_test(misses_have_a_bucket_of_their_own),
        cmocka_unit_test(slow_rates_are_exact),
        cmocka_unit_test(full_buckets_are_forgotten),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(holds_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
