// SPDX-License-Identifier: Apache-2.0
/* WebSocket frames (RFC 6455 §5.2): unmasks what a client sent and sends it back. */
#include "bench/echo.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 10, MASK = 4, OPCODE_CLOSE = 8 }; /* bytes; of a server's frame */

static size_t frame_head(uint8_t opcode, size_t len, uint8_t out[static HEAD_MAX])
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[1] = (uint8_t)len;
        return 2;
    }
    size_t bytes = len < 65536 ? 2 : 8;
    out[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

static void send_frame(struct caller *caller, uint8_t opcode, const uint8_t *mask, struct span text)
{
    static char frame[HEAD_MAX + 4 * 1024 * 1024];
    size_t head = frame_head(opcode, text.len, (uint8_t *)frame);
    char *payload = frame + head;
    memcpy(payload, text.ptr, text.len);
    for (size_t i = 0; mask && i < text.len; i++)
        payload[i] = (char)(payload[i] ^ mask[i & 3]);
    stream_send(&caller->stream, span_of(frame, head + text.len));
}

void echo_send_text(struct caller *caller, struct span text)
{
    send_frame(caller, 1, NULL, text);
}

size_t echo_frame(struct caller *caller, struct span bytes)
{
    if (bytes.len < 2)
        return 0;
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    uint64_t len = at[1] & 0x7f;
    size_t head = 2 + (len == 126 ? 2 : len == 127 ? 8 : 0);
    if (bytes.len < head + MASK)
        return 0;
    if (head > 2)
        len = 0;
    for (size_t i = 2; i < head; i++)
        len = len << 8 | at[i];
    if (!(at[1] & 0x80) || (at[0] & 15) == OPCODE_CLOSE || len > 4 * 1024 * 1024)
        return SIZE_MAX;
    if (bytes.len < head + MASK + len)
        return 0;
    send_frame(caller, at[0] & 15, at + head, span_of(bytes.ptr + head + MASK, len));
    return head + MASK + len;
}
