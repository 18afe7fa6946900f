// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP door that always leads to the current master, for clients that know one address and no
 * Sentinel. It knows nothing of what goes through it.
 *
 * At a switch it cuts every connection that leads elsewhere, also to a master that is frozen and would
 * never close it, and holds new ones (accepted, but not yet connected) instead of refusing them: while
 * a failover is expected, while no master is known, and while the master cannot be reached. Nobody is
 * held longer than hold.max.
 */
#ifndef LIMPET_SENTINEL_WATCH_RELAY_H
#define LIMPET_SENTINEL_WATCH_RELAY_H

#include "base/text.h"
#include "config/config.h"
#include "sentinel-watch/failover.h"
#include "sentinel-watch/world.h"

struct relay;

struct relay *relay_new(const struct world *world);
void relay_free(struct relay *relay); /* closes everything */

/* Listens where the section says; what is open already stays as it is, with its clients. False: *error
 * (from malloc) says what could not be opened; nothing has changed then. */
bool relay_configure(struct relay *relay, const struct config_sentinel *sentinel, char **error);
void relay_listeners(const struct relay *relay, void (*each)(void *ctx, const struct addr *addr),
                     void *ctx);

/* Leads there from now on. */
void relay_lead(struct relay *relay, const struct place *place);
/* New connections wait. Ends with relay_lead or relay_release. */
void relay_hold(struct relay *relay);
void relay_release(struct relay *relay);

/* {"leads_to":"…","holding":false,"connections":0} */
void relay_show(const struct relay *relay, struct text *out);

#endif
