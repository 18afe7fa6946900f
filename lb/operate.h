// SPDX-License-Identifier: Apache-2.0
/*
 * The one place that changes what runs, for the runtime API and for the dashboard's actions: states,
 * weights, addresses and limits of servers, frontends, and sessions that are to end. On control's
 * thread. Every change is logged, becomes an event (`by` says who: "runtime API", "dashboard") and
 * takes effect in all workers by their atomics or by letter.
 *
 * Functions that may refuse return NULL when done, else one sentence for whoever asked.
 */
#ifndef LIMPET_LB_OPERATE_H
#define LIMPET_LB_OPERATE_H

#include "lb/worker.h"

/*
 * ready: as its checks say · drain: no new sessions, those that it owns are served · maint: nothing
 * at all, like down: its tunnels end (on_down), its sids have a dead owner, it is not checked.
 */
void operate_server_admin(struct serving *serving, struct server *server, enum server_admin admin,
                          const char *by);
/* "10", or "50%" of the configured weight; 0 to 256. */
const char *operate_server_weight(struct serving *serving, struct server *server, struct span text,
                                  const char *by);
/* Until a check says otherwise. */
const char *operate_server_health(struct serving *serving, struct server *server, bool up,
                                  const char *by);
/* Are its checks made? */
const char *operate_server_checks(struct serving *serving, struct server *server, bool enabled,
                                  const char *by);
const char *operate_server_addr(struct serving *serving, struct server *server,
                                const struct addr *addr, const char *by);
/* 0: no limit. */
const char *operate_server_max_connections(struct serving *serving, struct server *server,
                                           int64_t max, const char *by);
/* Ends what it serves now: tunnels and exchanges. */
void operate_server_shutdown_sessions(struct serving *serving, struct server *server,
                                      const char *by);

/* Disabled: nobody listens on its addresses, who comes is refused; connections that are open stay. */
const char *operate_frontend_enabled(struct serving *serving, struct frontend *frontend,
                                     bool enabled, const char *by);
const char *operate_frontend_max_connections(struct serving *serving, struct frontend *frontend,
                                             int64_t max, const char *by);
/* Of the process; at most what its descriptors allow; 0: that, or what the file says. */
const char *operate_max_connections(struct serving *serving, int64_t max, const char *by);

#endif
