// SPDX-License-Identifier: Apache-2.0
/*
 * Answers to our own calls (probes, webhooks). The first byte: is it an answer to HEAD (bit 0), and
 * how much of a body is kept (the rest, times 8).
 *
 * Checked: any pieces give the same end, status and body; no more is kept than was asked for, no
 * more taken than came; and with little kept, the body is a beginning of what more would have kept.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shelf *shelf;

struct asked {
    bool is_head;
    size_t body_max;
};

static enum answer_step read_in(struct span in, size_t step, const struct asked *asked,
                                struct answer_reader *reader)
{
    enum answer_step result = ANSWER_MORE;
    size_t taken = 0, have = 0;
    answer_init(reader, asked->is_head, asked->body_max);
    while (result == ANSWER_MORE && have < in.len) {
        have = in.len - have < step ? in.len : have + step;
        // Of just that size, so that AddressSanitizer sees what is read beyond.
        size_t n = have - taken, used = 0;
        char *copy = malloc(n + (n == 0));
        assert(copy);
        memcpy(copy, in.ptr + taken, n);
        result = answer_read(reader, shelf, span_of(copy, n), &used);
        free(copy);
        assert(used <= n);
        taken += used;
    }
    assert(buf_len(&reader->body) <= asked->body_max);
    assert(result != ANSWER_NO_MEMORY);
    assert(result != ANSWER_DONE || (reader->status >= 200 && reader->status <= 999));
    return result;
}

static void check_same(const struct answer_reader *a, const struct answer_reader *b)
{
    assert(a->status == b->status && a->in_body == b->in_body);
    assert(span_eq(buf_bytes(&a->body), buf_bytes(&b->body)));
    assert(answer_whole_at_end(a) == answer_whole_at_end(b));
    // A body that is longer than what is kept is left in the middle, or not.
    assert(a->keep_alive == b->keep_alive || buf_len(&a->body) == a->body_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 5, 30};
    if (!shelf)
        shelf = shelf_new();
    if (size == 0)
        return 0;
    struct asked asked = {data[0] & 1, (data[0] >> 1) * 8u + 1};
    struct span in = span_of((const char *)data + 1, size - 1);
    struct answer_reader whole, other;
    enum answer_step result = read_in(in, size, &asked, &whole);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum answer_step pieces = read_in(in, steps[i], &asked, &other);
        assert(result == pieces);
        check_same(&whole, &other);
        answer_fini(&other, shelf);
    }
    struct asked more = {asked.is_head, asked.body_max * 2};
    (void)read_in(in, size, &more, &other);
    assert(span_starts(buf_bytes(&other.body), buf_bytes(&whole.body)));
    answer_fini(&other, shelf);
    answer_fini(&whole, shelf);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert(stats.lent == 0);
    return 0;
}
