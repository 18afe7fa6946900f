// SPDX-License-Identifier: Apache-2.0
/*
 * A stream socket, edge-triggered. An edge is only a note ("the kernel may have more", "it hung
 * up"); conn keeps it in flags and acts on the flags, never on the event itself:
 *
 *     event ──► readable, hung_up          may read = readable, not paused, connected, room in `in`
 *               blocked + EPOLLOUT ──► send what waits in `out`
 *
 * - readable ends with EAGAIN, or with a read that got less than it asked for: all later bytes
 *   bring a new edge. After a hang-up was seen there is no later edge, so reading goes on until
 *   recv says 0.
 * - A callback may close the conn and even start a new connection in the same struct. So after
 *   every callback only flags are looked at (a fresh conn has none set), never what was known
 *   before.
 * - A read that fills its space and whose bytes the owner takes at once marks a stream: then the
 *   reads grow. One that brings little ends that again. A block that got no bytes goes back at
 *   once.
 * - How large they grow was measured, with 1 MiB bodies over loopback: steps of 64 KiB cost 460 to 490 µs
 *   of CPU per body, 128 KiB 280, 160 KiB 160 to 300 (a busy machine); HAProxy's splice 420. Every step wakes the receiver,
 *   and fewer wake-ups save more than copying costs, as long as a step fits the processor's cache.
 */
#include "base/conn_inside.h"

#include "base/fetch.h"
#include "base/sys.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PARTS_MAX = 4,       /* of one conn_write */
    ROOM_MIN = 4 * 1024, /* into less room no read is worth it, if a larger block is allowed */
    JOIN_MAX = 2 * 1024, /* up to here copying costs less than a call that gathers */
};

void conn_weigh(struct conn *conn)
{
    bool bulk = conn->bulk || conn->filled || buf_len(&conn->out) > BUF_SMALL;
    conn->io.lane = conn->shaking ? LANE_HEAVY : bulk ? LANE_BULK : LANE_LIGHT;
}

/* The conn_tell_* functions are the last to act on what was known before them. */

void conn_tell_failed(struct conn *conn, int error)
{
    conn->readable = conn->blocked = conn->connecting = false;
    if (conn->silent) {
        conn->eof_seen = true; // Who was told by IO_FAILED waits for `eof` at most.
        return;
    }
    conn->eof_told = conn->unwritable = conn->silent = true;
    conn->error = error;
    conn->owner->failed(conn);
}

static void conn_tell_bytes(struct conn *conn)
{
    conn->retell = false;
    conn->owner->bytes(conn);
}

static void conn_tell_eof(struct conn *conn)
{
    conn->eof_told = true;
    conn->owner->eof(conn);
}

/* How many bytes the next read asks for, so that blocks are filled; 0: `in` is full. */
static size_t conn_read_size(const struct conn *conn)
{
    size_t len = buf_len(&conn->in);
    size_t limit = conn->in_limit;
    if (conn->bulk && limit < BUF_MIDDLE)
        limit = BUF_MIDDLE;
    if (len >= limit)
        return 0;
    size_t block = conn->bulk ? BUF_MIDDLE : BUF_SMALL;
    if (block < len + ROOM_MIN)
        block = len + ROOM_MIN <= BUF_MIDDLE ? BUF_MIDDLE : BUF_LARGE;
    size_t room = (block < limit ? block : limit) - len;
    return room < BUF_MIDDLE ? room : BUF_MIDDLE;
}

static bool conn_may_read(const struct conn *conn)
{
    return (conn->readable || conn->held) && !conn->paused && !conn->connecting && !conn->eof_told;
}

/* `in` is full, so only a look tells whether the peer is gone behind its last byte. */
static void conn_peek_eof(struct conn *conn)
{
    char byte;
    if (conn->hung_up && recv(conn->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        conn->eof_seen = true;
        conn->readable = false;
        conn->truncated = conn->tls != NULL; // Unless its own end is among what is held.
    }
}

void conn_got_nothing(struct conn *conn, ssize_t got, int error)
{
    if (got < 0 && error == EINTR)
        return;
    conn->readable = false;
    conn_weigh(conn);
    if (got == 0)
        conn->eof_seen = true;
    else if (error != EAGAIN)
        conn_tell_failed(conn, error);
}

/* A read of up to `want` bytes into `in` brought some. */
static void conn_got_bytes(struct conn *conn, size_t got, size_t want)
{
    conn->received += got;
    conn_note_short(conn, got, want);
    conn_note_filled(conn, got, want);
}

/* One recv. True when it brought bytes. */
static bool conn_receive(struct conn *conn)
{
    if (conn->filled && buf_len(&conn->in) == 0)
        conn->bulk = true;
    conn->filled = false;
    size_t want = conn_read_size(conn);
    if (want == 0) {
        conn_peek_eof(conn);
        return false;
    }
    if (conn->tls)
        return conn_receive_sealed(conn, want);
    if (!buf_reserve(conn->loop->shelf, &conn->in, want)) {
        conn_tell_failed(conn, ENOMEM);
        return false;
    }
    ssize_t got = sys_recv(conn->io.fd, conn->in.data + conn->in.end, want, 0);
    if (got <= 0) {
        int error = errno;
        if (buf_len(&conn->in) == 0)
            buf_clear(conn->loop->shelf, &conn->in);
        conn_got_nothing(conn, got, error);
        return false;
    }
    conn->in.end += (uint32_t)got;
    conn_got_bytes(conn, (size_t)got, want);
    return true;
}

size_t conn_fetch_size(const struct conn *conn)
{
    // What is not light waits in its lane, and a stream reads more at a time.
    if (conn->paused || conn->connecting || conn->eof_seen || conn->eof_told ||
        conn->io.lane != LANE_LIGHT || conn->bulk || buf_len(&conn->in) > 0)
        return 0;
    if (!conn->tls)
        return conn_read_size(conn);
    return conn->held || buf_len(&conn->tls->raw) > 0 ? 0 : BUF_SMALL;
}

/* The read that was made ahead brought bytes: they are in `in`, or for TLS to read. The owner may have
 * paused since. False: no memory, told. */
static bool conn_take_bytes(struct conn *conn, struct fetched *fetched)
{
    struct buf *to = conn->tls ? &conn->tls->raw : &conn->in;
    size_t got = (size_t)fetched->got;
    fetched->bytes.end += (uint32_t)got;
    if (buf_len(to) == 0) {
        buf_move(to, &fetched->bytes);
    } else if (!buf_append(conn->loop->shelf, to, buf_bytes(&fetched->bytes))) {
        conn_tell_failed(conn, ENOMEM);
        return false;
    }
    if (conn->tls) {
        conn->held = true;
        conn_note_short(conn, got, fetched->asked);
    } else {
        conn_got_bytes(conn, got, fetched->asked);
    }
    return true;
}

/* Takes what was read ahead for the event that runs. False: that was the end, told. */
static bool conn_take_fetched(struct conn *conn, bool *bytes)
{
    struct fetched *fetched = fetch_take(conn->loop);
    if (!fetched)
        return true;
    if (fetched->got > 0) {
        *bytes = !conn->tls;
        return conn_take_bytes(conn, fetched);
    }
    int error = -fetched->got;
    if (error == 0)
        conn->truncated = conn->tls != NULL;
    conn_got_nothing(conn, error == 0 ? 0 : -1, error);
    return error == 0 || error == EAGAIN || error == EINTR;
}

/* Reads its share, unless that was fetched ahead, and tells the owner what there is to tell; asks for
 * another turn if there may be more. */
static void conn_run_reading(struct conn *conn)
{
    bool fetched = false;
    if (conn->loop->fetch && !conn_take_fetched(conn, &fetched))
        return;
    bool got = fetched ? !conn->paused : conn_may_read(conn) && conn_receive(conn);
    if (got || (conn->retell && !conn->paused && buf_len(&conn->in) > 0))
        conn_tell_bytes(conn);
    if (conn->eof_seen && !conn->held && !conn->eof_told && !conn->paused) {
        conn_tell_eof(conn);
        return;
    }
    if (conn_may_read(conn) && conn_read_size(conn) > 0)
        loop_again(conn->loop, &conn->io, 0);
}

enum io_result conn_write_failed(struct conn *conn, int error)
{
    conn->error = error;
    conn->silent = conn->unwritable = true;
    conn->blocked = false;
    buf_clear(conn->loop->shelf, &conn->out);
    return IO_FAILED;
}

void conn_shut_write(struct conn *conn)
{
    conn->close_write_when_drained = false;
    conn->write_closed = true;
    shutdown(conn->io.fd, SHUT_WR);
}

ssize_t conn_send(struct conn *conn, struct iovec *iov, size_t count)
{
    ssize_t sent;
    do { // After EINTR no edge would follow.
        if (count == 1) {
            sent = sys_send(conn->io.fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
            sent = sendmsg(conn->io.fd, &message, MSG_NOSIGNAL);
        }
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    conn->sent += (uint64_t)sent;
    return sent;
}

/* Keeps what is behind the first `sent` bytes of out + parts, in `out`. False: no memory. */
static bool conn_keep_rest(struct conn *conn, const struct span *parts, size_t n, size_t sent)
{
    size_t from_out = buf_len(&conn->out) < sent ? buf_len(&conn->out) : sent;
    if (from_out > 0)
        buf_consume(conn->loop->shelf, &conn->out, from_out);
    sent -= from_out;
    for (size_t i = 0; i < n; i++) {
        size_t skip = parts[i].len < sent ? parts[i].len : sent;
        sent -= skip;
        if (!buf_append(conn->loop->shelf, &conn->out, span_from(parts[i], skip)))
            return false;
    }
    return true;
}

/* The kernel has room again. */
static void conn_run_writing(struct conn *conn)
{
    if (conn->tls && !conn_seal(conn, NULL, 0)) {
        conn_tell_failed(conn, ENOMEM);
        return;
    }
    struct span waiting = buf_bytes(&conn->out);
    struct iovec iov = {(char *)conn->out.data + conn->out.start, waiting.len};
    ssize_t sent = waiting.len > 0 ? conn_send(conn, &iov, 1) : 0;
    if (sent < 0) {
        int error = errno;
        buf_clear(conn->loop->shelf, &conn->out);
        conn_tell_failed(conn, error);
        return;
    }
    if (sent > 0)
        buf_consume(conn->loop->shelf, &conn->out, (size_t)sent);
    if (conn->tls)
        conn->tls->sealed -= (uint32_t)sent;
    conn_weigh(conn);
    if (buf_len(&conn->out) > 0)
        return;
    conn->blocked = false;
    if (conn->close_write_when_drained)
        conn_shut_write(conn);
    conn->owner->drained(conn);
}

static int conn_take_error(const struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return errno;
    return error;
}

static void conn_finish_connect(struct conn *conn, uint32_t events)
{
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    // Without ERR and HUP a writable socket is a connected one: no need to ask.
    int error = events & (EPOLLERR | EPOLLHUP) ? conn_take_error(conn) : 0;
    if (error == 0 && events & EPOLLHUP && !(events & EPOLLIN))
        error = ENOTCONN;
    if (error != 0) {
        conn_tell_failed(conn, error);
        return;
    }
    if (conn->tls) {
        conn->shaking = true;
        conn_weigh(conn);
        conn_shake(conn, 0);
        return;
    }
    conn->connecting = false;
    conn->owner->connected(conn);
}

/* An error while nobody reads: told now, unless bytes from before it are still to be read. */
static void conn_check_dead(struct conn *conn)
{
    int unread = 0;
    bool will_read = !conn->eof_told;
    if (will_read && (ioctl(conn->io.fd, FIONREAD, &unread) < 0 || unread > 0))
        return;
    int error = conn_take_error(conn);
    if (error != 0)
        conn_tell_failed(conn, error);
}

static void conn_on_event(struct io *io, uint32_t events)
{
    struct conn *conn = container_of(io, struct conn, io);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->readable = !conn->eof_seen;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->hung_up = true;

    if (conn->shaking)
        conn_shake(conn, events);
    else if (conn->connecting)
        conn_finish_connect(conn, events);
    else if (events & EPOLLERR && (!conn_may_read(conn) || conn_read_size(conn) == 0))
        conn_check_dead(conn);
    if (conn_open(conn) && conn->blocked && !conn->connecting && events & EPOLLOUT)
        conn_run_writing(conn);
    else if (conn_open(conn) && conn->close_write_when_drained && !conn->connecting)
        conn_close_write(conn); // Asked for while connecting.
    if (conn_open(conn) && !conn->connecting)
        conn_run_reading(conn);
}

struct conn *conn_of(struct io *io)
{
    return io->fn == conn_on_event ? container_of(io, struct conn, io) : NULL;
}

bool conn_init(struct conn *conn, struct loop *loop, struct shelf *shelf, int fd, bool connecting,
               const struct conn_owner *owner)
{
    *conn = (struct conn){
        .loop = loop,
        .owner = owner,
        .in_limit = BUF_SMALL,
        .connecting = connecting,
    };
    assert(!loop->shelf || loop->shelf == shelf);
    loop->shelf = shelf;
    io_init(&conn->io, fd, conn_on_event);
    if (loop_add(loop, &conn->io))
        return true;
    conn->io.fd = -1;
    return false;
}

bool conn_preface(struct conn *conn, struct span bytes)
{
    assert(conn->connecting && !conn->shaking);
    return buf_append(conn->loop->shelf, conn->tls ? &conn->tls->wire : &conn->out, bytes);
}

/* Are these few bytes that would leave together with others? */
static bool conn_joins(const struct conn *conn, const struct span *parts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += parts[i].len;
    return total <= JOIN_MAX && (n > 1 || (n == 1 && buf_len(&conn->out) > 0));
}

enum io_result conn_write(struct conn *conn, const struct span *parts, size_t n)
{
    assert(n <= PARTS_MAX);
    if (!conn_open(conn) || conn->unwritable || conn->write_closed)
        return conn_write_failed(conn, conn->error ? conn->error : EPIPE);
    if (conn->tls)
        return conn_write_sealed(conn, parts, n);
    if (conn_joins(conn, parts, n)) {
        if (!conn_keep_rest(conn, parts, n, 0))
            return conn_write_failed(conn, ENOMEM);
        n = 0;
    }
    struct iovec iov[PARTS_MAX + 1];
    size_t count = 0, total = buf_len(&conn->out);
    if (total > 0)
        iov[count++] = (struct iovec){conn->out.data + conn->out.start, total};
    for (size_t i = 0; i < n; i++) {
        total += parts[i].len;
        if (parts[i].len > 0)
            iov[count++] = (struct iovec){(char *)(uintptr_t)parts[i].ptr, parts[i].len};
    }
    if (count == 0)
        return conn->blocked ? IO_WANT_WRITE : IO_DONE;
    ssize_t sent = conn->blocked || conn->connecting ? 0 : conn_send(conn, iov, count);
    if (sent < 0)
        return conn_write_failed(conn, errno);
    conn->blocked = (size_t)sent < total;
    if (!conn->blocked) {
        buf_clear(conn->loop->shelf, &conn->out);
        return IO_DONE;
    }
    if (!conn_keep_rest(conn, parts, n, (size_t)sent))
        return conn_write_failed(conn, ENOMEM);
    conn_weigh(conn);
    return IO_WANT_WRITE;
}

enum io_result conn_flush(struct conn *conn)
{
    return conn_write(conn, NULL, 0);
}

void conn_consume(struct conn *conn, size_t n)
{
    buf_consume(conn->loop->shelf, &conn->in, n);
    if (conn_may_read(conn))
        loop_again(conn->loop, &conn->io, 0);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    conn->retell = false;
    if (conn->io.events == 0) // Otherwise it waits not only to read.
        list_remove(&conn->io.again);
}

void conn_resume(struct conn *conn)
{
    conn->paused = false;
    if (!conn_open(conn) || conn->connecting)
        return;
    conn->retell = buf_len(&conn->in) > 0;
    if (conn->retell || conn_may_read(conn) || (conn->eof_seen && !conn->eof_told))
        loop_again(conn->loop, &conn->io, 0);
}

uint64_t conn_taken(const struct conn *conn)
{
    int waiting = 0;
    if (ioctl(conn->io.fd, SIOCOUTQ, &waiting) < 0)
        waiting = 0;
    return conn->sent - (uint64_t)(unsigned)waiting;
}

void conn_close_write(struct conn *conn)
{
    if (!conn_open(conn) || conn->write_closed || conn->unwritable)
        return;
    if (conn->tls)
        conn_close_write_sealed(conn);
    else if (conn->connecting || buf_len(&conn->out) > 0)
        conn->close_write_when_drained = true;
    else
        conn_shut_write(conn);
}

void conn_close(struct conn *conn)
{
    if (!conn_open(conn))
        return;
    if (conn->tls) {
        conn_say_bye(conn);
        tls_free(conn->tls, conn->loop->shelf);
        conn->tls = NULL;
    }
    buf_clear(conn->loop->shelf, &conn->in);
    buf_clear(conn->loop->shelf, &conn->out);
    loop_close(conn->loop, &conn->io);
    conn->readable = conn->blocked = conn->retell = conn->eof_seen = false;
    conn->shaking = conn->held = false;
}

void conn_reset(struct conn *conn)
{
    if (!conn_open(conn))
        return;
    struct linger abort_now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->io.fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
    conn->unwritable = true; // TLS takes no leave, either.
    conn_close(conn);
}
