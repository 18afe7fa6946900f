// SPDX-License-Identifier: Apache-2.0
/*
 *     bytes ──► a whole line? ──► next command ──► answer ──► written ──┐
 *                                     ▲                                 │
 *                                     └──────── the line has more ◄─────┤
 *                      next line ◄── interactive, or one waits ◄────────┤
 *                                                    linger ◄───────────┘
 *
 * - A command may have its answer come later: then nothing goes on until it is there, or the caller
 *   is gone.
 * - One answer at a time: while it is being written no further command runs, so a caller that does
 *   not read costs one answer's memory, and is closed when nothing moves for its timeout.
 * - The bytes of a line stay in conn->in and are consumed command by command.
 * - Closing: FIN after the last byte, then wait shortly for the caller's own end; a close with
 *   unread input would reset the connection under the answer.
 * - A few connections at most; further ones wait in the kernel's queue, so that a script run wild
 *   cannot take descriptors away from others.
 */
#include "base/console.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINGER_MS = 1000,
    RETRY_MS = 1000,
    CHUNK = 64 * 1024, /* of an answer, given to conn at a time */
};

struct console {
    struct loop *loop;
    struct shelf *shelf;
    struct io listener;
    const struct console_program *program;
    void *ctx;
    struct list talks;
    size_t count;
    struct timer retry; /* accepts again after EMFILE */
    bool paused;
};

static void console_pause(struct console *console, bool paused)
{
    if (console->paused == paused || console->listener.fd < 0)
        return;
    console->paused = paused;
    loop_change_level(console->loop, &console->listener, paused ? 0 : EPOLLIN);
}

/* ---- the end of a talk ---- */

static void talk_bury(struct grave *grave)
{
    struct console_talk *talk = container_of(grave, struct console_talk, grave);
    text_free(&talk->answer);
    free(talk);
}

static void talk_end(struct console_talk *talk)
{
    struct console *console = talk->console;
    if (console->program->end)
        console->program->end(talk);
    loop_timer_stop(console->loop, &talk->idle);
    conn_close(&talk->conn);
    list_remove(&talk->node);
    console->count--;
    if (!timer_running(&console->retry))
        console_pause(console, false);
    loop_bury(console->loop, &talk->grave);
}

static void talk_linger(struct console_talk *talk)
{
    talk->lingering = true;
    if (talk->eof) {
        talk_end(talk);
        return;
    }
    conn_close_write(&talk->conn);
    conn_consume(&talk->conn, buf_len(&talk->conn.in));
    conn_resume(&talk->conn);
    loop_timer_start(talk->console->loop, &talk->idle, LINGER_MS);
}

/* ---- commands of a line ---- */

/* Where the next command ends: at an unescaped ';' or at the line's end. SIZE_MAX: neither is there
 * yet. */
static size_t command_end(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1] != '\n')
            i++;
        else if (text.ptr[i] == ';' || text.ptr[i] == '\n')
            return i;
    }
    return SIZE_MAX;
}

/* The answer is complete: what follows every answer. */
static void talk_close_answer(struct console_talk *talk)
{
    if (talk->answer.failed) {
        text_free(&talk->answer);
        talk->console->program->complain(talk, "Out of memory.");
    }
    text_add(&talk->answer, talk->interactive ? SPAN("\n> ") : SPAN("\n"));
    talk->sent = 0;
}

static void talk_run(struct console_talk *talk, struct span command)
{
    talk->running = talk->waits = true;
    enum console_result result = talk->console->program->run(talk, command);
    talk->running = false;
    if (result == CONSOLE_LATER)
        return;
    talk->waits = false;
    if (result == CONSOLE_QUIT)
        talk->quit = true;
    else
        talk_close_answer(talk);
}

static bool has_line(struct span text)
{
    return text.len > 0 && memchr(text.ptr, '\n', text.len) != NULL;
}

/* Runs the next command, if there is a whole line. False: nothing to do now. */
static bool talk_run_next(struct console_talk *talk)
{
    struct span text = buf_bytes(&talk->conn.in);
    size_t most = talk->console->program->line_max;
    bool whole = talk->in_line || has_line(text);
    if (!whole && !(talk->eof && text.len > 0)) {
        if (text.len < most)
            return false;
        char trouble[64];
        snprintf(trouble, sizeof(trouble), "The line is longer than %zu bytes.", most);
        talk->console->program->complain(talk, trouble);
        talk->quit = true;
        talk_close_answer(talk);
        return true;
    }
    size_t end = command_end(text);
    struct span command = span_upto(text, end);
    bool line_ends = end >= text.len || text.ptr[end] == '\n';
    if (line_ends && span_ends(command, SPAN("\r")))
        command.len--;
    // "show info;" is one command, not one and an unknown one.
    bool nothing = line_ends && talk->in_line && span_trim(command).len == 0;
    talk->in_line = !line_ends;
    if (!nothing)
        talk_run(talk, command);
    conn_consume(&talk->conn, end < text.len ? end + 1 : text.len);
    return true;
}

/* Has everything been answered that this connection may ask? Interactive ones go on; so do lines
 * that were sent together. */
static bool talk_done(const struct console_talk *talk)
{
    struct span text = buf_bytes(&talk->conn.in);
    if (talk->quit)
        return true;
    if (talk->in_line || has_line(text))
        return false;
    return talk->eof ? text.len == 0 : !talk->interactive;
}

/* ---- writing ---- */

enum written { WRITTEN_ALL, WRITTEN_SOME, WRITTEN_FAILED };

static enum written talk_write(struct console_talk *talk)
{
    struct text *answer = &talk->answer;
    if (talk->waits)
        return WRITTEN_ALL; // It is still in the making.
    while (talk->sent < answer->len) {
        struct span rest = span_of(answer->data + talk->sent, answer->len - talk->sent);
        struct span chunk = span_upto(rest, CHUNK);
        enum io_result result = conn_write(&talk->conn, &chunk, 1);
        if (result == IO_FAILED)
            return WRITTEN_FAILED;
        talk->sent += chunk.len;
        if (result == IO_WANT_WRITE)
            return WRITTEN_SOME;
    }
    text_free(answer);
    talk->sent = 0;
    return WRITTEN_ALL;
}

/* It moved: its time begins anew. */
static void talk_wake(struct console_talk *talk)
{
    loop_timer_start(talk->console->loop, &talk->idle, talk->timeout_ms);
}

/* Goes on as far as it can: answers, commands, lines, the end. */
static void talk_go_on(struct console_talk *talk)
{
    bool consumed = false;
    for (;;) {
        switch (talk_write(talk)) {
        case WRITTEN_FAILED:
            talk_end(talk);
            return;
        case WRITTEN_SOME:
            talk_wake(talk);
            return;
        case WRITTEN_ALL:
            break;
        }
        if (talk->waits)
            break;
        if (talk->answered && talk_done(talk)) {
            talk_linger(talk);
            return;
        }
        talk->answered = talk_run_next(talk);
        if (!talk->answered)
            break;
        consumed = true;
    }
    if (talk->eof && !talk->waits) {
        talk_end(talk);
        return;
    }
    talk_wake(talk);
    if (consumed) // Not otherwise: it would tell of the same beginning of a line for ever.
        conn_resume(&talk->conn);
}

void console_answer(struct console_talk *talk)
{
    talk->waits = false;
    talk_close_answer(talk);
    if (!talk->running)
        talk_go_on(talk);
}

/* ---- conn's events ---- */

static struct console_talk *talk_of(struct conn *conn)
{
    return container_of(conn, struct console_talk, conn);
}

static bool talk_listens(const struct console_talk *talk)
{
    return talk->sent == 0 && !talk->waits;
}

static void talk_on_connected(struct conn *conn)
{
    (void)conn; // Accepted connections are connected from the start.
}

static void talk_on_bytes(struct conn *conn)
{
    struct console_talk *talk = talk_of(conn);
    if (talk->lingering)
        conn_consume(conn, buf_len(&conn->in));
    else if (talk_listens(talk))
        talk_go_on(talk);
}

static void talk_on_drained(struct conn *conn)
{
    struct console_talk *talk = talk_of(conn);
    if (!talk->lingering)
        talk_go_on(talk);
}

static void talk_on_eof(struct conn *conn)
{
    struct console_talk *talk = talk_of(conn);
    talk->eof = true;
    if (talk->lingering)
        talk_end(talk);
    else if (talk_listens(talk))
        talk_go_on(talk);
}

static void talk_on_failed(struct conn *conn)
{
    talk_end(talk_of(conn));
}

static const struct conn_owner talk_owner = {
    .connected = talk_on_connected,
    .bytes = talk_on_bytes,
    .drained = talk_on_drained,
    .eof = talk_on_eof,
    .failed = talk_on_failed,
};

static void talk_on_idle(struct timer *timer)
{
    talk_end(container_of(timer, struct console_talk, idle));
}

/* ---- accepting ---- */

static bool talk_new(struct console *console, int fd)
{
    struct console_talk *talk = calloc(1, console->program->talk_bytes);
    if (!talk)
        return false;
    if (!conn_init(&talk->conn, console->loop, console->shelf, fd, false, &talk_owner)) {
        free(talk);
        return false;
    }
    talk->console = console;
    talk->ctx = console->ctx;
    talk->grave.fn = talk_bury;
    timer_init(&talk->idle, talk_on_idle);
    list_push_back(&console->talks, &talk->node);
    console->count++;
    console->program->begin(talk);
    talk_wake(talk);
    return true;
}

static void console_on_retry(struct timer *timer)
{
    struct console *console = container_of(timer, struct console, retry);
    if (console->count < console->program->talks_max)
        console_pause(console, false);
}

static void console_on_accept(struct io *io, uint32_t events)
{
    struct console *console = container_of(io, struct console, listener);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        log_warning("cannot accept on the runtime socket, trying again in 1 s error=\"%s\"",
                    strerror(errno));
        console_pause(console, true);
        loop_timer_start(console->loop, &console->retry, RETRY_MS);
        return;
    }
    if (!talk_new(console, fd))
        close(fd);
    if (console->count >= console->program->talks_max)
        console_pause(console, true);
}

struct console *console_new(struct loop *loop, struct shelf *shelf, int fd,
                            const struct console_program *program, void *ctx)
{
    struct console *console = calloc(1, sizeof(*console));
    if (!console)
        return NULL;
    console->loop = loop;
    console->shelf = shelf;
    console->program = program;
    console->ctx = ctx;
    list_init(&console->talks);
    timer_init(&console->retry, console_on_retry);
    io_init(&console->listener, fd, console_on_accept);
    if (loop_add_level(loop, &console->listener, EPOLLIN))
        return console;
    int error = errno;
    free(console);
    errno = error;
    return NULL;
}

void console_stop_accepting(struct console *console)
{
    loop_timer_stop(console->loop, &console->retry);
    loop_close(console->loop, &console->listener);
}

void console_free(struct console *console)
{
    if (!console)
        return;
    list_each_safe(node, &console->talks) talk_end(container_of(node, struct console_talk, node));
    console_stop_accepting(console);
    free(console);
}
