// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that writes, and the sinks that it writes to.
 *
 *     any thread ── append under a short lock ──► filling ──┐ swapped when the writer comes
 *                                                 writing ──┴──► files, stderr, syslog
 *
 * Producers only ever copy into `filling`; when it is full the lines are dropped and counted. The
 * first line in an empty queue wakes the writer, which then lets a few milliseconds pass so that
 * one wake-up and one write serve many lines.
 *
 * The writer must survive a reader that has stopped: it asks poll before it writes to anything but
 * a file, and writes no more than a pipe with room takes without blocking. A sink that stays
 * unwritable for a second loses its lines until it can be written again; the others go on.
 *
 * A sink is freed by the writer, after the lines that were queued before log_sink_close. Without a
 * writer (before log_start, after log_stop) everything is done by the caller, under the lock.
 */
#include "base/log_writer.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/net.h"
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_BYTES = 1024 * 1024, /* each of two; only touched pages cost memory */
    GATHER_MS = 5,             /* how long lines wait for company */
    STUCK_MS = 1000,           /* how long a sink may be unwritable */
    STOP_MS = 1000,            /* how long log_stop waits */
    PIPE_STEP = 4096,          /* PIPE_BUF: what a writable pipe takes at once */
    DATAGRAM_MAX = 8192,
};

enum sink_kind { SINK_FILE, SINK_STREAM, SINK_SYSLOG };

struct log_sink {
    struct list node; /* in writer.sinks */
    enum sink_kind kind;
    int fd;
    char *path;               /* to be opened anew by log_reopen; NULL for others */
    struct addr addr;         /* of syslog */
    bool stuck;               /* was unwritable for too long */
    bool torn;                /* the last thing written was a part of a line */
    struct log_sink *reopen;  /* next to be reopened, while on that list */
    struct log_sink *closing; /* next to be freed, likewise */
    bool reopening;
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

static struct log_sink stderr_sink = {
    .node = {&stderr_sink.node, &stderr_sink.node},
    .kind = SINK_STREAM,
    .fd = STDERR_FILENO,
};

static struct {
    pthread_mutex_t lock; /* guards all below but `dropped` and the queue that is being written */
    pthread_cond_t wake;
    pthread_cond_t hurry; /* half full, or stopping: gather no longer */
    pthread_t thread;
    bool running, stopping, abandoned;
    struct queue filling;
    struct queue writing; /* the writer's own */
    struct list sinks;
    struct log_sink *reopen, *closing; /* for the writer to do */
    atomic_uint_fast64_t dropped;
    uint64_t dropped_told; /* the writer's */
} writer = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .sinks = {&writer.sinks, &writer.sinks},
};

static void drop(struct span lines)
{
    uint64_t count = 0;
    while (lines.len > 0) {
        span_cut(&lines, '\n');
        count++;
    }
    atomic_fetch_add_explicit(&writer.dropped, count, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&writer.dropped, memory_order_relaxed);
}

/* Bytes that the descriptor took; 0 with errno when none. */
static size_t write_some(int fd, struct span bytes)
{
    ssize_t written = write(fd, bytes.ptr, bytes.len);
    return written > 0 ? (size_t)written : 0;
}

static bool passing_error(int error)
{
    return error == EINTR || error == EAGAIN;
}

static void sink_write_file(struct log_sink *sink, struct span bytes)
{
    while (bytes.len > 0) {
        size_t written = write_some(sink->fd, bytes);
        if (written == 0 && !passing_error(errno)) {
            drop(bytes);
            return;
        }
        bytes = span_from(bytes, written);
    }
}

static bool sink_wait(struct log_sink *sink)
{
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLOUT};
    int ready = poll(&poll_fd, 1, sink->stuck ? 0 : STUCK_MS);
    sink->stuck = ready == 0;
    return ready > 0 && !(poll_fd.revents & (POLLERR | POLLNVAL));
}

/* The next piece to write: whole lines where possible. */
static struct span next_piece(struct span bytes)
{
    struct span piece = span_upto(bytes, PIPE_STEP);
    const char *newline = memrchr(piece.ptr, '\n', piece.len);
    return newline ? span_upto(piece, (size_t)(newline - piece.ptr) + 1) : piece;
}

static void sink_write_stream(struct log_sink *sink, struct span bytes)
{
    bool inside = false; // The last byte written was inside a line.
    while (bytes.len > 0 && sink_wait(sink)) {
        struct span piece = sink->torn ? SPAN("\n") : next_piece(bytes);
        size_t written = write_some(sink->fd, piece);
        if (written == 0 && !passing_error(errno))
            break;
        if (sink->torn) {
            sink->torn = written == 0;
            continue;
        }
        if (written > 0)
            inside = piece.ptr[written - 1] != '\n';
        bytes = span_from(bytes, written);
    }
    if (bytes.len > 0) {
        sink->torn = sink->torn || inside;
        drop(bytes);
    }
}

/* RFC 3164: "<134>Nov 21 20:00:00 limpet[123]: line", 134 = local0.info. */
static void sink_write_syslog(struct log_sink *sink, struct span lines)
{
    char date[32], message[DATAGRAM_MAX];
    time_t seconds = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm);
    while (lines.len > 0) {
        struct span line = span_cut(&lines, '\n');
        int len = snprintf(message, sizeof(message), "<134>%s %s[%d]: %.*s", date, log_program(),
                           (int)getpid(), SPAN_ARG(span_upto(line, DATAGRAM_MAX - 128)));
        if (sendto(sink->fd, message, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL, &sink->addr.any,
                   sink->addr.len) < 0)
            atomic_fetch_add_explicit(&writer.dropped, 1, memory_order_relaxed);
    }
}

static void sink_write_now(struct log_sink *sink, struct span lines)
{
    switch (sink->kind) {
    case SINK_FILE:
        sink_write_file(sink, lines);
        break;
    case SINK_STREAM:
        sink_write_stream(sink, lines);
        break;
    case SINK_SYSLOG:
        sink_write_syslog(sink, lines);
        break;
    }
}

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
        sink_write_now(entry->sink, span_of(queue->bytes + at, entry->len));
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
        drop(lines);
    } else if (!writer.running) {
        sink_write_now(sink, lines);
    } else {
        size_t before = writer.filling.end;
        if (!queue_append(&writer.filling, sink, lines))
            drop(lines);
        if (before == 0)
            pthread_cond_signal(&writer.wake);
        if (before < QUEUE_BYTES / 2 && writer.filling.end >= QUEUE_BYTES / 2)
            pthread_cond_signal(&writer.hurry);
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_writer_stderr(struct span lines)
{
    log_sink_write(&stderr_sink, lines);
}

static void sink_free(struct log_sink *sink)
{
    close(sink->fd);
    free(sink->path);
    free(sink);
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void sink_reopen(struct log_sink *sink)
{
    int fd = open_file(sink->path);
    if (fd >= 0) {
        close(sink->fd);
        sink->fd = fd;
        return;
    }
    char message[512], line[4096];
    snprintf(message, sizeof(message),
             "a log file cannot be opened anew, the old one stays in use path=%.256s error=\"%s\"",
             sink->path, strerrordesc_np(errno));
    sink_write_now(&stderr_sink,
                   span_of(line, log_line(LOG_LEVEL_ERROR, message, line, sizeof(line))));
}

static void reopen_all(struct log_sink *sink)
{
    while (sink) {
        struct log_sink *next = sink->reopen;
        sink_reopen(sink);
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
    if (dropped == writer.dropped_told || stderr_sink.stuck)
        return;
    char message[128], line[1024];
    snprintf(message, sizeof(message), "log lines were dropped, their reader is too slow lines=%ju",
             (uintmax_t)(dropped - writer.dropped_told));
    writer.dropped_told = dropped;
    sink_write_now(&stderr_sink,
                   span_of(line, log_line(LOG_LEVEL_WARNING, message, line, sizeof(line))));
}

/* Under the lock: waits until there is something to do, and a little longer for more of it. */
static void writer_wait(void)
{
    while (writer.filling.end == 0 && !writer.reopen && !writer.closing && !writer.stopping)
        pthread_cond_wait(&writer.wake, &writer.lock);
    if (writer.stopping || writer.filling.end >= QUEUE_BYTES / 2)
        return;
    int64_t until_us = clock_mono_us() + GATHER_MS * 1000;
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
        struct log_sink *reopen = writer.reopen, *closing = writer.closing;
        writer.reopen = writer.closing = NULL;
        pthread_mutex_unlock(&writer.lock);
        queue_write(&writer.writing);
        tell_dropped();
        reopen_all(reopen);
        free_all(closing);
        pthread_mutex_lock(&writer.lock);
    }
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
        stderr_sink.kind = SINK_FILE;
    pthread_cond_init(&writer.wake, NULL);
    pthread_cond_init(&writer.hurry, NULL);
    writer.stopping = false;
    writer.running = queue_init(&writer.filling) && queue_init(&writer.writing);
    if (!writer.running || !thread_start(&writer.thread, "log", writer_run, NULL)) {
        writer.running = false;
        queue_fini(&writer.filling);
        queue_fini(&writer.writing);
        return false;
    }
    return true;
}

/* True: the writer has ended, all is written but what came in the meantime. */
static bool writer_join(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_MS / 1000;
    return pthread_timedjoin_np(writer.thread, NULL, &until) == 0;
}

/* Under the lock, without a writer: what was asked of it after its last round. */
static void writer_do_late(void)
{
    queue_write(&writer.filling);
    for (struct log_sink *sink = writer.reopen; sink; sink = sink->reopen) {
        sink_reopen(sink);
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

static bool sink_open_file(struct log_sink *sink, const char *path)
{
    struct stat status;
    sink->fd = open_file(path);
    if (sink->fd < 0 || fstat(sink->fd, &status) < 0)
        return false;
    sink->kind = S_ISREG(status.st_mode) ? SINK_FILE : SINK_STREAM;
    sink->path = strdup(path);
    return sink->path != NULL;
}

/* "/dev/log", "HOST:PORT" or "HOST", where the port is 514. NULL, or what is wrong. */
static const char *syslog_address(const char *text, struct addr *out)
{
    static const uint16_t syslog_port = 514;
    struct endpoint endpoint;
    char with_port[300], error[128];
    bool add_port = text[0] != '/' && !strchr(text, ':');
    snprintf(with_port, sizeof(with_port), add_port ? "%s:%u" : "%s", text, syslog_port);
    endpoint_parse(span_str(with_port), false, &endpoint);
    *out = endpoint.addr;
    switch (endpoint.kind) {
    case ENDPOINT_BAD:
        return endpoint.error;
    case ENDPOINT_ADDR:
        return NULL;
    case ENDPOINT_NAME:
        break;
    }
    return resolve_now(endpoint.host, endpoint.port, out, error) ? NULL : "the host is not known";
}

static const char *sink_open_syslog(struct log_sink *sink, const char *address)
{
    const char *error = syslog_address(address, &sink->addr);
    if (error)
        return error;
    sink->kind = SINK_SYSLOG;
    sink->fd = socket(sink->addr.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return sink->fd >= 0 ? NULL : strerrordesc_np(errno);
}

struct log_sink *log_sink_open(const char *target, const char **error)
{
    static const char syslog[] = "syslog:";
    if (strcmp(target, "stderr") == 0)
        return &stderr_sink;
    struct log_sink *sink = calloc(1, sizeof(*sink));
    *error = sink ? NULL : strerrordesc_np(ENOMEM);
    if (!sink)
        return NULL;
    sink->fd = -1;
    if (strncmp(target, syslog, sizeof(syslog) - 1) == 0)
        *error = sink_open_syslog(sink, target + sizeof(syslog) - 1);
    else if (!sink_open_file(sink, target))
        *error = strerrordesc_np(errno);
    if (*error) {
        if (sink->fd >= 0)
            close(sink->fd);
        free(sink);
        return NULL;
    }
    pthread_mutex_lock(&writer.lock);
    list_push_back(&writer.sinks, &sink->node);
    pthread_mutex_unlock(&writer.lock);
    return sink;
}

void log_sink_close(struct log_sink *sink)
{
    if (!sink || sink == &stderr_sink)
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
            sink_reopen(sink);
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
