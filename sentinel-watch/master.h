// SPDX-License-Identifier: Apache-2.0
/*
 * One Redis master that is followed: its sentinels, the questions to its nodes, the state machine
 * that is fed with the answers, and what that decides given on to the doors.
 */
#ifndef LIMPET_SENTINEL_WATCH_MASTER_H
#define LIMPET_SENTINEL_WATCH_MASTER_H

#include "config/config.h"
#include "sentinel-watch/asker.h"
#include "sentinel-watch/canary.h"
#include "sentinel-watch/doors.h"
#include "sentinel-watch/follower.h"
#include "sentinel-watch/journal.h"
#include "sentinel-watch/prune.h"
#include "sentinel-watch/roster.h"

struct master;

enum { TIMES_MAX = 8 };
/* A histogram of durations; the last bucket is what is longer than all bounds. */
struct times {
    uint64_t buckets[TIMES_MAX + 1];
    uint64_t count;
    int64_t sum_ms;
};
extern const int64_t times_bounds_ms[TIMES_MAX];

struct master_stats {
    uint64_t holds, switches, cancels, fences;
    struct times to_switch; /* from the first sign to the switch */
    struct times to_told;   /* from the switch until all servers are where they should be */
};

/* What outlives a reload. */
struct master_memory {
    bool has_told;
    struct failover told; /* what everybody downstream was told last, in the sentinels' words */
    struct master_stats stats;
};

/* The configuration and the watcher's name outlive the master. `before`: of its predecessor, NULL: there was none. */
struct master *master_new(struct link_world *world, const struct config_sentinel *config,
                          struct doors *doors, struct journal *journal, const char *watcher,
                          const struct master_memory *before);
void master_free(struct master *master);

const char *master_name(const struct master *master);
const struct config_sentinel *master_config(const struct master *master);
const struct follower *master_follower(const struct master *master);
/* What everybody downstream has been told last, with places as they are reached. False: nothing. */
bool master_told(const struct master *master, struct failover *out);

const struct master_stats *master_stats(const struct master *master);
void master_remember(const struct master *master, struct master_memory *out);

/* Doors say so: servers enter a phase, and a server knows of something newer. */
void master_phase(struct master *master, const struct failover *failover, enum phase phase);
void master_outdated(struct master *master, uint64_t generation, uint64_t epoch);

/* Its sentinels. */
size_t master_sentinel_count(const struct master *master);
struct sentinel *master_sentinel(const struct master *master, size_t i);

/* What was measured; false: the canary is off. */
bool master_canary(const struct master *master, struct canary_info *out);

/* What is gone, and how the sentinels are made to forget it. */
struct prune *master_prune(const struct master *master);

/* Its Redis nodes, as the sentinels tell of them. */
enum { NODES_MAX = 64 };
struct node {
    struct place place; /* as the sentinels say it */
    char flags[64];
    bool linked; /* to its master */
    int64_t offset;
    int64_t priority;
};
size_t master_nodes(const struct master *master, const struct node **list);
/* The last answer of a node that is asked for its role itself. */
const struct answered_role *master_role(const struct master *master, enum ask_kind kind);
const char *master_role_trouble(const struct master *master, enum ask_kind kind);

#endif
