// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime API on a unix socket, HAProxy's dialect (base/console). Commands come from one table:
 * name, level, function, help (lb/admin_command). Lives on control's loop.
 */
#ifndef LIMPET_LB_ADMIN_H
#define LIMPET_LB_ADMIN_H

#include "lb/worker.h"

struct console;

/* fd is the bound, listening socket. NULL: errno. */
struct console *admin_console(struct serving *serving, struct loop *loop, struct shelf *shelf,
                              int fd);

#endif
