// SPDX-License-Identifier: Apache-2.0
/*
 * Which TLS a configuration means: contexts made from its options and a keyring. A snapshot has them;
 * they outlive it as long as connections need them.
 */
#ifndef LIMPET_LB_SECURE_H
#define LIMPET_LB_SECURE_H

#include "lb/keyring.h"
#include "lb/snapshot.h"

/* Tries all of them: what does not go together is told, each once. */
void secure_check(const struct config *config, const struct keyring *keyring,
                  keyring_fault_fn *fault, void *ctx);
/* Reads and tries, for whoever only wants to know the first reason. NULL: error says why, with the
 * place in the file. */
struct keyring *secure_read(const struct config *config, const struct keyring *before, char *error,
                            size_t size);

/* Makes the snapshot's contexts, before anybody sees it. False: errno is EINVAL. */
bool secure_snapshot(struct snapshot *snapshot, const struct keyring *keyring);
/* The same configuration again: those of `old`. */
void secure_share(struct snapshot *snapshot, const struct snapshot *old);
void secure_fini(struct snapshot *snapshot);

#endif
