// SPDX-License-Identifier: Apache-2.0
/*
 * A chained hash table of what lies in exchanges and tunnels; nothing is allocated per session. It
 * doubles when there are more sessions than buckets; when there is no memory for that, chains just
 * grow longer. Hashes need no key: slots and numbers are ours, clients cannot choose them.
 */
#include "lb/sessions.h"

#include "base/mem.h"

#include <stdlib.h>

enum { BUCKETS_FIRST = 256 };

static uint32_t mixed(uint64_t value)
{
    return (uint32_t)(value * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static uint32_t sid_hash(uint32_t shard, uint32_t slot, uint32_t generation)
{
    return mixed((uint64_t)slot << 32 ^ (uint64_t)shard << 24 ^ generation);
}

static struct held_session **bucket_of(const struct sessions *sessions, uint32_t hash)
{
    return &sessions->buckets[hash & (sessions->bucket_count - 1)];
}

void sessions_init(struct sessions *sessions)
{
    *sessions = (struct sessions){.bucket_count = BUCKETS_FIRST};
    sessions->buckets = mem_must_alloc(BUCKETS_FIRST * sizeof(struct held_session *));
}

void sessions_fini(struct sessions *sessions)
{
    free((void *)sessions->buckets);
    sessions->buckets = NULL;
}

static void sessions_grow(struct sessions *sessions)
{
    struct sessions grown = {.bucket_count = sessions->bucket_count * 2};
    grown.buckets = calloc(grown.bucket_count, sizeof(struct held_session *));
    if (!grown.buckets)
        return;
    for (uint32_t i = 0; i < sessions->bucket_count; i++) {
        while (sessions->buckets[i]) {
            struct held_session *session = sessions->buckets[i];
            sessions->buckets[i] = session->next;
            struct held_session **bucket = bucket_of(&grown, session->hash);
            session->next = *bucket;
            *bucket = session;
        }
    }
    free((void *)sessions->buckets);
    sessions->buckets = grown.buckets;
    sessions->bucket_count = grown.bucket_count;
}

void sessions_add(struct sessions *sessions, struct held_session *session, struct flow *flow,
                  const struct sid_hold *hold)
{
    if (hold) {
        session->loose_id = 0;
        session->hash = sid_hash(hold->shard, hold->slot, hold->generation);
    } else {
        sessions->last_id += sessions->last_id == UINT32_MAX ? 2 : 1; // 0 means a sid.
        session->loose_id = sessions->last_id;
        session->hash = mixed(session->loose_id);
    }
    if (sessions->used >= sessions->bucket_count && sessions->bucket_count < UINT32_C(1) << 30)
        sessions_grow(sessions);
    sessions->used++;
    session->flow = flow;
    struct held_session **bucket = bucket_of(sessions, session->hash);
    session->next = *bucket;
    *bucket = session;
}

void sessions_remove(struct sessions *sessions, struct held_session *session)
{
    if (!session->flow)
        return;
    struct held_session **link = bucket_of(sessions, session->hash);
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    session->flow = NULL;
    sessions->used--;
}

struct held_session *sessions_next_sid(const struct sessions *sessions, uint32_t shard,
                                       uint32_t slot, uint32_t generation,
                                       const struct held_session *after)
{
    uint32_t hash = sid_hash(shard, slot, generation);
    struct held_session *session = after ? after->next : *bucket_of(sessions, hash);
    while (session && (session->hash != hash || session->loose_id != 0))
        session = session->next;
    return session;
}

struct held_session *sessions_find_loose(const struct sessions *sessions, uint32_t loose_id)
{
    uint32_t hash = mixed(loose_id);
    struct held_session *session = *bucket_of(sessions, hash);
    while (session && session->loose_id != loose_id)
        session = session->next;
    return session;
}
