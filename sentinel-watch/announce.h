// SPDX-License-Identifier: Apache-2.0
/* Publishes an event on a channel of the new master, when all who shall hear it are there. Tries until
 * a subscriber of the master has got it, something newer is to be published, or ANNOUNCE_MS have passed. */
#ifndef LIMPET_SENTINEL_WATCH_ANNOUNCE_H
#define LIMPET_SENTINEL_WATCH_ANNOUNCE_H

#include "config/config.h"
#include "sentinel-watch/failover.h"
#include "sentinel-watch/world.h"

enum { ANNOUNCE_MS = 30000 };

struct announce;

struct announce *announce_new(const struct world *world);
void announce_free(struct announce *announce);
/* Credentials and channel; must outlive it or the next call. */
void announce_configure(struct announce *announce, const struct sentinel_options *opt);
/* `text` is copied, at most 4 KiB. Without a channel nothing happens. */
void announce_publish(struct announce *announce, const struct place *place, struct span text);

#endif
