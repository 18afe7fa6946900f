// SPDX-License-Identifier: Apache-2.0
/* What conn.c and conn_tls.c share; nobody else includes this. */
#ifndef LIMPET_BASE_CONN_INSIDE_H
#define LIMPET_BASE_CONN_INSIDE_H

#include "base/conn.h"
#include "base/tls.h"

#include <sys/types.h>
#include <sys/uio.h>

/* ---- conn.c ---- */

/* The last to act on what was known before it. */
void conn_tell_failed(struct conn *conn, int error);
enum io_result conn_write_failed(struct conn *conn, int error);
/* A read brought nothing: interrupted, drained, ended or dead. */
void conn_got_nothing(struct conn *conn, ssize_t got, int error);
/* A read got less than it asked for: that was all, unless nothing more would tell of what is left. */
static inline void conn_note_short(struct conn *conn, size_t got, size_t want)
{
    if (got < want && !conn->hung_up)
        conn->readable = false;
}
/* Which lane is it in? To be called when something of what decides has changed. */
void conn_weigh(struct conn *conn);
/* A read got this much text: does a stream begin, or end? */
static inline void conn_note_filled(struct conn *conn, size_t got, size_t want)
{
    conn->filled = got == want;
    if (got < BUF_SMALL)
        conn->bulk = false;
    if (conn->filled || conn->io.lane != LANE_LIGHT)
        conn_weigh(conn);
}
/* One send of up to count parts; bytes sent, 0 when the kernel takes none now, -1 with errno. */
ssize_t conn_send(struct conn *conn, struct iovec *iov, size_t count);
void conn_shut_write(struct conn *conn);
/* The conn that the io is of, or NULL. */
struct conn *conn_of(struct io *io);
/* How many bytes the first read after an edge asks for, if it may be made ahead; 0: not this one. */
size_t conn_fetch_size(const struct conn *conn);

/* ---- conn_tls.c ---- */

/* One step of the handshake. */
void conn_shake(struct conn *conn, uint32_t events);
/* One recv and what can be read of it: `want` bytes of text at most, for which there is room. True:
 * some came. */
bool conn_receive_sealed(struct conn *conn, size_t want);
enum io_result conn_write_sealed(struct conn *conn, const struct span *parts, size_t n);
/* `out` becomes ciphertext as a whole. False: no memory, or the connection is broken. */
bool conn_seal(struct conn *conn, const struct span *parts, size_t n);
void conn_close_write_sealed(struct conn *conn);
/* Before it closes: what the peer needs to know that nothing was cut off. */
void conn_say_bye(struct conn *conn);

#endif
