// SPDX-License-Identifier: Apache-2.0
/*
 * Which TLS a configuration means: contexts made from its options and a keyring. A snapshot has them;
 * they outlive it as long as connections need them.
 */
#ifndef LIMPET_LB_SECURE_H
#define LIMPET_LB_SECURE_H

#include "lb/keyring.h"
#include "lb/snapshot.h"

/* A certificate that is shown to clients, or to servers. */
struct secure_certificate {
    const char *owner; /* the frontend or backend */
    const char *file;
    struct tls_certificate_info info;
};
typedef void secure_certificate_fn(const struct secure_certificate *certificate, void *ctx);
enum { SECURE_SOON_DAYS = 14 }; /* who renews in time never comes so near to the end */

/* Days until it ends; negative: it has ended. */
int64_t secure_days_left(const struct secure_certificate *certificate, int64_t now_wall_ms);
/* "expires in 3 days", "expired 2 days ago". Returns out. */
char *secure_expiry_text(int64_t days, char out[static 48]);

/* Tries all of them: what does not go together is told, each once. */
void secure_check(const struct config *config, const struct keyring *keyring,
                  keyring_fault_fn *fault, secure_certificate_fn *shown, void *ctx);
/* Reads and tries, for whoever only wants to know the first reason. NULL: error says why, with the
 * place in the file. */
struct keyring *secure_read(const struct config *config, const struct keyring *before, char *error,
                            size_t size);

/* Makes the snapshot's contexts, before anybody sees it. False: errno is EINVAL. */
bool secure_snapshot(struct snapshot *snapshot, const struct keyring *keyring);
/* The same configuration again: those of `old`. */
void secure_share(struct snapshot *snapshot, const struct snapshot *old);
/* Every certificate of a snapshot. */
void secure_each(const struct snapshot *snapshot, secure_certificate_fn *visit, void *ctx);
/* Logs those that have ended or will soon. */
void secure_log_expiry(const struct snapshot *snapshot);
void secure_fini(struct snapshot *snapshot);

#endif
