// SPDX-License-Identifier: Apache-2.0
/*
 * How a snapshot is freed while threads use it, without a lock and without counting across threads.
 *
 *     control                        worker 1            worker 2
 *       │ edition of snapshot 2 ───────►│ current: +1       │
 *       │ ─────────────────────────────┼──────────────────►│ current: +1
 *       │                               │ snapshot 1: −1    │ snapshot 1: −1, but an exchange …
 *       │◄────────── edition 1 back ────┤                   │ … that began with it ends: 0
 *       │◄──────────────────────────────┼── edition 1 back ─┤
 *       │ all back: another round through all mailboxes (letters about what goes may be under way)
 *       │ freed
 *
 * What holds an edition: being the worker's current one, each exchange that began with it, and, when
 * the next snapshot lacks them, a server with connections (tunnels) and a listener with clients.
 */
#include "lb/edition.h"

#include <stdlib.h>

bool editions_new(struct serving *serving, struct snapshot *snapshot)
{
    snapshot->editions = mem_must_alloc(serving->worker_count * sizeof(*snapshot->editions));
    snapshot->edition_count = serving->worker_count;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        struct edition *edition = &snapshot->editions[i];
        edition->snapshot = snapshot;
        edition->worker = &serving->workers[i];
        edition->balance = mem_must_alloc(snapshot->backend_count * sizeof(*edition->balance));
        struct rng rng;
        rng_seed_from_system(&rng); // The worker's own may be in use.
        for (size_t k = 0; k < snapshot->backend_count; k++) {
            if (!balance_state_init(&edition->balance[k], snapshot->backends[k], &rng)) {
                editions_fini(snapshot);
                return false;
            }
        }
    }
    return true;
}

void editions_fini(struct snapshot *snapshot)
{
    for (unsigned i = 0; snapshot->editions && i < snapshot->edition_count; i++) {
        struct edition *edition = &snapshot->editions[i];
        for (size_t k = 0; edition->balance && k < snapshot->backend_count; k++)
            balance_state_fini(&edition->balance[k]);
        free(edition->balance);
    }
    free(snapshot->editions);
    snapshot->editions = NULL;
    snapshot->edition_count = 0;
}

void edition_drop(struct edition *edition)
{
    struct serving *serving = edition->worker->serving;
    if (--edition->users == 0 && serving->released)
        serving->released(serving, edition);
}
