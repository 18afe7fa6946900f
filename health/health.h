// SPDX-License-Identifier: Apache-2.0
/*
 * May this server get traffic? One struct health holds the checks of one backend; it lives on
 * control's loop, knows addresses and answers, never clients, and publishes verdicts only when they
 * change (one log line each: old → new, why, after how long).
 *
 * Active: TCP connect, HTTP request or Engine.IO handshake (which closes the session that it
 * opened) every interval, less up to a tenth at random, first within min(interval, 1 s); in doubt
 * (a check failed while up, or succeeded while down) the next comes after interval / 4, at most a
 * second, all from begin to begin. rise and fall count in a row. A probe that expired because our
 * own loop was late (the process was stopped or starved) is repeated, not counted; one that could
 * not even be tried (no descriptors) changes nothing.
 *
 * Passive: failures seen in live traffic. max_fails within fail_timeout put a server in doubt: with
 * active checks, it is probed at once and that probe's failure takes it down; without, it is down
 * for fail_timeout, and after that any one failure within fail_timeout is enough. Passive marking
 * never takes the last half of a backend (rounded up) down. A refused connection is probed at once,
 * and down if that probe is refused too, whatever `fall` says.
 */
#ifndef LIMPET_HEALTH_HEALTH_H
#define LIMPET_HEALTH_HEALTH_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/rand.h"
#include "config/config.h"

enum health_state { HEALTH_UP, HEALTH_DOWN, HEALTH_UNCHECKED };

enum health_event {
    HEALTH_EVENT_REFUSED,  /* connection refused (or no such socket, no route) */
    HEALTH_EVENT_CONNECT,  /* connecting timed out or failed otherwise */
    HEALTH_EVENT_RESPONSE, /* no, broken or malformed answer: reset, timeout, 502 material */
};

/* HAProxy's check status words. */
enum check_status {
    CHECK_UNK,
    CHECK_INI,
    CHECK_L4OK,
    CHECK_L4TOUT,
    CHECK_L4CON,
    CHECK_L6OK, /* TLS */
    CHECK_L6TOUT,
    CHECK_L6RSP,
    CHECK_L7OK,
    CHECK_L7TOUT,
    CHECK_L7RSP,
    CHECK_L7STS,
    CHECK_SOCKERR
};
const char *check_status_word(enum check_status status); /* "L4OK" */
const char *check_status_text(enum check_status status); /* "Layer4 check passed" */

/* What stats show of one server. */
struct health_status {
    enum health_state state;
    enum check_status check;
    int code;            /* HTTP status of the last check, 0 = none */
    int64_t duration_ms; /* of the last check, -1 = none yet */
    char detail[96];     /* e.g. "Connection refused"; no comma, quote or control character */
    int good, bad;       /* checks in a row */
    uint64_t checks, failed_checks, downs;
    int64_t changed_ms;    /* monotonic; of the last change of state */
    int64_t down_total_ms; /* up to the last change */
    bool forced;           /* health_force set it */
};

struct health;
struct tls_context;
/* Called on control's thread, only when the state changed. why: "Connection refused" or the like;
 * lives for the call. */
typedef void health_verdict_fn(void *ctx, size_t server, enum health_state old,
                               enum health_state now, const char *why);

/*
 * Servers begin up (unchecked without active checks): nobody waits for the first check. A server
 * whose first check fails goes down at that failure, one whose first check was good at the second
 * failure in a row, and so on up to `fall` (HAProxy's way). `config` must outlive it; aborts
 * without memory.
 */
struct health *health_new(struct loop *loop, struct shelf *shelf, struct rng *rng,
                          const struct config_backend *config, health_verdict_fn *verdict,
                          void *ctx);
/* Its checks speak TLS by this context, of which a reference is taken. Before the first address. */
void health_use_tls(struct health *health, struct tls_context *context);
void health_free(struct health *health);
/* It is known to be down from before: its checks must bring it up. Without effect when there are none. */
void health_begin_down(struct health *health, size_t server);
/* Takes over what another struct health (of another configuration) knows of the same server: state,
 * counts, address, and when it was to be checked next. Does not change `old`. */
void health_adopt(struct health *health, size_t server, const struct health *old,
                  size_t old_server);
/* Where to probe; checks of a server begin with its first address, and start over with a different
 * one. */
void health_set_addr(struct health *health, size_t server, const struct addr *addr);
/* Live traffic had trouble. Of no effect while the server is down or paused. */
void health_report(struct health *health, size_t server, enum health_event event);
void health_pause(struct health *health, size_t server,
                  bool paused); /* no checks in maint; start over after it */
void health_force(struct health *health, size_t server,
                  enum health_state state); /* runtime API; checks go on and may change it */
const struct health_status *health_status(const struct health *health, size_t server);

#endif
