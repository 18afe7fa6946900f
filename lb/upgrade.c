// SPDX-License-Identifier: Apache-2.0
/*
 * What goes from one program to its successor.
 *
 *     old master ── fork, exec argv[0] ──► new master ── fork ──► new serving process
 *         │   memfd: lines of text             │ configuration, read anew
 *         │   listening sockets, tables        │ sockets adopted, the rest bound
 *         │                                    │
 *         │◄──────────── "ready" ──────────────┤ READY: both accept from the same sockets
 *         ▼                                    ▼
 *     graceful stop, at most process.grace   serves
 *
 * Sockets stay open all the time, and the same tables are mapped by both: no connection that waits
 * is lost, and a session's next request finds its owner in whichever process takes it. The state
 * is lines of words, since the two programs may be of different versions; a line that the reader
 * does not know is passed over. $LIMPET_UPGRADE is the memfd's number.
 *
 *     limpet-upgrade 1
 *     predecessor PID · party 0|1 · ready FD
 *     admin FD PATH · http FD ADDRESS
 *     listen FRONTEND ADDRESS FD…
 *     table BACKEND SIDS COOKIES         (-1: none)
 *     seed HEX                           (of ticket keys)
 *     server BACKEND NAME ADMIN WEIGHT MAX_CONNECTIONS HEALTH
 */
#include "lb/upgrade.h"

#include "base/log.h"
#include "base/mem.h"
#include "lb/keyring.h"
#include "lb/sidmap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_MAX = 64 * 1024 * 1024 };
static const char VARIABLE[] = "LIMPET_UPGRADE";

static char **command;

void upgrade_note_command(char **argv)
{
    command = argv;
}

/* ---- the predecessor ---- */

static void keep_open(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0)
        fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
}

static void write_seed(const struct keyring *keyring, FILE *out)
{
    fputs("seed ", out);
    for (size_t i = 0; i < sizeof(keyring->seed); i++)
        fprintf(out, "%02x", keyring->seed[i]);
    fputc('\n', out);
}

static void write_bindings(const struct bindings *bindings, FILE *out)
{
    if (bindings->admin_fd >= 0)
        fprintf(out, "admin %d %s\n", bindings->admin_fd, bindings->admin_path);
    if (bindings->http_fd >= 0)
        fprintf(out, "http %d %s\n", bindings->http_fd, bindings->http_text);
    for (size_t i = 0; i < bindings->count; i++) {
        const struct binding *binding = &bindings->list[i];
        fprintf(out, "listen %s %s", binding->frontend->name, binding->address);
        for (size_t k = 0; k < binding->fd_count; k++)
            fprintf(out, " %d", binding->fds[k]);
        fputc('\n', out);
    }
    for (size_t i = 0; i < bindings->table_count; i += 2)
        fprintf(out, "table %s %d %d\n", bindings->table_names[i / 2], bindings->table_fds[i],
                bindings->table_fds[i + 1]);
}

static void keep_bindings_open(const struct bindings *bindings)
{
    keep_open(bindings->admin_fd);
    keep_open(bindings->http_fd);
    for (size_t i = 0; i < bindings->count; i++) {
        for (size_t k = 0; k < bindings->list[i].fd_count; k++)
            keep_open(bindings->list[i].fds[k]);
    }
    for (size_t i = 0; i < bindings->table_count; i++)
        keep_open(bindings->table_fds[i]);
}

/* A memfd with all of it. -1: errno. */
static int write_state(const struct bindings *bindings, struct span states, int ready, pid_t pid)
{
    int fd = memfd_create("limpet-upgrade", MFD_CLOEXEC);
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (!out) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    fprintf(out, "limpet-upgrade 1\npredecessor %d\nparty %u\nready %d\n", (int)pid,
            1 - sidmap_party(), ready);
    write_seed(bindings->keyring, out);
    write_bindings(bindings, out);
    fwrite(states.ptr, 1, states.len, out);
    bool ok = fflush(out) == 0 && !ferror(out);
    fclose(out);
    if (ok)
        return fd;
    close(fd);
    return -1;
}

/* In the child: becomes the successor. */
static void execute(const struct bindings *bindings, int state, int ready)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", state);
    setenv(VARIABLE, number, 1);
    keep_bindings_open(bindings);
    keep_open(state);
    keep_open(ready);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(command[0], command);
    log_error("cannot execute the successor file=%s reason=\"%s\"", command[0], strerror(errno));
    _exit(2);
}

pid_t upgrade_start(const struct bindings *bindings, struct span states, int *ready)
{
    int pair[2];
    pid_t self = getpid();
    if (!command) {
        errno = ENOENT;
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    int state = write_state(bindings, states, pair[1], self);
    pid_t pid = state >= 0 ? fork() : -1;
    if (pid == 0)
        execute(bindings, state, pair[1]);
    int error = errno;
    if (state >= 0)
        close(state);
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else
        *ready = pair[0];
    errno = error;
    return pid;
}

/* ---- the successor ---- */

/* One word off the front. */
static char *word(struct span *rest)
{
    struct span found = span_cut(rest, ' ');
    char *copy = mem_must_alloc(found.len + 1);
    memcpy(copy, found.ptr, found.len);
    return copy;
}

static int number(struct span *rest)
{
    char *text = word(rest);
    uint64_t value;
    bool good = span_to_u64(span_str(text), &value) && value <= INT_MAX;
    free(text);
    return good ? (int)value : -1;
}

/* A descriptor that is really ours: open, and closed on exec from here on. -1: it is not. */
static int descriptor(struct span *rest)
{
    int fd = number(rest);
    if (fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return fd;
}

static void inherit_listen(struct inheritance *inheritance, struct span rest)
{
    struct bindings *bindings = &inheritance->bindings;
    size_t n = bindings->count + 1;
    bindings->list = mem_must_resize(bindings->list, n * sizeof(*bindings->list));
    struct binding *binding = &bindings->list[bindings->count++];
    *binding = (struct binding){.id = ++bindings->last_id};
    binding->name = word(&rest);
    binding->address = binding->inherited_address = word(&rest);
    binding->fds = mem_must_alloc(rest.len * sizeof(int) + sizeof(int));
    while (rest.len > 0) {
        int fd = descriptor(&rest);
        if (fd >= 0)
            binding->fds[binding->fd_count++] = fd;
    }
    if (binding->fd_count > 0)
        net_local_addr(binding->fds[0], &binding->addr);
}

static void inherit_table(struct bindings *bindings, struct span rest)
{
    size_t at = bindings->table_count;
    bindings->table_count += 2;
    bindings->table_fds = mem_must_resize(bindings->table_fds, bindings->table_count * sizeof(int));
    bindings->table_names = mem_must_resize(bindings->table_names,
                                            (bindings->table_count / 2) * sizeof(char *));
    bindings->table_names[at / 2] = word(&rest);
    bindings->table_fds[at] = descriptor(&rest);
    bindings->table_fds[at + 1] = descriptor(&rest);
}

/* Made from nothing but the seed: files are read anew. */
static struct keyring *inherit_seed(struct span hex)
{
    struct keyring *keyring = mem_must_alloc(sizeof(*keyring));
    bool ok = hex.len == 2 * sizeof(keyring->seed);
    for (size_t i = 0; ok && i < sizeof(keyring->seed); i++) {
        uint64_t byte = 0;
        ok = span_hex_to_u64(span_of(hex.ptr + 2 * i, 2), &byte);
        keyring->seed[i] = (uint8_t)byte;
    }
    if (ok)
        return keyring;
    keyring_free(keyring);
    return NULL;
}

static void inherit_line(struct inheritance *inheritance, struct span line, FILE *states)
{
    struct span rest = line;
    struct span key = span_cut(&rest, ' ');
    if (span_eq(key, SPAN("predecessor")))
        inheritance->predecessor = number(&rest);
    else if (span_eq(key, SPAN("party")))
        inheritance->party = (unsigned)number(&rest);
    else if (span_eq(key, SPAN("ready")))
        inheritance->ready = descriptor(&rest);
    else if (span_eq(key, SPAN("listen")))
        inherit_listen(inheritance, rest);
    else if (span_eq(key, SPAN("seed")))
        inheritance->bindings.keyring = inherit_seed(rest);
    else if (span_eq(key, SPAN("table")))
        inherit_table(&inheritance->bindings, rest);
    else if (span_eq(key, SPAN("admin"))) {
        inheritance->bindings.admin_fd = descriptor(&rest);
        inheritance->socket = word(&rest);
    } else if (span_eq(key, SPAN("http"))) {
        inheritance->bindings.http_fd = descriptor(&rest);
        inheritance->http = word(&rest);
    } else if (span_eq(key, SPAN("server"))) {
        fprintf(states, "%.*s\n", SPAN_ARG(line));
    }
}

/* Binding names become frontends, as bindings_renew wants them. */
static void name_frontends(struct inheritance *inheritance)
{
    struct bindings *bindings = &inheritance->bindings;
    inheritance->frontends = mem_must_alloc((bindings->count + 1) *
                                            sizeof(*inheritance->frontends));
    inheritance->frontend_count = bindings->count;
    inheritance->addresses = mem_must_alloc((bindings->count + 1) * sizeof(char *));
    for (size_t i = 0; i < bindings->count; i++) {
        inheritance->frontends[i].name = bindings->list[i].name;
        bindings->list[i].frontend = &inheritance->frontends[i];
        bindings->list[i].name = NULL;
        inheritance->addresses[i] = bindings->list[i].inherited_address;
        bindings->list[i].inherited_address = NULL;
    }
    bindings->tables_kept = mem_must_alloc(bindings->table_count + 1);
}

static struct inheritance *inherit_text(struct span text)
{
    struct inheritance *inheritance = mem_must_alloc(sizeof(*inheritance));
    inheritance->ready = -1;
    inheritance->bindings.admin_fd = inheritance->bindings.http_fd = -1;
    size_t len;
    FILE *states = open_memstream(&inheritance->states, &len);
    if (!states)
        abort();
    while (text.len > 0)
        inherit_line(inheritance, span_cut(&text, '\n'), states);
    fclose(states);
    name_frontends(inheritance);
    return inheritance;
}

struct inheritance *upgrade_inherit(bool *broken)
{
    const char *variable = getenv(VARIABLE);
    *broken = false;
    if (!variable)
        return NULL;
    struct span given = span_str(variable);
    int fd = number(&given);
    unsetenv(VARIABLE);
    *broken = true;
    struct stat info;
    void *memory = MAP_FAILED;
    if (fd > 2 && fstat(fd, &info) == 0 && info.st_size > 0 && info.st_size < STATE_MAX)
        memory = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        log_error("what a predecessor left cannot be read variable=%s", VARIABLE);
        return NULL;
    }
    close(fd);
    struct span text = span_of(memory, (size_t)info.st_size);
    struct inheritance *inheritance = NULL;
    if (span_starts(text, SPAN("limpet-upgrade 1\n")))
        inheritance = inherit_text(text);
    else
        log_error("what a predecessor left is of a version that this one does not know");
    munmap(memory, (size_t)info.st_size);
    *broken = !inheritance;
    return inheritance;
}

bool upgrade_adopt(struct inheritance *inheritance, const struct config *config,
                   unsigned worker_count, struct bindings *out)
{
    struct bindings next;
    struct bindings *now = &inheritance->bindings;
    now->worker_count = worker_count;
    if (!bindings_renew(&next, now, config))
        return false;
    bindings_commit(now, &next);
    if (!bindings_adopt_admin(now, config, inheritance->socket, inheritance->http))
        return false;
    if (!bindings_widen(now))
        return false;
    *out = *now;
    *now = (struct bindings){.admin_fd = -1, .http_fd = -1};
    return true;
}

void inheritance_free(struct inheritance *inheritance)
{
    if (!inheritance)
        return;
    if (inheritance->ready >= 0)
        close(inheritance->ready);
    free(inheritance->socket);
    free(inheritance->http);
    free(inheritance->states);
    for (size_t i = 0; i < inheritance->frontend_count; i++) {
        free(inheritance->frontends[i].name);
        free(inheritance->addresses[i]);
    }
    free(inheritance->addresses);
    free(inheritance->frontends);
    free(inheritance);
}

/* ---- servers ---- */

bool upgrade_write_states(const struct snapshot *snapshot, FILE *out)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count; k++) {
            struct server *server = backend->servers[k];
            int weight = atomic_load(&server->weight), max = atomic_load(&server->max_connections);
            // -1: as configured.
            fprintf(out, "server %s %s %d %d %d %d\n", backend->name, server->name,
                    atomic_load(&server->admin),
                    weight == (int)server->config->opt.weight ? -1 : weight,
                    max == (int)server->config->opt.max_connections ? -1 : max,
                    atomic_load(&server->health));
        }
    }
    return !ferror(out);
}

static void take_state(struct server *server, struct span rest)
{
    int admin = number(&rest), weight = number(&rest), max = number(&rest), health = number(&rest);
    if (admin >= SERVER_READY && admin <= SERVER_MAINT)
        atomic_store(&server->admin, admin);
    if (weight >= 0 && weight <= 256) {
        atomic_store(&server->weight, weight);
        atomic_store(&server->weight_now, weight * SERVER_WEIGHT_SCALE);
    }
    if (max >= 0)
        atomic_store(&server->max_connections, max);
    bool checked = server->backend->config->health_kind != HEALTH_NONE;
    if (health == SERVER_DOWN && checked && server->config->endpoint.kind == ENDPOINT_ADDR)
        atomic_store(&server->health, SERVER_DOWN);
}

void upgrade_read_states(struct snapshot *snapshot, struct span states)
{
    while (states.len > 0) {
        struct span rest = span_cut(&states, '\n');
        span_cut(&rest, ' ');
        struct span backend = span_cut(&rest, ' ');
        struct server *server = snapshot_server(snapshot, backend, span_cut(&rest, ' '));
        if (server)
            take_state(server, rest);
    }
}
