// SPDX-License-Identifier: Apache-2.0
/*
 * Writes heads anew from parsed values, in one pass, straight into the outgoing buffer. Raw head
 * bytes are never forwarded: that is also what stops request smuggling. Hop-by-hop fields (RFC 9110
 * §7.6.1), those named in Connection, requests' field names with '_', and framing fields are left
 * out; framing is written from what was decided, in exactly one form.
 */
#ifndef LIMPET_PROTO_HEADERS_H
#define LIMPET_PROTO_HEADERS_H

#include "proto/cookie.h"
#include "proto/engineio_tag.h"
#include "proto/head.h"

/* Room that an edit may need beyond the original head's bytes, apart from the spans given in it. */
enum { HEADERS_SLACK = 1024 };

/* Fixed fields that come and go, in either direction. `drop` has the names in `set`, too. */
struct header_line {
    struct span name, value;
};
struct header_edit {
    const struct header_line *set;
    const struct span *drop;
    size_t set_count, drop_count;
    size_t bytes; /* that `set` takes */
};

/* What a request gets on its way to a server. Empty spans are left out. */
struct request_edit {
    struct span client_ip;  /* appended to / replaces X-Forwarded-For; X-Real-IP when not trusted */
    bool trust_forwarded;   /* the peer is a trusted proxy: extend X-Forwarded-For, keep its -Proto,
                               -Host, -Port, X-Real-IP, Forwarded */
    struct span scheme;     /* "http" | "https" for X-Forwarded-Proto */
    struct span port;       /* local port, for X-Forwarded-Port */
    struct span request_id; /* X-Request-ID; kept when the client is trusted and sent one */
    bool drop_accept_encoding; /* so that a handshake's answer can be read */
    bool upgrade;              /* write Connection: upgrade and Upgrade: websocket */
    bool close; /* write Connection: close; default is a persistent connection (nothing written) */
    enum framing framing; /* what follows: NONE, LENGTH or CHUNKED */
    uint64_t content_length;
    struct cookie_edit cookie;
    const struct header_edit *fields; /* or NULL */
    enum eio_sid_place untag;         /* where the target has a sid whose tag comes off */
    struct span
        client_certificate;   /* whole lines about it, X-SSL-Client-…; the request's own fields of
                                       such names go, unless it is empty and the peer is trusted */
    struct span default_host; /* Host towards the server when the client named none (HTTP/1.0) */
};

/* X-Forwarded-Host is the client's Host. The version written is always HTTP/1.1. Expect is not
 * forwarded. Returns bytes written, 0 when `size` is too small. */
size_t headers_write_request(const struct head *head, const char *base,
                             const struct request_edit *edit, char *out, size_t size);

/* What a response gets on its way to the client. */
struct response_edit {
    uint8_t to_minor; /* the client's HTTP version: with 0, CHUNKED is written as UNTIL_CLOSE; the
                         status line says HTTP/1.1 */
    bool upgrade;     /* 101: write Connection: upgrade and Upgrade: websocket */
    bool close;       /* write Connection: close */
    bool say_keep_alive;  /* HTTP/1.0 client with keep-alive: write Connection: keep-alive */
    enum framing framing; /* what follows; with NONE and has_content_length (HEAD, 304) the length
                             is written as the server said */
    uint64_t content_length;
    bool has_content_length;
    struct set_cookie_edit set_cookie;
    const struct header_edit *fields; /* or NULL */
    struct span hsts; /* Strict-Transport-Security, if the server does not say it itself */
    struct span add_set_cookie; /* a whole Set-Cookie value to add */
};

size_t headers_write_response(const struct head *head, const char *base,
                              const struct response_edit *edit, char *out, size_t size);

#endif
