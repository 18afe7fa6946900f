// SPDX-License-Identifier: Apache-2.0
/*
 * One stream socket with its borrowed buffers. conn speaks in completions: bytes have arrived, the
 * out buffer has drained, it ended. Readiness, EAGAIN and short writes stay inside, so that another
 * engine than epoll can be put under it, and TLS can sit between (conn_secure).
 *
 *   kernel ── recv ──► in ──► owner->bytes        owner ── conn_write ──► send ──► kernel
 *                                                   the rest ──► out ──► owner->drained
 *
 * Rules
 * - At most one recv per conn and turn (BUF_SMALL, or BUF_MIDDLE for a stream that fills its
 * reads): a fast peer cannot starve others. If there may be more, conn runs again next turn.
 * - Bytes that the owner leaves in `in` stay there; it is called again when more have arrived. When
 *   `in` is full (in_limit) reading stops until the owner consumed and called conn_resume.
 * - Buffers are empty and owned by nobody between events unless bytes wait in them.
 * - Callbacks come from the loop only, never from inside a conn_* call; after conn_close none
 * comes.
 * - A conn may be closed in any of its callbacks, and even begin anew with another descriptor. Its
 *   memory must live until the end of the turn.
 */
#ifndef LIMPET_BASE_CONN_H
#define LIMPET_BASE_CONN_H

#include "base/buf.h"
#include "base/loop.h"

struct conn;
struct tls;

enum io_result {
    IO_DONE,       /* all bytes are with the kernel */
    IO_WANT_WRITE, /* some wait in `out`; owner->drained follows */
    /* Nothing can be written any more (errno in conn->error), or no memory. owner->failed does NOT
       follow; what the peer had sent (an early answer) still comes, then eof, if the owner waits.
     */
    IO_FAILED,
};

/* What conn tells its owner. All are called from the loop. None may be NULL. */
struct conn_owner {
    void (*connected)(struct conn *conn); /* an outgoing connection, or TLS, is established */
    void (*bytes)(struct conn *conn);     /* conn->in has new bytes */
    void (*drained)(struct conn *conn);   /* out was waiting and is empty now */
    /* The peer sends no more; the bytes before were delivered. Once. */
    void (*eof)(struct conn *conn);
    /* Connect failed, reset, timeout …: errno in conn->error. Once, and nothing comes after it. */
    void (*failed)(struct conn *conn);
};

struct conn {
    struct io io;
    struct loop *loop;
    const struct conn_owner *owner;
    struct tls *tls; /* NULL: bytes pass as they are */
    struct buf in, out;
    int error;         /* errno of what killed it */
    uint32_t in_limit; /* unread bytes in `in` at which reading stops; default BUF_SMALL */
    bool connecting : 1;
    bool paused : 1;   /* the owner wants no bytes now */
    bool readable : 1; /* the kernel may have more */
    bool hung_up : 1;  /* EPOLLRDHUP seen: read on to the end */
    bool eof_seen : 1; /* the kernel said so; told as soon as it may */
    bool eof_told : 1;
    bool blocked : 1; /* `out` waits for EPOLLOUT */
    bool write_closed : 1;
    bool close_write_when_drained : 1;
    bool filled : 1;     /* the last read filled its space: if the owner took all, `bulk` follows */
    bool bulk : 1;       /* a stream: read BUF_MIDDLE at a time, also above in_limit */
    bool retell : 1;     /* conn_resume found bytes in `in`: call `bytes` for them */
    bool silent : 1;     /* the end was told, by `failed` or IO_FAILED */
    bool unwritable : 1; /* a write failed: all later ones do */
    bool shaking : 1;    /* TLS is being agreed on; `connecting` until it is */
    bool held : 1;       /* TLS may have more text without another byte from the kernel */
    bool truncated : 1;  /* the peer's end of stream came without TLS's: bytes may be missing */

    uint64_t received, sent; /* bytes, by the kernel's count; with TLS, of text */
};

/* Takes over a connected (or, after net_connect, connecting) descriptor. All of a loop have the same
 * shelf. False: errno; fd is the caller's then. */
bool conn_init(struct conn *conn, struct loop *loop, struct shelf *shelf, int fd, bool connecting,
               const struct conn_owner *owner);

/*
 * From here on all bytes pass through `tls`, which is conn's now, also those that lie in `in`. Right
 * after conn_init, or before anything was written. owner->connected follows when the handshake is
 * done, or `failed`: tls_error says why, until the owner closes the conn.
 */
void conn_secure(struct conn *conn, struct tls *tls);
/* After `failed`: what is written now goes out as it is, e.g. to somebody who speaks no TLS. */
void conn_unsecure(struct conn *conn);

/* These bytes leave before all others, and before TLS: right after conn_init, and conn_secure if that is
 * called, of an outgoing connection. They count like the owner's. False: no memory. */
bool conn_preface(struct conn *conn, struct span bytes);

/* Another owner from now on (e.g. an idle server connection is lent). What it hears next is not known to
 * be large, and may be that the connection is gone: that waits for nobody. */
static inline void conn_set_owner(struct conn *conn, const struct conn_owner *owner)
{
    conn->owner = owner;
    conn->io.lane = LANE_LIGHT;
}

/*
 * Sends the parts in order, behind what already waits in `out`, in one system call; copies what the
 * kernel did not take. `n` is at most 4.
 */
enum io_result conn_write(struct conn *conn, const struct span *parts, size_t n);
/* The same for bytes that the owner put into conn->out itself (buf_append). */
enum io_result conn_flush(struct conn *conn);

void conn_consume(struct conn *conn, size_t n); /* the owner has used n bytes of conn->in */
/* Stop reading. A hang-up is told later, by `eof`; a reset at once, unless the kernel has unread
 * bytes from before it. */
void conn_pause(struct conn *conn);
/* Read on. If unread bytes are in `in`, or the kernel may have some, `bytes` is called in this or
 * the next turn. */
void conn_resume(struct conn *conn);

/* Bytes that were given to conn_write since `sent + buf_len(out)` was `before`. Those in `out` are
 * lost when a write fails, also those from before. */
static inline uint64_t conn_sent_since(const struct conn *conn, uint64_t before)
{
    int64_t n = (int64_t)(conn->sent + buf_len(&conn->out) - before);
    return n > 0 ? (uint64_t)n : 0;
}

/* From here on `received` and `sent` count what is not with the owner and not in `out` yet. */
static inline void conn_count_anew(struct conn *conn)
{
    conn->received = buf_len(&conn->in);
    conn->sent = 0 - (uint64_t)buf_len(&conn->out);
}

/* How far the peer is: bytes sent less those that wait in the kernel for it to take them. Only good
 * to see whether it moves; costs a system call. */
uint64_t conn_taken(const struct conn *conn);

/* Half-close (FIN) after `out` has drained. */
void conn_close_write(struct conn *conn);
/* Closes at once; what waits in `out` is lost; buffers go back. Harmless when closed. */
void conn_close(struct conn *conn);
/* The same with a RST instead of a FIN: visible truncation. */
void conn_reset(struct conn *conn);

static inline bool conn_open(const struct conn *conn)
{
    return conn->io.fd >= 0;
}

/* Has the peer said all that is known of it: no byte unread, here or (perhaps) in the kernel, and no
 * end of stream? Then it may be lent to somebody else. */
static inline bool conn_quiet(const struct conn *conn)
{
    return buf_len(&conn->in) == 0 && !conn->readable && !conn->held && !conn->hung_up &&
           !conn->eof_seen && list_single(&conn->io.again);
}

#endif
