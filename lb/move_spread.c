// SPDX-License-Identifier: Apache-2.0
/*
 * A server's share is what leastconn tends to: its part of the sessions by the weight that it has
 * now, slow start included. Backup servers, and those that take no new sessions, have none, and
 * theirs do not count.
 */
#include "lb/move_spread.h"

enum { TOLERANCE_PERCENT = 5 };

static int64_t weight_of(const struct server *server)
{
    return atomic_load_explicit(&server->weight_now, memory_order_relaxed);
}

/* Does it take part? */
static bool shares(const struct server *server)
{
    bool leaves = server->config == NULL; // It is no longer configured.
    return !leaves && server_takes_sessions(server->backend, server) && !server->config->opt.backup;
}

/* Are weights still growing? Then what is balanced now will not be in a moment. */
static bool starts_slowly(const struct server *server)
{
    return weight_of(server) <
           atomic_load_explicit(&server->weight, memory_order_relaxed) * SERVER_WEIGHT_SCALE;
}

static double share_of(const struct spread *spread, const struct server *server)
{
    return (double)spread->sessions * (double)weight_of(server) / (double)spread->weight;
}

int64_t spread_excess(const struct spread *spread, const struct server *server)
{
    if (!shares(server))
        return 0;
    double share = share_of(spread, server);
    double beyond = (double)server_load(server) - share;
    return beyond >= 1 ? (int64_t)beyond : 0;
}

void spread_measure(struct spread *spread, const struct backend *backend)
{
    *spread = (struct spread){.even = true};
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct server *server = backend->servers[i];
        if (!shares(server))
            continue;
        spread->servers++;
        spread->sessions += server_load(server);
        spread->weight += weight_of(server);
        spread->growing = spread->growing || starts_slowly(server);
    }
    for (size_t i = 0; i < backend->server_count && spread->weight > 0; i++) {
        const struct server *server = backend->servers[i];
        if (!shares(server))
            continue;
        double share = share_of(spread, server);
        double off = (double)server_load(server) - share;
        off = off < 0 ? -off : off;
        if (off > 1 && off > share * TOLERANCE_PERCENT / 100)
            spread->even = false;
        if (share > 0 && off / share > spread->worst)
            spread->worst = off / share;
        spread->excess += spread_excess(spread, server);
    }
}
