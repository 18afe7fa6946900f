// SPDX-License-Identifier: Apache-2.0
/* HMAC-SHA256, for signatures, and the comparison that goes with it. */
#ifndef LIMPET_BASE_DIGEST_H
#define LIMPET_BASE_DIGEST_H

#include "base/span.h"

enum {
    DIGEST_BYTES = 32,
    DIGEST_HEX_MAX = 2 * DIGEST_BYTES + 1, /* with the NUL */
};

/* HMAC-SHA256 of all parts in order, as lower-case hex digits. Returns out. Aborts when the library
 * has no SHA-256. */
char *digest_hmac_hex(struct span key, const struct span *parts, size_t n,
                      char out[static DIGEST_HEX_MAX]);

/* Compares in a time that depends on the lengths only. */
bool digest_equal(struct span a, struct span b);

#endif
