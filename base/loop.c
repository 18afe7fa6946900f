// SPDX-License-Identifier: Apache-2.0
/*
 * The event loop. What must not go wrong here:
 *
 * - A descriptor that is closed while a batch of events is worked through may still have an event
 *   in that batch, and its struct may already serve a new connection. So whoever closes or removes
 *   an io also strikes its events from the rest of the batch.
 * - An io that waits in a lane and gets a kernel event runs once, with both sets of events:
 *   its share per turn is one run.
 * - Work that is scheduled late in a turn (a hook by a hook, a run by a hook) must not wait for
 *   the next kernel event: then the next wait returns at once.
 *
 * Descriptors that only this process holds leave epoll when they are closed. Listeners may be open
 * in another process too (the master, an old or a new one), so level-triggered ios are taken off
 * explicitly.
 *
 * The wait is measured against the time at which the wheel was due, not against how long it should
 * have taken, so a turn that was itself held up (a stopped process, a starved CPU) counts as late
 * as well.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/fetch.h"
#include "base/sys.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    BATCH = 512,   /* kernel events per turn */
    LANE_US = 500, /* that each lane but the light one has of a turn, at least */
};
#define EDGE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void loop_read_clock(struct loop *loop)
{
    loop->now_us = clock_mono_us();
    loop->now_ms = loop->now_us / 1000;
}

bool loop_init(struct loop *loop, void *owner)
{
    *loop = (struct loop){.owner = owner};
    for (int lane = 0; lane < LANES; lane++) {
        list_init(&loop->next[lane]);
        list_init(&loop->now[lane]);
    }
    list_init(&loop->turn_end);
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0)
        return false;
    if (!mailbox_init(&loop->mailbox, owner)) {
        close(loop->epfd);
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &loop->mailbox};
    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->mailbox.fd, &event) < 0) {
        mailbox_fini(&loop->mailbox);
        close(loop->epfd);
        return false;
    }
    loop->batch = mem_must_alloc(BATCH * sizeof(struct epoll_event));
    loop_read_clock(loop);
    loop->timers = timer_wheel_new(loop->now_ms);
    return true;
}

static void loop_run_graves(struct loop *loop)
{
    while (loop->graves) {
        struct grave *grave = loop->graves;
        loop->graves = grave->next;
        grave->fn(grave);
    }
}

void loop_fini(struct loop *loop)
{
    mailbox_fini(&loop->mailbox);
    loop_run_graves(loop);
    fetch_free(loop->fetch);
    loop->fetch = NULL;
    timer_wheel_free(loop->timers);
    free(loop->batch);
    close(loop->epfd);
    loop->epfd = -1;
}

static void io_run(struct io *io, uint32_t events)
{
    uint32_t all = events | io->events;
    io->events = 0;
    list_remove(&io->again);
    io->fn(io, all);
}

static void io_ask(struct io *io, uint32_t events, struct list lanes[LANES])
{
    io->events = (io->events | events) & IO_EVENTS_MASK;
    if (list_single(&io->again))
        list_push_back(&lanes[io->lane], &io->again);
}

/* What is not light waits in its lane, unless what it will read was received already. */
static void loop_run_batch(struct loop *loop)
{
    int ahead = 0; // Up to there was fetched.
    for (loop->batch_at = 0; loop->batch_at < loop->batch_len; loop->batch_at++) {
        if (loop->fetch && loop->batch_at == ahead)
            ahead = fetch_ahead(loop);
        const struct epoll_event *event = &loop->batch[loop->batch_at];
        if (!event->data.ptr || event->data.ptr == &loop->mailbox)
            continue;
        struct io *io = event->data.ptr;
        if (io->lane == LANE_LIGHT || (loop->fetch && fetch_holds(loop)))
            io_run(io, event->events);
        else
            io_ask(io, event->events, loop->now);
    }
    if (loop->fetch)
        fetch_end(loop);
    loop->batch_at = loop->batch_len = 0;
}

static bool lanes_wait(const struct list lanes[LANES])
{
    return !list_empty(&lanes[LANE_LIGHT]) || !list_empty(&lanes[LANE_BULK]) ||
           !list_empty(&lanes[LANE_HEAVY]);
}

/* Whoever asks from here on has had its run in this turn. */
static void loop_advance(struct loop *loop)
{
    loop->asked = false;
    for (int lane = 0; lane < LANES; lane++)
        list_append_all(&loop->now[lane], &loop->next[lane]);
}

static void run_first(struct list *lane)
{
    io_run(container_of(list_first(lane), struct io, again), 0);
}

/* The first of a lane, and more of it for so long; who is left stays before those that asked anew. */
static void loop_run_share(struct loop *loop, enum io_lane lane, int64_t share_us)
{
    struct list *now = &loop->now[lane], *next = &loop->next[lane];
    if (list_empty(now))
        return;
    int64_t end_us = clock_mono_us() + share_us;
    do
        run_first(now);
    while (!list_empty(now) && clock_mono_us() < end_us);
    loop->asked = true;
    list_append_all(now, next);
    list_append_all(next, now);
}

static void loop_run_lanes(struct loop *loop)
{
    while (!list_empty(&loop->now[LANE_LIGHT]))
        run_first(&loop->now[LANE_LIGHT]);
    if (!lanes_wait(loop->now))
        return;
    int64_t light_us = clock_mono_us() - loop->now_us; // This took the turn so far.
    int64_t share_us = light_us > LANE_US ? light_us : LANE_US;
    loop_run_share(loop, LANE_BULK, share_us);
    loop_run_share(loop, LANE_HEAVY, share_us);
}

static void loop_run_hooks(struct loop *loop)
{
    struct list hooks;
    list_init(&hooks);
    list_append_all(&hooks, &loop->turn_end);
    struct list *node;
    for (node = list_first(&hooks); node; node = list_first(&hooks)) {
        list_remove(node);
        struct turn_hook *hook = container_of(node, struct turn_hook, node);
        hook->fn(hook);
    }
}

/* When the next turn is due by our own timers, in loop time; INT64_MAX: never. */
static int64_t loop_due_us(const struct loop *loop)
{
    int wait_ms = timer_wheel_wait_ms(loop->timers, loop->now_ms);
    return wait_ms < 0 ? INT64_MAX : (loop->now_ms + wait_ms) * 1000;
}

/*
 * Waits for events, until about due_us, and reads the clock: once a turn. So the wait is as much
 * too long as the last turn was, which costs less than a second look at the clock in every turn.
 */
static void loop_wait(struct loop *loop, int64_t due_us, bool at_once)
{
    int timeout = -1;
    if (at_once || due_us <= loop->now_us)
        timeout = 0;
    else if (due_us != INT64_MAX)
        timeout = (due_us - loop->now_us + 999) / 1000 < INT_MAX
                      ? (int)((due_us - loop->now_us + 999) / 1000)
                      : INT_MAX;
    int count = sys_epoll_wait(loop->epfd, loop->batch, BATCH, timeout);
    assert(count >= 0 || errno == EINTR);
    loop->batch_at = 0;
    loop->batch_len = count > 0 ? count : 0;
    loop_read_clock(loop);
    loop->woke_late_ms = loop->now_us > due_us ? (loop->now_us - due_us) / 1000 : 0;
}

void loop_turn(struct loop *loop, int max_wait_ms)
{
    bool at_once = (loop->asked && lanes_wait(loop->next)) || !list_empty(&loop->turn_end);
    int64_t due_us = loop_due_us(loop);
    if (max_wait_ms >= 0) {
        int64_t end_us = loop->now_us + (int64_t)max_wait_ms * 1000;
        due_us = end_us < due_us ? end_us : due_us;
    }
    loop_wait(loop, due_us, at_once);
    loop->turns++;
    timer_wheel_run(loop->timers, loop->now_ms);
    if (atomic_load_explicit(&loop->mailbox.top, memory_order_acquire))
        mailbox_deliver(&loop->mailbox);

    if (loop->asked)
        loop_advance(loop);
    loop_run_batch(loop);
    if (lanes_wait(loop->now))
        loop_run_lanes(loop);
    if (!list_empty(&loop->turn_end))
        loop_run_hooks(loop);
    loop_run_graves(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping)
        loop_turn(loop, -1);
    loop->stopping = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

void io_init(struct io *io, int fd, io_fn *fn)
{
    *io = (struct io){.fd = fd, .fn = fn};
    list_init(&io->again);
}

static bool loop_control(struct loop *loop, struct io *io, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = io};
    return epoll_ctl(loop->epfd, operation, io->fd, &event) == 0;
}

bool loop_add(struct loop *loop, struct io *io)
{
    return loop_control(loop, io, EPOLL_CTL_ADD, EDGE_EVENTS);
}

bool loop_add_level(struct loop *loop, struct io *io, uint32_t events)
{
    io->level = loop_control(loop, io, EPOLL_CTL_ADD, events);
    return io->level;
}

bool loop_change_level(struct loop *loop, struct io *io, uint32_t events)
{
    return loop_control(loop, io, EPOLL_CTL_MOD, events);
}

/* No event of this turn reaches the io any more. */
static void loop_strike(struct loop *loop, struct io *io)
{
    list_remove(&io->again);
    io->events = 0;
    for (int i = loop->batch_at; i < loop->batch_len; i++) {
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
    }
}

void loop_close(struct loop *loop, struct io *io)
{
    if (io->fd < 0)
        return;
    loop_strike(loop, io);
    if (io->level)
        loop_control(loop, io, EPOLL_CTL_DEL, 0);
    close(io->fd);
    io->fd = -1;
}

void loop_remove(struct loop *loop, struct io *io)
{
    if (io->fd < 0)
        return;
    loop_strike(loop, io);
    loop_control(loop, io, EPOLL_CTL_DEL, 0);
}

void loop_again(struct loop *loop, struct io *io, uint32_t events)
{
    loop->asked = true;
    io_ask(io, events, loop->next);
}

void loop_at_turn_end(struct loop *loop, struct turn_hook *hook)
{
    if (list_single(&hook->node))
        list_push_back(&loop->turn_end, &hook->node);
}

void loop_bury(struct loop *loop, struct grave *grave)
{
    grave->next = loop->graves;
    loop->graves = grave;
}
