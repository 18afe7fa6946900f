// SPDX-License-Identifier: Apache-2.0
/*
 * admin.http: dashboard, metrics, probes and JSON, on control's loop. Reads the workers' atomics
 * and never stops one. Changes anything only with admin.actions, and then through lb/operate.
 */
#ifndef LIMPET_LB_WEB_H
#define LIMPET_LB_WEB_H

#include "lb/worker.h"

enum { WEB_CONNECTIONS = 128 }; /* descriptors to keep for it */

struct web;

/* fd is the bound, listening socket, web's from here on. NULL: errno. */
struct web *web_new(struct serving *serving, struct loop *loop, struct shelf *shelf, int fd);
void web_free(struct web *web);
/* Once a second, behind stats_tick: takes samples for the dashboard's curves, sends its news. */
void web_tick(struct web *web);

#endif
