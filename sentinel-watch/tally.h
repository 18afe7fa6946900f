// SPDX-License-Identifier: Apache-2.0
/* Counters of what acts, one block per master; tally.def has a row for each. One thread. */
#ifndef LIMPET_SENTINEL_WATCH_TALLY_H
#define LIMPET_SENTINEL_WATCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>

enum tally_id {
#define TALLY(id, kind, metric, labels, help) TALLY_##id,
#include "sentinel-watch/tally.def"
    TALLIES
};

struct tally {
    int64_t value[TALLIES];
};

struct tally_info {
    const char *metric; /* without the prefix */
    const char *labels; /* "result=\"ack\"", or "" */
    const char *help;   /* "": like the row before */
    bool gauge;
};
extern const struct tally_info tally_table[TALLIES];

static inline void tally_add(struct tally *tally, enum tally_id id, int64_t n)
{
    tally->value[id] += n;
}

#endif
