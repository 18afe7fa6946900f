// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into limpet: refuses memory to its workers, one time in N. LIMPET_MALLOC_FAIL names a file
 * of two 64-bit numbers: N (0: never), which the test writes while the program runs, and how often
 * memory was refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
    _Atomic unsigned long long one_in, refused;
};
static struct control *control;

__attribute__((constructor)) static void fail_open(void)
{
    const char *path = getenv("LIMPET_MALLOC_FAIL");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    long map = syscall(SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map > 0 || map < -4096)
        control = (struct control *)map;
    close(fd);
}

static bool is_worker(void)
{
    static __thread int known; /* 1: yes, -1: no */
    if (known == 0) {
        char name[16] = "";
        prctl(PR_GET_NAME, name);
        known = strncmp(name, "limpet-w", 8) == 0 ? 1 : -1;
    }
    return known > 0;
}

static bool refuse(void)
{
    static __thread unsigned long long state = 88172645463325252ULL;
    unsigned long long one_in = control ? control->one_in : 0;
    if (one_in == 0 || !is_worker())
        return false;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % one_in != 0)
        return false;
    control->refused++;
    errno = ENOMEM;
    return true;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t items, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    return refuse() ? NULL : __libc_malloc(size);
}

void *calloc(size_t items, size_t size)
{
    return refuse() ? NULL : __libc_calloc(items, size);
}

void *realloc(void *old, size_t size)
{
    return refuse() ? NULL : __libc_realloc(old, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (refuse())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

/* What it is called with large file offsets. */
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));
