// SPDX-License-Identifier: Apache-2.0
/*
 * A runtime socket for a program whose commands all answer at once, in the dialect of HAProxy's (and
 * limpet's own): one line in, commands split on ';', every answer ends with an empty line, then the
 * connection closes; `prompt` makes it interactive. `help`, `prompt`, `quit` and
 * `set severity-output` are the console's own.
 */
#ifndef LIMPET_BASE_CONSOLE_H
#define LIMPET_BASE_CONSOLE_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/text.h"

/* syslog's numbers. */
enum severity { SEVERITY_ERROR = 3, SEVERITY_WARNING, SEVERITY_NOTICE, SEVERITY_INFO };

struct console;

/* Who asks. */
struct console_caller {
    struct text answer;
    bool numbered, worded; /* set severity-output number|string */
    bool interactive, quit;
};

/* Adds the answer to caller->answer; `args` are what follows the command's words. */
typedef void console_fn(void *ctx, struct console_caller *caller, const struct span *args,
                        size_t count);

enum { CONSOLE_WORDS = 3 };
struct console_command {
    const char *words[CONSOLE_WORDS];
    const char *args; /* for help; "" */
    size_t args_max;
    console_fn *run;
    const char *help;
};

/* fd is a bound, listening socket, the console's from here on. The table ends with a row without
 * words, and outlives the console. NULL: errno. */
struct console *console_new(struct loop *loop, struct shelf *shelf, int fd,
                            const struct console_command *commands, void *ctx);
void console_free(struct console *console); /* NULL is fine */

/* A message, with its severity if the caller wants that. */
void console_say(struct console_caller *caller, enum severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
