// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime socket: connections, lines and answers. What commands do is admin_command.c's
 * business.
 *
 *     bytes ──► a whole line? ──► next command ──► answer ──► written ──┐
 *                                     ▲                                 │
 *                                     └──────── the line has more ◄─────┤
 *                      next line ◄── interactive, or one waits ◄────────┤
 *                                                    linger ◄───────────┘
 *
 * - A command may leave an inquiry behind instead of an answer: then nothing goes on until the
 *   workers have answered, or the caller is gone.
 * - One answer at a time: while it is being written no further command runs, so a caller that does
 *   not read costs one answer's memory, and is closed when nothing moves for its timeout.
 * - The bytes of a line stay in conn->in and are consumed command by command.
 * - Closing: FIN after the last byte, then wait shortly for the caller's own end; a close with
 *   unread input would reset the connection under the answer.
 * - A few connections at most; further ones wait in the kernel's queue, so that a script run wild
 *   cannot take descriptors away from clients.
 */
#include "lb/admin.h"

#include "base/conn.h"
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/inquiry.h"
#include "lb/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SESSIONS_MAX = 64,
    LINGER_MS = 1000,
    CHUNK = 64 * 1024, /* of an answer, given to conn at a time */
};

struct admin {
    struct serving *serving;
    struct loop *loop;
    struct shelf *shelf;
    struct io listener;
    struct list talks;
    size_t count;
    struct timer retry; /* accepts again after EMFILE */
    bool paused;
};

/* A connection to the runtime socket. */
struct talk {
    struct list node; /* in admin->talks */
    struct admin *admin;
    struct conn conn;
    struct timer idle;
    struct grave grave;
    struct admin_caller caller;
    struct reload_wait reload; /* while caller.reloads */
    bool asks_reload;          /* inside control_reload */
    size_t sent;               /* of caller.answer; 0: nothing is being written */
    bool answered;             /* a command has run since talk_done was asked */
    bool in_line;              /* commands of the current line are being run */
    bool eof;                  /* the caller sends no more */
    bool lingering;            /* all is said */
};

static void admin_pause(struct admin *admin, bool paused)
{
    if (admin->paused == paused || admin->listener.fd < 0)
        return;
    admin->paused = paused;
    loop_change_level(admin->loop, &admin->listener, paused ? 0 : EPOLLIN);
}

static void talk_bury(struct grave *grave)
{
    struct talk *talk = container_of(grave, struct talk, grave);
    text_free(&talk->caller.answer);
    free(talk);
}

static void talk_end(struct talk *talk)
{
    struct admin *admin = talk->admin;
    if (talk->caller.inquiry)
        inquiry_forget(talk->caller.inquiry);
    if (talk->caller.reloads)
        reload_forget(&talk->reload);
    loop_timer_stop(admin->loop, &talk->idle);
    conn_close(&talk->conn);
    list_remove(&talk->node);
    admin->count--;
    if (!timer_running(&admin->retry))
        admin_pause(admin, false);
    loop_bury(admin->loop, &talk->grave);
}

static void talk_linger(struct talk *talk)
{
    talk->lingering = true;
    if (talk->eof) {
        talk_end(talk);
        return;
    }
    conn_close_write(&talk->conn);
    conn_consume(&talk->conn, buf_len(&talk->conn.in));
    conn_resume(&talk->conn);
    loop_timer_start(talk->admin->loop, &talk->idle, LINGER_MS);
}

/* ---- commands of a line ---- */

/*
 * Where the next command ends: at an unescaped ';' or at the line's end. SIZE_MAX: neither is there
 * yet.
 */
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
static void talk_close_answer(struct talk *talk)
{
    struct admin_caller *caller = &talk->caller;
    if (caller->answer.failed) {
        text_free(&caller->answer);
        admin_say(caller, SEVERITY_ERROR, "Out of memory.");
    }
    text_add(&caller->answer, caller->interactive ? SPAN("\n> ") : SPAN("\n"));
    talk->sent = 0;
}

static void talk_go_on(struct talk *talk);

/* inquiry_done_fn: the workers have answered. */
static void talk_answered(void *ctx, struct text *answer, bool found)
{
    struct talk *talk = ctx;
    struct admin_caller *caller = &talk->caller;
    enum inquiry_kind kind = inquiry_kind(caller->inquiry);
    caller->inquiry = NULL;
    if (answer->failed)
        caller->answer.failed = true;
    else if (kind == INQUIRY_SHUTDOWN && !found)
        admin_say(caller, SEVERITY_ERROR, "No such session (use 'show sess').");
    else if (kind == INQUIRY_SESSION && !found)
        admin_say(caller, SEVERITY_ERROR, "Session not found.");
    else
        text_add(&caller->answer, span_of(answer->data, answer->len));
    talk_close_answer(talk);
    talk_go_on(talk);
}

/* done of struct reload_wait: maybe before control_reload returns. */
static void talk_reloaded(struct reload_wait *wait, const struct reload_status *status)
{
    struct talk *talk = container_of(wait, struct talk, reload);
    struct admin_caller *caller = &talk->caller;
    caller->reloads = false;
    if (status->last_failed)
        admin_say(caller, SEVERITY_ERROR, "Reload failed, nothing changed: %s", status->error);
    else if (status->restart[0])
        admin_say(caller, SEVERITY_NOTICE, "Reloaded. Needs a restart: %s", status->restart);
    else
        admin_say(caller, SEVERITY_INFO, "Reloaded.");
    talk_close_answer(talk);
    if (!talk->asks_reload)
        talk_go_on(talk);
}

static void talk_reload(struct talk *talk)
{
    struct serving *serving = talk->admin->serving;
    talk->reload.done = talk_reloaded;
    reload_await(serving->reload, &talk->reload);
    talk->asks_reload = true;
    control_reload(serving->control);
    talk->asks_reload = false;
}

/* Does a command's answer come later? */
static bool talk_waits(const struct talk *talk)
{
    return talk->caller.inquiry || talk->caller.reloads;
}

/* Runs the next command, if there is a whole line. False: nothing to do now. */
static bool talk_run_next(struct talk *talk)
{
    struct span text = buf_bytes(&talk->conn.in);
    bool whole = talk->in_line || memchr(text.ptr != NULL ? text.ptr : "", '\n', text.len);
    if (!whole && !(talk->eof && text.len > 0)) {
        if (text.len < ADMIN_LINE_MAX)
            return false;
        admin_say(&talk->caller, SEVERITY_ERROR, "The line is longer than %d bytes.",
                  ADMIN_LINE_MAX);
        talk->caller.quit = true;
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
    if (!nothing) {
        admin_run(&talk->caller, command);
        if (talk->caller.inquiry)
            inquiry_await(talk->caller.inquiry, talk_answered, talk);
        else if (!talk->caller.quit && !talk->caller.reloads)
            talk_close_answer(talk);
    }
    conn_consume(&talk->conn, end < text.len ? end + 1 : text.len);
    if (talk->caller.reloads)
        talk_reload(talk);
    return true;
}

/* Has everything been answered that this connection may ask? Interactive ones go on; so do lines
 * that were sent together. */
static bool talk_done(const struct talk *talk)
{
    struct span text = buf_bytes(&talk->conn.in);
    if (talk->caller.quit)
        return true;
    if (talk->in_line || (text.len > 0 && memchr(text.ptr, '\n', text.len) != NULL))
        return false;
    return talk->eof ? text.len == 0 : !talk->caller.interactive;
}

/* ---- writing ---- */

enum written { WRITTEN_ALL, WRITTEN_SOME, WRITTEN_FAILED };

static enum written talk_write(struct talk *talk)
{
    struct text *answer = &talk->caller.answer;
    while (talk->sent < answer->len) {
        struct span chunk = span_of(answer->data + talk->sent, answer->len - talk->sent);
        chunk = span_upto(chunk, CHUNK);
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
static void talk_wake(struct talk *talk)
{
    loop_timer_start(talk->admin->loop, &talk->idle, talk->caller.timeout_ms);
}

/* Goes on as far as it can: answers, commands, lines, the end. */
static void talk_go_on(struct talk *talk)
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
        if (talk_waits(talk))
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
    if (talk->eof && !talk_waits(talk)) {
        talk_end(talk);
        return;
    }
    talk_wake(talk);
    if (consumed) // Not otherwise: it would tell of the same beginning of a line for ever.
        conn_resume(&talk->conn);
}

/* ---- conn's events ---- */

static struct talk *talk_of(struct conn *conn)
{
    return container_of(conn, struct talk, conn);
}

static void talk_on_connected(struct conn *conn)
{
    (void)conn; // Accepted connections are connected from the start.
}

static void talk_on_bytes(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    if (talk->lingering) {
        conn_consume(conn, buf_len(&conn->in));
        return;
    }
    if (talk->sent == 0 && !talk_waits(talk))
        talk_go_on(talk);
}

static void talk_on_drained(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    if (!talk->lingering)
        talk_go_on(talk);
}

static void talk_on_eof(struct conn *conn)
{
    struct talk *talk = talk_of(conn);
    talk->eof = true;
    if (talk->lingering)
        talk_end(talk);
    else if (talk->sent == 0 && !talk_waits(talk))
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
    talk_end(container_of(timer, struct talk, idle));
}

/* ---- accepting ---- */

static bool talk_new(struct admin *admin, int fd)
{
    struct talk *talk = calloc(1, sizeof(*talk));
    if (talk == NULL)
        return false;
    if (!conn_init(&talk->conn, admin->loop, admin->shelf, fd, false, &talk_owner)) {
        free(talk);
        return false;
    }
    talk->admin = admin;
    talk->grave.fn = talk_bury;
    talk->caller = (struct admin_caller){
        .serving = admin->serving,
        .loop = admin->loop,
        .level = admin->serving->config->admin.level,
        .timeout_ms = ADMIN_TIMEOUT_MS,
    };
    timer_init(&talk->idle, talk_on_idle);
    list_push_back(&admin->talks, &talk->node);
    admin->count++;
    talk_wake(talk);
    return true;
}

static void admin_on_retry(struct timer *timer)
{
    struct admin *admin = container_of(timer, struct admin, retry);
    if (admin->count < SESSIONS_MAX)
        admin_pause(admin, false);
}

static void admin_on_accept(struct io *io, uint32_t events)
{
    (void)events;
    struct admin *admin = container_of(io, struct admin, listener);
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        log_warning("cannot accept on the runtime socket, trying again in 1 s error=\"%s\"",
                    strerror(errno));
        admin_pause(admin, true);
        loop_timer_start(admin->loop, &admin->retry, 1000);
        return;
    }
    if (!talk_new(admin, fd))
        close(fd);
    if (admin->count >= SESSIONS_MAX)
        admin_pause(admin, true);
}

struct admin *admin_new(struct serving *serving, struct loop *loop, struct shelf *shelf, int fd)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return NULL;
    admin->serving = serving;
    admin->loop = loop;
    admin->shelf = shelf;
    list_init(&admin->talks);
    timer_init(&admin->retry, admin_on_retry);
    io_init(&admin->listener, fd, admin_on_accept);
    if (loop_add_level(loop, &admin->listener, EPOLLIN))
        return admin;
    int error = errno;
    free(admin);
    errno = error;
    return NULL;
}

void admin_stop_accepting(struct admin *admin)
{
    loop_timer_stop(admin->loop, &admin->retry);
    loop_close(admin->loop, &admin->listener);
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    list_each_safe(node, &admin->talks) talk_end(container_of(node, struct talk, node));
    loop_timer_stop(admin->loop, &admin->retry);
    loop_close(admin->loop, &admin->listener);
    free(admin);
}
