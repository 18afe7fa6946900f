// SPDX-License-Identifier: Apache-2.0
/*
 * Commands by which sentinel-watch says what Redis does, and what is known of it: `sio failover` and
 * `sio redis`. Without arguments each lists:
 *
 *     # master phase lease_s            # backend/server state epoch lease_s
 *     mymaster sub 9                    chat/app01 stale 7 9
 */
#include "base/clock.h"
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/failover.h"

#define BY "runtime API"

/* … lease N. False: it was said what is wrong. */
static bool lease_args(struct admin_caller *caller, const struct span *args, size_t count,
                       int64_t *lease_ms)
{
    *lease_ms = count >= 2 && span_eq(args[0], SPAN("lease")) ? admin_duration_ms(args[1]) : 0;
    if (*lease_ms == 0) {
        admin_say(caller, SEVERITY_ERROR,
                  "'lease' and for how long are expected, like 'lease 10'.");
        return false;
    }
    return !admin_unexpected(caller, args, count, 2);
}

static void say(struct admin_caller *caller, const char *error)
{
    if (error != NULL)
        admin_say(caller, SEVERITY_ERROR, "%s", error);
}

static long long whole_seconds(int64_t ms)
{
    return (long long)(ms > 0 ? (ms + 999) / 1000 : 0);
}

static void list_failovers(struct admin_caller *caller)
{
    const struct failovers *failovers = control_failovers(caller->serving->control);
    struct failover_status status;
    text_add(&caller->answer, SPAN("# master phase lease_s\n"));
    for (size_t i = 0; failovers_status(failovers, i, &status); i++)
        text_addf(&caller->answer, "%s %s %lld\n", status.master, status.phase,
                  whole_seconds(status.left_ms));
}

void admin_sio_failover(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct failovers *failovers = control_failovers(caller->serving->control);
    int64_t lease_ms;
    if (count == 0)
        list_failovers(caller);
    else if (count == 1)
        admin_say(caller, SEVERITY_ERROR, "A master, a phase and a lease are expected.");
    else if (lease_args(caller, args + 2, count - 2, &lease_ms))
        say(caller, failovers_say(failovers, args[0], args[1], lease_ms, BY));
}

static void list_servers(struct admin_caller *caller)
{
    const struct snapshot *snapshot = caller->serving->snapshot;
    int64_t now_ms = clock_mono_ms();
    text_add(&caller->answer, SPAN("# backend/server state epoch lease_s\n"));
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count; k++) {
            const struct server *server = backend->servers[k];
            if (server->redis.until_ms == 0)
                continue;
            text_addf(&caller->answer, "%s/%s %s %llu %lld\n", backend->name, server->name,
                      server_stale(server) ? "stale" : "ready",
                      (unsigned long long)server->redis.epoch,
                      whole_seconds(server->redis.until_ms - now_ms));
        }
    }
}

void admin_sio_redis(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct failovers *failovers = control_failovers(caller->serving->control);
    uint64_t epoch;
    int64_t lease_ms;
    if (count == 0) {
        list_servers(caller);
        return;
    }
    struct server *server = admin_server(caller, args, count);
    if (server == NULL)
        return;
    bool stale = count > 1 && span_eq(args[1], SPAN("stale"));
    if (!stale && (count < 2 || !span_eq(args[1], SPAN("ready"))))
        admin_say(caller, SEVERITY_ERROR, "'ready' or 'stale' is expected.");
    else if (count < 3 || !span_to_u64(args[2], &epoch))
        admin_say(caller, SEVERITY_ERROR, "The epoch of a failover is expected, a number.");
    else if (lease_args(caller, args + 3, count - 3, &lease_ms))
        say(caller, failovers_server(failovers, server, stale, epoch, lease_ms, BY));
}
