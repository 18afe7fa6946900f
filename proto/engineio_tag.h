// SPDX-License-Identifier: Apache-2.0
/*
 * Session ids that say themselves whose they are.
 *
 *   tag      TAG~SID    put before it by the balancer in the handshake's answer, taken off again
 *                       towards the server; TAG is made of the server's name (base/tag.h)
 *   prefix   NAME.SID   or NAME~SID: the server's own generateId put its name there
 *
 * Pure: bytes in, bytes out. Which server has a tag or a name is the caller's business.
 */
#ifndef LIMPET_PROTO_ENGINEIO_TAG_H
#define LIMPET_PROTO_ENGINEIO_TAG_H

#include "base/tag.h"
#include "proto/engineio.h"

enum {
    EIO_TAG_ROOM = TAG_LEN + 1,                      /* "TAG~" */
    EIO_TAGGED_SID_MAX = EIO_SID_MAX - EIO_TAG_ROOM, /* bytes of a server's sid that fit one */
};

/* "TAG~": what stands before a sid. */
void eio_tag_write(uint64_t tag, char out[static EIO_TAG_ROOM]);

/* TAG~SID → true with both parts. The sid as eio_classify gives it (decoded). */
bool eio_tag_split(struct span sid, uint64_t *tag, struct span *rest);

/* NAME.… or NAME~…, with something behind it. */
bool eio_sid_is_of(struct span sid, struct span name);
/* Does it begin like one of anybody's (1 to 64 bytes of a name, then the separator)? */
bool eio_sid_has_name(struct span sid);

/* A handshake's body with the tag put in, in pieces that go out one after the other; they point
 * into the body and into this struct. */
struct eio_tagged {
    struct span parts[5];
    size_t count;
    size_t len;      /* of all */
    char length[12]; /* EIO3: the new length */
    char tag[EIO_TAG_ROOM];
};

/*
 * `body` and what eio_parse_handshake found in it (more bytes may follow that were not there then:
 * they follow unchanged). False: it takes no tag, because the sid with it would be longer than
 * EIO_SID_MAX, or the length before it is written too oddly.
 */
bool eio_tag_handshake(struct span body, const struct eio_handshake *handshake, uint64_t tag,
                       struct eio_tagged *out);

/* Where a request's sid stands. */
enum eio_sid_place {
    EIO_SID_NOWHERE,
    EIO_SID_IN_QUERY, /* every `sid`, however its key and value are percent-encoded */
    EIO_SID_IN_PATH,  /* the last segment: Socket.IO 0.9 */
};
enum eio_sid_place eio_sid_place(const struct eio_request *request);

/* Writes the target (path?query) without tags, everything else byte for byte as it stands. `out`
 * has at least target.len bytes. Returns the bytes written. */
size_t eio_untag_target(struct span target, enum eio_sid_place place, char *out);

#endif
