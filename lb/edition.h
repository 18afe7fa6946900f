// SPDX-License-Identifier: Apache-2.0
/*
 * A worker's part in a snapshot: how many of its things need it. Control mails it ("change to
 * this"), the worker counts, and mails it back when nothing of its own needs it any more.
 */
#ifndef LIMPET_LB_EDITION_H
#define LIMPET_LB_EDITION_H

#include "lb/balance.h"
#include "lb/worker.h"

struct edition {
    struct letter letter;
    struct letter adopted; /* from the worker: all its things know of it */
    struct snapshot *snapshot;
    struct worker *worker;
    size_t users;                  /* the worker's own count */
    struct balance_state *balance; /* by backend index */
};

/* One per worker, into snapshot->editions. On control's thread, before any worker sees it. False:
 * no memory. */
bool editions_new(struct serving *serving, struct snapshot *snapshot);
/* When no worker runs, or all have given it back. The array itself goes with the snapshot. */
void editions_fini(struct snapshot *snapshot);

/* On the worker's thread. The last drop mails it back to control. */
static inline struct edition *edition_hold(struct edition *edition)
{
    edition->users++;
    return edition;
}
void edition_drop(struct edition *edition);

#endif
