// SPDX-License-Identifier: Apache-2.0
/*
 * xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64; SipHash-1-3 (Aumasson and
 * Bernstein, 2012, with one compression and three finalisation rounds); multiply-shift for uniform
 * bounds (Lemire, 2019). Hashes read their input as little endian, so they are equal on every
 * machine.
 */
#include "base/rand.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

/* splitmix64's output function: every input bit reaches every output bit. */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        rng->s[i] = scramble(seed);
    }
}

void rng_seed_from_system(struct rng *rng)
{
    do {
        rand_secret(rng->s, sizeof(rng->s));
    } while ((rng->s[0] | rng->s[1] | rng->s[2] | rng->s[3]) == 0);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    assert(bound > 0);
    uint64_t reject_below = (0 - bound) % bound;
    unsigned __int128 product;
    do {
        product = (unsigned __int128)rng_next(rng) * bound;
    } while ((uint64_t)product < reject_below);
    return (uint64_t)(product >> 64);
}

int64_t rng_jitter(struct rng *rng, int64_t value, int percent)
{
    int64_t reach = value / 100 * percent + value % 100 * percent / 100;
    if (reach <= 0)
        return value;
    return value - reach + (int64_t)rng_below(rng, (uint64_t)reach * 2 + 1);
}

void rand_secret(void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fprintf(stderr, "the system gives no randomness: %s\n", strerror(errno));
            abort();
        }
        at += got;
        size -= (size_t)got;
    }
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* The last up to 7 bytes, with the length's low byte on top. */
static uint64_t sip_tail(const unsigned char *at, size_t left, size_t len)
{
    uint64_t word = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

uint64_t hash_keyed(const struct hash_key *key, struct span bytes)
{
    struct sip s = {
        key->k0 ^ UINT64_C(0x736f6d6570736575),
        key->k1 ^ UINT64_C(0x646f72616e646f6d),
        key->k0 ^ UINT64_C(0x6c7967656e657261),
        key->k1 ^ UINT64_C(0x7465646279746573),
    };
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        sip_word(&s, le64toh(word));
    }
    sip_word(&s, sip_tail(at, left, bytes.len));
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_stable(struct span bytes)
{
    static const struct hash_key fixed = {UINT64_C(0x6c696d7065742d73),
                                          UINT64_C(0x7461626c652d6b31)};
    return hash_keyed(&fixed, bytes);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a + UINT64_C(0x9e3779b97f4a7c15)) ^ b);
}
