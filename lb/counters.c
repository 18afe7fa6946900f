// SPDX-License-Identifier: Apache-2.0
/* The counter table: counters.def's rows as data, for whoever shows counters (show stat, metrics,
 * dashboard). */
#include "lb/counters.h"

const struct counter_info counter_table[COUNTERS] = {
#define COUNTER(id, kind, csv, help) [COUNTER_##id] = {#id, COUNTER_##kind##_KIND, csv, help},
#include "lb/counters.def"
};
