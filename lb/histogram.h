// SPDX-License-Identifier: Apache-2.0
/*
 * Histograms of times, counted like counters: one writer (the worker), many readers, a relaxed load
 * and store each. Fixed buckets, so that those of all workers, and of all balancers, add up. They
 * lie in the counter blocks; only backends' are used.
 */
#ifndef LIMPET_LB_HISTOGRAM_H
#define LIMPET_LB_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum histogram {
    HISTOGRAM_QUEUE,      /* requests that had to wait for a place */
    HISTOGRAM_CONNECT,    /* new connections to servers */
    HISTOGRAM_FIRST_BYTE, /* from request sent to answer's head, except held polls */
    HISTOGRAM_POLL,       /* the same of held polls: how long servers hold them */
    HISTOGRAM_TUNNEL,     /* tunnels, from the 101 to their end */
    HISTOGRAMS
};

enum { HISTOGRAM_BOUNDS_MAX = 16 };

struct histogram_info {
    const char *metric; /* "queue_duration_seconds" */
    const char *help;
    size_t bounds;                           /* how many */
    int64_t bounds_us[HISTOGRAM_BOUNDS_MAX]; /* ascending; a value on a bound is below it */
};
extern const struct histogram_info histogram_table[HISTOGRAMS];

struct histogram_block {
    _Atomic int64_t count[HISTOGRAM_BOUNDS_MAX + 1]; /* by bucket; the last: beyond all bounds */
    _Atomic int64_t sum_us;
};

void histogram_clear(struct histogram_block *block);
void histogram_add(struct histogram_block *block, enum histogram id, int64_t us);

#endif
