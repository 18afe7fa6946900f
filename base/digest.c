// SPDX-License-Identifier: Apache-2.0
/*
 * OpenSSL's EVP_MAC behind two functions. A signature is made a few times per failover, so the
 * algorithm is fetched each time; an empty key is legal for HMAC.
 */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

static bool hmac(EVP_MAC_CTX *ctx, struct span key, const struct span *parts, size_t n,
                 unsigned char out[static DIGEST_BYTES])
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0),
                           OSSL_PARAM_construct_end()};
    const char *key_bytes = key.len > 0 ? key.ptr : "";
    if (!ctx || EVP_MAC_init(ctx, (const unsigned char *)key_bytes, key.len, params) != 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > 0 &&
            EVP_MAC_update(ctx, (const unsigned char *)parts[i].ptr, parts[i].len) != 1)
            return false;
    }
    size_t len = 0;
    return EVP_MAC_final(ctx, out, &len, DIGEST_BYTES) == 1 && len == DIGEST_BYTES;
}

char *digest_hmac_hex(struct span key, const struct span *parts, size_t n,
                      char out[static DIGEST_HEX_MAX])
{
    unsigned char bytes[DIGEST_BYTES];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (!hmac(ctx, key, parts, n, bytes)) {
        fputs("limpet: OpenSSL cannot make an HMAC-SHA256\n", stderr);
        abort();
    }
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return out;
}

bool digest_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}
