// SPDX-License-Identifier: Apache-2.0
/*
 * A small, strict HTTP/1.1 server for the admin side: pages, metrics, probes, and server-sent
 * events. GET, HEAD and POST with small bodies, keep-alive, nothing else. Everything is bounded:
 * connections, streams, what a request may be, what waits to be read, and every wait. A reader that
 * is slow or silent is dropped; it delays nobody.
 *
 * A request is answered at once, by a function that sees it whole. Runs on the caller's loop.
 */
#ifndef LIMPET_PROTO_SERVE_H
#define LIMPET_PROTO_SERVE_H

#include "base/conn.h"
#include "proto/head.h"

enum {
    SERVE_HEAD_MAX = 8 * 1024, /* of a request, with its empty line */
    SERVE_BODY_MAX = 4 * 1024,
};

struct serve;

/* A request, whole. All spans live for the call. */
struct serve_request {
    bool is_post;      /* else GET, or HEAD, which is answered like GET without its body */
    struct span path;  /* as sent, up to '?' */
    struct span query; /* behind it */
    struct span host;  /* host[:port]; empty in HTTP/1.0 without one */
    struct span origin;
    struct span content_type;
    struct span last_event_id; /* of a reader of events that comes back */
    struct span body;
};

struct serve_answer {
    uint16_t status;     /* 200 unless set */
    const char *type;    /* Content-Type; "text/plain; charset=utf-8" unless set */
    const char *headers; /* further fields, each with its CRLF; NULL: none. Must outlive the call */
    char *text;          /* from malloc: becomes serve's; used when not NULL */
    size_t text_len;
    struct span fixed; /* else this body, which lives as long as the program */
    bool stream;       /* keep the connection for serve_publish; the body is its first events */
};
/* Fills the answer, which is all zero. */
typedef void serve_answer_fn(void *ctx, const struct serve_request *request,
                             struct serve_answer *answer);

/* Bounds; all must be set. */
struct serve_limits {
    size_t connections; /* all; when they are used up the one that is idle longest gives way */
    size_t streams;     /* among them; further ones are answered 503 */
    size_t waiting;     /* bytes of answers that nobody has read yet; then 503 */
    int64_t idle_ms;    /* for the next request */
    int64_t request_ms; /* for a request, from its first byte */
    int64_t stall_ms;   /* for an answer of which nothing moves; for an event to be taken */
    int64_t answer_ms;  /* for a whole answer */
};

/* fd is a bound, listening socket, serve's from here on. `name` is for log lines. NULL: errno. */
struct serve *serve_new(struct loop *loop, struct shelf *shelf, int fd, const char *name,
                        const struct serve_limits *limits, serve_answer_fn *answer, void *ctx);
void serve_free(struct serve *serve); /* before the loop goes; closes everything */

size_t serve_streams(const struct serve *serve); /* open ones */

/*
 * Events for all streams. `news` is what changed since the last call; a stream that has not taken
 * its last events yet is passed over and gets `all` the next time instead. Both are copied.
 */
void serve_publish(struct serve *serve, struct span news, struct span all);

#endif
