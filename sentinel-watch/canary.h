// SPDX-License-Identifier: Apache-2.0
/*
 * What a failover really cost, measured from outside and without the servers' help: a message that is
 * published on the master again and again and listened to there, and the number of subscribers that
 * the old and the new master have.
 */
#ifndef LIMPET_SENTINEL_WATCH_CANARY_H
#define LIMPET_SENTINEL_WATCH_CANARY_H

#include "sentinel-watch/link.h"

struct canary;

struct canary_options {
    const char *username, *password; /* may be NULL; outlive the canary */
    const char *watcher;             /* outlives it */
    const char *channel;             /* that every server subscribes to; outlives it */
    int64_t interval_ms;
};

/* What was measured. */
struct canary_info {
    uint64_t published, heard, refused; /* messages; refused: by NOPERM and the like */
    int64_t subscribers;                /* of the channel at the master; -1: not known */
    int64_t former_subscribers;         /* at the former one; -1: not known, or it is not asked */
    int64_t expected_subscribers;       /* as many as the former had before the switch */
    int64_t window_ms;    /* without a message, around the last switch; -1: none yet */
    int64_t converged_ms; /* from the last switch until all subscribers were there; -1: not yet */
    const char *trouble;  /* why nothing is measured; "" */
};

/* Something worth an operator's attention: a sentence. From the loop. */
typedef void canary_note_fn(void *ctx, bool warning, const char *text);

struct canary *canary_new(struct link_world *world, const struct canary_options *options,
                          canary_note_fn *note, void *ctx);
void canary_free(struct canary *canary); /* NULL is fine */

/* The master is there now (as it is reached from here). Nothing happens if it was already. */
void canary_follow(struct canary *canary, const struct place *master);
/* The former master that may still be about; port 0: none. */
void canary_watch_former(struct canary *canary, const struct place *former);

void canary_info(const struct canary *canary, struct canary_info *out);

#endif
