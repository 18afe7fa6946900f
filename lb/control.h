// SPDX-License-Identifier: Apache-2.0
/*
 * The control thread of a serving process: runtime API, health checks, name resolution, sweeping of expired sids, slow start, pacing of a graceful
 * stop, and the line to the master. Workers reach it by letters only.
 */
#ifndef LIMPET_LB_CONTROL_H
#define LIMPET_LB_CONTROL_H

#include "health/health.h"
#include "lb/worker.h"

struct control;

/* For admin and stats, on control's thread. */
struct loop *control_loop(struct control *control);
struct shelf *control_shelf(struct control *control);
const struct health_status *control_health(struct control *control, const struct server *server);

/* Any thread: live traffic had trouble with this server. Cheap when repeated: one letter per server is under way at most. */
void control_report(struct serving *serving, struct server *server, enum health_event event);

#endif
