// SPDX-License-Identifier: Apache-2.0
/*
 * Makes the sentinels of one master forget what is gone for good, one sentinel at a time, and only
 * while nothing is in doubt (sentinel-watch/prune_plan.h). Looks once a minute; what would be done is
 * known then. Done it is with prune.mode `on`, or when an operator says so.
 */
#ifndef LIMPET_SENTINEL_WATCH_PRUNE_H
#define LIMPET_SENTINEL_WATCH_PRUNE_H

#include "sentinel-watch/link.h"
#include "sentinel-watch/prune_plan.h"

struct config_sentinel;
struct master;
struct prune;

/* Something that an operator wants to read. */
typedef void prune_note_fn(void *ctx, bool warning, const char *text);

/* `watcher` and the master outlive it. */
struct prune *prune_new(struct link_world *world, struct master *master, const char *watcher,
                        prune_note_fn *note, void *ctx);
void prune_free(struct prune *prune); /* NULL is fine */

/* Looks again, now. */
void prune_look(struct prune *prune);
/* Does it, if nothing is in doubt; goes on after this returns. NULL, or why not. */
const char *prune_run(struct prune *prune);

struct prune_info {
    const char *stage;             /* "idle", "looking", "reset", … */
    const char *turn;              /* the sentinel whose turn it is; "" */
    const struct prune_plan *plan; /* of the last look; NULL: there was none yet */
    int64_t looked_ms;             /* loop time of that */
    const char *ended;             /* how the last run ended; "": there was none */
    uint64_t runs, resets, aborts;
};
void prune_info(const struct prune *prune, struct prune_info *out);

#endif
