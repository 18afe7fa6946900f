// SPDX-License-Identifier: Apache-2.0
/* Process CPU clocks count nanoseconds, unlike /proc/PID/stat, which counts ticks of 10 ms. */
#include "bench/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

int64_t measure_cpu_ns(const struct measured *these)
{
    int64_t sum = 0;
    for (size_t i = 0; i < these->count; i++) {
        clockid_t clock;
        struct timespec at;
        if (clock_getcpuclockid(these->pids[i], &clock) == 0 && clock_gettime(clock, &at) == 0)
            sum += (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
    }
    return sum;
}

int64_t measure_pss_bytes(const struct measured *these)
{
    int64_t sum = 0;
    for (size_t i = 0; i < these->count; i++) {
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)these->pids[i]);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        int64_t kib;
        while (fgets(line, sizeof line, file)) {
            if (sscanf(line, "Pss: %" SCNd64, &kib) == 1)
                sum += kib * 1024;
        }
        fclose(file);
    }
    return sum;
}
