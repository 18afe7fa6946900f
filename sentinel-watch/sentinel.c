// SPDX-License-Identifier: Apache-2.0
/*
 * Two links, `news` and `talk`: RESP2 allows no questions on a subscribed connection. The view is
 * asked for as one pipeline, so that its parts belong together:
 *
 *     GET-MASTER-ADDR-BY-NAME   where the master is; on the leader already the promoted replica
 *     SENTINEL MASTER           epoch and flags (of the old master, on the leader)
 *     INFO sentinel             whether it is in tilt
 *
 * One pipeline at a time; who asks meanwhile gets another one behind it. A sentinel that hangs is
 * noticed by the pipeline's own time limit, and by heartbeats on the subscribed connection.
 *
 * A user may lack the right to read all channels (acl-pubsub-default is resetchannels since Redis 7,
 * and the example in Redis' documents cannot subscribe at all). Then channels are tried one by one,
 * and without any of them asking alone is what is left: slower, and as safe.
 */
#include "sentinel-watch/sentinel.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 1500,
    HEARTBEAT_MS = 1000,
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 1000,
    MEMBERS_MS = 10000, /* between two questions for its members */
};

struct sentinel {
    struct link_world *world;
    struct sentinel_setup options;
    const struct sentinel_owner *owner;
    void *ctx;
    struct link *news, *talk;
    struct timer timer;
    struct grave grave;
    bool dead;
    int voter;
    char run_id[FAILOVER_RUN_ID_MAX];

    bool up;
    bool polling, poll_again;
    int64_t polled_ms, members_ms; /* when; 0: ask for members next time */
    struct report report;          /* being put together */
    const char *bad;               /* why it will not be one; NULL: it will */
    enum subscription subscription;
    size_t channels_asked, channels_got;

    char trouble[160], refused[96];
    uint64_t events, polls, losses;
    int64_t rtt_ms;
};

const char *subscription_word(enum subscription subscription)
{
    static const char *const words[] = {
        [SUBSCRIPTION_NONE] = "none",
        [SUBSCRIPTION_ALL] = "all",
        [SUBSCRIPTION_SOME] = "some",
        [SUBSCRIPTION_REFUSED] = "refused",
    };
    return words[subscription];
}

/* ---- its view ---- */

static void set_trouble(struct sentinel *s, const char *what, struct span detail)
{
    char escaped[81];
    size_t len = log_escape(span_upto(detail, 80), escaped, sizeof(escaped) - 1);
    escaped[len < sizeof(escaped) ? len : sizeof(escaped) - 1] = '\0';
    snprintf(s->trouble, sizeof(s->trouble), "%s%s%s", what, *escaped ? ": " : "", escaped);
}

static void lose(struct sentinel *s)
{
    s->losses += s->up;
    s->up = false;
    s->owner->lost(s->ctx, s);
}

static bool has_flag(struct span flags, const char *flag)
{
    while (flags.ptr)
        if (span_eq(span_cut(&flags, ','), span_str(flag)))
            return true;
    return false;
}

static uint64_t field_number(const struct resp *fields, const char *name)
{
    uint64_t number = 0;
    return span_to_u64(resp_field(fields, name), &number) ? number : 0;
}

static void on_place(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    if (answer->type == RESP_ERROR)
        set_trouble(s, s->bad = "it may not be asked for the master", answer->text);
    else if (answer->type == RESP_NIL)
        set_trouble(s, s->bad = "it knows no master of this name", span_str(s->options.master));
    else if (!place_parse(resp_text(answer, 0), resp_text(answer, 1), &s->report.place))
        set_trouble(s, s->bad = "it gives no address", SPAN_NONE);
}

static void on_master(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    struct report *report = &s->report;
    if (s->bad)
        return;
    if (answer->type != RESP_ARRAY) {
        set_trouble(s, s->bad = "it may not be asked for SENTINEL MASTER", answer->text);
        return;
    }
    struct span flags = resp_field(answer, "flags");
    uint64_t epoch;
    if (!span_to_u64(resp_field(answer, "config-epoch"), &epoch) ||
        !place_parse(resp_field(answer, "ip"), resp_field(answer, "port"), &report->flags_place)) {
        set_trouble(s, s->bad = "its answer to SENTINEL MASTER makes no sense", SPAN_NONE);
        return;
    }
    report->epoch = epoch;
    report->sdown = has_flag(flags, "s_down");
    report->odown = has_flag(flags, "o_down");
    report->failing_over = has_flag(flags, "failover_in_progress");
    report->quorum = (unsigned)field_number(answer, "quorum");
    report->replicas = (unsigned)field_number(answer, "num-slaves");
    report->sentinels = (unsigned)field_number(answer, "num-other-sentinels");
    report->down_after_ms = (int64_t)field_number(answer, "down-after-milliseconds");
    report->failover_timeout_ms = (int64_t)field_number(answer, "failover-timeout");
}

static void poll_later(struct sentinel *s)
{
    loop_timer_start(s->world->loop, &s->timer, s->poll_again ? 0 : s->owner->poll_ms(s->ctx));
    s->poll_again = false;
}

/* The last of the pipeline: the report is whole. */
static void on_tilt(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    s->polling = false;
    s->polls++;
    s->rtt_ms = s->world->loop->now_ms - s->polled_ms;
    if (answer->type == RESP_BULK)
        s->report.tilted = span_find(answer->text, SPAN("sentinel_tilt:1")) != SIZE_MAX;
    else
        snprintf(s->refused, sizeof(s->refused), "INFO (tilt is not seen)");
    poll_later(s);
    if (s->bad) {
        lose(s);
        return;
    }
    s->up = true;
    s->trouble[0] = '\0';
    s->owner->report(s->ctx, s, &s->report);
}

/* ---- members ---- */

static void on_sentinels(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    if (answer->type == RESP_ARRAY)
        s->owner->sentinels(s->ctx, s, answer);
    else
        snprintf(s->refused, sizeof(s->refused), "SENTINEL SENTINELS (others are not found)");
}

static void on_replicas(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    if (answer->type == RESP_ARRAY)
        s->owner->replicas(s->ctx, s, answer);
}

static void on_my_id(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    if (answer->type != RESP_BULK || answer->text.len != FAILOVER_RUN_ID_MAX - 1)
        return;
    log_escape(answer->text, s->run_id, sizeof(s->run_id));
    s->run_id[FAILOVER_RUN_ID_MAX - 1] = '\0';
    s->owner->named(s->ctx, s);
}

static void ask_members(struct sentinel *s, struct redis *redis)
{
    s->members_ms = s->world->loop->now_ms;
    if (!s->run_id[0])
        redis_command(redis, on_my_id, s, "SENTINEL", "MYID", NULL);
    redis_command(redis, on_sentinels, s, "SENTINEL", "SENTINELS", s->options.master, NULL);
    redis_command(redis, on_replicas, s, "SENTINEL", "REPLICAS", s->options.master, NULL);
}

void sentinel_ask_members(struct sentinel *s)
{
    s->members_ms = 0;
    sentinel_poll(s);
}

void sentinel_poll(struct sentinel *s)
{
    struct redis *redis = link_redis(s->talk);
    if (!redis)
        return;
    if (s->polling) {
        s->poll_again = true;
        return;
    }
    const char *master = s->options.master;
    int64_t now_ms = s->world->loop->now_ms;
    s->report = (struct report){0};
    s->bad = NULL;
    s->polled_ms = now_ms;
    if (s->members_ms == 0 || now_ms - s->members_ms >= MEMBERS_MS)
        ask_members(s, redis);
    s->polling = redis_command(redis, on_place, s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", master,
                               NULL) &&
                 redis_command(redis, on_master, s, "SENTINEL", "MASTER", master, NULL) &&
                 redis_command(redis, on_tilt, s, "INFO", "sentinel", NULL);
    if (!s->polling)
        link_again(s->talk); // Out of memory: as good as no connection.
}

static void on_timer(struct timer *timer)
{
    sentinel_poll(container_of(timer, struct sentinel, timer));
}

/* ---- talk ---- */

/* Both are there: subscribed, or known not to be. */
static void begin_asking(struct sentinel *s)
{
    if (link_redis(s->talk) && s->subscription != SUBSCRIPTION_NONE)
        sentinel_poll(s);
}

static void talk_up(void *ctx)
{
    struct sentinel *s = ctx;
    s->polling = s->poll_again = false;
    s->members_ms = 0;
    s->run_id[0] = '\0';
    begin_asking(s);
}

static void talk_down(void *ctx, enum redis_end end, const char *why)
{
    struct sentinel *s = ctx;
    loop_timer_stop(s->world->loop, &s->timer);
    s->polling = false;
    set_trouble(s, redis_end_word(end), span_str(why));
    lose(s);
}

static const struct link_owner talk_owner = {.up = talk_up, .down = talk_down};

/* ---- news ---- */

static void channel_answered(struct sentinel *s, bool subscribed)
{
    s->channels_got += subscribed;
    if (--s->channels_asked > 0)
        return;
    s->subscription = s->channels_got > 0 ? SUBSCRIPTION_SOME : SUBSCRIPTION_REFUSED;
    begin_asking(s);
}

static void on_channel(void *ctx, const struct resp *answer)
{
    channel_answered(ctx, answer->type == RESP_ARRAY);
}

/* The user may not read all channels; perhaps those that matter. */
static void subscribe_each(struct sentinel *s)
{
    struct redis *redis = link_redis(s->news);
    s->channels_asked = 1; // Until all are asked.
    s->channels_got = 0;
    for (size_t i = 0; event_channel(i); i++)
        s->channels_asked += redis_command(redis, on_channel, s, "SUBSCRIBE", event_channel(i),
                                           NULL);
    channel_answered(s, false);
}

static void on_subscribed(void *ctx, const struct resp *answer)
{
    struct sentinel *s = ctx;
    if (answer->type == RESP_ARRAY) {
        s->subscription = SUBSCRIPTION_ALL;
        begin_asking(s);
        return;
    }
    size_t len = log_escape(span_upto(answer->text, 64), s->refused, sizeof(s->refused) - 1);
    s->refused[len < sizeof(s->refused) ? len : sizeof(s->refused) - 1] = '\0';
    subscribe_each(s);
}

static void news_up(void *ctx)
{
    struct sentinel *s = ctx;
    s->refused[0] = '\0';
    redis_command(link_redis(s->news), on_subscribed, s, "PSUBSCRIBE", "*", NULL);
}

static void news_down(void *ctx, enum redis_end end, const char *why)
{
    struct sentinel *s = ctx;
    s->subscription = SUBSCRIPTION_NONE;
    if (!link_redis(s->talk))
        set_trouble(s, redis_end_word(end), span_str(why));
    sentinel_poll(s); // Without news, asking has to do.
}

static void news_message(void *ctx, struct span channel, struct span payload)
{
    struct sentinel *s = ctx;
    s->events++;
    s->owner->event(s->ctx, s, channel, payload);
}

static const struct link_owner news_owner = {news_up, news_down, news_message};

/* ---- public ---- */

struct sentinel *sentinel_new(struct link_world *world, const struct sentinel_setup *options,
                              const struct sentinel_owner *owner, void *ctx)
{
    struct sentinel *s = mem_must_alloc(sizeof(*s));
    s->world = world;
    s->options = *options;
    s->owner = owner;
    s->ctx = ctx;
    s->voter = -1;
    timer_init(&s->timer, on_timer);
    snprintf(s->trouble, sizeof(s->trouble), "not connected yet");
    struct link_options link = {
        .place = options->place,
        .username = options->username,
        .password = options->password,
        .timeout_ms = TIMEOUT_MS,
        .heartbeat_ms = HEARTBEAT_MS,
        .retry_min_ms = RETRY_MIN_MS,
        .retry_max_ms = RETRY_MAX_MS,
    };
    s->news = link_new(world, &link, &news_owner, s);
    s->talk = link_new(world, &link, &talk_owner, s);
    return s;
}

static void sentinel_bury(struct grave *grave)
{
    free(container_of(grave, struct sentinel, grave));
}

void sentinel_free(struct sentinel *s)
{
    if (!s || s->dead)
        return;
    s->dead = true;
    loop_timer_stop(s->world->loop, &s->timer);
    link_free(s->news);
    link_free(s->talk);
    s->grave.fn = sentinel_bury;
    loop_bury(s->world->loop, &s->grave);
}

void sentinel_info(const struct sentinel *s, struct sentinel_info *out)
{
    *out = (struct sentinel_info){
        .place = s->options.place,
        .addr = link_addr(s->talk),
        .configured = s->options.configured,
        .run_id = s->run_id,
        .up = s->up,
        .subscription = s->subscription,
        .trouble = s->trouble,
        .refused = s->refused,
        .events = s->events,
        .polls = s->polls,
        .losses = s->losses,
        .rtt_ms = s->rtt_ms,
    };
}

int sentinel_voter(const struct sentinel *s)
{
    return s->voter;
}

void sentinel_set_voter(struct sentinel *s, int voter)
{
    s->voter = voter;
}
