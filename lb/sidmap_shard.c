// SPDX-License-Identifier: Apache-2.0
/*
 * One shard of the sid table: a hash index, an expiry heap and the slots, in shared memory.
 *
 *   buckets  [ . | . | 7 | . | . ]        hash → first slot of a chain
 *   slots    [ 0: entry ][ 1: entry, long sid ]→[ 2: its rest ][ 3: free ] … high │ never touched
 *   heap     [ 940 ms, slot 7 ][ … ]      by the time that an entry would expire, as last looked at
 *
 * Renewing an entry, which every request does, writes the new time into its slot and leaves the
 * heap alone: an item's time may lag behind its slot's. Whoever needs the soonest entry corrects
 * the items that he meets at the top. An entry that is found held there leaves the heap, and its
 * last release puts it back; so each item is moved at most once per lifetime. The one rule is that
 * an item's time is never later than its entry's; where a time moves backwards (shorter lifetime,
 * another thread's slightly older clock) the item moves up.
 *
 * A holder of the lock may die anywhere. Slots say for themselves whether they are whole (see
 * `size`), and everything else is built anew from them.
 */
#include "lb/sidmap_shard.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const int64_t TIME_MAX = ((int64_t)1 << 40) - 1;
static const int64_t LIFETIME_MAX = ((int64_t)1 << 22) - 1;

/* ---- layout ---- */

static size_t page_round(size_t bytes)
{
    size_t page = 4096;
    return (bytes + page - 1) & ~(page - 1);
}

static size_t part_bytes(const struct table_head *head)
{
    return page_round(head->buckets_per_shard * sizeof(uint32_t)) +
           page_round(head->slots_per_shard * sizeof(heap_item)) +
           page_round(head->slots_per_shard * sizeof(struct slot));
}

void table_plan(struct table_head *head, size_t max_entries)
{
    uint32_t shards = SHARDS_MAX;
    while (shards > 1 && max_entries / shards < 256)
        shards /= 2;
    size_t share = (max_entries + shards - 1) / shards;

    head->shard_count = shards;
    head->max_entries = max_entries;
    head->buckets_per_shard = (uint32_t)(share * 3 / 4 + 1);
    // Address space, not memory: for an uneven spread over shards, and for sids of several slots.
    head->slots_per_shard = (uint32_t)(2 * share + 64);
    head->bytes = page_round(sizeof(struct table_head)) + shards * part_bytes(head);
}

size_t table_bytes_used_at_most(const struct table_head *head)
{
    return offsetof(struct table_head, names) + head->shard_count * sizeof(struct shard_head) +
           (size_t)head->shard_count * head->buckets_per_shard * sizeof(uint32_t) +
           head->max_entries * (sizeof(heap_item) + sizeof(struct slot));
}

struct shard shard_view(struct table_head *table, uint32_t index)
{
    char *at = (char *)table + page_round(sizeof(struct table_head)) + index * part_bytes(table);
    struct shard shard = {.table = table, .head = &table->shards[index]};

    shard.buckets = (uint32_t *)(void *)at;
    at += page_round(table->buckets_per_shard * sizeof(uint32_t));
    shard.heap = (heap_item *)(void *)at;
    at += page_round(table->slots_per_shard * sizeof(heap_item));
    shard.slots = (struct slot *)(void *)at;
    return shard;
}

struct shard shard_of(struct table_head *table, uint64_t hash)
{
    return shard_view(table, (uint32_t)hash & (table->shard_count - 1));
}

/* ---- slots ---- */

static bool size_is_entry(uint32_t size)
{
    return size >= 1 && size <= SIDMAP_KEY_MAX;
}

bool slot_is_entry(const struct slot *slot)
{
    return size_is_entry(slot->size);
}

int64_t slot_expires(const struct slot *slot)
{
    return (int64_t)(((uint64_t)slot->expires_hi << 32) | slot->expires_lo);
}

static void slot_set_expires(struct slot *slot, int64_t ms)
{
    if (ms < 0)
        ms = 0;
    if (ms > TIME_MAX)
        ms = TIME_MAX;
    slot->expires_lo = (uint32_t)((uint64_t)ms & UINT32_MAX);
    slot->expires_hi = (uint8_t)((uint64_t)ms >> 32);
}

int64_t slot_created(const struct slot *slot)
{
    return (int64_t)slot->created * 125;
}

void slot_set_created(struct slot *slot, int64_t now_ms)
{
    slot->created = (uint32_t)((uint64_t)(now_ms > 0 ? now_ms : 0) / 125) & 0x7fffffff;
}

void slot_set_lifetime(struct slot *slot, int64_t lifetime_ms)
{
    if (lifetime_ms > LIFETIME_MAX)
        lifetime_ms = LIFETIME_MAX;
    slot->lifetime_ms = (uint32_t)lifetime_ms & 0x3fffff;
}

/* Twelve bits: a count that is full stays full, and the entry held until that party is gone. */
static const uint32_t HOLDS_MAX = 0xfff;

void slot_hold(struct slot *slot, unsigned party)
{
    if (party == 0 && slot->holds_0 < HOLDS_MAX)
        slot->holds_0 = (slot->holds_0 + 1u) & HOLDS_MAX;
    else if (party == 1 && slot->holds_1 < HOLDS_MAX)
        slot->holds_1 = (slot->holds_1 + 1u) & HOLDS_MAX;
}

bool slot_release(struct slot *slot, unsigned party)
{
    uint32_t holds = party == 0 ? slot->holds_0 : slot->holds_1;
    if (holds == 0)
        return false;
    if (holds == HOLDS_MAX)
        return true;
    if (party == 0)
        slot->holds_0 = (holds - 1u) & HOLDS_MAX;
    else
        slot->holds_1 = (holds - 1u) & HOLDS_MAX;
    return true;
}

void slot_reset(struct slot *slot, unsigned party, int64_t now_ms)
{
    uint32_t holds = party == 0 ? slot->holds_0 : slot->holds_1;
    if (!slot_is_entry(slot) || holds == 0)
        return;
    if (party == 0)
        slot->holds_0 = 0;
    else
        slot->holds_1 = 0;
    if (slot_holds(slot) == 0)
        slot_set_expires(slot, now_ms + slot->lifetime_ms);
}

/* The moment from which others, and a repair, see the slot as what `size` says. */
static void slot_publish(struct slot *slot, uint32_t size)
{
    atomic_signal_fence(memory_order_seq_cst);
    slot->size = size & 0x1ff;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Further slots that a sid of that size takes. */
static uint32_t more_slots(size_t size)
{
    if (size <= SLOT_SID_BYTES)
        return 0;
    size_t rest = size - (SLOT_SID_BYTES - 4);
    return (uint32_t)((rest + SLOT_MORE_BYTES - 1) / SLOT_MORE_BYTES);
}

struct span shard_sid(const struct shard *shard, uint32_t at, char room[static SIDMAP_KEY_MAX])
{
    const struct slot *slot = &shard->slots[at];
    size_t size = slot->size;

    if (size <= SLOT_SID_BYTES)
        return span_of(slot->sid, size);
    size_t done = sizeof(slot->head);
    memcpy(room, slot->head, done);
    for (at = slot->more_at; done < size; at = shard->slots[at].next) {
        size_t piece = size - done < SLOT_MORE_BYTES ? size - done : SLOT_MORE_BYTES;
        memcpy(room + done, shard->slots[at].more, piece);
        done += piece;
    }
    return span_of(room, size);
}

static uint32_t slot_take(struct shard *shard)
{
    struct shard_head *head = shard->head;
    uint32_t at = head->free_slot;

    if (at == NO_SLOT)
        return head->high++;
    head->free_slot = shard->slots[at].next;
    head->free_count--;
    return at;
}

static void slot_give_back(struct shard *shard, uint32_t at)
{
    slot_publish(&shard->slots[at], SIZE_FREE);
    shard->slots[at].next = shard->head->free_slot;
    shard->head->free_slot = at;
    shard->head->free_count++;
}

static bool slots_suffice(const struct shard *shard, uint32_t wanted)
{
    const struct shard_head *head = shard->head;
    return shard->table->slots_per_shard - head->high + head->free_count >= wanted;
}

/* Stores the sid's bytes; the slot's `size` is published by the caller. */
static void sid_store(struct shard *shard, struct slot *slot, struct span sid)
{
    if (sid.len <= SLOT_SID_BYTES) {
        memcpy(slot->sid, sid.ptr, sid.len);
        return;
    }
    memcpy(slot->head, sid.ptr, sizeof(slot->head));
    sid = span_from(sid, sizeof(slot->head));
    for (uint32_t *link = &slot->more_at; sid.len > 0;) {
        uint32_t at = slot_take(shard);
        struct slot *more = &shard->slots[at];
        struct span piece = span_upto(sid, SLOT_MORE_BYTES);
        memcpy(more->more, piece.ptr, piece.len);
        more->next = NO_SLOT;
        slot_publish(more, SIZE_MORE);
        *link = at;
        link = &more->next;
        sid = span_from(sid, piece.len);
    }
}

/* ---- heap ---- */

static uint32_t item_slot(heap_item item)
{
    return (uint32_t)(item & 0xffffff);
}

static int64_t item_time(heap_item item)
{
    return (int64_t)(item >> 24);
}

static heap_item item_of(const struct shard *shard, uint32_t at)
{
    return (heap_item)slot_expires(&shard->slots[at]) << 24 | at;
}

static void heap_put(struct shard *shard, uint32_t pos, heap_item item)
{
    shard->heap[pos] = item;
    shard->slots[item_slot(item)].heap_at = pos;
}

static void heap_up(struct shard *shard, uint32_t pos, heap_item item)
{
    while (pos > 0 && shard->heap[(pos - 1) / 2] > item) {
        heap_put(shard, pos, shard->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    heap_put(shard, pos, item);
}

static void heap_down(struct shard *shard, uint32_t pos, heap_item item)
{
    uint32_t count = shard->head->heap_count;
    for (;;) {
        uint32_t child = 2 * pos + 1;
        if (child >= count)
            break;
        if (child + 1 < count && shard->heap[child + 1] < shard->heap[child])
            child++;
        if (shard->heap[child] >= item)
            break;
        heap_put(shard, pos, shard->heap[child]);
        pos = child;
    }
    heap_put(shard, pos, item);
}

static void heap_insert(struct shard *shard, uint32_t at)
{
    heap_up(shard, shard->head->heap_count++, item_of(shard, at));
}

static void heap_remove(struct shard *shard, uint32_t at)
{
    uint32_t pos = shard->slots[at].heap_at;
    if (pos == NO_SLOT)
        return;
    shard->slots[at].heap_at = NO_SLOT;
    heap_item last = shard->heap[--shard->head->heap_count];
    if (pos == shard->head->heap_count)
        return;
    if (pos > 0 && last < shard->heap[(pos - 1) / 2])
        heap_up(shard, pos, last);
    else
        heap_down(shard, pos, last);
}

/* ---- index ---- */

static uint32_t *bucket_of(const struct shard *shard, uint64_t hash)
{
    // The low bits chose the shard; these spread over any number of buckets without a division.
    return &shard->buckets[((hash >> 32) * shard->table->buckets_per_shard) >> 32];
}

/* Untouched memory is zero: buckets hold slot + 1. */
static uint32_t bucket_first(uint32_t bucket)
{
    return bucket - 1;
}

uint32_t shard_find(const struct shard *shard, uint64_t hash, struct span sid)
{
    char room[SIDMAP_KEY_MAX];
    uint32_t at = bucket_first(*bucket_of(shard, hash));

    while (at != NO_SLOT &&
           !(shard->slots[at].size == sid.len && span_eq(shard_sid(shard, at, room), sid)))
        at = shard->slots[at].next;
    return at;
}

static void index_insert(struct shard *shard, uint64_t hash, uint32_t at)
{
    uint32_t *bucket = bucket_of(shard, hash);
    shard->slots[at].next = bucket_first(*bucket);
    *bucket = at + 1;
}

static void index_remove(struct shard *shard, uint32_t at)
{
    char room[SIDMAP_KEY_MAX];
    uint64_t hash = hash_keyed(&shard->table->key, shard_sid(shard, at, room));
    uint32_t *bucket = bucket_of(shard, hash);

    if (*bucket == at + 1) {
        *bucket = shard->slots[at].next + 1;
        return;
    }
    uint32_t before = bucket_first(*bucket);
    while (shard->slots[before].next != at)
        before = shard->slots[before].next;
    shard->slots[before].next = shard->slots[at].next;
}

/* ---- entries ---- */

uint32_t shard_insert(struct shard *shard, uint64_t hash, struct span sid, int server,
                      int64_t lifetime_ms, int64_t now_ms)
{
    if (!slots_suffice(shard, 1 + more_slots(sid.len)))
        return NO_SLOT;
    uint32_t at = slot_take(shard);
    struct slot *slot = &shard->slots[at];

    slot->generation = (slot->generation + 1u) & 0x7fffff;
    slot->heap_at = NO_SLOT;
    slot->holds_0 = slot->holds_1 = 0;
    slot->kick = 0;
    slot->server = (uint32_t)server & 0x3ff;
    slot_set_created(slot, now_ms);
    slot_set_lifetime(slot, lifetime_ms);
    slot_set_expires(slot, now_ms + slot->lifetime_ms);
    sid_store(shard, slot, sid);
    slot_publish(slot, (uint32_t)sid.len);
    index_insert(shard, hash, at);
    heap_insert(shard, at);
    shard->head->entries++;
    return at;
}

void shard_drop(struct shard *shard, uint32_t at)
{
    struct slot *slot = &shard->slots[at];
    uint32_t server = slot->server;
    uint32_t more = more_slots(slot->size);
    uint32_t more_at = more > 0 ? slot->more_at : NO_SLOT;

    index_remove(shard, at);
    heap_remove(shard, at);
    slot_give_back(shard, at);
    for (; more > 0; more--) {
        uint32_t next = shard->slots[more_at].next;
        slot_give_back(shard, more_at);
        more_at = next;
    }
    shard->head->entries--;
    sessions_add(shard->table, server, -1);
    atomic_fetch_sub_explicit(&shard->table->used, 1, memory_order_relaxed);
}

void shard_renew(struct shard *shard, uint32_t at, int64_t now_ms)
{
    struct slot *slot = &shard->slots[at];

    slot_set_expires(slot, now_ms + slot->lifetime_ms);
    if (slot->heap_at == NO_SLOT) {
        if (slot_holds(slot) == 0)
            heap_insert(shard, at);
    } else if (slot_expires(slot) < item_time(shard->heap[slot->heap_at])) {
        heap_up(shard, slot->heap_at, item_of(shard, at));
    }
}

uint32_t shard_soonest(struct shard *shard, size_t *budget)
{
    for (; shard->head->heap_count > 0 && *budget > 0; (*budget)--) {
        uint32_t at = item_slot(shard->heap[0]);
        struct slot *slot = &shard->slots[at];

        if (slot_holds(slot) > 0) {
            heap_remove(shard, at);
            continue;
        }
        if (slot_expires(slot) == item_time(shard->heap[0])) {
            (*budget)--;
            return at;
        }
        heap_down(shard, 0, item_of(shard, at));
    }
    return NO_SLOT;
}

uint32_t shard_soon(const struct shard *shard, uint32_t look)
{
    uint32_t best = NO_SLOT;

    for (uint32_t i = 0; i < look && i < shard->head->heap_count; i++) {
        uint32_t at = item_slot(shard->heap[i]);
        const struct slot *slot = &shard->slots[at];
        if (slot_holds(slot) == 0 &&
            (best == NO_SLOT || slot_expires(slot) < slot_expires(&shard->slots[best])))
            best = at;
    }
    return best;
}

/* ---- repair ---- */

/* Marks the further slots of an entry as its own; false, and nothing marked, when they do not make
 * a whole sid. */
static bool claim_more(struct shard *shard, const struct slot *slot)
{
    uint32_t wanted = more_slots(slot->size);
    uint32_t at = wanted > 0 ? slot->more_at : NO_SLOT;
    uint32_t got = 0;

    for (; got < wanted; got++) {
        if (at >= shard->head->high || shard->slots[at].size != SIZE_FREE)
            break;
        shard->slots[at].size = SIZE_MORE;
        at = shard->slots[at].next;
    }
    if (got == wanted)
        return true;
    for (at = slot->more_at; got > 0; got--) {
        shard->slots[at].size = SIZE_FREE;
        at = shard->slots[at].next;
    }
    return false;
}

/* Puts one slot that says it is an entry back into index and heap, or frees it. */
static void entry_restore(struct shard *shard, uint32_t at)
{
    char room[SIDMAP_KEY_MAX];
    struct slot *slot = &shard->slots[at];

    if (!claim_more(shard, slot)) {
        slot->size = SIZE_FREE;
        return;
    }
    struct span sid = shard_sid(shard, at, room);
    uint64_t hash = hash_keyed(&shard->table->key, sid);
    if (shard_find(shard, hash, sid) != NO_SLOT) {
        slot->size = SIZE_FREE; // its further slots are freed by the next rebuild
        return;
    }
    index_insert(shard, hash, at);
    slot->heap_at = NO_SLOT;
    if (slot_holds(slot) == 0)
        heap_insert(shard, at);
    shard->head->entries++;
}

void shard_rebuild(struct shard *shard)
{
    struct shard_head *head = shard->head;
    uint32_t capacity = shard->table->slots_per_shard;

    // A slot is taken from `high` before it is written: one more may be in use than `high` says.
    head->high = head->high < capacity ? head->high + 1 : capacity;
    head->entries = head->heap_count = head->free_count = 0;
    head->free_slot = NO_SLOT;
    memset(shard->buckets, 0, shard->table->buckets_per_shard * sizeof(uint32_t));
    for (uint32_t at = 0; at < head->high; at++)
        if (!slot_is_entry(&shard->slots[at]))
            shard->slots[at].size = SIZE_FREE;
    for (uint32_t at = 0; at < head->high; at++)
        if (slot_is_entry(&shard->slots[at]))
            entry_restore(shard, at);
    for (uint32_t at = head->high; at-- > 0;)
        if (shard->slots[at].size == SIZE_FREE)
            slot_give_back(shard, at);
}

/* ---- locks ---- */

void shard_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

void shard_lock(struct shard *shard)
{
    int error = pthread_mutex_trylock(&shard->head->lock);
    if (error == EBUSY) {
        error = pthread_mutex_lock(&shard->head->lock);
        atomic_fetch_add_explicit(&shard->head->waits, 1, memory_order_relaxed);
    }
    if (error == EOWNERDEAD) {
        shard_rebuild(shard);
        atomic_store(&shard->table->recount, true);
        pthread_mutex_consistent(&shard->head->lock);
        error = 0;
    }
    assert(error == 0);
    (void)error;
}

void shard_unlock(struct shard *shard)
{
    const struct shard_head *head = shard->head;
    uint64_t soonest = head->heap_count > 0 ? (uint64_t)item_time(shard->heap[0]) : UINT64_MAX;

    if (atomic_load_explicit(&head->soonest, memory_order_relaxed) != soonest)
        atomic_store_explicit(&shard->head->soonest, soonest, memory_order_relaxed);
    pthread_mutex_unlock(&shard->head->lock);
}
