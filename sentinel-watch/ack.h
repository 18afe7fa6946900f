// SPDX-License-Identifier: Apache-2.0
/* What a server answers to a signal: one small JSON object, read strictly and within bounds
 * (docs/sentinel-watch.md, "The answer"). Bytes in, values out. */
#ifndef LIMPET_SENTINEL_WATCH_ACK_H
#define LIMPET_SENTINEL_WATCH_ACK_H

#include "sentinel-watch/failover.h"
#include "sentinel-watch/phase.h"

enum {
    ACK_BYTES_MAX = 8 * 1024,
    ACK_DEPTH_MAX = 8,                       /* of objects and arrays within each other */
    ACK_ADDRESS_MAX = PLACE_HOST_MAX + 2 + 6 /* "[HOST]:PORT" */
};

struct ack {
    char master[FAILOVER_NAME_MAX]; /* "id" taken apart */
    uint64_t generation, epoch;
    enum phase phase;
    char connected_to[ACK_ADDRESS_MAX]; /* "" when absent, like the two below */
    char role[16];
    char run_id[FAILOVER_RUN_ID_MAX];
    uint64_t queued;
};

/* NULL, or what is wrong, as a phrase; *out is meaningless then. */
const char *ack_parse(struct span body, struct ack *out);

/* "mymaster:1:7" taken apart, from its end: a name may hold colons. */
bool failover_id_parse(struct span id, char master[static FAILOVER_NAME_MAX], uint64_t *generation,
                       uint64_t *epoch);

#endif
