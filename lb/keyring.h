// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of all files that a configuration's TLS names, read by the process that may read them and
 * handed to the one that serves, which may not. Wiped when they go. With them the secret that ticket
 * keys follow from: it is made once and goes from process to process.
 */
#ifndef LIMPET_LB_KEYRING_H
#define LIMPET_LB_KEYRING_H

#include "base/tls.h"
#include "config/config.h"

struct keyring_file {
    char *path, *bytes;
    size_t len;
};

struct keyring {
    uint8_t seed[TLS_SEED_BYTES];
    struct keyring_file *files;
    size_t count;
};

/* Somebody wants to know what is wrong, and where. */
typedef void keyring_fault_fn(struct config_place place, const char *text, void *ctx);

/* Every file, with `before`'s secret (NULL: a new one). Never NULL; faults are told, each once. */
struct keyring *keyring_read(const struct config *config, const struct keyring *before,
                             keyring_fault_fn *fault, void *ctx);
/* Empty when it has none of that path, or path is NULL. */
struct span keyring_find(const struct keyring *keyring, const char *path);
/* The files are not needed any more; the secret is. NULL is fine. */
void keyring_forget_files(struct keyring *keyring);
void keyring_free(struct keyring *keyring); /* NULL is fine */

/* As bytes, and back. The caller frees (keyring_wipe) them. */
char *keyring_write(const struct keyring *keyring, size_t *len);
struct keyring *keyring_parse(struct span bytes); /* NULL: broken */
void keyring_wipe(void *bytes, size_t len);       /* and frees them */

#endif
