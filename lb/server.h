// SPDX-License-Identifier: Apache-2.0
/*
 * Servers (one Socket.IO process each) and backends (named sets of servers) as all threads see them.
 *
 * A server and a backend's home live as long as anybody needs them, whatever is loaded meanwhile:
 * counters, sessions, health and admin state stay with a name. A struct backend is one
 * configuration's view: its options and its servers in its order. An exchange keeps the view it
 * began with; what lasts longer (tunnels, queues, idle connections) holds the server and asks
 * upstream_backend for the newest view.
 *
 * Everything that changes is an atomic; everything else is set before other threads see it. What
 * belongs to one worker (idle connections, queue, the address to connect to) is in lb/upstream.
 * Health verdicts come from control (health/); admin states from the runtime API.
 */
#ifndef LIMPET_LB_SERVER_H
#define LIMPET_LB_SERVER_H

#include "base/net.h"
#include "config/config.h"
#include "lb/capture.h"
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

/* Why a session is sent to another server. */
enum move_reason { MOVE_NONE, MOVE_DRAIN, MOVE_REBALANCE, MOVE_STOP, MOVE_DOWN };

enum { SERVER_WEIGHT_SCALE = 256 }; /* weight_now = weight × scale × slow-start share */

struct backend;
struct backend_home;
struct upstream_server;
struct tls_context;
struct tls_session;
struct watched;

/* What sentinel-watch said of it (lb/failover); control's. until_ms 0: nothing. */
struct server_redis {
    uint64_t epoch;
    int64_t until_ms; /* the lease's end */
};

struct server {
    char *name;
    struct backend_home *home;
    struct upstream_server *locals; /* each worker's side of it: lb/upstream */
    struct watched *watched;        /* control's side of it: lb/watch */
    char *address;                  /* as it was configured first; for a server that is leaving */
    uint16_t stat_id;               /* its counter block */
    int sid_id;                     /* in home->sids */
    int cookie_id;                  /* in home->cookies, when there is one */
    unsigned refs;                  /* views that name it; control's */
    struct server_redis redis;
    struct tls_session *sessions; /* of TLS, session_count of them, one per worker */
    unsigned session_count;

    /* In the newest view. For control's thread: a worker may not have changed to that yet. */
    struct backend *backend;
    const struct config_server *config; /* NULL: it is leaving, no longer configured */
    uint16_t index;                     /* in backend->servers */

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
    _Atomic int moving; /* enum move_reason: sessions are being moved away; a new one that a cookie
                           leads here goes elsewhere meanwhile */
    _Atomic bool stale; /* it has not followed Redis: see server_held */
    _Atomic int64_t sid_lifetime_ms; /* without slack, of the session it opened last; 0: none yet */
    _Atomic bool sid_misnamed;       /* sid.mode prefix: said once that its sids lack its name */
    _Atomic int64_t changed_ms;      /* wall clock of the last change of health or admin */

    struct addr
        addr; /* at start; later changes are mailed to the workers, which keep their own copy */
    bool addr_known; /* false: its name is not resolved yet */
};

/* What a backend is in all configurations that have it. */
struct backend_home {
    char *name;
    struct sidmap *sids;
    struct sidmap *cookies;          /* made when a configuration first learns cookies; else NULL */
    struct upstream_backend *locals; /* per worker */
    struct capture *bad_response;    /* the last malformed one */
    uint16_t stat_id;
    unsigned refs;                      /* views; control's */
    _Atomic uint64_t queued_workers;    /* bit per worker that has requests waiting for it */
    _Atomic int64_t handshakes_full_us; /* when the bucket of handshake_rate is full again */
};

/* One configuration's view of it. */
struct backend {
    const char *name;
    const struct config_backend *config;
    struct backend_home *home;
    uint16_t index; /* in the snapshot */
    uint16_t stat_id;
    struct server **servers; /* server_count of them, as configured; behind them the leaving ones,
                                which get nothing but requests of sessions that they own */
    size_t server_count, leaving_count;
    struct sidmap *sids;     /* home's */
    struct sidmap *cookies;  /* with cookie mode learn, else NULL */
    struct tls_context *tls; /* the snapshot's; NULL: its servers are spoken to without */
    struct span *sid_paths;  /* config's: below them are Engine.IO requests */
    size_t sid_path_count;
};

/* May it be given any request (of a session that it owns)? Up or unchecked, and not in maint. */
static inline bool server_alive(const struct server *server)
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

/* Has it missed the last Redis failover, by what sentinel-watch says? Then others get the new sessions,
 * if there are any that have not. */
static inline bool server_stale(const struct server *server)
{
    return atomic_load_explicit(&server->stale, memory_order_relaxed);
}
bool server_held(const struct backend *backend, const struct server *server);
/* Usable, and not held. */
static inline bool server_takes_sessions(const struct backend *backend, const struct server *server)
{
    return server_usable(server) && !server_held(backend, server);
}

/* Why sessions leave it now. */
static inline enum move_reason server_moving(const struct server *server)
{
    return (enum move_reason)atomic_load_explicit(&server->moving, memory_order_relaxed);
}

/* Live sids + tunnels opened without one + sid-less exchanges. */
int64_t server_load(const struct server *server);

/* Takes a place; false when it is full. Every take needs one server_leave. */
bool server_take(struct server *server);
/* The same for a request of a session that it owns: its limit does not count. */
void server_take_over(struct server *server);
void server_leave(struct server *server);
bool server_full(const struct server *server);
/* Has it sessions or requests? */
bool server_in_use(const struct server *server);

/* May another session be opened now (option handshake_rate)? Counts it when yes. */
bool backend_handshake(struct backend *backend, int64_t now_us);

/* A backend that nobody has seen before; the sid tables are created, or attached from fds (>= 0),
 * where our party's holds are dropped: whoever held them died. NULL: errno. */
struct backend *backend_new(const struct config_backend *config, uint16_t index,
                            uint16_t first_stat_id, int sids_fd, int cookies_fd, int64_t now_ms);
/*
 * Another configuration's view of the same backend: servers of the same name are the same, new ones
 * have stat_id NO_STAT; those that are gone stay as leaving ones while they have sessions or requests.
 * Changes nothing that others see. cookies_fd: a new table, when it learns cookies for the first
 * time. NULL: errno.
 */
enum { NO_STAT = UINT16_MAX };
struct backend *backend_renew(struct backend *old, const struct config_backend *config,
                              uint16_t index, int cookies_fd, int64_t now_ms);
/* Lets go of it; home and servers go with their last view. */
void backend_free(struct backend *backend);

struct server *backend_server(struct backend *backend,
                              struct span name); /* NULL: none of that name is configured */
struct server *backend_server_by_sid_id(struct backend *backend,
                                        int sid_id); /* also leaving ones */
struct server *backend_server_by_cookie_id(struct backend *backend, int cookie_id);
/* Where it stands in backend->servers (>= server_count: leaving), -1: not there. */
ptrdiff_t backend_index_of(const struct backend *backend, const struct server *server);
/* Its options in this view; NULL when it is leaving. */
const struct config_server *backend_server_config(const struct backend *backend,
                                                  const struct server *server);

#endif
