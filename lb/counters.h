// SPDX-License-Identifier: Apache-2.0
/*
 * Counters. One writer (the worker), many readers, no locked instruction: a relaxed load and store each.
 * Blocks lie in one array per worker, indexed by stat_id: every frontend, backend and server has one.
 */
#ifndef LIMPET_LB_COUNTERS_H
#define LIMPET_LB_COUNTERS_H

#include "lb/histogram.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum counter {
#define COUNTER(id, kind, csv, help) COUNTER_##id,
#include "lb/counters.def"
    COUNTERS
};

enum counter_kind { COUNTER_TOTAL_KIND, COUNTER_GAUGE_KIND };
struct counter_info {
    const char *name; /* "SIO_UPGRADES" */
    enum counter_kind kind;
    const char *csv;
    const char *help;
};
extern const struct counter_info counter_table[COUNTERS];

struct counter_block {
    _Atomic int64_t value[COUNTERS];
    struct histogram_block histograms[HISTOGRAMS];
};

/* What to add to one of them. */
struct counted {
    enum counter id;
    int64_t n;
};

static inline void counter_add(struct counter_block *block, enum counter id, int64_t n)
{
    int64_t old = atomic_load_explicit(&block->value[id], memory_order_relaxed);
    atomic_store_explicit(&block->value[id], old + n, memory_order_relaxed);
}

static inline int64_t counter_get(const struct counter_block *block, enum counter id)
{
    return atomic_load_explicit(&block->value[id], memory_order_relaxed);
}

#endif
