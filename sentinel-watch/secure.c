// SPDX-License-Identifier: Apache-2.0
/* Files into memory, memory into a context; the key is wiped as soon as the context has it. */
#include "sentinel-watch/secure.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024, WORDS_MAX = 512 };

struct file {
    char *data; /* FILE_MAX bytes; NULL: no such option */
    struct span text;
};

/* False: errno. */
static bool file_read(struct file *file, const char *path)
{
    *file = (struct file){0};
    if (!path)
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    file->data = mem_must_alloc(FILE_MAX);
    ssize_t n;
    while ((n = read(fd, file->data + file->text.len, FILE_MAX - file->text.len)) > 0)
        file->text.len += (size_t)n;
    int error = n < 0 ? errno : file->text.len == FILE_MAX ? EFBIG : 0;
    close(fd);
    file->text.ptr = file->data;
    errno = error;
    return error == 0;
}

static void file_wipe(struct file *file)
{
    if (file->data)
        explicit_bzero(file->data, file->text.len);
    free(file->data);
}

static struct tls_context *fail(const struct config_backend *backend, const char *what,
                                const char *why, char **error)
{
    char text[WORDS_MAX];
    snprintf(text, sizeof(text), "tls of backend %.64s: %.200s: %.200s", backend->name, what, why);
    *error = mem_must_copy(text);
    return NULL;
}

struct tls_context *secure_backend(const struct config_backend *backend, char **error)
{
    const struct backend_options *opt = &backend->opt;
    const char *paths[] = {opt->tls_ca, opt->tls_cert, opt->tls_key ? opt->tls_key : opt->tls_cert};
    struct file files[array_len(paths)] = {{0}};
    struct tls_context *context = NULL;
    struct tls_fault fault;
    size_t at = 0;
    while (at < array_len(paths) && file_read(&files[at], paths[at]))
        at++;
    if (at < array_len(paths)) {
        fail(backend, paths[at], strerror(errno), error);
    } else if (opt->tls_ca && files[0].text.len == 0) {
        fail(backend, opt->tls_ca, "the file is empty", error);
    } else {
        struct tls_client_options options = {
            .verify = opt->tls_verify,
            .ca = files[0].text,
            .certificate = {.cert = files[1].text, .key = files[2].text},
            .only_13 = opt->tls_min_version == TLS_VERSION_13,
        };
        context = tls_context_client(&options, &fault);
        if (!context)
            fail(backend, "its options", fault.text, error);
    }
    for (size_t i = 0; i < array_len(files); i++)
        file_wipe(&files[i]);
    return context;
}
