// SPDX-License-Identifier: Apache-2.0
/*
 * Commands of a console that all answer at once, from a table. `help`, `prompt`, `quit` and
 * `set severity-output` are always among them.
 */
#ifndef LIMPET_BASE_COMMANDS_H
#define LIMPET_BASE_COMMANDS_H

#include "base/console.h"

/* Who asks. */
struct commands_caller {
    struct console_talk talk;
    bool numbered, worded; /* set severity-output number|string */
};

/* Adds the answer to caller->talk.answer; `args` are what follows the command's words. */
typedef void command_fn(void *ctx, struct commands_caller *caller, const struct span *args,
                        size_t count);

enum { COMMAND_WORDS = 3 };
struct command {
    const char *words[COMMAND_WORDS];
    const char *args; /* for help; "" */
    size_t args_max;
    command_fn *run;
    const char *help;
};

/* The table ends with a row without words. */
struct commands {
    const struct command *table;
    void *ctx; /* given to its functions */
};

/* fd is a bound, listening socket, the console's from here on. `commands` and its table outlive the
 * console. NULL: errno. */
struct console *commands_console(struct loop *loop, struct shelf *shelf, int fd,
                                 const struct commands *commands);

/* A message, with its severity if the caller wants that. */
void command_say(struct commands_caller *caller, enum severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
