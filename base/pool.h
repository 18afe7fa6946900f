// SPDX-License-Identifier: Apache-2.0
/*
 * A pool lends objects of one size to one thread without locks, from slabs of 64 KiB: nothing is
 * added to an object, and a slab goes back to the system when all of its objects are back. Under
 * AddressSanitizer every lend is a malloc, so that use after free shows.
 */
#ifndef LIMPET_BASE_POOL_H
#define LIMPET_BASE_POOL_H

#include "base/list.h"

#include <stdint.h>

struct pool {
    size_t size;         /* bytes per object, rounded up */
    size_t per_slab;     /* objects */
    struct list partial; /* slabs with room; behind those in use the empty ones */
    size_t empty;        /* of them */
    uint64_t lent;       /* objects out now */
    uint64_t grown;      /* times that the system was asked: constant on a warm path */
};

void pool_init(struct pool *pool, size_t size); /* at most 8 KiB */
void pool_fini(struct pool *pool);              /* everything lent must be back */
void *pool_lend(struct pool *pool);             /* zeroed; NULL: no memory */
void pool_give_back(struct pool *pool, void *object);
/* Gives half of the empty slabs back to the system; called now and then after a burst. */
void pool_trim(struct pool *pool);

#endif
