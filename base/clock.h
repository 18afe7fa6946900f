// SPDX-License-Identifier: Apache-2.0
/* The two clocks. Deadlines use the monotonic one; log lines and cookies the wall clock. */
#ifndef LIMPET_BASE_CLOCK_H
#define LIMPET_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);

#endif
