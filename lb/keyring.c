// SPDX-License-Identifier: Apache-2.0
/*
 * Files by their paths. As bytes: the seed, then for each file two lengths (64 bits), its path and its
 * bytes; both ends are the same program.
 */
#include "lb/keyring.h"

#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4 * 1024 * 1024 }; /* a bundle of all authorities is a quarter of a megabyte */

void keyring_wipe(void *bytes, size_t len)
{
    if (bytes)
        explicit_bzero(bytes, len);
    free(bytes);
}

struct span keyring_find(const struct keyring *keyring, const char *path)
{
    for (size_t i = 0; path && i < keyring->count; i++) {
        if (strcmp(keyring->files[i].path, path) == 0)
            return span_of(keyring->files[i].bytes, keyring->files[i].len);
    }
    return SPAN_NONE;
}

/* ---- reading ---- */

struct reading {
    struct keyring *keyring;
    keyring_fault_fn *fault;
    void *ctx;
};

static void add(struct keyring *keyring, struct span path, char *bytes, size_t len)
{
    char *name = mem_must_alloc(path.len + 1);
    memcpy(name, path.ptr, path.len);
    keyring->files = mem_must_resize(keyring->files,
                                     (keyring->count + 1) * sizeof(*keyring->files));
    keyring->files[keyring->count++] = (struct keyring_file){name, bytes, len};
}

/* malloc'ed; NULL: errno. */
static char *read_file(const char *path, size_t *len)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    char *bytes = NULL;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= FILE_MAX) {
        bytes = mem_must_alloc((size_t)info.st_size + 1);
        ssize_t got = read(fd, bytes, (size_t)info.st_size);
        *len = got > 0 ? (size_t)got : 0;
    } else {
        errno = S_ISREG(info.st_mode) ? EFBIG : EINVAL;
    }
    int error = errno;
    close(fd);
    errno = error;
    return bytes;
}

static void want(struct reading *reading, const char *path, struct config_place place)
{
    if (!path || keyring_find(reading->keyring, path).ptr)
        return;
    size_t len = 0;
    char *bytes = read_file(path, &len);
    if (bytes) {
        add(reading->keyring, span_str(path), bytes, len);
        return;
    }
    char text[512];
    snprintf(text, sizeof(text), "cannot read '%.300s': %s", path, strerror(errno));
    reading->fault(place, text, reading->ctx);
}

static void want_listen(struct reading *reading, const struct config_listen *listen)
{
    for (size_t i = 0; i < listen->certificate_count; i++) {
        const struct config_certificate *certificate = &listen->certificates[i];
        want(reading, certificate->opt.cert, certificate->place);
        want(reading, certificate->opt.key, certificate->place);
        want(reading, certificate->opt.ocsp, certificate->place);
    }
    if (listen->certificate_count == 0)
        return;
    want(reading, listen->opt.tls_client_ca, listen->tls_place);
    want(reading, listen->opt.tls_ticket_key_file, listen->tls_place);
}

static void want_backend(struct reading *reading, const struct config_backend *backend)
{
    if (!backend->tls)
        return;
    want(reading, backend->opt.tls_ca, backend->tls_place);
    want(reading, backend->opt.tls_cert, backend->tls_place);
    want(reading, backend->opt.tls_key, backend->tls_place);
}

struct keyring *keyring_read(const struct config *config, const struct keyring *before,
                             keyring_fault_fn *fault, void *ctx)
{
    struct keyring *keyring = mem_must_alloc(sizeof(*keyring));
    struct reading reading = {keyring, fault, ctx};
    if (before)
        memcpy(keyring->seed, before->seed, sizeof(keyring->seed));
    else
        rand_secret(keyring->seed, sizeof(keyring->seed));
    for (size_t i = 0; i < config->frontend_count; i++) {
        const struct config_frontend *frontend = &config->frontends[i];
        for (size_t k = 0; k < frontend->listen_count; k++)
            want_listen(&reading, &frontend->listens[k]);
    }
    for (size_t i = 0; i < config->backend_count; i++)
        want_backend(&reading, &config->backends[i]);
    return keyring;
}

/* ---- the end ---- */

void keyring_forget_files(struct keyring *keyring)
{
    for (size_t i = 0; keyring && i < keyring->count; i++) {
        keyring_wipe(keyring->files[i].bytes, keyring->files[i].len);
        free(keyring->files[i].path);
    }
    if (!keyring)
        return;
    free(keyring->files);
    keyring->files = NULL;
    keyring->count = 0;
}

void keyring_free(struct keyring *keyring)
{
    keyring_forget_files(keyring);
    keyring_wipe(keyring, sizeof(*keyring));
}

/* ---- on the way ---- */

char *keyring_write(const struct keyring *keyring, size_t *len)
{
    size_t size = sizeof(keyring->seed);
    for (size_t i = 0; i < keyring->count; i++)
        size += 2 * sizeof(uint64_t) + strlen(keyring->files[i].path) + keyring->files[i].len;
    char *bytes = mem_must_alloc(size), *at = bytes;
    at = (char *)mempcpy(at, keyring->seed, sizeof(keyring->seed));
    for (size_t i = 0; i < keyring->count; i++) {
        const struct keyring_file *file = &keyring->files[i];
        uint64_t lengths[2] = {strlen(file->path), file->len};
        at = (char *)mempcpy(at, lengths, sizeof(lengths));
        at = (char *)mempcpy(at, file->path, lengths[0]);
        at = (char *)mempcpy(at, file->bytes, lengths[1]);
    }
    *len = size;
    return bytes;
}

static bool parse_file(struct keyring *keyring, struct span *rest)
{
    uint64_t lengths[2];
    if (rest->len < sizeof(lengths))
        return false;
    memcpy(lengths, rest->ptr, sizeof(lengths));
    *rest = span_from(*rest, sizeof(lengths));
    if (lengths[0] > rest->len || lengths[1] > rest->len - lengths[0])
        return false;
    struct span path = span_upto(*rest, lengths[0]);
    struct span bytes = span_upto(span_from(*rest, lengths[0]), lengths[1]);
    char *copy = mem_must_alloc(bytes.len + 1);
    memcpy(copy, bytes.ptr, bytes.len);
    add(keyring, path, copy, bytes.len);
    *rest = span_from(*rest, path.len + bytes.len);
    return true;
}

struct keyring *keyring_parse(struct span bytes)
{
    struct keyring *keyring = mem_must_alloc(sizeof(*keyring));
    bool ok = bytes.len >= sizeof(keyring->seed);
    if (ok) {
        memcpy(keyring->seed, bytes.ptr, sizeof(keyring->seed));
        bytes = span_from(bytes, sizeof(keyring->seed));
    }
    while (ok && bytes.len > 0)
        ok = parse_file(keyring, &bytes);
    if (ok)
        return keyring;
    keyring_free(keyring);
    return NULL;
}
