// SPDX-License-Identifier: Apache-2.0
/*
 * The table of session ids: sid → server, shared by all workers, bounded, keyed (nobody outside can
 * choose collisions), at most 64 bytes per entry for sids up to 24 bytes (longer ones take further
 * slots, up to 256 bytes).
 *
 * It lies in a memfd with short, robust, process-shared shard locks and stable server ids, never
 * pointers: it outlives a crash of the serving process, and another process can map the same table.
 * A shard whose lock holder died is checked and repaired (or emptied) by the next locker.
 *
 * An entry lives for its lifetime from the last request with that sid. While an exchange or tunnel
 * with the sid is open the entry is held and cannot expire; when the last hold goes, the lifetime
 * starts anew. A full table gives up the unheld entry that would expire soonest, counted. A lookup
 * never creates anything.
 *
 * The same table, in a second instance, remembers application cookies (sticky mode `learn`).
 */
#ifndef LIMPET_LB_SIDMAP_H
#define LIMPET_LB_SIDMAP_H

#include "base/span.h"

enum {
    SIDMAP_KEY_MAX = 256,
    SIDMAP_SLACK_MS = 5000,              /* added to every lifetime */
    SIDMAP_SERVERS_MAX = 1024,           /* stable server ids per table */
    SIDMAP_DEFAULT_LIFETIME_MS = 120000, /* when a handshake states none */
};

struct sidmap;

/* Creates the memfd. max_entries of INTERFACE `sid.max_entries`. Memory is touched only as entries
 * come. NULL: errno. */
struct sidmap *sidmap_new(const char *name, size_t max_entries);
/*
 * Maps an existing table (fd stays the caller's). NULL: not a table of ours.
 *
 * Two serving processes share a table during a binary upgrade; their holds are counted apart, by
 * party (0 unless sidmap_call_ourselves said 1 before). When one of them is gone, whether it died or ended, whoever
 * is left drops what it still held: those lifetimes start anew at now_ms, and sessions per server
 * are counted anew.
 */
struct sidmap *sidmap_attach(int fd);
void sidmap_call_ourselves(unsigned party);
unsigned sidmap_party(void);
void sidmap_reset(struct sidmap *map, unsigned party, int64_t now_ms);
int sidmap_fd(const struct sidmap *map);
void sidmap_free(struct sidmap *map); /* unmaps and closes */

/* The stable id of a server's name in this table; made on first use, kept for the table's life. -1:
 * too many. Not for the hot path. */
int sidmap_server_id(struct sidmap *map, struct span server_name);

/* Names one hold on an entry. */
struct sid_hold {
    uint32_t shard, slot;
    uint32_t generation; /* guards against the slot's reuse (entry removed while held) */
    bool held;
};

struct sid_found {
    int server_id;
    int64_t lifetime_ms; /* with slack */
    int64_t created_ms;  /* CLOCK_MONOTONIC, to 1/8 s */
    bool kick;           /* sidmap_mark_kick was called on it */
};

/* Finds and holds. False: not there (or expired). */
bool sidmap_hold(struct sidmap *map, struct span sid, int64_t now_ms, struct sid_found *found,
                 struct sid_hold *hold);
/* Lets go; restarts the lifetime. Harmless when nothing is held. */
void sidmap_release(struct sidmap *map, struct sid_hold *hold, int64_t now_ms);
/* Removes the entry that the hold names (the session is over), and lets go. False: it was gone. */
bool sidmap_drop(struct sidmap *map, struct sid_hold *hold);
/* Finds without holding or renewing (sio where). */
bool sidmap_peek(struct sidmap *map, struct span sid, int64_t now_ms, struct sid_found *found);

enum sid_bind { SID_BOUND, SID_BOUND_EVICTED, SID_FULL, SID_REFUSED /* empty or too long */ };
/* Binds, or binds anew, sid → server. Visible to all when it returns. lifetime_ms without slack, at
 * most 69 minutes; <= 0: the default. */
enum sid_bind sidmap_bind(struct sidmap *map, struct span sid, int server_id, int64_t lifetime_ms,
                          int64_t now_ms);
/* Removes it, held or not. False: was not there. */
bool sidmap_remove(struct sidmap *map, struct span sid);
/* Its next request finds `kick` set (a drain that met it between two polls). False: was not there.
 */
bool sidmap_mark_kick(struct sidmap *map, struct span sid);

/* Names one entry without holding it; it may be gone by the time that the name is used. */
struct sid_name {
    uint32_t shard, slot, generation;
    int64_t created_ms;
};
/* The `max` oldest live entries of a server that nobody has marked, oldest first. Walks the table. */
size_t sidmap_oldest(struct sidmap *map, int server_id, int64_t now_ms, struct sid_name *out,
                     size_t max);
/* Marks it as sidmap_mark_kick does, while it is still this server's. False: it is gone, or was
 * marked before. *held: is an exchange or tunnel of it open? */
bool sidmap_mark_named(struct sidmap *map, const struct sid_name *name, int server_id, bool *held);
/* Was the entry marked since it was held? */
bool sidmap_marked(struct sidmap *map, const struct sid_hold *hold);

/* Removes expired entries, looking at no more than `budget` of them; for a timer. Returns how many
 * went. */
size_t sidmap_expire(struct sidmap *map, int64_t now_ms, size_t budget);

size_t sidmap_used(const struct sidmap *map);
size_t sidmap_max(const struct sidmap *map);
/* Live sids of a server: exact up to expiry not yet swept. */
int64_t sidmap_sessions(const struct sidmap *map, int server_id);
uint64_t sidmap_evictions(const struct sidmap *map);
/* How often a thread or process that wanted a shard had to wait for another one. */
uint64_t sidmap_lock_waits(const struct sidmap *map);
/* Memory that max_entries sids of up to 24 bytes take. More is mapped, for longer ones (a shard has
 * slots for twice its share), but never touched by short ones. */
size_t sidmap_bytes(const struct sidmap *map);

/* Walks the table, a shard at a time under its lock, calling `each` for live entries (server_id <
 * 0: all) until it returns false. */
typedef bool sidmap_each_fn(void *ctx, struct span sid, int server_id, int64_t expires_in_ms,
                            unsigned holds, int64_t age_ms);
void sidmap_each(struct sidmap *map, int server_id, int64_t now_ms, sidmap_each_fn *each,
                 void *ctx);
void sidmap_clear(struct sidmap *map, int server_id); /* < 0: all */

#endif
