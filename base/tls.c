// SPDX-License-Identifier: Apache-2.0
/*
 * One TLS connection: OpenSSL between two buffers.
 *
 * OpenSSL reads and writes through a BIO. Ours owns nothing: there is one per thread, all connections
 * of the thread share it, and its callbacks look at `bytes_now`, which is set for the length of one
 * call into OpenSSL. So a connection costs no BIO, and no byte is copied into one.
 *
 * - Reading from an empty `raw` means "retry"; writing always succeeds while memory lasts. So a call
 *   never stops because of the other direction: what a read must answer (an alert, say) lies in
 *   `wire` behind it, what a write would have to read first cannot be, since renegotiation is off.
 * - OpenSSL takes a record's pieces out of `raw` as they come and keeps them itself, in a block that
 *   it gives back when it is empty (SSL_MODE_RELEASE_BUFFERS): after a read without `room` running
 *   out, `raw` is empty.
 */
#include "base/tls.h"

#include "base/tls_inside.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- the BIO ---- */

struct bytes_of {
    struct shelf *shelf;
    struct tls *tls;
};

static _Thread_local struct bytes_of bytes_now;
static _Thread_local BIO *thread_bio;
static pthread_key_t bio_key;
static BIO_METHOD *bio_method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct tls *tls = bytes_now.tls;
    BIO_clear_retry_flags(bio);
    size_t len = tls ? buf_len(&tls->raw) : 0;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = len < size ? len : size;
    memcpy(out, tls->raw.data + tls->raw.start, *got);
    buf_consume(bytes_now.shelf, &tls->raw, *got);
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *put)
{
    struct tls *tls = bytes_now.tls;
    BIO_clear_retry_flags(bio);
    if (!tls || !buf_append(bytes_now.shelf, &tls->wire, span_of(bytes, size)))
        return 0;
    *put = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static void bio_drop(void *bio)
{
    BIO_free(bio);
}

static void prepare_once(void)
{
    pthread_key_create(&bio_key, bio_drop);
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers");
    if (!bio_method)
        return;
    BIO_meth_set_read_ex(bio_method, bio_read);
    BIO_meth_set_write_ex(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
    BIO_meth_set_create(bio_method, bio_create);
}

/* This thread's, with a reference for an SSL (which takes one for both directions). NULL: no memory. */
static BIO *bio_lend(void)
{
    pthread_once(&once, prepare_once);
    if (!thread_bio && bio_method) {
        thread_bio = BIO_new(bio_method);
        pthread_setspecific(bio_key, thread_bio);
    }
    if (!thread_bio)
        return NULL;
    BIO_up_ref(thread_bio);
    return thread_bio;
}

/* ---- beginning and end ---- */

struct tls *tls_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static struct tls *tls_new(struct tls_context *context)
{
    struct tls *tls = calloc(1, sizeof(*tls) + sizeof(struct tls_inside));
    if (!tls)
        return NULL;
    tls->inside = (struct tls_inside *)(tls + 1);
    SSL *ssl = SSL_new(context->ctx);
    BIO *bio = ssl ? bio_lend() : NULL;
    if (!bio) {
        SSL_free(ssl);
        free(tls);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, tls);
    tls->inside->ssl = ssl;
    tls->inside->context = tls_context_ref(context);
    return tls;
}

struct tls *tls_accept(struct tls_context *context)
{
    struct tls *tls = tls_new(context);
    if (tls)
        SSL_set_accept_state(tls->inside->ssl);
    return tls;
}

static bool is_address(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    return address != NULL;
}

/* Who the server has to be. */
static bool expect_name(SSL *ssl, const char *name, bool verify)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
    if (is_address(name))
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           (!verify || X509_VERIFY_PARAM_set1_host(rules, name, 0) == 1);
}

/* A copy, since OpenSSL forbids a TLS 1.3 session that went on once to go on again: that protects
 * people's privacy, and we are none. */
static void go_on_with(SSL *ssl, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy)
        SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
}

struct tls *tls_connect(struct tls_context *context, const char *name, struct tls_session *session)
{
    struct tls *tls = tls_new(context);
    if (!tls)
        return NULL;
    SSL *ssl = tls->inside->ssl;
    tls->inside->session = session;
    SSL_set_connect_state(ssl);
    if (name && !expect_name(ssl, name, context->verify)) {
        tls_free(tls, NULL);
        return NULL;
    }
    if (session && session->kept && session->context_id == context->id)
        go_on_with(ssl, session->kept);
    return tls;
}

void tls_session_forget(struct tls_session *session)
{
    SSL_SESSION_free(session->kept);
    *session = (struct tls_session){0};
}

int tls_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = tls_of(ssl);
    struct tls_session *place = tls ? tls->inside->session : NULL;
    if (!place)
        return 0;
    tls_session_forget(place);
    place->kept = session;
    place->context_id = tls->inside->context->id;
    return 1; // The reference is ours.
}

void tls_free(struct tls *tls, struct shelf *shelf)
{
    if (!tls)
        return;
    struct tls_inside *inside = tls->inside;
    // Whatever happened to the connection says nothing about the session.
    SSL_set_shutdown(inside->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_app_data(inside->ssl, NULL);
    SSL_free(inside->ssl);
    tls_context_unref(inside->context);
    free(inside->error);
    if (shelf) {
        buf_clear(shelf, &tls->raw);
        buf_clear(shelf, &tls->wire);
    }
    free(tls);
}

/* ---- what went wrong ---- */

static const char *const trouble_words[TLS_TROUBLES] = {
    [TLS_TROUBLE_NONE] = "none",         [TLS_TROUBLE_HTTP] = "plain_http",
    [TLS_TROUBLE_VERSION] = "version",   [TLS_TROUBLE_CIPHER] = "cipher",
    [TLS_TROUBLE_ALPN] = "alpn",         [TLS_TROUBLE_CERTIFICATE] = "certificate",
    [TLS_TROUBLE_REFUSED] = "refused",   [TLS_TROUBLE_CLOSED] = "closed",
    [TLS_TROUBLE_PROTOCOL] = "protocol",
};

const char *tls_trouble_word(enum tls_trouble trouble)
{
    return trouble_words[trouble];
}

static enum tls_trouble trouble_of(int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return TLS_TROUBLE_HTTP;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return TLS_TROUBLE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SHARED_GROUPS:
        return TLS_TROUBLE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_TROUBLE_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return TLS_TROUBLE_CERTIFICATE;
    default:
        return reason >= SSL_AD_REASON_OFFSET ? TLS_TROUBLE_REFUSED : TLS_TROUBLE_PROTOCOL;
    }
}

/* OpenSSL gave up: remembers why. */
static enum tls_result failed(struct tls *tls)
{
    struct tls_inside *inside = tls->inside;
    if (tls->trouble != TLS_TROUBLE_NONE)
        return TLS_FAILED; // Said again.
    unsigned long code = ERR_peek_error();
    char text[TLS_ERROR_MAX];
    long verdict = SSL_get_verify_result(inside->ssl);
    tls->trouble = code != 0 ? trouble_of(ERR_GET_REASON(code)) : TLS_TROUBLE_PROTOCOL;
    tls_reason(text, sizeof(text));
    bool untrusted = tls->trouble == TLS_TROUBLE_CERTIFICATE && verdict != X509_V_OK;
    char *error = strdup(untrusted ? X509_verify_cert_error_string(verdict) : text);
    free(inside->error);
    inside->error = error;
    return TLS_FAILED;
}

const char *tls_error(const struct tls *tls)
{
    if (tls->trouble == TLS_TROUBLE_NONE)
        return "";
    return tls->inside->error ? tls->inside->error : tls_trouble_word(tls->trouble);
}

void tls_reason(char *out, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(out, size, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
}

/* ---- bytes ---- */

/* Before each call into OpenSSL. */
static SSL *begin(struct tls *tls, struct shelf *shelf)
{
    bytes_now = (struct bytes_of){shelf, tls};
    if (ERR_peek_error() != 0) // Cheaper than clearing what is clear.
        ERR_clear_error();
    return tls->inside->ssl;
}

enum tls_result tls_handshake(struct tls *tls, struct shelf *shelf)
{
    SSL *ssl = begin(tls, shelf);
    int done = SSL_do_handshake(ssl);
    int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, done);
    bytes_now.tls = NULL;
    if (done == 1) {
        tls->ready = true;
        return TLS_DONE;
    }
    return error == SSL_ERROR_WANT_READ ? TLS_MORE : failed(tls);
}

bool tls_holds(const struct tls *tls)
{
    return buf_len(&tls->raw) > 0 || SSL_pending(tls->inside->ssl) > 0;
}

enum tls_result tls_read(struct tls *tls, struct shelf *shelf, struct buf *in, size_t room)
{
    SSL *ssl = begin(tls, shelf);
    enum tls_result result = TLS_DONE;
    while (room > 0) {
        size_t got = 0;
        int done = SSL_read_ex(ssl, in->data + in->end, room, &got);
        if (done == 1) {
            in->end += (uint32_t)got;
            room -= got;
            if (!tls_holds(tls))
                break; // Asking once more would cost as much as a record.
            continue;
        }
        int error = SSL_get_error(ssl, done);
        if (error == SSL_ERROR_ZERO_RETURN)
            result = TLS_ENDED;
        else if (error != SSL_ERROR_WANT_READ)
            result = failed(tls);
        break;
    }
    bytes_now.tls = NULL;
    return result;
}

bool tls_write(struct tls *tls, struct shelf *shelf, struct span text)
{
    if (text.len == 0)
        return true;
    SSL *ssl = begin(tls, shelf);
    size_t put = 0;
    bool ok = SSL_write_ex(ssl, text.ptr, text.len, &put) == 1 && put == text.len;
    if (!ok)
        failed(tls);
    bytes_now.tls = NULL;
    return ok;
}

void tls_bye(struct tls *tls, struct shelf *shelf)
{
    if (tls->said_bye || !tls->ready || tls->trouble != TLS_TROUBLE_NONE)
        return;
    tls->said_bye = true;
    SSL *ssl = begin(tls, shelf);
    SSL_shutdown(ssl);
    ERR_clear_error();
    bytes_now.tls = NULL;
}

/* ---- the peer ---- */

bool tls_is_of(const struct tls *tls, const struct tls_context *context)
{
    return tls->inside->context == context;
}

const char *tls_version(const struct tls *tls)
{
    return SSL_get_version(tls->inside->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
    return SSL_get_cipher_name(tls->inside->ssl);
}

const char *tls_server_name(const struct tls *tls)
{
    return SSL_get_servername(tls->inside->ssl, TLSEXT_NAMETYPE_host_name);
}

bool tls_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->inside->ssl);
}

/* A name on one line of ASCII: everything else is escaped (RFC 2253). */
static void print_name(const X509_NAME *name, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    out[0] = '\0';
    if (!bio)
        return;
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    int n = BIO_read(bio, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
}

static void print_common_name(const X509_NAME *name, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *text = NULL;
    int len = -1;
    out[0] = '\0';
    if (at >= 0)
        len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    for (int i = 0; i < len && (size_t)i + 1 < size; i++) {
        bool shown = text[i] >= ' ' && text[i] <= '~';
        out[i] = shown ? (char)text[i] : '?';
        out[i + 1] = '\0';
    }
    OPENSSL_free(text);
}

static void print_hex(const uint8_t *bytes, size_t n, char *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < n && at + 2 < size; i++) {
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
    out[at] = '\0';
}

bool tls_peer(const struct tls *tls, struct tls_peer *out)
{
    const SSL *ssl = tls->inside->ssl;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    print_name(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
    print_name(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
    print_common_name(X509_get_subject_name(cert), out->common_name, sizeof(out->common_name));
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    print_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), out->serial,
              sizeof(out->serial));
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509_digest(cert, EVP_sha256(), digest, &len);
    print_hex(digest, len, out->sha256, sizeof(out->sha256));
    return true;
}

bool tls_asks(const struct tls *tls)
{
    return SSL_get_verify_mode(tls->inside->ssl) & SSL_VERIFY_PEER;
}
