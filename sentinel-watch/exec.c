// SPDX-License-Identifier: Apache-2.0
/*
 * posix_spawn, not fork: the program may be started while threads hold locks. The input is a memfd,
 * so a program that does not read it delays nobody. The end is told by a pidfd, which is readable
 * when the process is gone: no signal handler, and no other child is ever reaped here.
 */
#include "sentinel-watch/exec.h"

#include "base/clock.h"
#include "base/log.h"
#include "sentinel-watch/message.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    VARIABLES = 12,
    ARGUMENTS_MAX = 64,
    VARIABLE_MAX = 320, /* bytes of "LIMPET_NAME=value" */
};

struct event_waiting {
    struct failover failover;
    enum phase phase;
};

struct exec {
    struct world world;
    char *const *argv;
    size_t argc;
    struct event_waiting waiting[EXEC_WAITING_MAX]; /* a ring: the oldest is at `first` */
    size_t first, count;
    struct event_waiting running; /* while pid > 0 */
    pid_t pid;
    struct io io; /* its pidfd */
    struct timer timer;
    bool killed;
    int64_t timeout_ms;
    int64_t began_ms;
};

/* ---- what the program gets ----------------------------------------------------------------- */

struct environment {
    char texts[VARIABLES][VARIABLE_MAX];
    size_t count;
    char **list; /* ours behind what we have ourselves */
};

__attribute__((format(printf, 2, 3))) static void variable(struct environment *env,
                                                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(env->texts[env->count], VARIABLE_MAX, format, args);
    va_end(args);
    env->count++;
}

static void environment_fill(struct environment *env, const struct world *world,
                             const struct event_waiting *event)
{
    const struct failover *failover = &event->failover;
    variable(env, "LIMPET_PHASE=%s", phase_word(event->phase));
    variable(env, "LIMPET_ID=%s", failover->id);
    variable(env, "LIMPET_MASTER=%s", failover->master);
    variable(env, "LIMPET_GENERATION=%" PRIu64, failover->generation);
    variable(env, "LIMPET_EPOCH=%" PRIu64, failover->epoch);
    variable(env, "LIMPET_OLD_HOST=%s", failover->old_place.host);
    variable(env, "LIMPET_OLD_PORT=%u", (unsigned)failover->old_place.port);
    variable(env, "LIMPET_NEW_HOST=%s", failover->new_place.host);
    variable(env, "LIMPET_NEW_PORT=%u", (unsigned)failover->new_place.port);
    variable(env, "LIMPET_RUN_ID=%s", failover->run_id);
    variable(env, "LIMPET_WATCHER=%.255s", world->watcher);
    variable(env, "LIMPET_REASON=%s", failover->reason);
    size_t own = 0;
    while (environ[own])
        own++;
    env->list = mem_must_alloc((own + env->count + 1) * sizeof(*env->list));
    memcpy(env->list, environ, own * sizeof(*env->list));
    for (size_t i = 0; i < env->count; i++)
        env->list[own + i] = env->texts[i];
}

/* The event as JSON and a line end, to be read from its beginning. -1: errno. */
static int input_open(const struct world *world, const struct event_waiting *event)
{
    char json[MESSAGE_MAX];
    struct message message = {
        .failover = &event->failover,
        .phase = event->phase,
        .watcher = world->watcher,
        .sent_ms = clock_wall_ms(),
    };
    size_t len = message_write(&message, json);
    json[len] = '\n'; // Where the NUL was.
    int fd = memfd_create("limpet-event", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write(fd, json, len + 1) == (ssize_t)(len + 1) && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* ---- the process --------------------------------------------------------------------------- */

/* 0, or errno. */
static int spawn(const struct exec *exec, int input, char **env, pid_t *pid)
{
    char *argv[ARGUMENTS_MAX + 1] = {0};
    size_t argc = exec->argc < ARGUMENTS_MAX ? exec->argc : ARGUMENTS_MAX;
    assert(argc > 0); // exec_next starts nothing else.
    memcpy(argv, exec->argv, argc * sizeof(*argv));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void exec_next(struct exec *exec);

static void on_exit_of_program(struct io *io, uint32_t events)
{
    struct exec *exec = container_of(io, struct exec, io);
    int64_t took_ms = exec->world.loop->now_ms - exec->began_ms;
    int status;
    (void)events;
    pid_t ended = waitpid(exec->pid, &status, WNOHANG);
    if (ended == 0)
        return;
    if (ended < 0)
        status =
            SIGKILL; // Nobody else waits for our children; whatever it was, it did not go well.
    loop_close(exec->world.loop, io);
    loop_timer_stop(exec->world.loop, &exec->timer);
    exec->pid = 0;
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    tally_add(exec->world.tally, ok ? TALLY_EXEC_RUNS : TALLY_EXEC_FAILED, 1);
    const char *phase = phase_word(exec->running.phase);
    if (exec->killed)
        log_error("a program was killed, it took longer than %" PRId64 " ms: program=%s phase=%s",
                  exec->timeout_ms, exec->argv[0], phase);
    else if (WIFSIGNALED(status))
        log_error("a program ended by signal %d: program=%s phase=%s", WTERMSIG(status),
                  exec->argv[0], phase);
    else if (!ok)
        log_error("a program failed with code %d: program=%s phase=%s", WEXITSTATUS(status),
                  exec->argv[0], phase);
    else
        log_info("a program has run: program=%s phase=%s ms=%" PRId64, exec->argv[0], phase,
                 took_ms);
    exec_next(exec);
}

static void on_timeout(struct timer *timer)
{
    struct exec *exec = container_of(timer, struct exec, timer);
    exec->killed = true;
    kill(-exec->pid, SIGKILL);
}

/* False: it could not be started; said and counted. */
static bool start(struct exec *exec)
{
    struct environment env = {.count = 0};
    int input = input_open(&exec->world, &exec->running);
    environment_fill(&env, &exec->world, &exec->running);
    int error = input < 0 ? errno : spawn(exec, input, env.list, &exec->pid);
    free(env.list);
    if (input >= 0)
        close(input);
    if (error == 0) {
        io_init(&exec->io, pidfd_open(exec->pid, 0), on_exit_of_program);
        if (exec->io.fd >= 0 && loop_add_level(exec->world.loop, &exec->io, EPOLLIN)) {
            exec->killed = false;
            exec->began_ms = exec->world.loop->now_ms;
            loop_timer_start(exec->world.loop, &exec->timer, exec->timeout_ms);
            return true;
        }
        error = errno; // It runs; nobody will know how it ends.
        kill(-exec->pid, SIGKILL);
        waitpid(exec->pid, NULL, 0);
    }
    exec->pid = 0;
    tally_add(exec->world.tally, TALLY_EXEC_FAILED, 1);
    log_error("a program cannot be started: program=%s: %s", exec->argv[0], strerror(error));
    return false;
}

static void exec_next(struct exec *exec)
{
    while (exec->pid == 0 && exec->count > 0 && exec->argc > 0) {
        exec->running = exec->waiting[exec->first];
        exec->first = (exec->first + 1) % EXEC_WAITING_MAX;
        exec->count--;
        start(exec);
    }
}

void exec_run(struct exec *exec, const struct failover *failover, enum phase phase)
{
    if (exec->argc == 0)
        return;
    if (exec->count == EXEC_WAITING_MAX) {
        log_error("too many events wait for a program, the oldest is dropped: program=%s phase=%s",
                  exec->argv[0], phase_word(exec->waiting[exec->first].phase));
        tally_add(exec->world.tally, TALLY_EXEC_FAILED, 1);
        exec->first = (exec->first + 1) % EXEC_WAITING_MAX;
        exec->count--;
    }
    size_t at = (exec->first + exec->count) % EXEC_WAITING_MAX;
    exec->waiting[at] = (struct event_waiting){*failover, phase};
    exec->count++;
    exec_next(exec);
}

void exec_configure(struct exec *exec, char *const *argv, size_t count)
{
    exec->argv = argv;
    exec->argc = count;
    if (count == 0)
        exec->count = 0;
}

struct exec *exec_new(const struct world *world, int64_t timeout_ms)
{
    struct exec *exec = mem_must_alloc(sizeof(*exec));
    exec->world = *world;
    exec->timeout_ms = timeout_ms;
    exec->io.fd = -1;
    timer_init(&exec->timer, on_timeout);
    return exec;
}

void exec_free(struct exec *exec)
{
    if (!exec)
        return;
    if (exec->pid > 0) {
        kill(-exec->pid, SIGKILL);
        waitpid(exec->pid, NULL, 0);
        loop_close(exec->world.loop, &exec->io);
    }
    loop_timer_stop(exec->world.loop, &exec->timer);
    free(exec);
}
