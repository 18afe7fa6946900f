// SPDX-License-Identifier: Apache-2.0
/*
 * Chunked bodies. Checked: any pieces give the same data, the same end and the same number of bytes
 * used; a body that was accepted, written anew by our writer, is read as the same data.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
    enum chunked_result end;
    size_t used, len;
    char *data; /* as large as the input */
};

static struct body read_in(struct span in, size_t step)
{
    struct body body = {.end = CHUNKED_MORE, .data = malloc(in.len + 1)};
    struct chunked chunked;
    assert(body.data != NULL);
    chunked_init(&chunked);
    while (body.used < in.len && (body.end == CHUNKED_MORE || body.end == CHUNKED_DATA)) {
        size_t used = 0, n = in.len - body.used < step ? in.len - body.used : step;
        char *copy = malloc(n);
        struct span data;
        assert(copy != NULL);
        memcpy(copy, in.ptr + body.used, n);
        body.end = chunked_next(&chunked, span_of(copy, n), &used, &data);
        assert(used <= n && used > 0 && (body.end != CHUNKED_MORE || used == n));
        if (body.end == CHUNKED_DATA) {
            assert(data.len > 0 && data.ptr >= copy && data.ptr + data.len <= copy + used);
            memcpy(body.data + body.len, data.ptr, data.len);
            body.len += data.len;
        }
        body.used += used;
        free(copy);
    }
    assert((body.end == CHUNKED_BAD) == (chunked_error(&chunked) != NULL));
    // Data and More differ only in what the last piece was.
    if (body.end == CHUNKED_DATA)
        body.end = CHUNKED_MORE;
    return body;
}

static void check_same(const struct body *a, const struct body *b)
{
    assert(a->end == b->end && a->used == b->used && a->len == b->len);
    assert(memcmp(a->data, b->data, a->len) == 0);
}

static void check_rewritten(const struct body *body)
{
    char *out = malloc(body->len * 8 + 64);
    size_t len = 0, chunk = body->len / 3 + 1;
    assert(out != NULL);
    for (size_t at = 0; at < body->len; at += chunk) {
        size_t n = body->len - at < chunk ? body->len - at : chunk;
        len += chunked_write_head(n, out + len);
        memcpy(out + len, body->data + at, n);
        memcpy(out + len + n, "\r\n", 2);
        len += n + 2;
    }
    memcpy(out + len, CHUNKED_END.ptr, CHUNKED_END.len);
    len += CHUNKED_END.len;
    struct body again = read_in(span_of(out, len), len);
    assert(again.end == CHUNKED_DONE && again.used == len && again.len == body->len);
    assert(memcmp(again.data, body->data, body->len) == 0);
    free(again.data);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    if (size == 0)
        return 0;
    struct body whole = read_in(in, size);
    static const size_t steps[] = {1, 2, 3, 7, 50};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct body pieces = read_in(in, steps[i]);
        check_same(&whole, &pieces);
        free(pieces.data);
    }
    if (whole.end == CHUNKED_DONE)
        check_rewritten(&whole);
    free(whole.data);
    return 0;
}
