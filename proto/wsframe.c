// SPDX-License-Identifier: Apache-2.0
/*
 * WebSocket frame boundaries (RFC 6455 §5.2).
 *
 *   boundary ─► head: 2 bytes, 0/2/8 of length, 0/4 of mask ─► payload: `left` bytes ─► boundary
 *
 * A head is gathered in frame->head until it is complete; payloads are only counted. The first head
 * that cannot be one makes the stream `broken` for good: bytes still pass, but no boundary is known
 * from there on.
 */
#include "proto/wsframe.h"

#include <string.h>

enum {
    FIN = 0x80,
    OPCODE = 0x0f,
    OPCODE_CONTROL = 0x08,
    OPCODE_CLOSE = 0x08,
    OPCODE_PONG = 0x0a,
    OPCODE_BINARY = 0x02,
    MASKED = 0x80,
    LENGTH = 0x7f,
    CONTROL_MAX = 125,
};

void wsframe_init(struct wsframe *frame)
{
    *frame = (struct wsframe){0};
}

/* Bytes of the head, as far as what came of it says. */
static size_t head_size(const struct wsframe *frame)
{
    if (frame->head_len < 2)
        return 2;
    uint8_t length = frame->head[1] & LENGTH;
    size_t extended = length == 127 ? 8 : length == 126 ? 2 : 0;
    return 2 + extended + (frame->head[1] & MASKED ? 4 : 0);
}

static uint64_t payload_size(const struct wsframe *frame)
{
    uint8_t length = frame->head[1] & LENGTH;
    uint64_t size = 0;
    if (length < 126)
        return length;
    for (size_t i = 0; i < (length == 127 ? 8u : 2u); i++)
        size = size << 8 | frame->head[2 + i];
    return size;
}

static bool head_is_good(const struct wsframe *frame, uint64_t payload)
{
    uint8_t opcode = frame->head[0] & OPCODE;
    if ((opcode & OPCODE_CONTROL) == 0)
        return opcode <= OPCODE_BINARY && payload <= INT64_MAX;
    return opcode <= OPCODE_PONG && (frame->head[0] & FIN) != 0 && payload <= CONTROL_MAX;
}

static void end_frame(struct wsframe *frame)
{
    frame->saw_close = frame->saw_close || frame->in_close;
    frame->in_close = false;
}

/* The head is complete. */
static void begin_payload(struct wsframe *frame)
{
    uint64_t payload = payload_size(frame);
    if (!head_is_good(frame, payload)) {
        frame->broken = true;
        return;
    }
    frame->in_close = (frame->head[0] & OPCODE) == OPCODE_CLOSE;
    frame->head_len = 0;
    frame->left = payload; /* from here on, instead of the head */
    if (payload == 0)
        end_frame(frame);
}

/* Takes bytes up to the end of the current head or payload; returns how many. */
static size_t take(struct wsframe *frame, struct span bytes)
{
    if (frame->head_len == 0 && frame->left > 0) {
        size_t n = bytes.len < frame->left ? bytes.len : (size_t)frame->left;
        frame->left -= n;
        if (frame->left == 0)
            end_frame(frame);
        return n;
    }
    size_t missing = head_size(frame) - frame->head_len;
    size_t n = bytes.len < missing ? bytes.len : missing;
    memcpy(frame->head + frame->head_len, bytes.ptr, n);
    frame->head_len = (uint8_t)(frame->head_len + n);
    if (frame->head_len >= 2 && frame->head_len == head_size(frame))
        begin_payload(frame);
    return n;
}

void wsframe_feed(struct wsframe *frame, struct span bytes)
{
    while (bytes.len > 0 && !frame->broken)
        bytes = span_from(bytes, take(frame, bytes));
}

size_t wsframe_to_boundary(const struct wsframe *frame, struct span bytes)
{
    struct wsframe copy = *frame;
    size_t at = 0;
    while (!wsframe_at_boundary(&copy)) {
        if (copy.broken || at == bytes.len)
            return SIZE_MAX;
        at += take(&copy, span_from(bytes, at));
    }
    return at;
}

size_t wsframe_write_close(uint16_t code, struct span reason, char out[static 2 + 125])
{
    enum { REASON_MAX = 123 };
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    // Not in the middle of a UTF-8 character.
    while (len < reason.len && len > 0 && (reason.ptr[len] & 0xc0) == 0x80)
        len--;
    out[0] = (char)(FIN | OPCODE_CLOSE);
    out[1] = (char)(2 + len);
    out[2] = (char)(code >> 8);
    out[3] = (char)(code & 0xff);
    if (len > 0)
        memcpy(out + 4, reason.ptr, len);
    return 4 + len;
}
