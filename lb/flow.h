// SPDX-License-Identifier: Apache-2.0
/*
 * A flow: one client connection and the server connection that it is paired with now; the state machine that joins parsers and deciders. See flow.c.
 */
#ifndef LIMPET_LB_FLOW_H
#define LIMPET_LB_FLOW_H

#include "lb/worker.h"

/* The pools that flows need. */
void flow_init_worker(struct worker *worker);
void flow_fini_worker(struct worker *worker);

/* A client connection was accepted and admitted. Owns fd from here on, also when it fails for lack of memory. */
void flow_accept(struct worker *worker, struct listener *listener, int fd, const struct addr *peer);

/* On the worker's thread: */
/* A graceful stop began: idle connections close now, the others after their answer. */
void flow_begin_stop(struct worker *worker);
/* Kicks at most n sessions (tunnels by a Close frame 1012 on a frame boundary, held polls by Engine.IO's close packet); returns how many were left to kick before. */
size_t flow_kick(struct worker *worker, size_t n);
/* The time is up: everything ends now. */
void flow_end_all(struct worker *worker);
/* This server went down: with on_down: close its tunnels end; polls that it holds are answered "Session ID unknown". */
void flow_server_down(struct worker *worker, struct server *server);
/* Places at this backend became free: queued requests try, oldest first. True: whoever can use one has it, there may be more. */
bool flow_place_free(struct worker *worker, struct backend *backend);

#endif
