// SPDX-License-Identifier: Apache-2.0
/*
 * Timers for 100,000 mostly idle connections: a hierarchical wheel of 1 ms ticks, no scan, nothing
 * allocated. Starting a running timer for a later time only notes the new time (the old slot
 * corrects it when it comes by), so a deadline that every request renews costs two stores.
 *
 * Times are CLOCK_MONOTONIC milliseconds. A timer never fires early. One wheel belongs to one
 * thread.
 */
#ifndef LIMPET_BASE_TIMER_H
#define LIMPET_BASE_TIMER_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct timer;
typedef void timer_fn(struct timer *timer); /* may start, stop or free any timer, incl. its own */

struct timer {
    struct list node; /* in a slot of the wheel; single when stopped */
    timer_fn *fn;
    int64_t at_ms;   /* when to fire */
    int64_t slot_ms; /* when its slot comes by; never after at_ms */
};

struct timer_wheel; /* opaque */

struct timer_wheel *timer_wheel_new(int64_t now_ms);
void timer_wheel_free(struct timer_wheel *wheel); /* does not touch timers that still run */

void timer_init(struct timer *timer, timer_fn *fn);
bool timer_running(const struct timer *timer);
/* Starts, or moves, the timer. A time that has passed fires in the next timer_wheel_run. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, int64_t at_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);

/* Fires everything due. */
void timer_wheel_run(struct timer_wheel *wheel, int64_t now_ms);
/* Milliseconds until something may be due (0 = now), -1 when no timer runs. May be early, never
 * late. */
int timer_wheel_wait_ms(const struct timer_wheel *wheel, int64_t now_ms);

#endif
