// SPDX-License-Identifier: Apache-2.0
/*
 * Commands of the runtime API, without sockets: one command's text in, one answer's text out.
 * admin.c reads lines and writes answers; the table of commands is in admin_command.c.
 */
#ifndef LIMPET_LB_ADMIN_COMMAND_H
#define LIMPET_LB_ADMIN_COMMAND_H

#include "base/console.h" /* enum severity */
#include "lb/stats.h"

#include <stdio.h>

enum { ADMIN_LINE_MAX = 16 * 1024, ADMIN_TIMEOUT_MS = 10000 };

/* `set severity-output`: what stands before a message. */
enum severity_output { SEVERITY_OUTPUT_NONE, SEVERITY_OUTPUT_NUMBER, SEVERITY_OUTPUT_STRING };

struct inquiry; /* lb/inquiry */

/* What a connection to the runtime socket has set, and the answer in the making. */
struct admin_caller {
    struct serving *serving;
    enum admin_level level;
    enum severity_output severity_output;
    int64_t timeout_ms; /* idle connections end */
    bool interactive;   /* `prompt` */
    bool quit;
    struct loop *loop;       /* control's; answers of workers come there */
    struct inquiry *inquiry; /* workers are asked: the answer comes later, by its `done` */
    bool reloads;            /* a reload is asked for: its end is the answer */
    struct text answer;      /* the caller of admin_run takes what is in it */
};

/* Runs one command: words apart by blanks, a backslash takes the next character as it is, '#' at a
 * word's begin starts a comment. */
void admin_run(struct admin_caller *caller, struct span command);

/*
 * Functions of the table in admin_command.c; `args` are the words behind the command's own. What
 * they write into caller->answer is complete lines, or admin_say's. Own files: admin_show.c,
 * admin_set.c, admin_sio.c, and those of whoever owns what a command is about.
 */
typedef void admin_fn(struct admin_caller *caller, const struct span *args, size_t count);
admin_fn admin_show_backend, admin_show_cli_level, admin_show_config, admin_show_errors,
    admin_show_events, admin_show_info, admin_show_servers_conn, admin_show_servers_state,
    admin_show_sess, admin_show_stat, admin_show_table, admin_show_version;
admin_fn admin_clear_counters, admin_clear_table, admin_disable_frontend, admin_disable_health,
    admin_disable_server, admin_enable_frontend, admin_enable_health, admin_enable_server,
    admin_get_weight, admin_set_maxconn_frontend, admin_set_maxconn_global,
    admin_set_maxconn_server, admin_set_server, admin_set_weight, admin_shutdown_session,
    admin_shutdown_sessions_server;
admin_fn admin_reload;
admin_fn admin_sio_drain, admin_sio_failover, admin_sio_rebalance, admin_sio_redis, admin_sio_sids,
    admin_sio_transports, admin_sio_where;

/* Writes the whole table: as Markdown for the docs. */
void admin_print_reference(FILE *out);

/* For them: "Unexpected argument 'x'."; true when there is one behind the first `most`. */
bool admin_unexpected(struct admin_caller *caller, const struct span *args, size_t count,
                      size_t most);
/* B/S or B of the first argument; NULL: it was said what is wrong with it. */
struct server *admin_server(struct admin_caller *caller, const struct span *args, size_t count);
struct backend *admin_backend(struct admin_caller *caller, struct span name);

/* HAProxy's durations: a bare number is seconds. 0: not one, or longer than a day. */
int64_t admin_duration_ms(struct span word);

/* A message as answer, with its severity if the caller wants that. For command functions. */
void admin_say(struct admin_caller *caller, enum severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
