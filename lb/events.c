// SPDX-License-Identifier: Apache-2.0
/*
 * The ring of events. It is made with the first event and lies on struct serving, so that it
 * outlives reloads. Ids count on for ever: event `id` lies at (id - 1) modulo EVENTS_MAX, and a
 * reader that remembers the last id it has seen misses none that is still kept.
 */
#include "lb/events.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct events {
    uint64_t last_id;
    struct event ring[EVENTS_MAX];
};

const char *event_kind_word(enum event_kind kind)
{
    static const char *const words[EVENT_KINDS] = {
        [EVENT_START] = "start",     [EVENT_HEALTH] = "health",       [EVENT_STATE] = "state",
        [EVENT_DRAIN] = "drain",     [EVENT_REBALANCE] = "rebalance", [EVENT_RELOAD] = "reload",
        [EVENT_UPGRADE] = "upgrade", [EVENT_FAILOVER] = "failover",   [EVENT_STOP] = "stop",
    };
    return words[kind];
}

void events_add(struct serving *serving, enum event_kind kind, const char *format, ...)
{
    struct events *events = serving->events;
    if (!events)
        events = serving->events = calloc(1, sizeof(*events));
    if (!events)
        return;
    struct event *event = &events->ring[events->last_id % EVENTS_MAX];
    event->id = ++events->last_id;
    event->wall_ms = clock_wall_ms();
    event->kind = kind;
    va_list args;
    va_start(args, format);
    vsnprintf(event->text, sizeof(event->text), format, args);
    va_end(args);
    for (char *c = event->text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
}

size_t events_count(const struct serving *serving)
{
    if (!serving->events)
        return 0;
    return serving->events->last_id < EVENTS_MAX ? (size_t)serving->events->last_id : EVENTS_MAX;
}

const struct event *events_at(const struct serving *serving, size_t i)
{
    const struct events *events = serving->events;
    uint64_t oldest = events->last_id - events_count(serving);
    return &events->ring[(oldest + i) % EVENTS_MAX];
}

uint64_t events_last_id(const struct serving *serving)
{
    return serving->events ? serving->events->last_id : 0;
}

void events_fini(struct serving *serving)
{
    free(serving->events);
    serving->events = NULL;
}
