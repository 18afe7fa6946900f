// SPDX-License-Identifier: Apache-2.0
/*
 * One connection to a Redis server or a sentinel, on the caller's loop: connect, AUTH, commands in a
 * pipeline, messages of subscriptions, and a heartbeat that also works while subscribed. It ends
 * once and stays ended: whether and when to connect again is its owner's decision.
 *
 * Everything is bounded: the connect, each answer's time, its size (base/resp.h), and how many
 * commands may wait.
 */
#ifndef LIMPET_BASE_REDIS_H
#define LIMPET_BASE_REDIS_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/resp.h"

struct redis;

enum redis_end {
    REDIS_CONNECT_FAILED, /* refused, unreachable */
    REDIS_CLOSED,         /* by the other side, or reset */
    REDIS_SILENT,         /* connected, but no answer in time; also no connection in time */
    REDIS_BAD_REPLY,      /* not Redis' protocol, too large, or an answer to nothing */
    REDIS_REFUSED,        /* AUTH was answered with an error */
    REDIS_NO_MEMORY,
};
const char *redis_end_word(enum redis_end end); /* "connect_failed" */

/* Callbacks come from the loop only. In any of them the connection may be freed. */
struct redis_owner {
    /* Connected and authenticated. May be NULL: commands can be sent from the start on. */
    void (*ready)(void *ctx);
    /* A message of a subscription; the spans live for the call. May be NULL. */
    void (*message)(void *ctx, struct span channel, struct span payload);
    /* Once; `why` is a phrase. Answers that have not come do not come any more. The connection is
     * freed behind it. */
    void (*ended)(void *ctx, enum redis_end end, const char *why);
};

struct redis_options {
    struct addr addr;
    const char *username; /* NULL: the default user. Both texts are copied. */
    const char *password; /* NULL: no AUTH */
    int64_t timeout_ms;   /* for the connection, and for each answer */
    int64_t heartbeat_ms; /* PING when nothing was heard for so long; 0: never */
};

/* NULL: errno; `ended` does not follow. */
struct redis *redis_new(struct loop *loop, struct shelf *shelf, const struct redis_options *options,
                        const struct redis_owner *owner, void *ctx);
/* Closes at once; no callback follows. NULL is fine. */
void redis_free(struct redis *redis);

/* The answer to a command: also RESP_ERROR. Lives for the call. */
typedef void redis_answer_fn(void *ctx, const struct resp *answer);

/*
 * Sends a command: C strings up to a NULL. (P)SUBSCRIBE with one channel has one answer, and turns
 * the connection into a subscribed one. `answer` may be NULL. False: too many wait, or no memory;
 * `ended` follows soon if that is for good.
 */
bool redis_command(struct redis *redis, redis_answer_fn *answer, void *ctx, ...)
    __attribute__((sentinel));
bool redis_command_argv(struct redis *redis, redis_answer_fn *answer, void *ctx, size_t argc,
                        const struct span *argv);

bool redis_ready(const struct redis *redis);
int64_t redis_heard_ms(const struct redis *redis); /* loop time of the last byte that came */

#endif
