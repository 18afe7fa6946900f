// SPDX-License-Identifier: Apache-2.0
/* Threads: all signals blocked (the main thread alone takes them), named for top and gdb. */
#ifndef LIMPET_BASE_THREAD_H
#define LIMPET_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts run(argument); `name` is cut to 15 bytes. False: errno. To be joined. */
bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

/* CPU time that a thread which was not joined yet has used, in microseconds. */
uint64_t thread_cpu_us(pthread_t thread);

#endif
