// SPDX-License-Identifier: Apache-2.0
/*
 * A flow: one client connection and the server connection that it is paired with now; the state machine that joins parsers and deciders. See flow.c.
 */
#ifndef LIMPET_LB_FLOW_H
#define LIMPET_LB_FLOW_H

#include "lb/worker.h"

struct flow;

/* The pools that flows need. */
void flow_init_worker(struct worker *worker);
void flow_fini_worker(struct worker *worker);

/* A client connection was accepted and admitted. Owns fd from here on, also when it fails for lack of memory. */
void flow_accept(struct worker *worker, struct listener *listener, int fd, const struct addr *peer);

/* Does a connection from this peer begin with a PROXY header? Then its address is not counted by who
 * accepts it: the flow does that, when it knows whose it is. */
bool flow_is_proxied(const struct listener *listener, const struct addr *peer);
/* Takes one of the address's places, which the flow gives back whenever its frontend counts addresses.
 * False: it has all that it may have. */
bool flow_admit_address(const struct frontend *frontend, const struct addr *client);

/* On the worker's thread: */
/* A graceful stop began: idle connections close now, the others after their answer. */
void flow_begin_stop(struct worker *worker);
/* Kicks at most n sessions (tunnels by a Close frame 1012 on a frame boundary, held polls by Engine.IO's close packet); returns how many were left to kick before. */
size_t flow_kick(struct worker *worker, size_t n);
/* Kicks this session, if a flow of this worker holds it. */
void flow_kick_sid(struct worker *worker, const struct sidmap *sids, const struct sid_name *name,
                   enum move_reason why);
void flow_kick_loose(struct worker *worker, uint32_t loose_id, enum move_reason why);
/* The oldest tunnels to this server that were opened without a sid. */
struct loose_session {
    uint32_t id;
    int64_t began_ms;
};
size_t flow_loose_sessions(struct worker *worker, const struct server *server,
                           struct loose_session *out, size_t max);
/* The worker changed from this edition to another snapshot: tunnels to servers that are gone hold it,
 * idle connections of frontends that are gone close. */
void flow_change_edition(struct worker *worker, struct edition *before, bool servers_gone);
/* The time is up: everything ends now. */
void flow_end_all(struct worker *worker);
/* This server went down: with on_down: close its tunnels end; polls that it holds are answered "Session ID unknown". */
void flow_server_down(struct worker *worker, struct server *server);
/* An operator put it in maintenance: the same, but kindly, and what it answers without a sid may finish. */
void flow_server_maint(struct worker *worker, struct server *server);
/* Ends what it serves now, whatever that is. */
void flow_server_end(struct worker *worker, struct server *server);
/* Ends this flow: a tunnel by a Close frame, a held poll by the close packet, else at once. */
void flow_shutdown(struct flow *flow);
/* Places at this backend became free: queued requests try, oldest first. True: whoever can use one has it, there may be more. */
bool flow_place_free(struct worker *worker, const struct backend_home *home);

#endif
