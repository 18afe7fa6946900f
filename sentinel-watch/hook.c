// SPDX-License-Identifier: Apache-2.0
/*
 * Two scribes, because the two files change at different times: FILE with every phase, FILE.addr when
 * the master has moved. The signal waits for FILE.addr, so that whoever gets it reads the new address.
 */
#include "sentinel-watch/hook.h"

#include "base/clock.h"
#include "base/log.h"
#include "sentinel-watch/announce.h"
#include "sentinel-watch/event.h"
#include "sentinel-watch/exec.h"
#include "sentinel-watch/message.h"
#include "sentinel-watch/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PID_TEXT_MAX = 32 };

struct hook {
    struct world world;
    const struct sentinel_options *opt;
    struct exec *exec;
    struct announce *announce;
    struct scribe *events, *address;
    bool signal_waits; /* for FILE.addr */
};

/* The number in a pid file; 0: *why says why not. */
static pid_t read_pid(const char *path, const char **why)
{
    char text[PID_TEXT_MAX];
    uint64_t pid;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // A FIFO must not stop us.
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    *why = len < 0 ? strerror(errno) : "it holds no process number";
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return 0;
    struct span line = span_of(text, (size_t)len);
    line = span_trim(span_upto(line, span_index(line, '\n')));
    bool fine = span_to_u64(line, &pid) && pid > 1 && pid <= INT_MAX && pid != (uint64_t)getpid();
    return fine ? (pid_t)pid : 0;
}

static void send_signal(struct hook *hook)
{
    const char *path = hook->opt->signal_pid_file, *why;
    hook->signal_waits = false;
    if (!path)
        return;
    pid_t pid = read_pid(path, &why);
    bool ok = pid > 0 && kill(pid, SIGUSR2) == 0;
    tally_add(hook->world.tally, ok ? TALLY_SIGNAL_RUNS : TALLY_SIGNAL_FAILED, 1);
    if (ok)
        log_info("SIGUSR2 was sent: pid_file=%s pid=%d", path, (int)pid);
    else
        log_error("SIGUSR2 could not be sent: pid_file=%s: %s", path,
                  pid > 0 ? strerror(errno) : why);
}

static void on_written(void *ctx, const char *path, int error)
{
    struct hook *hook = ctx;
    tally_add(hook->world.tally, error == 0 ? TALLY_FILE_RUNS : TALLY_FILE_FAILED, 1);
    if (error != 0)
        log_error("a file cannot be replaced: file=%s: %s", path, strerror(error));
}

static void on_address_written(void *ctx, const char *path, int error)
{
    struct hook *hook = ctx;
    on_written(ctx, path, error);
    if (hook->signal_waits)
        send_signal(hook);
}

static size_t event_text(const struct hook *hook, const struct failover *failover, enum phase phase,
                         char out[static MESSAGE_MAX])
{
    struct message message = {
        .failover = failover,
        .phase = phase,
        .watcher = hook->world.watcher,
        .sent_ms = clock_wall_ms(),
    };
    return message_write(&message, out);
}

static void write_event(struct hook *hook, const struct failover *failover, enum phase phase)
{
    char text[MESSAGE_MAX];
    if (!hook->opt->file)
        return;
    size_t len = event_text(hook, failover, phase, text);
    text[len] = '\n'; // Where the NUL was.
    scribe_write(hook->events, hook->opt->file, span_of(text, len + 1));
}

static void write_address(struct hook *hook, const struct place *place)
{
    char path[PATH_MAX], address[PLACE_TEXT_MAX], text[PLACE_TEXT_MAX + 1];
    if (!hook->opt->file)
        return;
    snprintf(path, sizeof(path), "%s.addr", hook->opt->file);
    snprintf(text, sizeof(text), "%s\n", place_show(place, address));
    scribe_write(hook->address, path, span_str(text));
}

void hook_lead(struct hook *hook, const struct failover *failover, bool changed)
{
    hook->signal_waits = changed && hook->opt->file;
    write_address(hook, &failover->new_place);
    if (!changed)
        write_event(hook, failover, PHASE_NONE);
    else if (!hook->signal_waits)
        send_signal(hook);
}

void hook_phase(struct hook *hook, const struct failover *failover, enum phase phase)
{
    char text[MESSAGE_MAX];
    write_event(hook, failover, phase);
    if (phase == PHASE_NONE)
        return;
    exec_run(hook->exec, failover, phase);
    if (phase == PHASE_PUB)
        announce_publish(hook->announce, &failover->new_place,
                         span_of(text, event_text(hook, failover, phase, text)));
}

void hook_configure(struct hook *hook, const struct config_sentinel *sentinel)
{
    hook->opt = &sentinel->opt;
    exec_configure(hook->exec, hook->opt->exec, hook->opt->exec_count);
    announce_configure(hook->announce, hook->opt);
}

struct hook *hook_new(const struct world *world)
{
    struct hook *hook = mem_must_alloc(sizeof(*hook));
    hook->world = *world;
    hook->exec = exec_new(world, EXEC_MS);
    hook->announce = announce_new(world);
    hook->events = scribe_new(world->loop, on_written, hook);
    hook->address = scribe_new(world->loop, on_address_written, hook);
    return hook;
}

void hook_free(struct hook *hook)
{
    if (!hook)
        return;
    exec_free(hook->exec);
    announce_free(hook->announce);
    scribe_free(hook->events);
    scribe_free(hook->address);
    free(hook);
}
