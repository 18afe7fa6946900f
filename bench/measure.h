// SPDX-License-Identifier: Apache-2.0
/* What other processes cost: CPU time by their process clocks, memory by the kernel's PSS. */
#ifndef LIMPET_BENCH_MEASURE_H
#define LIMPET_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MEASURE_MAX = 8 }; /* processes of one proxy */

struct measured {
    pid_t pids[MEASURE_MAX];
    size_t count;
};

int64_t
measure_cpu_ns(const struct measured *these); /* user and system, all threads, since birth */
int64_t measure_pss_bytes(const struct measured *these);

#endif
