// SPDX-License-Identifier: Apache-2.0
/*
 * The sentinels of one master: those of the configuration, and others that they tell of. Finds them,
 * forgets them, and says whose word counts.
 */
#ifndef LIMPET_SENTINEL_WATCH_ROSTER_H
#define LIMPET_SENTINEL_WATCH_ROSTER_H

#include "config/config.h"
#include "sentinel-watch/sentinel.h"

struct roster;

/* All come from the loop, `join` also from inside roster_new. None may be NULL. */
struct roster_owner {
    int (*join)(void *ctx); /* one more whose word counts: its number */
    void (*leave)(void *ctx, int voter);
    void (*report)(void *ctx, int voter, const struct report *report);
    void (*lost)(void *ctx, int voter);
    /* True: ask that sentinel now. voter -1: its word does not count (yet). */
    bool (*event)(void *ctx, int voter, const struct event *event);
    /* Something to be written down; `source` is the sentinel's address. */
    void (*published)(void *ctx, const char *source, struct span channel, struct span payload);
    void (*note)(void *ctx, const char *source, bool warning, const char *text);
    void (*replicas)(void *ctx, const struct resp *list); /* of SENTINEL REPLICAS */
    int64_t (*poll_ms)(void *ctx);                        /* until a sentinel is asked again */
};

/* The configuration outlives the roster. */
struct roster *roster_new(struct link_world *world, const struct config_sentinel *config,
                          const struct roster_owner *owner, void *ctx);
void roster_free(struct roster *roster); /* NULL is fine */
void roster_poll(struct roster *roster); /* asks all of them now */

size_t roster_count(const struct roster *roster);
struct sentinel *roster_at(const struct roster *roster, size_t i);

/* An address by the address map. */
void place_map(const struct config_sentinel *config, const struct place *place, struct place *out);

#endif
