// SPDX-License-Identifier: Apache-2.0
/*
 * The pacing of a graceful stop. Control begins it; drain orders the workers and says when nothing
 * is left. On control's thread.
 */
#ifndef LIMPET_LB_DRAIN_H
#define LIMPET_LB_DRAIN_H

#include "lb/worker.h"

struct drain;
typedef void drain_done_fn(void *ctx);

/* `done` is called once, from the loop, when no flow is left (or the time is over). */
struct drain *drain_new(struct serving *serving, struct loop *loop, drain_done_fn *done, void *ctx);
void drain_free(struct drain *drain);

/* Stop accepting, let exchanges finish, kick sessions evenly, end all after grace. Once. */
void drain_begin(struct drain *drain, int64_t grace_ms);
/* The time is up, now. */
void drain_cut(struct drain *drain);
bool drain_begun(const struct drain *drain);

#endif
