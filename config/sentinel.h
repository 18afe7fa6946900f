// SPDX-License-Identifier: Apache-2.0
/* The section `sentinel`: one mapping or a list of them, its secrets and its checks. */
#ifndef LIMPET_CONFIG_SENTINEL_H
#define LIMPET_CONFIG_SENTINEL_H

#include "config/load.h"
#include "config/options.h"

/* Who reads the file: each has sections that are the other's business. */
enum config_reader { CONFIG_LIMPET, CONFIG_SENTINEL_WATCH };

/* Fills config->sentinels; config->backends must be complete. */
void config_sentinel_read(struct diag *diag, struct config *config, const struct node *node,
                          enum config_reader reader);
void config_sentinel_free(struct config_sentinel *sentinel);

#endif
