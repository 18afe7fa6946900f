// SPDX-License-Identifier: Apache-2.0
/* A new thread inherits its creator's signal mask, so all signals are blocked around its creation.
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS); // What a sandbox refuses.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // A thread inherits the name; to name another one takes a file, which a sandbox refuses.
    char ours[16] = "", its[16];
    snprintf(its, sizeof(its), "%.15s", name);
    prctl(PR_GET_NAME, ours);
    prctl(PR_SET_NAME, its);
    int error = pthread_create(thread, NULL, run, argument);
    prctl(PR_SET_NAME, ours);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return false;
    }
    return true;
}

uint64_t thread_cpu_us(pthread_t thread)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}
