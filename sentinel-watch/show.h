// SPDX-License-Identifier: Apache-2.0
/* What is known, as text: for the runtime socket, for HTTP, for Prometheus. */
#ifndef LIMPET_SENTINEL_WATCH_SHOW_H
#define LIMPET_SENTINEL_WATCH_SHOW_H

#include "sentinel-watch/service.h"

void show_info(const struct service *service, struct text *out);      /* Name: value lines */
void show_masters(const struct service *service, struct text *out);   /* a line per master */
void show_sentinels(const struct service *service, struct text *out); /* a line per sentinel */
void show_nodes(const struct service *service, struct text *out);     /* a line per Redis node */

void show_canary(const struct service *service, struct text *out); /* a line per master */

void show_prune_status(const struct master *master, struct text *out); /* a line */
/* A line per replica or sentinel that would be forgotten, or the doubt. */
void show_prune_plan(const struct service *service, const struct master *master, struct text *out);

/* One JSON object about a master: what a server needs that starts in the middle, and how sure we
 * are. */
void show_master_json(const struct service *service, const struct master *master, struct text *out);
void show_metrics(const struct service *service, struct text *out);

/* Can every master be followed? If not, `why` gets a line per reason. */
bool show_health(const struct service *service, struct text *why);

#endif
