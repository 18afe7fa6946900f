// SPDX-License-Identifier: Apache-2.0
/*
 * WebSockets with Engine.IO inside: the upgrade, the open packet, then messages that come back. One
 * operation is one message there and back. The message is built once; its mask is fixed.
 */
#include "bench/load.h"

#include "base/mem.h"

#include <string.h>

#define UPGRADE                                                                                    \
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench.example\r\n"                \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://bench.example\r\n\r\n"

static struct span message_new(size_t size)
{
    static const uint8_t mask[4] = {0x1d, 0x2e, 0x3f, 0x40};
    char *frame = mem_must_alloc(14 + size);
    size_t head = 2;
    frame[0] = (char)0x81;
    if (size < 126) {
        frame[1] = (char)(0x80 | size);
    } else {
        size_t bytes = size < 65536 ? 2 : 8;
        frame[1] = (char)(0x80 | (bytes == 2 ? 126 : 127));
        for (size_t i = 0; i < bytes; i++)
            frame[2 + i] = (char)((uint64_t)size >> (8 * (bytes - 1 - i)));
        head += bytes;
    }
    memcpy(frame + head, mask, 4);
    for (size_t i = 0; i < size; i++)
        frame[head + 4 + i] = (char)((i == 0 ? '4' : 'm') ^ mask[i & 3]);
    return span_of(frame, head + 4 + size);
}

static void websocket_connected(struct client *client)
{
    client->frame_head_len = 0;
    client->frame_left = 0;
    http_send(client, UPGRADE);
}

static void websocket_begin(struct client *client)
{
    struct load *load = client->load;
    if (load->message.len == 0)
        load->message = message_new(load->options.size > 0 ? load->options.size : 100);
    stream_send(&client->stream, load->message);
}

/* The length that a frame's head says, once it is whole; UINT64_MAX: more of it is to come. */
static uint64_t frame_length(const struct client *client)
{
    const uint8_t *head = client->frame_head;
    if (client->frame_head_len < 2)
        return UINT64_MAX;
    unsigned bytes = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
    if (client->frame_head_len < 2 + bytes)
        return UINT64_MAX;
    uint64_t length = bytes ? 0 : head[1];
    for (unsigned i = 0; i < bytes; i++)
        length = length << 8 | head[2 + i];
    return length;
}

/* Takes the rest of one frame off *in; true when it is whole. */
static bool websocket_frame(struct client *client, struct span *in)
{
    while (client->frame_left == 0) {
        if (in->len == 0)
            return false;
        client->frame_head[client->frame_head_len++] = (uint8_t)in->ptr[0];
        *in = span_from(*in, 1);
        uint64_t length = frame_length(client);
        if (length != UINT64_MAX)
            client->frame_left = length;
        else if (client->frame_head_len == sizeof client->frame_head)
            return false;
    }
    struct span payload = span_upto(*in, client->frame_left);
    client->frame_left -= payload.len;
    *in = span_from(*in, payload.len);
    return client->frame_left == 0;
}

static void websocket_bytes(struct client *client, struct span in)
{
    if (client->answer.status != 101) {
        enum answer_state state = answer_feed(&client->answer, &in);
        if (state == ANSWER_MORE)
            return;
        if (state == ANSWER_BAD || client->answer.status != 101) {
            load_error(client, client->answer.head);
            return;
        }
    }
    struct load *load = client->load;
    while (websocket_frame(client, &in)) {
        uint64_t length = frame_length(client);
        client->frame_head_len = 0;
        if (!client->prepared)
            load_prepared(client);
        else if (length != (load->options.size > 0 ? load->options.size : 100) || !client->busy)
            load_error(client, "a frame that nobody sent");
        else
            load_done(client);
    }
}

const struct mode mode_websocket = {
    .name = "websocket",
    .what = "messages that come back; --size: of the message",
    .connected = websocket_connected,
    .begin = websocket_begin,
    .bytes = websocket_bytes,
};

const struct mode mode_idle_websocket = {
    .name = "idle-websocket",
    .what = "memory per silent WebSocket after one message each",
    .connected = websocket_connected,
    .begin = websocket_begin,
    .bytes = websocket_bytes,
    .crowd = true,
};
