// SPDX-License-Identifier: Apache-2.0
/*
 * The shelf and the buffers that borrow from it.
 *
 *     small  (16 KiB)    free ─► block ─► block ─► block
 *     middle (160 KiB)   free ─► block
 *     large  (192 KiB)   free
 *
 * Each block is a mapping of its own. A free block's first word links it to the next; the most
 * recently returned one, whose lines are still in the CPU's cache, is lent first, so the cold ones
 * gather at the end of the list. `low` is the shortest that a list has been since the last trim:
 * that many blocks nobody needed, and half of them, from the cold end, are unmapped. Under
 * AddressSanitizer free blocks are poisoned.
 *
 * Invariant: a buf with data == NULL is all zero. A buf that has bytes has a block.
 */
#include "base/buf.h"

#include "base/mem.h"
#include "base/sanitizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define POISON(ptr, size)   ASAN_POISON_MEMORY_REGION(ptr, size)
#define UNPOISON(ptr, size) ASAN_UNPOISON_MEMORY_REGION(ptr, size)
#else
#define POISON(ptr, size)   ((void)(ptr), (void)(size))
#define UNPOISON(ptr, size) ((void)(ptr), (void)(size))
#endif

#define START_MAX ((UINT32_C(1) << 24) - 1)
_Static_assert(BUF_MAX <= START_MAX, "start is a bit-field");

struct block {
    struct block *next;
};

struct rack {
    struct block *free;
    uint64_t count; /* blocks on `free` */
    uint64_t low;   /* the least that `count` was since the last trim */
};

struct shelf {
    struct rack racks[BUF_KINDS];
    struct shelf_stats stats;
};

static enum buf_kind kind_for(size_t size)
{
    if (size <= BUF_SMALL)
        return BUF_KIND_SMALL;
    return size <= BUF_MIDDLE ? BUF_KIND_MIDDLE : BUF_KIND_LARGE;
}

static struct block *rack_take(struct rack *rack, enum buf_kind kind)
{
    struct block *block = rack->free;
    UNPOISON(block, buf_kind_bytes(kind));
    rack->free = block->next;
    rack->count--;
    return block;
}

static char *shelf_lend(struct shelf *shelf, enum buf_kind kind)
{
    struct rack *rack = &shelf->racks[kind];
    char *data;
    if (rack->free) {
        data = (char *)rack_take(rack, kind);
        if (rack->count < rack->low)
            rack->low = rack->count;
    } else {
        data = mmap(NULL, buf_kind_bytes(kind), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
        if (data == MAP_FAILED)
            return NULL;
        shelf->stats.mapped++;
        shelf->stats.bytes += buf_kind_bytes(kind);
        shelf->stats.kept++;
        rack->low = 0;
    }
    shelf->stats.kept--;
    shelf->stats.lent++;
    return data;
}

static void shelf_give_back(struct shelf *shelf, char *data, enum buf_kind kind)
{
    struct rack *rack = &shelf->racks[kind];
    struct block *block = (struct block *)(void *)data;
    assert(shelf->stats.lent > 0);
    shelf->stats.lent--;
    shelf->stats.kept++;
    block->next = rack->free;
    rack->free = block;
    rack->count++;
    POISON(block, buf_kind_bytes(kind));
}

/* Unmaps the `count` coldest blocks of a class. */
static void shelf_unmap(struct shelf *shelf, enum buf_kind kind, uint64_t count)
{
    struct rack *rack = &shelf->racks[kind];
    shelf->stats.kept -= count;
    shelf->stats.bytes -= count * buf_kind_bytes(kind);
    struct block *kept = NULL;
    uint64_t keep = rack->count - count;
    for (; keep > 0; keep--) {
        struct block *block = rack_take(rack, kind);
        block->next = kept;
        kept = block;
    }
    while (rack->free) {
        struct block *block = rack_take(rack, kind);
        munmap(block, buf_kind_bytes(kind));
    }
    while (kept) {
        struct block *block = kept;
        kept = block->next;
        block->next = rack->free;
        rack->free = block;
        rack->count++;
        POISON(block, buf_kind_bytes(kind));
    }
}

struct shelf *shelf_new(void)
{
    return mem_must_alloc(sizeof(struct shelf));
}

void shelf_free(struct shelf *shelf)
{
    if (!shelf)
        return;
    assert(shelf->stats.lent == 0);
    for (enum buf_kind kind = BUF_KIND_SMALL; kind < BUF_KINDS; kind++)
        shelf_unmap(shelf, kind, shelf->racks[kind].count);
    free(shelf);
}

void shelf_trim(struct shelf *shelf)
{
    for (enum buf_kind kind = BUF_KIND_SMALL; kind < BUF_KINDS; kind++) {
        struct rack *rack = &shelf->racks[kind];
        uint64_t excess = (rack->low + 1) / 2;
        if (excess > 0)
            shelf_unmap(shelf, kind, excess);
        rack->low = rack->count;
    }
}

void shelf_stats(const struct shelf *shelf, struct shelf_stats *out)
{
    *out = shelf->stats;
}

/* Puts the unread bytes at the front of a block of this class; false: no memory. */
static bool buf_change_block(struct shelf *shelf, struct buf *buf, enum buf_kind kind)
{
    char *data = shelf_lend(shelf, kind);
    if (!data)
        return false;
    uint32_t len = buf->end - buf->start;
    if (buf->data) {
        memcpy(data, buf->data + buf->start, len);
        shelf_give_back(shelf, buf->data, buf->kind);
    }
    buf->data = data;
    buf->kind = kind & 0xff;
    buf->start = 0;
    buf->end = len;
    return true;
}

bool buf_reserve(struct shelf *shelf, struct buf *buf, size_t space)
{
    if (buf_space(buf) >= space && buf->data)
        return true;
    size_t len = buf_len(buf);
    if (space > BUF_MAX - len)
        return false;
    if (len + space > buf_cap(buf) || !buf->data)
        return buf_change_block(shelf, buf, kind_for(len + space));
    memmove(buf->data, buf->data + buf->start, len);
    buf->start = 0;
    buf->end = (uint32_t)len;
    return true;
}

bool buf_append(struct shelf *shelf, struct buf *buf, struct span bytes)
{
    if (bytes.len == 0)
        return true;
    if (!buf_reserve(shelf, buf, bytes.len))
        return false;
    memcpy(buf->data + buf->end, bytes.ptr, bytes.len);
    buf->end += (uint32_t)bytes.len;
    return true;
}

void buf_consume(struct shelf *shelf, struct buf *buf, size_t n)
{
    assert(n <= buf_len(buf));
    buf->start = (buf->start + (uint32_t)n) & START_MAX;
    if (buf->start == buf->end)
        buf_clear(shelf, buf);
}

void buf_clear(struct shelf *shelf, struct buf *buf)
{
    if (!buf->data)
        return;
    shelf_give_back(shelf, buf->data, buf->kind);
    buf->data = NULL;
    buf->kind = 0;
    buf->start = 0;
    buf->end = 0;
}

void buf_move(struct buf *to, struct buf *from)
{
    assert(!to->data);
    *to = *from;
    *from = (struct buf){0};
}
