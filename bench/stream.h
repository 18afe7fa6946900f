// SPDX-License-Identifier: Apache-2.0
/*
 * A connection as the bench's programs see it: bytes in, bytes out, plain or TLS. It is greedy and
 * unbounded where the balancer's own base/conn.h is careful; whoever measures should not share the
 * code that is measured.
 */
#ifndef LIMPET_BENCH_STREAM_H
#define LIMPET_BENCH_STREAM_H

#include "base/loop.h"
#include "base/net.h"
#include "bench/tls.h"

struct stream;

/* Called from the loop only. A stream may be closed in any of them. */
struct stream_owner {
    void (*connected)(struct stream *stream); /* and its handshake is done */
    void (*bytes)(struct stream *stream, struct span bytes);
    void (*ended)(struct stream *stream); /* by the peer or by an error; once */
};

struct stream {
    struct io io;
    struct loop *loop;
    const struct stream_owner *owner;
    struct tls_line *tls; /* NULL: plain */
    char *rest;           /* what the kernel did not take yet */
    size_t rest_len, rest_size;
    bool connecting, shaking;
};

/* False: errno. `tls` NULL: plain. */
bool stream_connect(struct stream *stream, struct loop *loop, const struct addr *to,
                    struct tls_client *tls, const struct stream_owner *owner);
bool stream_accept(struct stream *stream, struct loop *loop, int fd,
                   const struct stream_owner *owner);
/* Sends, or keeps a copy for later. What cannot be sent any more is dropped: `ended` follows. */
void stream_send(struct stream *stream, struct span bytes);
void stream_close(struct stream *stream); /* harmless when closed */

static inline bool stream_is_open(const struct stream *stream)
{
    return stream->loop && stream->io.fd >= 0;
}

#endif
