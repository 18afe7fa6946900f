// SPDX-License-Identifier: Apache-2.0
/*
 * Tells a server that a polling session has left, so that it frees the session at once instead of
 * after pingInterval + pingTimeout, and as cleanly as if the client had closed it: Engine.IO's close
 * packet in a POST, as from the client. Nobody waits for it, and it may fail.
 */
#ifndef LIMPET_LB_FAREWELL_H
#define LIMPET_LB_FAREWELL_H

#include "lb/exchange.h"

/*
 * x is a session's GET poll that is about to be answered with the close packet. Its connection to
 * the server, if there is one, is taken over (x->up is NULL then) and stays open until the server
 * has the packet: a poll that breaks off first would be an error to the server.
 */
void farewell_send(struct exchange *x);
/* Ends those that are under way. */
void farewell_end_all(struct worker *worker);

#endif
