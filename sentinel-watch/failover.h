// SPDX-License-Identifier: Apache-2.0
/*
 * One change of a Redis master, as everybody downstream of the state machine sees it: the barrier,
 * the doors (relay, exec, publish, file, signal), limpet, the event log. Plain data, copied freely.
 *
 * Addresses are what clients shall use: the address map has been applied, and a host may be a name,
 * an IPv4 or an IPv6 address without brackets. (generation, epoch) orders failovers of one master;
 * a generation begins anew when wiped sentinels count their epochs from the start again.
 */
#ifndef LIMPET_SENTINEL_WATCH_FAILOVER_H
#define LIMPET_SENTINEL_WATCH_FAILOVER_H

#include <stdint.h>

enum {
    PLACE_HOST_MAX = 256,      /* bytes with the NUL */
    FAILOVER_NAME_MAX = 129,   /* of a master */
    FAILOVER_RUN_ID_MAX = 41,  /* 40 hex digits */
    FAILOVER_REASON_MAX = 128, /* a phrase for people and logs */
    FAILOVER_ID_MAX = FAILOVER_NAME_MAX + 2 * 21,
};

/* Where a Redis node is. port 0: not known (e.g. `new` during hold). */
struct place {
    char host[PLACE_HOST_MAX];
    uint16_t port;
};

struct failover {
    char id[FAILOVER_ID_MAX]; /* "mymaster:1:7", the JSON's "id" */
    char master[FAILOVER_NAME_MAX];
    uint64_t generation,
        epoch; /* of the failover; during hold: the epoch that is expected (last + 1),
                                   `sub` may come with a higher one */
    struct place old_place, new_place;
    char run_id[FAILOVER_RUN_ID_MAX]; /* of the new master, by its own INFO; "" until known */
    char reason[FAILOVER_REASON_MAX]; /* "odown by 2 of 3 sentinels" */
    int64_t began_ms;                 /* loop time of the first sign */
};

#endif
