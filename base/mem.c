// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that may not fail (start-up) and pools of objects that may.
 *
 * A free object's first word links it to the next free one. Pools belong to one thread and take no
 * locks. Under AddressSanitizer nothing is kept: every lend is a malloc and every return a free, so
 * that a use after return is reported where it happens.
 */
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_KEEPS 0
#endif
#endif
#ifndef POOL_KEEPS
#define POOL_KEEPS 1
#endif

static void out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes were refused\n", size);
    abort();
}

void *mem_must_alloc(size_t size)
{
    void *ptr = calloc(1, size > 0 ? size : 1);
    if (!ptr)
        out_of_memory(size);
    return ptr;
}

void *mem_must_resize(void *ptr, size_t size)
{
    void *resized = realloc(ptr, size > 0 ? size : 1);
    if (!resized)
        out_of_memory(size);
    return resized;
}

char *mem_must_copy(const char *string)
{
    char *copy = strdup(string);
    if (!copy)
        out_of_memory(strlen(string) + 1);
    return copy;
}

static void *next_free(void *object)
{
    void *next;
    memcpy(&next, object, sizeof(next));
    return next;
}

static void pool_free_some(struct pool *pool, size_t count)
{
    for (; count > 0; count--) {
        void *object = pool->free;
        pool->free = next_free(object);
        pool->free_count--;
        free(object);
    }
}

void pool_init(struct pool *pool, size_t size, size_t keep)
{
    *pool = (struct pool){.size = size > sizeof(void *) ? size : sizeof(void *), .keep = keep};
}

void pool_fini(struct pool *pool)
{
    assert(pool->lent == 0);
    pool_free_some(pool, pool->free_count);
}

void *pool_lend(struct pool *pool)
{
    void *object = pool->free;
    if (object) {
        pool->free = next_free(object);
        pool->free_count--;
        memset(object, 0, pool->size);
    } else {
        object = calloc(1, pool->size);
        if (!object)
            return NULL;
        pool->grown++;
    }
    pool->lent++;
    return object;
}

void pool_give_back(struct pool *pool, void *object)
{
    assert(pool->lent > 0);
    pool->lent--;
    if (!POOL_KEEPS || pool->free_count >= pool->keep) {
        free(object);
        return;
    }
    memcpy(object, &pool->free, sizeof(pool->free));
    pool->free = object;
    pool->free_count++;
}

void pool_trim(struct pool *pool)
{
    pool_free_some(pool, (pool->free_count + 1) / 2);
}
