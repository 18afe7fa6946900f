// SPDX-License-Identifier: Apache-2.0
/*
 * Who the client is, seen through proxies that we trust, and what of a request may serve as a key.
 * Pure: heads in, values out.
 */
#ifndef LIMPET_LB_CLIENT_H
#define LIMPET_LB_CLIENT_H

#include "lb/snapshot.h"

/* Is this peer one of trusted_proxies? */
bool client_trusted(const struct frontend *frontend, const struct addr *peer);

/* The peer, or, when it is trusted, the last address in X-Forwarded-For that is not a trusted
 * proxy's. */
void client_of(const struct frontend *frontend, const struct head *head, const char *base,
               const struct addr *peer, struct addr *out);

/* What hash_on names ("query:NAME", "header:NAME", "cookie:NAME", "path") in this request, not
 * decoded; empty when absent. */
struct span client_hash_key(const struct head *head, const char *base, const char *hash_on);

#endif
