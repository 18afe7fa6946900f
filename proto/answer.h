// SPDX-License-Identifier: Apache-2.0
/*
 * One HTTP answer, read from the bytes of a connection as they come: interim ones are passed over,
 * the body is kept up to a bound. Bytes in, values out; for proto/call and for senders that keep
 * their connections.
 */
#ifndef LIMPET_PROTO_ANSWER_H
#define LIMPET_PROTO_ANSWER_H

#include "base/buf.h"
#include "proto/chunked.h"
#include "proto/head.h"

enum answer_step {
    ANSWER_MORE, /* needs more bytes */
    ANSWER_DONE,
    ANSWER_BAD, /* not HTTP */
    ANSWER_NO_MEMORY,
};

struct answer_reader {
    size_t body_max;
    bool is_head;    /* it answers a HEAD */
    bool keep_alive; /* when done: the connection may carry another exchange */
    bool in_body;
    uint16_t status;
    int interims;
    enum framing framing;
    size_t seen;   /* of the head, for head_parse_response */
    uint64_t left; /* bytes, FRAMING_LENGTH */
    struct chunked chunked;
    struct buf body; /* its first body_max bytes */
};

/* For the next answer; a reader that was used is freed first (answer_fini). */
void answer_init(struct answer_reader *reader, bool is_head, size_t body_max);
/* Gives the body's memory back. */
void answer_fini(struct answer_reader *reader, struct shelf *shelf);

/* Reads on in `in`, which begins where the last call stopped; *used says how much was taken. A body
 * beyond body_max is not read to its end: done, and not to be kept alive. */
enum answer_step answer_read(struct answer_reader *reader, struct shelf *shelf, struct span in,
                             size_t *used);
/* The stream has ended: was the answer whole? */
bool answer_whole_at_end(const struct answer_reader *reader);

#endif
