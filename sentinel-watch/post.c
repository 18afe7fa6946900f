// SPDX-License-Identifier: Apache-2.0
/*
 * A kept connection on base/conn, its answers read by proto/answer.
 *
 * - What comes while nothing was asked ends the connection: a late 408, a second answer. It can
 *   never be taken for the answer to the next request.
 * - The loop fires timers before it looks at sockets. So when the time is up, what the kernel has
 *   by then is still read; the next tick ends it. After a stop of our own process an answer that
 *   waits is thus not thrown away.
 * - Dead peers are noticed while idle (keepalive) and when sent to (TCP_USER_TIMEOUT), so that the
 *   first signal after a quiet day does not go into the void.
 */
#include "sentinel-watch/post.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LAST_LOOK_MS = 1,
    IDLE_DEAD_MS = 30000, /* a host that vanished is noticed while nothing is sent */
    SENT_DEAD_MS = 2000,  /* and when something was */
};

static void end(struct post *post, enum post_end how)
{
    post_close(post);
    post->owner->ended(post, how);
}

static void say_why(struct post *post, const char *why)
{
    snprintf(post->why, sizeof(post->why), "%s", why);
}

static void on_time(struct timer *timer)
{
    struct post *post = container_of(timer, struct post, timer);
    if (!conn_open(&post->conn)) {
        end(post, post->start);
    } else if (!post->last_look) {
        post->last_look = true;
        loop_timer_start(post->loop, timer, LAST_LOOK_MS);
    } else {
        say_why(post, "no connection in time");
        end(post, post->state == POST_CONNECTING ? POST_UNREACHED : POST_SILENT);
    }
}

static void on_connected(struct conn *conn)
{
    struct post *post = container_of(conn, struct post, conn);
    if (net_is_self(conn->io.fd)) {
        say_why(post, strerror(ECONNREFUSED));
        conn_reset(conn); // So that the port is free for who should listen there.
        end(post, POST_UNREACHED);
        return;
    }
    loop_timer_stop(post->loop, &post->timer);
    post->state = POST_IDLE;
    post->owner->opened(post);
}

/* The answer is whole. Its body lives for the call. */
static void take_answer(struct post *post)
{
    struct answer_reader answer = post->answer;
    post->answer.body = (struct buf){0};
    loop_timer_stop(post->loop, &post->timer);
    post->answers++;
    post->state = POST_IDLE;
    if (!answer.keep_alive || buf_len(&post->conn.in) > 0)
        post_close(post);
    post->owner->answered(post, answer.status, buf_bytes(&answer.body));
    answer_fini(&answer, post->shelf);
}

static void on_bytes(struct conn *conn)
{
    struct post *post = container_of(conn, struct post, conn);
    if (post->state != POST_BUSY) {
        end(post, POST_DROPPED);
        return;
    }
    size_t used;
    enum answer_step step = answer_read(&post->answer, post->shelf, buf_bytes(&conn->in), &used);
    conn_consume(conn, used);
    switch (step) {
    case ANSWER_MORE:
        return;
    case ANSWER_DONE:
        take_answer(post);
        return;
    case ANSWER_BAD:
        end(post, POST_GARBAGE);
        return;
    case ANSWER_NO_MEMORY:
        end(post, POST_OURS);
        return;
    }
}

static void on_drained(struct conn *conn)
{
    (void)conn;
}

static void on_eof(struct conn *conn)
{
    struct post *post = container_of(conn, struct post, conn);
    if (post->state != POST_BUSY)
        end(post, POST_DROPPED);
    else if (answer_whole_at_end(&post->answer))
        take_answer(post);
    else
        end(post, POST_CUT);
}

static void on_failed(struct conn *conn)
{
    struct post *post = container_of(conn, struct post, conn);
    switch (post->state) {
    case POST_CONNECTING:
        say_why(post, conn->tls && tls_error(conn->tls)[0] != '\0' ? tls_error(conn->tls)
                                                                   : strerror(conn->error));
        end(post, POST_UNREACHED);
        return;
    case POST_IDLE:
    case POST_CLOSED:
        end(post, POST_DROPPED);
        return;
    case POST_BUSY:
        end(post, POST_CUT);
        return;
    }
}

static const struct conn_owner conn_owner = {
    .connected = on_connected,
    .bytes = on_bytes,
    .drained = on_drained,
    .eof = on_eof,
    .failed = on_failed,
};

void post_init(struct post *post, struct loop *loop, struct shelf *shelf, size_t body_max,
               const struct post_owner *owner)
{
    *post = (struct post){.loop = loop, .shelf = shelf, .owner = owner, .body_max = body_max};
    post->conn.io.fd = -1;
    timer_init(&post->timer, on_time);
}

static void watch_peer(int fd)
{
    net_keepalive(fd, IDLE_DEAD_MS);
    net_user_timeout(fd, SENT_DEAD_MS);
}

/* False: no memory. */
static bool secure(struct post *post, const struct post_tls *options)
{
    struct tls *tls = options->context
                          ? tls_connect(options->context, options->name, options->session)
                          : NULL;
    if (tls)
        conn_secure(&post->conn, tls);
    return tls || !options->context;
}

/* -1: errno. */
static int connect_to(struct post *post, const struct addr *addr, const struct post_tls *tls)
{
    int fd = net_connect(addr);
    if (fd < 0)
        return -1;
    if (!conn_init(&post->conn, post->loop, post->shelf, fd, true, &conn_owner)) {
        close(fd);
        return -1;
    }
    watch_peer(fd);
    if (secure(post, tls))
        return fd;
    conn_close(&post->conn);
    errno = ENOMEM;
    return -1;
}

void post_open(struct post *post, const struct addr *addr, const struct post_tls *tls,
               int64_t timeout_ms)
{
    post->state = POST_CONNECTING;
    post->answers = 0;
    post->last_look = false;
    bool begun = connect_to(post, addr, tls) >= 0;
    if (!begun) {
        post->start = net_error_is_ours(errno) ? POST_OURS : POST_UNREACHED;
        say_why(post, strerror(errno));
    }
    loop_timer_start(post->loop, &post->timer, begun ? timeout_ms : LAST_LOOK_MS);
}

void post_send(struct post *post, const struct span *parts, size_t n, int64_t timeout_ms)
{
    post->state = POST_BUSY;
    post->last_look = false;
    post->sent_ms = post->loop->now_ms;
    answer_init(&post->answer, false, post->body_max);
    loop_timer_start(post->loop, &post->timer, timeout_ms);
    // Where this fails, an early answer or the end of the stream still comes.
    conn_write(&post->conn, parts, n);
}

void post_close(struct post *post)
{
    loop_timer_stop(post->loop, &post->timer);
    conn_close(&post->conn);
    answer_fini(&post->answer, post->shelf);
    post->state = POST_CLOSED;
}
