// SPDX-License-Identifier: Apache-2.0
/*
 * Whose is a sid, by what stands in it: sid.mode `tag` and `prefix` (INTERFACE §3.2). No state, so
 * every balancer with the same configuration says the same.
 */
#ifndef LIMPET_LB_SIDNAME_H
#define LIMPET_LB_SIDNAME_H

#include "lb/server.h"

enum sidname_answer {
    SIDNAME_NOTHING, /* it says nothing: mode learn, or a sid that was not tagged or named */
    SIDNAME_SERVER,  /* this server's, dead or alive */
    SIDNAME_GONE,    /* of a server that this backend does not have (any more) */
};

/* The sid as the client has it. */
enum sidname_answer sidname_owner(const struct backend *backend, struct span sid,
                                  struct server **server);

/* Do sids of this backend say whose they are? */
bool sidname_used(const struct backend *backend);
/* Is it limpet that puts tags into its handshakes? */
bool sidname_tags(const struct backend *backend);
/* Mode prefix: does a sid that this server gave begin with its name, as it should? */
bool sidname_is_named(const struct server *server, struct span sid);

#endif
