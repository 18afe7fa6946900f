// SPDX-License-Identifier: Apache-2.0
/*
 * A conn whose bytes go through TLS. Its owner sees text in `in` and puts text into `out`, as ever;
 * what differs stays here.
 *
 *     recv ──► raw ─ tls_read ──► in                 parts ─┐
 *                                                    out ───┴ tls_write ──► wire ══ becomes ══► out ──► send
 *
 * - `out` holds ciphertext, once it was given to conn_write: it is empty exactly when all is with the
 *   kernel, as without TLS. tls->sealed says how much of it is; behind that lies what the owner has
 *   put there and not flushed yet (only between two calls of the owner), or all of it while shaking
 *   hands.
 * - `sent` counts text: sealing takes what it adds off the count, so that sent + buf_len(out) stays
 *   the number of the owner's bytes.
 * - `held`: there may be more to read without another byte from the kernel, because `in` was full.
 * - What TLS says of its own accord (tickets, alerts, answers to key updates) lies in `wire` after a
 *   read and goes out at once, or behind what waits.
 * - An end of stream without the peer's close_notify sets `truncated`.
 */
#include "base/conn_inside.h"

#include "base/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* ---- writing ---- */

/* What wire has goes behind the ciphertext in out, which nothing else follows. */
static bool wire_to_out(struct conn *conn)
{
    struct tls *tls = conn->tls;
    size_t n = buf_len(&tls->wire);
    if (n == 0)
        return true;
    if (buf_len(&conn->out) == 0)
        buf_move(&conn->out, &tls->wire);
    else if (!buf_append(conn->loop->shelf, &conn->out, buf_bytes(&tls->wire)))
        return false;
    buf_clear(conn->loop->shelf, &tls->wire);
    tls->sealed = (uint32_t)buf_len(&conn->out);
    conn->sent -= n; // Not the owner's bytes: counted off here, counted when they leave.
    return true;
}

/* The ciphertext that waits, and behind it room for the text that does not yet. */
static bool set_aside(struct conn *conn, struct buf *text)
{
    struct tls *tls = conn->tls;
    struct span waiting = buf_bytes(&conn->out);
    if (tls->sealed == 0 || tls->sealed == waiting.len) {
        if (tls->sealed == 0)
            buf_move(text, &conn->out);
        return true;
    }
    if (!buf_append(conn->loop->shelf, text, span_from(waiting, tls->sealed)))
        return false;
    conn->out.end -= (uint32_t)buf_len(text);
    return true;
}

bool conn_seal(struct conn *conn, const struct span *parts, size_t n)
{
    struct buf text = {0};
    bool ok = set_aside(conn, &text);
    size_t own = buf_len(&text); // Counted by buf_len(out) before.
    struct span plain = n == 1 && own == 0 ? parts[0] : SPAN_NONE;
    if (plain.ptr == NULL) {
        for (size_t i = 0; ok && i < n; i++)
            ok = buf_append(conn->loop->shelf, &text, parts[i]);
        plain = buf_bytes(&text);
    }
    size_t len = plain.len;
    ok = ok && tls_write(conn->tls, conn->loop->shelf, plain);
    buf_clear(conn->loop->shelf, &text);
    conn->sent += len;
    return ok && wire_to_out(conn);
}

static ssize_t send_out(struct conn *conn)
{
    struct tls *tls = conn->tls;
    struct span waiting = buf_bytes(&conn->out);
    struct iovec iov = {(char *)(uintptr_t)waiting.ptr, waiting.len};
    ssize_t sent = waiting.len > 0 ? conn_send(conn, &iov, 1) : 0;
    if (sent <= 0)
        return sent;
    buf_consume(conn->loop->shelf, &conn->out, (size_t)sent);
    tls->sealed -= (uint32_t)sent;
    return sent;
}

enum io_result conn_write_sealed(struct conn *conn, const struct span *parts, size_t n)
{
    if (conn->connecting) {
        for (size_t i = 0; i < n; i++) {
            if (!buf_append(conn->loop->shelf, &conn->out, parts[i]))
                return conn_write_failed(conn, ENOMEM);
        }
        return IO_WANT_WRITE;
    }
    if (!conn_seal(conn, parts, n))
        return conn_write_failed(conn, conn->tls->trouble ? EPROTO : ENOMEM);
    if (!conn->blocked && send_out(conn) < 0)
        return conn_write_failed(conn, errno);
    conn->blocked = buf_len(&conn->out) > 0;
    if (!conn->blocked)
        return IO_DONE;
    conn_weigh(conn);
    return IO_WANT_WRITE;
}

/* What TLS wants to say by itself; the owner is not told how that went. */
static void send_wire(struct conn *conn)
{
    if (buf_len(&conn->tls->wire) == 0)
        return;
    if (!wire_to_out(conn) || conn->blocked || conn->unwritable)
        return;
    if (send_out(conn) < 0) // The next read finds out, too.
        buf_clear(conn->loop->shelf, &conn->out);
    conn->blocked = buf_len(&conn->out) > 0;
}

void conn_close_write_sealed(struct conn *conn)
{
    if (!conn->connecting) {
        tls_bye(conn->tls, conn->loop->shelf);
        send_wire(conn);
    }
    if (conn->connecting || buf_len(&conn->out) > 0)
        conn->close_write_when_drained = true;
    else
        conn_shut_write(conn);
}

void conn_say_bye(struct conn *conn)
{
    struct tls *tls = conn->tls;
    if (conn->connecting || conn->unwritable || conn->write_closed || buf_len(&conn->out) > 0)
        return;
    tls_bye(tls, conn->loop->shelf);
    send_wire(conn);
}

/* ---- reading ---- */

enum raw_result { RAW_CAME, RAW_NOTHING, RAW_DEAD /* told */ };

/* One recv into raw. */
static enum raw_result receive_raw(struct conn *conn, size_t want)
{
    struct buf *raw = &conn->tls->raw;
    if (!buf_reserve(conn->loop->shelf, raw, want)) {
        conn_tell_failed(conn, ENOMEM);
        return RAW_DEAD;
    }
    ssize_t got = sys_recv(conn->io.fd, raw->data + raw->end, want, 0);
    if (got <= 0) {
        int error = errno;
        if (buf_len(raw) == 0)
            buf_clear(conn->loop->shelf, raw);
        if (got == 0)
            conn->truncated = true;
        bool dead = got < 0 && error != EINTR && error != EAGAIN;
        if (dead && conn->shaking)
            conn->tls->trouble = TLS_TROUBLE_CLOSED;
        conn_got_nothing(conn, got, error);
        return dead ? RAW_DEAD : RAW_NOTHING;
    }
    raw->end += (uint32_t)got;
    conn_note_short(conn, (size_t)got, want);
    return RAW_CAME;
}

/* The peer will say nothing more that counts. */
static void read_ended(struct conn *conn)
{
    conn->readable = conn->held = conn->truncated = false;
    conn->eof_seen = true;
    buf_clear(conn->loop->shelf, &conn->tls->raw);
}

bool conn_receive_sealed(struct conn *conn, size_t want)
{
    struct tls *tls = conn->tls;
    // Records are longer than their text, and short reads would end in the middle of one.
    size_t raw_want = want < BUF_SMALL ? BUF_SMALL : want;
    if (!conn->held && receive_raw(conn, raw_want) != RAW_CAME)
        return false;
    if (!buf_reserve(conn->loop->shelf, &conn->in, want)) {
        conn_tell_failed(conn, ENOMEM);
        return false;
    }
    size_t before = buf_len(&conn->in);
    enum tls_result result = tls_read(tls, conn->loop->shelf, &conn->in, want);
    size_t got = buf_len(&conn->in) - before;
    conn->received += got;
    conn->held = tls_holds(tls);
    conn_note_filled(conn, got, want);
    if (buf_len(&conn->in) == 0)
        buf_clear(conn->loop->shelf, &conn->in);
    send_wire(conn);
    if (result == TLS_ENDED)
        read_ended(conn);
    if (result == TLS_FAILED && got == 0)
        conn_tell_failed(conn, EPROTO);
    else if (result == TLS_FAILED)
        conn->held = true; // The next read says it again, when these bytes are told.
    return got > 0;
}

/* ---- the handshake ---- */

/* Sends what waits in wire. False: dead (told). */
static bool shake_send(struct conn *conn)
{
    struct tls *tls = conn->tls;
    struct span waiting = buf_bytes(&tls->wire);
    struct iovec iov = {(char *)(uintptr_t)waiting.ptr, waiting.len};
    ssize_t sent = waiting.len > 0 ? conn_send(conn, &iov, 1) : 0;
    if (sent < 0) {
        tls->trouble = TLS_TROUBLE_CLOSED;
        conn_tell_failed(conn, errno);
        return false;
    }
    conn->sent -= (uint64_t)sent; // Not the owner's.
    if (sent > 0)
        buf_consume(conn->loop->shelf, &tls->wire, (size_t)sent);
    conn->blocked = buf_len(&tls->wire) > 0;
    return true;
}

/* From here on the owner's bytes may pass, those first that it wrote meanwhile. */
static void shake_done(struct conn *conn)
{
    conn->connecting = conn->shaking = false;
    conn_weigh(conn);
    conn->held = tls_holds(conn->tls);
    bool owed = buf_len(&conn->out) > 0;
    bool sealed = conn_seal(conn, NULL, 0);
    if (conn->close_write_when_drained)
        tls_bye(conn->tls, conn->loop->shelf);
    if (!sealed || !wire_to_out(conn)) {
        conn_tell_failed(conn, ENOMEM);
        return;
    }
    if (!conn->blocked && send_out(conn) < 0) {
        conn_tell_failed(conn, errno);
        return;
    }
    conn->blocked = buf_len(&conn->out) > 0;
    conn->owner->connected(conn);
    if (conn_open(conn) && !conn->connecting && owed && !conn->blocked && !conn->unwritable)
        conn->owner->drained(conn);
}

/* It ended before it was done. */
static void shake_ended(struct conn *conn)
{
    conn->tls->trouble = TLS_TROUBLE_CLOSED;
    conn_tell_failed(conn, ECONNRESET);
}

void conn_shake(struct conn *conn, uint32_t events)
{
    struct tls *tls = conn->tls;
    if (conn->blocked && events & EPOLLOUT && !shake_send(conn))
        return;
    if (buf_len(&tls->raw) == 0 && conn->readable && receive_raw(conn, BUF_SMALL) == RAW_DEAD)
        return;
    if (conn->eof_seen) {
        shake_ended(conn);
        return;
    }
    enum tls_result result = tls_handshake(tls, conn->loop->shelf);
    if (!conn->blocked && !shake_send(conn))
        return;
    switch (result) {
    case TLS_DONE:
        shake_done(conn);
        return;
    case TLS_FAILED:
        conn_tell_failed(conn, EPROTO);
        return;
    case TLS_MORE:
    case TLS_ENDED:
        if (conn->readable)
            loop_again(conn->loop, &conn->io, 0);
        return;
    }
}

void conn_secure(struct conn *conn, struct tls *tls)
{
    bool connected = !conn->connecting;
    conn->tls = tls;
    conn->connecting = true;
    conn->shaking = connected;
    conn_weigh(conn);
    if (!connected)
        return;
    buf_move(&tls->raw, &conn->in);
    if (buf_len(&tls->raw) > 0 || conn->readable)
        loop_again(conn->loop, &conn->io, 0);
}

void conn_unsecure(struct conn *conn)
{
    struct tls *tls = conn->tls;
    conn->tls = NULL;
    tls_free(tls, conn->loop->shelf);
    buf_clear(conn->loop->shelf, &conn->out);
    conn->connecting = conn->shaking = conn->held = conn->truncated = false;
    conn_weigh(conn);
    conn->silent = conn->unwritable = conn->eof_told = conn->blocked = false;
    conn->error = 0;
}
