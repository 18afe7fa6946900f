// SPDX-License-Identifier: Apache-2.0
/*
 * Binding sids, and what keeps the table within its bound: giving entries up, sweeping out what has
 * expired.
 *
 * The bound is one number for the whole table: a place is taken under the lock of the shard that
 * the entry goes to. When there is none, the shard whose heap begins with the soonest time gives
 * one entry up (each shard publishes that time, so choosing takes no lock); its true soonest may
 * turn out later than another shard's, then that one is asked. Memory is bounded too: a shard has
 * slots for twice its share, and when long sids have used them up it gives up entries of its own.
 */
#include "lb/sidmap_shard.h"

enum {
    LOOK_PER_LOCK = 64, /* heap items looked at before a lock is given up */
    EXACT_TRIES = 16    /* shards asked before one of the soonest will do */
};

/* ---- counts ---- */

/* Counts what the shards really hold. Takes every lock. */
void table_recount(struct table_head *table)
{
    int64_t sessions[SIDMAP_SERVERS_MAX] = {0};
    uint64_t used = 0;

    for (uint32_t i = 0; i < table->shard_count; i++) {
        struct shard shard = shard_view(table, i);
        shard_lock(&shard);
        used += shard.head->entries;
        for (uint32_t at = 0; at < shard.head->high; at++)
            if (slot_is_entry(&shard.slots[at]))
                sessions[shard.slots[at].server]++;
    }
    atomic_store(&table->used, used);
    for (size_t i = 0; i < SIDMAP_SERVERS_MAX; i++)
        if (atomic_load_explicit(&table->sessions[i], memory_order_relaxed) != sessions[i])
            atomic_store_explicit(&table->sessions[i], sessions[i], memory_order_relaxed);
    atomic_store(&table->recount, false);
    for (uint32_t i = 0; i < table->shard_count; i++) {
        struct shard shard = shard_view(table, i);
        shard_unlock(&shard);
    }
}

/* ---- binding, and making room for it ---- */

/* Takes one of the table's places. Locked: a place and its entry come under one lock, so that
 * recount sees both or neither. */
static bool place_take(struct table_head *table)
{
    uint64_t used = atomic_load_explicit(&table->used, memory_order_relaxed);
    do {
        if (used >= table->max_entries)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&table->used, &used, used + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* The shard whose heap begins soonest; *second: how soon the next one does. False: all heaps are
 * empty. */
static bool soonest_shard(struct table_head *table, uint32_t *index, uint64_t *second)
{
    uint64_t best = UINT64_MAX;
    *second = UINT64_MAX;
    for (uint32_t i = 0; i < table->shard_count; i++) {
        uint64_t soonest = atomic_load_explicit(&table->shards[i].soonest, memory_order_relaxed);
        if (soonest < best) {
            *second = best;
            best = soonest;
            *index = i;
        } else if (soonest < *second) {
            *second = soonest;
        }
    }
    return best != UINT64_MAX;
}

/* Drops an entry to make room. True when it was still alive. Locked. */
static bool give_up(struct shard *shard, uint32_t at, int64_t now_ms)
{
    bool alive = slot_expires(&shard->slots[at]) > now_ms;
    shard_drop(shard, at);
    if (alive)
        atomic_fetch_add_explicit(&shard->table->evictions, 1, memory_order_relaxed);
    return alive;
}

enum room { ROOM_NONE, ROOM_EXPIRED, ROOM_EVICTED };

/*
 * Gives up the entry of the whole table that expires soonest. Times in heaps may lag, so a shard is
 * asked again and again, each time with some of its items corrected, until its soonest is the
 * table's. Where everything has been renewed since anybody looked, that could take long: after
 * about a thousand corrections the soonest of those at the top of a heap will do, and the next
 * caller goes on where this one stopped.
 */
static enum room make_room(struct table_head *table, int64_t now_ms)
{
    uint32_t index = 0;
    uint64_t second;

    for (int tries = 0; soonest_shard(table, &index, &second); tries++) {
        struct shard shard = shard_view(table, index);
        size_t budget = LOOK_PER_LOCK;
        enum room room = ROOM_NONE;

        shard_lock(&shard);
        uint32_t at = shard_soonest(&shard, &budget);
        if (tries >= EXACT_TRIES)
            at = shard_soon(&shard, LOOK_PER_LOCK);
        else if (at != NO_SLOT && (uint64_t)slot_expires(&shard.slots[at]) > second)
            at = NO_SLOT;
        if (at != NO_SLOT)
            room = give_up(&shard, at, now_ms) ? ROOM_EVICTED : ROOM_EXPIRED;
        shard_unlock(&shard);
        if (room != ROOM_NONE)
            return room;
    }
    return ROOM_NONE;
}

/* Gives up entries of this shard until a sid of that size fits. Locked. */
static uint32_t insert_evicting(struct shard *shard, uint64_t hash, struct span sid, int server_id,
                                int64_t lifetime_ms, int64_t now_ms, bool *evicted)
{
    for (;;) {
        uint32_t at = shard_insert(shard, hash, sid, server_id, lifetime_ms, now_ms);
        if (at != NO_SLOT)
            return at;
        size_t budget = (size_t)EXACT_TRIES * LOOK_PER_LOCK;
        uint32_t victim = shard_soonest(shard, &budget);
        if (victim == NO_SLOT)
            victim = shard_soon(shard, LOOK_PER_LOCK);
        if (victim == NO_SLOT && shard->head->heap_count > 0)
            continue; // those were held ones; they are out of the heap with the next look
        if (victim == NO_SLOT)
            return NO_SLOT;
        if (give_up(shard, victim, now_ms))
            *evicted = true;
    }
}

/* The same sid again: keeps its holds, takes the rest from now. Locked. */
static void rebind(struct shard *shard, uint32_t at, int server_id, int64_t lifetime_ms,
                   int64_t now_ms)
{
    struct slot *slot = &shard->slots[at];

    if (slot->server != (uint32_t)server_id) {
        sessions_add(shard->table, slot->server, -1);
        sessions_add(shard->table, (uint32_t)server_id, 1);
        slot->server = (uint32_t)server_id & 0x3ff;
    }
    slot->kick = 0;
    slot_set_created(slot, now_ms);
    slot_set_lifetime(slot, lifetime_ms);
    shard_renew(shard, at, now_ms);
}

/* One attempt under the shard's lock. SID_FULL: no place left. */
static enum sid_bind try_bind(struct table_head *table, uint64_t hash, struct span sid,
                              int server_id, int64_t lifetime_ms, int64_t now_ms)
{
    struct shard shard = shard_of(table, hash);
    enum sid_bind answer = SID_FULL;

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    if (at != NO_SLOT) {
        rebind(&shard, at, server_id, lifetime_ms, now_ms);
        answer = SID_BOUND;
    } else if (place_take(table)) {
        bool evicted = false;
        at = insert_evicting(&shard, hash, sid, server_id, lifetime_ms, now_ms, &evicted);
        if (at != NO_SLOT) {
            sessions_add(table, (uint32_t)server_id, 1);
            answer = evicted ? SID_BOUND_EVICTED : SID_BOUND;
        } else {
            atomic_fetch_sub_explicit(&table->used, 1, memory_order_relaxed);
            answer = SID_REFUSED; // not for lack of a place: its shard is full of held entries
        }
    }
    shard_unlock(&shard);
    return answer;
}

enum sid_bind sidmap_bind(struct sidmap *map, struct span sid, int server_id, int64_t lifetime_ms,
                          int64_t now_ms)
{
    if (!key_fits(sid) || server_id < 0 || server_id >= SIDMAP_SERVERS_MAX)
        return SID_REFUSED;
    if (lifetime_ms <= 0)
        lifetime_ms = SIDMAP_DEFAULT_LIFETIME_MS;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    bool evicted = false;

    for (;;) {
        enum sid_bind answer = try_bind(map->table, hash, sid, server_id,
                                        lifetime_ms + SIDMAP_SLACK_MS, now_ms);
        if (answer == SID_REFUSED)
            return SID_FULL;
        if (answer != SID_FULL)
            return evicted ? SID_BOUND_EVICTED : answer;
        enum room room = make_room(map->table, now_ms);
        if (room == ROOM_NONE)
            return SID_FULL;
        evicted = evicted || room == ROOM_EVICTED;
    }
}

/* ---- sweeping ---- */

/* Removes what has expired in one shard. */
static size_t shard_expire(struct shard *shard, int64_t now_ms, size_t *budget)
{
    size_t gone = 0;

    while (*budget > 0 &&
           atomic_load_explicit(&shard->head->soonest, memory_order_relaxed) <= (uint64_t)now_ms) {
        size_t look = *budget < LOOK_PER_LOCK ? *budget : LOOK_PER_LOCK;
        *budget -= look;
        shard_lock(shard);
        for (;;) {
            uint32_t at = shard_soonest(shard, &look);
            if (at == NO_SLOT || slot_expires(&shard->slots[at]) > now_ms)
                break;
            shard_drop(shard, at);
            gone++;
        }
        shard_unlock(shard);
        *budget += look;
    }
    return gone;
}

size_t sidmap_expire(struct sidmap *map, int64_t now_ms, size_t budget)
{
    struct table_head *table = map->table;
    size_t gone = 0;

    if (atomic_load(&table->recount))
        table_recount(table);
    uint32_t first = atomic_load(&table->expire_at);
    for (uint32_t i = 0; i < table->shard_count && budget > 0; i++) {
        uint32_t index = (first + i) & (table->shard_count - 1);
        struct shard shard = shard_view(table, index);
        gone += shard_expire(&shard, now_ms, &budget);
        atomic_store(&table->expire_at, index);
    }
    return gone;
}
