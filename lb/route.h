// SPDX-License-Identifier: Apache-2.0
/*
 * Host and path → backend; first match wins. Built once per snapshot; a lookup looks only at the rules that the request's host can match, so
 * that a thousand routes cost what ten cost.
 */
#ifndef LIMPET_LB_ROUTE_H
#define LIMPET_LB_ROUTE_H

#include "lb/rules.h"

struct route_table;

struct route_table *route_table_new(const struct config_frontend *frontend);
void route_table_free(struct route_table *table);
/* host as in the request (port allowed, any case), path not decoded. Index in config.backends, -1: none.
 * *rules: of the route that matched, the table's; NULL: none. */
ptrdiff_t route_find(const struct route_table *table, struct span host, struct span path,
                     const struct rules **rules);
/* Is this where sentinel-watch signals servers (sentinel.notify.path)? Never for clients, in whatever
 * way they spell it: percent-encoded, other case, repeated or trailing slashes. */
bool route_is_signal(const struct config *config, struct span path);

#endif
