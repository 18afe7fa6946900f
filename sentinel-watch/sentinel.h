// SPDX-License-Identifier: Apache-2.0
/*
 * One sentinel, as it is followed for one master: a connection that is subscribed to everything it
 * publishes, and one on which it is asked for its view, from time to time and whenever something
 * happened. Subscribed first, asked second, so that nothing falls between.
 */
#ifndef LIMPET_SENTINEL_WATCH_SENTINEL_H
#define LIMPET_SENTINEL_WATCH_SENTINEL_H

#include "sentinel-watch/link.h"
#include "sentinel-watch/votes.h"

struct sentinel;

/* How much of what it publishes arrives. */
enum subscription {
    SUBSCRIPTION_NONE, /* no connection, or not answered yet */
    SUBSCRIPTION_ALL,
    SUBSCRIPTION_SOME,    /* the user may not read all channels */
    SUBSCRIPTION_REFUSED, /* none: only asking is left */
};
const char *subscription_word(enum subscription subscription);

/* From the loop; the sentinel may be freed in any of them. */
struct sentinel_owner {
    void (*report)(void *ctx, struct sentinel *sentinel, const struct report *report);
    /* Its view is not known any more (sentinel_trouble says why). Also when it never was. */
    void (*lost)(void *ctx, struct sentinel *sentinel);
    void (*event)(void *ctx, struct sentinel *sentinel, struct span channel, struct span payload);
    /* Its run id is known now. */
    void (*named)(void *ctx, struct sentinel *sentinel);
    /* What it answers to SENTINEL SENTINELS and SENTINEL REPLICAS: lists of lists of fields. */
    void (*sentinels)(void *ctx, struct sentinel *sentinel, const struct resp *list);
    void (*replicas)(void *ctx, struct sentinel *sentinel, const struct resp *list);
    /* How long until it is asked again. */
    int64_t (*poll_ms)(void *ctx);
};

struct sentinel_setup {
    struct place place; /* as it is reached from here */
    const char *master; /* the master's name */
    const char *username, *password;
    bool configured; /* else another one told of it */
};

struct sentinel *sentinel_new(struct link_world *world, const struct sentinel_setup *options,
                              const struct sentinel_owner *owner, void *ctx);
void sentinel_free(struct sentinel *sentinel);

/* Asks it now, or as soon as the question that is under way is answered. */
void sentinel_poll(struct sentinel *sentinel);
/* Asks it for its members, too, the next time. */
void sentinel_ask_members(struct sentinel *sentinel);

/* What is known of it, for its owner to read. */
struct sentinel_info {
    struct place place;
    const struct addr *addr; /* that its name led to; len 0: not known */
    bool configured;
    const char *run_id; /* "" */
    bool up;            /* its view is known */
    enum subscription subscription;
    const char *trouble; /* "" */
    const char *refused; /* a channel or command that the user may not use; "" */
    uint64_t events, polls, losses;
    int64_t rtt_ms; /* of the last poll */
};
void sentinel_info(const struct sentinel *sentinel, struct sentinel_info *out);
/* A number of the owner's: the voter. -1 at first. */
int sentinel_voter(const struct sentinel *sentinel);
void sentinel_set_voter(struct sentinel *sentinel, int voter);

#endif
