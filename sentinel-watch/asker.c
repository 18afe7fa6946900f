// SPDX-License-Identifier: Apache-2.0
/*
 * A new connection is asked for INFO server together with the first ROLE: behind one address there
 * may be another process every time. A node that may not be asked (wrong password, NOPERM) is told
 * apart from one that does not answer: the first is the operator's to mend, the second is what a
 * failover is about.
 */
#include "sentinel-watch/asker.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asker {
    struct link_world *world;
    struct asker_options options;
    asker_fn *fn;
    void *ctx;
    struct link *link;
    struct timer timer;
    struct grave grave;
    bool dead;
    char run_id[FAILOVER_RUN_ID_MAX];
    char trouble[128];
};

static void tell(struct asker *asker, const struct asker_answer *answer)
{
    asker->fn(asker->ctx, answer);
}

static void ask_later(struct asker *asker)
{
    if (!asker->dead)
        loop_timer_start(asker->world->loop, &asker->timer, asker->options.interval_ms);
}

/* "run_id:…" in the lines of INFO. */
static void take_run_id(struct asker *asker, struct span info)
{
    while (info.ptr) {
        struct span line = span_cut(&info, '\n');
        if (!span_starts(line, SPAN("run_id:")))
            continue;
        struct span id = span_upto(span_from(line, strlen("run_id:")), FAILOVER_RUN_ID_MAX - 1);
        for (size_t i = 0; i < id.len; i++)
            if (!strchr("0123456789abcdef", id.ptr[i]) || !id.ptr[i])
                return;
        span_to_str(id, asker->run_id, sizeof(asker->run_id));
        return;
    }
}

/* redis_answer_fn of INFO server; without the right to ask, the run id stays unknown. */
static void on_info(void *ctx, const struct resp *answer)
{
    if (answer->type == RESP_BULK)
        take_run_id(ctx, answer->text);
}

static void read_master(const struct resp *reply, struct asker_answer *out)
{
    out->role = ROLE_MASTER;
    out->offset = reply->count > 1 ? reply->items[1]->integer : 0;
    out->replicas = reply->count > 2 ? reply->items[2]->count : 0;
}

static void read_replica(const struct resp *reply, struct asker_answer *out)
{
    char port[24] = "";
    out->role = ROLE_REPLICA;
    if (reply->count < 5)
        return;
    snprintf(port, sizeof(port), "%lld", (long long)reply->items[2]->integer);
    place_parse(resp_text(reply, 1), span_str(port), &out->master);
    out->linked = span_eq(resp_text(reply, 3), SPAN("connected"));
    out->offset = reply->items[4]->integer;
}

/* redis_answer_fn of ROLE. */
static void on_role(void *ctx, const struct resp *reply)
{
    struct asker *asker = ctx;
    struct asker_answer answer = {.role = ROLE_OTHER, .run_id = asker->run_id, .trouble = ""};
    struct span role = resp_text(reply, 0);
    if (reply->type == RESP_ERROR) {
        // -LOADING and -MASTERDOWN pass; the others are about rights.
        bool passes = span_starts(reply->text, SPAN("LOADING"));
        size_t len = log_escape(span_upto(reply->text, 60), asker->trouble,
                                sizeof(asker->trouble) - 1);
        asker->trouble[len < sizeof(asker->trouble) ? len : sizeof(asker->trouble) - 1] = '\0';
        answer.role = passes ? ROLE_UNREACHABLE : ROLE_REFUSED;
        answer.trouble = asker->trouble;
    } else if (span_eq(role, SPAN("master"))) {
        read_master(reply, &answer);
    } else if (span_eq(role, SPAN("slave")) || span_eq(role, SPAN("replica"))) {
        read_replica(reply, &answer);
    }
    ask_later(asker);
    tell(asker, &answer);
}

static void ask(struct asker *asker)
{
    struct redis *redis = link_redis(asker->link);
    if (redis && !redis_command(redis, on_role, asker, "ROLE", NULL))
        ask_later(asker);
}

static void on_timer(struct timer *timer)
{
    ask(container_of(timer, struct asker, timer));
}

static void on_up(void *ctx)
{
    struct asker *asker = ctx;
    asker->run_id[0] = '\0';
    redis_command(link_redis(asker->link), on_info, asker, "INFO", "server", NULL);
    ask(asker);
}

static void on_down(void *ctx, enum redis_end end, const char *why)
{
    struct asker *asker = ctx;
    loop_timer_stop(asker->world->loop, &asker->timer);
    snprintf(asker->trouble, sizeof(asker->trouble), "%s", why);
    struct asker_answer answer = {
        .role = end == REDIS_REFUSED ? ROLE_REFUSED : ROLE_UNREACHABLE,
        .run_id = "",
        .trouble = asker->trouble,
    };
    tell(asker, &answer);
}

static const struct link_owner link_owner = {.up = on_up, .down = on_down};

struct asker *asker_new(struct link_world *world, const struct asker_options *options, asker_fn *fn,
                        void *ctx)
{
    struct asker *asker = mem_must_alloc(sizeof(*asker));
    asker->world = world;
    asker->options = *options;
    asker->fn = fn;
    asker->ctx = ctx;
    timer_init(&asker->timer, on_timer);
    struct link_options link = {
        .place = options->place,
        .username = options->username,
        .password = options->password,
        .timeout_ms = options->timeout_ms,
        .retry_min_ms = options->interval_ms,
        .retry_max_ms = options->interval_ms,
    };
    asker->link = link_new(world, &link, &link_owner, asker);
    return asker;
}

static void asker_bury(struct grave *grave)
{
    free(container_of(grave, struct asker, grave));
}

void asker_free(struct asker *asker)
{
    if (!asker || asker->dead)
        return;
    asker->dead = true;
    loop_timer_stop(asker->world->loop, &asker->timer);
    link_free(asker->link);
    asker->grave.fn = asker_bury;
    loop_bury(asker->world->loop, &asker->grave);
}
