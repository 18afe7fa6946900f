// SPDX-License-Identifier: Apache-2.0
/* Generators and hashes against published vectors, and the shape of what is drawn. */
#include "base/rand.h"

#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void xoshiro_is_the_published_one(void **state)
{
    (void)state;
    struct rng rng = {{1, 2, 3, 4}};
    assert_int_equal(rng_next(&rng), 11520);
    assert_int_equal(rng_next(&rng), 0);
    assert_int_equal(rng_next(&rng), 1509978240);
    assert_int_equal(rng_next(&rng), UINT64_C(1215971899390074240));
    rng_seed(&rng, 1234567); // splitmix64's vector
    assert_int_equal(rng.s[0], UINT64_C(6457827717110365317));
}

/* The reference vectors: key 00 01 … 0f, input 00 01 … of each length. */
static void siphash_is_the_published_one(void **state)
{
    (void)state;
    static const struct hash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    static const uint64_t expected[] = {
        UINT64_C(0xabac0158050fc4dc), UINT64_C(0xc9f49bf37d57ca93), UINT64_C(0x82cb9b024dc7d44d),
        UINT64_C(0x8bf80ab8e7ddf7fb), UINT64_C(0xcf75576088d38328), UINT64_C(0xdef9d52f49533b67),
        UINT64_C(0xc50d2b50c59f22a7), UINT64_C(0xd3927d989bb11140), UINT64_C(0x369095118d299a8e),
        UINT64_C(0x25a48eb36c063de4), UINT64_C(0x79de85ee92ff097f), UINT64_C(0x70c118c1f94dc352),
    };
    char input[array_len(expected)];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (char)i;
    for (size_t i = 0; i < array_len(expected); i++)
        assert_int_equal(hash_keyed(&key, span_of(input, i)), expected[i]);
}

/* Balancers of different versions must agree: these values may never change. */
static void the_stable_hash_is_stable(void **state)
{
    (void)state;
    assert_int_equal(hash_stable(SPAN("")), UINT64_C(0xe757f772d268a5e5));
    assert_int_equal(hash_stable(SPAN("app01")), UINT64_C(0x982d125a4ca0c04b));
    assert_int_equal(hash_mix(1, 2), UINT64_C(0x081a5c1377856b73));
    assert_true(hash_mix(1, 2) != hash_mix(2, 1));
}

static void below_is_uniform_and_below(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[rng_below(&rng, 7)]++;
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(rng_below(&rng, 1), 0);
        assert_true(rng_below(&rng, UINT64_MAX) < UINT64_MAX);
    }
}

static void jitter_stays_in_its_range(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed_from_system(&rng);
    int64_t least = 2000, most = 2000;
    for (int i = 0; i < 10000; i++) {
        int64_t value = rng_jitter(&rng, 2000, 10);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    assert_in_range(least, 1800, 1820);
    assert_in_range(most, 2180, 2200);
    assert_int_equal(rng_jitter(&rng, 2000, 0), 2000);
    assert_int_equal(rng_jitter(&rng, 0, 10), 0);
}

static void secrets_differ(void **state)
{
    (void)state;
    char a[32] = {0}, b[32] = {0};
    rand_secret(a, sizeof(a));
    rand_secret(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void clocks_go_forward(void **state)
{
    (void)state;
    int64_t us = clock_mono_us();
    assert_true(clock_mono_us() >= us);
    assert_in_range(clock_mono_ms(), us / 1000, us / 1000 + 10000);
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xoshiro_is_the_published_one),
        cmocka_unit_test(siphash_is_the_published_one),
        cmocka_unit_test(the_stable_hash_is_stable),
        cmocka_unit_test(below_is_uniform_and_below),
        cmocka_unit_test(jitter_stays_in_its_range),
        cmocka_unit_test(secrets_differ),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
