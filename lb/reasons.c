// SPDX-License-Identifier: Apache-2.0
/* The table of end reasons: reasons.def's rows as data, for replies, counters and the access log.
 */
#include "lb/reasons.h"

const struct end_info end_table[END_REASONS] = {
#define END(id, word, flags, status, fault) [END_##id] = {word, flags, status, FAULT_##fault},
#include "lb/reasons.def"
};
