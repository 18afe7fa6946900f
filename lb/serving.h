// SPDX-License-Identifier: Apache-2.0
/* The process that serves: makes what struct serving holds, runs it, takes it apart. */
#ifndef LIMPET_LB_SERVING_H
#define LIMPET_LB_SERVING_H

#include "lb/bindings.h"
#include "lb/worker.h"

/* Worker threads that process.workers asks for; auto: one per CPU that we may use. */
unsigned serving_worker_count(const struct config *config);
/* Raises the soft limit on file descriptors to the hard one. */
void serving_raise_descriptors(void);

/*
 * Serves until it was told to stop: by the master through line_fd, or, with -1, by signals; then it
 * says `limpet: ready` itself. Takes the listening sockets and the runtime socket out of
 * `bindings`. Returns the exit code: 0, 1 configuration, 2 system.
 */
int serving_run(const struct config *config, struct bindings *bindings, int line_fd);

/* Writes the ready line to stderr and tells systemd. */
void serving_announce(const struct config *config, const struct bindings *bindings);

#endif
