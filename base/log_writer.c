// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that writes, and the queue that leads to it.
 *
 *     any thread ── append under a short lock ──► filling ──┐ swapped when the writer comes
 *                                                 writing ──┴──► files, stderr, syslog
 *
 * Producers only ever copy into `filling`; when it is full the lines are dropped and counted. The
 * first line in an empty queue wakes the writer, which then lets a few milliseconds pass so that
 * one wake-up and one write serve many lines.
 *
 * A sink is freed by the writer, after the lines that were queued before log_sink_close. Without a
 * writer (before log_start, after log_stop) everything is done by the caller, under the lock.
 */
#include "base/log_writer.h"

#include "base/clock.h"
#include "base/log_sink.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_BYTES = 1024 * 1024, /* each of two; only touched pages cost memory */
    GATHER_MS = 5,             /* how long lines wait for company */
    STOP_MS = 1000,            /* how long log_stop waits */
};

/* In a queue: this, then len bytes, then padding to its alignment. */
struct entry {
    struct log_sink *sink;
    size_t len;
};

struct queue {
    char *bytes;
    size_t end;
    struct entry *last; /* lines for the same sink are added to it */
};

static struct {
    pthread_mutex_t lock; /* guards all below but what is said to be the writer's */
    pthread_cond_t wake;
    pthread_cond_t hurry; /* half full, or stopping: gather no longer */
    pthread_t thread;
    pthread_cond_t over; /* ended */
    bool running, stopping, ended, abandoned;
    struct queue filling;
    struct queue writing; /* the writer's own */
    struct list sinks;
    struct log_sink *reopen, *closing; /* for the writer to do */
    uint64_t dropped_told;             /* the writer's */
} writer = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .sinks = {&writer.sinks, &writer.sinks},
};

static size_t aligned(size_t offset)
{
    return (offset + _Alignof(struct entry) - 1) & ~(_Alignof(struct entry) - 1);
}

/* False: no room. */
static bool queue_append(struct queue *queue, struct log_sink *sink, struct span lines)
{
    bool extends = queue->last && queue->last->sink == sink;
    size_t at = extends ? queue->end : aligned(queue->end) + sizeof(struct entry);
    if (lines.len > QUEUE_BYTES || at > QUEUE_BYTES - lines.len)
        return false;
    if (!extends) {
        queue->last = (struct entry *)(void *)(queue->bytes + at - sizeof(struct entry));
        *queue->last = (struct entry){.sink = sink};
    }
    memcpy(queue->bytes + at, lines.ptr, lines.len);
    queue->last->len += lines.len;
    queue->end = at + lines.len;
    return true;
}

static void queue_write(struct queue *queue)
{
    for (size_t at = 0; at < queue->end;) {
        const struct entry *entry = (const struct entry *)(void *)(queue->bytes + at);
        at += sizeof(*entry);
        sink_write(entry->sink, span_of(queue->bytes + at, entry->len));
        at = aligned(at + entry->len);
    }
    queue->end = 0;
    queue->last = NULL;
}

void log_sink_write(struct log_sink *sink, struct span lines)
{
    if (lines.len == 0)
        return;
    pthread_mutex_lock(&writer.lock);
    if (writer.abandoned) {
        sink_count_dropped(lines);
    } else if (!writer.running) {
        sink_write(sink, lines);
    } else {
        size_t before = writer.filling.end;
        if (!queue_append(&writer.filling, sink, lines))
            sink_count_dropped(lines);
        if (before == 0)
            pthread_cond_signal(&writer.wake);
        if (before < QUEUE_BYTES / 2 && writer.filling.end >= QUEUE_BYTES / 2)
            pthread_cond_signal(&writer.hurry);
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_writer_stderr(struct span lines)
{
    log_sink_write(&sink_stderr, lines);
}

static void say(enum log_level level, const char *message)
{
    char line[4096];
    sink_write(&sink_stderr, span_of(line, log_line(level, message, line, sizeof(line))));
}

static void reopen(struct log_sink *sink)
{
    if (sink_reopen(sink))
        return;
    char message[512];
    snprintf(message, sizeof(message),
             "a log file cannot be opened anew, the old one stays in use path=%.256s error=\"%s\"",
             sink->path, strerrordesc_np(errno));
    say(LOG_LEVEL_ERROR, message);
}

static void reopen_all(struct log_sink *sink)
{
    while (sink) {
        struct log_sink *next = sink->reopen;
        reopen(sink);
        pthread_mutex_lock(&writer.lock);
        sink->reopening = false; // From here it may be put on the next such list.
        pthread_mutex_unlock(&writer.lock);
        sink = next;
    }
}

static void free_all(struct log_sink *sink)
{
    while (sink) {
        struct log_sink *next = sink->closing;
        sink_free(sink);
        sink = next;
    }
}

static void tell_dropped(void)
{
    uint64_t dropped = log_dropped();
    if (dropped == writer.dropped_told || sink_stderr.stuck)
        return;
    char message[128];
    snprintf(message, sizeof(message),
             "log lines were dropped, they could not be written in time lines=%ju",
             (uintmax_t)(dropped - writer.dropped_told));
    writer.dropped_told = dropped;
    say(LOG_LEVEL_WARNING, message);
}

/* Under the lock: waits until there is something to do, and a little longer for more of it. */
static void writer_wait(void)
{
    while (writer.filling.end == 0 && !writer.reopen && !writer.closing && !writer.stopping)
        pthread_cond_wait(&writer.wake, &writer.lock);
    if (writer.stopping || writer.filling.end >= QUEUE_BYTES / 2)
        return;
    int64_t until_us = clock_mono_us() + GATHER_MS * INT64_C(1000);
    struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    pthread_cond_clockwait(&writer.hurry, &writer.lock, CLOCK_MONOTONIC, &until);
}

static void *writer_run(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&writer.lock);
    for (bool last = false; !last;) {
        writer_wait();
        last = writer.stopping;
        struct queue taken = writer.filling;
        writer.filling = writer.writing;
        writer.writing = taken;
        struct log_sink *to_reopen = writer.reopen, *to_free = writer.closing;
        writer.reopen = writer.closing = NULL;
        pthread_mutex_unlock(&writer.lock);
        queue_write(&writer.writing);
        tell_dropped();
        reopen_all(to_reopen);
        free_all(to_free);
        pthread_mutex_lock(&writer.lock);
    }
    writer.ended = true;
    pthread_cond_signal(&writer.over);
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

static bool queue_init(struct queue *queue)
{
    *queue = (struct queue){.bytes = malloc(QUEUE_BYTES)};
    return queue->bytes != NULL;
}

static void queue_fini(struct queue *queue)
{
    free(queue->bytes);
    *queue = (struct queue){0};
}

bool log_start(void)
{
    struct stat status;
    if (writer.running || writer.abandoned)
        return writer.running;
    if (fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode))
        sink_stderr.kind = SINK_FILE;
    pthread_cond_init(&writer.wake, NULL);
    pthread_cond_init(&writer.hurry, NULL);
    pthread_cond_init(&writer.over, NULL);
    writer.stopping = writer.ended = false;
    writer.running = queue_init(&writer.filling) && queue_init(&writer.writing);
    if (!writer.running || !thread_start(&writer.thread, "log", writer_run, NULL)) {
        writer.running = false;
        queue_fini(&writer.filling);
        queue_fini(&writer.writing);
        return false;
    }
    return true;
}

/* True: the writer has ended, all is written but what came in the meantime. (pthread_clockjoin_np would do,
 * but gcc 12's ThreadSanitizer does not know it, and takes the thread for one that nobody waited for.) */
static bool writer_join(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_MS / 1000;
    pthread_mutex_lock(&writer.lock);
    int error = 0;
    while (!writer.ended && error == 0)
        error = pthread_cond_clockwait(&writer.over, &writer.lock, CLOCK_MONOTONIC, &until);
    bool ended = writer.ended;
    pthread_mutex_unlock(&writer.lock);
    return ended && pthread_join(writer.thread, NULL) == 0;
}

/* Under the lock, without a writer: what was asked of it after its last round. */
static void writer_do_late(void)
{
    queue_write(&writer.filling);
    for (struct log_sink *sink = writer.reopen; sink; sink = sink->reopen) {
        reopen(sink);
        sink->reopening = false;
    }
    free_all(writer.closing);
    writer.reopen = writer.closing = NULL;
    queue_fini(&writer.filling);
    queue_fini(&writer.writing);
    pthread_cond_destroy(&writer.wake);
    pthread_cond_destroy(&writer.hurry);
}

void log_stop(void)
{
    pthread_mutex_lock(&writer.lock);
    bool running = writer.running;
    writer.stopping = true;
    if (running) {
        pthread_cond_signal(&writer.wake);
        pthread_cond_signal(&writer.hurry);
    }
    pthread_mutex_unlock(&writer.lock);
    if (!running)
        return;
    bool ended = writer_join();
    pthread_mutex_lock(&writer.lock);
    writer.running = false;
    writer.abandoned = !ended;
    if (ended)
        writer_do_late();
    pthread_mutex_unlock(&writer.lock);
}

struct log_sink *log_sink_open(const char *target, const char **error)
{
    struct log_sink *sink = sink_new(target, error);
    if (!sink || sink == &sink_stderr)
        return sink;
    pthread_mutex_lock(&writer.lock);
    list_push_back(&writer.sinks, &sink->node);
    pthread_mutex_unlock(&writer.lock);
    return sink;
}

void log_sink_close(struct log_sink *sink)
{
    if (!sink || sink == &sink_stderr)
        return;
    pthread_mutex_lock(&writer.lock);
    list_remove(&sink->node);
    bool to_writer = writer.running;
    if (to_writer) {
        sink->closing = writer.closing;
        writer.closing = sink;
        pthread_cond_signal(&writer.wake);
    }
    pthread_mutex_unlock(&writer.lock);
    if (!to_writer && !writer.abandoned)
        sink_free(sink);
}

void log_reopen(void)
{
    pthread_mutex_lock(&writer.lock);
    list_each(node, &writer.sinks)
    {
        struct log_sink *sink = container_of(node, struct log_sink, node);
        if (!sink->path || sink->reopening)
            continue;
        if (!writer.running) {
            reopen(sink);
            continue;
        }
        sink->reopening = true;
        sink->reopen = writer.reopen;
        writer.reopen = sink;
    }
    if (writer.running)
        pthread_cond_signal(&writer.wake);
    pthread_mutex_unlock(&writer.lock);
}
