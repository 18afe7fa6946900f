// SPDX-License-Identifier: Apache-2.0
/*
 * The control thread of a serving process: runtime API, health checks, name resolution, sweeping of
 * expired sids, slow start, pacing of a graceful stop, and the line to the master. Workers reach it
 * by letters only.
 */
#ifndef LIMPET_LB_CONTROL_H
#define LIMPET_LB_CONTROL_H

#include "health/health.h"
#include "lb/bindings.h"
#include "lb/watch.h"
#include "lb/worker.h"

struct control;

/*
 * Life, in this order, by the serving process:
 *   control_new           checks and name resolution begin (on a loop that control_await and
 * control_run turn) control_await_names   turns until every server name was answered once, at most
 * that long control_start         workers run: opens the runtime API, listens to the master
 * (line_fd), or, without one (-1), takes signals control_run           until the stop is over:
 * every worker has been told to quit control_stop          no checks, no runtime API; letters that
 * are under way change nothing any more control_free          after the workers were taken apart
 */
struct control *control_new(struct serving *serving); /* NULL: errno */
void control_await_names(struct control *control, int64_t at_most_ms);
/* Takes the runtime socket and admin.http out of `bindings`, and owns them and the line from here on.
 * Without a master `bindings` stays in use, for reloads. False: errno. */
bool control_start(struct control *control, struct bindings *bindings, int line_fd);
void control_run(struct control *control);
bool control_settle(
    struct control *control,
    int64_t
        at_most_ms); /* false: a name server still does not answer, control_stop would wait for it */
void control_stop(struct control *control);
void control_free(struct control *control);

/* Begins a reload, which may go on after this returns: reload_await. */
void control_reload(struct control *control);
/* Begins a graceful stop; the second time: ends everything now. On control's thread. */
void control_stop_gracefully(struct control *control, const char *why);

/* For admin and stats, on control's thread. */
struct moves;
struct moves *control_moves(struct control *control);
struct failovers;
struct failovers *control_failovers(struct control *control);
struct loop *control_loop(struct control *control);
struct shelf *control_shelf(struct control *control);
struct watch *control_watch(struct control *control);
const struct health_status *control_health(struct control *control, const struct server *server);

#endif
