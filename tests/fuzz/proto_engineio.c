// SPDX-License-Identifier: Apache-2.0
/*
 * Engine.IO: the input is read as a target (path ? query), and as a body in every way.
 *
 * Checked: a sid that was found, percent-encoded and read again, is the same; a handshake that was
 * found in the first bytes is the same when more come, and what was refused stays refused.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/engineio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span paths[] = {{"/socket.io/", 11}, {"/e", 2}};

static void check_target(struct span target)
{
    static struct eio_request request, again;
    size_t mark = span_index(target, '?');
    struct span path = span_upto(target, mark);
    struct span query = mark == SIZE_MAX ? SPAN_NONE : span_from(target, mark + 1);
    eio_classify(path, query, paths, 2, &request);
    assert(request.sid_len <= EIO_SID_MAX);
    assert((request.kind == EIO_SESSION) == (request.sid_len > 0 || request.sid_too_long));
    if (request.kind != EIO_SESSION || request.sid_too_long)
        return;
    char encoded[32 + 3 * EIO_SID_MAX];
    size_t len = (size_t)sprintf(encoded, "transport=polling&sid=");
    for (size_t i = 0; i < request.sid_len; i++)
        len += (size_t)sprintf(encoded + len, "%%%02x", (unsigned char)request.sid[i]);
    eio_classify(SPAN("/socket.io/"), span_of(encoded, len), paths, 2, &again);
    assert(again.kind == EIO_SESSION && span_eq(eio_sid(&again), eio_sid(&request)));
}

static void check_handshake(struct span body, bool legacy)
{
    static struct eio_handshake whole, piece;
    enum eio_parse result = eio_parse_handshake(body, legacy, &whole);
    assert(result != EIO_PARSE_FOUND || (whole.sid_len > 0 && whole.sid_len <= EIO_SID_MAX));
    assert(whole.ping_interval_ms >= -1 && whole.ping_timeout_ms >= -1);
    size_t step = body.len / 16 + 1;
    for (size_t len = 0; len < body.len; len += step) {
        char *copy = malloc(len + 1);
        assert(copy != NULL);
        memcpy(copy, body.ptr, len);
        enum eio_parse early = eio_parse_handshake(span_of(copy, len), legacy, &piece);
        free(copy);
        assert(early == EIO_PARSE_MORE || early == result);
        if (early != EIO_PARSE_FOUND)
            continue;
        assert(piece.sid_len == whole.sid_len && !memcmp(piece.sid, whole.sid, whole.sid_len));
        assert(piece.ping_interval_ms == whole.ping_interval_ms);
        assert(piece.ping_timeout_ms == whole.ping_timeout_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    check_target(in);
    check_handshake(in, false);
    check_handshake(in, true);
    eio_is_unknown_sid(in);
    for (uint8_t protocol = 0; protocol <= 4; protocol++)
        eio_is_close(in, protocol);
    return 0;
}
