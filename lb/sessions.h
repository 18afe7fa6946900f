// SPDX-License-Identifier: Apache-2.0
/*
 * Which flows of this worker hold which session: found by the name that control knows a session by,
 * to move it to another server. A session is a live sid (whose held poll or tunnel is in the list)
 * or a tunnel opened without one (a loose one, numbered by its worker).
 */
#ifndef LIMPET_LB_SESSIONS_H
#define LIMPET_LB_SESSIONS_H

#include "lb/sidmap.h"

struct flow;

/* Lies in the exchange (of a held poll) or in the tunnel that holds the session. */
struct held_session {
    struct held_session *next; /* in its bucket */
    struct flow *flow;         /* NULL: not listed */
    uint32_t hash;
    uint32_t loose_id; /* 0: it has a sid */
};

struct sessions {
    struct held_session **buckets; /* a power of two of them */
    uint32_t bucket_count, used;
    uint32_t last_id; /* of a loose one */
};

void sessions_init(struct sessions *sessions);
void sessions_fini(struct sessions *sessions);

/* The flow holds the sid that `hold` names; NULL: it is a loose tunnel, and gets a number. */
void sessions_add(struct sessions *sessions, struct held_session *session, struct flow *flow,
                  const struct sid_hold *hold);
void sessions_remove(struct sessions *sessions,
                     struct held_session *session); /* harmless if not listed */

/*
 * Walks the flows that may hold this sid (shard, slot and generation of its hold), or this loose
 * tunnel: NULL begins. Others with the same hash come, too: the caller compares. The one that was
 * returned may be removed only after the next one was asked for.
 */
struct held_session *sessions_next_sid(const struct sessions *sessions, uint32_t shard,
                                       uint32_t slot, uint32_t generation,
                                       const struct held_session *after);
struct held_session *sessions_find_loose(const struct sessions *sessions, uint32_t loose_id);

#endif
