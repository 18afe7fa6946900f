// SPDX-License-Identifier: Apache-2.0
/*
 * Byte buffers whose memory is lent. A struct buf is 24 bytes; it owns a block only while it holds
 * bytes. Blocks come from a per-worker shelf, last-in first-out (the next reader finds a warm one),
 * and go back the moment a buffer is empty: an idle connection owns none.
 *
 *     data      start          end            cap
 *      |  read    |   unread    |    space     |
 *
 * Blocks are of a few sizes (BUF_SIZES), each mapped on its own, so that a burst's memory goes back
 * to the system when shelf_trim unmaps what was not needed for a while.
 */
#ifndef LIMPET_BASE_BUF_H
#define LIMPET_BASE_BUF_H

#include "base/span.h"

enum {
    BUF_SMALL = 16 * 1024,   /* a usual head, a poll's body, a tunnel's message */
    BUF_MIDDLE = 160 * 1024, /* streaming: what one read takes at most; see conn.c */
    BUF_LARGE = 192 * 1024,  /* a gathered request: head and up to 64 KiB of body */
    BUF_MAX = BUF_LARGE,
};

struct shelf; /* one per worker, used by that thread only */

struct shelf *shelf_new(void);
void shelf_free(struct shelf *shelf); /* every block must be back */
/* Unmaps about half of the blocks that were never needed since the last call. For a timer. */
void shelf_trim(struct shelf *shelf);

struct shelf_stats {
    uint64_t lent;   /* blocks out now */
    uint64_t kept;   /* blocks on the shelf */
    uint64_t mapped; /* blocks ever asked of the system: constant on a warm path */
    uint64_t bytes;  /* bytes mapped now */
};
void shelf_stats(const struct shelf *shelf, struct shelf_stats *out);

struct buf {
    char *data;          /* NULL: owns no block */
    uint32_t end;        /* behind the last byte */
    uint32_t start : 24; /* first unread byte */
    uint32_t kind : 8;   /* of the block: enum buf_kind */
};

enum buf_kind { BUF_KIND_NONE, BUF_KIND_SMALL, BUF_KIND_MIDDLE, BUF_KIND_LARGE, BUF_KINDS };

static inline uint32_t buf_kind_bytes(enum buf_kind kind)
{
    static const uint32_t sizes[BUF_KINDS] = {0, BUF_SMALL, BUF_MIDDLE, BUF_LARGE};
    return sizes[kind];
}

/* Bytes of its block. */
static inline uint32_t buf_cap(const struct buf *buf)
{
    return buf_kind_bytes((enum buf_kind)buf->kind);
}

static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

static inline size_t buf_space(const struct buf *buf)
{
    return buf_cap(buf) - buf->end;
}

static inline struct span buf_bytes(const struct buf *buf)
{
    return (struct span){buf->data + buf->start, buf->end - buf->start};
}

/*
 * Makes room for `space` more bytes behind `end`: lends a block when there is none, moves the
 * unread bytes to the front, or changes to a larger block. Offsets relative to `start` stay valid,
 * pointers do not. False: no memory, or more than BUF_MAX in all; the buffer is unchanged then.
 */
bool buf_reserve(struct shelf *shelf, struct buf *buf, size_t space);
bool buf_append(struct shelf *shelf, struct buf *buf, struct span bytes);

/* Marks n bytes as read; an empty buffer gives its block back. */
void buf_consume(struct shelf *shelf, struct buf *buf, size_t n);

/* Forgets everything and gives the block back. Harmless on an empty buffer. */
void buf_clear(struct shelf *shelf, struct buf *buf);

/* Gives `to` (which must be empty) the block and bytes of `from`, which is empty afterwards. No
 * copy. */
void buf_move(struct buf *to, struct buf *from);

#endif
