// SPDX-License-Identifier: Apache-2.0
/*
 * A thread per write: there are a few in a year. The job belongs to the thread until its letter is
 * delivered; then the thread is joined, and what came meanwhile is written.
 */
#include "sentinel-watch/scribe.h"

#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    char *path; /* NULL: none */
    char text[SCRIBE_TEXT_MAX];
    size_t len;
};

struct scribe {
    struct letter letter;
    struct loop *loop;
    scribed_fn *scribed;
    void *ctx;
    pthread_t thread;
    bool busy, forgotten;
    struct job job;  /* the thread's while busy */
    struct job next; /* to be written behind it */
    int error;
};

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return errno;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

/* A rename is on the disk when its folder is. */
static int flush_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 1;
    snprintf(folder, sizeof(folder), "%.*s", (int)(len > 0 ? len : 1), slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int replace(const struct job *job)
{
    char beside[PATH_MAX];
    int len = snprintf(beside, sizeof(beside), "%s.%d.tmp", job->path, (int)getpid());
    if (len < 0 || (size_t)len >= sizeof(beside))
        return ENAMETOOLONG;
    unlink(beside); // Of an earlier process that died here.
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    int error = write_all(fd, job->text, job->len);
    close(fd);
    if (error == 0 && rename(beside, job->path) < 0)
        error = errno;
    if (error == 0)
        return flush_folder(job->path);
    unlink(beside);
    return error;
}

static void *run(void *argument)
{
    struct scribe *scribe = argument;
    scribe->error = replace(&scribe->job);
    mailbox_post(&scribe->loop->mailbox, &scribe->letter);
    return NULL;
}

static void begin(struct scribe *scribe)
{
    free(scribe->job.path);
    scribe->job = scribe->next;
    scribe->next.path = NULL;
    scribe->busy = thread_start(&scribe->thread, "scribe", run, scribe);
    if (!scribe->busy)
        scribe->scribed(scribe->ctx, scribe->job.path, errno);
}

static void destroy(struct scribe *scribe)
{
    free(scribe->job.path);
    free(scribe->next.path);
    free(scribe);
}

static void on_letter(struct letter *letter, void *receiver)
{
    struct scribe *scribe = container_of(letter, struct scribe, letter);
    (void)receiver;
    if (scribe->forgotten) {
        destroy(scribe);
        return;
    }
    pthread_join(scribe->thread, NULL);
    scribe->busy = false;
    scribe->scribed(scribe->ctx, scribe->job.path, scribe->error);
    if (!scribe->busy && scribe->next.path)
        begin(scribe);
}

void scribe_write(struct scribe *scribe, const char *path, struct span text)
{
    struct job *next = &scribe->next;
    free(next->path);
    next->path = mem_must_copy(path);
    next->len = text.len < sizeof(next->text) ? text.len : sizeof(next->text);
    memcpy(next->text, text.ptr, next->len);
    if (!scribe->busy)
        begin(scribe);
}

bool scribe_busy(const struct scribe *scribe)
{
    return scribe->busy;
}

struct scribe *scribe_new(struct loop *loop, scribed_fn *scribed, void *ctx)
{
    struct scribe *scribe = mem_must_alloc(sizeof(*scribe));
    scribe->letter.deliver = on_letter;
    scribe->loop = loop;
    scribe->scribed = scribed;
    scribe->ctx = ctx;
    return scribe;
}

void scribe_free(struct scribe *scribe)
{
    if (!scribe)
        return;
    if (!scribe->busy) {
        destroy(scribe);
        return;
    }
    pthread_join(scribe->thread, NULL);
    if (scribe->next.path)
        replace(&scribe->next); // The newest shall be what stays.
    scribe->forgotten = true;   // Its letter is in the mailbox.
}
