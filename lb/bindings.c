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
#include "lb/sidmap.h"

#include <errno.h>
#include <fcntl.h>
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
static bool binding_open_sockets(struct binding *binding, unsigned worker_count)
{
    bool is_unix = binding->addr.any.sa_family == AF_UNIX;
    if (!addr_is_free(&binding->addr))
        return false;
    for (unsigned i = 0; i < worker_count; i++) {
        int fd = i > 0 && is_unix ? fcntl(binding->fds[0], F_DUPFD_CLOEXEC, 0)
                                  : net_listen(&binding->addr, BACKLOG, !is_unix);
        binding->fds[i] = fd;
        if (fd < 0 || (i == 0 && !net_local_addr(fd, &binding->addr)))
            return false;
    }
    return true;
}

static bool bindings_add(struct bindings *bindings, const struct config *config, size_t index,
                         const struct config_listen *listen)
{
    const struct config_frontend *frontend = &config->frontends[index];
    struct binding *binding = &bindings->list[bindings->count++];
    *binding = (struct binding){.frontend = frontend, .frontend_index = index};
    binding->fds = mem_must_alloc(bindings->worker_count * sizeof(int));
    for (unsigned i = 0; i < bindings->worker_count; i++)
        binding->fds[i] = -1;
    binding->addr = listen->endpoint.addr;
    char error[128];
    if (listen->endpoint.kind == ENDPOINT_NAME &&
        !resolve_now(listen->endpoint.host, listen->endpoint.port, &binding->addr, error)) {
        log_error("cannot listen frontend=%s address=%s reason=\"%s\"", frontend->name,
                  listen->opt.address, error);
        return false;
    }
    if (!binding_open_sockets(binding, bindings->worker_count)) {
        log_error("cannot listen frontend=%s address=%s reason=\"%s\"", frontend->name,
                  listen->opt.address, strerror(errno));
        return false;
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
            if (!bindings_add(bindings, config, i, &frontend->listens[k]))
                return false;
        }
    }
    return true;
}

/* The runtime socket, with its mode, owned by the user that serves. -1: errno. */
static int admin_listen(const struct config *config)
{
    const char *path = config->admin.socket;
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
    bindings->admin_fd = admin_listen(config);
    if (bindings->admin_fd < 0) {
        log_error("cannot listen admin.socket=%s reason=\"%s\"", config->admin.socket,
                  strerror(errno));
        return false;
    }
    bindings_note_path(bindings, config->admin.socket);
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

static bool bindings_open_tables(struct bindings *bindings, const struct config *config)
{
    bindings->table_fds = mem_must_alloc(2 * config->backend_count * sizeof(int));
    for (size_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        int *fds = &bindings->table_fds[2 * i];
        bool cookies = learns_cookies(backend);
        fds[0] = table_open("limpet-sids", backend->opt.sid_max_entries);
        fds[1] = cookies ? table_open("limpet-cookies", backend->opt.sid_max_entries) : -1;
        bindings->table_count += 2;
        if (fds[0] < 0 || (cookies && fds[1] < 0)) {
            log_error("cannot make the session table backend=%s reason=\"%s\"", backend->name,
                      strerror(errno));
            return false;
        }
    }
    return true;
}

bool bindings_open(struct bindings *bindings, const struct config *config, unsigned worker_count)
{
    *bindings = (struct bindings){.worker_count = worker_count, .admin_fd = -1};
    if (bindings_open_listeners(bindings, config) && bindings_open_admin(bindings, config) &&
        bindings_open_tables(bindings, config))
        return true;
    bindings_close(bindings, true);
    return false;
}

void bindings_close_listeners(struct bindings *bindings)
{
    for (size_t i = 0; i < bindings->count; i++) {
        for (unsigned k = 0; k < bindings->worker_count; k++)
            fd_close(&bindings->list[i].fds[k]);
    }
}

void bindings_close(struct bindings *bindings, bool remove_paths)
{
    bindings_close_listeners(bindings);
    fd_close(&bindings->admin_fd);
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
    free(bindings->table_fds);
    free(bindings->paths);
    *bindings = (struct bindings){.admin_fd = -1};
}

void bindings_print(const struct bindings *bindings, const struct config *config, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < bindings->count; i++)
        fprintf(out, " %s=%s", bindings->list[i].frontend->name,
                addr_format(&bindings->list[i].addr, text));
    if (config->admin.socket)
        fprintf(out, " admin.socket=%s", config->admin.socket);
}
