// SPDX-License-Identifier: Apache-2.0
/* The process with the stable pid: binds, starts the process that serves, starts it again when it
 * died. */
#ifndef LIMPET_LB_MASTER_H
#define LIMPET_LB_MASTER_H

#include "config/config.h"

/* Runs until the stop is over. Returns the exit code: 0, 1 configuration, 2 system. In the serving
 * process, too, it returns that process's exit code, so that both end through main. */
int master_run(const struct config *config);

#endif
