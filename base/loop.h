// SPDX-License-Identifier: Apache-2.0
/*
 * One thread's event loop on epoll, edge-triggered: each descriptor is registered once, so a
 * request costs no epoll_ctl. One turn:
 *
 *     wait → clock → timers → mailbox → kernel events → lanes → turn-end hooks → graveyard
 *
 * Before its kernel events run, some of what they will read may be received together (fetch.h).
 * What asked to run again (it had more to read than its share) runs in the next turn, which then
 * does not wait. What dies in a turn is buried and freed at its end, so that no pointer of the same
 * turn goes stale.
 *
 * Runs that take long have lanes of their own, where they wait in the order in which they asked, also with
 * their kernel events. Each of these lanes has as much of a turn as the light ones took, and LANE_US at
 * least: a thousand downloads keep no message waiting, nor a flood of handshakes a download.
 */
#ifndef LIMPET_BASE_LOOP_H
#define LIMPET_BASE_LOOP_H

#include "base/list.h"
#include "base/mailbox.h"
#include "base/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct io;
struct shelf;
struct fetch;
struct epoll_event;
/* events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP */
typedef void io_fn(struct io *io, uint32_t events);

enum io_lane {
    LANE_LIGHT, /* all of them run in every turn */
    LANE_BULK,  /* moves large pieces */
    LANE_HEAVY, /* computes much, e.g. a TLS handshake */
    LANES,
};

struct io {
    struct list again; /* single unless it waits in a lane, or asked for a run */
    io_fn *fn;
    int fd;               /* -1: closed */
    uint32_t events : 29; /* of the run that it waits for */
    uint32_t lane : 2;    /* enum io_lane, set by its owner; counts when it asks */
    uint32_t level : 1;   /* level-triggered; other processes may have it open: remove explicitly */
};

#define IO_EVENTS_MASK 0x1fffffffu

/* Something to do when the turn ends, e.g. to flush a batch. */
struct turn_hook {
    struct list node; /* single unless scheduled */
    void (*fn)(struct turn_hook *hook);
};

/* An object to free when the turn ends. */
struct grave {
    struct grave *next;
    void (*fn)(struct grave *grave); /* frees what holds it */
};

struct loop {
    struct timer_wheel *timers;
    struct mailbox mailbox;
    int64_t now_ms;          /* CLOCK_MONOTONIC, read once a turn */
    int64_t now_us;          /* the same in microseconds */
    int64_t woke_late_ms;    /* how late this turn began: its thread or process was held up */
    struct list next[LANES]; /* what asked for a run in the next turn */
    struct list now[LANES];  /* what waits for its run in this one */
    struct list turn_end;
    struct grave *graves;
    struct epoll_event *batch; /* kernel events of this turn; batch_at is the one that runs */
    int batch_at, batch_len;
    int epfd;
    bool stopping;
    bool asked; /* `next` may not be empty */
    uint64_t turns;
    struct fetch *fetch; /* NULL: connections receive one by one (fetch.h). The loop frees it */
    struct shelf *shelf; /* all its connections borrow from this one (conn_init) */
    void *owner;         /* e.g. the worker; also what letters are delivered to */
};

bool loop_init(struct loop *loop, void *owner); /* false: errno */
void loop_fini(struct loop *loop);              /* buries the last graves */
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* One turn that waits at most max_wait_ms (-1: as long as needed). For tests. */
void loop_turn(struct loop *loop, int max_wait_ms);
void loop_stop(struct loop *loop); /* from its own thread; from others post a letter */

void io_init(struct io *io, int fd, io_fn *fn);
/* Registers for all events, edge-triggered (or level-triggered for listeners). False: errno. */
bool loop_add(struct loop *loop, struct io *io);
bool loop_add_level(struct loop *loop, struct io *io, uint32_t events);
bool loop_change_level(struct loop *loop, struct io *io, uint32_t events); /* 0: keep, but silent */
/* Takes it off epoll and off `again`, and closes the descriptor. No event of this turn reaches it
 * any more. */
void loop_close(struct loop *loop, struct io *io);
/* Takes it off without closing; the descriptor (io->fd keeps it) is the caller's again. */
void loop_remove(struct loop *loop, struct io *io);
/*
 * Call fn with these events in the next turn, which does not wait; or still in this one when its
 * kernel events have yet to come (from timers and letters). One in another lane than the
 * light one waits for those before it. An io runs at most once per turn by either way.
 */
void loop_again(struct loop *loop, struct io *io, uint32_t events);
void loop_at_turn_end(struct loop *loop, struct turn_hook *hook);
void loop_bury(struct loop *loop, struct grave *grave);

static inline void loop_timer_start(struct loop *loop, struct timer *timer, int64_t after_ms)
{
    timer_start(loop->timers, timer, loop->now_ms + after_ms);
}

static inline void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    timer_stop(loop->timers, timer);
}

#endif
