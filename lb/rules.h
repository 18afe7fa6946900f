// SPDX-License-Identifier: Apache-2.0
/*
 * What a route asks of requests before anything is done for them, and what it adds to and takes off
 * heads: the options allow, deny, methods, deny_paths, origins, request_headers, response_headers.
 * Built once per configuration; its texts are the configuration's own, so it must go before that.
 */
#ifndef LIMPET_LB_RULES_H
#define LIMPET_LB_RULES_H

#include "config/config.h"
#include "proto/headers.h"

struct rules;

struct rules *rules_new(const struct route_options *options); /* NULL: it has none */
void rules_free(struct rules *rules);

/* NULL: it may pass; else why not, a phrase for the client. `head` at `base`, its path in `path`. */
const char *rules_refuse(const struct rules *rules, const struct addr *client,
                         const struct head *head, const char *base, struct span path);

/* NULL for rules that are NULL, or change nothing. */
const struct header_edit *rules_request_fields(const struct rules *rules);
const struct header_edit *rules_response_fields(const struct rules *rules);

#endif
