// SPDX-License-Identifier: Apache-2.0
/*
 * Pools of objects that are lent and come back, thousands at a time.
 *
 *     slab (64 KiB, aligned to its size, so that an object's address tells its slab)
 *     | struct slab | object | object | … | never lent so far … |
 *                      free ──┘    └─► through the objects' first words
 *
 * partial:  slabs in use that have room, the one that got room last in front │ empty slabs
 *
 * Objects are lent from the front, so that those in use fill up and empty ones stay empty until
 * pool_trim unmaps them. A full slab is in no list. Memory that was never lent is never touched.
 */
#include "base/pool.h"

#include "base/sanitizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SLAB_BYTES = 64 * 1024, ALIGNMENT = 8, OBJECT_MAX = 8 * 1024 };

struct slab {
    struct list node; /* in pool->partial; single while full */
    void *free;       /* objects that came back */
    size_t used;      /* objects out */
    size_t touched;   /* objects that were ever lent */
};

static struct slab *slab_of(void *object)
{
    return (struct slab *)((uintptr_t)object & ~(uintptr_t)(SLAB_BYTES - 1));
}

/* Mapped twice as large, and what is not aligned given back. */
static struct slab *slab_map(void)
{
    char *map = mmap(NULL, 2 * (size_t)SLAB_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    size_t before = (SLAB_BYTES - ((uintptr_t)map & (SLAB_BYTES - 1))) & (SLAB_BYTES - 1);
    char *slab = map + before, *behind = slab + SLAB_BYTES;
    if (before > 0)
        munmap(map, before);
    munmap(behind, SLAB_BYTES - before);
    return (struct slab *)(void *)slab;
}

static struct slab *slab_new(struct pool *pool)
{
    struct slab *slab = slab_map();
    if (!slab)
        return NULL;
    pool->grown++;
    pool->empty++;
    list_init(&slab->node);
    list_push_back(&pool->partial, &slab->node);
    return slab;
}

static void *slab_take(struct slab *slab, const struct pool *pool)
{
    void *object = slab->free;
    if (!object) /* as zero as it was mapped */
        return (char *)(slab + 1) + pool->size * slab->touched++;
    memcpy(&slab->free, object, sizeof(slab->free));
    memset(object, 0, pool->size);
    return object;
}

void pool_init(struct pool *pool, size_t size)
{
    assert(size > 0 && size <= OBJECT_MAX);
    *pool = (struct pool){.size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
    pool->per_slab = (SLAB_BYTES - sizeof(struct slab)) / pool->size;
    list_init(&pool->partial);
}

static void unmap_empty(struct pool *pool, size_t count)
{
    for (; count > 0; count--) {
        struct slab *slab = container_of(pool->partial.prev, struct slab, node);
        assert(slab->used == 0);
        list_remove(&slab->node);
        munmap(slab, SLAB_BYTES);
        pool->empty--;
    }
}

void pool_fini(struct pool *pool)
{
    assert(pool->lent == 0);
    unmap_empty(pool, pool->empty);
}

void *pool_lend(struct pool *pool)
{
    if (ADDRESS_SANITIZER) {
        void *object = calloc(1, pool->size);
        pool->lent += object != NULL;
        pool->grown++;
        return object;
    }
    struct list *first = list_first(&pool->partial);
    struct slab *slab = first ? container_of(first, struct slab, node) : slab_new(pool);
    if (!slab)
        return NULL;
    pool->empty -= slab->used == 0;
    if (++slab->used == pool->per_slab)
        list_remove(&slab->node);
    pool->lent++;
    return slab_take(slab, pool);
}

void pool_give_back(struct pool *pool, void *object)
{
    assert(pool->lent > 0);
    pool->lent--;
    if (ADDRESS_SANITIZER) {
        free(object);
        return;
    }
    struct slab *slab = slab_of(object);
    memcpy(object, &slab->free, sizeof(slab->free));
    slab->free = object;
    if (slab->used-- == pool->per_slab)
        list_push_front(&pool->partial, &slab->node);
    if (slab->used > 0)
        return;
    list_remove(&slab->node);
    list_push_back(&pool->partial, &slab->node);
    pool->empty++;
}

void pool_trim(struct pool *pool)
{
    unmap_empty(pool, (pool->empty + 1) / 2);
}
