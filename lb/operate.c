// SPDX-License-Identifier: Apache-2.0
/*
 * What an operator changes while limpet runs. Each function does the same four things: it checks
 * what was asked for, writes the atomic that all workers read, tells who must act on it (watch for
 * servers, the workers' orders for listeners), and notes it for log and timeline.
 *
 *     runtime API ─┐                ┌─► server->admin, weight … (atomics)
 *     dashboard  ──┴──► operate_… ──┼─► watch ── notices ──► workers
 *                                   ├─► orders ──► workers' listeners
 *                                   └─► log, events
 *
 * Sentences are HAProxy's where it has one for the case. What is asked for and is so already is
 * done, but not noted.
 */
#include "lb/operate.h"

#include "base/clock.h"
#include "lb/control.h"
#include "lb/events.h"

#include <stdio.h>
#include <string.h>

enum { WEIGHT_MAX = 256, PERCENT_MAX = 25600, MAX_CONNECTIONS_MOST = 10000000 };

static void note_server(struct serving *serving, const struct server *server, const char *what,
                        const char *by)
{
    const char *backend = server->backend->name;
    log_info("server %s/%s: %s by=\"%s\"", backend, server->name, what, by);
    events_add(serving, EVENT_STATE, "%s/%s: %s (%s)", backend, server->name, what, by);
}

static void note_frontend(struct serving *serving, const struct frontend *frontend,
                          const char *what, const char *by)
{
    log_info("frontend %s: %s by=\"%s\"", frontend->name, what, by);
    events_add(serving, EVENT_STATE, "%s: %s (%s)", frontend->name, what, by);
}

static struct watch *watch_of(const struct serving *serving)
{
    return control_watch(serving->control);
}

/* ---- servers ---- */

void operate_server_admin(struct serving *serving, struct server *server, enum server_admin admin,
                          const char *by)
{
    static const char *const words[] = {
        [SERVER_READY] = "ready", [SERVER_DRAIN] = "draining", [SERVER_MAINT] = "in maintenance"};
    enum server_admin before = (enum server_admin)atomic_exchange(&server->admin, (int)admin);
    if (before == admin)
        return;
    atomic_store(&server->moving, MOVE_NONE);
    atomic_store(&server->changed_ms, clock_wall_ms());
    note_server(serving, server, words[admin], by);
    watch_admin_changed(watch_of(serving), server, before);
}

/* NULL, or what is wrong with it. */
static const char *weight_parse(struct span text, int64_t configured, int64_t *out)
{
    bool negative = span_starts(text, SPAN("-"));
    struct span digits = negative ? span_from(text, 1) : text;
    size_t len = 0;
    uint64_t number = 0;
    while (len < digits.len && digits.ptr[len] >= '0' && digits.ptr[len] <= '9')
        len++;
    if (len == 0)
        return "Empty weight string empty or preceded by garbage";
    if (!span_to_u64(span_upto(digits, len), &number) || number > PERCENT_MAX)
        number = PERCENT_MAX;
    struct span rest = span_from(digits, len);
    if (span_eq(rest, SPAN("%"))) {
        if (negative)
            return "Relative weight must be positive.";
        *out = configured * (int64_t)number / 100;
        if (*out > WEIGHT_MAX)
            *out = WEIGHT_MAX;
        return NULL;
    }
    if (negative || number > WEIGHT_MAX)
        return "Absolute weight can only be between 0 and 256 inclusive.";
    if (rest.len > 0)
        return "Trailing garbage in weight string";
    *out = (int64_t)number;
    return NULL;
}

const char *operate_server_weight(struct serving *serving, struct server *server, struct span text,
                                  const char *by)
{
    int64_t weight;
    const char *error = weight_parse(text, server->config->opt.weight, &weight);
    if (error)
        return error;
    if (atomic_exchange(&server->weight, (int)weight) == weight)
        return NULL;
    char what[32];
    snprintf(what, sizeof(what), "weight is %d", (int)weight);
    note_server(serving, server, what, by);
    watch_weight_changed(watch_of(serving), server);
    return NULL;
}

const char *operate_server_health(struct serving *serving, struct server *server, bool up,
                                  const char *by)
{
    bool was_up = atomic_load(&server->health) != SERVER_DOWN;
    if (was_up != up)
        note_server(serving, server, up ? "set up" : "set down", by);
    watch_force_health(watch_of(serving), server, up);
    return NULL;
}

const char *operate_server_checks(struct serving *serving, struct server *server, bool enabled,
                                  const char *by)
{
    bool were = watch_checks(watch_of(serving), server);
    if (!watch_set_checks(watch_of(serving), server, enabled))
        return enabled ? "Health check was not configured on this server, cannot enable." : NULL;
    if (were != enabled)
        note_server(serving, server, enabled ? "is checked again" : "is not checked any more", by);
    return NULL;
}

const char *operate_server_addr(struct serving *serving, struct server *server,
                                const struct addr *addr, const char *by)
{
    if (server->addr_known && addr_eq(&server->addr, addr))
        return NULL;
    char text[ADDR_TEXT_MAX], what[ADDR_TEXT_MAX + 16];
    snprintf(what, sizeof(what), "address is %s", addr_format(addr, text));
    note_server(serving, server, what, by);
    watch_set_addr(watch_of(serving), server, addr);
    return NULL;
}

const char *operate_server_max_connections(struct serving *serving, struct server *server,
                                           int64_t max, const char *by)
{
    if (max < 0 || max > MAX_CONNECTIONS_MOST)
        return "Value out of range.";
    if (atomic_exchange(&server->max_connections, (int)max) == max)
        return NULL;
    char what[48] = "no limit of connections";
    if (max > 0)
        snprintf(what, sizeof(what), "at most %d connections", (int)max);
    note_server(serving, server, what, by);
    watch_limit_changed(watch_of(serving), server);
    return NULL;
}

void operate_server_shutdown_sessions(struct serving *serving, struct server *server,
                                      const char *by)
{
    note_server(serving, server, "its sessions are ended", by);
    watch_end_sessions(watch_of(serving), server);
}

/* ---- frontends ---- */

const char *operate_frontend_enabled(struct serving *serving, struct frontend *frontend,
                                     bool enabled, const char *by)
{
    if (atomic_exchange(&frontend->home->disabled, !enabled) == !enabled)
        return enabled ? "All sockets are already enabled." : "All sockets are already disabled.";
    note_frontend(serving, frontend, enabled ? "enabled" : "disabled", by);
    for (unsigned i = 0; i < serving->worker_count; i++)
        worker_order(&serving->workers[i], ORDER_LISTEN, 0);
    return NULL;
}

const char *operate_frontend_max_connections(struct serving *serving, struct frontend *frontend,
                                             int64_t max, const char *by)
{
    if (max < 0 || max > MAX_CONNECTIONS_MOST)
        return "Value out of range.";
    if (max == 0)
        max = frontend->config->opt.max_connections;
    if (atomic_exchange(&frontend->home->max_connections, (int)max) == max)
        return NULL;
    char what[48];
    snprintf(what, sizeof(what), "at most %d connections", (int)max);
    note_frontend(serving, frontend, what, by);
    return NULL;
}

/* ---- the process ---- */

const char *operate_max_connections(struct serving *serving, int64_t max, const char *by)
{
    if (max < 0 || max > serving->hard_max_connections)
        return "Value out of range.";
    if (max == 0)
        max = serving->config->process.max_connections;
    if (max == 0 || max > serving->hard_max_connections)
        max = serving->hard_max_connections;
    if (atomic_exchange(&serving->max_connections, max) == max)
        return NULL;
    log_info("at most %lld client connections by=\"%s\"", (long long)max, by);
    events_add(serving, EVENT_STATE, "at most %lld client connections (%s)", (long long)max, by);
    return NULL;
}
