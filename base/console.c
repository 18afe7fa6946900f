// SPDX-License-Identifier: Apache-2.0
/*
 * Connections, lines and answers. One answer at a time: while it is being written no further command
 * runs, so that a caller who does not read costs one answer's memory, and is dropped when it neither
 * reads nor asks for a while. The bytes of a line stay in conn->in and are consumed command by command.
 * After the last answer comes a FIN, and the caller's own end is awaited shortly: closing with unread
 * input would reset the connection under the answer.
 */
#include "base/console.h"

#include "base/conn.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TALKS_MAX = 16,
    LINE_MAX_BYTES = 8192, /* less than conn reads ahead */
    ARGS_MAX = 16,
    IDLE_MS = 60000,
    LINGER_MS = 1000,
    RETRY_MS = 1000,
    CHUNK = 64 * 1024,
};

struct console {
    struct loop *loop;
    struct shelf *shelf;
    struct io listener;
    const struct console_command *commands;
    void *ctx;
    struct list talks;
    size_t count;
    struct timer retry; /* accepts again after EMFILE */
};

struct talk {
    struct list node;
    struct console *console;
    struct conn conn;
    struct timer idle;
    struct grave grave;
    struct console_caller caller;
    size_t sent;
    bool in_line;   /* the current line has further commands */
    bool eof;       /* the caller sends no more */
    bool answered;  /* at least one command has run */
    bool lingering; /* all is said */
};

/* ---- answers ---- */

void console_say(struct console_caller *caller, enum severity severity, const char *format, ...)
{
    static const char *const names[] = {[SEVERITY_ERROR] = "err",
                                        [SEVERITY_WARNING] = "warning",
                                        [SEVERITY_NOTICE] = "notice",
                                        [SEVERITY_INFO] = "info"};
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (caller->numbered)
        text_addf(&caller->answer, "[%d]: ", (int)severity);
    else if (caller->worded)
        text_addf(&caller->answer, "[%s]: ", names[severity]);
    text_addf(&caller->answer, "%s\n", text);
}

static void add_help_line(struct console_caller *caller, const struct console_command *command)
{
    char words[128] = "";
    for (size_t i = 0; i < CONSOLE_WORDS && command->words[i]; i++) {
        size_t len = strlen(words);
        snprintf(words + len, sizeof(words) - len, "%s%s", i > 0 ? " " : "", command->words[i]);
    }
    size_t len = strlen(words);
    snprintf(words + len, sizeof(words) - len, "%s%s", *command->args ? " " : "", command->args);
    text_addf(&caller->answer, "  %-32s : %s\n", words, command->help);
}

static const struct console_command own_commands[] = {
    {{"help"}, "", 0, NULL, "this list"},
    {{"prompt"}, "", 0, NULL, "toggle interactive mode"},
    {{"quit"}, "", 0, NULL, "disconnect"},
    {{"set", "severity-output"},
     "none|number|string",
     1,
     NULL,
     "begin messages with their severity"},
};

static void help(struct talk *talk)
{
    const struct console *console = talk->console;
    text_addf(&talk->caller.answer, "The following commands are valid:\n");
    for (const struct console_command *row = console->commands; row->words[0]; row++)
        add_help_line(&talk->caller, row);
    for (size_t i = 0; i < array_len(own_commands); i++)
        add_help_line(&talk->caller, &own_commands[i]);
}

static void set_severity(struct console_caller *caller, struct span word)
{
    if (!span_eq(word, SPAN("none")) && !span_eq(word, SPAN("number")) &&
        !span_eq(word, SPAN("string"))) {
        console_say(caller, SEVERITY_ERROR, "one of 'none', 'number', 'string' is required");
        return;
    }
    caller->numbered = span_eq(word, SPAN("number"));
    caller->worded = span_eq(word, SPAN("string"));
}

/* ---- commands ---- */

static size_t split(struct span line, struct span words[static ARGS_MAX])
{
    size_t count = 0;
    while (line.ptr && count < ARGS_MAX) {
        struct span word = span_cut(&line, ' ');
        if (word.len > 0)
            words[count++] = word;
    }
    return count;
}

static size_t words_matched(const struct console_command *row, const struct span *words,
                            size_t count)
{
    size_t n = 0;
    while (n < CONSOLE_WORDS && row->words[n]) {
        if (n >= count || !span_eq(words[n], span_str(row->words[n])))
            return 0;
        n++;
    }
    return n;
}

static void run_own(struct talk *talk, size_t row, const struct span *args)
{
    struct console_caller *caller = &talk->caller;
    if (row == 0)
        help(talk);
    else if (row == 1)
        caller->interactive = !caller->interactive;
    else if (row == 2)
        caller->quit = true;
    else
        set_severity(caller, args[0]);
}

static void run(struct talk *talk, struct span line)
{
    struct span words[ARGS_MAX];
    size_t count = split(line, words);
    struct console_caller *caller = &talk->caller;
    for (size_t i = 0; i < array_len(own_commands); i++) {
        size_t n = words_matched(&own_commands[i], words, count);
        if (n > 0 && count - n == own_commands[i].args_max) {
            run_own(talk, i, words + n);
            return;
        }
    }
    for (const struct console_command *row = talk->console->commands; row->words[0]; row++) {
        size_t n = words_matched(row, words, count);
        if (n == 0)
            continue;
        if (count - n > row->args_max)
            console_say(caller, SEVERITY_ERROR, "Unexpected argument; it takes%s%s",
                        row->args_max == 0 ? " none." : ": ", row->args);
        else
            row->run(talk->console->ctx, caller, words + n, count - n);
        return;
    }
    console_say(caller, SEVERITY_ERROR, "Unknown command; try 'help'.");
}

/* ---- talks ---- */

static void talk_bury(struct grave *grave)
{
    struct talk *talk = container_of(grave, struct talk, grave);
    text_free(&talk->caller.answer);
    free(talk);
}

static void talk_end(struct talk *talk)
{
    struct console *console = talk->console;
    loop_timer_stop(console->loop, &talk->idle);
    conn_close(&talk->conn);
    list_remove(&talk->node);
    if (console->count-- == TALKS_MAX && !timer_running(&console->retry))
        loop_change_level(console->loop, &console->listener, EPOLLIN);
    loop_bury(console->loop, &talk->grave);
}

static void talk_linger(struct talk *talk)
{
    if (talk->eof) {
        talk_end(talk);
        return;
    }
    talk->lingering = true;
    conn_close_write(&talk->conn);
    conn_consume(&talk->conn, buf_len(&talk->conn.in));
    conn_resume(&talk->conn);
    loop_timer_start(talk->console->loop, &talk->idle, LINGER_MS);
}

/* True: there was a whole command, and its answer stands in the text. */
static bool talk_run_next(struct talk *talk)
{
    struct span in = buf_bytes(&talk->conn.in);
    bool whole = talk->in_line || (in.len > 0 && span_index(in, '\n') != SIZE_MAX);
    if (!whole && !(talk->eof && in.len > 0)) {
        if (in.len < LINE_MAX_BYTES)
            return false;
        console_say(&talk->caller, SEVERITY_ERROR, "The line is longer than %d bytes.",
                    LINE_MAX_BYTES);
        talk->caller.quit = true;
        return true;
    }
    size_t end = 0;
    while (end < in.len && in.ptr[end] != ';' && in.ptr[end] != '\n')
        end++;
    struct span command = span_trim(span_upto(in, end));
    if (span_ends(command, SPAN("\r")))
        command.len--;
    bool line_ends = end >= in.len || in.ptr[end] == '\n';
    bool nothing = command.len == 0 && talk->in_line && line_ends; // "show info;"
    talk->in_line = !line_ends;
    if (!nothing && (command.len > 0 || !talk->caller.interactive))
        run(talk, command);
    if (!nothing && !talk->caller.quit)
        text_add(&talk->caller.answer, talk->caller.interactive ? SPAN("\n> ") : SPAN("\n"));
    conn_consume(&talk->conn, end < in.len ? end + 1 : in.len);
    return true;
}

enum written { WRITTEN_ALL, WRITTEN_SOME, WRITTEN_FAILED };

static enum written talk_write(struct talk *talk)
{
    struct text *answer = &talk->caller.answer;
    while (talk->sent < answer->len) {
        struct span chunk = span_upto(span_of(answer->data + talk->sent, answer->len - talk->sent),
                                      CHUNK);
        enum io_result result = conn_write(&talk->conn, &chunk, 1);
        if (result == IO_FAILED)
            return WRITTEN_FAILED;
        talk->sent += chunk.len;
        if (result == IO_WANT_WRITE)
            return WRITTEN_SOME;
    }
    bool failed = answer->failed;
    text_free(answer);
    talk->sent = 0;
    return failed ? WRITTEN_FAILED : WRITTEN_ALL;
}

static bool talk_done(const struct talk *talk)
{
    struct span in = buf_bytes(&talk->conn.in);
    if (talk->caller.quit)
        return true;
    if (talk->in_line || (in.len > 0 && span_index(in, '\n') != SIZE_MAX))
        return false;
    return talk->eof ? in.len == 0 : talk->answered && !talk->caller.interactive;
}

static void talk_go_on(struct talk *talk)
{
    bool more = true;
    while (more) {
        enum written written = talk_write(talk);
        if (written == WRITTEN_FAILED) {
            talk_end(talk);
            return;
        }
        loop_timer_start(talk->console->loop, &talk->idle, IDLE_MS);
        if (written == WRITTEN_SOME)
            return;
        if (talk_done(talk)) {
            talk_linger(talk);
            return;
        }
        more = talk_run_next(talk);
        talk->answered = talk->answered || more;
    }
    if (talk->eof)
        talk_end(talk);
}

/* ---- conn's events ---- */

static struct talk *talk_of(struct conn *conn)
{
    return container_of(conn, struct talk, conn);
}

static void on_connected(struct conn *conn)
{
    (void)conn; // Accepted connections are connected from the start.
}

static void on_bytes(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    if (talk->lingering)
        conn_consume(conn, buf_len(&conn->in));
    else if (talk->sent == 0)
        talk_go_on(talk);
}

static void on_drained(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    if (!talk->lingering)
        talk_go_on(talk);
}

static void on_eof(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    talk->eof = true;
    if (talk->lingering)
        talk_end(talk);
    else if (talk->sent == 0)
        talk_go_on(talk);
}

static void on_failed(struct conn *conn)
{
    talk_end(talk_of(conn));
}

static const struct conn_owner talk_owner = {
    .connected = on_connected,
    .bytes = on_bytes,
    .drained = on_drained,
    .eof = on_eof,
    .failed = on_failed,
};

static void on_idle(struct timer *timer)
{
    talk_end(container_of(timer, struct talk, idle));
}

/* ---- the socket ---- */

static void on_retry(struct timer *timer)
{
    struct console *console = container_of(timer, struct console, retry);
    if (console->count < TALKS_MAX)
        loop_change_level(console->loop, &console->listener, EPOLLIN);
}

static void talk_new(struct console *console, int fd)
{
    struct talk *talk = calloc(1, sizeof(*talk));
    if (!talk || !conn_init(&talk->conn, console->loop, console->shelf, fd, false, &talk_owner)) {
        free(talk);
        close(fd);
        return;
    }
    talk->console = console;
    talk->grave.fn = talk_bury;
    timer_init(&talk->idle, on_idle);
    list_push_back(&console->talks, &talk->node);
    loop_timer_start(console->loop, &talk->idle, IDLE_MS);
    if (++console->count == TALKS_MAX)
        loop_change_level(console->loop, &console->listener, 0);
}

static void on_accept(struct io *io, uint32_t events)
{
    struct console *console = container_of(io, struct console, listener);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        talk_new(console, fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_warning("cannot accept on the runtime socket, trying again in 1 s error=\"%s\"",
                    strerror(errno));
        loop_change_level(console->loop, io, 0);
        loop_timer_start(console->loop, &console->retry, RETRY_MS);
    }
}

struct console *console_new(struct loop *loop, struct shelf *shelf, int fd,
                            const struct console_command *commands, void *ctx)
{
    struct console *console = calloc(1, sizeof(*console));
    if (!console)
        return NULL;
    console->loop = loop;
    console->shelf = shelf;
    console->commands = commands;
    console->ctx = ctx;
    list_init(&console->talks);
    timer_init(&console->retry, on_retry);
    io_init(&console->listener, fd, on_accept);
    if (loop_add_level(loop, &console->listener, EPOLLIN))
        return console;
    int error = errno;
    free(console);
    errno = error;
    return NULL;
}

void console_free(struct console *console)
{
    if (!console)
        return;
    list_each_safe(node, &console->talks) talk_end(container_of(node, struct talk, node));
    loop_timer_stop(console->loop, &console->retry);
    loop_close(console->loop, &console->listener);
    free(console);
}
