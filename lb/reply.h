// SPDX-License-Identifier: Apache-2.0
/*
 * Answers that limpet gives itself, written whole into a buffer. The Engine.IO error has the form that a real server would use for
 * that request (engine.io 6 and 3.6 lib/server.js, Socket.IO 0.9): JSON on polling (JSONP included, as the server does), text/html and close on an upgrade, 200 `7:::1+0`
 * for 0.9; CORS fields echo the Origin.
 */
#ifndef LIMPET_LB_REPLY_H
#define LIMPET_LB_REPLY_H

#include "proto/engineio.h"
#include "proto/head.h"

struct reply {
    uint16_t status;
    const char *reason;                  /* one line for the body; NULL: the status's own phrase */
    int retry_after_s;                   /* > 0: Retry-After */
    bool close;                          /* say Connection: close */
    bool keep_alive_10;                  /* HTTP/1.0 client that asked for keep-alive: say so */
    bool to_head;                        /* the request was HEAD: no body */
    struct span location, location_rest; /* Location, in two pieces, when not empty */
    struct span request_id;              /* X-Request-ID, when not empty */
};

/* Text body, Content-Length, Date is left out. Returns bytes written, 0 when `size` is too small (1 KiB is always enough without request_id and location). */
size_t reply_write(const struct reply *reply, char *out, size_t size);

/* "Session ID unknown". origin: the request's, may be empty. upgrade: it was a WebSocket upgrade (the connection closes). */
size_t reply_write_unknown_sid(const struct eio_request *eio, bool upgrade, struct span origin,
                               bool close, char *out, size_t size);

/* The answer to a held poll that ends its session: Engine.IO's close packet, so that the client opens a new one. */
size_t reply_write_close_packet(const struct eio_request *eio, struct span origin, bool close,
                                char *out, size_t size);

const char *reply_phrase(uint16_t status); /* "Bad Gateway" */

#define REPLY_CONTINUE SPAN("HTTP/1.1 100 Continue\r\n\r\n")

#endif
