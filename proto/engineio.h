// SPDX-License-Identifier: Apache-2.0
/*
 * Engine.IO as seen from the wire (protocol 3 and 4, and Socket.IO 0.9's own): what a request is,
 * the session id it carries, and the session id and lifetime that a handshake's answer states.
 * Sources: github.com/socketio/engine.io-protocol; engine.io 3.6 and 6.6 lib/server.js;
 * socket.io-spec 0.9.
 */
#ifndef LIMPET_PROTO_ENGINEIO_H
#define LIMPET_PROTO_ENGINEIO_H

#include "base/span.h"
#include "proto/head.h"

enum { EIO_SID_MAX = 256 }; /* bytes; a longer one is treated as unknown */

enum eio_kind {
    EIO_NONE,      /* not an Engine.IO request: routed without sid */
    EIO_HANDSHAKE, /* opens a session: no sid, or an empty one */
    EIO_SESSION,   /* belongs to the session `sid` */
};

enum eio_transport { EIO_POLLING, EIO_WEBSOCKET, EIO_OTHER };

struct eio_request {
    enum eio_kind kind;
    enum eio_transport transport;
    uint8_t protocol; /* 4, 3, or 0 for Socket.IO 0.9 */
    bool jsonp;       /* the answer is a script */
    uint32_t jsonp_index;
    bool sid_too_long; /* kind is EIO_SESSION, sid empty */
    uint16_t sid_len;
    char sid[EIO_SID_MAX]; /* percent-decoded */
};

static inline struct span eio_sid(const struct eio_request *request)
{
    return (struct span){request->sid, request->sid_len};
}

/*
 * path and query as they stand in the target (not decoded). `paths` are the configured prefixes,
 * e.g. "/socket.io/" (raw prefix match, as the servers do). Engine.IO requests are those under a
 * prefix with a `transport` query; Socket.IO 0.9's are PREFIX "1/" and PREFIX "1/TRANSPORT/SID".
 * Keys and values are percent-decoded, the last `sid` counts. Any method: a CORS preflight is
 * classed like the request that it announces.
 */
void eio_classify(struct span path, struct span query, const struct span *paths, size_t npaths,
                  struct eio_request *out);

struct eio_handshake {
    uint16_t sid_len;
    char sid[EIO_SID_MAX];                     /* JSON-unescaped, UTF-8 */
    int64_t ping_interval_ms, ping_timeout_ms; /* -1 when not stated */

    /* Where it stands in the body, for who wants to put something before it (engineio_tag.h). */
    bool placed;                    /* false: not to be said */
    bool length_binary;             /* one byte 0 to 9 per digit */
    uint16_t sid_at;                /* of the sid's first byte */
    uint16_t length_at, length_len; /* EIO3's digits; len 0: none */
};

enum eio_parse { EIO_PARSE_MORE, EIO_PARSE_FOUND, EIO_PARSE_NOT };

enum {
    EIO_HANDSHAKE_MAX = 8192,   /* bytes of body that are looked at */
    EIO_LENGTH_DIGITS_MAX = 10, /* of EIO3's length before a packet */
};

/*
 * Looks for the handshake in the body's bytes so far (not compressed; chunks already taken apart):
 * EIO4 `0{…}`, EIO3 `97:0{…}2:40` and its binary form, JSONP `___eio[7]("0{\"sid\":…}");`, 0.9
 * `SID:60:60:…` and `io.j[0]("SID:…");`. Pure: called again with all bytes when more have come.
 * `legacy` (protocol 0) selects 0.9's form. For 0.9 the interval is the heartbeat timeout and the
 * timeout the closing timeout (stated in seconds).
 */
enum eio_parse eio_parse_handshake(struct span body, bool legacy, struct eio_handshake *out);

/* Is this POST body (bytes so far) just the close packet: `1` or `1:1`? */
bool eio_is_close(struct span body, uint8_t protocol);
/* Is this the body of `{"code":1,"message":"Session ID unknown"}` in any spelling of JSON, or 0.9's
 * `7:::1+0`? */
bool eio_is_unknown_sid(struct span body);

#endif
