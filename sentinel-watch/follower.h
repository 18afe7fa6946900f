// SPDX-License-Identifier: Apache-2.0
/*
 * The state machine of one master: what sentinels and Redis nodes say comes in, what is to be done
 * goes out. Pure: no sockets, no clock; times are loop milliseconds and passed in.
 *
 * Places are the sentinels' own words here; the address map is applied outside.
 */
#ifndef LIMPET_SENTINEL_WATCH_FOLLOWER_H
#define LIMPET_SENTINEL_WATCH_FOLLOWER_H

#include "sentinel-watch/votes.h"

enum follower_state {
    FOLLOWER_START,   /* no majority has named the master yet */
    FOLLOWER_CALM,    /* the master is known and nobody doubts it */
    FOLLOWER_SUSPECT, /* somebody does; nothing is done */
    FOLLOWER_HOLD,    /* it is down, or about to be replaced: publishes are held */
    FOLLOWER_PROBE,   /* a successor is known and asked for its role */
    FOLLOWER_SWITCH,  /* it is the master: everybody is told */
    FOLLOWER_SETTLE,  /* everybody has been told; late events of the same failover are swallowed */
};
const char *follower_state_word(enum follower_state state); /* "calm" */

enum role {
    ROLE_UNKNOWN,     /* not asked yet */
    ROLE_UNREACHABLE, /* no connection, or no answer */
    ROLE_REFUSED,     /* wrong password, or no right to ask */
    ROLE_MASTER,
    ROLE_REPLICA,
    ROLE_OTHER, /* e.g. a sentinel */
};
const char *role_word(enum role role);

enum { FORMERS_MAX = 8 };

enum follower_weight { FOLLOWER_INFO, FOLLOWER_WARNING };

/* What is to be done. Called from inside follower_… functions; they must not call back into it. */
struct follower_owner {
    void (*baseline)(void *ctx, const struct failover *now);
    void (*hold)(void *ctx, const struct failover *failover);
    void (*switched)(void *ctx, const struct failover *failover);
    void (*cancel)(void *ctx, const struct failover *failover);
    void (*fence)(void *ctx, const struct failover *failover);
    /* Something that an operator wants to read. */
    void (*note)(void *ctx, enum follower_weight weight, const char *text);
};

struct follower_options {
    const char *master; /* its name; outlives the follower */
    bool hold_at_odown;
    int64_t hold_max_ms;
    bool fast_path;
};

/* A place whose ROLE is to be asked, again and again. */
enum ask_kind { ASK_CURRENT, ASK_CANDIDATE, ASK_FORMER, ASK_KINDS };
struct ask {
    struct place place;  /* port 0: nobody */
    int64_t interval_ms; /* between two questions */
};

struct answered_role {
    struct place place;
    enum role role;
    char run_id[FAILOVER_RUN_ID_MAX]; /* "" when it may not be read */
    int64_t at_ms;
    bool was_replica; /* it said so once, since this place is asked */
};

struct follower {
    struct follower_options options;
    const struct follower_owner *owner;
    void *ctx;
    enum follower_state state;
    struct votes votes;
    struct opinion opinion; /* of the last decision */

    /* The master as everybody downstream has been told. */
    uint64_t generation, epoch;
    struct place place, former;
    int64_t former_since_ms;           /* watched for its return since */
    struct place formers[FORMERS_MAX]; /* the last ones */
    size_t former_count;
    bool told;        /* baseline or a switch has been given out */
    bool unconfirmed; /* the fast path was taken, no majority has said so yet */

    struct answered_role roles[ASK_KINDS];
    struct place candidate;     /* by an event of one sentinel, or of the majority's opinion */
    bool candidate_by_majority; /* the opinion names it, with candidate_epoch */
    uint64_t candidate_epoch;
    int64_t candidate_since_ms;

    bool held;                /* `hold` was given out, nothing has ended it */
    struct failover failover; /* that is held for, or switched to */
    int64_t held_since_ms;
    uint64_t attempts, spent_attempt; /* failovers that were tried; the one whose hold was spent */
    bool spent;             /* a hold ended without a switch, and the master is still down */
    uint64_t held_epoch;    /* a target that was held for once already */
    int64_t quiet_since_ms; /* nothing speaks for a failover since; 0: something does */
    int64_t aborted_ms;     /* of the last abort; 0: none */
    int64_t state_since_ms, first_sign_ms;
    int64_t baseline_since_ms; /* a majority contradicts us since; 0: it does not */
    bool rival;                /* a server has seen a newer epoch than the sentinels' */
    uint64_t rival_epoch;
    bool fenced;  /* the former master's return has been told */
    bool settled; /* doors have told everybody */
    bool blind;   /* as it was noted last */
    struct ask asks[ASK_KINDS];
};

void follower_init(struct follower *follower, const struct follower_options *options,
                   const struct follower_owner *owner, void *ctx);

/* After a reload: what everybody downstream has been told already. */
void follower_resume(struct follower *follower, const struct failover *told, int64_t now_ms);

/* Sentinels; the number is the voter's. */
int follower_add_sentinel(struct follower *follower);
void follower_remove_sentinel(struct follower *follower, int voter, int64_t now_ms);
void follower_lost_sentinel(struct follower *follower, int voter, int64_t now_ms);
void follower_report(struct follower *follower, int voter, const struct report *report,
                     int64_t now_ms);
/* Only events about this master, or about none. True: ask that sentinel for a report now. */
bool follower_event(struct follower *follower, int voter, const struct event *event,
                    int64_t now_ms);

/* A place's own answer. */
void follower_role(struct follower *follower, const struct place *place, enum role role,
                   const char *run_id, int64_t now_ms);
/* Everybody has been told about the switch. */
void follower_told(struct follower *follower, int64_t now_ms);
/* A server knows a newer failover than we: another watcher told it. */
void follower_outdated(struct follower *follower, uint64_t generation, uint64_t epoch,
                       int64_t now_ms);

/* At least every 100 ms: what follows from time alone. */
void follower_tick(struct follower *follower, int64_t now_ms);

/* Whom to ask for its role, and how often to ask the sentinels. */
const struct ask *follower_ask(const struct follower *follower, enum ask_kind kind);
int64_t follower_poll_ms(const struct follower *follower);

#endif
