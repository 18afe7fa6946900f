// SPDX-License-Identifier: Apache-2.0
/*
 * Inside the sid table: what lies in the shared memory, and one shard's operations. Only sidmap.c
 * includes this.
 */
#ifndef LIMPET_LB_SIDMAP_SHARD_H
#define LIMPET_LB_SIDMAP_SHARD_H

#include "base/rand.h"
#include "lb/sidmap.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SHARDS_MAX = 64,
    NAME_MAX_BYTES = 255, /* of a server's name */
    SLOT_SID_BYTES = 24,  /* of a sid within its own slot */
    SLOT_MORE_BYTES = 44, /* of a long sid's rest in each further slot */
    SIZE_FREE = 0,        /* values of a slot's `size` beside 1..256 */
    SIZE_MORE = 511,
};
static const uint32_t NO_SLOT = UINT32_MAX;

/*
 * One entry, 52 bytes; or, with size SIZE_MORE, the rest of a long sid. A slot counts only once
 * `size` says so: it is written last and cleared first, so that a holder of the lock who dies
 * leaves each slot either whole or free.
 */
struct slot {
    uint32_t next; /* in its bucket's chain; free: in the free list; SIZE_MORE: the next one */
    uint32_t generation : 23; /* counts the slot's uses */
    uint32_t size : 9;        /* bytes of the sid, SIZE_FREE or SIZE_MORE */
    union {
        char more[SLOT_MORE_BYTES];
        struct {
            uint32_t
                heap_at; /* where it is in the heap; NO_SLOT: not there, because it was seen held */
            uint32_t expires_lo; /* CLOCK_MONOTONIC ms, 40 bits (34 years) */
            uint32_t expires_hi : 8;
            uint32_t holds_0 : 12;     /* of processes that call themselves party 0 … */
            uint32_t holds_1 : 12;     /* … and 1: see sidmap_attach */
            uint32_t lifetime_ms : 22; /* with slack; at most 69 minutes */
            uint32_t server : 10;
            uint32_t created : 31; /* CLOCK_MONOTONIC, units of 1/8 s (8 years) */
            uint32_t kick : 1;
            union {
                char sid[SLOT_SID_BYTES];
                struct {
                    uint32_t more_at; /* of a long sid: its first further slot */
                    char head[SLOT_SID_BYTES - 4];
                };
            };
        };
    };
};
_Static_assert(sizeof(struct slot) == 52, "entry, heap item and bucket share fit 64 bytes");

/* expires << 24 | slot: ordered by comparing integers. The time may lag behind the entry's (renewed
 * since), never be ahead of it. */
typedef uint64_t heap_item;

/* One shard's head. */
struct shard_head {
    _Alignas(64) pthread_mutex_t lock; /* robust, process-shared */
    uint32_t entries;
    uint32_t heap_count;
    uint32_t high;      /* slots ever used: memory beyond was never touched */
    uint32_t free_slot; /* list of freed ones below `high` */
    uint32_t free_count;
    _Atomic uint32_t waits; /* somebody else had the lock */
    _Atomic uint64_t
        soonest; /* the heap's first time, UINT64_MAX when empty: read by others without the lock */
};

struct server_name {
    uint8_t len;
    char text[NAME_MAX_BYTES];
};

/* The start of the memory; then, per shard, its buckets, its heap and its slots, each from a page's
 * start. */
struct table_head {
    char magic[8];
    uint32_t layout; /* changes with any struct here */
    uint32_t shard_count;
    uint64_t max_entries;
    uint32_t buckets_per_shard;
    uint32_t slots_per_shard;
    uint64_t bytes; /* of the whole mapping */
    struct hash_key key;

    _Alignas(64) _Atomic uint64_t
        used; /* entries, at most max_entries; counts places before they are filled */
    _Atomic uint64_t evictions;
    _Atomic uint32_t expire_at; /* shard where sidmap_expire goes on */
    _Atomic bool
        recount; /* a shard was repaired: the counts may be off by what its holder had begun */

    _Alignas(64) pthread_mutex_t names_lock;
    _Atomic uint32_t name_count;
    _Atomic int64_t sessions[SIDMAP_SERVERS_MAX];
    struct server_name names[SIDMAP_SERVERS_MAX];
    struct shard_head shards[SHARDS_MAX];
};

/* One shard with its parts, as this process maps them. */
struct shard {
    struct table_head *table;
    struct shard_head *head;
    uint32_t *buckets;
    heap_item *heap;
    struct slot *slots;
};

struct sidmap {
    struct table_head *table;
    int fd;
    unsigned party; /* 0 or 1: whose holds ours are */
};

/* Where everything lies, for that many entries; fills shard_count, *_per_shard and bytes. */
void table_plan(struct table_head *head, size_t max_entries);
/* Bytes that max_entries short sids touch. */
size_t table_bytes_used_at_most(const struct table_head *head);
struct shard shard_view(struct table_head *table, uint32_t index);
struct shard shard_of(struct table_head *table, uint64_t hash);
/* Counts anew what the shards really hold, and who owns it. Takes every lock. */
void table_recount(struct table_head *table);

static inline uint32_t slot_holds(const struct slot *slot)
{
    return slot->holds_0 + slot->holds_1;
}

/* May it be a key of the table? */
static inline bool key_fits(struct span sid)
{
    return sid.len >= 1 && sid.len <= SIDMAP_KEY_MAX;
}
static inline void sessions_add(struct table_head *table, uint32_t server, int64_t n)
{
    atomic_fetch_add_explicit(&table->sessions[server], n, memory_order_relaxed);
}

void shard_lock_init(pthread_mutex_t *lock);
/* Locks. A shard whose holder died is repaired first. */
void shard_lock(struct shard *shard);
void shard_unlock(struct shard *shard);
/* Builds buckets, heap and free list anew from the slots, keeping every entry that is whole.
 * Locked. */
void shard_rebuild(struct shard *shard);

/* All of the following: locked. */
uint32_t shard_find(const struct shard *shard, uint64_t hash, struct span sid);
/* A new entry, unheld; NO_SLOT: not enough free slots. The caller counts it. */
uint32_t shard_insert(struct shard *shard, uint64_t hash, struct span sid, int server,
                      int64_t lifetime_ms, int64_t now_ms);
/* Takes the entry out, and counts it. */
void shard_drop(struct shard *shard, uint32_t at);
/* Restarts the lifetime. */
void shard_renew(struct shard *shard, uint32_t at, int64_t now_ms);
/* The unheld entry that expires first, exactly; NO_SLOT: none. Looks at no more than *budget heap
 * items, and counts them off. */
uint32_t shard_soonest(struct shard *shard, size_t *budget);
/* An unheld entry that is among the soonest: the best of the first `look` items. NO_SLOT: none. */
uint32_t shard_soon(const struct shard *shard, uint32_t look);

int64_t slot_expires(const struct slot *slot);
int64_t slot_created(const struct slot *slot);
void slot_set_created(struct slot *slot, int64_t now_ms);
void slot_set_lifetime(struct slot *slot, int64_t lifetime_ms);
bool slot_is_entry(const struct slot *slot);
/* Forgets that a party holds it: when nobody else does, its lifetime starts anew. The shard is rebuilt
 * after that. */
void slot_reset(struct slot *slot, unsigned party, int64_t now_ms);
void slot_hold(struct slot *slot, unsigned party);
bool slot_release(struct slot *slot, unsigned party); /* false: that party does not hold it */
/* The sid; `room` is used for those that do not lie in one piece. */
struct span shard_sid(const struct shard *shard, uint32_t at, char room[static SIDMAP_KEY_MAX]);

#endif
