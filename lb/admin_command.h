// SPDX-License-Identifier: Apache-2.0
/*
 * Commands of the runtime API, without sockets: one command's text in, one answer's text out.
 * admin.c reads lines and writes answers; the table of commands is in admin_command.c.
 */
#ifndef LIMPET_LB_ADMIN_COMMAND_H
#define LIMPET_LB_ADMIN_COMMAND_H

#include "lb/stats.h"

enum { ADMIN_LINE_MAX = 16 * 1024, ADMIN_TIMEOUT_MS = 10000 };

/* `set severity-output`: what stands before a message. */
enum severity_output { SEVERITY_OUTPUT_NONE, SEVERITY_OUTPUT_NUMBER, SEVERITY_OUTPUT_STRING };
/* syslog's. */
enum severity { SEVERITY_ERROR = 3, SEVERITY_WARNING = 4, SEVERITY_NOTICE = 5, SEVERITY_INFO = 6 };

/* What a connection to the runtime socket has set, and the answer in the making. */
struct admin_caller {
    struct serving *serving;
    enum admin_level level;
    enum severity_output severity_output;
    int64_t timeout_ms; /* idle connections end */
    bool interactive;   /* `prompt` */
    bool quit;
    struct text answer; /* the caller of admin_run takes what is in it */
};

/* Runs one command: words apart by blanks, a backslash takes the next character as it is, '#' at a
 * word's begin starts a comment. */
void admin_run(struct admin_caller *caller, struct span command);

/* A message as answer, with its severity if the caller wants that. For command functions. */
void admin_say(struct admin_caller *caller, enum severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
