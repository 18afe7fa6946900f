// SPDX-License-Identifier: Apache-2.0
/*
 * Session tickets. Their keys are never stored: they follow from a seed and from the time, cut into
 * periods of rotate_s. So all workers, a process that starts again, a successor after an upgrade, and
 * other balancers with the same seed know the same keys at the same time, and rotating is nothing but
 * the time going on.
 *
 *     period = now / rotate_s          tickets are made with the key of this period
 *     keys(period) = HMAC-SHA256(seed, "limpet ticket" ‖ part ‖ period)
 *
 * Those of the period before are still read (and renewed), and those of the next one, since clocks
 * differ. With TLS 1.3 a ticket is used once, so that nobody can tell two connections to be the same
 * client's: there is a new one each time.
 */
#include "base/tls_inside.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

enum { NAME_BYTES = 16, KEY_BYTES = 32, IV_BYTES = 16 };

struct ticket_keys {
    uint64_t context_id; /* 0: none */
    int64_t period;
    uint8_t name[KEY_BYTES]; /* the first NAME_BYTES of it */
    uint8_t cipher[KEY_BYTES], mac[KEY_BYTES];
};

/* Of this thread: those of the periods before, now and after, of the context used last. */
static _Thread_local struct ticket_keys keys_now[3];

static void derive(const struct tls_context *context, char part, int64_t period,
                   uint8_t out[static KEY_BYTES])
{
    uint8_t text[32] = "limpet ticket";
    size_t len = strlen("limpet ticket");
    unsigned out_len = KEY_BYTES;
    text[len++] = (uint8_t)part;
    for (int i = 0; i < 8; i++)
        text[len++] = (uint8_t)((uint64_t)period >> (56 - 8 * i));
    HMAC(EVP_sha256(), context->seed, sizeof(context->seed), text, len, out, &out_len);
}

static const struct ticket_keys *keys_of(const struct tls_context *context, int64_t period)
{
    struct ticket_keys *keys = &keys_now[(uint64_t)period % 3];
    if (keys->context_id == context->id && keys->period == period)
        return keys;
    keys->context_id = context->id;
    keys->period = period;
    derive(context, 'n', period, keys->name);
    derive(context, 'c', period, keys->cipher);
    derive(context, 'm', period, keys->mac);
    return keys;
}

static bool start_mac(EVP_MAC_CTX *mac, const struct ticket_keys *keys)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(mac, keys->mac, KEY_BYTES, params) == 1;
}

static int seal(const struct tls_context *context, int64_t period, unsigned char *name,
                unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct ticket_keys *keys = keys_of(context, period);
    memcpy(name, keys->name, NAME_BYTES);
    if (RAND_bytes(iv, IV_BYTES) != 1 ||
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->cipher, iv) != 1 ||
        !start_mac(mac, keys))
        return -1;
    return 1;
}

/* 0: the ticket is nobody's; 1: it is read. */
static int unseal(const struct tls_context *context, int64_t now, const unsigned char *name,
                  const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (int64_t period = now - 1; period <= now + 1; period++) {
        const struct ticket_keys *keys = keys_of(context, period);
        if (memcmp(name, keys->name, NAME_BYTES) != 0)
            continue;
        if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->cipher, iv) != 1 ||
            !start_mac(mac, keys))
            return -1;
        return 1;
    }
    return 0;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct tls *tls = tls_of(ssl);
    if (!tls)
        return -1;
    const struct tls_context *context = tls->inside->context;
    int64_t period = (int64_t)time(NULL) / context->rotate_s;
    if (sealing)
        return seal(context, period, name, iv, cipher, mac);
    int found = unseal(context, period, name, iv, cipher, mac);
    bool old = memcmp(name, keys_of(context, period)->name, NAME_BYTES) != 0;
    return found == 1 && (old || SSL_version(ssl) == TLS1_3_VERSION) ? 2 : found; // 2: a new one.
}

bool tls_tickets_use(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

bool tls_seed_from(struct span bytes, uint8_t seed[static TLS_SEED_BYTES])
{
    return bytes.len >= TLS_SEED_BYTES &&
           EVP_Digest(bytes.ptr, bytes.len, seed, NULL, EVP_sha256(), NULL) == 1;
}
