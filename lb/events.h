// SPDX-License-Identifier: Apache-2.0
/*
 * What happened lately, for `show events` and the dashboard's timeline: a ring of the last
 * EVENTS_MAX events. On control's thread only.
 */
#ifndef LIMPET_LB_EVENTS_H
#define LIMPET_LB_EVENTS_H

#include "lb/worker.h"

enum { EVENTS_MAX = 200, EVENT_TEXT_MAX = 240 };

enum event_kind {
    EVENT_START,     /* the process began to serve */
    EVENT_HEALTH,    /* a server went down or came up */
    EVENT_STATE,     /* somebody set a server's or frontend's state, weight, limit or address */
    EVENT_DRAIN,     /* sessions are moved away, or have been */
    EVENT_REBALANCE, /* likewise, from servers that have more than their share */
    EVENT_RELOAD,    /* a configuration was loaded, or refused and why */
    EVENT_UPGRADE,   /* another executable takes over */
    EVENT_FAILOVER,  /* Redis */
    EVENT_STOP,      /* a graceful stop began */
    EVENT_KINDS
};
const char *event_kind_word(enum event_kind kind); /* "health" */

struct event {
    uint64_t id;     /* from 1 on, without gaps */
    int64_t wall_ms; /* when */
    enum event_kind kind;
    char text[EVENT_TEXT_MAX]; /* one line of printable ASCII, cut if too long */
};

/* Without memory for the ring the event is lost. */
void events_add(struct serving *serving, enum event_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* How many are kept, and the i-th of them, the oldest first; good until the next events_add. */
size_t events_count(const struct serving *serving);
const struct event *events_at(const struct serving *serving, size_t i);
/* Of the newest; 0: there was none yet. */
uint64_t events_last_id(const struct serving *serving);
void events_fini(struct serving *serving);

#endif
