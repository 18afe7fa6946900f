// SPDX-License-Identifier: Apache-2.0
/*
 * Several calls of recv in one system call, by io_uring(7). Nothing is asynchronous: what is queued is
 * carried out before ring_run returns, and does not wait (MSG_DONTWAIT). So the buffers are the
 * caller's again, and a ring is no more than a cheaper way to make calls: where a kernel has none or
 * forbids it (containers often do), the same calls are made one by one.
 *
 * A ring is restricted to that operation before its first use (IORING_REGISTER_RESTRICTIONS, Linux
 * 5.10): it is no way around a sandbox.
 */
#ifndef LIMPET_BASE_RING_H
#define LIMPET_BASE_RING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    RING_SIZE = 32,          /* calls that can be queued */
    RING_NOT_DONE = INT_MIN, /* no result: the call was not made */
};

struct ring; /* of one thread */

/* NULL: errno says why there is none. Both work in the same or another thread than ring_run's, not at
 * the same time. */
struct ring *ring_new(void);
void ring_free(struct ring *ring);

/* Queues a call, RING_SIZE at most. *result, which must live until ring_run returns, becomes what recv
 * would have returned, or -errno. */
void ring_recv(struct ring *ring, int fd, void *bytes, size_t size, int *result);
/* Makes the calls that are queued. False: not all of them (RING_NOT_DONE), and the ring is only good
 * for ring_free. */
bool ring_run(struct ring *ring);

#endif
