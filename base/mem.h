// SPDX-License-Identifier: Apache-2.0
/*
 * Memory. Start-up allocations (mem_must_*) abort with a message when there is none; everything
 * that a connection asks for may be refused (NULL), and that connection then ends politely.
 */
#ifndef LIMPET_BASE_MEM_H
#define LIMPET_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_must_alloc(size_t size); /* zeroed */
void *mem_must_resize(void *ptr, size_t size);
char *mem_must_copy(const char *string);
/* Whole pages that are free inside malloc's heaps go back to the system. Walks all of them: not for every turn. */
void mem_give_back(void);

/* The object that holds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define array_len(a)                    (sizeof(a) / sizeof((a)[0]))

#endif
