// SPDX-License-Identifier: Apache-2.0
/*
 * A server (one Socket.IO process) and a backend (a named set of servers) as all threads see them. Everything that changes is an
 * atomic; everything else is set before workers start and outlives them. What belongs to one worker (idle connections, queue,
 * the address to connect to) is in lb/upstream.
 *
 * Health verdicts come from control (health/); admin states from the runtime API.
 */
#ifndef LIMPET_LB_SERVER_H
#define LIMPET_LB_SERVER_H

#include "base/net.h"
#include "config/config.h"
#include "lb/sidmap.h"

#include <stdatomic.h>

enum server_health {
    SERVER_UP,
    SERVER_DOWN,
    SERVER_UNCHECKED, /* no active checks: treated as up */
};

enum server_admin {
    SERVER_READY,
    SERVER_DRAIN, /* no new sessions; known ones are served */
    SERVER_MAINT, /* nothing at all: like down */
};

enum { SERVER_WEIGHT_SCALE = 256 }; /* weight_now = weight × scale × slow-start share */

struct backend;

struct server {
    const char *name;
    struct backend *backend;
    const struct config_server *config;
    uint16_t index;     /* in backend->servers */
    uint16_t stat_id;   /* its counter block */
    int sid_id;         /* in backend->sids */
    int cookie_id;      /* in backend->cookies, when there is one */
    uint64_t name_hash; /* hash_stable of the name: rendezvous hashing */

    _Atomic int health;          /* enum server_health */
    _Atomic int admin;           /* enum server_admin */
    _Atomic int weight;          /* configured, or set since: 0 to 256 */
    _Atomic int weight_now;      /* 0 = no new sessions */
    _Atomic int max_connections; /* 0 = no limit */
    _Atomic int inflight;        /* exchanges in flight and tunnels: what max_connections bounds */
    _Atomic int inflight_max;    /* the most there ever were */
    _Atomic int
        loose; /* tunnels opened without a sid, and sid-less exchanges: with the live sids, its load */
    _Atomic int64_t changed_ms; /* wall clock of the last change of health or admin */

    struct addr
        addr; /* at start; later changes are mailed to the workers, which keep their own copy */
    bool addr_known; /* false: its name is not resolved yet */
};

struct backend {
    const char *name;
    const struct config_backend *config;
    uint16_t index; /* in the snapshot */
    uint16_t stat_id;
    struct server *servers;
    size_t server_count;
    struct sidmap *sids;
    struct sidmap *cookies;          /* with cookie mode learn, else NULL */
    _Atomic uint64_t queued_workers; /* bit per worker that has requests waiting for this backend */
};

/* May it be given any request (of a session that it owns)? Up or unchecked, and not in maint. */
static inline bool server_alive(const struct server *server)
    _Atomic int moving; /* enum move_reason: sessions are being moved away; a new one that a cookie
                           leads here goes elsewhere meanwhile */
    _Atomic int64_t sid_lifetime_ms; /* without slack, of the session it opened last; 0: none yet */
    _Atomic bool sid_misnamed; /* sid.mode prefix: said once that its sids lack its name */
{
    return atomic_load_explicit(&server->health, memory_order_relaxed) != SERVER_DOWN &&
           atomic_load_explicit(&server->admin, memory_order_relaxed) != SERVER_MAINT;
}

/* May it be given new sessions? Alive, ready, with weight. */
static inline bool server_usable(const struct server *server)
{
    return server_alive(server) &&
           atomic_load_explicit(&server->admin, memory_order_relaxed) == SERVER_READY &&
           atomic_load_explicit(&server->weight_now, memory_order_relaxed) > 0;
}

/* Live sids + tunnels opened without one + sid-less exchanges. */
int64_t server_load(const struct server *server);

/* Takes a place; false when it is full. Every take needs one server_leave. */
bool server_take(struct server *server);
/* The same for a request of a session that it owns: its limit does not count. */
void server_take_over(struct server *server);
void server_leave(struct server *server);
bool server_full(const struct server *server);

/* A backend's runtime state from its configuration; the sid tables are created, or attached from fds (>= 0) that survived a crash. NULL: errno. */
struct backend *backend_new(const struct config_backend *config, uint16_t index,
                            uint16_t first_stat_id, int sids_fd, int cookies_fd, int64_t now_ms);
void backend_free(struct backend *backend);
struct server *backend_server(struct backend *backend,
                              struct span name); /* NULL: none of that name */
struct server *backend_server_by_sid_id(struct backend *backend, int sid_id);
struct server *backend_server_by_cookie_id(struct backend *backend, int cookie_id);

#endif
