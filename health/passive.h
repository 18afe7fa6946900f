// SPDX-License-Identifier: Apache-2.0
/*
 * Failures seen in live traffic, counted per server over a sliding time, and the floor below which
 * they take no server away. Pure: time is passed in.
 */
#ifndef LIMPET_HEALTH_PASSIVE_H
#define LIMPET_HEALTH_PASSIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct passive {
    int64_t *times_ms; /* of the last max_fails failures, a ring; NULL: counting is off */
    size_t size, next, count;
    int64_t fail_timeout_ms;
    int64_t trial_until_ms; /* until then one failure is enough */
};

/* max_fails 0: passive_note never says yes. Aborts without memory (start-up). */
void passive_init(struct passive *passive, int64_t max_fails, int64_t fail_timeout_ms);
void passive_fini(struct passive *passive);

/* One more failure. True: it is the max_fails-th within fail_timeout, or any during a trial. */
bool passive_note(struct passive *passive, int64_t now_ms);
/* The server proved itself (or is another one now): forget what was counted. */
void passive_clear(struct passive *passive);
/* It gets traffic again without proof: for fail_timeout one failure is enough. */
void passive_try(struct passive *passive, int64_t now_ms);

/* May one of `up` servers be taken down, in a backend of `total`? Half of all, rounded up, must
 * stay. */
bool passive_floor_allows(size_t total, size_t up);

#endif
