// SPDX-License-Identifier: Apache-2.0
/* The phases of a signal, in the order in which a server goes through them; their words are those of
 * the JSON, of limpet's runtime commands and of metrics. */
#ifndef LIMPET_SENTINEL_WATCH_PHASE_H
#define LIMPET_SENTINEL_WATCH_PHASE_H

#include "base/span.h"

enum phase {
    PHASE_NONE,   /* "calm": nothing was asked of anybody */
    PHASE_HOLD,   /* keep publishes back */
    PHASE_SUB,    /* subscribe at the new master */
    PHASE_PUB,    /* publish there, first what was kept back */
    PHASE_FENCE,  /* leave the old master, which is back */
    PHASE_CANCEL, /* no failover after all: release */
};

const char *phase_word(enum phase phase);
/* False: no such word. */
bool phase_parse(struct span word, enum phase *out);

#endif
