// SPDX-License-Identifier: Apache-2.0
/*
 * Message heads: from bytes to meaning, once.
 *
 *   bytes ── end of head? ── start line ── fields ── framing ── connection ── rest ── llhttp
 * agrees? ── HEAD_OK (scan.c)         │           (scan.c)    │           │          │           │
 *                               └───────────── any of them may refuse: HEAD_BAD ───────────┘
 *
 * Our own scan and rules decide; they follow RFC 9112 without its leniencies. llhttp then parses
 * the same bytes and must come to the same method, target, version, number of fields and framing.
 * Where it does not, the head is refused: two readers that differ are how requests get smuggled.
 *
 * llhttp 8.1 refuses some legal heads. These forms are normalised before it sees them, by leaving
 * out or replacing bytes between two calls of llhttp_execute (nothing is copied):
 *
 *   unknown method        any method but the eight that we know is shown to it as POST
 *   white space at the    "Content-Length: 5<TAB>", "Transfer-Encoding: chunked<TAB>": what stands
 * behind the end of a value        trimmed value of those two fields is left out
 *
 * What a refused head is answered with: struct head_error. Everything about a response is 502.
 */
#include "proto/head.h"

#include <assert.h>
#include <llhttp.h>
#include <string.h>

#include "proto/scan.h"

#if LLHTTP_VERSION_MAJOR < 9 && LLHTTP_STRICT_MODE != 1
#error                                                                                             \
    "llhttp 8 must be compiled with LLHTTP_STRICT_MODE=1: its loose mode executes hidden requests"
#endif

enum {
    METHOD_MAX = 64, /* bytes */
    REQUEST_LINE_EXTRA =
        76, /* bytes of a request line beside its target: method, two SP, version, CRLF */
    CONNECTION_OPTIONS_MAX = 64, /* since each one is compared with every field */
};

/* One head while it is parsed. */
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

#define BIT(id) (UINT64_C(1) << (id))

/* RFC 9110 §7.6.1, and what is between a client and its proxy only. */
static const uint64_t hop_by_hop_ids = BIT(HEADER_CONNECTION) | BIT(HEADER_TRANSFER_ENCODING) |
                                       BIT(HEADER_TRAILER) | BIT(HEADER_TE) | BIT(HEADER_UPGRADE) |
                                       BIT(HEADER_KEEP_ALIVE) | BIT(HEADER_PROXY_CONNECTION) |
                                       BIT(HEADER_PROXY_AUTHORIZATION) |
                                       BIT(HEADER_PROXY_AUTHENTICATE);

/* What a peer cannot make us forget by naming it in Connection: framing, routing, and what trusted
 * proxies said. */
static const uint64_t end_to_end_ids = BIT(HEADER_HOST) | BIT(HEADER_CONTENT_LENGTH) |
                                       BIT(HEADER_COOKIE) | BIT(HEADER_X_FORWARDED_FOR) |
                                       BIT(HEADER_X_FORWARDED_PROTO) |
                                       BIT(HEADER_X_FORWARDED_HOST) | BIT(HEADER_X_FORWARDED_PORT) |
                                       BIT(HEADER_X_REAL_IP) | BIT(HEADER_X_REQUEST_ID) |
                                       BIT(HEADER_FORWARDED);

static bool refuse(struct parse *parse, uint16_t status, const char *reason, size_t at)
{
    parse->error->status = parse->request ? status : 502;
    parse->error->reason = reason;
    parse->error->at = (uint32_t)at;
    return false;
}

static bool refuse_field(struct parse *parse, uint16_t status, const char *reason,
                         enum header_id id)
{
    const struct field *field = head_field(parse->head, id);
    return refuse(parse, status, reason, field ? field->name.at : parse->begin);
}

static struct slice slice_at(size_t at, size_t len)
{
    return (struct slice){(uint32_t)at, (uint32_t)len};
}

static struct span value_of(const struct parse *parse, const struct field *field)
{
    return slice_of(parse->bytes.ptr, field->value);
}

/* The next field with that id behind `field`, or NULL. */
static struct field *field_after(const struct parse *parse, struct field *field, enum header_id id)
{
    struct field *end = parse->head->fields + parse->head->nfields;
    if ((parse->repeated & BIT(id)) == 0)
        return NULL;
    for (field++; field < end; field++) {
        if (field->id == id)
            return field;
    }
    return NULL;
}

static struct field *first_field(const struct parse *parse, enum header_id id)
{
    uint16_t first = parse->head->first[id];
    return first ? &parse->head->fields[first - 1] : NULL;
}

/* ---- start lines (RFC 9112 §3, §4) ---- */

static enum http_method method_lookup(struct span s)
{
    static const struct {
        struct span name;
        enum http_method method;
    } methods[] = {
        {{"GET", 3}, METHOD_GET},         {{"POST", 4}, METHOD_POST},
        {{"OPTIONS", 7}, METHOD_OPTIONS}, {{"HEAD", 4}, METHOD_HEAD},
        {{"PUT", 3}, METHOD_PUT},         {{"DELETE", 6}, METHOD_DELETE},
        {{"PATCH", 5}, METHOD_PATCH},     {{"TRACE", 5}, METHOD_TRACE},
        {{"CONNECT", 7}, METHOD_CONNECT},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (s.len == methods[i].name.len && memcmp(s.ptr, methods[i].name.ptr, s.len) == 0)
            return methods[i].method;
    }
    return METHOD_OTHER;
}

static bool parse_method(struct parse *parse)
{
    struct head *head = parse->head;
    const char *base = parse->bytes.ptr;
    size_t at = parse->at;
    while (scan_is(base[at], SCAN_TOKEN))
        at++;
    if (base[at] != ' ')
        return refuse(parse, 400, "malformed method", at);
    head->method_text = slice_at(parse->at, at - parse->at);
    if (head->method_text.len > METHOD_MAX)
        return refuse(parse, 501, "method too long", parse->at);
    head->method = method_lookup(slice_of(base, head->method_text));
    if (head->method == METHOD_CONNECT)
        return refuse(parse, 501, "CONNECT", parse->at);
    parse->at = at + 1;
    return true;
}

/* http://host[:port][/path][?query]: the authority is the host, what follows it the target. */
static bool parse_absolute(struct parse *parse, struct span target)
{
    struct head *head = parse->head;
    size_t scheme = span_starts_nocase(target, SPAN("http://"))    ? 7
                    : span_starts_nocase(target, SPAN("https://")) ? 8
                                                                   : 0;
    if (scheme == 0)
        return refuse(parse, 400, "target neither begins with / nor is an http URL", parse->at);
    size_t end = scheme;
    while (end < target.len && target.ptr[end] != '/' && target.ptr[end] != '?')
        end++;
    if (!scan_is_host(span_of(target.ptr + scheme, end - scheme)))
        return refuse(parse, 400, "bad authority in the target", parse->at + scheme);
    head->absolute_form = true;
    head->host = slice_at(parse->at + scheme, end - scheme);
    head->target = slice_at(parse->at + end, target.len - end);
    head->target_is_root = head->target.len == 0 || target.ptr[end] == '?';
    return true;
}

static bool parse_target(struct parse *parse)
{
    struct head *head = parse->head;
    const char *base = parse->bytes.ptr;
    size_t at = parse->at;
    while (scan_is(base[at], SCAN_TARGET))
        at++;
    struct span target = span_of(base + parse->at, at - parse->at);
    if (target.len > parse->limits->target)
        return refuse(parse, 414, "target too long", parse->at);
    if (target.len == 0)
        return refuse(parse, 400, "no target", at);
    if (base[at] != ' ')
        return refuse(parse, 400,
                      base[at] == '\r' ? "no HTTP version" : "character not allowed in the target",
                      at);

    if (target.ptr[0] == '/' ||
        (target.len == 1 && *target.ptr == '*' && head->method == METHOD_OPTIONS))
        head->target = slice_at(parse->at, target.len);
    else if (!parse_absolute(parse, target))
        return false;

    target = slice_of(base, head->target);
    size_t mark = span_index(target, '?');
    if (mark == SIZE_MAX)
        mark = target.len;
    head->path = slice_at(head->target.at, mark);
    if (mark < target.len)
        head->query = slice_at(head->target.at + mark + 1, target.len - mark - 1);
    parse->at = at + 1;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" or "HTTP/1.1" */
static bool parse_version(struct parse *parse)
{
    struct span rest = span_from(parse->bytes, parse->at);
    if (rest.len < 10 || memcmp(rest.ptr, "HTTP/", 5) != 0 || !is_digit(rest.ptr[5]) ||
        rest.ptr[6] != '.' || !is_digit(rest.ptr[7]))
        return refuse(parse, 400, "malformed HTTP version", parse->at);
    parse->head->minor = (uint8_t)(rest.ptr[7] - '0');
    if (rest.ptr[5] != '1' || parse->head->minor > 1)
        return refuse(parse, 505, "HTTP version neither 1.0 nor 1.1", parse->at);
    parse->at += 8;
    return true;
}

/* The head ends with LF, but perhaps with that alone. */
static bool at_line_end(const struct parse *parse)
{
    return parse->bytes.len - parse->at >= 2 &&
           memcmp(parse->bytes.ptr + parse->at, "\r\n", 2) == 0;
}

static bool parse_line_end(struct parse *parse)
{
    if (!at_line_end(parse))
        return refuse(parse, 400, "start line does not end with CRLF", parse->at);
    parse->at += 2;
    return true;
}

static bool parse_request_line(struct parse *parse)
{
    return parse_method(parse) && parse_target(parse) && parse_version(parse) &&
           parse_line_end(parse);
}

/* SP 3DIGIT [SP reason]. The last SP is often missing when there is no reason. */
static bool parse_status(struct parse *parse)
{
    struct head *head = parse->head;
    const char *p = parse->bytes.ptr + parse->at;
    if (span_from(parse->bytes, parse->at).len < 6 || p[0] != ' ' || !is_digit(p[1]) ||
        !is_digit(p[2]) || !is_digit(p[3]) || (p[4] != ' ' && p[4] != '\r'))
        return refuse(parse, 502, "malformed status", parse->at);
    head->status = (uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
    if (head->status < 100 || head->status > 599)
        return refuse(parse, 502, "status out of range", parse->at);
    parse->at += 4;
    if (p[4] != ' ')
        return true;
    size_t at = parse->at + 1;
    while (scan_is(parse->bytes.ptr[at], SCAN_VALUE))
        at++;
    head->reason = slice_at(parse->at + 1, at - parse->at - 1);
    parse->at = at;
    return true;
}

static bool parse_status_line(struct parse *parse)
{
    return parse_version(parse) && parse_status(parse) && parse_line_end(parse);
}

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
        .hop_by_hop = (hop_by_hop_ids & BIT(id)) != 0,
        .underscore = line->underscore,
    };
    if (head->first[id] == 0)
        head->first[id] = head->nfields;
    else
        parse->repeated |= BIT(id);
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
    return parse->at == parse->bytes.len ||
           refuse(parse, 400, "empty line inside the head", parse->at);
}

/* ---- framing (RFC 9112 §6) ---- */

static bool read_content_length(struct parse *parse)
{
    const struct field *field = head_field(parse->head, HEADER_CONTENT_LENGTH);
    if (field == NULL)
        return true;
    if (parse->repeated & BIT(HEADER_CONTENT_LENGTH))
        return refuse_field(parse, 400, "two Content-Length fields", HEADER_CONTENT_LENGTH);
    if (!span_to_u64(value_of(parse, field), &parse->length_value) ||
        parse->length_value > INT64_MAX)
        return refuse_field(parse, 400, "bad Content-Length", HEADER_CONTENT_LENGTH);
    parse->length = true;
    return true;
}

/* The one coding that we know is chunked, alone. What ends with another one has no end that can be
 * known: 400. */
static bool read_transfer_encoding(struct parse *parse)
{
    const struct field *field = head_field(parse->head, HEADER_TRANSFER_ENCODING);
    if (field == NULL)
        return true;
    struct span value = value_of(parse, field);
    if (parse->repeated & BIT(HEADER_TRANSFER_ENCODING))
        return refuse_field(parse, 400, "two Transfer-Encoding fields", HEADER_TRANSFER_ENCODING);
    if (parse->head->minor == 0)
        return refuse_field(parse, 400, "Transfer-Encoding with HTTP/1.0",
                            HEADER_TRANSFER_ENCODING);
    if (parse->length)
        return refuse_field(parse, 400, "Content-Length and Transfer-Encoding",
                            HEADER_CONTENT_LENGTH);
    if (value.len == 0)
        return refuse_field(parse, 400, "empty Transfer-Encoding", HEADER_TRANSFER_ENCODING);
    parse->chunked = span_eq_nocase(value, SPAN("chunked"));
    if (parse->chunked)
        return true;
    if (span_starts_nocase(value, SPAN("chunked")))
        return refuse_field(parse, 400, "chunked is not the last coding", HEADER_TRANSFER_ENCODING);
    return refuse_field(parse, 501, "unknown transfer coding", HEADER_TRANSFER_ENCODING);
}

static bool judge_request_framing(struct parse *parse)
{
    struct head *head = parse->head;
    if (!read_content_length(parse) || !read_transfer_encoding(parse))
        return false;
    head->has_content_length = parse->length;
    head->content_length = parse->length_value;
    head->framing = parse->chunked  ? FRAMING_CHUNKED
                    : parse->length ? FRAMING_LENGTH
                                    : FRAMING_NONE;
    if (head->method == METHOD_TRACE && head->framing != FRAMING_NONE)
        return refuse(parse, 400, "TRACE with a body", parse->begin);
    return true;
}

static bool judge_response_framing(struct parse *parse, enum http_method to_method)
{
    struct head *head = parse->head;
    if (!read_content_length(parse) || !read_transfer_encoding(parse))
        return false;
    if (head->status < 200 || head->status == 204)
        return true;
    head->has_content_length = parse->length;
    head->content_length = parse->length_value;
    if (to_method == METHOD_HEAD || head->status == 304)
        return true;
    head->framing = parse->chunked  ? FRAMING_CHUNKED
                    : parse->length ? FRAMING_LENGTH
                                    : FRAMING_UNTIL_CLOSE;
    return true;
}

/* ---- connection options (RFC 9110 §7.6.1), upgrade (§7.8), Expect (§10.1.1), Host (§7.2) ---- */

static void mark_hop_by_hop(struct parse *parse, struct span option)
{
    struct head *head = parse->head;
    enum header_id id = header_lookup(option);
    if ((end_to_end_ids & BIT(id)) != 0 || (id != HEADER_OTHER && head->first[id] == 0))
        return;
    for (uint16_t i = 0; i < head->nfields; i++) {
        struct field *field = &head->fields[i];
        if (field->id == id &&
            (id != HEADER_OTHER || span_eq_nocase(slice_of(parse->bytes.ptr, field->name), option)))
            field->hop_by_hop = true;
    }
}

static bool read_connection(struct parse *parse)
{
    unsigned options = 0;
    for (struct field *field = first_field(parse, HEADER_CONNECTION); field != NULL;
         field = field_after(parse, field, HEADER_CONNECTION)) {
        struct span rest = value_of(parse, field);
        while (rest.ptr != NULL) {
            struct span option = span_trim(span_cut(&rest, ','));
            if (++options > CONNECTION_OPTIONS_MAX)
                return refuse_field(parse, 400, "too many connection options", HEADER_CONNECTION);
            if (span_eq_nocase(option, SPAN("close")))
                parse->option_close = true;
            else if (span_eq_nocase(option, SPAN("keep-alive")))
                parse->option_keep_alive = true;
            else if (span_eq_nocase(option, SPAN("upgrade")))
                parse->option_upgrade = true;
            else
                mark_hop_by_hop(parse, option);
        }
    }
    parse->head->keep_alive = !parse->option_close &&
                              (parse->head->minor == 1 || parse->option_keep_alive) &&
                              parse->head->framing != FRAMING_UNTIL_CLOSE;
    return true;
}

static bool names_websocket(const struct parse *parse)
{
    for (struct field *field = first_field(parse, HEADER_UPGRADE); field != NULL;
         field = field_after(parse, field, HEADER_UPGRADE)) {
        struct span rest = value_of(parse, field);
        while (rest.ptr != NULL) {
            if (span_eq_nocase(span_trim(span_cut(&rest, ',')), SPAN("websocket")))
                return true;
        }
    }
    return false;
}

/* A field that an upgrade needs: there, once, and not given up by Connection. */
static bool is_single(const struct parse *parse, enum header_id id)
{
    const struct field *field = head_field(parse->head, id);
    return field != NULL && field->value.len > 0 && !field->hop_by_hop &&
           (parse->repeated & BIT(id)) == 0;
}

static bool asks_websocket(const struct parse *parse)
{
    const struct head *head = parse->head;
    bool body = parse->chunked || parse->length_value > 0;
    return parse->option_upgrade && head->method == METHOD_GET && head->minor == 1 && !body &&
           names_websocket(parse) && is_single(parse, HEADER_SEC_WEBSOCKET_KEY) &&
           is_single(parse, HEADER_SEC_WEBSOCKET_VERSION) &&
           span_eq(head_value(head, parse->bytes.ptr, HEADER_SEC_WEBSOCKET_VERSION), SPAN("13"));
}

static bool agrees_websocket(const struct parse *parse)
{
    return parse->head->status == 101 && parse->head->minor == 1 && parse->option_upgrade &&
           names_websocket(parse);
}

static bool read_expect(struct parse *parse)
{
    struct head *head = parse->head;
    if (head->first[HEADER_EXPECT] == 0 || head->minor == 0)
        return true;
    for (struct field *field = first_field(parse, HEADER_EXPECT); field != NULL;
         field = field_after(parse, field, HEADER_EXPECT)) {
        if (!span_eq_nocase(value_of(parse, field), SPAN("100-continue")))
            return refuse_field(parse, 417, "unknown expectation", HEADER_EXPECT);
    }
    head->expect_continue = parse->chunked || parse->length_value > 0;
    return true;
}

static bool read_host(struct parse *parse)
{
    struct head *head = parse->head;
    const struct field *field = head_field(head, HEADER_HOST);
    if (field == NULL)
        return head->minor == 0 || refuse(parse, 400, "no Host field", parse->begin);
    if (parse->repeated & BIT(HEADER_HOST))
        return refuse_field(parse, 400, "two Host fields", HEADER_HOST);
    if (!scan_is_host(value_of(parse, field)))
        return refuse_field(parse, 400, "bad Host", HEADER_HOST);
    if (!head->absolute_form)
        head->host = field->value;
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
    if (parse->request && head->method == METHOD_OTHER) {
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
    llhttp_init(&parser, parse->request ? HTTP_REQUEST : HTTP_RESPONSE, &llhttp_settings);
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
    if (!parse->request)
        return parser.status_code == head->status;
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

/* Looks for the end of the head and cuts parse->bytes there. What can be refused early is. */
static enum head_result find_end(struct parse *parse, size_t *seen, size_t start_line_max)
{
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
    parse->at = parse->begin;
    parse->head->bytes = (uint32_t)end;
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
    if (!parse_request_line(&parse) || !parse_fields(&parse) || !read_host(&parse) ||
        !judge_request_framing(&parse) || !read_connection(&parse) || !read_expect(&parse))
        return HEAD_BAD;
    head->upgrade_websocket = asks_websocket(&parse);
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
    if (!parse_status_line(&parse) || !parse_fields(&parse) ||
        !judge_response_framing(&parse, to_method) || !read_connection(&parse))
        return HEAD_BAD;
    head->upgrade_websocket = agrees_websocket(&parse);
    if (llhttp_agrees(&parse))
        return HEAD_OK;
    refuse(&parse, 502, "llhttp reads this head differently", 0);
    return HEAD_BAD;
}
