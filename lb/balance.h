// SPDX-License-Identifier: Apache-2.0
/*
 * Who gets a request that has no owner: leastconn (weighted load), roundrobin (smooth, weighted), random (the better of two), source and
 * hash (rendezvous hashing on stable server names, weighted: all workers and all balancers agree without talking).
 * Backup servers only when no other is usable. Decides on atomics; knows no bytes.
 */
#ifndef LIMPET_LB_BALANCE_H
#define LIMPET_LB_BALANCE_H

#include "base/rand.h"
#include "lb/server.h"

/* What one worker remembers for roundrobin in one backend. */
struct balance_state {
    int64_t *credit; /* per server */
    uint32_t turn;   /* where ties begin, so that workers do not march in step */
};
bool balance_state_init(struct balance_state *state, const struct backend *backend,
                        struct rng *rng);
void balance_state_fini(struct balance_state *state);

enum { BALANCE_TRIED_MAX = 12 };
struct balance_input {
    struct rng *rng;
    struct balance_state *state;
    uint64_t source_hash; /* of the client's address: hash_stable(addr_ip_bytes) */
    uint64_t key_hash;    /* of hash_on's value; source_hash when that value is absent */
    const struct server *tried[BALANCE_TRIED_MAX]; /* not again */
    size_t tried_count;
};

enum balance_result {
    BALANCE_CHOSEN,
    BALANCE_FULL, /* usable servers exist, all are at their limit */
    BALANCE_NONE, /* no usable server (that was not tried) */
};
/* On BALANCE_CHOSEN *out has been taken (server_take). */
enum balance_result balance_choose(struct backend *backend, const struct balance_input *input,
                                   struct server **out);

/* The rendezvous choice alone, for `sticky: source`: among usable servers; takes nothing. NULL: none. */
struct server *balance_rendezvous(struct backend *backend, uint64_t hash,
                                  const struct balance_input *input);

#endif
