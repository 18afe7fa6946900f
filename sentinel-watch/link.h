// SPDX-License-Identifier: Apache-2.0
/*
 * A lasting connection to one sentinel or Redis node: resolves its name (off the loop), connects,
 * and when that ends tries again, later and later, for as long as it lives.
 */
#ifndef LIMPET_SENTINEL_WATCH_LINK_H
#define LIMPET_SENTINEL_WATCH_LINK_H

#include "base/net.h"
#include "base/rand.h"
#include "base/redis.h"
#include "sentinel-watch/event.h"

/* What everything in sentinel-watch stands on. */
struct link_world {
    struct loop *loop;
    struct shelf *shelf;
    struct resolver *resolver;
    struct rng rng;
};

struct link;

/* Callbacks come from the loop only; in any of them the link may be freed. */
struct link_owner {
    void (*up)(void *ctx);                                        /* connected and authenticated */
    void (*down)(void *ctx, enum redis_end end, const char *why); /* it will be tried again */
    void (*message)(void *ctx, struct span channel, struct span payload); /* may be NULL */
};

struct link_options {
    struct place place;
    const char *username, *password; /* may be NULL; outlive the link */
    int64_t timeout_ms;              /* for a connection, and for an answer */
    int64_t heartbeat_ms;            /* 0: none */
    int64_t retry_min_ms, retry_max_ms;
};

struct link *link_new(struct link_world *world, const struct link_options *options,
                      const struct link_owner *owner, void *ctx);
void link_free(struct link *link); /* NULL is fine */
/* The connection while it is up; NULL: it is not. */
struct redis *link_redis(const struct link *link);
const struct place *link_place(const struct link *link);
/* The address that it leads to, "" when not known yet. */
const struct addr *link_addr(const struct link *link);
/* Gives the connection up (`down` is not called) and begins anew at once. */
void link_again(struct link *link);

#endif
