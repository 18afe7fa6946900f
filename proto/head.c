// SPDX-License-Identifier: Apache-2.0
/*
 * Message heads: from bytes to meaning, once.
 *
 *   bytes ─► end? ─► start line ─► fields ─► framing, host, … ─► llhttp agrees? ─► HEAD_OK
 *            scan.c  startline.c   scan.c    judge.c
 *                         └────────────┴── any may refuse: HEAD_BAD ──┘
 *
 * Our own scan and rules decide; they follow RFC 9112 without its leniencies. llhttp then parses a
 * request's bytes, too, and must come to the same method, target, version, number of fields and
 * framing. Where it does not, the head is refused: two readers that differ are how requests get
 * smuggled. Responses come from our own servers and are read by us alone, by the same rules.
 *
 * llhttp 8.1 refuses some legal heads. These forms are normalised before it sees them, by leaving
 * out or replacing bytes between two calls of llhttp_execute (nothing is copied):
 *
 * - unknown method: any but the eight that we know is shown to it as POST;
 * - white space behind a value (Content-Length: 5<TAB>, Transfer-Encoding: chunked<TAB>): what
 *   stands behind the trimmed value of those two fields is left out.
 *
 * What a refused head is answered with: struct head_error. Everything about a response is 502.
 */
#include "proto/head.h"

#include <assert.h>
#include <llhttp.h>
#include <string.h>

#include "proto/parse.h"
#include "proto/scan.h"

#if LLHTTP_VERSION_MAJOR < 9 && LLHTTP_STRICT_MODE != 1
#error "llhttp 8 needs LLHTTP_STRICT_MODE=1: its loose mode executes hidden requests"
#endif

/* Bytes of a request line beside its target: the method, two SP, the version, CRLF. */
enum { REQUEST_LINE_EXTRA = 76 };

/* RFC 9110 §7.6.1, and what is between a client and its proxy only. */
static const uint64_t hop_by_hop_ids = HEADER_BIT(HEADER_CONNECTION) |
                                       HEADER_BIT(HEADER_TRANSFER_ENCODING) |
                                       HEADER_BIT(HEADER_TRAILER) | HEADER_BIT(HEADER_TE) |
                                       HEADER_BIT(HEADER_UPGRADE) | HEADER_BIT(HEADER_KEEP_ALIVE) |
                                       HEADER_BIT(HEADER_PROXY_CONNECTION) |
                                       HEADER_BIT(HEADER_PROXY_AUTHORIZATION) |
                                       HEADER_BIT(HEADER_PROXY_AUTHENTICATE);

/* ---- field lines (RFC 9112 §5) ---- */

static void add_field(struct parse *parse, const struct scan_line *line)
{
    struct head *head = parse->head;
    struct field *field = &head->fields[head->nfields++];
    struct span name = span_of(parse->bytes.ptr + line->name_at, line->name_len);
    enum header_id id = header_lookup(name);
    *field = (struct field){
        .name = {line->name_at, line->name_len},
        .value = {line->value_at, line->value_len},
        .id = (uint16_t)id,
        .hop_by_hop = (hop_by_hop_ids & HEADER_BIT(id)) != 0,
        .underscore = line->underscore,
        .plain = line->plain,
    };
    if (head->first[id] == 0)
        head->first[id] = head->nfields;
    else
        parse->repeated |= HEADER_BIT(id);
}

static bool parse_fields(struct parse *parse)
{
    uint32_t max = parse->limits->fields < HEAD_FIELDS_MAX ? parse->limits->fields
                                                           : HEAD_FIELDS_MAX;
    while (!at_line_end(parse)) {
        struct scan_line line;
        if (parse->head->nfields >= max)
            return refuse(parse, 431, "too many fields", parse->at);
        assert(parse->at < parse->bytes.len);
        const char *fault = scan_field(parse->bytes, &parse->at, &line);
        if (fault != NULL)
            return refuse(parse, 400, fault, parse->at);
        add_field(parse, &line);
    }
    parse->at += 2;
    assert(parse->at <= parse->bytes.len);
    parse->bytes.len = parse->at;
    parse->head->bytes = (uint32_t)parse->at;
    return true;
}

/* ---- llhttp's opinion ---- */

struct opinion {
    const char *target;
    size_t target_len;
    unsigned fields;
    bool complete;
};

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    struct opinion *opinion = parser->data;
    if (opinion->target == NULL)
        opinion->target = at;
    opinion->target_len += len;
    return 0;
}

static int on_field(llhttp_t *parser)
{
    struct opinion *opinion = parser->data;
    opinion->fields++;
    return 0;
}

/* Stops it there: nothing behind the head is its business, and its flags stay readable. */
static int on_head(llhttp_t *parser)
{
    struct opinion *opinion = parser->data;
    opinion->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_settings = {
    .on_url = on_target,
    .on_header_value_complete = on_field,
    .on_headers_complete = on_head,
};

static llhttp_method_t llhttp_method(enum http_method method)
{
    switch (method) {
    case METHOD_GET:
        return HTTP_GET;
    case METHOD_HEAD:
        return HTTP_HEAD;
    case METHOD_POST:
        return HTTP_POST;
    case METHOD_PUT:
        return HTTP_PUT;
    case METHOD_DELETE:
        return HTTP_DELETE;
    case METHOD_OPTIONS:
        return HTTP_OPTIONS;
    case METHOD_PATCH:
        return HTTP_PATCH;
    case METHOD_TRACE:
        return HTTP_TRACE;
    case METHOD_CONNECT:
        return HTTP_CONNECT;
    case METHOD_OTHER:
        return HTTP_POST;
    }
    return HTTP_POST;
}

/* Shows it the head in its normalised form (see the top of this file). False: it refuses, or goes
 * on behind the end. */
static bool llhttp_read(llhttp_t *parser, const struct parse *parse)
{
    const struct head *head = parse->head;
    const char *p = parse->bytes.ptr + parse->begin;
    const char *end = parse->bytes.ptr + parse->bytes.len;
    if (head->method == METHOD_OTHER) {
        if (llhttp_execute(parser, "POST", 4) != HPE_OK)
            return false;
        p += head->method_text.len;
    }
    if (parse->length || parse->chunked) {
        const struct field *field = head_field(head, parse->length ? HEADER_CONTENT_LENGTH
                                                                   : HEADER_TRANSFER_ENCODING);
        const char *value_end = parse->bytes.ptr + field->value.at + field->value.len;
        if (*value_end != '\r') {
            if (llhttp_execute(parser, p, (size_t)(value_end - p)) != HPE_OK)
                return false;
            p = memchr(value_end, '\r', (size_t)(end - value_end));
        }
    }
    return llhttp_execute(parser, p, (size_t)(end - p)) == HPE_PAUSED &&
           llhttp_get_error_pos(parser) == end;
}

static bool llhttp_agrees(const struct parse *parse)
{
    const struct head *head = parse->head;
    struct opinion opinion = {0};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &llhttp_settings);
    parser.data = &opinion;
    if (!llhttp_read(&parser, parse) || !opinion.complete)
        return false;
    if (parser.http_major != 1 || parser.http_minor != head->minor ||
        opinion.fields != head->nfields)
        return false;
    if (((parser.flags & F_CHUNKED) != 0) != parse->chunked ||
        ((parser.flags & F_TRANSFER_ENCODING) != 0) != parse->chunked ||
        ((parser.flags & F_CONTENT_LENGTH) != 0) != parse->length)
        return false;
    if (parse->length && parser.content_length != parse->length_value)
        return false;
    const char *target = parse->bytes.ptr + head->method_text.at + head->method_text.len + 1;
    const char *target_end = parse->bytes.ptr + head->target.at + head->target.len;
    return parser.method == llhttp_method(head->method) && opinion.target == target &&
           opinion.target + opinion.target_len == target_end;
}

bool head_parser_is_strict(void)
{
    static const char *const hidden[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\rGET /hidden HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nName : value\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        struct opinion opinion = {0};
        llhttp_t parser;
        llhttp_init(&parser, HTTP_REQUEST, &llhttp_settings);
        parser.data = &opinion;
        llhttp_errno_t error = llhttp_execute(&parser, hidden[i], strlen(hidden[i]));
        if (error == HPE_OK || error == HPE_PAUSED)
            return false;
    }
    return true;
}

/* ---- whole heads ---- */

static void reset(struct head *head)
{
    memset(head, 0, offsetof(struct head, fields));
}

/* Up to two empty lines before a request line (RFC 9112 §2.2). */
static size_t empty_lines(struct span bytes)
{
    size_t at = 0;
    while (at < 4 && bytes.len - at >= 2 && bytes.ptr[at] == '\r' && bytes.ptr[at + 1] == '\n')
        at += 2;
    return at;
}

/* Has the start line, whose end was not seen at *before* bytes, become longer than `max`? */
static bool start_line_too_long(const struct parse *parse, size_t before, size_t max)
{
    size_t limit = parse->begin + max;
    return parse->bytes.len > limit && before <= limit &&
           memchr(parse->bytes.ptr + parse->begin, '\n', max) == NULL;
}

/* Is the head there as far as its end? What can be refused before that is. */
static enum head_result find_end(struct parse *parse, size_t *seen, size_t start_line_max)
{
    parse->at = parse->begin;
    /* The usual head comes alone and whole. Its end need not be searched: the parser stops there. */
    if (scan_ends_empty(parse->bytes) && parse->bytes.len <= parse->limits->header_bytes &&
        parse->bytes.len - parse->begin <= start_line_max)
        return HEAD_OK;
    size_t before = *seen > parse->begin ? *seen : parse->begin;
    *seen = before;
    size_t end = scan_head_end(parse->bytes, seen);
    bool ok = true;
    if (start_line_too_long(parse, before, start_line_max))
        ok = refuse(parse, 414, "start line too long", parse->begin);
    else if ((end > 0 ? end : parse->bytes.len + 1) > parse->limits->header_bytes)
        ok = refuse(parse, 431, "head too large", parse->bytes.len);
    else if (end == 0 && scan_bare_cr(parse->bytes, before > 0 ? before - 1 : 0))
        ok = refuse(parse, 400, "CR without LF", before);
    if (!ok)
        return HEAD_BAD;
    if (end == 0)
        return HEAD_MORE;
    parse->bytes.len = end;
    return HEAD_OK;
}

enum head_result head_parse_request(struct head *head, struct span bytes, size_t *seen,
                                    const struct head_limits *limits, struct head_error *error)
{
    struct parse parse = {
        .head = head, .bytes = bytes, .limits = limits, .error = error, .request = true};
    parse.begin = empty_lines(bytes);
    size_t left = bytes.len - parse.begin;
    if (left == 0 || (left == 1 && parse.begin < 4 && bytes.ptr[parse.begin] == '\r'))
        return HEAD_MORE;
    if (!scan_is(bytes.ptr[parse.begin], SCAN_TOKEN)) {
        refuse(&parse, 400, "not an HTTP request", parse.begin);
        return HEAD_BAD;
    }
    reset(head);
    enum head_result found = find_end(&parse, seen, limits->target + REQUEST_LINE_EXTRA);
    if (found != HEAD_OK)
        return found;
    if (!parse_request_line(&parse) || !parse_fields(&parse) || !judge_request(&parse))
        return HEAD_BAD;
    if (llhttp_agrees(&parse))
        return HEAD_OK;
    refuse(&parse, 400, "llhttp reads this head differently", parse.begin);
    return HEAD_BAD;
}

enum head_result head_parse_response(struct head *head, struct span bytes, size_t *seen,
                                     enum http_method to_method, const struct head_limits *limits,
                                     struct head_error *error)
{
    struct parse parse = {.head = head, .bytes = bytes, .limits = limits, .error = error};
    struct span start = span_upto(bytes, 7);
    if (!span_starts(SPAN("HTTP/1."), start)) {
        refuse(&parse, 502, "not an HTTP/1 response", 0);
        return HEAD_BAD;
    }
    reset(head);
    enum head_result found = find_end(&parse, seen, limits->header_bytes);
    if (found != HEAD_OK)
        return found;
    bool good = parse_status_line(&parse) && parse_fields(&parse) &&
                judge_response(&parse, to_method);
    return good ? HEAD_OK : HEAD_BAD;
}
