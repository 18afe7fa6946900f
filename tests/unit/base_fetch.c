// SPDX-License-Identifier: Apache-2.0
/*
 * Several connections of one loop that have bytes in the same turn, with io_uring and real sockets. A kernel
 * without it skips these tests: then connections receive one by one, which base_conn shows.
 */
#include "base/fetch.h"

#include "base/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = RING_SIZE + 8, PIECE = 100 };

struct crowd;

struct one {
    struct conn conn;
    struct crowd *crowd;
    int peer;
    int bytes, eof, failed;
    size_t taken;
    char last[PIECE];
    void (*then)(struct one *one); /* in `bytes`, behind the rest */
    struct one *other;
};

struct crowd {
    struct loop loop;
    struct shelf *shelf;
    int ring_fd;
    struct one one[MANY];
};

static void on_bytes(struct conn *conn)
{
    struct one *one = container_of(conn, struct one, conn);
    struct span got = buf_bytes(&conn->in);
    assert_true(got.len > 0);
    one->bytes++;
    one->taken += got.len;
    memcpy(one->last, got.ptr, got.len < PIECE ? got.len : PIECE);
    conn_consume(conn, got.len);
    if (one->then)
        one->then(one);
}

static void on_eof(struct conn *conn)
{
    container_of(conn, struct one, conn)->eof++;
}

static void on_failed(struct conn *conn)
{
    container_of(conn, struct one, conn)->failed++;
}

static void on_other(struct conn *conn)
{
    (void)conn;
}

static const struct conn_owner owner = {on_other, on_bytes, on_other, on_eof, on_failed};

static void one_open(struct one *one)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_true(conn_init(&one->conn, &one->crowd->loop, one->crowd->shelf, fds[0], false, &owner));
    one->peer = fds[1];
}

/* With all its connections open, and no event of their beginning left. */
static int crowd_open(void **state)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    assert_true(loop_init(&crowd->loop, crowd));
    crowd->ring_fd = dup(0); // The lowest that is free: the ring gets it.
    close(crowd->ring_fd);
    crowd->loop.fetch = fetch_new();
    crowd->shelf = shelf_new();
    for (int i = 0; i < MANY; i++) {
        crowd->one[i].crowd = crowd;
        one_open(&crowd->one[i]);
    }
    loop_turn(&crowd->loop, 0);
    *state = crowd;
    return 0;
}

static int crowd_close(void **state)
{
    struct crowd *crowd = *state;
    for (int i = 0; i < MANY; i++) {
        conn_close(&crowd->one[i].conn);
        if (crowd->one[i].peer >= 0)
            close(crowd->one[i].peer);
    }
    struct shelf_stats stats;
    shelf_stats(crowd->shelf, &stats);
    assert_int_equal(stats.lent, 0);
    loop_fini(&crowd->loop);
    shelf_free(crowd->shelf);
    free(crowd);
    return 0;
}

static struct crowd *crowd_of(void **state)
{
    struct crowd *crowd = *state;
    if (!crowd->loop.fetch)
        skip();
    return crowd;
}

/* The first connection does `then` to the second when it gets bytes; all are returned. */
static struct one *where_first(struct crowd *crowd, void (*then)(struct one *one))
{
    struct one *one = crowd->one;
    one[0].then = then;
    one[0].other = &one[1];
    return one;
}

static void say(struct one *one, const char *text)
{
    assert_int_equal(write(one->peer, text, strlen(text)), strlen(text));
}

static void each_gets_its_own(void **state)
{
    struct crowd *crowd = crowd_of(state);
    for (int round = 1; round <= 3; round++) {
        char text[32];
        for (int i = 0; i < MANY; i++) {
            snprintf(text, sizeof(text), "round %d to %d", round, i);
            say(&crowd->one[i], text);
        }
        loop_turn(&crowd->loop, 0);
        for (int i = 0; i < MANY; i++) {
            snprintf(text, sizeof(text), "round %d to %d", round, i);
            assert_int_equal(crowd->one[i].bytes, round);
            assert_memory_equal(crowd->one[i].last, text, strlen(text));
            assert_null(crowd->one[i].conn.in.data);
            assert_int_equal(crowd->one[i].conn.received, crowd->one[i].taken);
            assert_false(crowd->one[i].conn.readable);
        }
    }
    struct shelf_stats stats;
    shelf_stats(crowd->shelf, &stats);
    assert_int_equal(stats.lent, 0);
    assert_int_equal(stats.mapped, RING_SIZE);
}

static void close_other(struct one *one)
{
    conn_close(&one->other->conn);
}

static void who_is_closed_meanwhile_hears_nothing(void **state)
{
    struct crowd *crowd = crowd_of(state);
    struct one *one = where_first(crowd, close_other);
    for (int i = 0; i < 3; i++)
        say(&one[i], "bytes");
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[0].bytes, 1);
    assert_int_equal(one[1].bytes + one[1].eof + one[1].failed, 0);
    assert_int_equal(one[2].bytes, 1);
}

static void begin_anew(struct one *one)
{
    conn_close(&one->other->conn);
    close(one->other->peer);
    one_open(one->other);
}

static void who_begins_anew_gets_none_of_the_old_bytes(void **state)
{
    struct crowd *crowd = crowd_of(state);
    struct one *one = where_first(crowd, begin_anew);
    for (int i = 0; i < 2; i++)
        say(&one[i], "old");
    loop_turn(&crowd->loop, 0);
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].bytes + one[1].eof + one[1].failed, 0);
    say(&one[1], "new");
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].taken, 3);
    assert_memory_equal(one[1].last, "new", 3);
}

static void pause_other(struct one *one)
{
    conn_pause(&one->other->conn);
    one->then = NULL;
}

static void who_is_paused_meanwhile_loses_nothing(void **state)
{
    struct crowd *crowd = crowd_of(state);
    struct one *one = where_first(crowd, pause_other);
    for (int i = 0; i < 2; i++)
        say(&one[i], "first");
    loop_turn(&crowd->loop, 0);
    say(&one[1], " second");
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].bytes, 0);
    assert_int_equal(buf_len(&one[1].conn.in), 5);
    conn_resume(&one[1].conn);
    loop_turn(&crowd->loop, 0);
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].taken, 12);
    assert_int_equal(one[1].conn.received, 12);
}

static void make_other_wait(struct one *one)
{
    one->other->conn.io.lane = LANE_BULK;
    loop_again(&one->crowd->loop, &one->other->conn.io, 0);
}

static void who_is_to_wait_meanwhile_loses_nothing(void **state)
{
    struct crowd *crowd = crowd_of(state);
    struct one *one = where_first(crowd, make_other_wait);
    for (int i = 0; i < 2; i++)
        say(&one[i], "first");
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].taken, 5);
    for (int i = 0; i < 2; i++)
        say(&one[i], "second");
    loop_turn(&crowd->loop, 0);
    loop_turn(&crowd->loop, 0);
    assert_int_equal(one[1].taken, 11);
    assert_int_equal(one[1].conn.received, 11);
}

static void ends_and_streams_among_others(void **state)
{
    struct crowd *crowd = crowd_of(state);
    struct one *one = crowd->one;
    static char stream[64 * 1024];
    for (int i = 0; i < 4; i++)
        say(&one[i], "begin");
    close(one[1].peer);
    one[1].peer = -1;
    assert_int_equal(write(one[2].peer, stream, sizeof(stream)), sizeof(stream));
    for (int i = 0; i < 8; i++)
        loop_turn(&crowd->loop, 0);
    assert_int_equal(one[0].taken, 5);
    assert_int_equal(one[1].taken, 5);
    assert_int_equal(one[1].eof + one[1].failed, 1);
    assert_int_equal(one[2].taken, 5 + sizeof(stream));
    assert_int_equal(one[3].eof + one[3].failed, 0);
}

/* The kernel takes the ring away: not a byte is lost, and things go on one by one. */
static void a_broken_ring_is_given_up(void **state)
{
    struct crowd *crowd = crowd_of(state);
    close(crowd->ring_fd);
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < MANY; i++)
            say(&crowd->one[i], "bytes");
        loop_turn(&crowd->loop, 0);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(crowd->one[i].taken, 5 * round);
    }
    // For fetch_free, which closes it.
    assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), crowd->ring_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_gets_its_own, crowd_open, crowd_close),
        cmocka_unit_test_setup_teardown(who_is_closed_meanwhile_hears_nothing, crowd_open,
                                        crowd_close),
        cmocka_unit_test_setup_teardown(who_begins_anew_gets_none_of_the_old_bytes, crowd_open,
                                        crowd_close),
        cmocka_unit_test_setup_teardown(who_is_paused_meanwhile_loses_nothing, crowd_open,
                                        crowd_close),
        cmocka_unit_test_setup_teardown(who_is_to_wait_meanwhile_loses_nothing, crowd_open,
                                        crowd_close),
        cmocka_unit_test_setup_teardown(ends_and_streams_among_others, crowd_open, crowd_close),
        cmocka_unit_test_setup_teardown(a_broken_ring_is_given_up, crowd_open, crowd_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
