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
    struct list sessions;
    size_t count;
    struct timer retry; /* accepts again after EMFILE */
    bool paused;
};

/* A connection to the runtime socket. */
struct session {
    struct list node; /* in admin->sessions */
    struct admin *admin;
    struct conn conn;
    struct timer idle;
    struct grave grave;
    struct admin_caller caller;
    size_t sent;    /* of caller.answer; 0: nothing is being written */
    bool answered;  /* a command has run since session_done was asked */
    bool in_line;   /* commands of the current line are being run */
    bool eof;       /* the caller sends no more */
    bool lingering; /* all is said */
};

static void admin_pause(struct admin *admin, bool paused)
{
    if (admin->paused == paused)
        return;
    admin->paused = paused;
    loop_change_level(admin->loop, &admin->listener, paused ? 0 : EPOLLIN);
}

static void session_bury(struct grave *grave)
{
    struct session *session = container_of(grave, struct session, grave);
    text_free(&session->caller.answer);
    free(session);
}

static void session_end(struct session *session)
{
    struct admin *admin = session->admin;
    loop_timer_stop(admin->loop, &session->idle);
    conn_close(&session->conn);
    list_remove(&session->node);
    admin->count--;
    if (!timer_running(&admin->retry))
        admin_pause(admin, false);
    loop_bury(admin->loop, &session->grave);
}

static void session_linger(struct session *session)
{
    session->lingering = true;
    if (session->eof) {
        session_end(session);
        return;
    }
    conn_close_write(&session->conn);
    conn_consume(&session->conn, buf_len(&session->conn.in));
    conn_resume(&session->conn);
    loop_timer_start(session->admin->loop, &session->idle, LINGER_MS);
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
static void session_close_answer(struct session *session)
{
    struct admin_caller *caller = &session->caller;
    if (caller->answer.failed) {
        text_free(&caller->answer);
        admin_say(caller, SEVERITY_ERROR, "Out of memory.");
    }
    text_add(&caller->answer, caller->interactive ? SPAN("\n> ") : SPAN("\n"));
    session->sent = 0;
}

/* Runs the next command, if there is a whole line. False: nothing to do now. */
static bool session_run_next(struct session *session)
{
    struct span text = buf_bytes(&session->conn.in);
    bool whole = session->in_line || memchr(text.ptr != NULL ? text.ptr : "", '\n', text.len);
    if (!whole && !(session->eof && text.len > 0)) {
        if (text.len < ADMIN_LINE_MAX)
            return false;
        admin_say(&session->caller, SEVERITY_ERROR, "The line is longer than %d bytes.",
                  ADMIN_LINE_MAX);
        session->caller.quit = true;
        session_close_answer(session);
        return true;
    }
    size_t end = command_end(text);
    struct span command = span_upto(text, end);
    bool line_ends = end >= text.len || text.ptr[end] == '\n';
    if (line_ends && span_ends(command, SPAN("\r")))
        command.len--;
    // "show info;" is one command, not one and an unknown one.
    bool nothing = line_ends && session->in_line && span_trim(command).len == 0;
    session->in_line = !line_ends;
    if (!nothing) {
        admin_run(&session->caller, command);
        if (!session->caller.quit)
            session_close_answer(session);
    }
    conn_consume(&session->conn, end < text.len ? end + 1 : text.len);
    return true;
}

/* Has everything been answered that this connection may ask? Interactive ones go on; so do lines
 * that were sent together. */
static bool session_done(const struct session *session)
{
    struct span text = buf_bytes(&session->conn.in);
    if (session->caller.quit)
        return true;
    if (session->in_line || (text.len > 0 && memchr(text.ptr, '\n', text.len) != NULL))
        return false;
    return session->eof ? text.len == 0 : !session->caller.interactive;
}

/* ---- writing ---- */

enum written { WRITTEN_ALL, WRITTEN_SOME, WRITTEN_FAILED };

static enum written session_write(struct session *session)
{
    struct text *answer = &session->caller.answer;
    while (session->sent < answer->len) {
        struct span chunk = span_of(answer->data + session->sent, answer->len - session->sent);
        chunk = span_upto(chunk, CHUNK);
        enum io_result result = conn_write(&session->conn, &chunk, 1);
        if (result == IO_FAILED)
            return WRITTEN_FAILED;
        session->sent += chunk.len;
        if (result == IO_WANT_WRITE)
            return WRITTEN_SOME;
    }
    text_free(answer);
    session->sent = 0;
    return WRITTEN_ALL;
}

/* It moved: its time begins anew. */
static void session_wake(struct session *session)
{
    loop_timer_start(session->admin->loop, &session->idle, session->caller.timeout_ms);
}

/* Goes on as far as it can: answers, commands, lines, the end. */
static void session_go_on(struct session *session)
{
    bool consumed = false;
    for (;;) {
        switch (session_write(session)) {
        case WRITTEN_FAILED:
            session_end(session);
            return;
        case WRITTEN_SOME:
            session_wake(session);
            return;
        case WRITTEN_ALL:
            break;
        }
        if (session->answered && session_done(session)) {
            session_linger(session);
            return;
        }
        session->answered = session_run_next(session);
        if (!session->answered)
            break;
        consumed = true;
    }
    if (session->eof) {
        session_end(session);
        return;
    }
    session_wake(session);
    if (consumed) // Not otherwise: it would tell of the same beginning of a line for ever.
        conn_resume(&session->conn);
}

/* ---- conn's events ---- */

static struct session *session_of(struct conn *conn)
{
    return container_of(conn, struct session, conn);
}

static void session_on_connected(struct conn *conn)
{
    (void)conn; // Accepted connections are connected from the start.
}

static void session_on_bytes(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (session->lingering) {
        conn_consume(conn, buf_len(&conn->in));
        return;
    }
    if (session->sent == 0)
        session_go_on(session);
}

static void session_on_drained(struct conn *conn)
{
    struct session *session = session_of(conn);
    if (!session->lingering)
        session_go_on(session);
}

static void session_on_eof(struct conn *conn)
{
    struct session *session = session_of(conn);
    session->eof = true;
    if (session->lingering)
        session_end(session);
    else if (session->sent == 0)
        session_go_on(session);
}

static void session_on_failed(struct conn *conn)
{
    session_end(session_of(conn));
}

static const struct conn_owner session_owner = {
    .connected = session_on_connected,
    .bytes = session_on_bytes,
    .drained = session_on_drained,
    .eof = session_on_eof,
    .failed = session_on_failed,
};

static void session_on_idle(struct timer *timer)
{
    session_end(container_of(timer, struct session, idle));
}

/* ---- accepting ---- */

static bool session_new(struct admin *admin, int fd)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return false;
    if (!conn_init(&session->conn, admin->loop, admin->shelf, fd, false, &session_owner)) {
        free(session);
        return false;
    }
    session->admin = admin;
    session->grave.fn = session_bury;
    session->caller = (struct admin_caller){
        .serving = admin->serving,
        .level = admin->serving->config->admin.level,
        .timeout_ms = ADMIN_TIMEOUT_MS,
    };
    timer_init(&session->idle, session_on_idle);
    list_push_back(&admin->sessions, &session->node);
    admin->count++;
    session_wake(session);
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
    if (!session_new(admin, fd))
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
    list_init(&admin->sessions);
    timer_init(&admin->retry, admin_on_retry);
    io_init(&admin->listener, fd, admin_on_accept);
    if (loop_add_level(loop, &admin->listener, EPOLLIN))
        return admin;
    int error = errno;
    free(admin);
    errno = error;
    return NULL;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    list_each_safe(node, &admin->sessions) session_end(container_of(node, struct session, node));
    loop_timer_stop(admin->loop, &admin->retry);
    loop_close(admin->loop, &admin->listener);
    free(admin);
}
