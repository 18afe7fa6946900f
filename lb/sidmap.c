// SPDX-License-Identifier: Apache-2.0
/*
 * The sid table: up to 64 shards in one memfd. Here: the memory, server names, lookups and holds.
 * sidmap_bind.c binds, makes room and sweeps; sidmap_shard.c is the inside of a shard.
 *
 *   table_head │ shard 0: buckets, heap, slots │ shard 1: … │ …
 *   key, names,
 *   counts, locks
 *
 * The hash is keyed, and the key is in the memory, so that every process that maps the table agrees
 * on it and nobody else can choose collisions. A request takes one shard's lock, for a lookup.
 * Nobody ever holds two of them, except table_recount, which takes them all in order.
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
static const uint32_t LAYOUT = 2;

static atomic_uint our_party;

/* ---- the memory ---- */

static struct sidmap *map_fd(int fd, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct sidmap *map = mem_must_alloc(sizeof(*map));
    map->table = memory;
    map->fd = fd;
    map->party = atomic_load(&our_party);
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

/*
 * Drops a party's holds in a shard: those lifetimes start anew. The process that had the table before may
 * have crashed because it overwrote what it should not: index and heap are built anew too.
 */
static void shard_reset(struct shard *shard, unsigned party, int64_t now_ms)
{
    shard_lock(shard);
    for (uint32_t at = 0; at < shard->table->slots_per_shard && at <= shard->head->high; at++)
        slot_reset(&shard->slots[at], party, now_ms);
    shard_rebuild(shard);
    shard_unlock(shard);
}

void sidmap_reset(struct sidmap *map, unsigned party, int64_t now_ms)
{
    for (uint32_t i = 0; i < map->table->shard_count; i++) {
        struct shard shard = shard_view(map->table, i);
        shard_reset(&shard, party, now_ms);
    }
    table_recount(map->table);
}

void sidmap_call_ourselves(unsigned party)
{
    atomic_store(&our_party, party & 1);
}

unsigned sidmap_party(void)
{
    return atomic_load(&our_party);
}

struct sidmap *sidmap_attach(int fd)
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

static bool live(const struct slot *slot, int64_t now_ms)
{
    return slot_holds(slot) > 0 || slot_expires(slot) > now_ms;
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
        slot_hold(slot, map->party);
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
    if (slot_is_entry(slot) && slot->generation == hold->generation &&
        slot_release(slot, map->party)) {
        shard_renew(&shard, hold->slot, now_ms);
    }
    shard_unlock(&shard);
}

bool sidmap_drop(struct sidmap *map, struct sid_hold *hold)
{
    if (!hold->held)
        return false;
    hold->held = false;
    struct shard shard = shard_view(map->table, hold->shard);

    shard_lock(&shard);
    const struct slot *slot = &shard.slots[hold->slot];
    bool there = slot_is_entry(slot) && slot->generation == hold->generation;
    if (there)
        shard_drop(&shard, hold->slot);
    shard_unlock(&shard);
    return there;
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

bool sidmap_remove(struct sidmap *map, struct span sid)
{
    if (!key_fits(sid))
        return false;
    uint64_t hash = hash_keyed(&map->table->key, sid);
    struct shard shard = shard_of(map->table, hash);

    shard_lock(&shard);
    uint32_t at = shard_find(&shard, hash, sid);
    if (at != NO_SLOT)
        shard_drop(&shard, at);
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

uint64_t sidmap_lock_waits(const struct sidmap *map)
{
    uint64_t waits = 0;
    for (uint32_t i = 0; i < map->table->shard_count; i++)
        waits += atomic_load_explicit(&map->table->shards[i].waits, memory_order_relaxed);
    return waits;
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
                    slot_holds(slot), now_ms - slot_created(slot));
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
                shard_drop(&shard, at);
        shard_unlock(&shard);
    }
}
