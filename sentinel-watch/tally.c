// SPDX-License-Identifier: Apache-2.0
/* The rows of tally.def as data, for whoever shows them. */
#include "sentinel-watch/tally.h"

enum { TOTAL = false, GAUGE = true };

const struct tally_info tally_table[TALLIES] = {
#define TALLY(id, kind, metric, labels, help) [TALLY_##id] = {metric, labels, help, kind},
#include "sentinel-watch/tally.def"
};
