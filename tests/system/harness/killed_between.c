// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into redis-server: once the file LIMPET_KILL exists, the process dies as by SIGKILL right
 * behind the next answer to a PUBLISH, whatever else it was about to write.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t write(int fd, const void *bytes, size_t len)
{
    const char *file = getenv("LIMPET_KILL");
    ssize_t written = syscall(SYS_write, fd, bytes, len);
    if (len > 0 && *(const char *)bytes == ':' && file != NULL && access(file, F_OK) == 0)
        kill(getpid(), SIGKILL);
    return written;
}
