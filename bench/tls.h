// SPDX-License-Identifier: Apache-2.0
/*
 * The client side of TLS for the load generator: any certificate is accepted, TLS 1.3 only. A
 * tls_client is the configuration and, when it resumes, the last ticket that a server gave.
 */
#ifndef LIMPET_BENCH_TLS_H
#define LIMPET_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_client;
struct tls_line; /* one connection */

enum tls_use { TLS_NONE, TLS_FULL, TLS_RESUMED };
enum tls_result { TLS_DONE, TLS_AGAIN, TLS_BROKEN };

struct tls_client *tls_client_new(enum tls_use use);
void tls_client_free(struct tls_client *client);
bool tls_client_has_ticket(const struct tls_client *client);

struct tls_line *tls_line_new(struct tls_client *client, int fd); /* NULL: no memory */
void tls_line_free(struct tls_line *line);
enum tls_result tls_line_handshake(struct tls_line *line);
bool tls_line_resumed(const struct tls_line *line);
/* Like recv and send: 0 is the end, -1 with EAGAIN in errno means later. */
ssize_t tls_line_recv(struct tls_line *line, void *out, size_t size);
ssize_t tls_line_send(struct tls_line *line, const void *bytes, size_t len);

#endif
