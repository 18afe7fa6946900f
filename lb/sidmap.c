// SPDX-License-Identifier: Apache-2.0
/*
 * The sid table: up to 64 shards in one memfd (sidmap_shard.c has the inside of one).
 *
 *   table_head │ shard 0: buckets, heap, slots │ shard 1: … │ …
 *   key, names,
 *   counts, locks
 *
 * The hash is keyed, and the key is in the memory, so that every process that maps the table agrees
 * on it and nobody else can choose collisions. Nobody ever holds two shard locks, except recount,
 * which takes them all in order.
 *
 * The bound is one number for the whole table: a place is taken under the lock of the shard that
 * the entry goes to. When there is none, the shard whose heap begins with the soonest time gives
 * one entry up (each shard publishes that time, so choosing takes no lock); its true soonest may
 * turn out later than another shard's, then that one is asked. Memory is bounded too: a shard has
 * slots for twice its share, and when long sids have used them up it gives up entries of its own.
 *
 * Expired entries that nobody has swept yet count as used, but no lookup finds them, and they are
 * the first to be given up.
 */
#include "lb/sidmap.h"

#include "base/mem.h"
#include "lb/sidmap_shard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = "limpet\n"; // with its NUL
static const uint32_t LAYOUT = 1;

enum {
    LOOK_PER_LOCK = 64,    /* heap items looked at before a lock is given up */
    EVICT_EXACT_TRIES = 64 /* shards asked before the next best entry is taken */
};

struct sidmap {
    struct table_head *table;
    int fd;
};

/* ---- the memory ---- */

static struct sidmap *map_fd(int fd, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct sidmap *map = mem_must_alloc(sizeof(*map));
    map->table = memory;
    map->fd = fd;
    return map;
}

struct sidmap *sidmap_new(const char *name, size_t max_entries)
{
    struct table_head plan = {0};
    table_plan(&plan, max_entries > 0 ? max_entries : 1);

    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return NULL;
    struct sidmap *map = NULL;
    if (ftruncate(fd, (off_t)plan.bytes) == 0)
        map = map_fd(fd, plan.bytes);
    if (!map) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    // Nobody who gets the descriptor can cut the memory off under us.
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);

    struct table_head *table = map->table;
    table_plan(table, plan.max_entries);
    table->layout = LAYOUT;
    rand_secret(&table->key, sizeof(table->key));
    shard_lock_init(&table->names_lock);
    for (uint32_t i = 0; i < table->shard_count; i++) {
        shard_lock_init(&table->shards[i].lock);
        table->shards[i].free_slot = NO_SLOT;
        atomic_init(&table->shards[i].soonest, UINT64_MAX);
    }
    memcpy(table->magic, MAGIC, sizeof(MAGIC));
    return map;
}

/* Is this a table of ours, as large as it says? */
static bool table_valid(const struct table_head *table, size_t bytes)
{
    struct table_head plan = {0};

    if (bytes < sizeof(*table) || memcmp(table->magic, MAGIC, sizeof(MAGIC)) != 0 ||
        table->layout != LAYOUT || table->max_entries == 0 || table->max_entries > bytes)
        return false;
    table_plan(&plan, table->max_entries);
    return plan.bytes == bytes && plan.bytes == table->bytes &&
           plan.shard_count == table->shard_count &&
           plan.buckets_per_shard == table->buckets_per_shard &&
           plan.slots_per_shard == table->slots_per_shard;
}

/* Counts what the shards really hold. Takes every lock. */
static void recount(struct table_head *table)
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

/*
 * Drops all holds in a shard: those lifetimes start anew. The process that had the table before may
 * have crashed because it overwrote what it should not: index and heap are built anew too.
 */
static void shard_reset(struct shard *shard, int64_t now_ms)
{
    shard_lock(shard);
    for (uint32_t at = 0; at < shard->table->slots_per_shard && at <= shard->head->high; at++)
        slot_reset(&shard->slots[at], now_ms);
    shard_rebuild(shard);
    shard_unlock(shard);
}

struct sidmap *sidmap_attach(int fd, bool reset_holds, int64_t now_ms)
{
    struct stat info;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return NULL;
    struct sidmap *map = NULL;
    if (fstat(own, &info) == 0 && info.st_size >= (off_t)sizeof(struct table_head))
        map = map_fd(own, (size_t)info.st_size);
    if (!map) {
        close(own);
        return NULL;
    }
    if (!table_valid(map->table, (size_t)info.st_size)) {
        munmap(map->table, (size_t)info.st_size);
        close(own);
        free(map);
        errno = EINVAL;
        return NULL;
    }
    if (reset_holds) {
        for (uint32_t i = 0; i < map->table->shard_count; i++) {
            struct shard shard = shard_view(map->table, i);
            shard_reset(&shard, now_ms);
        }
        recount(map->table);
    }
    return map;
}

int sidmap_fd(const struct sidmap *map)
{
    return map->fd;
}

void sidmap_free(struct sidmap *map)
{
    if (!map)
        return;
    munmap(map->table, map->table->bytes);
    close(map->fd);
    free(map);
}

/* ---- server names ---- */

/* Ids are places in a list that only grows: what is below `count` never changes. */
static int name_find(const struct table_head *table, struct span name, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(span_of(table->names[i].text, table->names[i].len), name))
            return (int)i;
    return -1;
}

int sidmap_server_id(struct sidmap *map, struct span server_name)
{
    struct table_head *table = map->table;
    if (server_name.len == 0 || server_name.len > NAME_MAX_BYTES)
        return -1;
    int id = name_find(table, server_name, atomic_load(&table->name_count));
    if (id >= 0)
        return id;

    // A name counts once name_count says so: a holder who died left nothing that needs repair.
    if (pthread_mutex_lock(&table->names_lock) == EOWNERDEAD)
        pthread_mutex_consistent(&table->names_lock);
    uint32_t count = atomic_load(&table->name_count);
    id = name_find(table, server_name, count);
    if (id < 0 && count < SIDMAP_SERVERS_MAX) {
        memcpy(table->names[count].text, server_name.ptr, server_name.len);
        table->names[count].len = (uint8_t)server_name.len;
        atomic_store(&table->name_count, count + 1);
        id = (int)count;
    }
    pthread_mutex_unlock(&table->names_lock);
    return id;
}

/* ---- entries ---- */

static bool key_fits(struct span sid)
{
    return sid.len >= 1 && sid.len <= SIDMAP_KEY_MAX;
}

static void sessions_add(struct table_head *table, uint32_t server, int64_t n)
{
    atomic_fetch_add_explicit(&table->sessions[server], n, memory_order_relaxed);
}

static struct shard shard_of(struct table_head *table, uint64_t hash)
{
    return shard_view(table, (uint32_t)hash & (table->shard_count - 1));
}

/* Removes and counts. Locked. */
static void drop(struct shard *shard, uint32_t at)
{
    uint32_t server = shard->slots[at].server;
    shard_remove(shard, at);
    sessions_add(shard->table, server, -1);
    atomic_fetch_sub_explicit(&shard->table->used, 1, memory_order_relaxed);
}

/* Drops an entry to make room. True when it was still alive. Locked. */
static bool give_up(struct shard *shard, uint32_t at, int64_t now_ms)
{
    bool alive = slot_expires(&shard->slots[at]) > now_ms;
    drop(shard, at);
    if (alive)
        atomic_fetch_add_explicit(&shard->table->evictions, 1, memory_order_relaxed);
    return alive;
}

static bool live(const struct slot *slot, int64_t now_ms)
{
    return slot->holds > 0 || slot_expires(slot) > now_ms;
}

static void describe(const struct slot *slot, struct sid_found *found)
{
    found->server_id = (int)slot->server;
    found->lifetime_ms = slot->lifetime_ms;
    found->created_ms = slot_created(slot);
    found->kick = slot->kick;
}

bool sidmap_hold(struct sidmap *map, struct span sid, int64_t now_ms, struct sid_found *found,
                 struct sid_hold *hold)
{
    *hold = (struct sid_hold){.held = false};
    if (!key_fits(sid))
        return false;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    struct shard shard = shard_of(map->table, hash);

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    bool hit = at != NO_SLOT && live(&shard.slots[at], now_ms);
    if (hit) {
        struct slot *slot = &shard.slots[at];
        slot->holds = (slot->holds + 1u) & 0xffffff;
        shard_renew(&shard, at, now_ms);
        describe(slot, found);
        *hold = (struct sid_hold){(uint32_t)hash & (map->table->shard_count - 1), at,
                                  slot->generation, true};
    }
    shard_unlock(&shard);
    return hit;
}

void sidmap_release(struct sidmap *map, struct sid_hold *hold, int64_t now_ms)
{
    if (!hold->held)
        return;
    hold->held = false;
    struct shard shard = shard_view(map->table, hold->shard);

    shard_lock(&shard);
    struct slot *slot = &shard.slots[hold->slot];
    if (slot_is_entry(slot) && slot->generation == hold->generation && slot->holds > 0) {
        slot->holds = (slot->holds - 1u) & 0xffffff;
        shard_renew(&shard, hold->slot, now_ms);
    }
    shard_unlock(&shard);
}

void sidmap_drop(struct sidmap *map, struct sid_hold *hold)
{
    if (!hold->held)
        return;
    hold->held = false;
    struct shard shard = shard_view(map->table, hold->shard);

    shard_lock(&shard);
    const struct slot *slot = &shard.slots[hold->slot];
    if (slot_is_entry(slot) && slot->generation == hold->generation)
        drop(&shard, hold->slot);
    shard_unlock(&shard);
}

bool sidmap_peek(struct sidmap *map, struct span sid, int64_t now_ms, struct sid_found *found)
{
    if (!key_fits(sid))
        return false;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    struct shard shard = shard_of(map->table, hash);

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    bool hit = at != NO_SLOT && live(&shard.slots[at], now_ms);
    if (hit)
        describe(&shard.slots[at], found);
    shard_unlock(&shard);
    return hit;
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

enum room { ROOM_NONE, ROOM_EXPIRED, ROOM_EVICTED };

/*
 * Gives up the entry of the whole table that expires soonest. Times in heaps may lag, so a shard is
 * asked again and again, each time with some of its items corrected, until its soonest is the
 * table's; a table in which all are renewed all the time could take long for that, so that after
 * some tries the shard's own soonest will do.
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
        if (at != NO_SLOT &&
            (tries >= EVICT_EXACT_TRIES || (uint64_t)slot_expires(&shard.slots[at]) <= second))
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
        size_t budget = SIZE_MAX;
        uint32_t victim = shard_soonest(shard, &budget);
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

bool sidmap_remove(struct sidmap *map, struct span sid)
{
    if (!key_fits(sid))
        return false;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    struct shard shard = shard_of(map->table, hash);

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    if (at != NO_SLOT)
        drop(&shard, at);
    shard_unlock(&shard);
    return at != NO_SLOT;
}

bool sidmap_mark_kick(struct sidmap *map, struct span sid)
{
    if (!key_fits(sid))
        return false;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    struct shard shard = shard_of(map->table, hash);

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    if (at != NO_SLOT)
        shard.slots[at].kick = 1;
    shard_unlock(&shard);
    return at != NO_SLOT;
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
            drop(shard, at);
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
        recount(table);
    uint32_t first = atomic_load(&table->expire_at);
    for (uint32_t i = 0; i < table->shard_count && budget > 0; i++) {
        uint32_t index = (first + i) & (table->shard_count - 1);
        struct shard shard = shard_view(table, index);
        gone += shard_expire(&shard, now_ms, &budget);
        atomic_store(&table->expire_at, index);
    }
    return gone;
}

/* ---- looking at it ---- */

size_t sidmap_used(const struct sidmap *map)
{
    return (size_t)atomic_load_explicit(&map->table->used, memory_order_relaxed);
}

size_t sidmap_max(const struct sidmap *map)
{
    return (size_t)map->table->max_entries;
}

int64_t sidmap_sessions(const struct sidmap *map, int server_id)
{
    if (server_id < 0 || server_id >= SIDMAP_SERVERS_MAX)
        return 0;
    return atomic_load_explicit(&map->table->sessions[server_id], memory_order_relaxed);
}

uint64_t sidmap_evictions(const struct sidmap *map)
{
    return atomic_load_explicit(&map->table->evictions, memory_order_relaxed);
}

size_t sidmap_bytes(const struct sidmap *map)
{
    return table_bytes_used_at_most(map->table);
}

/* False when `each` wants no more. */
static bool shard_each(struct shard *shard, int server_id, int64_t now_ms, sidmap_each_fn *each,
                       void *ctx)
{
    char room[SIDMAP_KEY_MAX];
    bool more = true;

    shard_lock(shard);
    for (uint32_t at = 0; at < shard->head->high && more; at++) {
        const struct slot *slot = &shard->slots[at];
        if (!slot_is_entry(slot) || !live(slot, now_ms) ||
            (server_id >= 0 && slot->server != (uint32_t)server_id))
            continue;
        more = each(ctx, shard_sid(shard, at, room), (int)slot->server, slot_expires(slot) - now_ms,
                    slot->holds, now_ms - slot_created(slot));
    }
    shard_unlock(shard);
    return more;
}

void sidmap_each(struct sidmap *map, int server_id, int64_t now_ms, sidmap_each_fn *each, void *ctx)
{
    for (uint32_t i = 0; i < map->table->shard_count; i++) {
        struct shard shard = shard_view(map->table, i);
        if (!shard_each(&shard, server_id, now_ms, each, ctx))
            return;
    }
}

void sidmap_clear(struct sidmap *map, int server_id)
{
    for (uint32_t i = 0; i < map->table->shard_count; i++) {
        struct shard shard = shard_view(map->table, i);
        shard_lock(&shard);
        for (uint32_t at = 0; at < shard.head->high; at++)
            if (slot_is_entry(&shard.slots[at]) &&
                (server_id < 0 || shard.slots[at].server == (uint32_t)server_id))
                drop(&shard, at);
        shard_unlock(&shard);
    }
}
