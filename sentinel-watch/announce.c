// SPDX-License-Identifier: Apache-2.0
/* One connection per try: AUTH, PUBLISH, and its answer, a number. */
#include "sentinel-watch/announce.h"

#include "base/log.h"
#include "base/redis.h"
#include "sentinel-watch/event.h"
#include "sentinel-watch/locator.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MS = 1000,
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 2000,
    TEXT_MAX_BYTES = 4096,
};

struct announce {
    struct world world;
    const struct sentinel_options *opt;
    struct locator *locator;
    struct redis *redis; /* of the try under way */
    struct timer timer;  /* to the next try */
    struct place place;
    char text[TEXT_MAX_BYTES];
    size_t len;
    int64_t give_up_ms; /* 0: nothing is to be published */
    int64_t pause_ms;
};

static void hang_up(struct announce *announce)
{
    redis_free(announce->redis);
    announce->redis = NULL;
}

static void done(struct announce *announce, bool ok)
{
    tally_add(announce->world.tally, ok ? TALLY_PUBLISH_RUNS : TALLY_PUBLISH_FAILED, 1);
    announce->give_up_ms = 0;
    hang_up(announce);
}

static void pause_then_try(struct announce *announce)
{
    loop_timer_start(announce->world.loop, &announce->timer, announce->pause_ms);
    announce->pause_ms = announce->pause_ms < PAUSE_MAX_MS / 2 ? announce->pause_ms * 2
                                                               : PAUSE_MAX_MS;
}

static void again(struct announce *announce, const char *why)
{
    char place[PLACE_TEXT_MAX];
    if (announce->world.loop->now_ms >= announce->give_up_ms) {
        log_error("an event could not be published on the new master: channel=%s master=%s: %s",
                  announce->opt->publish, place_show(&announce->place, place), why);
        done(announce, false);
        return;
    }
    pause_then_try(announce);
}

static void on_published(void *ctx, const struct resp *answer)
{
    struct announce *announce = ctx;
    char place[PLACE_TEXT_MAX];
    if (answer->type != RESP_INTEGER) {
        log_error("the new master refuses to publish an event: channel=%s master=%s: %.*s",
                  announce->opt->publish, place_show(&announce->place, place),
                  SPAN_ARG(answer->text));
        done(announce, false); // It would do so again.
        return;
    }
    // A promotion ends the new master's connections: whoever listens may still be on the way back.
    if (answer->integer == 0 && announce->world.loop->now_ms < announce->give_up_ms) {
        hang_up(announce);
        pause_then_try(announce);
        return;
    }
    log_info("an event was published on the new master: channel=%s master=%s subscribers=%" PRId64,
             announce->opt->publish, place_show(&announce->place, place), answer->integer);
    done(announce, true);
}

static void on_ended(void *ctx, enum redis_end end, const char *why)
{
    struct announce *announce = ctx;
    (void)end;
    announce->redis = NULL;
    if (announce->give_up_ms > 0)
        again(announce, why);
}

static void try_at(struct announce *announce, const struct addr *addr)
{
    static const struct redis_owner owner = {.ended = on_ended};
    struct redis_options options = {
        .addr = *addr,
        .username = announce->opt->redis_username,
        .password = announce->opt->redis_password,
        .timeout_ms = ANSWER_MS,
    };
    struct span argv[] = {
        SPAN("PUBLISH"), span_str(announce->opt->publish), {announce->text, announce->len}};
    announce->redis = redis_new(announce->world.loop, announce->world.shelf, &options, &owner,
                                announce);
    if (!announce->redis)
        again(announce, "no connection can be opened");
    else
        redis_command_argv(announce->redis, on_published, announce, array_len(argv), argv);
}

static void on_located(void *ctx, const struct addr *addr, const char *error)
{
    struct announce *announce = ctx;
    if (addr)
        try_at(announce, addr);
    else
        again(announce, error);
}

static void try_now(struct announce *announce)
{
    static const struct addr none = {.len = 0};
    struct addr addr;
    if (locator_ask(announce->locator, announce->place.host, announce->place.port, &none, &addr))
        try_at(announce, &addr);
}

static void on_timer(struct timer *timer)
{
    try_now(container_of(timer, struct announce, timer));
}

void announce_publish(struct announce *announce, const struct place *place, struct span text)
{
    if (!announce->opt->publish)
        return;
    hang_up(announce);
    loop_timer_stop(announce->world.loop, &announce->timer);
    announce->place = *place;
    announce->len = text.len < sizeof(announce->text) ? text.len : sizeof(announce->text);
    memcpy(announce->text, text.ptr, announce->len);
    announce->give_up_ms = announce->world.loop->now_ms + ANNOUNCE_MS;
    announce->pause_ms = PAUSE_FIRST_MS;
    try_now(announce);
}

void announce_configure(struct announce *announce, const struct sentinel_options *opt)
{
    announce->opt = opt;
    if (opt->publish || announce->give_up_ms == 0)
        return;
    loop_timer_stop(announce->world.loop, &announce->timer);
    hang_up(announce);
    announce->give_up_ms = 0;
}

struct announce *announce_new(const struct world *world)
{
    struct announce *announce = mem_must_alloc(sizeof(*announce));
    announce->world = *world;
    announce->locator = locator_new(world->loop, world->resolver, on_located, announce);
    timer_init(&announce->timer, on_timer);
    return announce;
}

void announce_free(struct announce *announce)
{
    if (!announce)
        return;
    loop_timer_stop(announce->world.loop, &announce->timer);
    redis_free(announce->redis);
    locator_free(announce->locator);
    free(announce);
}
