// SPDX-License-Identifier: Apache-2.0
/*
 * Memory. Start-up allocations (mem_must_*) abort with a message when there is none; everything
 * that a connection asks for may be refused (NULL), and that connection then ends politely.
 *
 * A pool lends objects of one size to one thread without locks: freed objects go on a list and come
 * back last-in first-out. Under AddressSanitizer every lend is a malloc, so that use after free
 * shows.
 */
#ifndef LIMPET_BASE_MEM_H
#define LIMPET_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_must_alloc(size_t size); /* zeroed */
void *mem_must_resize(void *ptr, size_t size);
char *mem_must_copy(const char *string);

/* The object that holds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define array_len(a)                    (sizeof(a) / sizeof((a)[0]))

struct pool {
    size_t size; /* bytes per object */
    size_t keep; /* free objects kept at most; the rest goes back to malloc */
    void *free;  /* list through the objects' first word */
    size_t free_count;
    uint64_t lent;  /* objects out now */
    uint64_t grown; /* calls of malloc so far: constant on a warm path */
};

void pool_init(struct pool *pool, size_t size, size_t keep);
void pool_fini(struct pool *pool);  /* frees the free list; everything lent must be back */
void *pool_lend(struct pool *pool); /* zeroed; NULL: no memory */
void pool_give_back(struct pool *pool, void *object);
/* Frees half of the free list; called now and then so that a burst's memory goes back. */
void pool_trim(struct pool *pool);

#endif
