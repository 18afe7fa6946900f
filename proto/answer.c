// SPDX-License-Identifier: Apache-2.0
/*
 * Head, then body, in one loop over what is there:
 *
 *     head ──► body ──► done
 *      └ 1xx ┘
 *
 * proto/head and proto/chunked judge; nothing here is lenient. A connection is to be kept only when
 * the answer's end is known from its framing and was reached.
 */
#include "proto/answer.h"

enum {
    HEAD_BYTES_MAX = 15 * 1024, /* less than conn reads ahead (BUF_SMALL) */
    INTERIM_MAX = 10,           /* 1xx answers before the real one */
};

void answer_init(struct answer_reader *reader, bool is_head, size_t body_max)
{
    *reader = (struct answer_reader){.is_head = is_head, .body_max = body_max};
}

void answer_fini(struct answer_reader *reader, struct shelf *shelf)
{
    buf_clear(shelf, &reader->body);
}

static enum answer_step take_head(struct answer_reader *reader, const struct head *head)
{
    reader->seen = 0;
    if (head->status == 101)
        return ANSWER_BAD; // Nobody asked for another protocol.
    if (head->status < 200)
        return ++reader->interims > INTERIM_MAX ? ANSWER_BAD : ANSWER_MORE;
    reader->status = head->status;
    reader->framing = head->framing;
    reader->left = head->content_length;
    reader->keep_alive = head->keep_alive && head->framing != FRAMING_UNTIL_CLOSE;
    reader->in_body = true;
    chunked_init(&reader->chunked);
    return ANSWER_MORE;
}

/* MORE with *used > 0: look again. */
static enum answer_step read_head(struct answer_reader *reader, struct span in, size_t *used)
{
    static const struct head_limits limits = {
        .header_bytes = HEAD_BYTES_MAX, .fields = 100, .target = 1};
    struct head head;
    struct head_error error;
    enum http_method to = reader->is_head ? METHOD_HEAD : METHOD_GET;
    switch (head_parse_response(&head, in, &reader->seen, to, &limits, &error)) {
    case HEAD_MORE:
        return ANSWER_MORE;
    case HEAD_BAD:
        return ANSWER_BAD;
    case HEAD_OK:
        break;
    }
    *used = head.bytes;
    return take_head(reader, &head);
}

/* Keeps a piece of the body. What is beyond the bound is of no interest, so neither is its end. */
static enum answer_step keep(struct answer_reader *reader, struct shelf *shelf, struct span piece)
{
    piece = span_upto(piece, reader->body_max - buf_len(&reader->body));
    if (piece.len > 0 && !buf_append(shelf, &reader->body, piece))
        return ANSWER_NO_MEMORY;
    return buf_len(&reader->body) == reader->body_max ? ANSWER_DONE : ANSWER_MORE;
}

static enum answer_step read_chunks(struct answer_reader *reader, struct shelf *shelf,
                                    struct span in, size_t *used)
{
    enum answer_step step = ANSWER_MORE;
    while (step == ANSWER_MORE && *used < in.len) {
        size_t n = 0;
        struct span data = SPAN_NONE;
        enum chunked_result result = chunked_next(&reader->chunked, span_from(in, *used), &n,
                                                  &data);
        *used += n;
        switch (result) {
        case CHUNKED_MORE:
            return ANSWER_MORE;
        case CHUNKED_DATA:
            step = keep(reader, shelf, data);
            break;
        case CHUNKED_DONE:
            return ANSWER_DONE;
        case CHUNKED_BAD:
            return ANSWER_BAD;
        }
    }
    if (step == ANSWER_DONE)
        reader->keep_alive = false; // Its end was not read.
    return step;
}

static enum answer_step read_length(struct answer_reader *reader, struct shelf *shelf,
                                    struct span in, size_t *used)
{
    in = span_upto(in, reader->left < SIZE_MAX ? (size_t)reader->left : SIZE_MAX);
    enum answer_step step = keep(reader, shelf, in);
    reader->left -= in.len;
    *used = in.len;
    if (step == ANSWER_DONE && reader->left > 0)
        reader->keep_alive = false;
    return step == ANSWER_MORE && reader->left == 0 ? ANSWER_DONE : step;
}

static enum answer_step read_body(struct answer_reader *reader, struct shelf *shelf, struct span in,
                                  size_t *used)
{
    switch (reader->framing) {
    case FRAMING_NONE:
        return ANSWER_DONE;
    case FRAMING_CHUNKED:
        return read_chunks(reader, shelf, in, used);
    case FRAMING_LENGTH:
        return read_length(reader, shelf, in, used);
    case FRAMING_UNTIL_CLOSE:
        *used = in.len;
        return keep(reader, shelf, in);
    }
    return ANSWER_BAD;
}

enum answer_step answer_read(struct answer_reader *reader, struct shelf *shelf, struct span in,
                             size_t *used)
{
    *used = 0;
    while (!reader->in_body) {
        size_t n = 0;
        enum answer_step step = read_head(reader, span_from(in, *used), &n);
        *used += n;
        if (step != ANSWER_MORE || n == 0)
            return step;
    }
    size_t n = 0;
    enum answer_step step = read_body(reader, shelf, span_from(in, *used), &n);
    *used += n;
    return step;
}

bool answer_whole_at_end(const struct answer_reader *reader)
{
    return reader->in_body && reader->framing == FRAMING_UNTIL_CLOSE;
}
