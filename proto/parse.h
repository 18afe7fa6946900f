// SPDX-License-Identifier: Apache-2.0
/*
 * One head while it is parsed: shared by head.c (the whole), startline.c and judge.c, and by nobody
 * else. Every step returns false once it has refused the head; then parse->error says why.
 */
#ifndef LIMPET_PROTO_PARSE_H
#define LIMPET_PROTO_PARSE_H

#include <string.h>

#include "proto/head.h"

struct parse {
    struct head *head;
    struct span bytes; /* of the message, up to the end of the head */
    const struct head_limits *limits;
    struct head_error *error;
    bool request;
    size_t begin;      /* of the start line, behind empty lines */
    size_t at;         /* the next byte */
    uint64_t repeated; /* bit per header_id: came more than once */
    bool length;       /* there is a valid Content-Length… */
    uint64_t length_value;
    bool chunked; /* … or Transfer-Encoding: chunked */
    bool option_close, option_keep_alive, option_upgrade;
};

/* Sets of header ids. */
#define HEADER_BIT(id) (UINT64_C(1) << (id))

static inline bool refuse(struct parse *parse, uint16_t status, const char *reason, size_t at)
{
    parse->error->status = parse->request ? status : 502;
    parse->error->reason = reason;
    parse->error->at = (uint32_t)at;
    return false;
}

static inline bool refuse_field(struct parse *parse, uint16_t status, const char *reason,
                                enum header_id id)
{
    const struct field *field = head_field(parse->head, id);
    return refuse(parse, status, reason, field ? field->name.at : parse->begin);
}

static inline struct slice slice_at(size_t at, size_t len)
{
    return (struct slice){(uint32_t)at, (uint32_t)len};
}

static inline struct span value_of(const struct parse *parse, const struct field *field)
{
    return slice_of(parse->bytes.ptr, field->value);
}

/* Is there CRLF at parse->at? The head ends with LF, but perhaps with that alone. */
static inline bool at_line_end(const struct parse *parse)
{
    return parse->bytes.len - parse->at >= 2 &&
           memcmp(parse->bytes.ptr + parse->at, "\r\n", 2) == 0;
}

/* startline.c (RFC 9112 §3, §4): reads the start line at parse->at, which moves behind it. */
bool parse_request_line(struct parse *parse);
bool parse_status_line(struct parse *parse);

/* judge.c: what the fields mean together. Called once all of them are in parse->head. */
bool judge_request(struct parse *parse);
bool judge_response(struct parse *parse, enum http_method to_method);

#endif
