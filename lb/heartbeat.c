// SPDX-License-Identifier: Apache-2.0
/*
 * A letter to each worker, which sends it back: a round. When all are back, there is a beat, and the
 * next round begins with the next tick of control's timer. A worker that hangs keeps its letter, and
 * so does a control thread that hangs: no beat, until systemd's patience is over. Idle workers are
 * woken by it a few times a minute, which costs nothing.
 */
#include "lb/heartbeat.h"

#include <stdlib.h>

enum { BEATS = 3 }; /* rounds per $WATCHDOG_USEC */

struct pulse {
    struct letter letter;
    struct heartbeat *heartbeat;
};

struct heartbeat {
    struct serving *serving;
    struct loop *loop;
    void (*beat)(void *ctx);
    void *ctx;
    int64_t every_ms;
    struct timer timer;
    struct pulse *pulses; /* one per worker */
    unsigned away;        /* pulses under way */
    bool stopped;
};

static void pulse_back(struct letter *letter, void *receiver)
{
    struct heartbeat *heartbeat = container_of(letter, struct pulse, letter)->heartbeat;
    (void)receiver;
    heartbeat->away--;
    if (heartbeat->away == 0 && !heartbeat->stopped)
        heartbeat->beat(heartbeat->ctx);
}

/* On the worker's thread. */
static void pulse_turn(struct letter *letter, void *receiver)
{
    struct heartbeat *heartbeat = container_of(letter, struct pulse, letter)->heartbeat;
    (void)receiver;
    letter->deliver = pulse_back;
    mailbox_post(&heartbeat->loop->mailbox, letter);
}

static void heartbeat_tick(struct timer *timer)
{
    struct heartbeat *heartbeat = container_of(timer, struct heartbeat, timer);
    struct serving *serving = heartbeat->serving;
    loop_timer_start(heartbeat->loop, timer, heartbeat->every_ms);
    if (heartbeat->away > 0)
        return; // Somebody has not turned since the last one.
    heartbeat->away = serving->worker_count;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        heartbeat->pulses[i].letter.deliver = pulse_turn;
        mailbox_post(&serving->workers[i].loop.mailbox, &heartbeat->pulses[i].letter);
    }
}

struct heartbeat *heartbeat_new(struct serving *serving, struct loop *loop, void (*beat)(void *ctx),
                                void *ctx)
{
    const char *text = getenv("WATCHDOG_USEC");
    int64_t usec = text ? strtoll(text, NULL, 10) : 0;
    if (usec <= 0)
        return NULL;
    struct heartbeat *heartbeat = mem_must_alloc(sizeof(*heartbeat));
    *heartbeat = (struct heartbeat){.serving = serving, .loop = loop, .beat = beat, .ctx = ctx};
    heartbeat->every_ms = usec / 1000 / BEATS > 0 ? usec / 1000 / BEATS : 1;
    heartbeat->pulses = mem_must_alloc(serving->worker_count * sizeof(*heartbeat->pulses));
    for (unsigned i = 0; i < serving->worker_count; i++)
        heartbeat->pulses[i].heartbeat = heartbeat;
    timer_init(&heartbeat->timer, heartbeat_tick);
    loop_timer_start(loop, &heartbeat->timer, 0);
    return heartbeat;
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    if (!heartbeat)
        return;
    heartbeat->stopped = true;
    loop_timer_stop(heartbeat->loop, &heartbeat->timer);
}

void heartbeat_free(struct heartbeat *heartbeat)
{
    if (!heartbeat)
        return;
    free(heartbeat->pulses);
    free(heartbeat);
}
