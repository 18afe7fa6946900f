// SPDX-License-Identifier: Apache-2.0
/* How evenly a backend's sessions are spread over its servers, by weight; for lb/move. */
#ifndef LIMPET_LB_MOVE_SPREAD_H
#define LIMPET_LB_MOVE_SPREAD_H

#include "lb/server.h"

struct spread {
    int64_t sessions, weight; /* of all that have a share */
    size_t servers;
    double worst;   /* by how much the worst server is off, as a part of its share */
    int64_t excess; /* sessions beyond all shares */
    bool growing;   /* some weight still grows: what is even now will not be in a moment */
    bool even;      /* everybody is within 5 %, or one session, of its share */
};

void spread_measure(struct spread *spread, const struct backend *backend);
/* Whole sessions that the server has beyond its share. */
int64_t spread_excess(const struct spread *spread, const struct server *server);

#endif
