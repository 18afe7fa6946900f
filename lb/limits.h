// SPDX-License-Identifier: Apache-2.0
/*
 * Limits per client address (IPv6 by /64), shared by all workers: open connections, new sessions per time, and session ids that were
 * nobody's per time (a token bucket each, whose depth is the rate's events). Sharded, bounded, keyed; an address takes memory only while
 * it has connections or an unfilled bucket.
 */
#ifndef LIMPET_LB_LIMITS_H
#define LIMPET_LB_LIMITS_H

#include "base/net.h"
#include "config/config.h"

struct limits;

struct limits *limits_new(void);
void limits_free(struct limits *limits);
/* False: the address has `max` open already (nothing is counted then). Each true needs one limits_disconnect. */
bool limits_connect(struct limits *limits, const struct addr *client, int64_t max);
void limits_disconnect(struct limits *limits, const struct addr *client);
/* May this address open a session now? Counts it when yes. */
bool limits_handshake(struct limits *limits, const struct addr *client, const struct rate *rate,
                      int64_t now_ms);
/* May this address bring another session id that may be nobody's? Counts nothing: most are somebody's. */
bool limits_may_miss(struct limits *limits, const struct addr *client, const struct rate *rate,
                     int64_t now_ms);
/* It was nobody's. Beyond the rate it runs into debt, of a minute at most: many may be asked at once. */
void limits_miss(struct limits *limits, const struct addr *client, const struct rate *rate,
                 int64_t now_ms);
/* Forgets full buckets without connections; for a timer. */
void limits_sweep(struct limits *limits, int64_t now_ms);
size_t limits_used(const struct limits *limits);

#endif
