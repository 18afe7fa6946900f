// SPDX-License-Identifier: Apache-2.0
/* The signals that limpet takes, as a descriptor: no handlers, nothing interrupted. */
#ifndef LIMPET_BASE_SIGNALS_H
#define LIMPET_BASE_SIGNALS_H

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGCHLD in this thread (threads and children
 * inherit that), ignores SIGPIPE, and returns a non-blocking signalfd for them. -1: errno. */
int signals_open(void);
/* The next signal that came, 0: none. */
int signals_next(int fd);

#endif
