// SPDX-License-Identifier: Apache-2.0
/*
 * Memory for OpenSSL's record buffers.
 *
 * With SSL_MODE_RELEASE_BUFFERS an idle connection has none, so that each record borrows one of 16 KiB
 * and a bit, for reading or for writing, and gives it back at once. malloc() takes its slow path for
 * blocks of that size, every time. So each thread keeps a few: they are known by their size, which
 * malloc_usable_size() tells, since OpenSSL frees without naming it. Everything else goes to malloc()
 * as ever.
 */
#include "base/tls.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    RECORD_MIN = 16 * 1024, /* asked for: more than this … */
    RECORD_MAX = 18 * 1024, /* … and at most this, which is what it gets */
    SLACK = 64,             /* what malloc() may add by rounding */
    KEEP = 4,               /* blocks per thread; one connection uses two at a time */
};

static _Thread_local struct {
    void *blocks[KEEP];
    size_t count;
    bool known; /* to the key: freed when the thread ends */
} kept;
static pthread_key_t key;

static void thread_ends(void *unused)
{
    (void)unused;
    kept.known = false;
    while (kept.count > 0)
        free(kept.blocks[--kept.count]);
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size <= RECORD_MIN || size > RECORD_MAX)
        return malloc(size);
    return kept.count > 0 ? kept.blocks[--kept.count] : malloc(RECORD_MAX);
}

static void *resize(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(block, size);
}

static void give_back(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t size = block ? malloc_usable_size(block) : 0;
    if (size < RECORD_MAX || size > RECORD_MAX + SLACK || kept.count == KEEP) {
        free(block);
        return;
    }
    if (!kept.known)
        kept.known = pthread_setspecific(key, &kept) == 0;
    kept.blocks[kept.count++] = block;
}

void tls_keep_blocks(void)
{
    if (pthread_key_create(&key, thread_ends) == 0)
        CRYPTO_set_mem_functions(take, resize, give_back);
}
