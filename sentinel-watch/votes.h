// SPDX-License-Identifier: Apache-2.0
/*
 * What all sentinels of one master say, and what it amounts to. Pure: times are passed in.
 *
 * A vote counts while it is fresh, its sentinel can be heard and is not in tilt. The majority is that
 * of all voters, heard or not: silence never makes a minority larger.
 */
#ifndef LIMPET_SENTINEL_WATCH_VOTES_H
#define LIMPET_SENTINEL_WATCH_VOTES_H

#include "sentinel-watch/event.h"

enum {
    VOTERS_MAX = 64,
    VOTE_FRESH_MS = 5000, /* a report older than this is no vote any more */
};

/* A sentinel's answer to GET-MASTER-ADDR-BY-NAME, MASTER and INFO, asked together. */
struct report {
    struct place place;       /* where it says that the master is */
    struct place flags_place; /* whom the flags are about: the leader's differs during a failover */
    uint64_t epoch;           /* of that master's configuration */
    bool sdown, odown, failing_over, tilted;
    unsigned quorum;
    unsigned replicas, sentinels; /* others that it knows, also those that are gone */
    int64_t down_after_ms, failover_timeout_ms;
};

struct voter {
    bool used;
    bool up;          /* it can be heard: subscribed, and has reported since */
    int64_t heard_ms; /* of its last report; 0: none since it is up */
    struct report report;
    struct place down_place; /* whom sdown and odown are about */
    bool sdown, odown, failing_over, tilted;
    uint64_t seen_epoch; /* the highest that it began or took part in */
    char voted_for[FAILOVER_RUN_ID_MAX];
    uint64_t voted_epoch;
};

struct votes {
    struct voter list[VOTERS_MAX];
    size_t count; /* slots in use lie below */
};

struct opinion {
    size_t voters, majority;
    size_t up;     /* fresh votes, those in tilt too */
    size_t tilted; /* among them */
    size_t agree;  /* votes for the place and epoch below, the most of all */
    struct place place;
    uint64_t epoch;
    size_t sdown, odown; /* votes that the current master is down */
    size_t need;         /* sdown votes that are believed */
    size_t failing_over; /* sentinels that are replacing the current master, they say */
    uint64_t seen_epoch; /* that a majority has seen at least */
    bool elected;        /* a majority voted for one leader, in a later epoch than the current */
    bool blind;          /* fewer than a majority can vote: nothing is believed */
    bool degraded;       /* there is one sentinel only, and it is believed */
};

/* A slot for one more sentinel, -1: full. */
int votes_add(struct votes *votes);
void votes_remove(struct votes *votes, int voter);
void votes_lost(struct votes *votes, int voter);
void votes_report(struct votes *votes, int voter, const struct report *report, int64_t now_ms);
/* An event about this master, or about none. */
void votes_event(struct votes *votes, int voter, const struct event *event);
/* `master` and `epoch` are the current ones. */
void votes_count(const struct votes *votes, const struct place *master, uint64_t epoch,
                 int64_t now_ms, struct opinion *out);

#endif
