// SPDX-License-Identifier: Apache-2.0
/*
 * Follows WebSocket frame boundaries in a byte stream (RFC 6455 §5.2) without looking at payloads,
 * so that a Close frame can be put in between two frames. Any split of the input gives the same
 * result.
 */
#ifndef LIMPET_PROTO_WSFRAME_H
#define LIMPET_PROTO_WSFRAME_H

#include "base/span.h"

struct wsframe {
    union {
        uint64_t left;    /* payload bytes left in the current frame */
        uint8_t head[14]; /* while head_len > 0: of the frame whose head is incomplete */
    };
    uint8_t head_len; /* bytes of it so far; 0 and left 0: at a boundary */
    bool saw_close;   /* a whole Close frame has passed: nothing may follow it */
    bool broken;      /* reserved opcode, length with the top bit set, fragmented control frame …:
                         boundaries are unknown from here */
    bool in_close;
};

void wsframe_init(struct wsframe *frame);
void wsframe_feed(struct wsframe *frame, struct span bytes);
static inline bool wsframe_at_boundary(const struct wsframe *frame)
{
    return frame->head_len == 0 && frame->left == 0 && !frame->broken;
}

/*
 * How many of `bytes` may be sent so that the stream stops at a frame boundary at the earliest
 * place; SIZE_MAX when the current frame does not end within them. Does not change `frame`.
 */
size_t wsframe_to_boundary(const struct wsframe *frame, struct span bytes);

/* An unmasked (server to client) Close frame with a code and a short reason. Returns the length. */
size_t wsframe_write_close(uint16_t code, struct span reason, char out[static 2 + 125]);

#endif
