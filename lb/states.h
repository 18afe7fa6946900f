// SPDX-License-Identifier: Apache-2.0
/* Servers' states from a file: what `show servers state` answered before, for a new start. */
#ifndef LIMPET_LB_STATES_H
#define LIMPET_LB_STATES_H

#include "lb/snapshot.h"

/*
 * Takes over what an operator had set: ready, drain or maint, and the weight unless the file of the
 * configuration says another one than it did then. Servers that are no longer there are passed
 * over. Before workers run. False: it is not such a file (*taken: servers that were found).
 */
bool states_read(struct snapshot *snapshot, struct span text, size_t *taken);
/* The same from a file; what is wrong with it is logged, and nothing changes. */
void states_load(struct snapshot *snapshot, const char *path);

#endif
