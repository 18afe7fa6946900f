// SPDX-License-Identifier: Apache-2.0
/*
 * OpenSSL, and the only file of bench/ that knows it. Tickets arrive after the handshake, with the
 * first bytes that are read; the newest one is kept and serves every later connection. OpenSSL
 * takes the same ticket several times as long as no early data is sent.
 */
#include "bench/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct tls_client {
    SSL_CTX *context;
    SSL_SESSION *ticket; /* NULL: none yet, or full handshakes are wanted */
    bool resume;
};

static int keep_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct tls_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!client->resume)
        return 0;
    SSL_SESSION_free(client->ticket);
    client->ticket = ticket;
    return 1;
}

struct tls_client *tls_client_new(enum tls_use use)
{
    struct tls_client *client = calloc(1, sizeof *client);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!client || !context) {
        free(client);
        SSL_CTX_free(context);
        return NULL;
    }
    *client = (struct tls_client){.context = context, .resume = use == TLS_RESUMED};
    SSL_CTX_set_app_data(context, client);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    return client;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    SSL_SESSION_free(client->ticket);
    SSL_CTX_free(client->context);
    free(client);
}

bool tls_client_has_ticket(const struct tls_client *client)
{
    return client->ticket != NULL;
}

static SSL *line_ssl(const struct tls_line *line)
{
    return (SSL *)(void *)line;
}

struct tls_line *tls_line_new(struct tls_client *client, int fd)
{
    SSL *ssl = SSL_new(client->context);
    if (!ssl || !SSL_set_fd(ssl, fd)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, "bench.example");
    if (client->ticket) {
        SSL_SESSION *own = SSL_SESSION_dup(client->ticket); // Connections change their session.
        SSL_set_session(ssl, own);
        SSL_SESSION_free(own);
    }
    return (struct tls_line *)(void *)ssl;
}

void tls_line_free(struct tls_line *line)
{
    /* OpenSSL never resumes a session whose connection was freed without a farewell. */
    SSL_set_shutdown(line_ssl(line), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(line_ssl(line));
}

static enum tls_result outcome(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return TLS_AGAIN;
    ERR_clear_error();
    return TLS_BROKEN;
}

enum tls_result tls_line_handshake(struct tls_line *line)
{
    int result = SSL_do_handshake(line_ssl(line));
    return result == 1 ? TLS_DONE : outcome(line_ssl(line), result);
}

bool tls_line_resumed(const struct tls_line *line)
{
    return SSL_session_reused(line_ssl(line));
}

static ssize_t moved(struct tls_line *line, int result)
{
    if (result > 0)
        return result;
    if (outcome(line_ssl(line), result) == TLS_AGAIN) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

ssize_t tls_line_recv(struct tls_line *line, void *out, size_t size)
{
    return moved(line, SSL_read(line_ssl(line), out, (int)size));
}

ssize_t tls_line_send(struct tls_line *line, const void *bytes, size_t len)
{
    return moved(line, SSL_write(line_ssl(line), bytes, (int)len));
}
