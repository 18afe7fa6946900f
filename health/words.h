// SPDX-License-Identifier: Apache-2.0
/* Words for the log; those for stats (check_status_word, check_status_text) are in health.h. */
#ifndef LIMPET_HEALTH_WORDS_H
#define LIMPET_HEALTH_WORDS_H

#include "health/health.h"

const char *health_state_word(enum health_state state); /* "UP" */
const char *health_event_text(enum health_event event); /* "connection refused" */
/* "350ms", "12s", "2m3s", "5h10m", "3d4h". */
void duration_format(int64_t ms, char *out, size_t size);

#endif
