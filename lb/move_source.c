// SPDX-License-Identifier: Apache-2.0
/*
 * A server's sessions are known in two places: live sids in the table, tunnels opened without one
 * by the workers that hold them.
 *
 *     sidmap_oldest ──────────────────────┐
 *     census ─► worker ─► its tunnels ───┼─► list, sorted by age ─► take ─► mark ─► kicks
 *             ─► worker ─► …              ┘                                            │
 *                                              each worker ◄── letter ◄── kicks_post ◄─┘
 *
 * A sid is marked in the table when it is taken: that is the moment from which it counts as moved,
 * and nobody takes it twice. If a poll or tunnel of it is open, every worker is told, and the one
 * that has it ends it; else, and if the letter comes between two polls, the mark is found by its
 * next poll, whichever worker gets that.
 *
 * A letter about a census belongs to its worker, then to control again; a census lives until
 * the last answer, also when its source has gone meanwhile.
 */
#include "lb/move_source.h"

#include "lb/flow.h"

#include <stdlib.h>
#include <string.h>

/* ---- asking the workers ---- */

struct question {
    struct letter letter;
    struct census *census;
    struct worker *worker;
    struct loose_session *list;
    size_t count;
};

struct census {
    struct move_source *source;  /* NULL: nobody waits any more */
    const struct server *server; /* only to compare with */
    struct loop *loop;
    unsigned pending, worker_count;
    struct question questions[];
};

static void census_free(struct census *census)
{
    for (unsigned i = 0; i < census->worker_count; i++)
        free(census->questions[i].list);
    free(census);
}

static int victim_order(const void *a, const void *b)
{
    int64_t one = ((const struct victim *)a)->since_ms, two = ((const struct victim *)b)->since_ms;
    return one < two ? -1 : one > two;
}

/* Puts what the workers said behind what the table said; the oldest of both stay. */
static void source_merge(struct move_source *source, const struct census *census)
{
    for (unsigned i = 0; i < census->worker_count; i++) {
        const struct question *question = &census->questions[i];
        for (size_t k = 0; k < question->count; k++)
            source->list[source->count++] = (struct victim){
                .since_ms = question->list[k].began_ms,
                .loose = true,
                .worker = i,
                .number = question->list[k].id,
            };
    }
    qsort(source->list, source->count, sizeof(*source->list), victim_order);
    if (source->count > VICTIMS_MAX)
        source->count = VICTIMS_MAX;
}

/* On control's thread: a worker has answered. */
static void answer_deliver(struct letter *letter, void *receiver)
{
    struct question *question = container_of(letter, struct question, letter);
    struct census *census = question->census;
    struct move_source *source = census->source;
    (void)receiver;
    if (--census->pending > 0)
        return;
    if (source) {
        source->asking = NULL;
        source_merge(source, census);
    }
    census_free(census);
    if (source)
        source->ready(source->ctx);
}

/* On the worker's thread. */
static void question_deliver(struct letter *letter, void *receiver)
{
    struct question *question = container_of(letter, struct question, letter);
    struct worker *worker = receiver;
    question->list = calloc(VICTIMS_MAX, sizeof(*question->list));
    if (question->list)
        question->count = flow_loose_sessions(worker, question->census->server, question->list,
                                              VICTIMS_MAX);
    letter->deliver = answer_deliver;
    mailbox_post(&question->census->loop->mailbox, letter);
}

static struct census *census_start(struct move_source *source, const struct server *server)
{
    unsigned workers = source->serving->worker_count;
    struct census *census = calloc(1, sizeof(*census) + workers * sizeof(struct question));
    if (!census)
        return NULL;
    census->source = source;
    census->server = server;
    census->loop = source->loop;
    census->pending = census->worker_count = workers;
    for (unsigned i = 0; i < workers; i++) {
        struct question *question = &census->questions[i];
        question->letter.deliver = question_deliver;
        question->census = census;
        mailbox_post(&source->serving->workers[i].loop.mailbox, &question->letter);
    }
    return census;
}

/* ---- the source ---- */

void move_source_init(struct move_source *source, struct serving *serving, struct loop *loop,
                      void (*ready)(void *ctx), void *ctx)
{
    *source = (struct move_source){
        .serving = serving, .loop = loop, .ready = ready, .ctx = ctx, .asked_ms = INT64_MIN / 2};
}

void move_source_fini(struct move_source *source)
{
    if (source->asking)
        source->asking->source = NULL;
    source->asking = NULL;
    free(source->list);
    source->list = NULL;
    source->at = source->count = 0;
}

bool move_source_looks(const struct move_source *source)
{
    return source->asking != NULL;
}

/* What the table knows. */
static void source_fill(struct move_source *source, const struct server *server)
{
    struct sid_name *names = calloc(VICTIMS_MAX, sizeof(*names));
    size_t room = VICTIMS_MAX * (1 + (size_t)source->serving->worker_count);
    source->at = source->count = 0;
    if (!source->list)
        source->list = calloc(room, sizeof(*source->list));
    if (names && source->list)
        source->count = sidmap_oldest(server->backend->sids, server->sid_id, source->loop->now_ms,
                                      names, VICTIMS_MAX);
    for (size_t i = 0; i < source->count; i++)
        source->list[i] = (struct victim){.since_ms = names[i].created_ms, .name = names[i]};
    free(names);
}

void move_source_look(struct move_source *source, const struct server *server)
{
    if (source->asking)
        return;
    source->asked_ms = source->loop->now_ms;
    source_fill(source, server);
    if (source->list && atomic_load_explicit(&server->loose, memory_order_relaxed) > 0)
        source->asking = census_start(source, server);
    if (!source->asking)
        source->ready(source->ctx);
}

bool move_source_take(struct move_source *source, const struct server *server, struct kicks *kicks)
{
    while (!source->asking && source->at < source->count) {
        const struct victim *victim = &source->list[source->at++];
        bool held = false;
        bool there = victim->loose ||
                     sidmap_mark_named(server->backend->sids, &victim->name, server->sid_id, &held);
        if (!there)
            continue;
        if (victim->loose || held)
            kicks->list[kicks->count++] = *victim;
        return true;
    }
    return false;
}

/* ---- kicks ---- */

/* To one worker, who frees it. */
struct kick_letter {
    struct letter letter;
    const struct sidmap *sids; /* only to compare with */
    enum move_reason why;
    size_t count;
    struct victim list[];
};

static void kick_deliver(struct letter *letter, void *receiver)
{
    struct kick_letter *kick = container_of(letter, struct kick_letter, letter);
    struct worker *worker = receiver;
    for (size_t i = 0; i < kick->count; i++) {
        const struct victim *victim = &kick->list[i];
        if (victim->loose)
            flow_kick_loose(worker, victim->number, kick->why);
        else
            flow_kick_sid(worker, kick->sids, &victim->name, kick->why);
    }
    free(kick);
}

void kicks_post(const struct kicks *kicks, struct serving *serving, const struct sidmap *sids,
                enum move_reason why)
{
    for (unsigned i = 0; i < serving->worker_count && kicks->count > 0; i++) {
        struct kick_letter *kick = calloc(1, sizeof(*kick) + sizeof(kicks->list));
        if (!kick)
            return; // Sids are marked: they leave with their next poll.
        kick->letter.deliver = kick_deliver;
        kick->sids = sids;
        kick->why = why;
        for (size_t k = 0; k < kicks->count; k++) {
            if (!kicks->list[k].loose || kicks->list[k].worker == i)
                kick->list[kick->count++] = kicks->list[k];
        }
        if (kick->count > 0)
            mailbox_post(&serving->workers[i].loop.mailbox, &kick->letter);
        else
            free(kick);
    }
}
