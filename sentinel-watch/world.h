// SPDX-License-Identifier: Apache-2.0
/* What everything that acts for one master works with: the loop, who we are, where it counts. */
#ifndef LIMPET_SENTINEL_WATCH_WORLD_H
#define LIMPET_SENTINEL_WATCH_WORLD_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/net.h"
#include "sentinel-watch/tally.h"

struct world {
    struct loop *loop;
    struct shelf *shelf;
    struct resolver *resolver;
    const char *watcher;
    struct tally *tally;
};

#endif
