// SPDX-License-Identifier: Apache-2.0
/*
 * What several connections have for us is received in one system call (ring.h). When a turn's kernel
 * events have come, and before they run, the loop fetches ahead: for each connection that its event will
 * make read, bytes into a block of the shelf, which lie here until that event runs (conn.c takes them).
 * Nobody sees them before: a connection that is closed or changes hands until then is treated as if
 * they had not been fetched and were never read.
 *
 *     events ── fetch_ahead: one call ──► slots ── conn_on_event: fetch_take ──► in, or TLS's raw
 *
 * A single event is not fetched: its recv is one call, too. By RING_SIZE events at a time, so that what
 * waits here is bounded and still in the processor's cache.
 */
#ifndef LIMPET_BASE_FETCH_H
#define LIMPET_BASE_FETCH_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/ring.h"

struct fetched {
    struct buf bytes; /* the block, also when nothing came */
    uint32_t asked;
    int at;  /* its event in loop->batch */
    int got; /* bytes, 0: end of stream, or -errno */
};

/* For the connections of this loop. NULL: errno says why not, and they receive one by one. */
struct fetch *fetch_new(void);
void fetch_free(struct fetch *fetch);

/* For the next events of the batch, from batch_at on. Gives back what is left of those before. Returns
 * behind which of them it is to be called again. */
int fetch_ahead(struct loop *loop);
/* Was something fetched for the event that runs? Then it must run now. */
bool fetch_holds(struct loop *loop);
/* What was fetched for the event that runs, or NULL. Once; its block is the caller's then. */
struct fetched *fetch_take(struct loop *loop);
/* The batch is done. */
void fetch_end(struct loop *loop);

#endif
