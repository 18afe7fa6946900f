// SPDX-License-Identifier: Apache-2.0
/*
 *     WAITING ──► RESOLVING ──► CONNECTING ──► up
 *        ▲            │             │           │
 *        └────────────┴─────────────┴───────────┘    after retry_min, doubled up to retry_max
 *
 * The last address that worked is used when a name cannot be resolved just now.
 */
#include "sentinel-watch/link.h"

#include "base/mem.h"
#include "sentinel-watch/locator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
    struct link_world *world;
    struct link_options options;
    const struct link_owner *owner;
    void *ctx;
    struct redis *redis;
    struct locator *locator;
    struct timer retry;
    struct grave grave;
    struct addr addr; /* the last one; len 0: none yet */
    int64_t retry_ms;
    bool up;
    bool is_dead;
};

/* ---- ends and beginnings ---- */

static void link_retry_later(struct link *link)
{
    int64_t wait_ms = rng_jitter(&link->world->rng, link->retry_ms, 25);
    loop_timer_start(link->world->loop, &link->retry, wait_ms > 0 ? wait_ms : 1);
    link->retry_ms *= 2;
    if (link->retry_ms > link->options.retry_max_ms)
        link->retry_ms = link->options.retry_max_ms;
}

static void link_down(struct link *link, enum redis_end end, const char *why)
{
    link->redis = NULL;
    link->up = false;
    if (end == REDIS_REFUSED) // A wrong password does not become right so soon.
        link->retry_ms = link->options.retry_max_ms;
    link_retry_later(link);
    link->owner->down(link->ctx, end, why);
}

static void on_ready(void *ctx)
{
    struct link *link = ctx;
    link->up = true;
    link->retry_ms = link->options.retry_min_ms;
    link->owner->up(link->ctx);
}

static void on_ended(void *ctx, enum redis_end end, const char *why)
{
    link_down(ctx, end, why);
}

static void on_message(void *ctx, struct span channel, struct span payload)
{
    struct link *link = ctx;
    if (link->owner->message)
        link->owner->message(link->ctx, channel, payload);
}

static const struct redis_owner redis_owner = {on_ready, on_message, on_ended};

static void link_connect(struct link *link)
{
    struct redis_options options = {
        .addr = link->addr,
        .username = link->options.username,
        .password = link->options.password,
        .timeout_ms = link->options.timeout_ms,
        .heartbeat_ms = link->options.heartbeat_ms,
    };
    struct link_world *world = link->world;
    link->redis = redis_new(world->loop, world->shelf, &options, &redis_owner, link);
    if (!link->redis)
        link_down(link, REDIS_CONNECT_FAILED, strerror(errno));
}

/* located_fn */
static void on_located(void *ctx, const struct addr *addr, const char *error)
{
    struct link *link = ctx;
    if (link->redis || timer_running(&link->retry))
        return; // It began anew meanwhile.
    if (addr)
        link->addr = *addr;
    if (link->addr.len > 0)
        link_connect(link);
    else
        link_down(link, REDIS_CONNECT_FAILED, error);
}

static void link_begin(struct link *link)
{
    const struct place *place = &link->options.place;
    struct addr addr;
    if (!locator_ask(link->locator, place->host, place->port, &link->addr, &addr))
        return;
    link->addr = addr;
    link_connect(link);
}

static void link_on_retry(struct timer *timer)
{
    link_begin(container_of(timer, struct link, retry));
}

static void link_drop(struct link *link)
{
    redis_free(link->redis);
    link->redis = NULL;
    link->up = false;
    loop_timer_stop(link->world->loop, &link->retry);
}

/* ---- public ---- */

struct link *link_new(struct link_world *world, const struct link_options *options,
                      const struct link_owner *owner, void *ctx)
{
    struct link *link = mem_must_alloc(sizeof(*link));
    link->world = world;
    link->options = *options;
    link->owner = owner;
    link->ctx = ctx;
    link->retry_ms = options->retry_min_ms;
    link->locator = locator_new(world->loop, world->resolver, on_located, link);
    timer_init(&link->retry, link_on_retry);
    loop_timer_start(world->loop, &link->retry, 0); // Callbacks come from the loop only.
    return link;
}

static void link_bury(struct grave *grave)
{
    free(container_of(grave, struct link, grave));
}

void link_free(struct link *link)
{
    if (!link || link->is_dead)
        return;
    link->is_dead = true;
    link_drop(link);
    locator_free(link->locator);
    link->grave.fn = link_bury;
    loop_bury(link->world->loop, &link->grave);
}

struct redis *link_redis(const struct link *link)
{
    return link && link->up ? link->redis : NULL;
}

const struct place *link_place(const struct link *link)
{
    return &link->options.place;
}

const struct addr *link_addr(const struct link *link)
{
    return &link->addr;
}

void link_again(struct link *link)
{
    link_drop(link);
    link->retry_ms = link->options.retry_min_ms;
    loop_timer_start(link->world->loop, &link->retry, 0);
}
