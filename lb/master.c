// SPDX-License-Identifier: Apache-2.0
/*
 * The master keeps the pid, the privileges, the listening sockets and the sid tables' memory, and
 * does next to nothing with them: it starts the serving process (fork, no exec), passes signals on,
 * and when the serving process dies it starts another one on the same sockets and tables.
 * Connections that came meanwhile wait in the kernel's backlog; sessions keep their owners.
 *
 *              fork                  LINE_READY
 *     (bound) ──────► STARTING ──────────────────► SERVING ── SIGTERM ──► STOPPING ──► exit 0
 *                      ▲   │ ends: the first time    │ dies                 │ dies: exit 2
 *                      │   ▼ that ends us too        ▼                      │ too late: SIGKILL
 *                      └──────────── WAITING ◄───────┘
 *                         at once; when it keeps dying within a second, 100 ms doubling to 5 s
 *
 * It runs no other thread, so that fork is safe, and writes its few log lines directly. While it
 * stops it closes its copies of the listening sockets: as long as one is open, the kernel accepts
 * into it.
 */
#include "lb/master.h"

#include "base/clock.h"
#include "base/log.h"
#include "lb/identity.h"
#include "lb/line.h"
#include "lb/notify.h"
#include "lb/serving.h"
#include "lb/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SHORT_LIFE_MS = 1000, /* died sooner: do not start it again at once */
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    PATIENCE_MS = 5000, /* beyond process.grace, and after "stop now" */
};

enum master_state { MASTER_STARTING, MASTER_SERVING, MASTER_WAITING, MASTER_STOPPING };

struct master {
    const struct config *config;
    struct bindings bindings;
    enum master_state state;
    int signals; /* signalfd */
    int line;    /* to the serving process, -1: none */
    pid_t child; /* 0: none runs */
    bool announced;
    unsigned stops;      /* signals that asked to stop */
    int64_t started_ms;  /* the serving process */
    int64_t deadline_ms; /* WAITING: start it again; STOPPING: kill it */
    int64_t backoff_ms;
};

static void master_say(struct master *master, enum line_word word)
{
    char byte = (char)word;
    if (master->line >= 0 && send(master->line, &byte, 1, MSG_NOSIGNAL) < 0)
        log_warning("the serving process does not listen reason=\"%s\"", strerror(errno));
}

static void master_hang_up(struct master *master)
{
    if (master->line >= 0)
        close(master->line);
    master->line = -1;
}

/* ---- starting ---- */

static void master_wait_to_start(struct master *master, int64_t now)
{
    bool short_life = now - master->started_ms < SHORT_LIFE_MS;
    if (!short_life)
        master->backoff_ms = 0;
    else if (master->backoff_ms == 0)
        master->backoff_ms = BACKOFF_MIN_MS;
    else if (master->backoff_ms < BACKOFF_MAX_MS / 2)
        master->backoff_ms *= 2;
    else
        master->backoff_ms = BACKOFF_MAX_MS;
    master->state = MASTER_WAITING;
    master->deadline_ms = now + master->backoff_ms;
}

/* Returns the serving process's end of the line in the child, -1 in the master. */
static int master_fork(struct master *master)
{
    int pair[2];
    master->started_ms = clock_mono_ms();
    master->state = MASTER_STARTING;
    bool paired = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0;
    master->child = paired ? fork() : -1;
    if (master->child == 0) {
        close(pair[0]);
        close(master->signals);
        return pair[1];
    }
    if (master->child < 0) {
        log_error("cannot start the serving process reason=\"%s\"", strerror(errno));
        if (paired)
            close(pair[0]);
        master->child = 0;
        master_wait_to_start(master, master->started_ms);
    } else {
        master->line = pair[0];
    }
    if (paired)
        close(pair[1]);
    return -1;
}

static void master_hear(struct master *master)
{
    char word;
    ssize_t got = recv(master->line, &word, 1, MSG_DONTWAIT);
    if (got == 0) {
        master_hang_up(master); // It ends; SIGCHLD follows.
        return;
    }
    if (got != 1 || word != LINE_READY || master->state != MASTER_STARTING)
        return;
    master->state = MASTER_SERVING;
    if (!master->announced)
        serving_announce(master->config, &master->bindings);
    else
        log_info("the serving process is ready again pid=%d after=%lldms", (int)master->child,
                 (long long)(clock_mono_ms() - master->started_ms));
    master->announced = true;
}

/* ---- ending ---- */

/* How it ended, e.g. "signal=SIGSEGV" or "code=3". */
static void describe_end(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "signal=SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(out, size, "code=%d", WEXITSTATUS(status));
}

/* The serving process is gone. True: so are we, with *code. */
static bool master_bury(struct master *master, int status, int *code)
{
    pid_t pid = master->child;
    int64_t now = clock_mono_ms();
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    char how[64];
    describe_end(status, how, sizeof(how));
    master->child = 0;
    master_hang_up(master);
    if (master->state == MASTER_STOPPING) {
        if (!clean)
            log_error("the serving process died while it stopped %s pid=%d", how, (int)pid);
        *code = clean ? 0 : 2;
        return true;
    }
    if (!master->announced) {
        if (WIFSIGNALED(status))
            log_error("the serving process died while it started %s pid=%d", how, (int)pid);
        *code = WIFEXITED(status) && WEXITSTATUS(status) == 1 ? 1 : 2;
        return true;
    }
    int64_t lived = now - master->started_ms;
    master_wait_to_start(master, now);
    log_error("the serving process died and is started again %s pid=%d uptime=%lldms wait=%lldms",
              how, (int)pid, (long long)lived, (long long)master->backoff_ms);
    return false;
}

/* True: the master ends, with *code. */
static bool master_reap(struct master *master, int *code)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    for (; pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        if (pid == master->child && master_bury(master, status, code))
            return true;
    }
    return false;
}

/* The first time gracefully, then at once. True: nobody needs to be waited for. */
static bool master_stop(struct master *master)
{
    master->stops++;
    notify_systemd("STOPPING=1");
    bindings_close_listeners(&master->bindings);
    int64_t grace_ms = master->stops == 1 ? master->config->process.grace_ms : 0;
    master->deadline_ms = clock_mono_ms() + grace_ms + PATIENCE_MS;
    master->state = MASTER_STOPPING;
    master_say(master, LINE_STOP);
    return master->child == 0;
}

/* ---- the loop ---- */

/* True: the master ends, with *code. */
static bool master_take_signals(struct master *master, int *code)
{
    int signo = signals_next(master->signals);
    for (; signo != 0; signo = signals_next(master->signals)) {
        if (signo == SIGCHLD) {
            if (master_reap(master, code))
                return true;
        } else if (signo == SIGTERM || signo == SIGINT) {
            *code = 0;
            if (master_stop(master))
                return true;
        } else if (signo == SIGUSR1) {
            master_say(master, LINE_REOPEN);
        } else {
            signals_unsupported(signo);
        }
    }
    return false;
}

static int master_timeout_ms(const struct master *master)
{
    if (master->state != MASTER_WAITING && master->state != MASTER_STOPPING)
        return -1;
    int64_t left = master->deadline_ms - clock_mono_ms();
    if (left <= 0)
        return 0;
    return left < 3600000 ? (int)left : 3600000;
}

/* The deadline of WAITING or STOPPING has passed. Returns the line in a new serving process, else
 * -1. */
static int master_overdue(struct master *master)
{
    if (master->state == MASTER_WAITING)
        return master_fork(master);
    log_error("the serving process does not stop and is killed pid=%d", (int)master->child);
    kill(master->child, SIGKILL);
    master->deadline_ms = clock_mono_ms() + PATIENCE_MS;
    return -1;
}

/* Until the end (-1, with *code), or until this is a new serving process (its line). */
static int master_loop(struct master *master, int *code)
{
    int line = master_fork(master);
    while (line < 0) {
        struct pollfd fds[2] = {{.fd = master->signals, .events = POLLIN},
                                {.fd = master->line, .events = POLLIN}};
        int timeout = master_timeout_ms(master);
        int ready = poll(fds, 2, timeout);
        if (ready == 0 && timeout >= 0 && master_timeout_ms(master) == 0)
            line = master_overdue(master);
        if (fds[1].revents)
            master_hear(master);
        if (fds[0].revents && master_take_signals(master, code))
            return -1;
    }
    return line;
}

int master_run(const struct config *config)
{
    struct identity identity;
    if (!identity_find(&config->process, &identity))
        return 1;
    struct master master = {.config = config, .line = -1, .signals = signals_open()};
    if (master.signals < 0) {
        log_error("cannot take signals reason=\"%s\"", strerror(errno));
        return 2;
    }
    if (!bindings_open(&master.bindings, config, serving_worker_count(config)))
        return 2;
    if (!config->process.master) {
        close(master.signals); // Control opens its own.
        int code = serving_run(config, &master.bindings, -1);
        bindings_close(&master.bindings, true);
        return code;
    }
    int code = 2;
    int line = master_loop(&master, &code);
    if (line >= 0) {
        code = serving_run(config, &master.bindings, line);
        bindings_close(&master.bindings, false);
        return code;
    }
    close(master.signals);
    bindings_close(&master.bindings, true);
    return code;
}
