// SPDX-License-Identifier: Apache-2.0
/*
 * Reads until the kernel has no more, into one buffer that all streams share; writes at once and
 * keeps the rest. The loop is edge-triggered, so both go on until EAGAIN.
 */
#include "bench/stream.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static char incoming[256 * 1024]; /* bytes of one read */

static ssize_t stream_recv(struct stream *stream)
{
    if (stream->tls)
        return tls_line_recv(stream->tls, incoming, sizeof incoming);
    return recv(stream->io.fd, incoming, sizeof incoming, 0);
}

static ssize_t stream_put(struct stream *stream, struct span bytes)
{
    if (stream->tls)
        return tls_line_send(stream->tls, bytes.ptr, bytes.len);
    return send(stream->io.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
}

/* Bytes that were sent now; what is left waits for the next event. */
static size_t stream_push(struct stream *stream, struct span bytes)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = stream_put(stream, span_from(bytes, sent));
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static void stream_keep(struct stream *stream, struct span bytes)
{
    if (bytes.len == 0)
        return;
    if (stream->rest_len + bytes.len > stream->rest_size) {
        stream->rest_size = stream->rest_len + bytes.len;
        stream->rest = mem_must_resize(stream->rest, stream->rest_size);
    }
    memcpy(stream->rest + stream->rest_len, bytes.ptr, bytes.len);
    stream->rest_len += bytes.len;
}

void stream_send(struct stream *stream, struct span bytes)
{
    size_t sent = stream->rest_len == 0 ? stream_push(stream, bytes) : 0;
    stream_keep(stream, span_from(bytes, sent));
}

static void stream_flush(struct stream *stream)
{
    if (stream->rest_len == 0)
        return;
    size_t sent = stream_push(stream, span_of(stream->rest, stream->rest_len));
    stream->rest_len -= sent;
    memmove(stream->rest, stream->rest + sent, stream->rest_len);
    if (stream->rest_len == 0) {
        free(stream->rest);
        stream->rest = NULL;
        stream->rest_size = 0;
    }
}

static void stream_end(struct stream *stream)
{
    stream_close(stream);
    stream->owner->ended(stream);
}

static void stream_read(struct stream *stream)
{
    int fd = stream->io.fd;
    while (stream->io.fd == fd && !stream->connecting) {
        ssize_t n = stream_recv(stream);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            stream_end(stream);
            return;
        }
        stream->owner->bytes(stream, span_of(incoming, (size_t)n));
        if (!stream->tls && n < (ssize_t)sizeof incoming)
            return; // A short read: there was no more; a new edge tells.
    }
}

/* True once bytes may flow. */
static bool stream_begin(struct stream *stream, uint32_t events)
{
    if (stream->connecting) {
        if (!(events & EPOLLOUT) || (events & EPOLLERR)) {
            if (events & (EPOLLERR | EPOLLHUP))
                stream_end(stream);
            return false;
        }
        stream->connecting = false;
        stream->shaking = stream->tls != NULL;
        if (!stream->shaking)
            stream->owner->connected(stream);
    }
    if (!stream->shaking)
        return stream_is_open(stream) && !stream->connecting;
    enum tls_result result = tls_line_handshake(stream->tls);
    if (result == TLS_AGAIN)
        return false;
    if (result == TLS_BROKEN) {
        stream_end(stream);
        return false;
    }
    stream->shaking = false;
    stream->owner->connected(stream);
    return stream_is_open(stream) && !stream->connecting;
}

static void stream_event(struct io *io, uint32_t events)
{
    struct stream *stream = container_of(io, struct stream, io);
    if (!stream_begin(stream, events))
        return;
    if (events & EPOLLOUT)
        stream_flush(stream);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stream_read(stream);
    if ((events & EPOLLRDHUP) && stream_is_open(stream) && !stream->connecting)
        loop_again(stream->loop, &stream->io, EPOLLIN); // The end itself has no further edge.
}

static bool stream_init(struct stream *stream, struct loop *loop, int fd,
                        const struct stream_owner *owner)
{
    *stream = (struct stream){.loop = loop, .owner = owner};
    io_init(&stream->io, fd, stream_event);
    if (fd >= 0 && loop_add(loop, &stream->io))
        return true;
    if (fd >= 0)
        close(fd);
    stream->io.fd = -1;
    return false;
}

bool stream_connect(struct stream *stream, struct loop *loop, const struct addr *to,
                    struct tls_client *tls, const struct stream_owner *owner)
{
    if (!stream_init(stream, loop, net_connect(to), owner))
        return false;
    stream->connecting = true;
    if (tls)
        stream->tls = tls_line_new(tls, stream->io.fd);
    return !tls || stream->tls;
}

bool stream_accept(struct stream *stream, struct loop *loop, int fd,
                   const struct stream_owner *owner)
{
    return stream_init(stream, loop, fd, owner);
}

void stream_close(struct stream *stream)
{
    if (!stream_is_open(stream))
        return;
    if (stream->tls)
        tls_line_free(stream->tls);
    stream->tls = NULL;
    free(stream->rest);
    stream->rest = NULL;
    stream->rest_len = stream->rest_size = 0;
    loop_close(stream->loop, &stream->io);
}
