// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a program for each phase of a failover: no shell, the event as JSON on its input and in LIMPET_*
 * variables, what it prints goes to our stderr. One at a time per master, in order; one that takes
 * too long is killed, with its whole process group.
 */
#ifndef LIMPET_SENTINEL_WATCH_EXEC_H
#define LIMPET_SENTINEL_WATCH_EXEC_H

#include "sentinel-watch/failover.h"
#include "sentinel-watch/phase.h"
#include "sentinel-watch/world.h"

enum {
    EXEC_MS = 10000,       /* how long a program may take */
    EXEC_WAITING_MAX = 16, /* events that wait for the program before; the oldest is dropped */
};

struct exec;

struct exec *exec_new(const struct world *world, int64_t timeout_ms);
/* A program that runs is killed. */
void exec_free(struct exec *exec);
/* argv ends with count; it lives until the next call. count 0: nothing is run. */
void exec_configure(struct exec *exec, char *const *argv, size_t count);
void exec_run(struct exec *exec, const struct failover *failover, enum phase phase);

#endif
