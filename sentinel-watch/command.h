// SPDX-License-Identifier: Apache-2.0
/* The commands of the runtime socket: one table row each. `ctx` is the struct service. */
#ifndef LIMPET_SENTINEL_WATCH_COMMAND_H
#define LIMPET_SENTINEL_WATCH_COMMAND_H

#include "base/commands.h"

extern const struct command sentinel_commands[];

#endif
