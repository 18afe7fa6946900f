// SPDX-License-Identifier: Apache-2.0
/*
 * What the serving process gives up for good before it meets its first client: capabilities, files to
 * write, programs to execute, and the system calls that it never makes (process.sandbox).
 */
#ifndef LIMPET_LB_SANDBOX_H
#define LIMPET_LB_SANDBOX_H

#include "config/config.h"

/* No core dumps, and no reading of this process's memory by its equals: it holds keys and cookies. */
void sandbox_hide_memory(const struct config *config);

/* The master of a process that did not start as root: of its capabilities the one that a reload may
 * need to bind a low port. */
void sandbox_master(const struct config *config);

/*
 * The serving process, before it starts its first thread. What the kernel does not have is left out,
 * with a line in the log; `alone`: there is no master, so the process needs everything.
 */
void sandbox_enter(const struct config *config, bool alone);

#endif
