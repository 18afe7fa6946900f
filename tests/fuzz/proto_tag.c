// SPDX-License-Identifier: Apache-2.0
/*
 * Tags on sids: the input is read as a handshake's body in every way, as a target, and as a sid.
 *
 * Checked: a handshake that takes a tag is, with it, a handshake with the same lifetime and the
 * tagged sid; a sid that was tagged, percent-encoded somehow and put into a request, is classified
 * as the tagged one, and the same request without tags as the server's own; nothing is written
 * beyond the target's length; and a target without tags stays as it is.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/engineio_tag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span paths[] = {{"/socket.io/", 11}, {"/e", 2}};

static uint64_t some_tag(struct span in)
{
    return tag_of_name(span_upto(in, 3));
}

/* Whose request is it, as the server would read it? */
static void classify(struct span target, struct eio_request *out)
{
    size_t mark = span_index(target, '?');
    struct span query = mark == SIZE_MAX ? SPAN_NONE : span_from(target, mark + 1);
    eio_classify(span_upto(target, mark), query, paths, 2, out);
}

/* The target without tags, in a block of exactly its length. */
static char *untag(struct span target, enum eio_sid_place place, size_t *len)
{
    char *out = malloc(target.len + (target.len == 0));
    assert(out != NULL);
    *len = eio_untag_target(target, place, out);
    assert(*len <= target.len && (target.len - *len) % EIO_TAG_ROOM < target.len + 1);
    return out;
}

static void check_target(struct span target)
{
    static struct eio_request request, again;
    size_t len;
    classify(target, &request);
    char *out = untag(target, eio_sid_place(&request), &len);
    uint64_t tag;
    struct span rest;
    if (request.kind == EIO_SESSION && !request.sid_too_long) {
        classify(span_of(out, len), &again);
        assert(again.kind == EIO_SESSION && again.transport == request.transport);
        bool tagged = eio_tag_split(eio_sid(&request), &tag, &rest);
        assert(span_eq(eio_sid(&again), tagged ? rest : eio_sid(&request)));
    } else if (request.kind != EIO_SESSION) {
        assert(span_eq(span_of(out, len), target));
    }
    free(out);
}

/* Puts a sid into a query, every byte plain, encoded or not as the input says. */
static size_t write_query(struct span sid, const uint8_t *how, char *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~";
    size_t len = (size_t)sprintf(out, "/socket.io/?transport=polling&sid=");
    for (size_t i = 0; i < sid.len; i++) {
        char c = sid.ptr[i];
        bool may_stand = c != '\0' && strchr(plain, c) != NULL;
        if (may_stand && (how[i % 4] & 1) == 0)
            out[len++] = c;
        else
            len += (size_t)sprintf(out + len, how[i % 4] & 2 ? "%%%02x" : "%%%02X",
                                   (unsigned char)c);
    }
    return len;
}

static void check_round_trip(struct span sid, const uint8_t *how)
{
    static struct eio_request request;
    char tagged[EIO_SID_MAX], query[64 + 3 * EIO_SID_MAX];
    uint64_t tag = some_tag(sid), found;
    struct span rest;
    size_t len;
    sid = span_upto(sid, EIO_TAGGED_SID_MAX);
    if (sid.len == 0)
        return;
    eio_tag_write(tag, tagged);
    memcpy(tagged + EIO_TAG_ROOM, sid.ptr, sid.len);
    struct span target = {query, write_query(span_of(tagged, EIO_TAG_ROOM + sid.len), how, query)};
    classify(target, &request);
    assert(request.kind == EIO_SESSION && !request.sid_too_long);
    assert(eio_tag_split(eio_sid(&request), &found, &rest) && found == tag && span_eq(rest, sid));
    char *out = untag(target, eio_sid_place(&request), &len);
    classify(span_of(out, len), &request);
    assert(span_eq(eio_sid(&request), sid));
    free(out);
}

static void check_handshake(struct span body, bool legacy)
{
    static struct eio_handshake found, again;
    struct eio_tagged tagged;
    struct span rest;
    uint64_t tag = some_tag(body), read;
    if (eio_parse_handshake(body, legacy, &found) != EIO_PARSE_FOUND ||
        !eio_tag_handshake(body, &found, tag, &tagged))
        return;
    char *all = malloc(tagged.len);
    assert(all != NULL);
    size_t len = 0;
    for (size_t i = 0; i < tagged.count; i++) {
        memcpy(all + len, tagged.parts[i].ptr, tagged.parts[i].len);
        len += tagged.parts[i].len;
    }
    assert(len == tagged.len && len <= body.len + EIO_TAG_ROOM + 10);
    // With the tag it may no longer lie within the bytes that are looked at.
    if (len < EIO_HANDSHAKE_MAX) {
        assert(eio_parse_handshake(span_of(all, len), legacy, &again) == EIO_PARSE_FOUND);
        assert(again.ping_interval_ms == found.ping_interval_ms);
        assert(again.ping_timeout_ms == found.ping_timeout_ms);
        struct span sid = {again.sid, again.sid_len};
        assert(eio_tag_split(sid, &read, &rest) && read == tag);
        assert(span_eq(rest, span_of(found.sid, found.sid_len)));
    }
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    check_target(in);
    check_handshake(in, false);
    check_handshake(in, true);
    if (size > 4)
        check_round_trip(span_from(in, 4), data);
    eio_sid_has_name(in);
    eio_sid_is_of(in, span_upto(in, 4));
    return 0;
}
