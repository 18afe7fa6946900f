// SPDX-License-Identifier: Apache-2.0
/* Where a host is: at once when it is an address, from the resolver's thread when it is a name. One
 * question at a time; a newer one takes the place of an older. */
#ifndef LIMPET_SENTINEL_WATCH_LOCATOR_H
#define LIMPET_SENTINEL_WATCH_LOCATOR_H

#include "base/loop.h"
#include "base/net.h"

struct locator;

/* addr NULL: the name cannot be resolved, `error` says why. From the loop. */
typedef void located_fn(void *ctx, const struct addr *addr, const char *error);

struct locator *locator_new(struct loop *loop, struct resolver *resolver, located_fn *located,
                            void *ctx);
void locator_free(struct locator *locator); /* no call follows */

/* True: *out is it. False: `located` follows, unless something else is asked before. `host` is a
 * name, an IPv4 or an IPv6 address without brackets; `prefer` (len 0: none) is kept if the name has it
 * still. */
bool locator_ask(struct locator *locator, const char *host, uint16_t port,
                 const struct addr *prefer, struct addr *out);

#endif
