// SPDX-License-Identifier: Apache-2.0
/*
 * What control knows about servers and tells the workers: verdicts of the health checks, addresses
 * of names, weights of servers that came up. On control's thread unless said otherwise.
 */
#ifndef LIMPET_LB_WATCH_H
#define LIMPET_LB_WATCH_H

#include "health/health.h"
#include "lb/worker.h"

struct watch;

/* Checks and name resolution begin at once. NULL: errno. */
struct watch *watch_new(struct serving *serving, struct loop *loop, struct shelf *shelf);
/* Workers exist from here on: changes are mailed to them. */
void watch_tell_workers(struct watch *watch);
/* Server names that nobody has answered yet. */
size_t watch_names_pending(const struct watch *watch);
/* Is the resolver at work? Then watch_stop waits for it, which may take as long as a name server likes. */
bool watch_asks(const struct watch *watch);
const struct health_status *watch_health(const struct watch *watch, const struct server *server);
/* Any thread: live traffic had trouble with this server. */
void watch_report(struct watch *watch, struct server *server, enum health_event event);

/* Ends checks and resolution, while the loop is still there; letters that are under way change
 * nothing any more. */
void watch_stop(struct watch *watch);
/* When neither loop nor workers can deliver a letter any more. */
void watch_free(struct watch *watch);

#endif
