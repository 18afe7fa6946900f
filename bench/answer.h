// SPDX-License-Identifier: Apache-2.0
/*
 * Reads HTTP responses that the echo server wrote and a proxy passed on: a Content-Length, or a 101
 * after which the stream is no longer HTTP. Anything else is an error, which the bench counts.
 */
#ifndef LIMPET_BENCH_ANSWER_H
#define LIMPET_BENCH_ANSWER_H

#include "base/span.h"

enum { ANSWER_HEAD = 1024, ANSWER_BODY = 256 }; /* bytes kept */
enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_BAD };

struct answer {
    unsigned status; /* 0: its head is not complete */
    uint64_t left;   /* bytes of the body to come */
    size_t head_len, body_len;
    char head[ANSWER_HEAD];
    char body[ANSWER_BODY]; /* how the body begins */
};

void answer_init(struct answer *answer); /* before every response */
/* Takes what belongs to this response off the front of *bytes. */
enum answer_state answer_feed(struct answer *answer, struct span *bytes);

static inline struct span answer_body(const struct answer *answer)
{
    return span_of(answer->body, answer->body_len);
}

#endif
