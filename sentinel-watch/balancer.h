// SPDX-License-Identifier: Apache-2.0
/*
 * Tells balancers, over their runtime sockets, what the signals came to:
 *
 *     sio failover MASTER PHASE lease 10      PHASE: hold, sub, pub, cancel; calm ends it at once
 *     sio redis BACKEND/SERVER ready|stale EPOCH lease 10
 *
 * A lease is in seconds. What is not over is said again before its lease ends; so a balancer that was
 * started anew learns it, and one that has lost us forgets it. A server that never said anything
 * about its master is not mentioned.
 */
#ifndef LIMPET_SENTINEL_WATCH_BALANCER_H
#define LIMPET_SENTINEL_WATCH_BALANCER_H

#include "base/conn.h"
#include "base/text.h"

enum { BALANCER_LEASE_S = 10, BALANCER_RENEW_MS = 3000 };

struct balancers;

/* Writes all commands, each with '\n' behind it, into the text. */
typedef void balancer_fill_fn(void *ctx, struct text *out);

struct balancers *balancers_new(struct loop *loop, struct shelf *shelf, balancer_fill_fn *fill,
                                void *ctx);
void balancers_free(struct balancers *balancers);

/* Their sockets, as in the option `limpet`; copied. First all are marked with begin, those that are
 * named stay, and the others go with end. */
void balancers_begin(struct balancers *balancers);
void balancers_name(struct balancers *balancers, const char *socket);
void balancers_end(struct balancers *balancers);

/* Something has changed: say it now. */
void balancers_tell(struct balancers *balancers);

/* [{"socket":"…","told":true,"trouble":null},…] */
void balancers_show(const struct balancers *balancers, struct text *out);
/* limpet_sentinel_balancer_up, _rounds_total */
void balancers_metrics(const struct balancers *balancers, struct text *out);

#endif
