// SPDX-License-Identifier: Apache-2.0
/*
 * Signals to the servers of one master: the barrier (barrier.h) decides, this sends. Every server has
 * a connection that is open in advance and one request on it at a time, signed, until it has
 * acknowledged what it was asked.
 */
#ifndef LIMPET_SENTINEL_WATCH_NOTIFY_H
#define LIMPET_SENTINEL_WATCH_NOTIFY_H

#include "base/text.h"
#include "config/config.h"
#include "sentinel-watch/barrier.h"
#include "sentinel-watch/world.h"

struct notify;

/* Told from the loop or from inside notify_hold, _switch, _cancel, _fence. None may be NULL. */
struct notify_owner {
    void (*phase)(void *ctx, const struct failover *failover, enum phase phase);
    void (*outdated)(void *ctx, const char *master, uint64_t generation, uint64_t epoch);
    void (*changed)(void *ctx); /* a server's standing (see below) */
};

struct notify *notify_new(const struct world *world, const struct notify_owner *owner, void *ctx);
void notify_free(struct notify *notify);

/* What of a configuration can fail: files for TLS. False: *error (from malloc) says what; nothing has
 * changed then. */
bool notify_prepare(struct notify *notify, const struct config *config,
                    const struct config_sentinel *sentinel, char **error);
/* Whom to tell, and how, as prepared; both must outlive notify or the next call. Servers that stay
 * keep their state and connection. */
void notify_configure(struct notify *notify, const struct config *config,
                      const struct config_sentinel *sentinel);

struct barrier *notify_barrier(struct notify *notify);
/* After anything was said to the barrier: sends what it wants sent. */
void notify_go(struct notify *notify);

/* Does a server follow the master that is known? UNKNOWN: it never said so, and nobody was released
 * without it. */
enum standing { STANDING_UNKNOWN, STANDING_READY, STANDING_STALE };

/* One server, for limpet and for people. */
struct notify_server {
    const char *backend, *name;
    const struct barrier_node *node;
    enum standing standing;
    bool open; /* a connection stands */
};
void notify_each(struct notify *notify, void (*each)(void *ctx, const struct notify_server *server),
                 void *ctx);
/* The same for one; false: it is not told of this master. */
bool notify_find(struct notify *notify, const char *backend, const char *name,
                 struct notify_server *out);

/* [{"server":…,"phase":…},…] */
void notify_show(struct notify *notify, struct text *out);

#endif
