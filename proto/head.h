// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/1.x message heads: request line or status line, and header fields (RFC 9112 §2–§6, RFC 9110 §5–§8).
 *
 * Our own strict scan of the whole head decides (proto/scan); llhttp, in strict mode, parses requests that
 * passed and must agree, else the head is refused. The legal forms that llhttp 8.1 refuses are normalised before
 * it sees them (listed in head.c by name). A head is parsed once, whole, and kept as offsets into the
 * caller's buffer: nothing points into it after the call, and `base` must be given again to read it.
 *
 * A struct head is large (about 2 kB) and needed only within one turn: one per worker, not per connection.
 */
#ifndef LIMPET_PROTO_HEAD_H
#define LIMPET_PROTO_HEAD_H

#include "base/span.h"

enum { HEAD_FIELDS_MAX = 256 }; /* hard bound above limits.headers */

enum http_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_PATCH,
    METHOD_TRACE,
    METHOD_CONNECT, /* refused */
    METHOD_OTHER,   /* any other token; text in head.method_text */
};

/* Fields that somebody asks for by name. HEADER_OTHER is everything else. */
enum header_id {
    HEADER_OTHER,
    HEADER_HOST,
    HEADER_CONNECTION,
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_TRAILER,
    HEADER_TE,
    HEADER_UPGRADE,
    HEADER_KEEP_ALIVE,
    HEADER_PROXY_CONNECTION,
    HEADER_PROXY_AUTHORIZATION,
    HEADER_PROXY_AUTHENTICATE,
    HEADER_EXPECT,
    HEADER_COOKIE,
    HEADER_SET_COOKIE,
    HEADER_ORIGIN,
    HEADER_ACCEPT_ENCODING,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_SEC_WEBSOCKET_KEY,
    HEADER_SEC_WEBSOCKET_VERSION,
    HEADER_SEC_WEBSOCKET_ACCEPT,
    HEADER_SEC_WEBSOCKET_EXTENSIONS,
    HEADER_X_FORWARDED_FOR,
    HEADER_X_FORWARDED_PROTO,
    HEADER_X_FORWARDED_HOST,
    HEADER_X_FORWARDED_PORT,
    HEADER_X_REAL_IP,
    HEADER_X_REQUEST_ID,
    HEADER_FORWARDED,
    HEADER_ACCESS_CONTROL_REQUEST_METHOD,
    HEADER_SERVER,
    HEADER_DATE,
    HEADER_STRICT_TRANSPORT_SECURITY,
    HEADER_IDS,
};
enum header_id header_lookup(struct span name); /* case-insensitive */

/* A piece of the head: offset from its first byte, and length. */
struct slice {
    uint32_t at, len;
};

struct field {
    struct slice name, value; /* value without surrounding white space */
    uint16_t id;              /* enum header_id */
    bool hop_by_hop; /* Connection itself, what Connection names, and the rest of RFC 9110 §7.6.1 */
    bool underscore; /* '_' in the name: not forwarded to servers, which may take it for '-' */
    bool plain;      /* its line is "name: value" CRLF, byte for byte what is written for it */
};

/* How the body ends (RFC 9112 §6.3). */
enum framing {
    FRAMING_NONE,   /* no body */
    FRAMING_LENGTH, /* content_length bytes (may be 0) */
    FRAMING_CHUNKED,
    FRAMING_UNTIL_CLOSE, /* responses only */
};

struct head {
    uint32_t bytes; /* of the whole head, incl. the empty line */
    uint8_t minor;  /* HTTP/1.minor: 0 or 1 */
    enum framing framing;
    uint64_t
        content_length; /* FRAMING_LENGTH; for HEAD and 304 answers what the field said, with FRAMING_NONE */
    bool has_content_length;
    bool keep_alive; /* may the connection carry another message, by what the head says */
    bool
        upgrade_websocket; /* request: GET, 1.1, `Connection: upgrade`, `Upgrade: websocket`, key and version 13, no body;
                                response: 101 with Upgrade: websocket and Connection: upgrade */

    /* requests */
    enum http_method method;
    struct slice method_text;
    struct slice
        target; /* origin-form, or "*" with OPTIONS; what an absolute-form target held after its authority */
    struct slice path;  /* target up to '?' */
    struct slice query; /* behind '?', without it; len 0 when none */
    struct slice
        host; /* from the absolute-form target, else the Host field; host[:port], validated */
    bool
        absolute_form; /* target came with scheme and authority; an empty path is then "/" (see target_is_root) */
    bool
        target_is_root; /* absolute-form with an empty path: the target to send is "/" + "?query" if any */
    bool
        expect_continue; /* the client waits for 100 before it sends its body (only set when one follows) */

    /* responses */
    uint16_t status;
    struct slice reason;

    uint16_t nfields;
    uint16_t first[HEADER_IDS]; /* index + 1 of the first field with that id, 0 = absent */
    struct field fields[HEAD_FIELDS_MAX];
};

struct head_limits {
    uint32_t header_bytes; /* whole head */
    uint32_t fields;       /* at most HEAD_FIELDS_MAX */
    uint32_t target;       /* bytes of the request target */
};

enum head_result {
    HEAD_MORE, /* not complete yet, and nothing wrong so far that ends it early */
    HEAD_OK,
    HEAD_BAD, /* see struct head_error */
};

struct head_error {
    uint16_t
        status; /* what to answer: 400, 414, 417, 431, 501 or 505 for requests; 502 for responses */
    const char *reason; /* a phrase for log and `show errors`, e.g. "two Content-Length fields" */
    uint32_t at;        /* offset of the offending byte, when known */
};

/*
 * `bytes` begins with the first byte of the message. Up to two empty lines (CRLF) before a request line are
 * skipped and counted in head->bytes (RFC 9112 §2.2). *seen is where the search for the end of the head
 * continues (0 on the first call of a message), so that a head that drips in costs linear time.
 * Obvious garbage is refused before the head is complete (first byte not a token character, request line
 * longer than the limit, too many bytes).
 */
enum head_result head_parse_request(struct head *head, struct span bytes, size_t *seen,
                                    const struct head_limits *limits, struct head_error *error);

/* to_method: of the request that this answers (HEAD has no body; a 2xx to CONNECT cannot happen). */
enum head_result head_parse_response(struct head *head, struct span bytes, size_t *seen,
                                     enum http_method to_method, const struct head_limits *limits,
                                     struct head_error *error);

/* Was llhttp built in its strict mode? For the unit tests and the start of the program. */
bool head_parser_is_strict(void);

static inline struct span slice_of(const char *base, struct slice s)
{
    return (struct span){base + s.at, s.len};
}

/* The first field with that id, or NULL. */
static inline const struct field *head_field(const struct head *head, enum header_id id)
{
    return head->first[id] ? &head->fields[head->first[id] - 1] : NULL;
}

/* Its value, empty when absent. */
static inline struct span head_value(const struct head *head, const char *base, enum header_id id)
{
    const struct field *field = head_field(head, id);
    return field ? slice_of(base, field->value) : SPAN_NONE;
}

#endif
