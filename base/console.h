// SPDX-License-Identifier: Apache-2.0
/*
 * A runtime socket: connections, lines and answers, in the dialect of HAProxy's. One line in, commands
 * split on ';' (a backslash takes the next character as it is), every answer ends with an empty line,
 * then the connection closes; an interactive caller gets a prompt instead, and stays. What commands
 * there are, and what they do, is the business of a program: base/commands has one that goes by a table.
 */
#ifndef LIMPET_BASE_CONSOLE_H
#define LIMPET_BASE_CONSOLE_H

#include "base/conn.h"
#include "base/text.h"

struct console;

/* Of a message in an answer, as `set severity-output` shows it: syslog's numbers. */
enum severity { SEVERITY_ERROR = 3, SEVERITY_WARNING, SEVERITY_NOTICE, SEVERITY_INFO };

/* A connection: the first member of what a program keeps for one. */
struct console_talk {
    /* For the program. */
    void *ctx;          /* of console_new */
    struct text answer; /* to the command that is being run: whole lines */
    int64_t timeout_ms; /* the connection ends when nothing moves for so long */
    bool interactive;   /* `prompt` */

    /* The console's own. */
    struct console *console;
    struct list node;
    struct conn conn;
    struct timer idle;
    struct grave grave;
    size_t sent;    /* of the answer; 0: nothing is being written */
    bool answered;  /* a command has run since the end was thought of */
    bool in_line;   /* commands of the current line are being run */
    bool running;   /* inside `run` */
    bool waits;     /* the answer comes later */
    bool quit;      /* no further command */
    bool eof;       /* the caller sends no more */
    bool lingering; /* all is said */
};

enum console_result {
    CONSOLE_ANSWERED, /* it stands in talk->answer */
    CONSOLE_LATER,    /* console_answer follows, or came already */
    CONSOLE_QUIT,     /* what stands in talk->answer is the last that is said */
};

struct console_program {
    size_t talk_bytes; /* what it keeps for a connection, its struct console_talk at the front */
    size_t talks_max;  /* at once; others wait in the kernel's queue */
    size_t line_max;   /* bytes; at most BUF_SMALL */
    /* A connection has come; all that begin does not set is zero. */
    void (*begin)(struct console_talk *talk);
    /* One command, without the ';' or the line's end. */
    enum console_result (*run)(struct console_talk *talk, struct span command);
    /* Puts this trouble of the console's into talk->answer. */
    void (*complain)(struct console_talk *talk, const char *trouble);
    /* It ends: what would answer later must not. May be NULL. */
    void (*end)(struct console_talk *talk);
};

/* fd is a bound, listening socket, the console's from here on. NULL: errno. */
struct console *console_new(struct loop *loop, struct shelf *shelf, int fd,
                            const struct console_program *program, void *ctx);
/* Somebody else accepts from the same socket; who is connected goes on. */
void console_stop_accepting(struct console *console);
void console_free(struct console *console); /* NULL is fine */

/* After CONSOLE_LATER: the answer stands in talk->answer. From the loop, or from inside `run`. */
void console_answer(struct console_talk *talk);

#endif
