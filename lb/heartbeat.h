// SPDX-License-Identifier: Apache-2.0
/* Does everything in this process turn? For a watchdog that restarts what hangs. */
#ifndef LIMPET_LB_HEARTBEAT_H
#define LIMPET_LB_HEARTBEAT_H

#include "lb/worker.h"

struct heartbeat;

/* `beat` is called on control's thread, several times per $WATCHDOG_USEC, as long as control and
 * every worker turn. NULL: nobody asked for it. */
struct heartbeat *heartbeat_new(struct serving *serving, struct loop *loop, void (*beat)(void *ctx),
                                void *ctx);
/* No beat from here on, and nothing is mailed any more. */
void heartbeat_stop(struct heartbeat *heartbeat);
/* When no letter can be under way. */
void heartbeat_free(struct heartbeat *heartbeat);

#endif
