// SPDX-License-Identifier: Apache-2.0
/*
 * The part of stats that everything else stands on: sums over the workers' counter blocks, and the
 * samples.
 *
 * Workers only count; whoever wants a rate or a maximum must look twice. stats_tick looks once a
 * second, on control's thread, and is the only writer of the samples. So a maximum is the largest
 * value that a tick saw (a peak between two ticks is missed), except where a server or frontend
 * keeps its own; and a backend that was down for less than a second may not have been seen down.
 */
#include "lb/stats.h"

#include "base/clock.h"
#include "base/mem.h"
#include "lb/stats_row.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sums ---- */

int64_t stats_sum(const struct serving *serving, uint16_t stat_id, enum counter id)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        if (serving->workers[i].stats != NULL)
            sum += counter_get(&serving->workers[i].stats[stat_id], id);
    }
    return sum;
}

bool stats_backend_up(const struct backend *backend)
{
    for (size_t i = 0; i < backend->server_count; i++) {
        if (server_usable(backend->servers[i]))
            return true;
    }
    return backend->server_count == 0;
}

/* ---- samples ---- */

/* What a tick works with. */
struct tick {
    struct serving *serving;
    struct stats_samples *samples;
    int64_t now_ms, elapsed_ms;
    bool first; /* totals are only noted */
};

static int64_t tick_rate(const struct tick *tick, int64_t total, int64_t before)
{
    if (tick->first || total <= before)
        return 0;
    return ((total - before) * 1000 + tick->elapsed_ms / 2) / tick->elapsed_ms;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void sample_take(const struct tick *tick, uint16_t stat_id, enum counter session_counter)
{
    struct serving *serving = tick->serving;
    struct stats_sample *sample = &tick->samples->blocks[stat_id];
    int64_t sessions = stats_sum(serving, stat_id, session_counter);
    int64_t requests = stats_sum(serving, stat_id, COUNTER_REQUESTS);
    if (sessions > sample->sessions)
        sample->last_session_ms = tick->now_ms;
    sample->rate = tick_rate(tick, sessions, sample->sessions);
    sample->rate_max = greater(sample->rate_max, sample->rate);
    sample->request_rate = tick_rate(tick, requests, sample->requests);
    sample->request_rate_max = greater(sample->request_rate_max, sample->request_rate);
    sample->now_max = greater(sample->now_max, stats_sum(serving, stat_id, COUNTER_EXCHANGES_NOW));
    sample->queued_max = greater(sample->queued_max,
                                 stats_sum(serving, stat_id, COUNTER_QUEUED_NOW));
    sample->sessions = sessions;
    sample->requests = requests;
}

static void sample_backend(const struct tick *tick, const struct backend *backend)
{
    sample_take(tick, backend->stat_id, COUNTER_EXCHANGES);
    for (size_t i = 0; i < backend->server_count; i++)
        sample_take(tick, backend->servers[i]->stat_id, COUNTER_EXCHANGES);

    struct stats_sample *sample = &tick->samples->blocks[backend->stat_id];
    bool up = stats_backend_up(backend);
    if (tick->first) {
        sample->up = up;
        sample->changed_ms = tick->serving->started_ms;
    }
    if (up == sample->up)
        return;
    if (up)
        sample->down_total_ms += tick->now_ms - sample->changed_ms;
    else
        sample->downs++;
    sample->up = up;
    sample->changed_ms = tick->now_ms;
}

static void sample_process(const struct tick *tick, int64_t bytes_out)
{
    const struct serving *serving = tick->serving;
    struct stats_samples *samples = tick->samples;
    int64_t connections = atomic_load(&serving->total_connections);
    uint64_t busy_us = 0;
    for (unsigned i = 0; i < serving->worker_count; i++)
        busy_us += atomic_load(&serving->workers[i].busy_us);

    samples->connection_rate = tick_rate(tick, connections, samples->connections);
    samples->connection_rate_max = greater(samples->connection_rate_max, samples->connection_rate);
    samples->bytes_out_rate = tick_rate(tick, bytes_out, samples->bytes_out);
    samples->idle_pct = 100;
    if (!tick->first && busy_us > samples->busy_us && serving->worker_count > 0) {
        int64_t busy = (int64_t)(busy_us - samples->busy_us) / 10;
        int64_t pct = busy / tick->elapsed_ms / (int64_t)serving->worker_count;
        samples->idle_pct = pct < 100 ? (int)(100 - pct) : 0;
    }
    samples->connections = connections;
    samples->bytes_out = bytes_out;
    samples->busy_us = busy_us;
    samples->tick_ms = tick->now_ms;
}

/* The samples of all blocks that there can be; what is never touched costs no memory. NULL: none. */
static struct stats_samples *samples_of(struct serving *serving)
{
    if (serving->samples != NULL)
        return serving->samples;
    size_t count = STAT_IDS_MAX;
    serving->samples = calloc(1, sizeof(struct stats_samples) +
                                     count * sizeof(serving->samples->blocks[0]));
    if (serving->samples != NULL)
        serving->samples->count = count;
    return serving->samples;
}

void stats_forget(struct serving *serving, uint16_t stat_id)
{
    for (unsigned i = 0; i < serving->worker_count; i++) {
        struct counter_block *block = &serving->workers[i].stats[stat_id];
        for (int id = 0; id < COUNTERS; id++)
            atomic_store_explicit(&block->value[id], 0, memory_order_relaxed);
        for (int id = 0; id < HISTOGRAMS; id++)
            histogram_clear(&block->histograms[id]);
    }
    if (serving->samples != NULL)
        serving->samples->blocks[stat_id] = (struct stats_sample){0};
}

void stats_tick(struct serving *serving)
{
    struct stats_samples *samples = samples_of(serving);
    if (samples == NULL)
        return;
    struct tick tick = {.serving = serving, .samples = samples, .now_ms = clock_mono_ms()};
    tick.first = samples->tick_ms == 0;
    tick.elapsed_ms = tick.now_ms - samples->tick_ms;
    if (tick.elapsed_ms <= 0)
        return;

    const struct snapshot *snapshot = serving->snapshot;
    int64_t bytes_out = 0;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        const struct frontend *frontend = &snapshot->frontends[i];
        sample_take(&tick, frontend->stat_id, COUNTER_CONNS);
        bytes_out += stats_sum(serving, frontend->stat_id, COUNTER_BYTES_OUT);
    }
    for (size_t i = 0; i < snapshot->backend_count; i++)
        sample_backend(&tick, snapshot->backends[i]);
    sample_process(&tick, bytes_out);
}

void stats_clear(struct serving *serving, bool all)
{
    const struct snapshot *snapshot = serving->snapshot;
    struct stats_samples *samples = serving->samples;
    for (size_t i = 0; samples != NULL && i < samples->count; i++) {
        struct stats_sample *sample = &samples->blocks[i];
        sample->rate_max = sample->request_rate_max = sample->now_max = sample->queued_max = 0;
        sample->downs = all ? 0 : sample->downs;
    }
    if (samples != NULL)
        samples->connection_rate_max = 0;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        struct frontend_home *home = snapshot->frontends[i].home;
        atomic_store(&home->connections_max, atomic_load(&home->connections));
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        for (size_t k = 0; k < snapshot->backends[i]->server_count; k++) {
            struct server *server = snapshot->backends[i]->servers[k];
            atomic_store(&server->inflight_max, atomic_load(&server->inflight));
        }
    }
    if (!all)
        return;
    atomic_store(&serving->total_connections, atomic_load(&serving->client_connections));
    for (unsigned i = 0; i < serving->worker_count; i++)
        worker_order(&serving->workers[i], ORDER_CLEAR, 0);
}

void stats_fini(struct serving *serving)
{
    free(serving->samples);
    serving->samples = NULL;
}
