// SPDX-License-Identifier: Apache-2.0
/* What the files of TLS share; nobody else includes this. */
#ifndef LIMPET_BASE_TLS_INSIDE_H
#define LIMPET_BASE_TLS_INSIDE_H

#include "base/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

/* A certificate with its key, as it was given. */
struct tls_identity {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
    char **names; /* name_count of them, lower case, without a last dot */
    size_t name_count;
    uint8_t *ocsp; /* DER */
    size_t ocsp_len;
    int64_t staple_ends_s;
};

/* A name (lower case, maybe "*.…") and what is shown to who asks for it. */
struct tls_name {
    const char *text; /* an identity's */
    size_t set;       /* of tls_context.sets */
};

/* Certificates that are shown together: one for each kind of key. */
enum { TLS_SET_MAX = 4 };
struct tls_set {
    size_t members[TLS_SET_MAX];
    size_t count;
    SSL_CTX *ctx;
};

struct tls_context {
    atomic_uint refs;
    uint64_t id;  /* of all that were ever made */
    SSL_CTX *ctx; /* what a connection begins with: sets[0]'s, or the client's */
    bool client, verify;
    struct tls_identity *identities;
    size_t identity_count;
    struct tls_set *sets;
    size_t set_count;
    struct tls_name *names; /* sorted */
    size_t name_count;
    uint8_t seed[TLS_SEED_BYTES];
    int64_t rotate_s;
};

struct tls_inside {
    SSL *ssl;
    struct tls_context *context; /* held */
    struct tls_session *session; /* NULL: nothing is kept */
    char *error;                 /* NULL: none, or no memory for it */
};

/* tls.c: the connection behind an SSL; NULL: it is being freed. */
struct tls *tls_of(const SSL *ssl);
int tls_new_session(SSL *ssl, SSL_SESSION *session); /* a client's new_session callback */

/* tls_ticket.c */
bool tls_tickets_use(SSL_CTX *ctx);

/* tls_names.c */
void tls_names_read(struct tls_identity *identity); /* out of its leaf */
void tls_names_free(struct tls_identity *identity);
/* Fills names and sets (without their ctx) from the identities, of which there is at least one. */
void tls_names_sort(struct tls_context *context);
/* The SSL_CTX for a name as a client wrote it; NULL: nobody here is called so. */
SSL_CTX *tls_names_find(const struct tls_context *context, struct span name);

/* OpenSSL's reason for its last error, as a phrase. Empties its queue. */
void tls_reason(char *out, size_t size);

#endif
