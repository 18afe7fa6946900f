// SPDX-License-Identifier: Apache-2.0
/*
 * The shelf and the buffers that borrow from it.
 *
 *     class 0 (16 KiB)   free ─► block ─► block ─► block
 *     class 1 (160 KiB)  free ─► block
 *     class 2 (192 KiB)  free
 *
 * Each block is a mapping of its own. A free block's first word links it to the next; the most
 * recently returned one, whose lines are still in the CPU's cache, is lent first, so the cold ones
 * gather at the end of the list. `low` is the shortest that a list has been since the last trim:
 * that many blocks nobody needed, and half of them, from the cold end, are unmapped. Under
 * AddressSanitizer free blocks are poisoned.
 *
 * Invariant: a buf with data == NULL has cap == start == end == 0. A buf that has bytes has a
 * block.
 */
#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SHELF_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHELF_POISONS 1
#endif
#endif
#ifdef SHELF_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(ptr, size)   ASAN_POISON_MEMORY_REGION(ptr, size)
#define UNPOISON(ptr, size) ASAN_UNPOISON_MEMORY_REGION(ptr, size)
#else
#define POISON(ptr, size)   ((void)(ptr), (void)(size))
#define UNPOISON(ptr, size) ((void)(ptr), (void)(size))
#endif

enum { CLASSES = 3 };
static const uint32_t class_size[CLASSES] = {BUF_SMALL, BUF_MIDDLE, BUF_LARGE};

struct block {
    struct block *next;
};

struct rack {
    struct block *free;
    uint64_t count; /* blocks on `free` */
    uint64_t low;   /* the least that `count` was since the last trim */
};

struct shelf {
    struct rack racks[CLASSES];
    struct shelf_stats stats;
};

static int class_of(size_t size)
{
    if (size <= BUF_SMALL)
        return 0;
    return size <= BUF_MIDDLE ? 1 : 2;
}

static struct block *rack_take(struct rack *rack, int kind)
{
    struct block *block = rack->free;
    UNPOISON(block, class_size[kind]);
    rack->free = block->next;
    rack->count--;
    return block;
}

static char *shelf_lend(struct shelf *shelf, int kind)
{
    struct rack *rack = &shelf->racks[kind];
    char *data;
    if (rack->free) {
        data = (char *)rack_take(rack, kind);
        if (rack->count < rack->low)
            rack->low = rack->count;
    } else {
        data = mmap(NULL, class_size[kind], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
        if (data == MAP_FAILED)
            return NULL;
        shelf->stats.mapped++;
        shelf->stats.bytes += class_size[kind];
        shelf->stats.kept++;
        rack->low = 0;
    }
    shelf->stats.kept--;
    shelf->stats.lent++;
    return data;
}

static void shelf_give_back(struct shelf *shelf, char *data, int kind)
{
    struct rack *rack = &shelf->racks[kind];
    struct block *block = (struct block *)(void *)data;
    assert(shelf->stats.lent > 0);
    shelf->stats.lent--;
    shelf->stats.kept++;
    block->next = rack->free;
    rack->free = block;
    rack->count++;
    POISON(block, class_size[kind]);
}

/* Unmaps the `count` coldest blocks of a class. */
static void shelf_unmap(struct shelf *shelf, int kind, uint64_t count)
{
    struct rack *rack = &shelf->racks[kind];
    shelf->stats.kept -= count;
    shelf->stats.bytes -= count * class_size[kind];
    struct block *kept = NULL;
    uint64_t keep = rack->count - count;
    for (; keep > 0; keep--) {
        struct block *block = rack_take(rack, kind);
        block->next = kept;
        kept = block;
    }
    while (rack->free) {
        struct block *block = rack_take(rack, kind);
        munmap(block, class_size[kind]);
    }
    while (kept) {
        struct block *block = kept;
        kept = block->next;
        block->next = rack->free;
        rack->free = block;
        rack->count++;
        POISON(block, class_size[kind]);
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
    for (int kind = 0; kind < CLASSES; kind++)
        shelf_unmap(shelf, kind, shelf->racks[kind].count);
    free(shelf);
}

void shelf_trim(struct shelf *shelf)
{
    for (int kind = 0; kind < CLASSES; kind++) {
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
static bool buf_change_block(struct shelf *shelf, struct buf *buf, int kind)
{
    char *data = shelf_lend(shelf, kind);
    if (!data)
        return false;
    uint32_t len = buf->end - buf->start;
    if (buf->data) {
        memcpy(data, buf->data + buf->start, len);
        shelf_give_back(shelf, buf->data, class_of(buf->cap));
    }
    buf->data = data;
    buf->cap = class_size[kind];
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
    if (len + space > buf->cap || !buf->data)
        return buf_change_block(shelf, buf, class_of(len + space));
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
    buf->start += (uint32_t)n;
    if (buf->start == buf->end)
        buf_clear(shelf, buf);
}

void buf_clear(struct shelf *shelf, struct buf *buf)
{
    if (!buf->data)
        return;
    shelf_give_back(shelf, buf->data, class_of(buf->cap));
    buf->data = NULL;
    buf->cap = buf->start = buf->end = 0;
}

void buf_move(struct buf *to, struct buf *from)
{
    assert(!to->data);
    to->data = from->data;
    to->cap = from->cap;
    to->start = from->start;
    to->end = from->end;
    from->data = NULL;
    from->cap = from->start = from->end = 0;
}
