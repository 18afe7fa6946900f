// SPDX-License-Identifier: Apache-2.0
/* A new thread inherits its creator's signal mask, so all signals are blocked around its creation.
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS); // What a sandbox refuses.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return false;
    }
    char short_name[16];
    snprintf(short_name, sizeof(short_name), "%.15s", name);
    pthread_setname_np(*thread, short_name);
    return true;
}
