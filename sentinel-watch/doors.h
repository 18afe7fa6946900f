// SPDX-License-Identifier: Apache-2.0
/*
 * Everything by which sentinel-watch acts on the world, for all masters: signals to servers (barrier
 * and notify), the relay, hooks (exec, publish, file, signal), and limpet's runtime sockets. The
 * state machine decides what happened and says it here; what follows from it is decided behind here.
 *
 *   state machine ──► doors ──► barrier ──► notify ──► servers          (hold, sub, pub, cancel, fence)
 *                       ├────► relay                                    (where the door leads)
 *                       ├────► hook                                     (exec, publish, file, signal)
 *                       └────► balancer ──► limpet                      (sio failover, sio redis)
 *
 * A failover names its master; one that the configuration does not name is a mistake of the caller.
 */
#ifndef LIMPET_SENTINEL_WATCH_DOORS_H
#define LIMPET_SENTINEL_WATCH_DOORS_H

#include "base/conn.h"
#include "base/net.h"
#include "base/text.h"
#include "config/config.h"
#include "sentinel-watch/failover.h"
#include "sentinel-watch/phase.h"

struct doors;

/* What doors tells back. None may be NULL. All come from the loop, never from inside a doors_* call
 * except where a comment says so. */
struct doors_owner {
    /* All servers of a master enter a phase; PHASE_NONE: they are all where they should be, or it is
       over. May come from inside doors_hold, doors_switch, doors_cancel. For events and logs. */
    void (*phase)(void *ctx, const struct failover *failover, enum phase phase);
    /* A server has seen a newer failover of this master than we have: another watcher told it. */
    void (*outdated)(void *ctx, const char *master, uint64_t generation, uint64_t epoch);
};

struct doors_world {
    struct loop *loop;
    struct shelf *shelf;
    struct resolver *resolver;
    const char *watcher; /* how we call ourselves; outlives doors */
    const struct doors_owner *owner;
    void *ctx;
};

struct doors *doors_new(const struct doors_world *world);
void doors_free(struct doors *doors); /* before the loop goes */

/*
 * Takes a configuration into force: at start, and at a reload. It must outlive the doors or the next
 * doors_apply. False: a listener could not be opened (*error says which and why, from malloc); the
 * configuration before is in force still.
 */
bool doors_apply(struct doors *doors, const struct config *config, char **error);
/* Bound addresses of the relays, for the ready line: NAME is relay, or relay.MASTER with several. */
void doors_listeners(const struct doors *doors,
                     void (*each)(void *ctx, const char *name, const struct addr *addr), void *ctx);

/* The master as it is, known for the first time: nothing has failed. `epoch` and `generation` are
 * those of its last failover. Servers are brought there one by one, without a barrier. */
void doors_baseline(struct doors *doors, const struct failover *now);
/* It is about to fail over: publishes are held. Renews nothing when they are held already. */
void doors_hold(struct doors *doors, const struct failover *failover);
/* It has: verified, new_place and run_id are known. With or without a doors_hold before; overtakes a
 * running one that is older, and is ignored when it is not newer. */
void doors_switch(struct doors *doors, const struct failover *failover);
/* It will not: the hold before is undone. */
void doors_cancel(struct doors *doors, const struct failover *failover);
/* An old master (old_place) accepts clients again. */
void doors_fence(struct doors *doors, const struct failover *failover);

/* What servers of this master are asked for now: for GET /master/NAME. */
enum phase doors_phase(const struct doors *doors, const char *master);

/* One JSON object {"nodes":[…],"relay":{…},"limpet":[…]} for a master. */
void doors_show(const struct doors *doors, const char *master, struct text *out);
/* Prometheus text of all masters: limpet_sentinel_notify_…, _relay_…, _hook_…, _balancer_…. */
void doors_metrics(const struct doors *doors, struct text *out);

#endif
