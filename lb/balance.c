// SPDX-License-Identifier: Apache-2.0
/*
 * Choosing a server for a request that has no owner.
 *
 * A round looks at one tier after the other (the backup tier only when the main tier has no usable
 * server that was not tried; those that missed a Redis failover only when there are no others), and a
 * policy picks one of the servers of a tier that may get it and have a place left. server_take makes
 * the pick real. Another worker may have taken the last place meanwhile: then the next round no longer
 * sees that server. Nothing is allocated and nothing is locked: a policy walks the servers once, random
 * three times, and asks `eligible` about each.
 *
 *   leastconn   least (load + 1) / weight; ties go to whom the rotating start meets first
 *   roundrobin  smooth and weighted: everybody earns its weight, the richest pays the total
 *   random      two weighted draws, the less loaded of them
 *   source,hash least -ln(u) / weight with u from hash(key, server): weighted rendezvous, so a server
 *               that comes or goes moves only its own share of keys, and a full one's keys go to
 *               their next best
 */
#include "lb/balance.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* One round's view. */
struct round {
    struct backend *backend;
    const struct balance_input *input; /* NULL: nothing was tried */
    bool backup, stale;                /* which tier; servers that missed a Redis failover, too? */
    bool skip_full;
};

static int weight_of(const struct server *server)
{
    return atomic_load_explicit(&server->weight_now, memory_order_relaxed);
}

static bool was_tried(const struct balance_input *input, const struct server *server)
{
    if (!input)
        return false;
    for (size_t i = 0; i < input->tried_count; i++)
        if (input->tried[i] == server)
            return true;
    return false;
}

/* May the server at this index be given it? */
static bool eligible(const struct round *round, size_t index)
{
    const struct backend *backend = round->backend;
    const struct server *server = backend->servers[index];
    return backend->config->servers[index].opt.backup == round->backup && server_usable(server) &&
           (round->stale || !server_stale(server)) && !(round->skip_full && server_full(server)) &&
           !was_tried(round->input, server);
}

struct burden {
    int64_t load;
    int weight;
};

static struct burden burden_of(const struct server *server)
{
    return (struct burden){server_load(server) + 1, weight_of(server)};
}

/* Is a the lighter one, for its weight? Loads are far below 2^40 and weights below 2^17: no overflow. */
static bool lighter(struct burden a, struct burden b)
{
    return a.load * b.weight < b.load * a.weight;
}

static struct server *pick_leastconn(const struct round *round)
{
    struct backend *backend = round->backend;
    size_t index = round->input->state->turn++ % backend->server_count;
    struct server *best = NULL;
    struct burden least = {0};

    for (size_t i = 0; i < backend->server_count; i++) {
        if (eligible(round, index)) {
            struct burden burden = burden_of(backend->servers[index]);
            if (!best || lighter(burden, least)) {
                best = backend->servers[index];
                least = burden;
            }
        }
        if (++index == backend->server_count)
            index = 0;
    }
    return best;
}

static struct server *pick_roundrobin(const struct round *round)
{
    struct backend *backend = round->backend;
    struct balance_state *state = round->input->state;
    size_t start = state->turn % backend->server_count, best_index = 0;
    struct server *best = NULL;
    int64_t total = 0;

    for (size_t i = 0; i < backend->server_count; i++) {
        size_t index = (start + i) % backend->server_count;
        struct server *server = backend->servers[index];
        if (!eligible(round, index))
            continue;
        int weight = weight_of(server);
        state->credit[index] += weight;
        total += weight;
        if (best && state->credit[index] <= state->credit[best_index])
            continue;
        best = server;
        best_index = index;
    }
    if (best)
        state->credit[best_index] -= total;
    return best;
}

/* A weighted draw among the eligible, whose weights are `total`, without `except`. */
static struct server *draw(const struct round *round, int64_t total, const struct server *except)
{
    struct backend *backend = round->backend;
    if (total <= 0)
        return NULL;
    int64_t at = (int64_t)rng_below(round->input->rng, (uint64_t)total);
    struct server *last = NULL;

    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[i];
        if (server == except || !eligible(round, i))
            continue;
        last = server;
        at -= weight_of(server);
        if (at < 0)
            break;
    }
    return last; // weights may have changed since they were added up: then the last one
}

static struct server *pick_random(const struct round *round)
{
    const struct backend *backend = round->backend;
    int64_t total = 0;
    for (size_t i = 0; i < backend->server_count; i++)
        total += eligible(round, i) ? weight_of(backend->servers[i]) : 0;
    struct server *one = draw(round, total, NULL);
    struct server *two = one ? draw(round, total - weight_of(one), one) : NULL;
    return two && lighter(burden_of(two), burden_of(one)) ? two : one;
}

static struct server *pick_rendezvous(const struct round *round, uint64_t hash)
{
    struct backend *backend = round->backend;
    struct server *best = NULL;
    double best_score = 0;

    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[i];
        int weight = weight_of(server);
        if (weight <= 0 || !eligible(round, i))
            continue;
        // u in (0, 1): 53 bits and a half
        double u = ((double)(hash_mix(hash, server->name_hash) >> 11) + 0.5) * 0x1p-53;
        double score = -log(u) / weight;
        if (!best || score < best_score) {
            best = server;
            best_score = score;
        }
    }
    return best;
}

static struct server *pick(const struct round *round)
{
    if (round->backend->server_count == 0)
        return NULL;
    switch (round->backend->config->opt.balance) {
    case BALANCE_LEASTCONN:
        return pick_leastconn(round);
    case BALANCE_ROUNDROBIN:
        return pick_roundrobin(round);
    case BALANCE_RANDOM:
        return pick_random(round);
    case BALANCE_SOURCE:
        return pick_rendezvous(round, round->input->source_hash);
    case BALANCE_HASH:
        return pick_rendezvous(round, round->input->key_hash);
    }
    return NULL;
}

bool balance_state_init(struct balance_state *state, const struct backend *backend, struct rng *rng)
{
    state->turn = (uint32_t)rng_next(rng);
    state->credit = calloc(backend->server_count + 1, sizeof(*state->credit));
    return state->credit != NULL;
}

void balance_state_fini(struct balance_state *state)
{
    free(state->credit);
    state->credit = NULL;
}

/* Is there somebody in this tier who only lacks a place? */
static bool anybody_full(const struct round *round)
{
    struct round with_full = *round;
    with_full.skip_full = false;
    for (size_t i = 0; round->skip_full && i < round->backend->server_count; i++) {
        if (eligible(&with_full, i))
            return true;
    }
    return false;
}

static void round_tier(struct round *round, int tier)
{
    round->backup = tier % 2 == 1;
    round->stale = tier >= 2;
}

enum { TIERS = 4 };

enum balance_result balance_choose(struct backend *backend, const struct balance_input *input,
                                   struct server **out)
{
    struct round round = {.backend = backend, .input = input, .skip_full = true};

    *out = NULL;
    // A round is lost only to somebody who won; a few more than there are servers is plenty.
    for (size_t tries = 0; tries < backend->server_count + 4; tries++) {
        struct server *server = NULL;
        for (int tier = 0; tier < TIERS && !server; tier++) {
            round_tier(&round, tier);
            server = pick(&round);
            if (!server && anybody_full(&round))
                return BALANCE_FULL;
        }
        if (!server)
            return BALANCE_NONE;
        if (server_take(server)) {
            *out = server;
            return BALANCE_CHOSEN;
        }
    }
    return BALANCE_FULL;
}

struct server *balance_rendezvous(struct backend *backend, uint64_t hash,
                                  const struct balance_input *input)
{
    struct round round = {.backend = backend, .input = input};
    struct server *server = NULL;
    for (int tier = 0; tier < TIERS && !server; tier++) {
        round_tier(&round, tier);
        server = pick_rendezvous(&round, hash);
    }
    return server;
}
