// SPDX-License-Identifier: Apache-2.0
/* Memory that may not fail: what is needed to start. */
#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void mem_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
