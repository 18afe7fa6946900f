// SPDX-License-Identifier: Apache-2.0
/*
 * What a sentinel publishes: a channel, which is the event's name, and a payload, which is words
 * separated by blanks. Bytes in, values out. Names are those of Redis and Valkey alike.
 *
 *     <instance> = <type> <name> <host> <port> [@ <master> <host> <port>]
 *     +switch-master   <master> <host> <port> <new host> <new port>
 *     +vote-for-leader <run id> <epoch>          +new-epoch <epoch>          +tilt, -tilt
 */
#ifndef LIMPET_SENTINEL_WATCH_EVENT_H
#define LIMPET_SENTINEL_WATCH_EVENT_H

#include "base/span.h"
#include "sentinel-watch/failover.h"

enum event_kind {
    EVENT_OTHER, /* for the log only */
    EVENT_SDOWN,
    EVENT_SDOWN_OVER,
    EVENT_ODOWN,
    EVENT_ODOWN_OVER,
    EVENT_NEW_EPOCH,
    EVENT_VOTE,
    EVENT_TRY_FAILOVER,
    EVENT_SELECTED,  /* a replica was chosen */
    EVENT_PROMOTING, /* it was told to be the master */
    EVENT_PROMOTED,  /* it says that it is */
    EVENT_FAILOVER_END,
    EVENT_FAILOVER_ABORT, /* there is nobody to fail over to */
    EVENT_FAILOVER_LOST,  /* this try came to nothing; another one will follow */
    EVENT_SWITCH,
    EVENT_CONFIG_UPDATE, /* another sentinel's newer configuration was taken over */
    EVENT_ROLE_WRONG,    /* an instance reports a role that it should not have */
    EVENT_CONVERT,       /* a returned master is made a replica */
    EVENT_REBOOT,
    EVENT_RESET,
    EVENT_MEMBER, /* a replica or sentinel was found */
    EVENT_TILT,
    EVENT_TILT_OVER,
};

enum instance { INSTANCE_NONE, INSTANCE_MASTER, INSTANCE_REPLICA, INSTANCE_SENTINEL };

/* Fields that an event does not have are zero. */
struct event {
    enum event_kind kind;
    enum instance instance;
    char master[FAILOVER_NAME_MAX]; /* "": about no master in particular */
    struct place place;             /* of the instance; of the old master in a switch */
    struct place new_place;         /* of a switch */
    uint64_t epoch;
    char run_id[FAILOVER_RUN_ID_MAX]; /* of the leader that was voted for */
};

/* Payloads that do not have the form of their event give EVENT_OTHER. */
void event_parse(struct span channel, struct span payload, struct event *out);

/* The i-th channel that is known, NULL behind the last. */
const char *event_channel(size_t i);

/* HOST and PORT as two words. False: no port, or too long a name. */
bool place_parse(struct span host, struct span port, struct place *out);
/* "HOST:PORT", also for IPv6 with or without brackets. */
bool place_parse_text(struct span text, struct place *out);
bool place_eq(const struct place *a, const struct place *b);
bool place_known(const struct place *place);
enum { PLACE_TEXT_MAX = PLACE_HOST_MAX + 8 };
/* "HOST:PORT", "[IPv6]:PORT", "-" when not known. Returns out. */
char *place_show(const struct place *place, char out[static PLACE_TEXT_MAX]);

#endif
