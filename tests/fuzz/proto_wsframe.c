// SPDX-License-Identifier: Apache-2.0
/*
 * WebSocket frame boundaries. Checked: any pieces lead to the same state; wsframe_to_boundary names
 * the very place where feeding byte by byte first comes to a boundary.
 */
#include <assert.h>

#include "proto/wsframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct wsframe *a, const struct wsframe *b)
{
    return a->left == b->left && a->head_len == b->head_len && a->saw_close == b->saw_close &&
           a->broken == b->broken && a->in_close == b->in_close;
}

static void check_boundary(const struct wsframe *from, struct span bytes)
{
    struct wsframe frame = *from;
    size_t at = 0, wanted = wsframe_to_boundary(from, bytes);
    while (!wsframe_at_boundary(&frame) && at < bytes.len)
        wsframe_feed(&frame, span_of(bytes.ptr + at++, 1));
    assert(wanted == (wsframe_at_boundary(&frame) ? at : SIZE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    struct wsframe whole, pieces;
    wsframe_init(&whole);
    wsframe_init(&pieces);
    wsframe_feed(&whole, in);
    for (size_t at = 0, step = 1; at < size; step = step % 5 + 1) {
        struct span piece = span_upto(span_from(in, at), step);
        check_boundary(&pieces, span_from(in, at));
        wsframe_feed(&pieces, piece);
        at += piece.len;
    }
    assert(same(&whole, &pieces));
    return 0;
}
