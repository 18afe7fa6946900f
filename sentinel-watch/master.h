// SPDX-License-Identifier: Apache-2.0
/*
 * One Redis master that is followed: its sentinels, the questions to its nodes, the state machine
 * that is fed with the answers, and what that decides given on to the doors.
 */
#ifndef LIMPET_SENTINEL_WATCH_MASTER_H
#define LIMPET_SENTINEL_WATCH_MASTER_H

#include "config/config.h"
#include "sentinel-watch/asker.h"
#include "sentinel-watch/doors.h"
#include "sentinel-watch/follower.h"
#include "sentinel-watch/journal.h"
#include "sentinel-watch/sentinel.h"

struct master;

/* The configuration outlives the master. `told`: what was told before a reload; NULL: nothing. */
struct master *master_new(struct link_world *world, const struct config_sentinel *config,
                          struct doors *doors, struct journal *journal,
                          const struct failover *told);
void master_free(struct master *master);

const char *master_name(const struct master *master);
const struct config_sentinel *master_config(const struct master *master);
const struct follower *master_follower(const struct master *master);
/* What everybody downstream has been told last, with places as they are reached. False: nothing. */
bool master_told(const struct master *master, struct failover *out);

/* The same in the sentinels' words, for `told` of its successor after a reload. */
bool master_handover(const struct master *master, struct failover *out);

/* Doors say so: servers enter a phase, and a server knows of something newer. */
void master_phase(struct master *master, const struct failover *failover, enum phase phase);
void master_outdated(struct master *master, uint64_t generation, uint64_t epoch);

/* Its sentinels. */
size_t master_sentinel_count(const struct master *master);
struct sentinel *master_sentinel(const struct master *master, size_t i);

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

/* An address by the address map. */
void master_map(const struct config_sentinel *config, const struct place *place, struct place *out);

#endif
