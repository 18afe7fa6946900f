// SPDX-License-Identifier: Apache-2.0
/*
 * The chunked transfer coding (RFC 9112 §7.1): a strict reader (exact CRLF, extensions read and
 * dropped, trailers validated and dropped, all overhead bounded) and the writer's two pieces. Any
 * split of the input gives the same result.
 */
#ifndef LIMPET_PROTO_CHUNKED_H
#define LIMPET_PROTO_CHUNKED_H

#include "base/span.h"

enum {
    CHUNKED_LINE_MAX = 256, /* bytes of a chunk-size line */
    CHUNKED_OVERHEAD_FREE =
        4096, /* bytes of extensions and leading zeros allowed beyond 10 % of the data */
    CHUNKED_TRAILER_MAX = 4096, /* bytes of trailers */
};

struct chunked {
    uint64_t left;     /* data bytes left in this chunk; of its size line what has been read */
    uint64_t data;     /* data bytes so far */
    uint32_t overhead; /* bytes of extensions and leading zeros so far */
    uint16_t line;     /* bytes of the current line so far; of all trailers */
    uint8_t state;     /* these two are chunked.c's */
    uint8_t fault;
};

enum chunked_result {
    CHUNKED_MORE, /* all input used, more is needed */
    CHUNKED_DATA, /* *data is the next piece of the body */
    CHUNKED_DONE, /* the body and its trailers are complete */
    CHUNKED_BAD,
};

void chunked_init(struct chunked *chunked);
const char *
chunked_error(const struct chunked *chunked); /* after CHUNKED_BAD: a phrase; else NULL */
/* Reads from `in`; *used says how many bytes were taken (also with CHUNKED_DATA: data lies inside
 * those). Call again with the rest after DATA. */
enum chunked_result chunked_next(struct chunked *chunked, struct span in, size_t *used,
                                 struct span *data);

/* Data bytes that are still to come of a chunk whose size line is complete; else 0. */
uint64_t chunked_announced(const struct chunked *chunked);

enum { CHUNKED_HEAD_MAX = 20 };
/* Writes "HEX\r\n" for a chunk of n > 0 bytes; the data and "\r\n" follow. Returns the length. */
size_t chunked_write_head(uint64_t n, char out[static CHUNKED_HEAD_MAX]);
#define CHUNKED_END SPAN("0\r\n\r\n")

#endif
