// SPDX-License-Identifier: Apache-2.0
/*
 * Commands wait in a ring for their answers, in the order in which they were sent; RESP2 has no
 * other way to tell them apart. While subscribed, arrays that begin with "message" or "pmessage"
 * belong to nobody in the ring; everything else does, also the answers to SUBSCRIBE itself and to
 * PING, which is ["pong", ""] then. That is how a heartbeat works on a subscribed connection.
 *
 *     CONNECTING ──► (AUTH) ──► READY ──► ended             any state ──► ended
 *
 * - Commands are written at once, behind AUTH when that has not been answered: nothing waits for a
 *   round trip.
 * - One timer: it fires when the oldest answer is due, or when a heartbeat is. Like proto/call it
 *   takes a last look: timers come before sockets in a turn, and after a stop of our own process the
 *   answer may lie in the kernel already.
 * - A connection to a closed port of this host may be answered by itself (TCP's simultaneous open);
 *   it counts as refused, and is reset, so that the port is free for the server that belongs there.
 */
#include "base/redis.h"

#include "base/conn.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PENDING_MAX = 64, /* a power of two */
    ARGS_MAX = 16,
    LAST_LOOK_MS = 1,
};

struct pending {
    redis_answer_fn *answer;
    void *ctx;
    int64_t sent_ms;
};

struct redis {
    struct conn conn;
    struct loop *loop;
    struct shelf *shelf;
    const struct redis_owner *owner;
    void *ctx;
    struct resp_reader *reader;
    struct timer timer;
    struct grave grave;
    int64_t timeout_ms, heartbeat_ms;
    int64_t began_ms, heard_ms;
    struct pending ring[PENDING_MAX];
    size_t first, count; /* of the ring */
    bool connected;
    bool ready;
    bool subscribed;
    bool last_look;
    bool ended;
    char why[160]; /* of an error answer to AUTH */
};

const char *redis_end_word(enum redis_end end)
{
    static const char *const words[] = {
        [REDIS_CONNECT_FAILED] = "connect_failed",
        [REDIS_CLOSED] = "closed",
        [REDIS_SILENT] = "silent",
        [REDIS_BAD_REPLY] = "bad_reply",
        [REDIS_REFUSED] = "refused",
        [REDIS_NO_MEMORY] = "no_memory",
    };
    return words[end];
}

/* ---- the end ---- */

static void redis_bury(struct grave *grave)
{
    struct redis *redis = container_of(grave, struct redis, grave);
    resp_reader_free(redis->reader);
    free(redis);
}

void redis_free(struct redis *redis)
{
    if (!redis || redis->ended)
        return;
    redis->ended = true;
    loop_timer_stop(redis->loop, &redis->timer);
    conn_close(&redis->conn);
    loop_bury(redis->loop, &redis->grave);
}

static void redis_end(struct redis *redis, enum redis_end end, const char *why)
{
    if (redis->ended)
        return;
    redis_free(redis);
    redis->owner->ended(redis->ctx, end, why);
}

/* ---- time ---- */

static void redis_arm(struct redis *redis)
{
    int64_t at = INT64_MAX;
    if (!redis->ready)
        at = redis->began_ms + redis->timeout_ms;
    if (redis->count > 0 && redis->ring[redis->first].sent_ms + redis->timeout_ms < at)
        at = redis->ring[redis->first].sent_ms + redis->timeout_ms;
    else if (redis->ready && redis->count == 0 && redis->heartbeat_ms > 0)
        at = redis->heard_ms + redis->heartbeat_ms;
    if (at == INT64_MAX)
        loop_timer_stop(redis->loop, &redis->timer);
    else
        loop_timer_start(redis->loop, &redis->timer,
                         at > redis->loop->now_ms ? at - redis->loop->now_ms : 0);
}

static bool redis_overdue(const struct redis *redis)
{
    int64_t now = redis->loop->now_ms;
    bool connecting = !redis->ready && now >= redis->began_ms + redis->timeout_ms;
    return connecting ||
           (redis->count > 0 && now >= redis->ring[redis->first].sent_ms + redis->timeout_ms);
}

static void redis_tick(struct timer *timer)
{
    struct redis *redis = container_of(timer, struct redis, timer);
    if (redis_overdue(redis)) {
        if (redis->last_look) {
            redis_end(redis, REDIS_SILENT,
                      redis->connected ? "no answer in time" : "no connection in time");
            return;
        }
        redis->last_look = true;
        loop_timer_start(redis->loop, timer, LAST_LOOK_MS);
        return;
    }
    redis->last_look = false;
    bool due = redis->ready && redis->count == 0 && redis->heartbeat_ms > 0 &&
               redis->loop->now_ms >= redis->heard_ms + redis->heartbeat_ms;
    if (due)
        redis_command(redis, NULL, NULL, "PING", NULL);
    if (!redis->ended)
        redis_arm(redis);
}

/* ---- commands ---- */

bool redis_command_argv(struct redis *redis, redis_answer_fn *answer, void *ctx, size_t argc,
                        const struct span *argv)
{
    struct text command = {0};
    if (redis->ended || redis->count == PENDING_MAX)
        return false;
    bool good = resp_format(&command, argc, argv);
    struct span bytes = span_of(command.data, command.len);
    good = good && conn_write(&redis->conn, &bytes, 1) != IO_FAILED;
    text_free(&command);
    if (!good)
        return false;
    size_t at = (redis->first + redis->count++) & (PENDING_MAX - 1);
    redis->ring[at] = (struct pending){answer, ctx, redis->loop->now_ms};
    redis_arm(redis);
    return true;
}

bool redis_command(struct redis *redis, redis_answer_fn *answer, void *ctx, ...)
{
    struct span argv[ARGS_MAX];
    size_t argc = 0;
    va_list args;
    va_start(args, ctx);
    for (const char *arg = va_arg(args, const char *); arg && argc < ARGS_MAX;
         arg = va_arg(args, const char *))
        argv[argc++] = span_str(arg);
    va_end(args);
    return redis_command_argv(redis, answer, ctx, argc, argv);
}

/* ---- answers ---- */

static void redis_become_ready(struct redis *redis)
{
    redis->ready = true;
    redis_arm(redis);
    if (redis->owner->ready)
        redis->owner->ready(redis->ctx);
}

/* redis_answer_fn of AUTH. A server that wants no password is told one in vain, and fine. */
static void redis_authenticated(void *ctx, const struct resp *answer)
{
    struct redis *redis = ctx;
    bool no_need = answer->type == RESP_ERROR &&
                   (span_find(answer->text, SPAN("without any password configured")) != SIZE_MAX ||
                    span_find(answer->text, SPAN("no password is set")) != SIZE_MAX);
    if (answer->type == RESP_STATUS || no_need) {
        redis_become_ready(redis);
        return;
    }
    log_escape(span_upto(answer->text, 64), redis->why, sizeof(redis->why) - 1);
    redis_end(redis, REDIS_REFUSED, redis->why);
}

static bool is_message(const struct redis *redis, const struct resp *reply)
{
    if (!redis->subscribed || reply->type != RESP_ARRAY)
        return false;
    struct span kind = resp_text(reply, 0);
    return (reply->count == 3 && span_eq(kind, SPAN("message"))) ||
           (reply->count == 4 && span_eq(kind, SPAN("pmessage")));
}

static void redis_take(struct redis *redis, const struct resp *reply)
{
    if (is_message(redis, reply)) {
        if (redis->owner->message)
            redis->owner->message(redis->ctx, resp_text(reply, reply->count - 2),
                                  resp_text(reply, reply->count - 1));
        return;
    }
    if (redis->count == 0) {
        redis_end(redis, REDIS_BAD_REPLY, "an answer to nothing");
        return;
    }
    struct pending pending = redis->ring[redis->first];
    redis->first = (redis->first + 1) & (PENDING_MAX - 1);
    redis->count--;
    struct span kind = resp_text(reply, 0);
    if (span_eq(kind, SPAN("subscribe")) || span_eq(kind, SPAN("psubscribe")))
        redis->subscribed = true;
    if (pending.answer)
        pending.answer(pending.ctx, reply);
}

/* ---- conn's events ---- */

static struct redis *redis_of(struct conn *conn)
{
    return container_of(conn, struct redis, conn);
}

static void redis_on_connected(struct conn *conn)
{
    struct redis *redis = redis_of(conn);
    struct addr local, peer;
    if (net_local_addr(conn->io.fd, &local) && net_peer_addr(conn->io.fd, &peer) &&
        local.any.sa_family != AF_UNIX && addr_eq(&local, &peer)) {
        conn_reset(conn);
        redis_end(redis, REDIS_CONNECT_FAILED, strerror(ECONNREFUSED));
        return;
    }
    redis->connected = true;
    redis->heard_ms = redis->loop->now_ms;
    // With AUTH under way its answer says whether we are in.
    bool auth = redis->count > 0 && redis->ring[redis->first].answer == redis_authenticated;
    if (!auth)
        redis_become_ready(redis);
}

static void redis_on_bytes(struct conn *conn)
{
    struct redis *redis = redis_of(conn);
    redis->heard_ms = redis->loop->now_ms;
    redis->last_look = false;
    bool fed = resp_reader_feed(redis->reader, buf_bytes(&conn->in));
    conn_consume(conn, buf_len(&conn->in));
    struct resp *reply = NULL;
    while (!redis->ended && resp_reader_next(redis->reader, &reply) == RESP_WHOLE) {
        redis_take(redis, reply);
        resp_free(reply);
    }
    if (redis->ended)
        return;
    const char *error = resp_reader_error(redis->reader);
    if (!fed || *error)
        redis_end(redis, REDIS_BAD_REPLY, error);
    else
        redis_arm(redis);
}

static void redis_on_drained(struct conn *conn)
{
    (void)conn; // Commands are small and few.
}

static void redis_on_eof(struct conn *conn)
{
    redis_end(redis_of(conn), REDIS_CLOSED, "closed by the server");
}

static void redis_on_failed(struct conn *conn)
{
    struct redis *redis = redis_of(conn);
    redis_end(redis, redis->connected ? REDIS_CLOSED : REDIS_CONNECT_FAILED, strerror(conn->error));
}

static const struct conn_owner redis_conn_owner = {
    .connected = redis_on_connected,
    .bytes = redis_on_bytes,
    .drained = redis_on_drained,
    .eof = redis_on_eof,
    .failed = redis_on_failed,
};

/* ---- beginning ---- */

/* The kernel gives up on unacknowledged bytes as early as we do. */
static void set_socket_limits(int fd, int64_t timeout_ms)
{
    unsigned limit = (unsigned)timeout_ms;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
}

static bool redis_connect(struct redis *redis, const struct addr *addr)
{
    int fd = net_connect(addr);
    if (fd < 0)
        return false;
    if (addr->any.sa_family != AF_UNIX)
        set_socket_limits(fd, redis->timeout_ms);
    if (conn_init(&redis->conn, redis->loop, redis->shelf, fd, true, &redis_conn_owner))
        return true;
    int error = errno;
    close(fd);
    errno = error;
    return false;
}

static void redis_authenticate(struct redis *redis, const struct redis_options *options)
{
    if (options->password && options->username)
        redis_command(redis, redis_authenticated, redis, "AUTH", options->username,
                      options->password, NULL);
    else if (options->password)
        redis_command(redis, redis_authenticated, redis, "AUTH", options->password, NULL);
}

struct redis *redis_new(struct loop *loop, struct shelf *shelf, const struct redis_options *options,
                        const struct redis_owner *owner, void *ctx)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    if (!redis)
        return NULL;
    redis->loop = loop;
    redis->shelf = shelf;
    redis->owner = owner;
    redis->ctx = ctx;
    redis->timeout_ms = options->timeout_ms;
    redis->heartbeat_ms = options->heartbeat_ms;
    redis->began_ms = redis->heard_ms = loop->now_ms;
    redis->grave.fn = redis_bury;
    timer_init(&redis->timer, redis_tick);
    redis->reader = resp_reader_new();
    if (!redis->reader || !redis_connect(redis, &options->addr)) {
        int error = redis->reader ? errno : ENOMEM;
        resp_reader_free(redis->reader);
        free(redis);
        errno = error;
        return NULL;
    }
    redis_authenticate(redis, options);
    redis_arm(redis);
    return redis;
}

bool redis_ready(const struct redis *redis)
{
    return redis->ready;
}

int64_t redis_heard_ms(const struct redis *redis)
{
    return redis->heard_ms;
}
