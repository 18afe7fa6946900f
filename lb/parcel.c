// SPDX-License-Identifier: Apache-2.0
/*
 * A parcel is a memfd with all but the descriptors:
 *
 *     parcel_head │ listen_count × parcel_listen │ table_count × one byte: is it new? │ text │ keyring
 *
 * and the descriptors themselves, first the listening sockets, then the tables, each in order, in as
 * many messages as it takes. Both ends are the same program, so structs go as they are; still, what
 * does not fit together is refused.
 */
#include "lb/parcel.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 2 * 1024 * 1024, LISTENS_MAX = 100000, TABLES_MAX = 200000 };

struct parcel_head {
    uint64_t listen_count, table_count, text_len, keyring_len;
};

struct parcel_listen {
    uint64_t id, frontend, fd_count; /* fd_count 0: known */
};

/* ---- sending ---- */

static bool write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno != EINTR)
            return false;
        if (wrote > 0) {
            at += wrote;
            len -= (size_t)wrote;
        }
    }
    return true;
}

static bool write_parts(int fd, struct span text, const struct bindings *next)
{
    size_t keyring_len;
    char *keyring = keyring_write(next->keyring, &keyring_len);
    struct parcel_head head = {next->count, next->table_count, text.len, keyring_len};
    bool ok = write_all(fd, &head, sizeof(head));
    for (size_t i = 0; ok && i < next->count; i++) {
        const struct binding *binding = &next->list[i];
        struct parcel_listen listen = {binding->id, binding->frontend_index,
                                       binding->kept ? 0 : binding->fd_count};
        ok = write_all(fd, &listen, sizeof(listen));
    }
    for (size_t i = 0; ok && i < next->table_count; i++) {
        char fresh = next->table_fds[i] >= 0 && !next->tables_kept[i];
        ok = write_all(fd, &fresh, 1);
    }
    ok = ok && write_all(fd, text.ptr, text.len) && write_all(fd, keyring, keyring_len);
    keyring_wipe(keyring, keyring_len);
    return ok;
}

/* The new descriptors, in order. */
static size_t fresh_fds(const struct bindings *next, int *out)
{
    size_t count = 0;
    for (size_t i = 0; i < next->count; i++) {
        for (size_t k = 0; !next->list[i].kept && k < next->list[i].fd_count; k++, count++) {
            if (out)
                out[count] = next->list[i].fds[k];
        }
    }
    for (size_t i = 0; i < next->table_count; i++) {
        if (next->table_fds[i] < 0 || next->tables_kept[i])
            continue;
        if (out)
            out[count] = next->table_fds[i];
        count++;
    }
    return count;
}

static bool send_fds(int line, const int *fds, size_t count)
{
    for (size_t at = 0; at < count; at += LINE_FDS_MAX) {
        size_t n = count - at < LINE_FDS_MAX ? count - at : LINE_FDS_MAX;
        if (!line_send(line, LINE_FDS, SPAN_NONE, fds + at, n))
            return false;
    }
    return true;
}

bool parcel_send(int line, struct span text, const struct bindings *next)
{
    int memory = memfd_create("limpet-parcel", MFD_CLOEXEC);
    if (memory < 0)
        return false;
    size_t count = fresh_fds(next, NULL);
    int *fds = mem_must_alloc((count + 1) * sizeof(int));
    fresh_fds(next, fds);
    bool ok = write_parts(memory, text, next) &&
              line_send(line, LINE_PARCEL, SPAN_NONE, &memory, 1) && send_fds(line, fds, count);
    int error = errno;
    free(fds);
    close(memory);
    errno = error;
    return ok;
}

/* ---- receiving ---- */

static void *take(const char **at, size_t *left, size_t size)
{
    if (size > *left)
        return NULL;
    void *copy = mem_must_alloc(size + 1);
    memcpy(copy, *at, size);
    *at += size;
    *left -= size;
    return copy;
}

static bool parcel_read(struct parcel *parcel, const char *at, size_t left)
{
    struct parcel_head head;
    if (left < sizeof(head))
        return false;
    memcpy(&head, at, sizeof(head));
    at += sizeof(head);
    left -= sizeof(head);
    if (head.listen_count > LISTENS_MAX || head.table_count > TABLES_MAX ||
        head.text_len > TEXT_MAX)
        return false;
    struct parcel_listen *listens = take(&at, &left, head.listen_count * sizeof(*listens));
    char *fresh = listens ? take(&at, &left, head.table_count) : NULL;
    parcel->text = fresh ? take(&at, &left, head.text_len) : NULL;
    parcel->len = head.text_len;
    if (parcel->text && head.keyring_len <= left)
        parcel->keyring = keyring_parse(span_of(at, head.keyring_len));
    if (listens && fresh && parcel->keyring) {
        parcel->listen_count = head.listen_count;
        parcel->listens = mem_must_alloc((head.listen_count + 1) * sizeof(*parcel->listens));
        for (size_t i = 0; i < head.listen_count; i++) {
            parcel->listens[i] = (struct snapshot_listen){.id = (unsigned)listens[i].id,
                                                          .frontend = listens[i].frontend,
                                                          .fd_count = listens[i].fd_count};
            parcel->fds_due += listens[i].fd_count;
        }
        parcel->table_count = head.table_count;
        parcel->table_fds = mem_must_alloc(head.table_count * sizeof(int) + 1);
        for (size_t i = 0; i < head.table_count; i++) {
            parcel->table_fds[i] = fresh[i] ? 0 : -1; // 0: one comes.
            parcel->fds_due += fresh[i] ? 1 : 0;
        }
        parcel->fds = mem_must_alloc((parcel->fds_due + 1) * sizeof(int));
    }
    free(listens);
    free(fresh);
    return parcel->keyring != NULL;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

bool parcel_open(struct parcel *parcel, const struct line_message *message)
{
    struct stat info;
    *parcel = (struct parcel){0};
    void *memory = MAP_FAILED;
    if (message->fd_count == 1 && fstat(message->fds[0], &info) == 0 && info.st_size > 0)
        memory = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, message->fds[0], 0);
    close_all(message->fds, message->fd_count);
    if (memory == MAP_FAILED)
        return false;
    bool ok = parcel_read(parcel, memory, (size_t)info.st_size);
    munmap(memory, (size_t)info.st_size);
    if (!ok)
        parcel_free(parcel);
    return ok;
}

bool parcel_add(struct parcel *parcel, const struct line_message *message)
{
    if (!parcel->fds || parcel->fds_come + message->fd_count > parcel->fds_due) {
        close_all(message->fds, message->fd_count);
        return false;
    }
    memcpy(parcel->fds + parcel->fds_come, message->fds, message->fd_count * sizeof(int));
    parcel->fds_come += message->fd_count;
    return true;
}

bool parcel_complete(struct parcel *parcel)
{
    if (!parcel->fds || parcel->fds_come < parcel->fds_due)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < parcel->listen_count; i++) {
        struct snapshot_listen *listen = &parcel->listens[i];
        if (listen->fd_count == 0)
            continue;
        listen->fds = mem_must_alloc(listen->fd_count * sizeof(int));
        memcpy(listen->fds, parcel->fds + at, listen->fd_count * sizeof(int));
        at += listen->fd_count;
    }
    for (size_t i = 0; i < parcel->table_count; i++) {
        if (parcel->table_fds[i] >= 0)
            parcel->table_fds[i] = parcel->fds[at++];
    }
    free(parcel->fds);
    parcel->fds = NULL;
    parcel->fds_come = 0;
    return true;
}

void parcel_pack(struct parcel *parcel, struct span text, const struct bindings *next)
{
    *parcel = (struct parcel){.text = mem_must_alloc(text.len + 1), .len = text.len};
    memcpy(parcel->text, text.ptr, text.len);
    size_t keyring_len;
    char *keyring = keyring_write(next->keyring, &keyring_len);
    parcel->keyring = keyring_parse(span_of(keyring, keyring_len));
    keyring_wipe(keyring, keyring_len);
    parcel->listen_count = next->count;
    parcel->listens = mem_must_alloc((next->count + 1) * sizeof(*parcel->listens));
    for (size_t i = 0; i < next->count; i++) {
        const struct binding *binding = &next->list[i];
        struct snapshot_listen *listen = &parcel->listens[i];
        *listen = (struct snapshot_listen){.id = binding->id, .frontend = binding->frontend_index};
        if (binding->kept)
            continue;
        listen->fd_count = binding->fd_count;
        listen->fds = mem_must_alloc(binding->fd_count * sizeof(int));
        for (size_t k = 0; k < binding->fd_count; k++)
            listen->fds[k] = fcntl(binding->fds[k], F_DUPFD_CLOEXEC, 3);
    }
    parcel->table_count = next->table_count;
    parcel->table_fds = mem_must_alloc(next->table_count * sizeof(int) + 1);
    for (size_t i = 0; i < next->table_count; i++) {
        bool fresh = next->table_fds[i] >= 0 && !next->tables_kept[i];
        parcel->table_fds[i] = fresh ? fcntl(next->table_fds[i], F_DUPFD_CLOEXEC, 3) : -1;
    }
}

void parcel_free(struct parcel *parcel)
{
    close_all(parcel->fds, parcel->fds_come);
    for (size_t i = 0; i < parcel->listen_count; i++) {
        if (parcel->listens[i].fds)
            close_all(parcel->listens[i].fds, parcel->listens[i].fd_count);
        free(parcel->listens[i].fds);
    }
    // Tables are attached by copies of their descriptors; before parcel_complete they are only due.
    if (!parcel->fds)
        close_all(parcel->table_fds, parcel->table_fds ? parcel->table_count : 0);
    free(parcel->listens);
    free(parcel->table_fds);
    free(parcel->fds);
    free(parcel->text);
    keyring_free(parcel->keyring);
    *parcel = (struct parcel){0};
}
