// SPDX-License-Identifier: Apache-2.0
/*
 * The histograms' table: name, meaning and bounds, and how a value finds its bucket. Bounds are
 * narrow where a healthy system lives (milliseconds in one data centre) and wide beyond.
 */
#include "lb/histogram.h"

#define MS(n) ((int64_t)(n)*1000)
#define S(n)  (MS(n) * 1000)

/* Of everything that a user waits for. */
#define LATENCY                                                                                    \
    16,                                                                                            \
    {                                                                                              \
        MS(1) / 4, MS(1) / 2, MS(1), MS(2) + 500, MS(5), MS(10), MS(25), MS(50), MS(100), MS(250), \
            MS(500), S(1), MS(2500), S(5), S(10), S(30)                                            \
    }

const struct histogram_info histogram_table[HISTOGRAMS] = {
    [HISTOGRAM_QUEUE] = {"queue_duration_seconds",
                         "Time that requests waited for a place at a server, of those that had to.",
                         LATENCY},
    [HISTOGRAM_CONNECT] = {"connect_duration_seconds", "Time that new connections to servers took.",
                           LATENCY},
    [HISTOGRAM_FIRST_BYTE] = {"first_byte_duration_seconds",
                              "Time from a request sent to its answer's head, held polls left out.",
                              LATENCY},
    [HISTOGRAM_POLL] = {"poll_hold_duration_seconds",
                        "Time that servers held a poll before they answered.",
                        14,
                        {MS(1), MS(5), MS(25), MS(100), MS(500), S(1), S(2), S(5), S(10), S(15),
                         S(20), S(25), S(30), S(60)}},
    [HISTOGRAM_TUNNEL] = {"tunnel_lifetime_seconds",
                          "Lifetime of WebSocket tunnels, counted when they end.",
                          14,
                          {S(1), S(10), S(30), S(60), S(300), S(900), S(1800), S(3600), S(7200),
                           S(14400), S(28800), S(43200), S(86400), S(604800)}},
};

static void add(_Atomic int64_t *value, int64_t n)
{
    int64_t old = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, old + n, memory_order_relaxed);
}

void histogram_add(struct histogram_block *block, enum histogram id, int64_t us)
{
    const struct histogram_info *info = &histogram_table[id];
    size_t bucket = 0;
    while (bucket < info->bounds && us > info->bounds_us[bucket])
        bucket++;
    if (bucket == info->bounds)
        bucket = HISTOGRAM_BOUNDS_MAX;
    add(&block->count[bucket], 1);
    add(&block->sum_us, us > 0 ? us : 0);
}

void histogram_clear(struct histogram_block *block)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        atomic_store_explicit(&block->count[i], 0, memory_order_relaxed);
    atomic_store_explicit(&block->sum_us, 0, memory_order_relaxed);
}
