// SPDX-License-Identifier: Apache-2.0
/*
 * Three links: `voice` publishes and counts, `ear` is subscribed at the same master, `former` counts
 * at the one before.
 *
 * - The window: from the last message that was heard before a switch to the first one after it. It is
 *   what a server loses that publishes all the time and holds nothing back.
 * - Convergence: every server's adapter subscribes to one channel of a known name, so
 *   PUBSUB NUMSUB tells how many servers are there. As many as the former master had: all.
 * - Split brain: subscribers that are left at the former master while it says that it is one hear
 *   nothing and are not heard. That is said, with their number.
 */
#include "sentinel-watch/canary.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY_CHANNEL "__limpet__:canary"

enum { TIMEOUT_MS = 1000, RETRY_MS = 50, RETRY_MAX_MS = 500, COUNT_MS = 500 };

struct canary {
    struct link_world *world;
    struct canary_options options;
    canary_note_fn *note;
    void *ctx;
    struct link *voice, *ear, *former;
    struct place master, old;
    struct timer publish, count;
    struct grave grave;
    bool dead;
    uint64_t serial;
    int64_t heard_ms;    /* of the last message; 0: none yet */
    int64_t switched_ms; /* 0: no switch yet */
    bool window_open;    /* no message has been heard since the switch */
    bool former_told;    /* that somebody is still there */
    struct canary_info info;
    char trouble[128];
};

static int64_t now_ms(const struct canary *c)
{
    return c->world->loop->now_ms;
}

__attribute__((format(printf, 3, 4))) static void say(struct canary *c, bool warning,
                                                      const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    c->note(c->ctx, warning, text);
}

static void set_trouble(struct canary *c, const char *what, struct span why)
{
    char escaped[81];
    size_t len = log_escape(span_upto(why, 60), escaped, sizeof(escaped) - 1);
    escaped[len < sizeof(escaped) ? len : sizeof(escaped) - 1] = '\0';
    snprintf(c->trouble, sizeof(c->trouble), "%s%s", what, escaped);
}

/* ---- publishing ---- */

/* redis_answer_fn of PUBLISH. */
static void on_published(void *ctx, const struct resp *answer)
{
    struct canary *c = ctx;
    if (answer->type == RESP_INTEGER) {
        c->info.published++;
        return;
    }
    c->info.refused++;
    set_trouble(c, "it may not be published: ", answer->text);
}

static void on_publish(struct timer *timer)
{
    struct canary *c = container_of(timer, struct canary, publish);
    struct redis *redis = link_redis(c->voice);
    if (redis) {
        char text[256];
        snprintf(text, sizeof(text), "%s %" PRIu64, c->options.watcher, ++c->serial);
        redis_command(redis, on_published, c, "PUBLISH", CANARY_CHANNEL, text, NULL);
    }
    loop_timer_start(c->world->loop, timer, c->options.interval_ms);
}

/* ---- listening ---- */

static void on_message(void *ctx, struct span channel, struct span payload)
{
    struct canary *c = ctx;
    struct span who = span_cut(&payload, ' ');
    (void)channel;
    if (!span_eq(who, span_str(c->options.watcher)))
        return; // Another watcher's.
    c->info.heard++;
    if (c->window_open) {
        c->window_open = false;
        c->info.window_ms = c->heard_ms > 0 ? now_ms(c) - c->heard_ms : -1;
        if (c->info.window_ms >= 0)
            say(c, false,
                "who holds nothing back has lost %" PRId64 " ms of messages in this failover",
                c->info.window_ms);
    }
    c->heard_ms = now_ms(c);
}

static void on_ear_up(void *ctx)
{
    struct canary *c = ctx;
    redis_command(link_redis(c->ear), NULL, NULL, "SUBSCRIBE", CANARY_CHANNEL, NULL);
}

/* ---- counting ---- */

/* [channel, number] */
static int64_t number_of(const struct resp *answer)
{
    return answer->type == RESP_ARRAY && answer->count == 2 &&
                   answer->items[1]->type == RESP_INTEGER
               ? answer->items[1]->integer
               : -1;
}

static void on_counted(void *ctx, const struct resp *answer)
{
    struct canary *c = ctx;
    c->info.subscribers = number_of(answer);
    if (answer->type == RESP_ERROR)
        set_trouble(c, "subscribers may not be counted: ", answer->text);
    bool all = c->info.expected_subscribers > 0 &&
               c->info.subscribers >= c->info.expected_subscribers;
    if (c->switched_ms > 0 && c->info.converged_ms < 0 && all) {
        c->info.converged_ms = now_ms(c) - c->switched_ms;
        say(c, false,
            "all %" PRId64 " subscribers are at the new master, %" PRId64 " ms after the switch",
            c->info.subscribers, c->info.converged_ms);
    }
    if (c->switched_ms == 0 || c->info.converged_ms >= 0)
        c->info.expected_subscribers = c->info.subscribers;
}

static void on_former_counted(void *ctx, const struct resp *answer)
{
    struct canary *c = ctx;
    c->info.former_subscribers = number_of(answer);
    if (c->info.former_subscribers > 0 && !c->former_told) {
        c->former_told = true;
        say(c, true,
            "%" PRId64 " subscribers are still at the old master: what they publish there "
            "is lost",
            c->info.former_subscribers);
    } else if (c->info.former_subscribers == 0 && c->former_told) {
        c->former_told = false;
        say(c, false, "nobody is at the old master any more");
    }
}

static void ask_number(struct canary *c, struct link *link, redis_answer_fn *answer)
{
    struct redis *redis = link_redis(link);
    if (redis)
        redis_command(redis, answer, c, "PUBSUB", "NUMSUB", c->options.channel, NULL);
}

static void on_count(struct timer *timer)
{
    struct canary *c = container_of(timer, struct canary, count);
    ask_number(c, c->voice, on_counted);
    ask_number(c, c->former, on_former_counted);
    loop_timer_start(c->world->loop, timer, COUNT_MS);
}

/* ---- links ---- */

static void on_up(void *ctx)
{
    struct canary *c = ctx;
    c->trouble[0] = '\0';
    ask_number(c, c->voice, on_counted);
}

static void on_down(void *ctx, enum redis_end end, const char *why)
{
    struct canary *c = ctx;
    c->info.subscribers = -1;
    set_trouble(c, redis_end_word(end), SPAN(""));
    (void)why;
}

static void on_ear_down(void *ctx, enum redis_end end, const char *why)
{
    (void)ctx; // The voice has the same trouble.
    (void)end;
    (void)why;
}

static void on_former_up(void *ctx)
{
    struct canary *c = ctx;
    ask_number(c, c->former, on_former_counted);
}

static void on_former_down(void *ctx, enum redis_end end, const char *why)
{
    struct canary *c = ctx;
    c->info.former_subscribers = -1;
    (void)end;
    (void)why;
}

static const struct link_owner voice_owner = {.up = on_up, .down = on_down};
static const struct link_owner ear_owner = {on_ear_up, on_ear_down, on_message};
static const struct link_owner former_owner = {.up = on_former_up, .down = on_former_down};

static struct link *open_link(struct canary *c, const struct place *place,
                              const struct link_owner *owner)
{
    struct link_options options = {
        .place = *place,
        .username = c->options.username,
        .password = c->options.password,
        .timeout_ms = TIMEOUT_MS,
        .heartbeat_ms = TIMEOUT_MS,
        .retry_min_ms = RETRY_MS,
        .retry_max_ms = RETRY_MAX_MS,
    };
    return link_new(c->world, &options, owner, c);
}

/* ---- public ---- */

void canary_follow(struct canary *c, const struct place *master)
{
    if (!c || place_eq(&c->master, master))
        return;
    if (place_known(&c->master)) {
        c->switched_ms = now_ms(c);
        c->window_open = true;
        c->info.converged_ms = -1;
    }
    c->master = *master;
    c->info.subscribers = -1;
    link_free(c->voice);
    link_free(c->ear);
    c->voice = open_link(c, master, &voice_owner);
    c->ear = open_link(c, master, &ear_owner);
}

void canary_watch_former(struct canary *c, const struct place *former)
{
    if (!c || place_eq(&c->old, former))
        return;
    c->old = *former;
    c->former_told = false;
    c->info.former_subscribers = -1;
    link_free(c->former);
    c->former = place_known(former) ? open_link(c, former, &former_owner) : NULL;
}

struct canary *canary_new(struct link_world *world, const struct canary_options *options,
                          canary_note_fn *note, void *ctx)
{
    struct canary *c = mem_must_alloc(sizeof(*c));
    c->world = world;
    c->options = *options;
    c->note = note;
    c->ctx = ctx;
    c->info.subscribers = c->info.former_subscribers = -1;
    c->info.window_ms = c->info.converged_ms = -1;
    timer_init(&c->publish, on_publish);
    timer_init(&c->count, on_count);
    loop_timer_start(world->loop, &c->publish, options->interval_ms);
    loop_timer_start(world->loop, &c->count, COUNT_MS);
    return c;
}

static void canary_bury(struct grave *grave)
{
    free(container_of(grave, struct canary, grave));
}

void canary_free(struct canary *c)
{
    if (!c || c->dead)
        return;
    c->dead = true;
    loop_timer_stop(c->world->loop, &c->publish);
    loop_timer_stop(c->world->loop, &c->count);
    link_free(c->voice);
    link_free(c->ear);
    link_free(c->former);
    c->grave.fn = canary_bury;
    loop_bury(c->world->loop, &c->grave);
}

void canary_info(const struct canary *c, struct canary_info *out)
{
    *out = c->info;
    out->trouble = c->trouble;
}
