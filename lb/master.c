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
#include "base/mem.h"
#include "base/notify.h"
#include "base/signals.h"
#include "lb/identity.h"
#include "lb/line.h"
#include "lb/parcel.h"
#include "lb/reload.h"
#include "lb/sandbox.h"
#include "lb/serving.h"
#include "lb/sidmap.h"
#include "lb/upgrade.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SHORT_LIFE_MS = 1000, /* died sooner: do not start it again at once */
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    PATIENCE_MS = 5000,      /* beyond process.grace, and after "stop now" */
    UPGRADE_WAIT_MS = 60000, /* for a successor to be ready */
};

enum master_state { MASTER_STARTING, MASTER_SERVING, MASTER_WAITING, MASTER_STOPPING };

/* The other executable: as its predecessor, and as its successor. */
struct master_upgrade {
    bool asked;          /* the serving process was asked for states */
    pid_t successor;     /* started, not ready yet; or ready: it has taken over */
    int ready;           /* to it; -1: none */
    int64_t deadline_ms; /* for it to be ready */
    bool handed_over;
    struct inheritance *inheritance; /* from our predecessor; NULL: there was none */
};

/* A reload that the serving process has been asked to take over. */
struct master_reload {
    bool under_way, again; /* again: another one was asked for meanwhile */
    struct config *config;
    struct bindings next;
};

struct master {
    const struct config *config;
    struct config *own_config; /* the same, once a reload has replaced the one we were given */
    struct bindings bindings;
    struct master_reload reload;
    struct master_upgrade upgrade;
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
    if (master->line >= 0 && !line_send(master->line, word, SPAN_NONE, NULL, 0))
        log_warning("the serving process does not listen reason=\"%s\"", strerror(errno));
}

static void master_reload_end(struct master *master, bool done);
static void master_upgrade_failed(struct master *master, const char *why);

static void master_hang_up(struct master *master)
{
    if (master->reload.under_way) {
        log_error("the serving process ended during a reload, nothing changed");
        master_reload_end(master, false);
    }
    if (master->upgrade.asked)
        master_upgrade_failed(master, "the serving process ended");
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
        if (master->upgrade.inheritance && master->upgrade.inheritance->ready >= 0) {
            close(master->upgrade.inheritance->ready); // The master alone speaks with it.
            master->upgrade.inheritance->ready = -1;
        }
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

/* Tells our predecessor, if there is one, that it may go. */
static void master_take_over(struct master *master)
{
    struct inheritance *inheritance = master->upgrade.inheritance;
    if (!inheritance)
        return;
    char byte = 'Y';
    free(master->bindings.states); // They are in force; a crash is not a reason to go back to them.
    master->bindings.states = NULL;
    if (inheritance->ready < 0 || send(inheritance->ready, &byte, 1, MSG_NOSIGNAL) < 0)
        log_error("cannot tell the process before the upgrade that this one is ready reason=\"%s\"",
                  strerror(errno));
    log_info("took over from another executable predecessor=%d pid=%d",
             (int)inheritance->predecessor, (int)getpid());
}

/* The end of its line: the predecessor's master is gone, and with it what it started. */
static void master_hear_predecessor(struct master *master)
{
    struct inheritance *inheritance = master->upgrade.inheritance;
    char byte;
    assert(inheritance); // Its line is watched only then.
    if (recv(inheritance->ready, &byte, 1, MSG_DONTWAIT) > 0)
        return;
    close(inheritance->ready);
    inheritance->ready = -1;
    master->bindings.predecessor = 0;
    master_say(master, LINE_ALONE);
}

static void master_serves(struct master *master)
{
    if (master->state != MASTER_STARTING)
        return;
    master->state = MASTER_SERVING;
    if (!master->announced) {
        master_take_over(master);
        serving_announce(master->config, &master->bindings);
    } else
        log_info("the serving process is ready again pid=%d after=%lldms", (int)master->child,
                 (long long)(clock_mono_ms() - master->started_ms));
    master->announced = true;
}

/* ---- another configuration ---- */

/* Where the new addresses are: port 0 has become a real one. */
static void log_addresses(const struct master *master)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return;
    bindings_print(&master->bindings, master->config, out);
    fclose(out);
    log_info("reloaded%s", text);
    free(text);
}

static void master_reload(struct master *master);

static void master_reload_end(struct master *master, bool done)
{
    struct master_reload *reload = &master->reload;
    bool again = reload->again;
    if (done) {
        bindings_commit(&master->bindings, &reload->next);
        config_free(master->own_config);
        master->config = master->own_config = reload->config;
        log_addresses(master);
    } else {
        bindings_rollback(&reload->next);
        config_free(reload->config);
    }
    *reload = (struct master_reload){0};
    notify_systemd(done ? "READY=1\nSTATUS=Serving"
                        : "READY=1\nSTATUS=Serving; the last reload was refused");
    if (again && master->state == MASTER_SERVING)
        master_reload(master);
}

/* Nothing changes; whoever serves tells why. */
static void master_refuse(struct master *master, const char *why)
{
    if (master->line < 0 || !line_send(master->line, LINE_REFUSED, span_str(why), NULL, 0))
        log_error("reload failed, nothing changed reason=\"%s\"", why);
    notify_systemd("READY=1\nSTATUS=Serving; the last reload was refused");
}

/* Reads and checks, binds what is new, hands it over: master_reload_end follows. */
static void master_prepare(struct master *master)
{
    struct master_reload *reload = &master->reload;
    const char *file = master->config->file;
    char why[RELOAD_ERROR_MAX];
    struct problems problems;
    size_t len = 0;
    char *text = config_read_file(file, &len, &problems);
    if (text)
        reload->config = config_load_text(file, span_of(text, len), &problems);
    if (!reload->config)
        reload_describe(&problems, file, why, sizeof(why));
    problems_free(&problems);
    bool bound = false;
    if (reload->config) {
        char names[RELOAD_NAMES_MAX]; // The serving process names them.
        config_keep_restart(reload->config, master->config, names, sizeof(names));
        bound = bindings_renew(&reload->next, &master->bindings, reload->config);
        if (!bound)
            snprintf(why, sizeof(why), "%s", reload->next.error);
    }
    reload->under_way = bound && parcel_send(master->line, span_of(text, len), &reload->next);
    if (bound && !reload->under_way) {
        snprintf(why, sizeof(why), "it cannot be handed over: %s", strerror(errno));
        bindings_rollback(&reload->next);
    }
    free(text);
    if (reload->under_way)
        return;
    config_free(reload->config);
    reload->config = NULL;
    master_refuse(master, why);
}

static void master_reload(struct master *master)
{
    if (master->reload.under_way) {
        master->reload.again = true;
        return;
    }
    notify_reloading();
    if (master->state == MASTER_SERVING)
        master_prepare(master);
    else
        master_refuse(master, "the serving process is not ready");
}

/* ---- a binary upgrade ---- */

static void master_upgrade_failed(struct master *master, const char *why)
{
    struct master_upgrade *upgrade = &master->upgrade;
    if (upgrade->ready >= 0)
        close(upgrade->ready);
    upgrade->ready = -1;
    upgrade->asked = false;
    upgrade->successor = 0;
    log_error("the upgrade failed, this process serves on reason=\"%s\"", why);
    notify_systemd("READY=1");
}

/* SIGUSR2: first, what does the serving process know of the servers? */
static void master_upgrade(struct master *master)
{
    struct master_upgrade *upgrade = &master->upgrade;
    bool busy = upgrade->asked || upgrade->successor > 0 || master->reload.under_way ||
                (upgrade->inheritance && upgrade->inheritance->ready >= 0);
    if (master->state != MASTER_SERVING || busy) {
        log_warning("an upgrade is not possible now, nothing changed reason=\"%s\"",
                    busy ? "a reload or another upgrade is under way" : "not serving");
        return;
    }
    log_info("upgrade begins: starting the executable again");
    notify_reloading();
    upgrade->asked = true;
    master_say(master, LINE_STATES);
}

static char *read_states(const struct line_message *message, size_t *len)
{
    struct stat info;
    *len = 0;
    if (message->fd_count != 1 || fstat(message->fds[0], &info) < 0 || info.st_size <= 0)
        return NULL;
    char *text = mem_must_alloc((size_t)info.st_size);
    ssize_t got = pread(message->fds[0], text, (size_t)info.st_size, 0);
    *len = got > 0 ? (size_t)got : 0;
    return text;
}

static void master_execute(struct master *master, const struct line_message *message)
{
    struct master_upgrade *upgrade = &master->upgrade;
    size_t len;
    char *states = read_states(message, &len);
    upgrade->asked = false;
    pid_t pid = upgrade_start(&master->bindings, span_of(states, len), &upgrade->ready);
    int error = errno;
    free(states);
    if (pid < 0) {
        upgrade->ready = -1;
        master_upgrade_failed(master, strerror(error));
        return;
    }
    upgrade->successor = pid;
    upgrade->deadline_ms = clock_mono_ms() + UPGRADE_WAIT_MS;
}

/* The successor serves: this one leaves. */
static void master_hand_over(struct master *master)
{
    struct master_upgrade *upgrade = &master->upgrade;
    char text[64];
    upgrade->handed_over = true;
    // From the process that systemd knows: the successor is the main one from here on.
    snprintf(text, sizeof(text), "MAINPID=%d\nREADY=1\nSTATUS=Serving", (int)upgrade->successor);
    notify_systemd(text);
    log_info("the upgrade is done: another executable serves, this one drains pid=%d grace=%lldms",
             (int)upgrade->successor, (long long)master->config->process.grace_ms);
    bindings_close_listeners(&master->bindings);
    master->stops = 1;
    master->deadline_ms = clock_mono_ms() + master->config->process.grace_ms + PATIENCE_MS;
    master->state = MASTER_STOPPING;
    snprintf(text, sizeof(text), "%d", (int)upgrade->successor);
    if (master->line >= 0 && !line_send(master->line, LINE_LEAVE, span_str(text), NULL, 0))
        log_warning("the serving process does not listen reason=\"%s\"", strerror(errno));
}

/* Its line says that it is ready, or that it is gone. */
static void master_hear_successor(struct master *master)
{
    char byte;
    ssize_t got = recv(master->upgrade.ready, &byte, 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got == 1 && byte == 'Y' && !master->upgrade.handed_over)
        master_hand_over(master);
    else if (!master->upgrade.handed_over)
        master_upgrade_failed(master, "the new executable ended before it was ready");
    if (got <= 0 && master->upgrade.ready >= 0) {
        close(master->upgrade.ready);
        master->upgrade.ready = -1;
    }
}

static void master_take(struct master *master, const struct line_message *message)
{
    for (size_t i = 0; i < message->fd_count && message->word != LINE_STATES; i++)
        close(message->fds[i]);
    switch (message->word) {
    case LINE_READY:
        master_serves(master);
        return;
    case LINE_RELOAD:
        master_reload(master);
        return;
    case LINE_DONE:
    case LINE_REFUSED:
        if (master->reload.under_way)
            master_reload_end(master, message->word == LINE_DONE);
        return;
    case LINE_STATES:
        if (master->upgrade.asked)
            master_execute(master, message);
        for (size_t i = 0; i < message->fd_count; i++)
            close(message->fds[i]);
        return;
    case LINE_ALIVE:
        if (!master->upgrade.handed_over)
            notify_systemd("WATCHDOG=1");
        return;
    case LINE_STOP:
    case LINE_REOPEN:
    case LINE_PARCEL:
    case LINE_FDS:
    case LINE_LEAVE:
    case LINE_ALONE:
        return; // Words for the serving process.
    }
}

static void master_hear(struct master *master)
{
    struct line_message message;
    enum line_result result = line_receive(master->line, &message);
    if (result == LINE_ENDED)
        master_hang_up(master); // It ends; SIGCHLD follows.
    else if (result == LINE_GOT)
        master_take(master, &message);
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
    notify_systemd("STOPPING=1\nSTATUS=Stopping gracefully");
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
        } else if (signo == SIGHUP) {
            master_reload(master);
        } else if (signo == SIGUSR2) {
            master_upgrade(master);
        }
    }
    return false;
}

static int master_timeout_ms(const struct master *master)
{
    bool upgrades = master->upgrade.successor > 0 && !master->upgrade.handed_over;
    if (master->state != MASTER_WAITING && master->state != MASTER_STOPPING && !upgrades)
        return -1;
    int64_t deadline_ms = upgrades ? master->upgrade.deadline_ms : master->deadline_ms;
    int64_t left = deadline_ms - clock_mono_ms();
    if (left <= 0)
        return 0;
    return left < 3600000 ? (int)left : 3600000;
}

/* The deadline of WAITING or STOPPING has passed. Returns the line in a new serving process, else
 * -1. */
static int master_overdue(struct master *master)
{
    struct master_upgrade *upgrade = &master->upgrade;
    if (upgrade->successor > 0 && !upgrade->handed_over) {
        kill(upgrade->successor, SIGKILL);
        master_upgrade_failed(master, "the new executable was not ready in time");
        return -1;
    }
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
        const struct inheritance *inheritance = master->upgrade.inheritance;
        struct pollfd fds[4] = {{.fd = master->signals, .events = POLLIN},
                                {.fd = master->line, .events = POLLIN},
                                {.fd = master->upgrade.ready, .events = POLLIN},
                                {.fd = inheritance ? inheritance->ready : -1, .events = POLLIN}};
        int timeout = master_timeout_ms(master);
        int ready = poll(fds, 4, timeout);
        if (ready == 0 && timeout >= 0 && master_timeout_ms(master) == 0)
            line = master_overdue(master);
        if (fds[1].revents)
            master_hear(master);
        if (fds[2].revents && master->upgrade.ready >= 0)
            master_hear_successor(master);
        if (fds[3].revents)
            master_hear_predecessor(master);
        if (fds[0].revents && master_take_signals(master, code))
            return -1;
    }
    return line;
}

/* Everything anew, or out of what a predecessor left. */
static bool master_bind(struct master *master)
{
    const struct config *config = master->config;
    unsigned workers = serving_worker_count(config);
    bool broken;
    struct inheritance *inheritance = upgrade_inherit(&broken);
    if (!inheritance)
        return !broken && bindings_open(&master->bindings, config, workers);
    master->upgrade.inheritance = inheritance;
    sidmap_call_ourselves(inheritance->party);
    if (!upgrade_adopt(inheritance, config, workers, &master->bindings))
        return false;
    master->bindings.states = inheritance->states;
    master->bindings.predecessor = inheritance->predecessor;
    inheritance->states = NULL;
    return true;
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
    master.upgrade.ready = -1;
    if (!master_bind(&master))
        return 2;
    if (!config->process.master) {
        close(master.signals); // Control opens its own.
        int code = serving_run(config, &master.bindings, -1);
        bindings_close(&master.bindings, true);
        return code;
    }
    sandbox_hide_memory(config);
    sandbox_master(config);
    int code = 2;
    int line = master_loop(&master, &code);
    if (line >= 0) {
        code = serving_run(master.config, &master.bindings, line);
        bindings_close(&master.bindings, false);
        inheritance_free(master.upgrade.inheritance);
        config_free(master.own_config);
        return code;
    }
    close(master.signals);
    bindings_close(&master.bindings, !master.upgrade.handed_over);
    inheritance_free(master.upgrade.inheritance);
    config_free(master.own_config);
    return code;
}
