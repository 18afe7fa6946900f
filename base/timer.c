// SPDX-License-Identifier: Apache-2.0
/*
 * A hierarchical timing wheel: 8 levels of 64 slots; a slot of level L spans 64^L ms.
 *
 *     level 0   |0|1|2| … |63|   one slot per ms        of the 64 ms around now
 *     level 1   |0|1|2| … |63|   one slot per 64 ms     of the 4.1 s around now
 *     level 2   |0|1|2| … |63|   one slot per 4.1 s     of the 4.4 min around now … and so on
 *
 * Read a time as digits in base 64. A timer lives on the level of the highest digit in which its
 * time differs from `now`, in the slot that this digit names. Two things follow:
 *   - slots at or below now's own digit are empty, so the first occupied slot of the lowest
 *     occupied level is the earliest in the whole wheel: one bitmap scan per level finds it;
 *   - moving `now` forward to any time before that slot begins leaves every timer where it
 *     belongs.
 * When a slot's begin is reached its timers are placed anew: they fire, or fall to a lower level.
 *
 * timer->slot_ms is the begin of the timer's slot. A start for any later time only stores at_ms,
 * since the slot comes by before and places the timer again. Times that have passed wait on `due`
 * for the next run.
 */
#include "base/timer.h"

#include "base/mem.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

enum { LEVELS = 8, DIGIT_BITS = 6, SLOTS = 1 << DIGIT_BITS };
static const int64_t wheel_end_ms = ((int64_t)1 << (LEVELS * DIGIT_BITS)) - 1;

struct timer_wheel {
    int64_t now_ms; /* everything before and at this time has fired or is on `due` */
    struct list due;
    uint64_t occupied[LEVELS]; /* bit n: slot n has timers */
    struct list slots[LEVELS][SLOTS];
};

static int level_of(int64_t a, int64_t b)
{
    uint64_t differs = (uint64_t)(a ^ b);
    return differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / DIGIT_BITS;
}

/* The begin of the earliest slot with timers; false when there is none. */
static bool wheel_next(const struct timer_wheel *wheel, int *level, int *slot, int64_t *begin_ms)
{
    for (int l = 0; l < LEVELS; l++) {
        if (wheel->occupied[l] == 0)
            continue;
        int shift = l * DIGIT_BITS;
        int64_t above = wheel->now_ms >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);
        *level = l;
        *slot = __builtin_ctzll(wheel->occupied[l]);
        *begin_ms = above | (int64_t)*slot << shift;
        return true;
    }
    return false;
}

/* Links a single timer where its at_ms belongs. */
static void wheel_place(struct timer_wheel *wheel, struct timer *timer)
{
    int64_t at = timer->at_ms < wheel_end_ms ? timer->at_ms : wheel_end_ms;
    if (at <= wheel->now_ms) {
        timer->slot_ms = at;
        list_push_back(&wheel->due, &timer->node);
        return;
    }
    int level = level_of(at, wheel->now_ms);
    int shift = level * DIGIT_BITS;
    int slot = (int)(at >> shift & (SLOTS - 1));
    timer->slot_ms = at >> shift << shift;
    list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

/* Unlinks a running timer; the bitmap forgets a slot that it leaves empty. */
static void wheel_unlink(struct timer_wheel *wheel, struct timer *timer)
{
    struct list *head = timer->node.next;
    bool last = head == timer->node.prev;
    list_remove(&timer->node);
    struct list *first_slot = &wheel->slots[0][0];
    if (!last || head < first_slot || head >= first_slot + (size_t)LEVELS * SLOTS)
        return;
    size_t index = (size_t)(head - first_slot);
    wheel->occupied[index / SLOTS] &= ~((uint64_t)1 << index % SLOTS);
}

/* Fires what is due on this list, places the rest anew. */
static void wheel_fire(struct timer_wheel *wheel, struct list *list)
{
    struct list *node;
    for (node = list_first(list); node; node = list_first(list)) {
        struct timer *timer = container_of(node, struct timer, node);
        list_remove(node);
        if (timer->at_ms > wheel->now_ms)
            wheel_place(wheel, timer);
        else
            timer->fn(timer);
    }
}

struct timer_wheel *timer_wheel_new(int64_t now_ms)
{
    struct timer_wheel *wheel = mem_must_alloc(sizeof(*wheel));
    wheel->now_ms = now_ms;
    list_init(&wheel->due);
    for (int level = 0; level < LEVELS; level++) {
        for (int slot = 0; slot < SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
    return wheel;
}

void timer_wheel_free(struct timer_wheel *wheel)
{
    free(wheel);
}

void timer_init(struct timer *timer, timer_fn *fn)
{
    *timer = (struct timer){.fn = fn};
    list_init(&timer->node);
}

bool timer_running(const struct timer *timer)
{
    return !list_single(&timer->node);
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, int64_t at_ms)
{
    timer->at_ms = at_ms;
    if (timer_running(timer)) {
        if (at_ms >= timer->slot_ms)
            return;
        wheel_unlink(wheel, timer);
    }
    wheel_place(wheel, timer);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (timer_running(timer))
        wheel_unlink(wheel, timer);
}

void timer_wheel_run(struct timer_wheel *wheel, int64_t now_ms)
{
    if (now_ms <= wheel->now_ms && list_empty(&wheel->due))
        return; /* turns of a busy loop are shorter than our unit */
    struct list firing;
    list_init(&firing);
    list_append_all(&firing, &wheel->due);
    wheel_fire(wheel, &firing);

    int level, slot;
    int64_t begin_ms;
    while (wheel_next(wheel, &level, &slot, &begin_ms) && begin_ms <= now_ms) {
        wheel->now_ms = begin_ms;
        wheel->occupied[level] &= ~((uint64_t)1 << slot);
        list_append_all(&firing, &wheel->slots[level][slot]);
        wheel_fire(wheel, &firing);
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}

int timer_wheel_wait_ms(const struct timer_wheel *wheel, int64_t now_ms)
{
    if (!list_empty(&wheel->due))
        return 0;
    int level, slot;
    int64_t begin_ms;
    if (!wheel_next(wheel, &level, &slot, &begin_ms))
        return -1;
    if (begin_ms <= now_ms)
        return 0;
    return begin_ms - now_ms < INT_MAX ? (int)(begin_ms - now_ms) : INT_MAX;
}
