// SPDX-License-Identifier: Apache-2.0
/*
 * Connections over real sockets: a socketpair where only the order of events matters, TCP loopback
 * where the kernel's behaviour does (resets, refusals, edges). The peer is a plain descriptor.
 */
#include "base/conn.h"
#include "base/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

struct side {
    struct conn conn;
    struct loop loop;
    struct shelf *shelf;
    int peer;
    int connected, bytes, drained, eof, failed;
    bool consume;        /* take everything at once */
    bool pause_in_bytes; /* and stop */
    bool close_in_bytes;
    bool close_in_eof;
    size_t taken;     /* bytes consumed */
    uint64_t largest; /* the most that one call of `bytes` brought */
    char order[64];   /* letters of the callbacks, in order */
};

static struct side *side_of(struct conn *conn)
{
    return container_of(conn, struct side, conn);
}

static void note(struct side *side, char what)
{
    size_t len = strlen(side->order);
    if (len + 1 < sizeof(side->order)) {
        side->order[len] = what;
        side->order[len + 1] = '\0';
    }
}

static void on_connected(struct conn *conn)
{
    side_of(conn)->connected++;
    note(side_of(conn), 'c');
}

static void on_bytes(struct conn *conn)
{
    struct side *side = side_of(conn);
    side->bytes++;
    note(side, 'b');
    if (buf_len(&conn->in) > side->largest)
        side->largest = buf_len(&conn->in);
    if (side->consume) {
        side->taken += buf_len(&conn->in);
        conn_consume(conn, buf_len(&conn->in));
    }
    if (side->pause_in_bytes)
        conn_pause(conn);
    if (side->close_in_bytes)
        conn_close(conn);
}

static void on_drained(struct conn *conn)
{
    side_of(conn)->drained++;
    note(side_of(conn), 'd');
}

static void on_eof(struct conn *conn)
{
    struct side *side = side_of(conn);
    side->eof++;
    note(side, 'e');
    if (side->close_in_eof)
        conn_close(conn);
}

static void on_failed(struct conn *conn)
{
    side_of(conn)->failed++;
    note(side_of(conn), 'f');
}

static const struct conn_owner owner = {on_connected, on_bytes, on_drained, on_eof, on_failed};

static void side_open(struct side *side, int fd, int peer, bool connecting)
{
    memset(side, 0, sizeof(*side));
    side->consume = true;
    side->peer = peer;
    side->shelf = shelf_new();
    assert_true(loop_init(&side->loop, side));
    assert_true(conn_init(&side->conn, &side->loop, side->shelf, fd, connecting, &owner));
}

static void side_end(struct side *side)
{
    conn_close(&side->conn);
    struct shelf_stats stats;
    shelf_stats(side->shelf, &stats);
    assert_int_equal(stats.lent, 0);
    loop_fini(&side->loop);
    shelf_free(side->shelf);
    if (side->peer >= 0)
        close(side->peer);
}

static void side_pair(struct side *side)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    side_open(side, fds[0], fds[1], false);
}

static int listen_loopback(struct addr *addr)
{
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int fd = net_listen(&endpoint.addr, 16, false);
    assert_true(fd >= 0);
    assert_true(net_local_addr(fd, addr));
    return fd;
}

/* Two ends of an established TCP connection. */
static void side_tcp(struct side *side)
{
    struct addr addr;
    int listener = listen_loopback(&addr);
    int fd = net_connect(&addr);
    assert_true(fd >= 0);
    struct pollfd incoming = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&incoming, 1, 2000), 1);
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(peer >= 0);
    close(listener);
    side_open(side, fd, peer, false);
}

static void turns(struct side *side, int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(&side->loop, 0);
}

/* Does it want another turn at once? */
static bool asks(const struct side *side)
{
    return !list_empty(&side->loop.next[LANE_LIGHT]) || !list_empty(&side->loop.next[LANE_BULK]);
}

/* Turns until *counter has this value; fails after two seconds. */
static void until(struct side *side, const int *counter, int value)
{
    int64_t end_ms = side->loop.now_ms + 2000;
    while (*counter < value && side->loop.now_ms < end_ms)
        loop_turn(&side->loop, 50);
    assert_int_equal(*counter, value);
}

static void peer_send(struct side *side, size_t len)
{
    static char zeros[256 * 1024];
    assert_true(len <= sizeof(zeros));
    while (len > 0) {
        ssize_t sent = send(side->peer, zeros, len, MSG_NOSIGNAL);
        if (sent < 0) {
            assert_int_equal(errno, EAGAIN);
            loop_turn(&side->loop, 0);
            continue;
        }
        len -= (size_t)sent;
    }
}

/* What the peer can read now, after having waited a moment for the first byte. */
static size_t peer_read(struct side *side, size_t most)
{
    static char sink[64 * 1024];
    size_t total = 0;
    struct pollfd ready = {.fd = side->peer, .events = POLLIN};
    while (total < most && poll(&ready, 1, 20) == 1) {
        size_t left = most - total;
        ssize_t got = recv(side->peer, sink, left < sizeof(sink) ? left : sizeof(sink), 0);
        if (got <= 0)
            break;
        total += (size_t)got;
    }
    return total;
}

static void peer_reset(struct side *side)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(side->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(side->peer);
    side->peer = -1;
}

static void bytes_arrive_and_leave_no_buffer(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    turns(&side, 2);
    assert_int_equal(side.bytes, 0);
    assert_int_equal(write(side.peer, "hello", 5), 5);
    until(&side, &side.bytes, 1);
    assert_int_equal(side.taken, 5);
    assert_int_equal(side.conn.received, 5);
    assert_null(side.conn.in.data);
    struct shelf_stats stats;
    shelf_stats(side.shelf, &stats);
    assert_int_equal(stats.lent, 0);
    assert_int_equal(stats.mapped, 1);
    // A short read means drained: no further turn is asked for.
    assert_false(asks(&side));
    side_end(&side);
}

static void each_message_brings_its_own_edge(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(write(side.peer, "ping", 4), 4);
        until(&side, &side.bytes, i);
    }
    assert_int_equal(side.taken, 400);
    struct shelf_stats stats;
    shelf_stats(side.shelf, &stats);
    assert_int_equal(stats.mapped, 1);
    side_end(&side);
}

static void one_recv_per_turn_and_more_next_turn(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    peer_send(&side, 40 * 1024);
    until(&side, &side.bytes, 1);
    assert_int_equal(side.taken, BUF_SMALL);
    assert_true(asks(&side));
    loop_turn(&side.loop, 1000); // Does not wait, and reads a larger piece: this is a stream.
    assert_int_equal(side.bytes, 2);
    assert_int_equal(side.taken, 40 * 1024);
    assert_false(asks(&side));
    side_end(&side);
}

static void streams_are_read_in_larger_pieces(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    int size = 1024 * 1024;
    setsockopt(side.peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(side.conn.io.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    peer_send(&side, 200 * 1024);
    while (side.taken < 200 * 1024)
        loop_turn(&side.loop, 100);
    assert_true(side.largest > BUF_SMALL && side.largest <= BUF_MIDDLE);
    // One small message ends it, and a new owner begins without waiting.
    conn_set_owner(&side.conn, &owner);
    assert_int_equal(side.conn.io.lane, LANE_LIGHT);
    assert_int_equal(write(side.peer, "x", 1), 1);
    int before = side.bytes;
    until(&side, &side.bytes, before + 1);
    assert_false(side.conn.bulk);
    assert_int_equal(side.conn.io.lane, LANE_LIGHT);
    side_end(&side);
}

static void unconsumed_bytes_do_not_make_a_stream(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.consume = false;
    peer_send(&side, 40 * 1024);
    while (buf_len(&side.conn.in) < BUF_SMALL)
        loop_turn(&side.loop, 100);
    turns(&side, 5);
    assert_false(side.conn.bulk);
    assert_int_equal(buf_len(&side.conn.in), BUF_SMALL); // in_limit holds
    assert_true(side.conn.readable);
    assert_false(asks(&side)); // and nobody spins
    side_end(&side);
}

static void a_larger_limit_gathers(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.consume = false;
    side.conn.in_limit = BUF_LARGE;
    assert_int_equal(write(side.peer, "head", 4), 4);
    until(&side, &side.bytes, 1);
    peer_send(&side, 80 * 1024);
    for (int i = 0; i < 100 && buf_len(&side.conn.in) < 80 * 1024 + 4; i++)
        loop_turn(&side.loop, 50);
    assert_int_equal(buf_len(&side.conn.in), 80 * 1024 + 4);
    assert_memory_equal(buf_bytes(&side.conn.in).ptr, "head", 4);
    side_end(&side);
}

static void consume_continues_a_full_conn(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.consume = false;
    peer_send(&side, 20 * 1024);
    while (buf_len(&side.conn.in) < BUF_SMALL)
        loop_turn(&side.loop, 100);
    int before = side.bytes;
    turns(&side, 3);
    assert_int_equal(side.bytes, before);
    conn_consume(&side.conn, BUF_SMALL);
    turns(&side, 1);
    assert_int_equal(side.bytes, before + 1);
    assert_int_equal(buf_len(&side.conn.in), 4 * 1024);
    side_end(&side);
}

static void pause_stops_and_resume_goes_on(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    conn_pause(&side.conn);
    assert_int_equal(write(side.peer, "hello", 5), 5);
    turns(&side, 3);
    assert_int_equal(side.bytes, 0);
    assert_null(side.conn.in.data);
    conn_resume(&side.conn);
    assert_int_equal(side.bytes, 0); // never from inside the call
    until(&side, &side.bytes, 1);
    assert_int_equal(side.taken, 5);
    side_end(&side);
}

static void pause_in_the_callback_holds(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.pause_in_bytes = true;
    peer_send(&side, 64 * 1024);
    until(&side, &side.bytes, 1);
    turns(&side, 5);
    assert_int_equal(side.bytes, 1);
    assert_false(asks(&side));
    side.pause_in_bytes = false;
    conn_resume(&side.conn);
    while (side.taken < 64 * 1024)
        loop_turn(&side.loop, 100);
    side_end(&side);
}

static void resume_tells_bytes_that_wait_in_the_buffer(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    side.consume = false;
    assert_int_equal(write(side.peer, "two requests", 12), 12);
    until(&side, &side.bytes, 1);
    turns(&side, 3);
    assert_int_equal(side.bytes, 1);
    side.consume = true;
    conn_resume(&side.conn);
    loop_turn(&side.loop, 1000);
    assert_int_equal(side.bytes, 2);
    assert_int_equal(side.taken, 12);
    side_end(&side);
}

static void resume_after_eof_tells_the_rest(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    side.consume = false;
    assert_int_equal(write(side.peer, "pipelined", 9), 9);
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.eof, 1);
    side.consume = true;
    conn_resume(&side.conn);
    turns(&side, 2);
    assert_string_equal(side.order, "beb");
    assert_int_equal(side.taken, 9);
    assert_int_equal(side.eof, 1);
    side_end(&side);
}

static void eof_comes_after_all_bytes(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    peer_send(&side, 50 * 1024);
    close(side.peer);
    side.peer = -1;
    until(&side, &side.eof, 1);
    assert_int_equal(side.taken, 50 * 1024);
    assert_int_equal(side.failed, 0);
    turns(&side, 3);
    assert_int_equal(side.eof, 1);
    side_end(&side);
}

static void eof_waits_for_resume(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    conn_pause(&side.conn);
    assert_int_equal(write(side.peer, "last", 4), 4);
    shutdown(side.peer, SHUT_WR);
    turns(&side, 5);
    assert_string_equal(side.order, "");
    conn_resume(&side.conn);
    until(&side, &side.eof, 1);
    assert_string_equal(side.order, "be");
    side_end(&side);
}

static void eof_is_told_behind_a_full_buffer(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.consume = false;
    peer_send(&side, BUF_SMALL);
    while (buf_len(&side.conn.in) < BUF_SMALL)
        loop_turn(&side.loop, 100);
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.eof, 1);
    assert_int_equal(buf_len(&side.conn.in), BUF_SMALL);
    side_end(&side);
}

static void half_close_leaves_the_other_half(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.eof, 1);
    struct span answer = SPAN("answer");
    assert_int_equal(conn_write(&side.conn, &answer, 1), IO_DONE);
    assert_int_equal(peer_read(&side, 6), 6);
    conn_close_write(&side.conn);
    char byte;
    struct pollfd ready = {.fd = side.peer, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 1000), 1);
    assert_int_equal(recv(side.peer, &byte, 1, 0), 0);
    turns(&side, 3); // EPOLLHUP arrives; nothing is told twice.
    assert_string_equal(side.order, "e");
    side_end(&side);
}

static void a_reset_fails_once(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    peer_reset(&side);
    until(&side, &side.failed, 1);
    assert_int_equal(side.conn.error, ECONNRESET);
    turns(&side, 3);
    assert_string_equal(side.order, "f");
    struct span late = SPAN("late");
    assert_int_equal(conn_write(&side.conn, &late, 1), IO_FAILED);
    side_end(&side);
}

static void a_reset_is_told_to_a_paused_conn(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    conn_pause(&side.conn);
    peer_reset(&side);
    until(&side, &side.failed, 1);
    assert_int_equal(side.conn.error, ECONNRESET);
    conn_resume(&side.conn);
    turns(&side, 2);
    assert_string_equal(side.order, "f");
    side_end(&side);
}

static void a_reset_after_eof_is_told(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.eof, 1);
    peer_reset(&side);
    until(&side, &side.failed, 1);
    assert_string_equal(side.order, "ef");
    side_end(&side);
}

static void bytes_before_a_reset_are_delivered(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    conn_pause(&side.conn);
    assert_int_equal(write(side.peer, "413", 3), 3);
    turns(&side, 2);
    peer_reset(&side);
    turns(&side, 3);
    assert_string_equal(side.order, "");
    conn_resume(&side.conn);
    until(&side, &side.failed, 1);
    assert_string_equal(side.order, "bf");
    assert_int_equal(side.taken, 3);
    side_end(&side);
}

static void partial_writes_drain(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    turns(&side, 1);
    static char text[64 * 1024];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    struct span parts[3] = {span_of(text, 10), SPAN_NONE, span_of(text + 10, sizeof(text) - 10)};
    size_t sent = 0;
    enum io_result result;
    do {
        result = conn_write(&side.conn, parts, 3);
        sent += sizeof(text);
    } while (result == IO_DONE);
    assert_int_equal(result, IO_WANT_WRITE);
    assert_int_equal(side.conn.sent + buf_len(&side.conn.out), sent);
    struct span tail = SPAN("tail");
    assert_int_equal(conn_write(&side.conn, &tail, 1), IO_WANT_WRITE);
    sent += 4;
    turns(&side, 3);
    assert_int_equal(side.drained, 0);

    size_t got = 0;
    char piece[4096], last[4] = "";
    for (int i = 0; i < 100000 && got < sent; i++) {
        ssize_t n = recv(side.peer, piece, sizeof(piece), MSG_DONTWAIT);
        for (ssize_t at = 0; at < n; at++, got++) {
            if (got < sent - 4)
                assert_int_equal(piece[at], 'a' + got % sizeof(text) % 26);
            else
                last[got - (sent - 4)] = piece[at];
        }
        loop_turn(&side.loop, 0);
    }
    assert_int_equal(got, sent);
    assert_memory_equal(last, "tail", 4);
    assert_int_equal(side.drained, 1);
    assert_int_equal(side.conn.sent, sent);
    assert_null(side.conn.out.data);
    side_end(&side);
}

static void flush_sends_what_the_owner_appended(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    assert_int_equal(conn_flush(&side.conn), IO_DONE);
    assert_true(buf_append(side.shelf, &side.conn.out, SPAN("head ")));
    struct span body = SPAN("body");
    assert_int_equal(conn_write(&side.conn, &body, 1), IO_DONE); // one system call, in order
    char text[16];
    assert_int_equal(recv(side.peer, text, sizeof(text), 0), 9);
    assert_memory_equal(text, "head body", 9);
    assert_true(buf_append(side.shelf, &side.conn.out, SPAN("more")));
    assert_int_equal(conn_flush(&side.conn), IO_DONE);
    assert_int_equal(recv(side.peer, text, sizeof(text), 0), 4);
    assert_null(side.conn.out.data);
    turns(&side, 2);
    assert_int_equal(side.drained, 0); // nothing ever waited
    side_end(&side);
}

static size_t fill(struct side *side)
{
    static char text[32 * 1024];
    struct span part = span_of(text, sizeof(text));
    size_t sent = sizeof(text);
    while (conn_write(&side->conn, &part, 1) == IO_DONE)
        sent += sizeof(text);
    return sent;
}

static void who_waits_for_a_run_is_not_quiet(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    turns(&side, 1);
    assert_true(conn_quiet(&side.conn));
    loop_again(&side.loop, &side.conn.io, EPOLLIN); // Something came, and was not looked at yet.
    assert_false(conn_quiet(&side.conn));
    turns(&side, 1);
    assert_true(conn_quiet(&side.conn));
    side_end(&side);
}

/* It waits with its event, and stops reading meanwhile. */
static void a_pause_in_the_lane_stops_no_writing(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    turns(&side, 1);
    size_t sent = fill(&side);
    assert_int_equal(side.conn.io.lane, LANE_BULK);
    size_t before = buf_len(&side.conn.out);
    for (size_t got = 0; got < sent - before;)
        got += peer_read(&side, sent - got);
    struct epoll_event event; // As if the loop had taken it, and let it wait.
    assert_int_equal(epoll_wait(side.loop.epfd, &event, 1, 0), 1);
    assert_true(event.events & EPOLLOUT);
    loop_again(&side.loop, &side.conn.io, event.events);
    conn_pause(&side.conn);
    turns(&side, 1);
    assert_true(buf_len(&side.conn.out) < before);
    assert_false(asks(&side));
    side_end(&side);
}

static void close_write_waits_for_the_rest(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    size_t sent = fill(&side);
    conn_close_write(&side.conn);
    assert_false(side.conn.write_closed);
    size_t got = 0;
    while (got < sent) {
        got += peer_read(&side, sent - got);
        loop_turn(&side.loop, 0);
    }
    until(&side, &side.drained, 1);
    assert_true(side.conn.write_closed);
    char byte;
    struct pollfd ready = {.fd = side.peer, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 1000), 1);
    assert_int_equal(recv(side.peer, &byte, 1, 0), 0);
    side_end(&side);
}

static void a_dead_peer_fails_a_waiting_write(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    turns(&side, 1);
    fill(&side);
    peer_reset(&side);
    until(&side, &side.failed, 1);
    assert_string_equal(side.order, "f");
    side_end(&side);
}

static void an_early_answer_survives_a_failed_write(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    assert_int_equal(write(side.peer, "413", 3), 3);
    close(side.peer);
    side.peer = -1;
    struct span body = SPAN("body");
    assert_int_equal(conn_write(&side.conn, &body, 1), IO_FAILED);
    assert_int_equal(side.conn.error, EPIPE);
    until(&side, &side.eof, 1);
    assert_string_equal(side.order, "be");
    assert_int_equal(side.taken, 3);
    side_end(&side);
}

static void too_much_for_the_buffer_fails(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    static char text[64 * 1024];
    struct span part = span_of(text, sizeof(text));
    enum io_result result = IO_DONE;
    for (int i = 0; i < 50 && result != IO_FAILED; i++)
        result = conn_write(&side.conn, &part, 1);
    assert_int_equal(result, IO_FAILED);
    assert_int_equal(side.conn.error, ENOMEM);
    side_end(&side);
}

static void connects_and_sends_what_was_written_before(void **state)
{
    (void)state;
    struct addr addr;
    int listener = listen_loopback(&addr);
    struct side side;
    side_open(&side, net_connect(&addr), -1, true);
    struct span early = SPAN("early");
    assert_int_equal(conn_write(&side.conn, &early, 1), IO_WANT_WRITE);
    until(&side, &side.connected, 1);
    until(&side, &side.drained, 1);
    assert_string_equal(side.order, "cd");
    struct pollfd incoming = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&incoming, 1, 2000), 1);
    side.peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(peer_read(&side, 5), 5);
    close(listener);
    side_end(&side);
}

static void connect_then_close_write_at_once(void **state)
{
    (void)state;
    struct addr addr;
    int listener = listen_loopback(&addr);
    struct side side;
    side_open(&side, net_connect(&addr), -1, true);
    conn_close_write(&side.conn);
    until(&side, &side.connected, 1);
    assert_true(side.conn.write_closed);
    close(listener);
    side_end(&side);
}

static void a_refused_connect_fails(void **state)
{
    (void)state;
    struct addr addr;
    close(listen_loopback(&addr));
    struct side side;
    int fd = net_connect(&addr);
    assert_true(fd >= 0);
    side_open(&side, fd, -1, true);
    until(&side, &side.failed, 1);
    assert_int_equal(side.conn.error, ECONNREFUSED);
    assert_string_equal(side.order, "f");
    side_end(&side);
}

static struct addr retry_addr;

static void retry_on_failed(struct conn *conn)
{
    struct side *side = side_of(conn);
    side->failed++;
    conn_close(conn);
    static const struct conn_owner second = {on_connected, on_bytes, on_drained, on_eof, on_failed};
    assert_true(conn_init(conn, &side->loop, side->shelf, net_connect(&retry_addr), true, &second));
}

static void a_new_connection_may_begin_in_the_callback(void **state)
{
    (void)state;
    static const struct conn_owner first = {on_connected, on_bytes, on_drained, on_eof,
                                            retry_on_failed};
    struct addr closed;
    close(listen_loopback(&closed));
    int listener = listen_loopback(&retry_addr);
    struct side side;
    side_open(&side, net_connect(&closed), -1, true);
    conn_set_owner(&side.conn, &first);
    until(&side, &side.failed, 1);
    until(&side, &side.connected, 1);
    assert_string_equal(side.order, "c");
    close(listener);
    side_end(&side);
}

static void close_in_a_callback_is_the_end(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    side.close_in_bytes = true;
    peer_send(&side, 40 * 1024);
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.bytes, 1);
    turns(&side, 3);
    assert_string_equal(side.order, "b");
    assert_false(conn_open(&side.conn));
    conn_close(&side.conn); // harmless
    conn_resume(&side.conn);
    struct span late = SPAN("late");
    assert_int_equal(conn_write(&side.conn, &late, 1), IO_FAILED);
    side_end(&side);
}

static void close_in_eof(void **state)
{
    (void)state;
    struct side side;
    side_pair(&side);
    side.close_in_eof = true;
    shutdown(side.peer, SHUT_WR);
    until(&side, &side.eof, 1);
    turns(&side, 2);
    assert_string_equal(side.order, "e");
    side_end(&side);
}

static void reset_is_seen_as_reset(void **state)
{
    (void)state;
    struct side side;
    side_tcp(&side);
    conn_reset(&side.conn);
    char byte;
    struct pollfd ready = {.fd = side.peer, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 1000), 1);
    assert_int_equal(recv(side.peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    side_end(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_and_leave_no_buffer),
        cmocka_unit_test(each_message_brings_its_own_edge),
        cmocka_unit_test(one_recv_per_turn_and_more_next_turn),
        cmocka_unit_test(streams_are_read_in_larger_pieces),
        cmocka_unit_test(unconsumed_bytes_do_not_make_a_stream),
        cmocka_unit_test(a_larger_limit_gathers),
        cmocka_unit_test(consume_continues_a_full_conn),
        cmocka_unit_test(pause_stops_and_resume_goes_on),
        cmocka_unit_test(pause_in_the_callback_holds),
        cmocka_unit_test(resume_tells_bytes_that_wait_in_the_buffer),
        cmocka_unit_test(resume_after_eof_tells_the_rest),
        cmocka_unit_test(eof_comes_after_all_bytes),
        cmocka_unit_test(eof_waits_for_resume),
        cmocka_unit_test(eof_is_told_behind_a_full_buffer),
        cmocka_unit_test(half_close_leaves_the_other_half),
        cmocka_unit_test(a_reset_fails_once),
        cmocka_unit_test(a_reset_is_told_to_a_paused_conn),
        cmocka_unit_test(a_reset_after_eof_is_told),
        cmocka_unit_test(bytes_before_a_reset_are_delivered),
        cmocka_unit_test(partial_writes_drain),
        cmocka_unit_test(flush_sends_what_the_owner_appended),
        cmocka_unit_test(who_waits_for_a_run_is_not_quiet),
        cmocka_unit_test(a_pause_in_the_lane_stops_no_writing),
        cmocka_unit_test(close_write_waits_for_the_rest),
        cmocka_unit_test(a_dead_peer_fails_a_waiting_write),
        cmocka_unit_test(an_early_answer_survives_a_failed_write),
        cmocka_unit_test(too_much_for_the_buffer_fails),
        cmocka_unit_test(connects_and_sends_what_was_written_before),
        cmocka_unit_test(connect_then_close_write_at_once),
        cmocka_unit_test(a_refused_connect_fails),
        cmocka_unit_test(a_new_connection_may_begin_in_the_callback),
        cmocka_unit_test(close_in_a_callback_is_the_end),
        cmocka_unit_test(close_in_eof),
        cmocka_unit_test(reset_is_seen_as_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
