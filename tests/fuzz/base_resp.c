// SPDX-License-Identifier: Apache-2.0
/*
 * Redis' replies. Checked: any pieces give the same replies and the same end; what came out is within
 * the bounds; a reply that was accepted, written anew, is read as the same.
 */
#include "base/resp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A reply as it is written. Depth and sizes are asserted on the way. */
static void write_reply(const struct resp *reply, size_t depth, struct text *out)
{
    switch (reply->type) {
    case RESP_STATUS:
    case RESP_ERROR:
        assert(reply->text.len <= RESP_LINE_MAX);
        text_add(out, reply->type == RESP_STATUS ? SPAN("+") : SPAN("-"));
        text_add(out, reply->text);
        text_add(out, SPAN("\r\n"));
        break;
    case RESP_INTEGER:
        text_addf(out, ":%lld\r\n", (long long)reply->integer);
        break;
    case RESP_BULK:
        assert(reply->text.len <= RESP_BULK_MAX);
        text_addf(out, "$%zu\r\n", reply->text.len);
        text_add(out, reply->text);
        text_add(out, SPAN("\r\n"));
        break;
    case RESP_NIL:
        text_add(out, SPAN("$-1\r\n"));
        break;
    case RESP_ARRAY:
        assert(reply->count <= RESP_ITEMS_MAX && depth < RESP_DEPTH_MAX + 1);
        text_addf(out, "*%zu\r\n", reply->count);
        for (size_t i = 0; i < reply->count; i++)
            write_reply(reply->items[i], depth + 1, out);
        break;
    }
    resp_field(reply, "name");
}

/* Everything that can be read from `in`, as it is written. True: without an error. */
static bool read_in(struct span in, size_t step, struct text *out)
{
    struct resp_reader *reader = resp_reader_new();
    assert(reader);
    bool good = true;
    while (good && in.len > 0) {
        struct resp *reply = NULL;
        size_t n = in.len < step ? in.len : step;
        char *copy = malloc(n);
        assert(copy);
        memcpy(copy, in.ptr, n);
        good = resp_reader_feed(reader, span_of(copy, n));
        free(copy);
        in = span_from(in, n);
        enum resp_next next = resp_reader_next(reader, &reply);
        for (; next == RESP_WHOLE; next = resp_reader_next(reader, &reply)) {
            write_reply(reply, 0, out);
            resp_free(reply);
        }
        good = good && next == RESP_MORE;
        assert(good == (*resp_reader_error(reader) == '\0'));
    }
    resp_reader_free(reader);
    return good;
}

static void check_same(const struct text *a, const struct text *b)
{
    assert(!a->failed && !b->failed && a->len == b->len);
    assert(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 7, 100};
    struct span in = {(const char *)data, size};
    struct text whole = {0}, again = {0};
    bool good = read_in(in, size > 0 ? size : 1, &whole);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct text pieces = {0};
        bool good_too = read_in(in, steps[i], &pieces);
        assert(good == good_too);
        check_same(&whole, &pieces);
        text_free(&pieces);
    }
    bool fine = read_in(span_of(whole.data, whole.len), whole.len + 1, &again);
    assert(fine);
    check_same(&whole, &again);
    text_free(&whole);
    text_free(&again);
    return 0;
}
