// SPDX-License-Identifier: Apache-2.0
/*
 * The sessions that a server is to lose, for lb/move: who is next, oldest first, and the way to the
 * worker that holds it. On control's thread.
 */
#ifndef LIMPET_LB_MOVE_SOURCE_H
#define LIMPET_LB_MOVE_SOURCE_H

#include "lb/worker.h"

enum { VICTIMS_MAX = 4096 }; /* known by name at a time; then the next ones are looked up */

/* One session. */
struct victim {
    int64_t since_ms; /* when it began */
    bool loose;       /* a tunnel opened without a sid: `number` of `worker` */
    unsigned worker;
    uint32_t number;
    struct sid_name name;
};

struct census; /* what is asked of the workers */

struct move_source {
    struct serving *serving;
    struct loop *loop;   /* control's */
    struct victim *list; /* from `at` on, oldest first */
    size_t at, count;
    struct census *asking;    /* NULL: nothing is under way */
    int64_t asked_ms;         /* when it was last looked up */
    void (*ready)(void *ctx); /* a census has been answered */
    void *ctx;
};

void move_source_init(struct move_source *source, struct serving *serving, struct loop *loop,
                      void (*ready)(void *ctx), void *ctx);
/* Answers that are still under way find nobody. */
void move_source_fini(struct move_source *source);

/* Looks up the server's oldest sessions; `ready` is called, perhaps at once. */
void move_source_look(struct move_source *source, const struct server *server);
bool move_source_looks(const struct move_source *source);

/* Kicks of one turn, and for whom; handed over by kicks_post. */
struct kicks {
    struct victim list[64];
    size_t count;
};
/* Takes the next session that is still there off the source, for kicks_post. False: there is none
 * known. *kicks is not full. */
bool move_source_take(struct move_source *source, const struct server *server, struct kicks *kicks);
/* To the workers. */
void kicks_post(const struct kicks *kicks, struct serving *serving, const struct sidmap *sids,
                enum move_reason why);

#endif
