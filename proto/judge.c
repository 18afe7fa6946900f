// SPDX-License-Identifier: Apache-2.0
/*
 * What a head's fields mean together: its one framing (RFC 9112 §6), its connection options (RFC
 * 9110 §7.6.1), whether it asks for a WebSocket (§7.8, RFC 6455 §4.1), what it expects (§10.1.1),
 * and its host (§7.2).
 *
 * The rule for framing: Content-Length in one field of digits below 2^63, or Transfer-Encoding in
 * one field that says chunked and nothing else, on HTTP/1.1. Neither: no body (requests), up to the
 * end of the connection (responses). All else is refused; nothing is repaired.
 */
#include "proto/parse.h"
#include "proto/scan.h"

enum { CONNECTION_OPTIONS_MAX = 64 }; /* since each one is compared with every field */

/* What a peer cannot make us forget by naming it in Connection: framing, routing, and what trusted
 * proxies said. */
static const uint64_t end_to_end_ids =
    HEADER_BIT(HEADER_HOST) | HEADER_BIT(HEADER_CONTENT_LENGTH) | HEADER_BIT(HEADER_COOKIE) |
    HEADER_BIT(HEADER_X_FORWARDED_FOR) | HEADER_BIT(HEADER_X_FORWARDED_PROTO) |
    HEADER_BIT(HEADER_X_FORWARDED_HOST) | HEADER_BIT(HEADER_X_FORWARDED_PORT) |
    HEADER_BIT(HEADER_X_REAL_IP) | HEADER_BIT(HEADER_X_REQUEST_ID) | HEADER_BIT(HEADER_FORWARDED);

/* The next field with that id behind `field`, or NULL. */
static struct field *field_after(const struct parse *parse, struct field *field, enum header_id id)
{
    struct field *end = parse->head->fields + parse->head->nfields;
    if ((parse->repeated & HEADER_BIT(id)) == 0)
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

/* ---- framing ---- */

static bool read_content_length(struct parse *parse)
{
    const struct field *field = head_field(parse->head, HEADER_CONTENT_LENGTH);
    if (field == NULL)
        return true;
    if (parse->repeated & HEADER_BIT(HEADER_CONTENT_LENGTH))
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
    if (parse->repeated & HEADER_BIT(HEADER_TRANSFER_ENCODING))
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
    if ((end_to_end_ids & HEADER_BIT(id)) != 0 || (id != HEADER_OTHER && head->first[id] == 0))
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
           (parse->repeated & HEADER_BIT(id)) == 0;
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
    if (parse->repeated & HEADER_BIT(HEADER_HOST))
        return refuse_field(parse, 400, "two Host fields", HEADER_HOST);
    if (!scan_is_host(value_of(parse, field)))
        return refuse_field(parse, 400, "bad Host", HEADER_HOST);
    if (!head->absolute_form)
        head->host = field->value;
    return true;
}

bool judge_request(struct parse *parse)
{
    if (!read_host(parse) || !judge_request_framing(parse) || !read_connection(parse) ||
        !read_expect(parse))
        return false;
    parse->head->upgrade_websocket = asks_websocket(parse);
    return true;
}

bool judge_response(struct parse *parse, enum http_method to_method)
{
    if (!judge_response_framing(parse, to_method) || !read_connection(parse))
        return false;
    parse->head->upgrade_websocket = agrees_websocket(parse);
    return true;
}
