// SPDX-License-Identifier: Apache-2.0
/*
 * A small HTTP/1.1 client for probes and webhooks: one request, one answer whose body is kept up to
 * a bound, one deadline over all. Runs on the caller's loop. Strict like the proxy: answers are
 * read by proto/head and proto/chunked.
 */
#ifndef LIMPET_PROTO_CALL_H
#define LIMPET_PROTO_CALL_H

#include "base/conn.h"
#include "base/net.h"

enum { CALL_BODY_MAX = 16 * 1024 };

enum call_end {
    CALL_DONE,           /* status and body are there */
    CALL_CONNECT_FAILED, /* errno in error */
    CALL_CONNECT_TIMEOUT,
    CALL_TLS_FAILED, /* tls_error says why */
    CALL_TLS_TIMEOUT,
    CALL_TIMEOUT,    /* connected, but no whole answer in time */
    CALL_CLOSED,     /* closed or reset before a whole answer */
    CALL_BAD_ANSWER, /* not HTTP */
};

struct call;
struct tls_context;
struct tls_session;
struct call_result {
    enum call_end end;
    int error;             /* errno, or 0 */
    const char *tls_error; /* words; lives for the callback */
    uint16_t status;
    struct span body; /* its first CALL_BODY_MAX bytes (a longer one is not read to its end); lives
                         for the callback */
    int64_t duration_ms;
    bool loop_was_late; /* the loop was held up for a quarter of timeout_ms or more: an expired
                           deadline may be our own fault */
};
typedef void call_done_fn(void *ctx, const struct call_result *result);

struct call_request {
    struct addr addr;
    struct span head_and_body; /* the whole request, written by the caller; copied */
    struct span preface;       /* bytes before everything, also before TLS; copied */
    bool is_head;              /* the method was HEAD */
    int64_t timeout_ms;
    bool connect_only;       /* done (CALL_DONE, status 0) when connected */
    struct tls_context *tls; /* NULL: without; referenced while the call lasts */
    const char *tls_name;    /* as tls_connect; read at once */
    struct tls_session *tls_session;
};
/*
 * `done` is called once, from the loop, and the call is freed behind it. NULL: this process or host
 * could not even try (no memory, descriptors or local ports; errno), and done is not called.
 */
struct call *call_start(struct loop *loop, struct shelf *shelf, const struct call_request *request,
                        call_done_fn *done, void *ctx);
void call_cancel(struct call *call); /* done is not called */

#endif
