// SPDX-License-Identifier: Apache-2.0
/*
 * Whole messages, one behind the other as on a connection, and what limpet makes of them, before
 * the parser that the servers have (llhttp, strict: Node's own). What begins with "HTTP/" are
 * responses to GET, all else requests.
 *
 * Checked: the strict parser accepts what is written out, and reads as many messages with the same
 * methods and targets (or status), upgrades, persistence and bodies; requests that we accept it
 * accepts as they came, too (but for the forms named below), and reads the same out of those.
 */
#include <assert.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proto/chunked.h"
#include "proto/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES_MAX = 6 };

/* A message as somebody read it. */
struct message {
    struct text start; /* method and target, or status */
    struct text body;
    bool keep_alive, upgrade, whole;
    bool absolute; /* the target came with scheme and authority */
};

struct reading {
    struct message list[MESSAGES_MAX];
    size_t count;
    bool written; /* by limpet */
};

static void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        text_free(&reading->list[i].start);
        text_free(&reading->list[i].body);
    }
    *reading = (struct reading){.count = 0};
}

/* ---- the strict parser ---- */

static struct message *current(llhttp_t *parser)
{
    struct reading *reading = parser->data;
    return &reading->list[reading->count - 1];
}

static int on_begin(llhttp_t *parser)
{
    struct reading *reading = parser->data;
    if (reading->count == MESSAGES_MAX)
        return HPE_USER;
    reading->list[reading->count++] = (struct message){.whole = false};
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    text_add(&current(parser)->start, span_of(at, len));
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct message *message = current(parser);
    if (parser->type == HTTP_REQUEST)
        text_addf(&message->start, " %s", llhttp_method_name((llhttp_method_t)parser->method));
    else
        text_addf(&message->start, "%d", (int)parser->status_code);
    message->upgrade = parser->upgrade != 0;
    // llhttp 8.1 waits for the body that such a head speaks of: who uses it has to know (RFC 9112
    // §6.3). We never speak of one where there must be none (1xx, 204).
    const struct reading *reading = parser->data;
    bool bodiless = parser->status_code == 304 ||
                    (!reading->written &&
                     (parser->status_code < 200 || parser->status_code == 204));
    return parser->type == HTTP_RESPONSE && bodiless;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    text_add(&current(parser)->body, span_of(at, len));
    return 0;
}

static int on_whole(llhttp_t *parser)
{
    struct message *message = current(parser);
    message->whole = true;
    message->keep_alive = llhttp_should_keep_alive(parser) != 0;
    return 0;
}

/* False: it refuses something in them. */
static bool read_strictly(struct span bytes, bool requests, struct reading *out)
{
    static const llhttp_settings_t settings = {.on_message_begin = on_begin,
                                               .on_url = on_url,
                                               .on_headers_complete = on_head,
                                               .on_body = on_body,
                                               .on_message_complete = on_whole};
    llhttp_t parser;
    llhttp_init(&parser, requests ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser.data = out;
    llhttp_errno_t error = llhttp_execute(&parser, bytes.ptr, bytes.len);
    if (error == HPE_OK)
        error = llhttp_finish(&parser);
    return error == HPE_OK || error == HPE_PAUSED_UPGRADE;
}

/* ---- limpet ---- */

struct limpet {
    struct span rest; /* not read yet */
    bool requests;
    struct text out;   /* what is sent on */
    size_t used;       /* bytes of whole messages */
    bool odd;          /* a legal form that llhttp 8.1 misreads (proto/head.c names them) */
    bool extended;     /* chunks have extensions or trailers: it knows fewer of those */
    struct reading as; /* the whole messages */
};

/* The body behind a head: its data into *body; *used bytes. False: not whole, or refused. */
static bool read_body(struct limpet *limpet, const struct head *head, struct text *body,
                      size_t *used)
{
    struct span rest = span_from(limpet->rest, head->bytes);
    *used = 0;
    switch (head->framing) {
    case FRAMING_NONE:
        return true;
    case FRAMING_LENGTH:
        *used = (size_t)head->content_length;
        if (head->content_length > rest.len)
            return false;
        text_add(body, span_upto(rest, *used));
        return true;
    case FRAMING_UNTIL_CLOSE:
        *used = rest.len;
        text_add(body, rest);
        return true;
    case FRAMING_CHUNKED:
        break;
    }
    struct chunked chunked;
    chunked_init(&chunked);
    for (;;) {
        size_t n;
        struct span data = SPAN_NONE, in = span_from(rest, *used);
        enum chunked_result result = chunked_next(&chunked, in, &n, &data);
        struct span around = span_upto(in, n - data.len); // Data comes last.
        // More than the last CRLF.
        bool trailers = result == CHUNKED_DONE && chunked.line > 2;
        limpet->extended = limpet->extended || trailers || span_index(around, ';') != SIZE_MAX;
        *used += n;
        if (result != CHUNKED_DATA)
            return result == CHUNKED_DONE;
        text_add(body, data);
    }
}

static void write_body(const struct head *head, const struct text *body, struct text *out)
{
    size_t piece = body->len / 2 + 1;
    if (head->framing != FRAMING_CHUNKED) {
        text_add(out, span_of(body->data, body->len));
        return;
    }
    for (size_t at = 0; at < body->len; at += piece) {
        char line[CHUNKED_HEAD_MAX];
        struct span data = span_upto(span_of(body->data + at, body->len - at), piece);
        text_add(out, span_of(line, chunked_write_head(data.len, line)));
        text_add(out, data);
        text_add(out, SPAN("\r\n"));
    }
    text_add(out, CHUNKED_END);
}

static size_t write_head(const struct limpet *limpet, const struct head *head, const char *base,
                         char *out, size_t size)
{
    struct request_edit request = {.scheme = SPAN("http"),
                                   .client_ip = SPAN("192.0.2.1"),
                                   .upgrade = head->upgrade_websocket,
                                   .close = !head->keep_alive,
                                   .framing = head->framing,
                                   .content_length = head->content_length,
                                   .default_host = SPAN("default")};
    struct response_edit response = {.to_minor = 1,
                                     .upgrade = head->upgrade_websocket,
                                     .close = !head->keep_alive,
                                     .framing = head->framing,
                                     .content_length = head->content_length,
                                     .has_content_length = head->has_content_length};
    return limpet->requests ? headers_write_request(head, base, &request, out, size)
                            : headers_write_response(head, base, &response, out, size);
}

/* Has one of the fields that frame messages a tab in its value, or white space behind it? */
static bool has_odd_blanks(const struct head *head, const char *base)
{
    for (size_t i = 0; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        struct span value = slice_of(base, field->value);
        bool framing = field->id == HEADER_CONTENT_LENGTH || field->id == HEADER_CONNECTION ||
                       field->id == HEADER_TRANSFER_ENCODING;
        if (framing && (value.ptr[value.len] != '\r' || span_index(value, '\t') != SIZE_MAX))
            return true;
    }
    return false;
}

static void note_message(struct limpet *limpet, const struct head *head, const char *base,
                         struct text *body)
{
    struct message *message = &limpet->as.list[limpet->as.count++];
    *message = (struct message){.body = *body,
                                .keep_alive = head->keep_alive || head->upgrade_websocket,
                                .upgrade = head->upgrade_websocket,
                                .absolute = head->absolute_form,
                                .whole = true};
    if (!limpet->requests) {
        text_addf(&message->start, "%d", (int)head->status);
        return;
    }
    // RFC 9112 §3.2.4: the last proxy makes "*" of an OPTIONS target without a path.
    bool asterisk = head->method == METHOD_OPTIONS && head->target.len == 0;
    if (head->target_is_root)
        text_add(&message->start, asterisk ? SPAN("*") : SPAN("/"));
    text_add(&message->start, slice_of(base, head->target));
    text_addf(&message->start, " ");
    text_add(&message->start, slice_of(base, head->method_text));
}

/* False: there is not another whole one that somebody would get, or it was the last. */
static bool next_message(struct limpet *limpet)
{
    static const struct head_limits limits = {.header_bytes = 4096, .fields = 40, .target = 1000};
    static struct head head;
    char out[8192];
    struct head_error error;
    struct text body = {0};
    size_t seen = 0, used;
    const char *base = limpet->rest.ptr;
    enum head_result result = limpet->requests
                                  ? head_parse_request(&head, limpet->rest, &seen, &limits, &error)
                                  : head_parse_response(&head, limpet->rest, &seen, METHOD_GET,
                                                        &limits, &error);
    if (result != HEAD_OK || head.method == METHOD_OTHER)
        return false;
    if (!read_body(limpet, &head, &body, &used)) {
        text_free(&body);
        return false;
    }
    size_t len = write_head(limpet, &head, base, out, sizeof(out));
    assert(len > 0);
    text_add(&limpet->out, span_of(out, len));
    write_body(&head, &body, &limpet->out);
    note_message(limpet, &head, base, &body);
    limpet->odd = limpet->odd || has_odd_blanks(&head, base);
    limpet->used += head.bytes + used;
    limpet->rest = span_from(limpet->rest, head.bytes + used);
    return head.keep_alive && !head.upgrade_websocket && limpet->as.count < MESSAGES_MAX;
}

/* ---- both ---- */

static bool same_text(const struct text *a, const struct text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* written: theirs were read from what we wrote, not from what we read. */
static void check_same(const struct reading *ours, const struct reading *theirs, bool written)
{
    // Where we refuse an upgrade and forward the request without it, another may stop reading.
    bool upgraded = theirs->count > 0 && theirs->list[theirs->count - 1].upgrade;
    assert(ours->count == theirs->count || (!written && upgraded && ours->count > theirs->count));
    for (size_t i = 0; i < theirs->count; i++) {
        const struct message *a = &ours->list[i], *b = &theirs->list[i];
        assert(b->whole && same_text(&a->body, &b->body));
        assert((a->absolute && !written) || same_text(&a->start, &b->start));
        assert(!written || a->upgrade == b->upgrade);
        assert(!written || a->upgrade || a->keep_alive == b->keep_alive);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    struct limpet limpet = {.rest = in};
    struct reading strict = {.count = 0};
    limpet.requests = !span_starts(in, SPAN("HTTP/"));
    if (size == 0)
        return 0;
    while (next_message(&limpet))
        ;
    if (limpet.as.count > 0) {
        strict.written = true;
        assert(read_strictly(span_of(limpet.out.data, limpet.out.len), limpet.requests, &strict));
        check_same(&limpet.as, &strict, true);
        reading_free(&strict);
        if (!limpet.odd) {
            bool accepts = read_strictly(span_upto(in, limpet.used), limpet.requests, &strict);
            assert(accepts || limpet.extended || !limpet.requests);
            if (accepts)
                check_same(&limpet.as, &strict, false);
        }
        reading_free(&strict);
    }
    reading_free(&limpet.as);
    text_free(&limpet.out);
    return 0;
}
