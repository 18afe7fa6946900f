// SPDX-License-Identifier: Apache-2.0
/*
 * Heads, as they come from the wire: those that begin with "HTTP/" are read as responses, all
 * others as requests.
 *
 * Checked: any pieces give the same as the whole; our scan refuses all that llhttp refuses, before
 * llhttp is asked; what headers.c writes of an accepted head is accepted again and means the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/head.h"
#include "proto/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct head_limits limits = {.header_bytes = 4096, .fields = 40, .target = 1000};
/* Ours again: a few fields, and "/" before an empty path. */
static const struct head_limits more = {.header_bytes = 8192, .fields = 60, .target = 1001};

struct input {
    struct span bytes;
    bool request;
    enum http_method to_method;
};

static enum head_result parse(const struct input *input, struct span bytes, size_t *seen,
                              const struct head_limits *with, struct head *head,
                              struct head_error *error)
{
    if (input->request)
        return head_parse_request(head, bytes, seen, with, error);
    return head_parse_response(head, bytes, seen, input->to_method, with, error);
}

/* In pieces of 1 + (0 … spread) bytes, each time in memory that ends with the last byte. */
static enum head_result parse_in_pieces(const struct input *input, size_t spread, struct head *head)
{
    struct head_error error;
    enum head_result result = HEAD_MORE;
    size_t seen = 0, have = 0;
    uint32_t random = (uint32_t)input->bytes.len;
    while (result == HEAD_MORE && have < input->bytes.len) {
        random = random * 1103515245u + 12345u;
        have += 1 + (random >> 16) % (spread + 1);
        if (have > input->bytes.len)
            have = input->bytes.len;
        char *copy = malloc(have);
        assert(copy != NULL);
        memcpy(copy, input->bytes.ptr, have);
        result = parse(input, span_of(copy, have), &seen, &limits, head, &error);
        free(copy);
    }
    return result;
}

static bool same(const struct head *a, const struct head *b)
{
    return memcmp(a, b, offsetof(struct head, fields)) == 0 &&
           memcmp(a->fields, b->fields, a->nfields * sizeof(a->fields[0])) == 0;
}

static void check_request(const struct input *input, const struct head *head)
{
    static struct head again;
    static char out[8192];
    const char *base = input->bytes.ptr;
    struct head_error error = {0};
    struct request_edit edit = {.client_ip = SPAN("192.0.2.1"),
                                .trust_forwarded = input->bytes.len % 2 == 0,
                                .scheme = SPAN("http"),
                                .port = SPAN("80"),
                                .request_id = SPAN("id"),
                                .upgrade = head->upgrade_websocket,
                                .close = !head->keep_alive,
                                .framing = head->framing,
                                .content_length = head->content_length,
                                .default_host = SPAN("default"),
                                .cookie = {COOKIE_REMOVE, SPAN("io")}};
    size_t seen = 0, len = headers_write_request(head, base, &edit, out, sizeof(out));
    assert(len > 0);
    struct span target = slice_of(base, head->target);
    assert(head_parse_request(&again, span_of(out, len), &seen, &more, &error) == HEAD_OK);
    assert(again.bytes == len && again.minor == 1);
    assert(again.method == head->method);
    assert(span_eq(slice_of(out, again.method_text), slice_of(base, head->method_text)));
    assert(span_ends(slice_of(out, again.target), target));
    assert(again.target.len == target.len + head->target_is_root);
    assert(span_eq(slice_of(out, again.query), slice_of(base, head->query)));
    assert(span_eq(slice_of(out, again.host),
                   head->host.len > 0 ? slice_of(base, head->host) : edit.default_host));
    assert(again.framing == head->framing && again.content_length == head->content_length);
    assert(again.keep_alive == (head->keep_alive || head->upgrade_websocket));
    assert(again.upgrade_websocket == head->upgrade_websocket);
    assert(again.first[HEADER_EXPECT] == 0 && again.first[HEADER_TE] == 0);
}

static void check_response(const struct input *input, const struct head *head)
{
    static struct head again;
    static char out[8192];
    const char *base = input->bytes.ptr;
    struct head_error error = {0};
    struct response_edit edit = {.to_minor = 1,
                                 .upgrade = head->upgrade_websocket,
                                 .close = !head->keep_alive,
                                 .framing = head->framing,
                                 .content_length = head->content_length,
                                 .has_content_length = head->has_content_length,
                                 .set_cookie = {SET_COOKIE_PREFIX, SPAN("io"), SPAN("s1")},
                                 .add_set_cookie = SPAN("a=b")};
    size_t seen = 0, len = headers_write_response(head, base, &edit, out, sizeof(out));
    assert(len > 0);
    assert(head_parse_response(&again, span_of(out, len), &seen, input->to_method, &more, &error) ==
           HEAD_OK);
    assert(again.bytes == len && again.minor == 1 && again.status == head->status);
    assert(span_eq(slice_of(out, again.reason), slice_of(base, head->reason)));
    assert(again.framing == head->framing && again.content_length == head->content_length);
    assert(again.has_content_length == head->has_content_length);
    assert(again.keep_alive == (head->keep_alive || head->upgrade_websocket));
    assert(again.upgrade_websocket == head->upgrade_websocket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head head, pieces;
    struct head_error error = {0};
    struct input input = {.bytes = {(const char *)data, size}};
    size_t seen = 0;
    if (size == 0)
        return 0;
    input.request = !span_starts(input.bytes, SPAN("HTTP/"));
    input.to_method = size % 3 == 0 ? METHOD_HEAD : METHOD_GET;
    enum head_result result = parse(&input, input.bytes, &seen, &limits, &head, &error);
    assert(parse_in_pieces(&input, size / 4, &pieces) == result);
    assert(result != HEAD_OK || same(&head, &pieces));
    if (size < 300)
        assert(parse_in_pieces(&input, 0, &pieces) == result);
    if (result == HEAD_BAD)
        assert(error.status != 0 && error.reason != NULL && strstr(error.reason, "llhttp") == NULL);
    if (result == HEAD_OK && input.request)
        check_request(&input, &head);
    else if (result == HEAD_OK)
        check_response(&input, &head);
    return 0;
}
