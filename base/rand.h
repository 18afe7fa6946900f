// SPDX-License-Identifier: Apache-2.0
/*
 * Randomness and keyed hashing. `struct rng` is a fast generator (xoshiro256**) for choices that
 * need no secrecy (balancing, jitter), seeded from the system or by a test; rand_secret gives
 * secrets. hash_keyed is SipHash-1-3 with a 128-bit key: an attacker who does not know the key
 * cannot choose collisions. hash_stable is the same with a fixed key: equal on every machine, for
 * rendezvous hashing only.
 */
#ifndef LIMPET_BASE_RAND_H
#define LIMPET_BASE_RAND_H

#include "base/span.h"

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
void rng_seed_from_system(struct rng *rng);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* uniform in [0, bound), bound > 0 */
/* value ± percent, e.g. for jittered intervals. */
int64_t rng_jitter(struct rng *rng, int64_t value, int percent);

void rand_secret(void *out, size_t size); /* getrandom(2); aborts if the system has none */

struct hash_key {
    uint64_t k0, k1;
};
uint64_t hash_keyed(const struct hash_key *key, struct span bytes);
uint64_t hash_stable(struct span bytes);
uint64_t hash_mix(uint64_t a, uint64_t b); /* combines two hashes, e.g. of key and server name */

#endif
