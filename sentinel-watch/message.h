// SPDX-License-Identifier: Apache-2.0
/* The text of a signal: the JSON that servers, programs, files and channels get. Values in, bytes
 * out. */
#ifndef LIMPET_SENTINEL_WATCH_MESSAGE_H
#define LIMPET_SENTINEL_WATCH_MESSAGE_H

#include "base/digest.h"
#include "sentinel-watch/failover.h"
#include "sentinel-watch/phase.h"

enum {
    MESSAGE_MAX = 4096,                 /* bytes of the JSON, with its NUL */
    MESSAGE_TIME_MAX = 32,              /* of a time, with its NUL */
    MESSAGE_WATCHER_MAX = 256,          /* bytes of a watcher's name that are shown */
    SIGNATURE_MAX = 3 + DIGEST_HEX_MAX, /* "v1=…" */
};

struct message {
    const struct failover *failover;
    enum phase phase;
    const char *watcher;
    int64_t sent_ms; /* wall clock */
    /* For servers only; 0: left out. */
    int64_t deadline_ms;
    int64_t hold_max_ms;
    uint32_t attempt;
};

/* Writes one JSON object, NUL-terminated; returns its length. Every text of a failover fits. */
size_t message_write(const struct message *message, char out[static MESSAGE_MAX]);

/* "2026-11-21T20:00:00.123Z" */
char *message_time(int64_t wall_ms, char out[static MESSAGE_TIME_MAX]);

/* "v1=<hex>" of "<timestamp>.<body>". */
char *message_sign(const char *secret, int64_t timestamp_s, struct span body,
                   char out[static SIGNATURE_MAX]);

#endif
