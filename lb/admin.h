// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime API on a unix socket, HAProxy's dialect: one line in, commands split on ';', each
 * answer ends with one empty line, then close; `prompt` makes it interactive. Commands come from
 * one table: name, level, function, help. Lives on control's loop.
 */
#ifndef LIMPET_LB_ADMIN_H
#define LIMPET_LB_ADMIN_H

#include "lb/worker.h"

struct admin;

/* fd is the bound, listening socket. NULL: errno. */
struct admin *admin_new(struct serving *serving, struct loop *loop, struct shelf *shelf, int fd);
/* Another process accepts from the same socket; who is connected goes on. */
void admin_stop_accepting(struct admin *admin);
void admin_free(struct admin *admin);

#endif
