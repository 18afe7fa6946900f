// SPDX-License-Identifier: Apache-2.0
/* One response at a time; see the header. Heads are gathered, bodies are counted. */
#include "bench/answer.h"

#include <string.h>

void answer_init(struct answer *answer)
{
    answer->status = 0;
    answer->left = 0;
    answer->head_len = answer->body_len = 0;
}

static bool answer_length(struct span head, uint64_t *length)
{
    while (head.ptr) {
        struct span line = span_cut(&head, '\n');
        line = span_cut(&line, '\r');
        struct span name = span_cut(&line, ':');
        if (span_eq_nocase(name, SPAN("content-length")))
            return span_to_u64(span_trim(line), length);
    }
    return false;
}

/* The head up to its empty line off the front of *bytes; false: more is needed, or too much came.
 */
static bool answer_gather(struct answer *answer, struct span *bytes)
{
    size_t before = answer->head_len;
    size_t take = span_upto(*bytes, ANSWER_HEAD - before).len;
    memcpy(answer->head + before, bytes->ptr, take);
    struct span all = span_of(answer->head, before + take);
    size_t end = span_find(all, SPAN("\r\n\r\n"));
    answer->head_len = end == SIZE_MAX ? all.len : end + 4;
    *bytes = span_from(*bytes, answer->head_len - before);
    return end != SIZE_MAX;
}

enum answer_state answer_feed(struct answer *answer, struct span *bytes)
{
    if (!answer->status) {
        if (!answer_gather(answer, bytes))
            return answer->head_len == ANSWER_HEAD ? ANSWER_BAD : ANSWER_MORE;
        struct span head = span_of(answer->head, answer->head_len);
        uint64_t status;
        if (!span_starts(head, SPAN("HTTP/1.1 ")) ||
            !span_to_u64(span_upto(span_from(head, 9), 3), &status))
            return ANSWER_BAD;
        answer->status = (unsigned)status;
        if (status != 101 && !answer_length(head, &answer->left))
            return ANSWER_BAD;
    }
    struct span body = span_upto(*bytes, answer->left);
    struct span kept = span_upto(body, ANSWER_BODY - answer->body_len);
    if (kept.len > 0)
        memcpy(answer->body + answer->body_len, kept.ptr, kept.len);
    answer->body_len += kept.len;
    answer->left -= body.len;
    *bytes = span_from(*bytes, body.len);
    return answer->left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}
