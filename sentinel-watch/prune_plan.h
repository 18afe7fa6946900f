// SPDX-License-Identifier: Apache-2.0
/*
 * May sentinels be made to forget what is gone? "Sentinels never forget": a replica or a sentinel that
 * was taken away for good is counted, asked and waited for until SENTINEL RESET, which is a loaded gun:
 * it wipes what that sentinel knows of a master, and a failover that begins before it has learned
 * everything again never comes to an end.
 *
 * Pure: everything that was learned from all sentinels and from the master comes in, the first doubt
 * comes out, or the list of what may be forgotten.
 */
#ifndef LIMPET_SENTINEL_WATCH_PRUNE_PLAN_H
#define LIMPET_SENTINEL_WATCH_PRUNE_PLAN_H

#include "base/resp.h"
#include "sentinel-watch/event.h"

enum { PRUNE_SENTINELS_MAX = 16, PRUNE_MEMBERS_MAX = 32, PRUNE_DOUBT_MAX = 240 };

/* A replica or another sentinel, as one sentinel knows it. */
struct prune_member {
    struct place place;
    char run_id[FAILOVER_RUN_ID_MAX]; /* of a sentinel */
    int64_t down_ms;                  /* s_down for so long; 0: it is not */
};

/* What one sentinel answered. */
struct prune_witness {
    char name[PLACE_TEXT_MAX];
    char run_id[FAILOVER_RUN_ID_MAX];
    unsigned answered; /* answers that have come: PRUNE_ANSWERS of them when it is complete */
    bool refused;      /* an answer was an error; trouble says which */
    char trouble[120];
    struct place master;
    uint64_t epoch;
    bool flagged; /* s_down, o_down or failover_in_progress of the master */
    bool tilted;
    bool quorum; /* CKQUORUM says OK */
    int64_t failover_timeout_ms;
    struct prune_member replicas[PRUNE_MEMBERS_MAX], sentinels[PRUNE_MEMBERS_MAX];
    size_t replica_count, sentinel_count;
};

struct prune_view {
    struct prune_witness witnesses[PRUNE_SENTINELS_MAX];
    size_t witness_count;
    size_t configured;   /* sentinels of the configuration */
    struct place master; /* whom we follow, in the sentinels' words: it was asked what follows */
    bool master_answered, is_master;
    struct place online[PRUNE_MEMBERS_MAX]; /* replicas that the master itself counts as online */
    size_t online_count;
    bool calm;        /* the state machine is, and knows the master */
    int64_t quiet_ms; /* since the last sign of a failover, or since we watch */
};

struct prune_bounds {
    int64_t after_ms; /* prune.after */
    int64_t quiet_ms; /* prune.quiet, and twice the failover-timeout at least */
};

struct prune_plan {
    char doubt[PRUNE_DOUBT_MAX]; /* "": none */
    struct prune_member replicas[PRUNE_MEMBERS_MAX],
        sentinels[PRUNE_MEMBERS_MAX]; /* to be forgotten */
    size_t replica_count, sentinel_count;
};

void prune_plan(const struct prune_view *view, const struct prune_bounds *bounds,
                struct prune_plan *out);

/* Has this sentinel, after a RESET, learned again all that is alive, by what it knew before and what the
 * master says? NULL, or what is missing. */
const char *prune_relearned(const struct prune_view *view, const struct prune_witness *before,
                            const struct prune_witness *now, const struct prune_plan *plan);

/* The answers, in this order, to be taken into a witness. */
enum prune_question {
    PRUNE_ADDR, /* SENTINEL GET-MASTER-ADDR-BY-NAME */
    PRUNE_MASTER,
    PRUNE_REPLICAS,
    PRUNE_SENTINELS,
    PRUNE_QUORUM, /* SENTINEL CKQUORUM */
    PRUNE_MYID,
    PRUNE_INFO, /* INFO sentinel */
    PRUNE_ANSWERS
};
void prune_hear(struct prune_witness *witness, enum prune_question question,
                const struct resp *answer);
/* The master's INFO replication and ROLE. */
void prune_hear_role(struct prune_view *view, const struct resp *answer);
void prune_hear_replication(struct prune_view *view, const struct resp *answer);

#endif
