// SPDX-License-Identifier: Apache-2.0
/*
 * Replaces a file by another text in one step: written beside it, flushed to the disk, renamed. On a
 * thread of its own, since a disk may take its time. When texts come faster than it writes, only the
 * newest is written.
 */
#ifndef LIMPET_SENTINEL_WATCH_SCRIBE_H
#define LIMPET_SENTINEL_WATCH_SCRIBE_H

#include "base/loop.h"
#include "base/span.h"

enum { SCRIBE_TEXT_MAX = 4096 };

struct scribe;

/* error: 0, or errno. From the loop, after each write. */
typedef void scribed_fn(void *ctx, const char *path, int error);

struct scribe *scribe_new(struct loop *loop, scribed_fn *scribed, void *ctx);
/* Waits for the write that is under way, and makes the one that waits behind it. */
void scribe_free(struct scribe *scribe);
/* Both are copied; at most SCRIBE_TEXT_MAX bytes of text. */
void scribe_write(struct scribe *scribe, const char *path, struct span text);
bool scribe_busy(const struct scribe *scribe);

#endif
