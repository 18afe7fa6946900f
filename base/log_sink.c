// SPDX-License-Identifier: Apache-2.0
/*
 * Where lines end up: files, streams (stderr, pipes, terminals) and syslog.
 *
 * A stream's reader may have stopped, so poll is asked before every write, and no more is written
 * than a pipe with room takes without blocking. (Its descriptor cannot be made non-blocking: it is
 * shared with other processes.) A stream that stays unwritable for a second is stuck: it loses its
 * lines at once until it can be written again, so that the others go on.
 */
#include "base/log_sink.h"

#include "base/clock.h"
#include "base/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STUCK_MS = 1000,  /* how long a stream may be unwritable */
    PIPE_STEP = 4096, /* PIPE_BUF: what a writable pipe takes at once */
    DATAGRAM_MAX = 8192,
};

struct log_sink sink_stderr = {
    .node = {&sink_stderr.node, &sink_stderr.node},
    .kind = SINK_STREAM,
    .fd = STDERR_FILENO,
};

static atomic_uint_fast64_t dropped_lines;

void sink_count_dropped(struct span lines)
{
    uint64_t count = lines.len == 0;
    while (lines.len > 0) {
        span_cut(&lines, '\n');
        count++;
    }
    atomic_fetch_add_explicit(&dropped_lines, count, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&dropped_lines, memory_order_relaxed);
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
            sink_count_dropped(bytes);
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
        sink_count_dropped(bytes);
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
            sink_count_dropped(line);
    }
}

void sink_write(struct log_sink *sink, struct span lines)
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

void sink_free(struct log_sink *sink)
{
    if (sink->fd >= 0)
        close(sink->fd);
    free(sink->path);
    free(sink);
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

bool sink_reopen(struct log_sink *sink)
{
    int fd = open_file(sink->path);
    if (fd < 0)
        return false;
    close(sink->fd);
    sink->fd = fd;
    return true;
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

struct log_sink *sink_new(const char *target, const char **error)
{
    static const char syslog[] = "syslog:";
    if (strcmp(target, "stderr") == 0)
        return &sink_stderr;
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
        sink_free(sink);
        return NULL;
    }
    list_init(&sink->node);
    return sink;
}
