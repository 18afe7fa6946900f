// SPDX-License-Identifier: Apache-2.0
/*
 * Binding. What is easily got wrong here:
 *
 * - SO_REUSEPORT would let a second limpet bind the same port without a word and take half of the
 *   connections. So each address is first bound without it: if that fails, somebody else listens.
 * - Port 0: the first worker's socket decides, the others' take its port.
 * - While a listening socket is open anywhere, the kernel completes connections into its backlog.
 *   So in a graceful stop the master closes its copies too.
 * - A unix socket's file mode must be right from the moment the name exists: umask, not chmod.
 * - A name is removed at the end only if it still leads to our socket, not to our successor's.
 */
#include "lb/bindings.h"

#include "base/log.h"
#include "base/mem.h"
#include "lb/identity.h"
#include "lb/secure.h"
#include "lb/sidmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKLOG = 4096
}; /* connections that the kernel holds per socket; bounded by net.core.somaxconn */

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Does nobody else listen there? The socket is gone again before anybody could connect to it. */
static bool addr_is_free(const struct addr *addr)
{
    if (addr->any.sa_family == AF_UNIX || addr_port(addr) == 0)
        return true;
    int fd = net_listen(addr, 1, false);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* Logs, and keeps for whoever asked. */
__attribute__((format(printf, 2, 3))) static bool bindings_failed(struct bindings *bindings,
                                                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(bindings->error, sizeof(bindings->error), format, args);
    va_end(args);
    log_error("%s", bindings->error);
    return false;
}

static void bindings_note_path(struct bindings *bindings, const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return;
    size_t bytes = (bindings->path_count + 1) * sizeof(*bindings->paths);
    bindings->paths = mem_must_resize(bindings->paths, bytes);
    bindings->paths[bindings->path_count++] = (struct bound_path){.path = mem_must_copy(path),
                                                                  .device = info.st_dev,
                                                                  .inode = info.st_ino,
                                                                  .changed = info.st_ctim};
}

static void bound_path_remove(struct bound_path *bound)
{
    struct stat info;
    if (stat(bound->path, &info) == 0 && info.st_dev == bound->device &&
        info.st_ino == bound->inode && info.st_ctim.tv_sec == bound->changed.tv_sec &&
        info.st_ctim.tv_nsec == bound->changed.tv_nsec)
        unlink(bound->path);
}

/* One socket per worker at binding->addr, which becomes the address as bound. */
static bool binding_open_sockets(struct binding *binding, unsigned worker_count, bool ours)
{
    bool is_unix = binding->addr.any.sa_family == AF_UNIX;
    if (!ours && !addr_is_free(&binding->addr))
        return false;
    for (unsigned i = 0; i < worker_count; i++) {
        bool any_port = !is_unix && addr_port(&binding->addr) == 0;
        int fd = i > 0 && is_unix ? fcntl(binding->fds[0], F_DUPFD_CLOEXEC, 0)
                                  : net_listen(&binding->addr, BACKLOG, !is_unix);
        binding->fds[i] = fd;
        if (fd < 0 || (i == 0 && !net_local_addr(fd, &binding->addr)))
            return false;
        // Once more by its number: the kernel lets go of a port that it chose when nobody listens.
        if (any_port) {
            binding->fds[i] = net_listen(&binding->addr, BACKLOG, true);
            close(fd);
            if (binding->fds[i] < 0)
                return false;
        }
    }
    return true;
}

/* Do we listen on this port already, maybe on another address? Then nobody else can answer for it. */
static bool bindings_have_port(const struct bindings *bindings, const struct addr *addr)
{
    for (size_t i = 0; i < bindings->count; i++) {
        if (addr->any.sa_family != AF_UNIX && addr_port(addr) != 0 &&
            addr_port(&bindings->list[i].addr) == addr_port(addr))
            return true;
    }
    return false;
}

/* `now`: what is open already; NULL: nothing. */
static bool bindings_add(struct bindings *bindings, const struct bindings *now,
                         const struct config *config, size_t index,
                         const struct config_listen *listen)
{
    const struct config_frontend *frontend = &config->frontends[index];
    struct binding *binding = &bindings->list[bindings->count++];
    *binding = (struct binding){.frontend = frontend,
                                .frontend_index = index,
                                .address = listen->opt.address,
                                .id = ++bindings->last_id};
    binding->fds = mem_must_alloc(bindings->worker_count * sizeof(int));
    binding->fd_count = bindings->worker_count;
    for (unsigned i = 0; i < bindings->worker_count; i++)
        binding->fds[i] = -1;
    binding->addr = listen->endpoint.addr;
    char error[128];
    if (listen->endpoint.kind == ENDPOINT_NAME &&
        !resolve_now(listen->endpoint.host, listen->endpoint.port, &binding->addr, error)) {
        return bindings_failed(bindings, "cannot listen frontend=%s address=%s reason=\"%s\"",
                               frontend->name, listen->opt.address, error);
    }
    bool ours = now && bindings_have_port(now, &binding->addr);
    if (!binding_open_sockets(binding, bindings->worker_count, ours)) {
        return bindings_failed(bindings, "cannot listen frontend=%s address=%s reason=\"%s\"",
                               frontend->name, listen->opt.address, strerror(errno));
    }
    if (binding->addr.any.sa_family == AF_UNIX)
        bindings_note_path(bindings, binding->addr.un.sun_path);
    return true;
}

static bool bindings_open_listeners(struct bindings *bindings, const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->frontend_count; i++)
        count += config->frontends[i].listen_count;
    bindings->list = mem_must_alloc(count * sizeof(*bindings->list));
    for (size_t i = 0; i < config->frontend_count; i++) {
        const struct config_frontend *frontend = &config->frontends[i];
        for (size_t k = 0; k < frontend->listen_count; k++) {
            if (!bindings_add(bindings, NULL, config, i, &frontend->listens[k]))
                return false;
        }
    }
    return true;
}

/* A unix socket for administrators, with its mode, owned by the user that serves. -1: errno. */
static int admin_listen(const struct config *config, const char *path)
{
    struct addr addr = {.un = {.sun_family = AF_UNIX}, .len = sizeof(addr.un)};
    size_t len = strlen(path);
    if (len >= sizeof(addr.un.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(addr.un.sun_path, path, len + 1);
    mode_t before = umask(0777 & ~(mode_t)config->admin.socket_mode);
    int fd = net_listen(&addr, BACKLOG, false);
    umask(before);
    struct identity identity;
    if (fd < 0 || !identity_find(&config->process, &identity) || !identity.change ||
        chown(path, identity.uid, identity.gid) == 0)
        return fd;
    int error = errno;
    unlink(path);
    close(fd);
    errno = error;
    return -1;
}

static bool bindings_open_admin(struct bindings *bindings, const struct config *config)
{
    if (!config->admin.socket)
        return true;
    bindings->admin_fd = admin_listen(config, config->admin.socket);
    if (bindings->admin_fd < 0) {
        log_error("cannot listen admin.socket=%s reason=\"%s\"", config->admin.socket,
                  strerror(errno));
        return false;
    }
    bindings->admin_path = config->admin.socket;
    bindings_note_path(bindings, config->admin.socket);
    return true;
}

/* The listening socket of admin.http. -1: errno, or the reason in `error`. */
static int http_listen(const struct config *config, struct addr *addr, char error[static 128])
{
    const struct endpoint *endpoint = &config->admin_http;
    *addr = endpoint->addr;
    if (endpoint->kind == ENDPOINT_NAME &&
        !resolve_now(endpoint->host, endpoint->port, addr, error))
        return -1;
    if (addr->any.sa_family == AF_UNIX)
        return admin_listen(config, addr->un.sun_path);
    int fd = net_listen(addr, BACKLOG, false);
    if (fd >= 0)
        net_local_addr(fd, addr);
    return fd;
}

static bool bindings_open_http(struct bindings *bindings, const struct config *config)
{
    if (!config->admin.http)
        return true;
    char error[128] = "";
    bindings->http_fd = http_listen(config, &bindings->http_addr, error);
    if (bindings->http_fd < 0) {
        log_error("cannot listen admin.http=%s reason=\"%s\"", config->admin.http,
                  *error ? error : strerror(errno));
        return false;
    }
    if (bindings->http_addr.any.sa_family == AF_UNIX)
        bindings_note_path(bindings, bindings->http_addr.un.sun_path);
    bindings->http_text = config->admin.http;
    return true;
}

/* Makes a table and keeps nothing but its descriptor: whoever serves maps it. -1: errno. */
static int table_open(const char *name, int64_t max_entries)
{
    struct sidmap *map = sidmap_new(name, (size_t)max_entries);
    if (!map)
        return -1;
    int fd = fcntl(sidmap_fd(map), F_DUPFD_CLOEXEC, 0);
    int error = errno;
    sidmap_free(map);
    errno = error;
    return fd;
}

static bool learns_cookies(const struct config_backend *backend)
{
    for (size_t i = 0; i < backend->opt.sticky_count; i++) {
        if (backend->opt.sticky[i] == STICKY_COOKIE)
            return backend->opt.cookie_mode == COOKIE_LEARN;
    }
    return false;
}

static void bindings_alloc_tables(struct bindings *bindings, const struct config *config)
{
    bindings->table_count = 2 * config->backend_count;
    bindings->table_fds = mem_must_alloc(bindings->table_count * sizeof(int) + 1);
    bindings->tables_kept = mem_must_alloc(bindings->table_count + 1);
    bindings->table_names = mem_must_alloc((config->backend_count + 1) * sizeof(char *));
    for (size_t i = 0; i < bindings->table_count; i++)
        bindings->table_fds[i] = -1;
    for (size_t i = 0; i < config->backend_count; i++)
        bindings->table_names[i] = mem_must_copy(config->backends[i].name);
}

/* Those that it has none of yet. */
static bool bindings_open_tables(struct bindings *bindings, const struct config *config)
{
    for (size_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        int *fds = &bindings->table_fds[2 * i];
        bool cookies = learns_cookies(backend);
        if (fds[0] < 0)
            fds[0] = table_open("limpet-sids", backend->opt.sid_max_entries);
        if (cookies && fds[1] < 0)
            fds[1] = table_open("limpet-cookies", backend->opt.sid_max_entries);
        if (fds[0] < 0 || (cookies && fds[1] < 0))
            return bindings_failed(bindings,
                                   "cannot make the session table backend=%s reason=\"%s\"",
                                   backend->name, strerror(errno));
    }
    return true;
}

bool bindings_open(struct bindings *bindings, const struct config *config, unsigned worker_count)
{
    *bindings = (struct bindings){.worker_count = worker_count, .admin_fd = -1, .http_fd = -1};
    bindings_alloc_tables(bindings, config);
    bindings->keyring = secure_read(config, NULL, bindings->error, sizeof(bindings->error));
    if (!bindings->keyring) {
        log_error("TLS cannot be set up reason=\"%s\"", bindings->error);
        bindings_close(bindings, true);
        return false;
    }
    if (bindings_open_listeners(bindings, config) && bindings_open_admin(bindings, config) &&
        bindings_open_http(bindings, config) && bindings_open_tables(bindings, config))
        return true;
    bindings_close(bindings, true);
    return false;
}

void bindings_close_listeners(struct bindings *bindings)
{
    for (size_t i = 0; i < bindings->count; i++) {
        for (size_t k = 0; k < bindings->list[i].fd_count; k++)
            fd_close(&bindings->list[i].fds[k]);
    }
}

void bindings_close(struct bindings *bindings, bool remove_paths)
{
    bindings_close_listeners(bindings);
    fd_close(&bindings->admin_fd);
    fd_close(&bindings->http_fd);
    for (size_t i = 0; i < bindings->table_count; i++)
        fd_close(&bindings->table_fds[i]);
    for (size_t i = 0; i < bindings->path_count; i++) {
        if (remove_paths)
            bound_path_remove(&bindings->paths[i]);
        free(bindings->paths[i].path);
    }
    for (size_t i = 0; i < bindings->count; i++)
        free(bindings->list[i].fds);
    free(bindings->list);
    for (size_t i = 0; i < bindings->table_count / 2; i++)
        free(bindings->table_names[i]);
    free(bindings->table_names);
    free(bindings->tables_kept);
    free(bindings->table_fds);
    free(bindings->states);
    free(bindings->paths);
    keyring_free(bindings->keyring);
    *bindings = (struct bindings){.admin_fd = -1, .http_fd = -1};
}

/* ---- another configuration ---- */

static struct binding *binding_find(struct bindings *now, const struct config_frontend *frontend,
                                    const char *address)
{
    for (size_t i = 0; i < now->count; i++) {
        struct binding *binding = &now->list[i];
        if (!binding->kept && strcmp(binding->address, address) == 0 &&
            (!frontend || strcmp(binding->frontend->name, frontend->name) == 0))
            return binding;
    }
    return NULL;
}

/* The same address of the same frontend; else, unless any port would do, of another one. */
static bool bindings_keep(struct bindings *next, struct bindings *now, const struct config *config,
                          size_t index, const struct config_listen *listen)
{
    const struct config_frontend *frontend = &config->frontends[index];
    struct binding *known = binding_find(now, frontend, listen->opt.address);
    bool any_port = listen->endpoint.addr.any.sa_family != AF_UNIX &&
                    listen->endpoint.kind == ENDPOINT_ADDR &&
                    addr_port(&listen->endpoint.addr) == 0;
    if (!known && !any_port)
        known = binding_find(now, NULL, listen->opt.address);
    if (!known)
        return false;
    known->kept = true;
    struct binding *binding = &next->list[next->count++];
    *binding = *known;
    binding->frontend = frontend;
    binding->frontend_index = index;
    binding->address = listen->opt.address;
    return true;
}

static bool renew_listeners(struct bindings *next, struct bindings *now,
                            const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->frontend_count; i++)
        count += config->frontends[i].listen_count;
    next->list = mem_must_alloc((count + 1) * sizeof(*next->list));
    for (size_t i = 0; i < config->frontend_count; i++) {
        const struct config_frontend *frontend = &config->frontends[i];
        for (size_t k = 0; k < frontend->listen_count; k++) {
            if (!bindings_keep(next, now, config, i, &frontend->listens[k]) &&
                !bindings_add(next, now, config, i, &frontend->listens[k]))
                return false;
        }
    }
    return true;
}

static void keep_tables(struct bindings *next, const struct bindings *now)
{
    for (size_t i = 0; i < next->table_count; i++) {
        for (size_t k = 0; k < now->table_count; k++) {
            bool same = i % 2 == k % 2 &&
                        strcmp(next->table_names[i / 2], now->table_names[k / 2]) == 0;
            if (!same || now->table_fds[k] < 0)
                continue;
            next->table_fds[i] = now->table_fds[k];
            next->tables_kept[i] = true;
        }
    }
}

bool bindings_renew(struct bindings *next, struct bindings *now, const struct config *config)
{
    *next = (struct bindings){
        .worker_count = now->worker_count, .last_id = now->last_id, .admin_fd = -1, .http_fd = -1};
    bindings_alloc_tables(next, config);
    keep_tables(next, now);
    for (size_t i = 0; i < now->count; i++)
        now->list[i].kept = false;
    next->keyring = secure_read(config, now->keyring, next->error, sizeof(next->error));
    if (next->keyring && renew_listeners(next, now, config) && bindings_open_tables(next, config))
        return true;
    char error[sizeof(next->error)];
    memcpy(error, next->error, sizeof(error));
    bindings_rollback(next);
    memcpy(next->error, error, sizeof(error));
    return false;
}

void bindings_point_at(struct bindings *bindings, const struct config *config)
{
    size_t at = 0;
    for (size_t i = 0; i < config->frontend_count; i++) {
        for (size_t k = 0; k < config->frontends[i].listen_count; k++, at++) {
            bindings->list[at].frontend = &config->frontends[i];
            bindings->list[at].address = config->frontends[i].listens[k].opt.address;
        }
    }
}

void bindings_rollback(struct bindings *next)
{
    for (size_t i = 0; i < next->count; i++) {
        if (!next->list[i].kept)
            continue;
        next->list[i].fds = NULL;
        next->list[i].fd_count = 0;
    }
    for (size_t i = 0; i < next->table_count; i++) {
        if (next->tables_kept[i])
            next->table_fds[i] = -1;
    }
    bindings_close(next, true);
}

void bindings_commit(struct bindings *now, struct bindings *next)
{
    struct bindings old = *now;
    for (size_t i = 0; i < old.count; i++) {
        for (size_t k = 0; !old.list[i].kept && k < old.list[i].fd_count; k++)
            fd_close(&old.list[i].fds[k]);
        if (!old.list[i].kept)
            free(old.list[i].fds);
    }
    free(old.list);
    keyring_free(old.keyring);
    now->keyring = next->keyring;
    for (size_t i = 0; i < old.table_count; i++) {
        bool kept = false;
        for (size_t k = 0; k < next->table_count; k++)
            kept = kept || (next->tables_kept[k] && next->table_fds[k] == old.table_fds[i]);
        if (!kept)
            fd_close(&old.table_fds[i]);
    }
    for (size_t i = 0; i < old.table_count / 2; i++)
        free(old.table_names[i]);
    free(old.table_names);
    free(old.tables_kept);
    free(old.table_fds);
    now->list = next->list;
    now->count = next->count;
    now->last_id = next->last_id;
    now->table_fds = next->table_fds;
    now->tables_kept = next->tables_kept;
    now->table_names = next->table_names;
    now->table_count = next->table_count;
    for (size_t i = 0; i < next->path_count; i++) {
        now->paths = mem_must_resize(now->paths, (now->path_count + 1) * sizeof(*now->paths));
        now->paths[now->path_count++] = next->paths[i];
    }
    free(next->paths);
    for (size_t i = 0; i < now->count; i++)
        now->list[i].kept = false;
    memset(now->tables_kept, 0, now->table_count);
}

/* ---- a predecessor's ---- */

static bool same_text(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

bool bindings_adopt_admin(struct bindings *bindings, const struct config *config,
                          const char *socket, const char *http)
{
    for (size_t i = 0; i < bindings->count; i++) {
        if (bindings->list[i].addr.any.sa_family == AF_UNIX)
            bindings_note_path(bindings, bindings->list[i].addr.un.sun_path);
    }
    if (bindings->admin_fd >= 0 && same_text(socket, config->admin.socket)) {
        bindings->admin_path = config->admin.socket;
        bindings_note_path(bindings, config->admin.socket);
    } else {
        fd_close(&bindings->admin_fd);
        if (!bindings_open_admin(bindings, config))
            return false;
    }
    if (bindings->http_fd >= 0 && same_text(http, config->admin.http)) {
        bindings->http_text = config->admin.http;
        net_local_addr(bindings->http_fd, &bindings->http_addr);
        if (bindings->http_addr.any.sa_family == AF_UNIX)
            bindings_note_path(bindings, bindings->http_addr.un.sun_path);
        return true;
    }
    fd_close(&bindings->http_fd);
    return bindings_open_http(bindings, config);
}

bool bindings_widen(struct bindings *bindings)
{
    for (size_t i = 0; i < bindings->count; i++) {
        struct binding *binding = &bindings->list[i];
        bool is_unix = binding->addr.any.sa_family == AF_UNIX;
        size_t bytes = bindings->worker_count * sizeof(int);
        if (binding->fd_count < bindings->worker_count)
            binding->fds = mem_must_resize(binding->fds, bytes);
        while (binding->fd_count < bindings->worker_count) {
            int fd = is_unix ? fcntl(binding->fds[0], F_DUPFD_CLOEXEC, 3)
                             : net_listen(&binding->addr, BACKLOG, true);
            if (fd < 0)
                return bindings_failed(bindings, "cannot listen address=%s reason=\"%s\"",
                                       binding->address, strerror(errno));
            binding->fds[binding->fd_count++] = fd;
        }
    }
    return true;
}

void bindings_print(const struct bindings *bindings, const struct config *config, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < bindings->count; i++)
        fprintf(out, " %s=%s", bindings->list[i].frontend->name,
                addr_format(&bindings->list[i].addr, text));
    if (config->admin.http)
        fprintf(out, " admin.http=%s", addr_format(&bindings->http_addr, text));
    if (config->admin.socket)
        fprintf(out, " admin.socket=%s", config->admin.socket);
}
