// SPDX-License-Identifier: Apache-2.0
/*
 * TLS 1.2 and 1.3, both sides, as a transport that turns bytes into bytes and knows no descriptor:
 * what came from the peer lies in tls->raw, what goes to it is put into tls->wire, conn moves both.
 *
 *     kernel ── recv ──► raw ── tls_read ──► text        text ── tls_write ──► wire ── send ──► kernel
 *
 * A context (certificates, trust, rules) is made once, shared by all threads and never changed. Other
 * bytes of a certificate mean another context; connections keep the one that they began with.
 */
#ifndef LIMPET_BASE_TLS_H
#define LIMPET_BASE_TLS_H

#include "base/buf.h"

#include <time.h>

/* Before anything else of TLS, if at all: threads keep a few blocks for records. See tls_memory.c. */
void tls_keep_blocks(void);

/* ---- contexts ---- */

struct tls_context;

enum tls_verify { TLS_VERIFY_OFF, TLS_VERIFY_OPTIONAL, TLS_VERIFY_REQUIRED };

/* PEM (the chain behind the certificate, if any), PEM, and a DER OCSP response or nothing. */
struct tls_certificate {
    struct span cert, key, ocsp;
};

enum { TLS_SEED_BYTES = 32, TLS_ERROR_MAX = 256 };

/* Texts are read while the context is made, and not kept. */
struct tls_server_options {
    const struct tls_certificate
        *certificates; /* the first is for clients that name nobody we know */
    size_t certificate_count;
    struct span client_ca; /* PEM */
    enum tls_verify verify;
    bool only_13;
    const char *ciphers, *ciphersuites; /* OpenSSL's lists, for 1.2 and 1.3; NULL: ours */
    /* Sessions go on in tickets, whose keys follow from the seed and the time: who has the same seed
     * knows the same keys. rotate_s 0: no tickets. */
    const uint8_t *seed; /* TLS_SEED_BYTES */
    int64_t rotate_s;
    struct span realm; /* a session that began under another realm does not go on here */
};

struct tls_client_options {
    bool verify;
    struct span ca;                     /* PEM; empty: the system's */
    struct tls_certificate certificate; /* of ours; empty: none */
    const char *ciphers, *ciphersuites;
    bool only_13;
};

/* A seed out of at least TLS_SEED_BYTES random bytes, e.g. of a file. */
bool tls_seed_from(struct span bytes, uint8_t seed[static TLS_SEED_BYTES]);

/* What could not be used: a phrase, and the certificate's index or -1. */
struct tls_fault {
    int certificate;
    char text[TLS_ERROR_MAX];
};

/* NULL: see fault. One reference is the caller's. */
struct tls_context *tls_context_server(const struct tls_server_options *options,
                                       struct tls_fault *fault);
struct tls_context *tls_context_client(const struct tls_client_options *options,
                                       struct tls_fault *fault);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is fine */

/* For people: what a context shows to clients. */
struct tls_certificate_info {
    char name[256];        /* its first name, as a word */
    const char *kind;      /* "ECDSA", "RSA", … */
    int64_t expires_s;     /* wall clock */
    int64_t staple_ends_s; /* of its OCSP response; 0: none, or it says nothing */
};
size_t tls_context_certificates(const struct tls_context *context);
void tls_context_certificate(const struct tls_context *context, size_t i,
                             struct tls_certificate_info *out);

/* ---- one connection ---- */

/* Why a handshake or a connection failed. */
enum tls_trouble {
    TLS_TROUBLE_NONE,
    TLS_TROUBLE_HTTP,        /* the peer speaks HTTP without TLS */
    TLS_TROUBLE_VERSION,     /* no version in common */
    TLS_TROUBLE_CIPHER,      /* no cipher, group or signature in common */
    TLS_TROUBLE_ALPN,        /* the client wants none of our protocols */
    TLS_TROUBLE_CERTIFICATE, /* the peer's certificate is missing or not to be trusted */
    TLS_TROUBLE_REFUSED,     /* the peer sent an alert, e.g. because of our certificate */
    TLS_TROUBLE_CLOSED,      /* it went away */
    TLS_TROUBLE_PROTOCOL,    /* anything else: not TLS, broken, tampered with */
    TLS_TROUBLES
};
const char *tls_trouble_word(enum tls_trouble trouble);

enum tls_result {
    TLS_DONE,   /* the handshake is over; or: bytes came, or there is nothing more in raw */
    TLS_MORE,   /* the handshake needs more bytes */
    TLS_ENDED,  /* the peer said that it sends no more */
    TLS_FAILED, /* see tls_trouble; an alert may lie in wire */
};

struct tls {
    struct buf raw;  /* ciphertext that came and was not read yet */
    struct buf wire; /* ciphertext to be sent */
    uint32_t sealed; /* conn's: so many bytes at the front of its `out` are ciphertext */
    bool said_bye;   /* close_notify is on its way */
    bool ready;      /* the handshake is over */
    enum tls_trouble trouble;
    struct tls_inside *inside;
};

/* Where a client keeps what the next connection to the same server goes on with. One thread's. */
struct tls_session {
    void *kept;
    uint64_t context_id; /* that it belongs to */
};
void tls_session_forget(struct tls_session *session);

/* NULL: no memory. */
struct tls *tls_accept(struct tls_context *context);
/*
 * `name` goes into SNI when it is a name, and is what the certificate must be for when the context
 * verifies (an address may be given). `session` (or NULL) must live longer than the connection.
 */
struct tls *tls_connect(struct tls_context *context, const char *name, struct tls_session *session);
void tls_free(struct tls *tls, struct shelf *shelf); /* NULL is fine */

/* TLS_DONE, TLS_MORE or TLS_FAILED. */
enum tls_result tls_handshake(struct tls *tls, struct shelf *shelf);
/* Reads at most `room` bytes (there must be space for them) behind `in`. TLS_DONE, TLS_ENDED or TLS_FAILED. */
enum tls_result tls_read(struct tls *tls, struct shelf *shelf, struct buf *in, size_t room);
/* Is there, without another byte from the peer, perhaps something to read? */
bool tls_holds(const struct tls *tls);
/* False: no memory, or the connection is broken. */
bool tls_write(struct tls *tls, struct shelf *shelf, struct span text);
void tls_bye(struct tls *tls, struct shelf *shelf); /* close_notify, once */

/* ---- what is known about the peer ---- */

/* Why it failed, in words; "" when it did not. Lives as long as the connection. */
const char *tls_error(const struct tls *tls);
bool tls_is_of(const struct tls *tls, const struct tls_context *context);
const char *tls_version(const struct tls *tls);     /* "TLSv1.3" */
const char *tls_cipher(const struct tls *tls);      /* "TLS_AES_128_GCM_SHA256" */
const char *tls_server_name(const struct tls *tls); /* as the client named us; NULL: it did not */
bool tls_resumed(const struct tls *tls);

/* The peer's verified certificate, as texts that fit a header field (RFC 2253 for names). */
struct tls_peer {
    char subject[512], common_name[256], issuer[512];
    char serial[64], sha256[65]; /* hexadecimal */
};
bool tls_peer(const struct tls *tls, struct tls_peer *out); /* false: it showed none */
bool tls_asks(const struct tls *tls);                       /* was the peer asked for one? */

#endif
