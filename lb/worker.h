// SPDX-License-Identifier: Apache-2.0
/*
 * A worker: one thread with its own loop, listeners, flows, idle server connections, buffers,
 * timers and counters. Shares nothing per byte. `struct serving` is what a serving process has
 * once: the snapshot, its workers, its control thread.
 */
#ifndef LIMPET_LB_WORKER_H
#define LIMPET_LB_WORKER_H

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rand.h"
#include "health/health.h"
#include "lb/access.h"
#include "lb/counters.h"
#include "lb/sessions.h"
#include "lb/snapshot.h"
#include "proto/engineio.h"

#include <pthread.h>

struct edition;       /* lb/edition: this worker's part in a snapshot */
struct upstream;      /* lb/upstream: this worker's side of all servers */
struct control;       /* lb/control */
struct reload;        /* lb/reload */
struct stats_samples; /* lb/stats */
struct events;        /* lb/events */

/*
 * What control wants of a worker: a set of bits and one letter that is under way while there are
 * any, so that giving an order never allocates and repeated ones are joined.
 */
struct worker_orders {
    struct letter letter;
    _Atomic unsigned what; /* enum worker_order bits */
    _Atomic size_t kicks;  /* sessions to kick */
};
enum worker_order {
    ORDER_STOP = 1,    /* begin a graceful stop */
    ORDER_KICK = 2,    /* kick some sessions */
    ORDER_END = 4,     /* end every flow */
    ORDER_QUIT = 8,    /* end every flow and leave the loop */
    ORDER_CLEAR = 32,  /* set its counters (not gauges) to zero */
    ORDER_LISTEN = 16, /* some frontend was disabled or enabled */
};

enum { CERTIFICATE_ROOM = 2048 }; /* bytes; on no stack, which the compiler would clear each time */

struct worker {
    _Alignas(64) struct loop loop; /* workers lie in one array: no two share a cache line */
    struct shelf *shelf;
    struct serving *serving;
    struct snapshot *snapshot; /* current one: what a new exchange begins with */
    struct edition *edition;   /* of it */
    struct counter_block
        *stats; /* by stat_id, STAT_IDS_MAX of them, of which few are ever touched */
    struct upstream *upstream;
    struct rng rng;
    struct pool flows, exchanges, tunnels, notes, lines, server_conns;
    struct list flow_list; /* every flow of this worker */
    struct list listeners;
    struct sessions sessions; /* which flow holds which, by lb/flow */
    struct list farewells;    /* lb/farewell: packets to servers that nobody waits for */
    unsigned farewell_count;
    struct access_batch access;         /* lines of this turn */
    struct head head;                   /* scratch of one turn: the head being worked on */
    struct eio_request eio;             /* likewise */
    char certificate[CERTIFICATE_ROOM]; /* likewise: lines about the client's, for a server */
    struct timer trim;                  /* gives unused buffers back */
    unsigned index;
    bool stopping;             /* graceful stop: answers say close, idle connections go */
    uint32_t next_flow;        /* for flow->number */
    uint32_t next_id;          /* for X-Request-ID and exchange ids */
    unsigned listeners_paused; /* listeners that accept nothing at present */
    struct worker_orders orders;
    pthread_t thread;
    bool started; /* thread runs, or is to be joined */

    /* Written by the worker at the end of each turn, read by control (show info, graceful stop). */
    _Atomic uint64_t buffers_lent, buffers_kept, buffers_mapped, buffer_bytes, pool_grown;
    _Atomic uint64_t busy_us;                          /* CPU time so far, noted by control */
    _Atomic int64_t flows_now, tunnels_now, polls_now; /* kept by flow */
    _Atomic bool stop_begun; /* its listeners are closed: flows_now only falls from here on */
};

struct serving {
    const struct config *config;
    struct snapshot *snapshot; /* the newest one; control's thread only */
    struct worker *workers;
    struct fetch **fetches; /* one for each, until it has a loop */
    unsigned worker_count;
    struct control *control;
    struct reload *reload;                     /* control's */
    const struct reload_status *reload_status; /* lb/reload; NULL: there is none */
    struct stats_samples
        *samples;            /* lb/stats: what rates and maxima come from; control's thread only */
    struct events *events;   /* lb/events; NULL: none yet */
    struct log_sink *access; /* NULL: off */
    struct hash_key id_key;  /* for request ids */
    _Atomic int64_t client_connections; /* all frontends */
    _Atomic int64_t client_connections_max;
    _Atomic int64_t max_connections;   /* client connections admitted at most */
    int64_t hard_max_connections;      /* what max_connections may be set to */
    _Atomic int64_t total_connections; /* ever accepted */
    int64_t started_wall_ms, started_ms;
    _Atomic int64_t accept_trouble_ms; /* when a failing accept was logged last */
    _Atomic uint64_t captured;         /* malformed heads seen, for `show errors` */
    _Atomic bool stopping;
    atomic_bool handed_over; /* a successor accepts from the same sockets: see lb/upgrade */
    int predecessor;         /* pid of the master before an upgrade, while it drains; else 0 */
    _Atomic bool moves_held; /* a Redis failover is on: no session is moved meanwhile */
    int listen_fd_count;
    /* Live traffic had trouble with this server. Control's, for any thread; cheap when repeated:
     * one letter per server is under way at most. */
    void (*report)(struct serving *serving, struct server *server, enum health_event event);
    /* A worker goes by a snapshot, and is done with it. Control's, for any worker; NULL: nobody wants
     * to know. */
    void (*adopted)(struct serving *serving, struct edition *edition);
    void (*released)(struct serving *serving, struct edition *edition);
};

static inline struct counter_block *worker_stats(struct worker *worker, uint16_t stat_id)
{
    return &worker->stats[stat_id];
}

/* A listening socket of one worker. Accepts in batches; pauses when the process may take no more.
 */
struct listener {
    struct list node; /* in worker->listeners */
    struct io io;
    struct timer retry; /* accept again after EMFILE and the like */
    struct worker *worker;
    struct frontend *frontend;          /* the newest view; the last one when it is gone */
    const struct config_listen *config; /* likewise; NULL: it is in no configuration */
    struct edition *needs; /* held when the frontend is gone, for the clients that are left */
    struct grave grave;
    size_t flows;            /* clients that came through it */
    unsigned binding;        /* which listen address it is of */
    struct tls_context *tls; /* of the newest view; NULL: without TLS */
    bool gone;               /* its frontend is no longer configured: clients go when they can */
    struct addr addr;        /* as bound */
    char port[8];            /* its text, for X-Forwarded-Port */
    bool paused;
    bool disabled; /* as its frontend was when it last looked: it does not listen */
};

enum { LISTEN_BACKLOG = 4096 };

bool worker_init(struct worker *worker, struct serving *serving, unsigned index); /* false: errno */
/* fd is a bound, listening socket of this worker; it stays open until listener_close. False: errno. */
bool worker_listen(struct worker *worker, struct frontend *frontend, unsigned binding, int fd);
bool worker_start(struct worker *worker);     /* its thread */
void worker_note_busy(struct worker *worker); /* by control, now and then */
void worker_join(struct worker *worker);
void worker_fini(struct worker *worker);

/* Runs what other threads have mailed since the thread ended; between worker_join and worker_fini,
 * for all workers before the first of them goes. */
void worker_settle(struct worker *worker);

/* Any thread: see enum worker_order. `kicks` counts with ORDER_KICK. */
void worker_order(struct worker *worker, unsigned what, size_t kicks);

/* On the worker's own thread (by letters): */
void worker_begin_stop(struct worker *worker); /* listeners close, flows are told */
/* Control mailed another snapshot's edition: it is the current one from here on. */
void worker_change_edition(struct letter *letter, void *receiver);
/* Listeners as the current snapshot wants them: new ones open, others close. */
void listener_change_all(struct worker *worker, struct edition *before);
void listener_flow_gone(struct listener *listener); /* a client of it was buried */
void listener_resume_all(struct worker *worker);    /* a place became free */
void listener_obey_all(struct worker *worker);      /* some frontend was disabled or enabled */
void listener_close_all(struct worker *worker,
                        bool accept_waiting); /* the structs stay, flows point to them */

/*
 * Frees one admitted client connection: flow calls it once for each flow_accept, when the client
 * connection closes (or could not be set up). The listener has counted the peer by limits_connect
 * when the frontend has `limits`: limits_disconnect is flow's, who keeps the address.
 */
void worker_client_closed(struct worker *worker, struct frontend *frontend);

#endif
