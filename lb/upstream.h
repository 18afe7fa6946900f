// SPDX-License-Identifier: Apache-2.0
/*
 * One worker's side of all servers: the addresses to connect to, the connections kept idle for
 * reuse (last in, first out), and the requests that wait for a place. Nothing here is shared with
 * other workers but the mask that tells who has requests waiting.
 */
#ifndef LIMPET_LB_UPSTREAM_H
#define LIMPET_LB_UPSTREAM_H

#include "base/conn.h"
#include "lb/worker.h"
#include "proto/proxyproto.h"

/* A connection to a server, lent to one flow at a time. */
struct server_conn {
    struct conn conn;
    union {
        struct list node;   /* in its server's idle list; single while lent */
        struct grave grave; /* once it is closed */
    };
    struct server *server;
    union {
        void *user;             /* while lent: the borrower */
        int64_t quiet_since_ms; /* while idle */
    };
    bool reused;     /* carried an earlier exchange: it may have died unnoticed */
    bool introduced; /* began with a PROXY header: it is one client's, and not kept */
};

struct upstream *upstream_new(struct worker *worker); /* NULL: no memory */
void upstream_free(struct upstream *upstream); /* idle connections close; nothing may be lent */

/* Every worker's side of what is new in this snapshot; before any worker sees that. */
void upstream_prepare(struct serving *serving, struct snapshot *snapshot);
/* The worker has changed from `old` to another snapshot. Servers that the new one lacks are gone:
 * their idle connections close, none is kept any more. True: there are such. */
bool upstream_change(struct worker *worker, const struct snapshot *old);
bool upstream_server_gone(struct worker *worker, const struct server *server);
/* The current snapshot's view of a server's backend; of a server that is not gone. */
struct backend *upstream_backend(struct worker *worker, const struct server *server);

void upstream_set_addr(struct worker *worker, struct server *server, const struct addr *addr);

/*
 * Lends an idle connection (unless `fresh`), or opens one (conn.connecting; owner->connected or
 * ->failed follows). NULL: errno (e.g. ECONNREFUSED from a unix socket, EADDRNOTAVAIL, EMFILE,
 * ENOMEM; EDESTADDRREQ: no address known).
 */
struct server_conn *upstream_lend(struct worker *worker, struct server *server, bool fresh,
                                  const struct conn_owner *owner, void *user);
/* A PROXY header as the backend wants it, on a connection that was opened just now; source NULL: it is
 * for ourselves. False: no memory. */
bool upstream_introduce(struct server_conn *conn, enum send_proxy how, const struct addr *source,
                        const struct addr *destination, const struct proxy_tls *tls);
/* It could not be made: a line in the log if TLS was the reason, at times. */
void upstream_note_failure(struct server_conn *conn);
/* After a complete exchange on a connection that may go on. quiet_since_ms: when the server may have begun
 * to count how long it is idle, by loop time: that is as early as its answer began to come, which may
 * have been on its way for long. */
void upstream_give_back(struct server_conn *conn, int64_t quiet_since_ms);
/* Closes it; its memory goes at the end of the turn. */
void upstream_close(struct server_conn *conn);
/* Closes the idle connections of one server (NULL: of all). */
void upstream_close_idle(struct worker *worker, struct server *server);

/* Requests waiting for a place, oldest first. `node` is the waiter's own. */
void upstream_queue_push(struct worker *worker, struct backend *backend, struct list *node);
void upstream_queue_remove(struct worker *worker, struct backend *backend, struct list *node);
struct list *upstream_queue_first(struct worker *worker,
                                  const struct backend_home *home); /* NULL: nobody waits */
/* Who waits behind `node`; NULL: nobody. */
struct list *upstream_queue_next(struct worker *worker, const struct backend_home *home,
                                 const struct list *node);
/* A place was left: whoever waits is told (this worker at the end of the turn, another by letter).
 */
void upstream_place_left(struct worker *worker, struct backend *backend);

#endif
