// SPDX-License-Identifier: Apache-2.0
/*
 * The program around the masters: what is bound, signals, reloads and the end.
 *
 * A reload makes every master anew beside the doors, which go on: what was told to servers is handed
 * over (master_remember), so that nobody hears of it twice. While a failover is under way a reload waits,
 * since the votes that were collected would be lost. A stop waits likewise, for process.grace at
 * most: servers that are held must not be left behind held.
 */
#include "sentinel-watch/service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/signals.h"
#include "sentinel-watch/command.h"
#include "sentinel-watch/web.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_SYSTEM = 2, PATIENCE_MS = 100 };

/* ---- masters ---- */

struct master *service_master(const struct service *service, struct span name)
{
    for (size_t i = 0; i < service->master_count; i++)
        if (span_eq(span_str(master_name(service->masters[i])), name))
            return service->masters[i];
    return NULL;
}

/* doors_owner.phase */
static void on_phase(void *ctx, const struct failover *failover, enum phase phase)
{
    struct master *master = service_master(ctx, span_str(failover->master));
    if (master)
        master_phase(master, failover, phase);
}

/* doors_owner.outdated */
static void on_outdated(void *ctx, const char *name, uint64_t generation, uint64_t epoch)
{
    struct master *master = service_master(ctx, span_str(name));
    if (master)
        master_outdated(master, generation, epoch);
}

static const struct doors_owner doors_owner = {.phase = on_phase, .outdated = on_outdated};

/* Makes the masters of service->config; those of `before` hand over what they have told. */
static void make_masters(struct service *service, struct master **before, size_t count)
{
    const struct config *config = service->config;
    struct master **list = mem_must_alloc((config->sentinel_count + 1) * sizeof(struct master *));
    for (size_t i = 0; i < config->sentinel_count; i++) {
        struct master_memory memory = {0};
        for (size_t k = 0; k < count; k++)
            if (strcmp(master_name(before[k]), config->sentinels[i].opt.master) == 0)
                master_remember(before[k], &memory);
        list[i] = master_new(&service->world, &config->sentinels[i], service->doors,
                             service->journal, service->watcher, &memory);
    }
    for (size_t k = 0; k < count; k++)
        master_free(before[k]);
    free(before);
    service->masters = list;
    service->master_count = config->sentinel_count;
}

/* Is a failover of any master under way? */
static bool is_busy(const struct service *service)
{
    for (size_t i = 0; i < service->master_count; i++) {
        const struct follower *f = master_follower(service->masters[i]);
        if (f->held || f->state == FOLLOWER_SWITCH)
            return true;
    }
    return false;
}

/* ---- reload ---- */

/* The first that is given: `admin` is for the whole program. */
static const struct config_sentinel *first_with(const struct config *config, bool http)
{
    for (size_t i = 0; i < config->sentinel_count; i++) {
        const struct sentinel_options *opt = &config->sentinels[i].opt;
        if (http ? opt->admin_http : opt->admin_socket)
            return &config->sentinels[i];
    }
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What is bound at the start stays so; nobody shall believe otherwise. */
static void note_restart(struct service *service, const struct config *next)
{
    const struct config *now = service->config;
    const struct config_sentinel *http = first_with(now, true), *socket = first_with(now, false);
    const struct config_sentinel *next_http = first_with(next, true);
    const struct config_sentinel *next_socket = first_with(next, false);
    bool same = same_text(http ? http->opt.admin_http : NULL,
                          next_http ? next_http->opt.admin_http : NULL) &&
                same_text(socket ? socket->opt.admin_socket : NULL,
                          next_socket ? next_socket->opt.admin_socket : NULL);
    if (!same)
        journal_add(service->journal, service->loop.now_ms, ENTRY_PROGRAM, true, NULL, NULL,
                    "sentinel.admin has changed, which needs a restart");
}

static void reload_failed(struct service *service, const char *why)
{
    service->failed_reloads++;
    snprintf(service->reload_error, sizeof(service->reload_error), "%s", why);
    char text[ENTRY_TEXT_MAX];
    snprintf(text, sizeof(text), "the reload failed, nothing has changed: %s", why);
    journal_add(service->journal, service->loop.now_ms, ENTRY_PROGRAM, true, NULL, NULL, text);
}

static void apply(struct service *service, struct config *config)
{
    char *error = NULL;
    if (!doors_apply(service->doors, config, &error)) {
        reload_failed(service, error ? error : "out of memory");
        free(error);
        config_free(config);
        return;
    }
    struct config *before = service->config;
    note_restart(service, config);
    service->config = config;
    make_masters(service, service->masters, service->master_count);
    config_free(before);
    service->reloads++;
    service->reload_error[0] = '\0';
    log_set_level((enum log_level)config->log.level);
    journal_add(service->journal, service->loop.now_ms, ENTRY_PROGRAM, false, NULL, NULL,
                "the configuration was loaded anew");
}

static void reload_now(struct service *service)
{
    struct problems problems;
    struct config *config = config_load_sentinel_file(service->file, &problems);
    if (config) {
        apply(service, config);
    } else {
        char why[256];
        snprintf(why, sizeof(why), "line %d: %s", problems.list[0].line, problems.list[0].message);
        reload_failed(service, why);
    }
    problems_free(&problems);
    notify_systemd("READY=1");
}

/* ---- waiting ---- */

static void on_patience(struct timer *timer)
{
    struct service *service = container_of(timer, struct service, patience);
    bool busy = is_busy(service);
    if (service->stopping && (!busy || service->loop.now_ms >= service->give_up_ms)) {
        loop_stop(&service->loop);
        return;
    }
    if (service->reloading && !busy && !service->stopping) {
        service->reloading = false;
        reload_now(service);
        return;
    }
    loop_timer_start(&service->loop, timer, PATIENCE_MS);
}

void service_reload(struct service *service)
{
    service->reloading = true;
    loop_timer_start(&service->loop, &service->patience, 0);
}

static void stop(struct service *service, int signal)
{
    if (service->stopping) {
        log_info("stops now signal=%d", signal);
        loop_stop(&service->loop);
        return;
    }
    notify_systemd("STOPPING=1");
    log_info("stops signal=%d%s", signal,
             is_busy(service) ? " waiting=\"a failover is under way\"" : "");
    service->stopping = true;
    service->give_up_ms = service->loop.now_ms + service->config->process.grace_ms;
    loop_timer_start(&service->loop, &service->patience, 0);
}

static void on_signal(struct io *io, uint32_t events)
{
    struct service *service = container_of(io, struct service, signals);
    (void)events;
    for (int signal = signals_next(io->fd); signal != 0; signal = signals_next(io->fd)) {
        if (signal == SIGTERM || signal == SIGINT) {
            stop(service, signal);
        } else if (signal == SIGHUP) {
            notify_reloading();
            service_reload(service);
        } else if (signal == SIGUSR1) {
            log_reopen();
        }
    }
}

/* ---- beginning ---- */

static void name_watcher(struct service *service)
{
    char host[64] = "localhost";
    for (size_t i = 0; i < service->config->sentinel_count; i++) {
        const char *name = service->config->sentinels[i].opt.watcher;
        if (name) {
            snprintf(service->watcher, sizeof(service->watcher), "%s", name);
            return;
        }
    }
    gethostname(host, sizeof(host) - 1);
    snprintf(service->watcher, sizeof(service->watcher), "%s:%d", host, (int)getpid());
}

/* A listening socket, -1: said why. */
static int bind_admin(const char *what, const char *text, struct addr *addr, const mode_t *mode)
{
    int fd = net_listen(addr, 64, false);
    if (fd >= 0 && mode && chmod(addr->un.sun_path, *mode) < 0)
        log_warning("cannot set the mode of a socket path=%s error=\"%s\"", addr->un.sun_path,
                    strerror(errno));
    if (fd < 0)
        log_error("cannot listen %s=%s error=\"%s\"", what, text, strerror(errno));
    else if (addr->any.sa_family != AF_UNIX)
        net_local_addr(fd, addr);
    return fd;
}

static bool begin_http(struct service *service)
{
    const struct config_sentinel *sentinel = first_with(service->config, true);
    if (!sentinel)
        return true;
    const struct endpoint *endpoint = &sentinel->admin_http;
    char error[128];
    service->http = endpoint->addr;
    if (endpoint->kind == ENDPOINT_NAME &&
        !resolve_now(endpoint->host, endpoint->port, &service->http, error)) {
        log_error("cannot resolve admin.http=%s error=\"%s\"", sentinel->opt.admin_http, error);
        return false;
    }
    int fd = bind_admin("admin.http", sentinel->opt.admin_http, &service->http, NULL);
    service->web = fd >= 0 ? web_new(service, fd) : NULL;
    return service->web != NULL;
}

static bool begin_console(struct service *service)
{
    const struct config_sentinel *sentinel = first_with(service->config, false);
    if (!sentinel)
        return true;
    const char *path = sentinel->opt.admin_socket;
    mode_t mode = (mode_t)sentinel->opt.admin_socket_mode;
    struct endpoint endpoint;
    char text[ADDR_TEXT_MAX];
    snprintf(text, sizeof(text), "unix:%s", path);
    endpoint_parse(span_str(text), true, &endpoint);
    service->socket = endpoint.addr;
    int fd = bind_admin("admin.socket", path, &service->socket, &mode);
    service->commands = (struct commands){sentinel_commands, service};
    service->console = fd >= 0 ? commands_console(&service->loop, service->world.shelf, fd,
                                                  &service->commands)
                               : NULL;
    return service->console != NULL;
}

/* journal_news_fn */
static void on_entry(void *ctx, const struct entry *entry)
{
    struct service *service = ctx;
    if (service->web)
        web_news(service->web, entry);
}

static void ready_part(void *ctx, const char *name, const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    text_addf(ctx, " %s=%s", name, addr_format(addr, text));
}

static bool say_ready(struct service *service)
{
    struct text line = {0};
    text_addf(&line, "sentinel-watch: ready");
    doors_listeners(service->doors, ready_part, &line);
    if (service->web)
        ready_part(&line, "admin.http", &service->http);
    if (service->console)
        text_addf(&line, " admin.socket=%s", service->socket.un.sun_path);
    text_add(&line, SPAN("\n"));
    bool good = !line.failed;
    if (good)
        fwrite(line.data, 1, line.len, stderr);
    text_free(&line);
    notify_systemd("READY=1");
    return good;
}

/* False: said why. */
static bool begin(struct service *service)
{
    service->world = (struct link_world){
        .loop = &service->loop, .shelf = shelf_new(), .resolver = resolver_new()};
    if (!service->world.shelf || !service->world.resolver) {
        log_error("cannot start, no memory or threads");
        return false;
    }
    rng_seed_from_system(&service->world.rng);
    name_watcher(service);
    service->journal = journal_new();
    journal_tell(service->journal, on_entry, service);
    struct doors_world world = {
        .loop = &service->loop,
        .shelf = service->world.shelf,
        .resolver = service->world.resolver,
        .watcher = service->watcher,
        .owner = &doors_owner,
        .ctx = service,
    };
    service->doors = doors_new(&world);
    char *error = NULL;
    if (!doors_apply(service->doors, service->config, &error)) {
        log_error("cannot start: %s", error ? error : "out of memory");
        free(error);
        return false;
    }
    return begin_http(service) && begin_console(service);
}

static void end(struct service *service)
{
    for (size_t i = 0; i < service->master_count; i++)
        master_free(service->masters[i]);
    free(service->masters);
    console_free(service->console);
    if (service->socket.len > 0)
        unlink(service->socket.un.sun_path);
    web_free(service->web);
    service->web = NULL;
    if (service->doors)
        doors_free(service->doors);
    if (service->world.resolver)
        resolver_free(service->world.resolver);
    if (service->signals.fd >= 0)
        loop_close(&service->loop, &service->signals);
    loop_fini(&service->loop);
    if (service->world.shelf)
        shelf_free(service->world.shelf);
    journal_free(service->journal);
    config_free(service->config);
}

static int run(struct service *service)
{
    int fd = signals_open();
    io_init(&service->signals, fd, on_signal);
    if (fd < 0 || !loop_add_level(&service->loop, &service->signals, EPOLLIN)) {
        log_error("cannot start error=\"%s\"", strerror(errno));
        return EXIT_SYSTEM;
    }
    if (!begin(service))
        return EXIT_SYSTEM;
    make_masters(service, NULL, 0);
    timer_init(&service->patience, on_patience);
    log_start();
    if (!say_ready(service))
        return EXIT_SYSTEM;
    loop_run(&service->loop);
    log_info("stopped");
    return EXIT_FINE;
}

int service_run(const char *file, struct config *config)
{
    struct service *service = mem_must_alloc(sizeof(*service));
    service->file = file;
    service->config = config;
    service->signals.fd = -1;
    service->began_wall_ms = clock_wall_ms();
    int code = EXIT_SYSTEM;
    if (loop_init(&service->loop, service)) {
        service->began_ms = service->loop.now_ms;
        code = run(service);
        end(service);
    } else {
        log_error("cannot start error=\"%s\"", strerror(errno));
        config_free(config);
    }
    log_stop();
    free(service);
    return code;
}
