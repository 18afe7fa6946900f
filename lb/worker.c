// SPDX-License-Identifier: Apache-2.0
/*
 * A worker's life: made by the serving process before any thread runs, then a loop on a thread of
 * its own, then taken apart by the serving process after all threads have ended.
 *
 *     worker_init ─► worker_listen… ─► worker_start ─► turns ─► ORDER_QUIT ─► worker_join
 *                                                                               │
 *                                    worker_fini ◄── (all of them) ◄── worker_settle
 *
 * Between start and join everything in it belongs to its thread, except what is atomic and its
 * mailbox. Other threads ask for something by letters only: control by worker_order, other workers
 * by their own. A worker may mail another one until the last of them has quit, so all are settled
 * (late letters delivered, on the joining thread) before the first is taken apart.
 *
 * After each turn it publishes what others may see of it, by relaxed stores into its own cache
 * line: a few nanoseconds beside the system calls of the turn, and never stale while it sleeps.
 */
#include "lb/worker.h"

#include "base/thread.h"
#include "lb/edition.h"
#include "lb/flow.h"
#include "lb/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TRIM_MS = 5000 }; /* how often unused memory goes back to the system */

static void worker_publish(struct worker *worker)
{
    struct shelf_stats shelf;
    shelf_stats(worker->shelf, &shelf);
    uint64_t grown = worker->flows.grown + worker->exchanges.grown + worker->tunnels.grown +
                     worker->notes.grown + worker->lines.grown + worker->server_conns.grown;
    atomic_store_explicit(&worker->buffers_lent, shelf.lent, memory_order_relaxed);
    atomic_store_explicit(&worker->buffers_kept, shelf.kept, memory_order_relaxed);
    atomic_store_explicit(&worker->buffers_mapped, shelf.mapped, memory_order_relaxed);
    atomic_store_explicit(&worker->buffer_bytes, shelf.bytes, memory_order_relaxed);
    atomic_store_explicit(&worker->pool_grown, grown, memory_order_relaxed);
}

/* Gives back what a burst left behind. */
static void worker_trim(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, trim);
    shelf_trim(worker->shelf);
    pool_trim(&worker->flows);
    pool_trim(&worker->exchanges);
    pool_trim(&worker->tunnels);
    pool_trim(&worker->notes);
    pool_trim(&worker->lines);
    pool_trim(&worker->server_conns);
    loop_timer_start(&worker->loop, timer, TRIM_MS);
}

/* Only their worker writes counters, so nothing is lost by it. */
static void worker_clear_counters(struct worker *worker)
{
    for (size_t i = 0; i < worker->serving->snapshot->stat_count; i++) {
        for (enum counter id = 0; id < COUNTERS; id++) {
            if (counter_table[id].kind == COUNTER_TOTAL_KIND)
                atomic_store_explicit(&worker->stats[i].value[id], 0, memory_order_relaxed);
        }
    }
}

/* Deliver of worker_orders: on the worker's thread, or on the joining one when it has quit. */
static void worker_obey(struct letter *letter, void *receiver)
{
    struct worker *worker = receiver;
    (void)letter;
    unsigned what = atomic_exchange(&worker->orders.what, 0);
    if (what & ORDER_STOP)
        worker_begin_stop(worker);
    if (what & ORDER_CLEAR)
        worker_clear_counters(worker);
    if (what & ORDER_LISTEN)
        listener_obey_all(worker);
    if (what & ORDER_KICK)
        flow_kick(worker, atomic_exchange(&worker->orders.kicks, 0));
    if (what & (ORDER_END | ORDER_QUIT))
        flow_end_all(worker);
    if (what & ORDER_QUIT)
        loop_stop(&worker->loop);
}

void worker_order(struct worker *worker, unsigned what, size_t kicks)
{
    atomic_fetch_add(&worker->orders.kicks, kicks);
    if (atomic_fetch_or(&worker->orders.what, what) == 0)
        mailbox_post(&worker->loop.mailbox, &worker->orders.letter);
}

void worker_begin_stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    listener_close_all(worker, !atomic_load(&worker->serving->handed_over));
    worker->stopping = true;
    flow_begin_stop(worker);
    atomic_store(&worker->stop_begun, true);
}

/* ---- another configuration ---- */

void worker_change_edition(struct letter *letter, void *receiver)
{
    struct edition *edition = container_of(letter, struct edition, letter);
    struct worker *worker = receiver;
    struct edition *before = worker->edition;
    worker->edition = edition_hold(edition);
    worker->snapshot = edition->snapshot;
    bool servers_gone = upstream_change(worker, before->snapshot);
    listener_change_all(worker, before);
    flow_change_edition(worker, before, servers_gone);
    edition_drop(before);
    if (worker->serving->adopted)
        worker->serving->adopted(worker->serving, edition);
}

/*
 * One block of counters per stat_id, in pages that no other worker writes to. Room for all ids that
 * there can be: the blocks never move, so that control can read them at any time; the system gives
 * memory to those that are used.
 */
static struct counter_block *stats_new(void)
{
    void *stats = mmap(NULL, STAT_IDS_MAX * sizeof(struct counter_block), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return stats == MAP_FAILED ? NULL : stats;
}

static void stats_free(struct counter_block *stats)
{
    if (stats)
        munmap(stats, STAT_IDS_MAX * sizeof(struct counter_block));
}

bool worker_init(struct worker *worker, struct serving *serving, unsigned index)
{
    worker->serving = serving;
    struct snapshot *snapshot = serving->snapshot;
    if (!snapshot->editions && !editions_new(serving, snapshot))
        return false;
    worker->snapshot = snapshot;
    worker->edition = edition_hold(&snapshot->editions[index]);
    worker->index = index;
    worker->orders.letter.deliver = worker_obey;
    list_init(&worker->flow_list);
    list_init(&worker->listeners);
    timer_init(&worker->trim, worker_trim);
    rng_seed_from_system(&worker->rng);
    worker->loop.epfd = -1;
    if (!loop_init(&worker->loop, worker)) {
        worker->loop.epfd = -1;
        return false;
    }
    worker->shelf = shelf_new();
    worker->stats = stats_new();
    flow_init_worker(worker);
    bool access = access_init(&worker->access, worker);
    worker->upstream = worker->stats ? upstream_new(worker) : NULL;
    if (!worker->upstream || !access) {
        errno = ENOMEM;
        return false;
    }
    loop_timer_start(&worker->loop, &worker->trim, TRIM_MS);
    worker_publish(worker);
    return true;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    while (!worker->loop.stopping) {
        loop_turn(&worker->loop, -1);
        worker_publish(worker);
    }
    return NULL;
}

bool worker_start(struct worker *worker)
{
    char name[16];
    snprintf(name, sizeof(name), "limpet-w%u", worker->index);
    worker->started = thread_start(&worker->thread, name, worker_main, worker);
    return worker->started;
}

void worker_note_busy(struct worker *worker)
{
    if (worker->started)
        atomic_store_explicit(&worker->busy_us, thread_cpu_us(worker->thread),
                              memory_order_relaxed);
}

void worker_join(struct worker *worker)
{
    if (!worker->started)
        return;
    pthread_join(worker->thread, NULL);
    worker->started = false;
}

void worker_settle(struct worker *worker)
{
    if (worker->loop.epfd < 0)
        return;
    mailbox_deliver(&worker->loop.mailbox);
}

void worker_fini(struct worker *worker)
{
    if (worker->loop.epfd < 0)
        return;
    listener_close_all(worker, false);
    access_fini(&worker->access);
    loop_timer_stop(&worker->loop, &worker->trim);
    upstream_free(worker->upstream);
    loop_fini(&worker->loop); // The last graves give back to the pools.
    list_each_safe(node, &worker->listeners)
    {
        list_remove(node);
        free(container_of(node, struct listener, node));
    }
    flow_fini_worker(worker);
    shelf_free(worker->shelf);
    stats_free(worker->stats);
}
