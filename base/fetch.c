// SPDX-License-Identifier: Apache-2.0
#include "base/fetch.h"

#include "base/conn_inside.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/epoll.h>

struct fetch {
    struct ring *ring;
    struct fetched slots[RING_SIZE]; /* in the order of their events */
    int count, next;
    bool broken; /* the kernel did not do what it did at first */
};

struct fetch *fetch_new(void)
{
    struct ring *ring = ring_new();
    if (!ring)
        return NULL;
    struct fetch *fetch = mem_must_alloc(sizeof(*fetch));
    fetch->ring = ring;
    return fetch;
}

void fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return;
    ring_free(fetch->ring);
    free(fetch);
}

void fetch_end(struct loop *loop)
{
    struct fetch *fetch = loop->fetch;
    for (int i = 0; i < fetch->count; i++)
        buf_clear(loop->shelf, &fetch->slots[i].bytes);
    fetch->count = fetch->next = 0;
}

/* The connection whose event that is, or NULL: somebody else's. */
static struct conn *fetch_conn(const struct loop *loop, const struct epoll_event *event)
{
    void *target = event->data.ptr;
    return target && target != &loop->mailbox ? conn_of(target) : NULL;
}

/* Queues a recv for the event. False: no memory for more. */
static bool fetch_queue(struct fetch *fetch, struct loop *loop, int at)
{
    const struct epoll_event *event = &loop->batch[at];
    // What is hung up or broken is looked at when its turn comes.
    bool plain = (event->events & ~(uint32_t)EPOLLOUT) == EPOLLIN;
    const struct conn *conn = plain ? fetch_conn(loop, event) : NULL;
    size_t want = conn ? conn_fetch_size(conn) : 0;
    if (want == 0)
        return true;
    struct fetched *slot = &fetch->slots[fetch->count];
    *slot = (struct fetched){.at = at, .asked = (uint32_t)want};
    if (!buf_reserve(loop->shelf, &slot->bytes, want))
        return false;
    ring_recv(fetch->ring, conn->io.fd, slot->bytes.data, want, &slot->got);
    fetch->count++;
    return true;
}

int fetch_ahead(struct loop *loop)
{
    struct fetch *fetch = loop->fetch;
    fetch_end(loop);
    int left = loop->batch_len - loop->batch_at;
    if (left < 2 || fetch->broken)
        return loop->batch_len;
    int end = loop->batch_at + (left < RING_SIZE ? left : RING_SIZE);
    for (int at = loop->batch_at; at < end && fetch_queue(fetch, loop, at);)
        at++;
    if (fetch->count > 0 && !ring_run(fetch->ring)) {
        fetch->broken = true;
        log_warning("io_uring failed, connections receive one by one from now on");
    }
    return end;
}

/* What was fetched for the event that runs, or NULL. */
static struct fetched *fetch_slot(struct loop *loop)
{
    struct fetch *fetch = loop->fetch;
    while (fetch->next < fetch->count && fetch->slots[fetch->next].at < loop->batch_at)
        fetch->next++;
    if (fetch->next == fetch->count || fetch->slots[fetch->next].at != loop->batch_at)
        return NULL;
    if (!loop->batch[loop->batch_at].data.ptr) // Closed meanwhile, and perhaps begun anew.
        return NULL;
    struct fetched *slot = &fetch->slots[fetch->next];
    return slot->got == RING_NOT_DONE ? NULL : slot;
}

bool fetch_holds(struct loop *loop)
{
    return fetch_slot(loop) != NULL;
}

struct fetched *fetch_take(struct loop *loop)
{
    struct fetched *slot = fetch_slot(loop);
    if (slot)
        loop->fetch->next++;
    return slot;
}
