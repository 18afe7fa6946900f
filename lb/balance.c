// SPDX-License-Identifier: Apache-2.0
/*
 * Choosing a server for a request that has no owner.
 *
 * One round: `candidates` are the servers that may get it and have a place left, of one tier (the
 * backup tier only when the main tier has no usable server that was not tried; those that missed a
 * Redis failover only when there are no others). A policy picks one
 * of them; server_take makes the pick real. Another worker may have taken the last place meanwhile:
 * then the next round no longer sees that server. Nothing is allocated and nothing is locked: a
 * policy walks the servers and asks `eligible` about each.
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
    size_t eligible; /* servers in the round */
    int64_t total_weight;
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

static bool eligible(const struct round *round, const struct server *server)
{
    const struct config_server *config = backend_server_config(round->backend, server);
    return config && config->opt.backup == round->backup && server_usable(server) &&
           (round->stale || !server_stale(server)) && !(round->skip_full && server_full(server)) &&
           !was_tried(round->input, server);
}

/* Picks the tier and counts it. False: nobody is usable; *full then says whether somebody would be
 * if it had a place. */
static bool round_begin(struct round *round, bool *full)
{
    *full = false;
    for (int tier = 0; tier < 4 && !*full; tier++) {
        round->backup = tier % 2 == 1;
        round->stale = tier >= 2;
        round->eligible = 0;
        round->total_weight = 0;
        for (size_t i = 0; i < round->backend->server_count; i++) {
            const struct server *server = round->backend->servers[i];
            if (eligible(round, server)) {
                round->eligible++;
                round->total_weight += weight_of(server);
            } else if (round->skip_full && server_full(server)) {
                struct round with_full = *round;
                with_full.skip_full = false;
                *full = *full || eligible(&with_full, server);
            }
        }
        if (round->eligible > 0 && round->total_weight > 0)
            return true;
    }
    return false;
}

/* Is a less loaded than b, for its weight? Loads are far below 2^40 and weights below 2^17: no
 * overflow. */
static bool less_loaded(const struct server *a, const struct server *b)
{
    return (server_load(a) + 1) * weight_of(b) < (server_load(b) + 1) * weight_of(a);
}

static struct server *pick_leastconn(const struct round *round)
{
    struct backend *backend = round->backend;
    size_t start = round->input->state->turn++ % backend->server_count;
    struct server *best = NULL;

    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[(start + i) % backend->server_count];
        if (eligible(round, server) && (!best || less_loaded(server, best)))
            best = server;
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
        if (!eligible(round, server))
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

/* A weighted draw among the eligible, without `except`. */
static struct server *draw(const struct round *round, const struct server *except)
{
    struct backend *backend = round->backend;
    int64_t total = round->total_weight - (except ? weight_of(except) : 0);
    if (total <= 0)
        return NULL;
    int64_t at = (int64_t)rng_below(round->input->rng, (uint64_t)total);
    struct server *last = NULL;

    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[i];
        if (server == except || !eligible(round, server))
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
    struct server *one = draw(round, NULL);
    struct server *two = one && round->eligible > 1 ? draw(round, one) : NULL;
    return two && less_loaded(two, one) ? two : one;
}

static struct server *pick_rendezvous(const struct round *round, uint64_t hash)
{
    struct backend *backend = round->backend;
    struct server *best = NULL;
    double best_score = 0;

    for (size_t i = 0; i < backend->server_count; i++) {
        struct server *server = backend->servers[i];
        int weight = weight_of(server);
        if (weight <= 0 || !eligible(round, server))
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

enum balance_result balance_choose(struct backend *backend, const struct balance_input *input,
                                   struct server **out)
{
    struct round round = {.backend = backend, .input = input, .skip_full = true};
    bool full;

    *out = NULL;
    // A round is lost only to somebody who won; a few more than there are servers is plenty.
    for (size_t tries = 0; tries < backend->server_count + 4; tries++) {
        if (!round_begin(&round, &full))
            return full ? BALANCE_FULL : BALANCE_NONE;
        struct server *server = pick(&round);
        if (server && server_take(server)) {
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
    bool full;

    return round_begin(&round, &full) ? pick_rendezvous(&round, hash) : NULL;
}
