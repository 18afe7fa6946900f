// SPDX-License-Identifier: Apache-2.0
/*
 * A connection to one HTTP server that is opened in advance and kept: one request at a time, one
 * answer, and on. Everything is bounded by a time and a size. Whether and when to open it again is
 * its owner's decision.
 *
 *     CLOSED ── post_open ──► CONNECTING ── opened ──► IDLE ── post_send ──► BUSY ── answered ──► IDLE
 *        ▲                        │                     │                     │
 *        └──────── ended ◄────────┴─────────────────────┴─────────────────────┘
 */
#ifndef LIMPET_SENTINEL_WATCH_POST_H
#define LIMPET_SENTINEL_WATCH_POST_H

#include "base/conn.h"
#include "base/net.h"
#include "base/tls.h"
#include "proto/answer.h"

enum post_state { POST_CLOSED, POST_CONNECTING, POST_IDLE, POST_BUSY };

enum post_end {
    POST_UNREACHED, /* no connection, or none in time */
    POST_DROPPED,   /* closed while idle, or it said something unasked */
    POST_CUT,       /* closed before its answer was whole */
    POST_SILENT,    /* no whole answer in time */
    POST_GARBAGE,   /* not HTTP */
    POST_OURS,      /* this process or host could not even try: no verdict */
};

struct post;

/* Called from the loop only; in any of them the post may be opened, used or closed. */
struct post_owner {
    void (*opened)(struct post *post);
    /* The connection is IDLE again, or CLOSED behind an answer that ends it. */
    void (*answered)(struct post *post, uint16_t status, struct span body);
    void (*ended)(struct post *post, enum post_end end);
};

struct post {
    struct conn conn;
    struct timer timer;
    struct loop *loop;
    struct shelf *shelf;
    const struct post_owner *owner;
    enum post_state state;
    bool last_look;      /* the time is up; what has come by now still counts */
    uint32_t answers;    /* on this connection */
    size_t body_max;     /* bytes of an answer's body that are kept */
    int64_t sent_ms;     /* loop time of the last post_send */
    enum post_end start; /* why connecting failed at once */
    char why[96];        /* with POST_UNREACHED: in words */
    struct answer_reader answer;
};

/* The post must outlive the turn it is closed in. */
void post_init(struct post *post, struct loop *loop, struct shelf *shelf, size_t body_max,
               const struct post_owner *owner);
/* How a connection is secured; all zero: not at all. As tls_connect. */
struct post_tls {
    struct tls_context *context;
    const char *name;
    struct tls_session *session;
};
/* Begins to connect; `opened` or `ended` follows. Must be CLOSED. */
void post_open(struct post *post, const struct addr *addr, const struct post_tls *tls,
               int64_t timeout_ms);
/* Must be IDLE. `answered` or `ended` follows. */
void post_send(struct post *post, const struct span *parts, size_t n, int64_t timeout_ms);
/* No callback follows. Harmless when closed. */
void post_close(struct post *post);

#endif
