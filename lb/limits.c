// SPDX-License-Identifier: Apache-2.0
/*
 * Limits per client address.
 *
 * Addresses are spread over shards by a keyed hash; a shard is a chained hash table behind a mutex
 * that is held for one lookup. An entry exists only while its address has connections, or a token
 * bucket that is not full again yet.
 *
 * The bucket is one number, the "theoretical arrival time" of GCRA (ITU-T I.371): the moment at
 * which the bucket will be full. Each event moves it one interval on; an event is refused while it
 * lies more than a full bucket ahead. An address has two: for new sessions, and for session ids that
 * were nobody's, which is known only when a server has answered.
 *
 * The number of entries is bounded. Beyond it, full buckets are swept out first; if that does not
 * help, a new address goes uncounted: a flood from many addresses must not lock out everybody else,
 * and the limits on the total still hold.
 */
#include "lb/limits.h"

#include "base/mem.h"
#include "base/rand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARDS = 64,
    ENTRIES_PER_SHARD_MAX = 16384, /* a million addresses in all */
    BUCKETS_FIRST = 16,
    SWEEP_MS = 500, /* between two sweeps of a full shard */
    DEBT_MS = 60000,
};

struct entry {
    struct entry *next;
    uint64_t prefix; /* IPv4, or the first 64 bits of IPv6 */
    int64_t full_ns; /* when its bucket is full again */
    int64_t miss_ns; /* the same of the other */
    int32_t connections;
    bool v6;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **buckets; /* a power of two; grown when there are more entries than buckets */
    size_t bucket_count;
    size_t used;
    int64_t now_ns;      /* the latest time that anybody told it */
    int64_t sweep_at_ns; /* a full shard is not swept again before: a flood must not make it walk */
};

struct limits {
    struct shard shards[SHARDS];
    struct hash_key key;
};

/* Whom a limit counts. */
struct who {
    uint64_t prefix, hash;
    bool v6;
};

static const int64_t NS_PER_MS = 1000000;

/* False: a unix socket; it has no address that could be limited. */
static bool who_is(const struct limits *limits, const struct addr *client, struct who *who)
{
    struct span ip = addr_ip_bytes(client);
    char bytes[9] = {0};

    if (ip.len == 0)
        return false;
    who->v6 = ip.len == 16;
    memcpy(bytes, ip.ptr, who->v6 ? 8 : 4);
    memcpy(&who->prefix, bytes, 8);
    bytes[8] = who->v6;
    who->hash = hash_keyed(&limits->key, span_of(bytes, sizeof(bytes)));
    return true;
}

struct limits *limits_new(void)
{
    size_t size = (sizeof(struct limits) + 63) & ~(size_t)63;
    struct limits *limits = aligned_alloc(64, size);
    if (!limits)
        return NULL;
    memset(limits, 0, size);
    rand_secret(&limits->key, sizeof(limits->key));
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&limits->shards[i].lock, NULL);
        limits->shards[i].bucket_count = BUCKETS_FIRST;
        limits->shards[i].buckets = mem_must_alloc(BUCKETS_FIRST * sizeof(struct entry *));
    }
    return limits;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &limits->shards[i];
        for (size_t at = 0; at < shard->bucket_count; at++) {
            while (shard->buckets[at]) {
                struct entry *entry = shard->buckets[at];
                shard->buckets[at] = entry->next;
                free(entry);
            }
        }
        free(shard->buckets);
        pthread_mutex_destroy(&shard->lock);
    }
    free(limits);
}

static struct shard *shard_lock(struct limits *limits, const struct who *who)
{
    struct shard *shard = &limits->shards[who->hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

static void shard_unlock(struct shard *shard)
{
    pthread_mutex_unlock(&shard->lock);
}

/* The pointer to the entry, or to the end of its chain. */
static struct entry **entry_find(const struct shard *shard, const struct who *who)
{
    struct entry **link = &shard->buckets[(who->hash / SHARDS) & (shard->bucket_count - 1)];
    while (*link && ((*link)->prefix != who->prefix || (*link)->v6 != who->v6))
        link = &(*link)->next;
    return link;
}

static void entry_drop(struct shard *shard, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    free(entry);
    shard->used--;
}

static bool entry_idle(const struct entry *entry, int64_t now_ns)
{
    return entry->connections == 0 && entry->full_ns <= now_ns && entry->miss_ns <= now_ns;
}

static void shard_sweep(struct shard *shard, int64_t now_ns)
{
    shard->sweep_at_ns = now_ns + SWEEP_MS * NS_PER_MS;
    for (size_t at = 0; at < shard->bucket_count; at++) {
        struct entry **link = &shard->buckets[at];
        while (*link) {
            if (entry_idle(*link, now_ns))
                entry_drop(shard, link);
            else
                link = &(*link)->next;
        }
    }
}

/* Twice the buckets. When there is no memory for that, chains just grow longer. */
static void shard_grow(const struct limits *limits, struct shard *shard)
{
    size_t count = shard->bucket_count * 2;
    // An array of pointers. NOLINTNEXTLINE(bugprone-sizeof-expression)
    struct entry **buckets = calloc(count, sizeof(*buckets));
    if (!buckets)
        return;
    for (size_t at = 0; at < shard->bucket_count; at++) {
        while (shard->buckets[at]) {
            struct entry *entry = shard->buckets[at];
            char bytes[9];
            shard->buckets[at] = entry->next;
            memcpy(bytes, &entry->prefix, 8);
            bytes[8] = entry->v6;
            uint64_t hash = hash_keyed(&limits->key, span_of(bytes, sizeof(bytes)));
            struct entry **link = &buckets[(hash / SHARDS) & (count - 1)];
            entry->next = *link;
            *link = entry;
        }
    }
    free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
}

/* The address's entry, made when it is new. NULL: no room, or no memory. */
static struct entry *entry_get(const struct limits *limits, struct shard *shard,
                               const struct who *who)
{
    struct entry **link = entry_find(shard, who);
    if (*link)
        return *link;
    if (shard->used >= ENTRIES_PER_SHARD_MAX) {
        if (shard->now_ns >= shard->sweep_at_ns)
            shard_sweep(shard, shard->now_ns);
        if (shard->used >= ENTRIES_PER_SHARD_MAX)
            return NULL;
    } else if (shard->used >= shard->bucket_count) {
        shard_grow(limits, shard);
    }
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    link = entry_find(shard, who);
    entry->prefix = who->prefix;
    entry->v6 = who->v6;
    *link = entry;
    shard->used++;
    return entry;
}

bool limits_connect(struct limits *limits, const struct addr *client, int64_t max)
{
    struct who who;
    if (max <= 0 || !who_is(limits, client, &who))
        return true;
    struct shard *shard = shard_lock(limits, &who);
    struct entry *entry = entry_get(limits, shard, &who);
    bool ok = !entry || entry->connections < max;
    if (ok && entry)
        entry->connections++;
    shard_unlock(shard);
    return ok;
}

void limits_disconnect(struct limits *limits, const struct addr *client)
{
    struct who who;
    if (!who_is(limits, client, &who))
        return;
    struct shard *shard = shard_lock(limits, &who);
    struct entry **link = entry_find(shard, &who);
    // Not there, or zero: it came when there was no limit, or no room to count it.
    if (*link && (*link)->connections > 0) {
        (*link)->connections--;
        if ((*link)->connections == 0 && (*link)->full_ns == 0 && (*link)->miss_ns == 0)
            entry_drop(shard, link);
    }
    shard_unlock(shard);
}

/* When a bucket that is full at full_ns would be full after one more event. */
static int64_t after_one(int64_t full_ns, const struct rate *rate, int64_t now_ns)
{
    return (full_ns > now_ns ? full_ns : now_ns) + rate->per_ms * NS_PER_MS / rate->events;
}

bool limits_handshake(struct limits *limits, const struct addr *client, const struct rate *rate,
                      int64_t now_ms)
{
    struct who who;
    if (rate->events <= 0 || !who_is(limits, client, &who))
        return true;
    int64_t now_ns = now_ms * NS_PER_MS;
    struct shard *shard = shard_lock(limits, &who);
    shard->now_ns = now_ns;
    struct entry *entry = entry_get(limits, shard, &who);
    int64_t next = entry ? after_one(entry->full_ns, rate, now_ns) : 0;
    bool ok = next - now_ns <= rate->per_ms * NS_PER_MS;
    if (ok && entry)
        entry->full_ns = next;
    shard_unlock(shard);
    return ok;
}

bool limits_may_miss(struct limits *limits, const struct addr *client, const struct rate *rate,
                     int64_t now_ms)
{
    struct who who;
    if (rate->events <= 0 || !who_is(limits, client, &who))
        return true;
    int64_t now_ns = now_ms * NS_PER_MS;
    struct shard *shard = shard_lock(limits, &who);
    const struct entry *entry = *entry_find(shard, &who);
    int64_t next = entry ? after_one(entry->miss_ns, rate, now_ns) : 0;
    shard_unlock(shard);
    return next - now_ns <= rate->per_ms * NS_PER_MS;
}

void limits_miss(struct limits *limits, const struct addr *client, const struct rate *rate,
                 int64_t now_ms)
{
    struct who who;
    if (rate->events <= 0 || !who_is(limits, client, &who))
        return;
    int64_t now_ns = now_ms * NS_PER_MS;
    int64_t most_ns = now_ns + (rate->per_ms + DEBT_MS) * NS_PER_MS;
    struct shard *shard = shard_lock(limits, &who);
    shard->now_ns = now_ns;
    struct entry *entry = entry_get(limits, shard, &who);
    if (entry) {
        int64_t next = after_one(entry->miss_ns, rate, now_ns);
        entry->miss_ns = next < most_ns ? next : most_ns;
    }
    shard_unlock(shard);
}

void limits_sweep(struct limits *limits, int64_t now_ms)
{
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&limits->shards[i].lock);
        limits->shards[i].now_ns = now_ms * NS_PER_MS;
        shard_sweep(&limits->shards[i], now_ms * NS_PER_MS);
        pthread_mutex_unlock(&limits->shards[i].lock);
    }
}

size_t limits_used(const struct limits *limits)
{
    size_t used = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = (struct shard *)&limits->shards[i];
        pthread_mutex_lock(&shard->lock);
        used += shard->used;
        pthread_mutex_unlock(&shard->lock);
    }
    return used;
}
