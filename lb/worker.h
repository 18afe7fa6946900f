// SPDX-License-Identifier: Apache-2.0
/*
 * A worker: one thread with its own loop, listeners, flows, idle server connections, buffers, timers and counters. Shares nothing per byte. `struct serving` is
 * what a serving process has once: the snapshot, its workers, its control thread.
 */
#ifndef LIMPET_LB_WORKER_H
#define LIMPET_LB_WORKER_H

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rand.h"
#include "lb/access.h"
#include "lb/counters.h"
#include "lb/snapshot.h"
#include "proto/engineio.h"

#include <pthread.h>

struct upstream; /* lb/upstream: this worker's side of all servers */
struct control;  /* lb/control */

struct worker {
    struct loop loop;
    struct shelf *shelf;
    struct serving *serving;
    struct snapshot *snapshot;
    struct counter_block *stats; /* by stat_id */
    struct upstream *upstream;
    struct rng rng;
    struct pool flows, exchanges, server_conns;
    struct list flow_list;       /* every flow of this worker */
    struct list listeners;
    struct access_batch access;  /* lines of this turn */
    struct head head;            /* scratch of one turn: the head being worked on */
    struct eio_request eio;      /* likewise */
    struct timer trim;           /* gives unused buffers back */
    unsigned index;
    bool stopping;               /* graceful stop: answers say close, idle connections go */
    uint32_t next_id;            /* for X-Request-ID and exchange ids */
    pthread_t thread;

    /* Written by the worker once a second, read by control (show info). */
    _Atomic uint64_t buffers_lent, buffers_kept, buffers_mapped, buffer_bytes, pool_grown, busy_us;
    _Atomic int64_t flows_now, tunnels_now, polls_now;
};

struct serving {
    const struct config *config;
    struct snapshot *snapshot;
    struct worker *workers;
    unsigned worker_count;
    struct control *control;
    struct log_sink *access;           /* NULL: off */
    struct hash_key id_key;            /* for request ids */
    _Atomic int64_t client_connections; /* all frontends */
    _Atomic int64_t client_connections_max;
    int64_t max_connections;           /* client connections admitted at most */
    _Atomic int64_t total_connections; /* ever accepted */
    _Atomic int64_t total_requests;
    int64_t started_wall_ms, started_ms;
    _Atomic bool stopping;
    int listen_fd_count;
};

static inline struct counter_block *worker_stats(struct worker *worker, uint16_t stat_id)
{
    return &worker->stats[stat_id];
}

/* A listening socket of one worker. Accepts in batches; pauses when the process may take no more. */
struct listener {
    struct list node; /* in worker->listeners */
    struct io io;
    struct timer retry; /* accept again after EMFILE and the like */
    struct worker *worker;
    struct frontend *frontend;
    struct addr addr; /* as bound */
    char port[8];     /* its text, for X-Forwarded-Port */
    bool paused;
};

bool worker_init(struct worker *worker, struct serving *serving, unsigned index); /* false: errno */
/* fd is a bound, listening socket of this worker; it stays open until listener_close. */
bool worker_listen(struct worker *worker, struct frontend *frontend, int fd);
bool worker_start(struct worker *worker); /* its thread */
void worker_join(struct worker *worker);
void worker_fini(struct worker *worker);

/* On the worker's own thread (by letters): */
void worker_begin_stop(struct worker *worker); /* listeners close, flows are told */
void listener_resume_all(struct worker *worker); /* a place became free */

/* Frees one admitted client connection (flow calls it when a client connection closes). */
void worker_client_closed(struct worker *worker, struct frontend *frontend);

#endif
