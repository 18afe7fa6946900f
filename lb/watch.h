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

/*
 * What an operator changes, on a server whose atomics (admin, weight, max_connections) say so
 * already: checks pause in maint, weights follow, workers hear of it.
 */
void watch_admin_changed(struct watch *watch, struct server *server, enum server_admin before);
void watch_weight_changed(struct watch *watch, struct server *server);
void watch_limit_changed(struct watch *watch, struct server *server);
/* Down, or up, until a check says otherwise. */
void watch_force_health(struct watch *watch, struct server *server, bool up);
/* False: it has none. */
bool watch_set_checks(struct watch *watch, struct server *server, bool enabled);
bool watch_checks(const struct watch *watch, const struct server *server); /* are they made? */
/* A server known by name is not looked up any more. */
void watch_set_addr(struct watch *watch, struct server *server, const struct addr *addr);
/* Ends what the server serves now, in all workers. */
void watch_end_sessions(struct watch *watch, struct server *server);

/* serving->snapshot is another one, settled: its checks go on where the old ones were. Servers that it
 * does not configure are not checked any more. */
void watch_change(struct watch *watch, struct shelf *shelf);
/* The file gives this server another address. */
void watch_address_changed(struct watch *watch, struct server *server);
/* The server is about to be freed. */
void watch_forget(struct watch *watch, struct server *server);

/* Ends checks and resolution, while the loop is still there; letters that are under way change
 * nothing any more. */
void watch_stop(struct watch *watch);
/* When neither loop nor workers can deliver a letter any more. */
void watch_free(struct watch *watch);

#endif
