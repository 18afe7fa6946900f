// SPDX-License-Identifier: Apache-2.0
/*
 * Commands that move sessions, and what they are doing: `sio drain` and `sio rebalance`. Without
 * arguments each shows its own kind:
 *
 *     # backend/server state rate moved left eta_s why
 *     chat/app01 moving 20/s 140 160 8 -
 */
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/move.h"

#define BY        "runtime API"
#define MOVE_HEAD "# %s state rate moved left eta_s why\n"

/* "20/s", "100/m", "20". */
static bool rate_read(struct span text, struct rate *out)
{
    static const struct {
        struct span word;
        int64_t ms;
    } units[] = {{{"", 0}, 1000}, {{"s", 1}, 1000}, {{"m", 1}, 60000}, {{"h", 1}, 3600000}};
    struct span rest = text;
    uint64_t events;
    if (!span_to_u64(span_cut(&rest, '/'), &events) || events == 0 || events > MOVE_RATE_MAX)
        return false;
    for (size_t i = 0; i < array_len(units); i++) {
        if (span_eq(rest, units[i].word)) {
            *out = (struct rate){(int64_t)events, units[i].ms};
            return true;
        }
    }
    return false;
}

/* [rate N/s] in what follows. False: it was said what is wrong; *out is NULL without. */
static bool rate_args(struct admin_caller *caller, const struct span *args, size_t count,
                      struct rate *rate, const struct rate **out)
{
    *out = NULL;
    if (count == 0)
        return true;
    if (!span_eq(args[0], SPAN("rate"))) {
        (void)admin_unexpected(caller, args, count, 0);
        return false;
    }
    if (count < 2 || !rate_read(args[1], rate)) {
        admin_say(caller, SEVERITY_ERROR,
                  "'rate' expects a number of sessions like 20/s or 100/m.");
        return false;
    }
    *out = rate;
    return !admin_unexpected(caller, args, count, 2);
}

static void say(struct admin_caller *caller, const char *error)
{
    if (error)
        admin_say(caller, SEVERITY_ERROR, "%s", error);
}

static void show_rate(struct text *out, const struct rate *rate)
{
    const char *unit = rate->per_ms == 60000 ? "m" : rate->per_ms == 3600000 ? "h" : "s";
    text_addf(out, " %lld/%s", (long long)rate->events, unit);
}

static void show_moves(struct admin_caller *caller, enum move_reason kind)
{
    struct moves *moves = control_moves(caller->serving->control);
    struct text *out = &caller->answer;
    struct move_status status;
    text_addf(out, MOVE_HEAD, kind == MOVE_DRAIN ? "backend/server" : "backend");
    for (size_t i = 0; moves_status(moves, i, &status); i++) {
        if (status.kind != kind)
            continue;
        const char *state = !status.running ? "ended" : status.waits ? "waiting" : "moving";
        const char *why = status.ended ? status.ended : status.waits ? status.waits : "-";
        text_addf(out, "%s%s%s %s", status.backend, status.server ? "/" : "",
                  status.server ? status.server : "", state);
        show_rate(out, &status.rate);
        text_addf(out, " %lld %lld ", (long long)status.moved, (long long)status.left);
        if (status.eta_ms >= 0)
            text_addf(out, "%lld", (long long)(status.eta_ms + 999) / 1000);
        else
            text_add(out, SPAN("-"));
        text_addf(out, " %s\n", why);
    }
}

void admin_sio_drain(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct rate own;
    const struct rate *rate;
    if (count == 0) {
        show_moves(caller, MOVE_DRAIN);
        return;
    }
    struct server *server = admin_server(caller, args, count);
    if (server && rate_args(caller, args + 1, count - 1, &own, &rate))
        say(caller, moves_drain(control_moves(caller->serving->control), server, rate, BY));
}

void admin_sio_rebalance(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct moves *moves = control_moves(caller->serving->control);
    struct rate own;
    const struct rate *rate;
    if (count == 0) {
        show_moves(caller, MOVE_REBALANCE);
        return;
    }
    struct backend *backend = admin_backend(caller, args[0]);
    if (!backend)
        return;
    if (count == 2 && span_eq(args[1], SPAN("stop")))
        say(caller, moves_rebalance_stop(moves, backend, BY));
    else if (rate_args(caller, args + 1, count - 1, &own, &rate))
        say(caller, moves_rebalance(moves, backend, rate, BY));
}
