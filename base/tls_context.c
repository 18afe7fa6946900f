// SPDX-License-Identifier: Apache-2.0
/*
 * Contexts: certificates and rules, read once and never changed.
 *
 *     certificates ──► names they are for ──► sets (one certificate per kind of key) ──► SSL_CTX each
 *                                  ▲
 *          ClientHello's name ─────┘  exact, else *.rest, else the first certificate's set
 *
 * A connection begins with the first set's SSL_CTX and changes to another one's when the client has
 * said its name; OpenSSL then chooses within the set by what the client can verify. A set has its own
 * SSL_CTX so that all of it is prepared here and nothing is parsed or copied while somebody waits.
 */
#include "base/tls.h"

#include "base/mem.h"
#include "base/tls_inside.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

/* Forward secrecy and authenticated encryption only; AES-128 first, ChaCha20 for who asks first for
 * it. */
static const char CIPHERS_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char CIPHERS_13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                 "TLS_CHACHA20_POLY1305_SHA256";
static const char GROUPS[] = "X25519:P-256:P-384";

static atomic_uint_least64_t last_id;

/* ---- reading ---- */

static BIO *open_text(struct span text)
{
    return BIO_new_mem_buf(text.ptr, (int)text.len);
}

static STACK_OF(X509) * read_certificates(struct span text)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = open_text(text);
    X509 *one = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    while (one && all && sk_X509_push(all, one) > 0)
        one = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error(); // The end of the text is one, to OpenSSL.
    return all;
}

/* A key with a passphrase cannot be asked for one. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static EVP_PKEY *read_key(struct span text)
{
    BIO *bio = open_text(text);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

/* When the answer about our certificate ends; 0: it does not say, -1: it is none that could be
 * shown. */
static int64_t staple_end(struct span der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    OCSP_BASICRESP *basic = NULL;
    int64_t end = -1;
    if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    if (basic && OCSP_resp_count(basic) > 0) {
        ASN1_GENERALIZEDTIME *next = NULL;
        OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL, NULL, &next);
        end = next ? seconds_of(next) : 0;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return end;
}

static bool say(struct tls_fault *fault, int certificate, const char *what)
{
    char reason[160] = "";
    if (ERR_peek_error() != 0)
        tls_reason(reason, sizeof(reason));
    fault->certificate = certificate;
    snprintf(fault->text, sizeof(fault->text), "%s%s%s", what, *reason ? ": " : "", reason);
    return false;
}

static bool identity_read(struct tls_identity *identity, const struct tls_certificate *source,
                          int index, struct tls_fault *fault)
{
    ERR_clear_error();
    identity->chain = read_certificates(source->cert);
    identity->leaf = identity->chain ? sk_X509_shift(identity->chain) : NULL;
    if (!identity->leaf)
        return say(fault, index, "no certificate in PEM form is in it");
    tls_names_read(identity);
    identity->key = read_key(source->key);
    if (!identity->key)
        return say(fault, index, "its private key cannot be read");
    if (X509_check_private_key(identity->leaf, identity->key) != 1)
        return say(fault, index, "the private key is another certificate's");
    if (source->ocsp.len == 0)
        return true;
    identity->staple_ends_s = staple_end(source->ocsp);
    if (identity->staple_ends_s < 0)
        return say(fault, index, "its OCSP response is none (a DER file is needed)");
    identity->ocsp = mem_must_alloc(source->ocsp.len);
    identity->ocsp_len = source->ocsp.len;
    memcpy(identity->ocsp, source->ocsp.ptr, source->ocsp.len);
    return true;
}

/* ---- rules that all have ---- */

static bool set_rules(SSL_CTX *ctx, bool only_13, const char *ciphers, const char *suites,
                      struct tls_fault *fault)
{
    SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 0);
    if (SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
        return say(fault, -1, "cannot set the groups");
    if (SSL_CTX_set_cipher_list(ctx, ciphers ? ciphers : CIPHERS_12) != 1)
        return say(fault, -1, "the list of ciphers has none that is known");
    if (SSL_CTX_set_ciphersuites(ctx, suites ? suites : CIPHERS_13) != 1)
        return say(fault, -1, "the list of cipher suites has one that is not known");
    return true;
}

static bool use_identity(SSL_CTX *ctx, const struct tls_identity *identity)
{
    if (SSL_CTX_use_certificate(ctx, identity->leaf) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, identity->key) != 1)
        return false;
    return SSL_CTX_set1_chain(ctx, identity->chain) == 1;
}

/* ---- servers: what OpenSSL asks ---- */

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_context *context = arg;
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *ctx = name ? tls_names_find(context, span_str(name)) : NULL;
    if (!ctx)
        return name ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK; // The first certificate.
    if (ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The client asked for the state of the certificate that it gets. */
static int on_status(SSL *ssl, void *arg)
{
    const struct tls_context *context = arg;
    const X509 *shown = SSL_get_certificate(ssl);
    for (size_t i = 0; i < context->identity_count; i++) {
        const struct tls_identity *identity = &context->identities[i];
        if (identity->leaf != shown || identity->ocsp_len == 0)
            continue;
        if (identity->staple_ends_s != 0 && identity->staple_ends_s < (int64_t)time(NULL))
            return SSL_TLSEXT_ERR_NOACK; // One that has ended is worse than none.
        unsigned char *copy = OPENSSL_memdup(identity->ocsp, identity->ocsp_len);
        if (!copy)
            return SSL_TLSEXT_ERR_NOACK;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)identity->ocsp_len);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* What OpenSSL works out of a certificate when it first looks at it is worked out now: threads only
 * read. */
static void settle(SSL_CTX *ctx)
{
    const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (one)
            X509_check_purpose(one, -1, 0);
    }
    ERR_clear_error();
}

static bool trust_clients(SSL_CTX *ctx, const struct tls_server_options *options,
                          struct tls_fault *fault)
{
    if (options->verify == TLS_VERIFY_OFF)
        return true;
    STACK_OF(X509) *trusted = read_certificates(options->client_ca);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    int count = trusted ? sk_X509_num(trusted) : 0;
    bool ok = count > 0;
    for (int i = 0; ok && i < count; i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(trusted, i)) == 1 &&
             SSL_CTX_add_client_CA(ctx, sk_X509_value(trusted, i)) == 1;
    sk_X509_pop_free(trusted, X509_free);
    if (!ok)
        return say(fault, -1, "no certificate in PEM form is in client_ca");
    int mode = SSL_VERIFY_PEER;
    if (options->verify == TLS_VERIFY_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    settle(ctx);
    return true;
}

/* Sessions of other certificates, other trust or another realm start anew. */
static bool name_sessions(SSL_CTX *ctx, const struct tls_server_options *options)
{
    uint8_t id[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    char verify = (char)('0' + (int)options->verify);
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, options->realm.ptr, options->realm.len) == 1 &&
              EVP_DigestUpdate(md, &verify, 1) == 1 &&
              EVP_DigestUpdate(md, options->client_ca.ptr, options->client_ca.len) == 1 &&
              EVP_DigestFinal_ex(md, id, &len) == 1 &&
              SSL_CTX_set_session_id_context(ctx, id, len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static bool carry_sessions(SSL_CTX *ctx, struct tls_context *context)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (context->rotate_s == 0) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1;
    }
    SSL_CTX_set_timeout(ctx, (long)context->rotate_s);
    return SSL_CTX_set_num_tickets(ctx, 1) == 1 && tls_tickets_use(ctx);
}

static bool server_set(struct tls_context *context, struct tls_set *set,
                       const struct tls_server_options *options, struct tls_fault *fault)
{
    SSL_CTX *ctx = set->ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return say(fault, -1, "no memory");
    if (!set_rules(ctx, options->only_13, options->ciphers, options->ciphersuites, fault))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        if (!use_identity(ctx, &context->identities[set->members[i]]))
            return say(fault, (int)set->members[i], "it cannot be used");
    }
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, context);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, context);
    if (!name_sessions(ctx, options) || !carry_sessions(ctx, context))
        return say(fault, -1, "sessions cannot be set up");
    return trust_clients(ctx, options, fault);
}

/* ---- life ---- */

static struct tls_context *context_new(bool client)
{
    struct tls_context *context = mem_must_alloc(sizeof(*context));
    context->client = client;
    context->id = atomic_fetch_add(&last_id, 1) + 1;
    atomic_init(&context->refs, 1);
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (context->client)
        SSL_CTX_free(context->ctx);
    for (size_t i = 0; i < context->set_count; i++)
        SSL_CTX_free(context->sets[i].ctx);
    for (size_t i = 0; i < context->identity_count; i++) {
        tls_names_free(&context->identities[i]);
        X509_free(context->identities[i].leaf);
        EVP_PKEY_free(context->identities[i].key);
        sk_X509_pop_free(context->identities[i].chain, X509_free);
        free(context->identities[i].ocsp);
    }
    OPENSSL_cleanse(context->seed, sizeof(context->seed));
    free(context->identities);
    free(context->sets);
    free(context->names);
    free(context);
}

static bool read_identities(struct tls_context *context, const struct tls_certificate *list,
                            size_t count, struct tls_fault *fault)
{
    context->identities = mem_must_alloc((count + 1) * sizeof(*context->identities));
    for (size_t i = 0; i < count; i++) {
        context->identity_count++;
        if (!identity_read(&context->identities[i], &list[i], (int)i, fault))
            return false;
    }
    return true;
}

static bool server_fill(struct tls_context *context, const struct tls_server_options *options,
                        struct tls_fault *fault)
{
    if (!read_identities(context, options->certificates, options->certificate_count, fault))
        return false;
    context->rotate_s = options->rotate_s;
    if (options->rotate_s > 0)
        memcpy(context->seed, options->seed, sizeof(context->seed));
    tls_names_sort(context);
    for (size_t i = 0; i < context->set_count; i++) {
        if (!server_set(context, &context->sets[i], options, fault))
            return false;
    }
    context->ctx = context->sets[0].ctx;
    return true;
}

struct tls_context *tls_context_server(const struct tls_server_options *options,
                                       struct tls_fault *fault)
{
    struct tls_context *context = context_new(false);
    ERR_clear_error();
    if (server_fill(context, options, fault))
        return context;
    tls_context_unref(context);
    return NULL;
}

static bool trust_servers(SSL_CTX *ctx, struct span ca, struct tls_fault *fault)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (ca.len == 0)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
               say(fault, -1, "the system's certificates cannot be used");
    STACK_OF(X509) *trusted = read_certificates(ca);
    int count = trusted ? sk_X509_num(trusted) : 0;
    bool ok = count > 0;
    for (int i = 0; ok && i < count; i++)
        ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), sk_X509_value(trusted, i)) == 1;
    sk_X509_pop_free(trusted, X509_free);
    return ok || say(fault, -1, "no certificate in PEM form is in ca");
}

static bool client_fill(struct tls_context *context, const struct tls_client_options *options,
                        struct tls_fault *fault)
{
    bool own = options->certificate.cert.len > 0;
    context->verify = options->verify;
    if (!read_identities(context, &options->certificate, own ? 1 : 0, fault))
        return false;
    SSL_CTX *ctx = context->ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return say(fault, -1, "no memory");
    if (!set_rules(ctx, options->only_13, options->ciphers, options->ciphersuites, fault))
        return false;
    if (own && !use_identity(ctx, &context->identities[0]))
        return say(fault, 0, "it cannot be used");
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, tls_new_session);
    if (options->verify && !trust_servers(ctx, options->ca, fault))
        return false;
    settle(ctx);
    return true;
}

struct tls_context *tls_context_client(const struct tls_client_options *options,
                                       struct tls_fault *fault)
{
    struct tls_context *context = context_new(true);
    ERR_clear_error();
    if (client_fill(context, options, fault))
        return context;
    tls_context_unref(context);
    return NULL;
}

/* ---- for people ---- */

size_t tls_context_certificates(const struct tls_context *context)
{
    return context->identity_count;
}

static const char *kind_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return "RSA";
    case EVP_PKEY_EC:
        return "ECDSA";
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        return "EdDSA";
    default:
        return "other";
    }
}

void tls_context_certificate(const struct tls_context *context, size_t i,
                             struct tls_certificate_info *out)
{
    const struct tls_identity *identity = &context->identities[i];
    *out = (struct tls_certificate_info){.kind = kind_of(identity->key)};
    out->expires_s = seconds_of(X509_get0_notAfter(identity->leaf));
    out->staple_ends_s = identity->staple_ends_s;
    snprintf(out->name, sizeof(out->name), "%s",
             identity->name_count > 0 ? identity->names[0] : "unnamed");
}
