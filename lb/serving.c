// SPDX-License-Identifier: Apache-2.0
/*
 * From bound sockets to a running balancer, and back to nothing. The order is the point:
 *
 *     access log (as whoever we were started) → sid tables → drop privileges → log thread
 *       → control (checks, names) → workers, listeners → threads → "ready" → control's loop …
 *     … everybody quit → join all → settle letters → control off → workers → control → snapshot
 *       → logs
 *
 * Nothing is freed while a thread runs that could reach it, and every letter that was mailed is
 * delivered before its receiver goes. Whatever fails on the way up ends the process with a message;
 * the system cleans up what was made so far.
 */
#include "lb/serving.h"

#include "base/clock.h"
#include "base/fetch.h"
#include "base/notify.h"
#include "lb/control.h"
#include "lb/edition.h"
#include "lb/events.h"
#include "lb/flow.h"
#include "lb/identity.h"
#include "lb/line.h"
#include "lb/sandbox.h"
#include "lb/secure.h"
#include "lb/states.h"
#include "lb/stats.h"
#include "lb/upgrade.h"
#include "lb/web.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 64,        /* bits of backend->queued_workers */
    NAMES_WAIT_MS = 500,     /* for the first answers of the name servers */
    LAST_NAMES_MS = 200,     /* for their last ones, in a stop */
    RESERVE = 64,            /* descriptors for logs, runtime API, epoll, master … */
    RESERVE_PER_WORKER = 16, /* epoll, eventfd, pipes … */
    CONNECTIONS_MOST = 10000000,
    CONNECTIONS_FEW = 16, /* for which nobody puts a balancer somewhere */
};

unsigned serving_worker_count(const struct config *config)
{
    if (config->process.workers > 0)
        return (unsigned)config->process.workers;
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < WORKERS_MAX ? (unsigned)count : WORKERS_MAX;
}

void serving_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Client connections that the descriptors suffice for, when each has a server connection beside it.
 */
static int64_t connections_from_descriptors(const struct serving *serving)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1;
    int64_t reserve = RESERVE + RESERVE_PER_WORKER * (int64_t)serving->worker_count +
                      serving->listen_fd_count;
    if (serving->config->admin.http)
        reserve += WEB_CONNECTIONS;
    for (size_t i = 0; i < serving->config->backend_count; i++)
        reserve += (int64_t)serving->config->backends[i].server_count; // A probe each.
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur / 2 > CONNECTIONS_MOST)
        return CONNECTIONS_MOST;
    int64_t connections = ((int64_t)limit.rlim_cur - reserve) / 2;
    return connections > 1 ? connections : 1;
}

static void serving_set_max_connections(struct serving *serving)
{
    int64_t wanted = serving->config->process.max_connections;
    int64_t possible = connections_from_descriptors(serving);
    serving->max_connections = wanted > 0 ? wanted : possible;
    serving->hard_max_connections = wanted > possible ? wanted : possible;
    if (wanted > possible)
        log_warning("the limit on file descriptors does not allow process.max_connections, "
                    "connections may fail wanted=%lld possible=%lld",
                    (long long)wanted, (long long)possible);
    else if (possible < CONNECTIONS_FEW)
        log_warning("the limit on file descriptors leaves room for very few client connections, "
                    "raise it (LimitNOFILE=, ulimit -n) connections=%lld",
                    (long long)possible);
}

/* Rings of the workers, which the sandbox lets nobody make. */
static void serving_make_rings(struct serving *serving)
{
    serving->fetches = mem_must_alloc(serving->worker_count * sizeof(struct fetch *));
    for (unsigned i = 0; i < serving->worker_count; i++) {
        bool wanted = serving->config->process.io_uring;
        serving->fetches[i] = wanted ? fetch_new() : NULL;
        if (wanted && !serving->fetches[i] && i == 0)
            log_info("there is no io_uring, connections receive one by one reason=\"%s\"",
                     strerror(errno));
    }
}

static bool serving_open_access(struct serving *serving)
{
    const struct log_options *options = &serving->config->log;
    if (options->access_format == ACCESS_OFF)
        return true;
    const char *error = NULL;
    serving->access = log_sink_open(options->access_to, &error);
    if (!serving->access)
        log_error("cannot open the access log to=%s reason=\"%s\"", options->access_to, error);
    return serving->access != NULL;
}

/* What needs privileges, or must be there before any thread is. */
static bool serving_prepare(struct serving *serving, struct bindings *bindings, bool alone)
{
    if (!serving_open_access(serving))
        return false;
    serving->snapshot = snapshot_new(serving->config, bindings->table_fds, serving->started_ms);
    if (!serving->snapshot) {
        log_error("cannot prepare the session tables reason=\"%s\"", strerror(errno));
        return false;
    }
    // Their contexts have all of them.
    bool secure = secure_snapshot(serving->snapshot, bindings->keyring);
    keyring_forget_files(bindings->keyring);
    if (!secure)
        return false;
    if (serving->config->process.server_states && !bindings->states)
        states_load(serving->snapshot, serving->config->process.server_states);
    if (bindings->states)
        upgrade_read_states(serving->snapshot, span_str(bindings->states));
    serving->predecessor = bindings->predecessor;
    if (!identity_assume(&serving->config->process))
        return false;
    serving_make_rings(serving);
    sandbox_enter(serving->config, alone);
    if (!log_start()) {
        log_error("cannot start the log thread reason=\"%s\"", strerror(errno));
        return false;
    }
    return true;
}

static bool serving_listen(struct serving *serving, struct bindings *bindings)
{
    struct snapshot *snapshot = serving->snapshot;
    snapshot->listens = mem_must_alloc((bindings->count + 1) * sizeof(*snapshot->listens));
    for (size_t i = 0; i < bindings->count; i++) {
        struct binding *binding = &bindings->list[i];
        struct frontend *frontend = &snapshot->frontends[binding->frontend_index];
        struct snapshot_listen *listen = &snapshot->listens[snapshot->listen_count++];
        *listen = (struct snapshot_listen){.id = binding->id, .frontend = binding->frontend_index};
        for (size_t k = 0; k < binding->fd_count; k++) {
            struct worker *worker = &serving->workers[k % serving->worker_count];
            if (!worker_listen(worker, frontend, binding->id, binding->fds[k]))
                return false;
            binding->fds[k] = -1; // The worker's from here on.
        }
    }
    return true;
}

static bool serving_make_workers(struct serving *serving, struct bindings *bindings)
{
    size_t bytes = serving->worker_count * sizeof(struct worker);
    serving->workers = aligned_alloc(_Alignof(struct worker), bytes);
    if (!serving->workers)
        return false;
    memset((void *)serving->workers, 0, bytes);
    for (unsigned i = 0; i < serving->worker_count; i++) {
        if (!worker_init(&serving->workers[i], serving, i))
            return false;
        serving->workers[i].loop.fetch = serving->fetches[i];
    }
    return serving_listen(serving, bindings);
}

static bool serving_start(struct serving *serving, struct bindings *bindings, int line_fd)
{
    serving->control = control_new(serving);
    if (!serving->control)
        return false;
    control_await_names(serving->control, NAMES_WAIT_MS);
    if (!serving_make_workers(serving, bindings) ||
        !control_start(serving->control, bindings, line_fd))
        return false;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        if (!worker_start(&serving->workers[i]))
            return false;
    }
    return true;
}

static void serving_join(struct serving *serving)
{
    for (unsigned i = 0; i < serving->worker_count; i++)
        worker_join(&serving->workers[i]);
}

static void serving_free(struct serving *serving)
{
    control_stop(serving->control);
    // Workers may have mailed one another until the last was gone; what that causes may be mail again.
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < serving->worker_count; i++)
            worker_settle(&serving->workers[i]);
    }
    for (unsigned i = 0; i < serving->worker_count; i++)
        worker_fini(&serving->workers[i]);
    control_free(serving->control);
    stats_fini(serving);
    events_fini(serving);
    log_stop();
    log_sink_close(serving->access);
    struct config *own = serving->snapshot->own_config;
    editions_fini(serving->snapshot);
    snapshot_free(serving->snapshot);
    config_free(own);
    free(serving->workers);
    free((void *)serving->fetches);
    free(serving);
}

void serving_announce(const struct config *config, const struct bindings *bindings)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return;
    fputs("limpet: ready", out);
    bindings_print(bindings, config, out);
    fputc('\n', out);
    fclose(out);
    // As a log line, so that it comes whole and nobody's line lands in its middle.
    const char *error = NULL;
    log_sink_write(log_sink_open("stderr", &error), span_of(text, len));
    free(text);
    notify_systemd("READY=1\nSTATUS=Serving");
}

int serving_run(const struct config *config, struct bindings *bindings, int line_fd)
{
    struct serving *serving = mem_must_alloc(sizeof(*serving));
    serving->config = config;
    serving->worker_count = bindings->worker_count;
    serving->started_ms = clock_mono_ms();
    serving->started_wall_ms = clock_wall_ms();
    serving->listen_fd_count = (int)(bindings->count * bindings->worker_count);
    rand_secret(&serving->id_key, sizeof(serving->id_key));
    serving_set_max_connections(serving);
    // The bindings know the addresses; the sockets in them go to the workers.
    if (!serving_prepare(serving, bindings, line_fd < 0))
        return 2;
    if (!serving_start(serving, bindings, line_fd)) {
        log_error("cannot start reason=\"%s\"", strerror(errno));
        return 2;
    }
    if (line_fd < 0)
        serving_announce(config, bindings);
    else if (!line_send(line_fd, LINE_READY, SPAN_NONE, NULL, 0))
        log_error("cannot tell the master that this process is ready reason=\"%s\"",
                  strerror(errno));
    control_run(serving->control);
    serving_join(serving);
    if (!control_settle(serving->control, LAST_NAMES_MS)) {
        log_stop();
        bindings_close(bindings, line_fd < 0);
        _exit(0); // A name server may keep the resolver for many seconds, and nothing else is left.
    }
    serving_free(serving);
    return 0;
}
