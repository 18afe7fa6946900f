// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime socket from the command line. Before the command goes `set severity-output number`,
 * so that a message tells by its number whether it is an error; the numbers are taken off what is
 * printed. An unknown command is only "info" in HAProxy's dialect, for us it is an error.
 *
 *     sent:      set severity-output number;COMMAND
 *     answered:  <empty line> [3]: No such server. <empty line>
 *
 * A message stands at the beginning of an answer, and answers are separated by empty lines.
 */
#include "base/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EXIT_ERROR = 1, EXIT_SYSTEM = 2, PATIENCE_S = 60 };

static int ctl_failed(const char *program, const char *what, const char *path)
{
    fprintf(stderr, "%s ctl: %s %s: %s\n", program, what, path, strerror(errno));
    return EXIT_SYSTEM;
}

/* -1: errno */
static int ctl_connect(const char *path, int patience_s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct timeval patience = {.tv_sec = patience_s};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool ctl_send(int fd, const struct text *line)
{
    for (size_t at = 0; at < line->len;) {
        ssize_t sent = send(fd, line->data + at, line->len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        at += (size_t)sent;
    }
    return true;
}

static bool ctl_receive(int fd, struct text *answer)
{
    for (;;) {
        char block[16 * 1024];
        ssize_t got = recv(fd, block, sizeof(block), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        text_add(answer, span_of(block, (size_t)got));
    }
}

/* Prints an answer's line without its "[3]: "; true when that, or its text, says error. */
static bool ctl_print_line(struct span line, bool may_be_message)
{
    bool severe = false;
    if (may_be_message && line.len >= 5 && line.ptr[0] == '[' && line.ptr[1] >= '0' &&
        line.ptr[1] <= '7' && span_starts(span_from(line, 2), SPAN("]: "))) {
        severe = line.ptr[1] <= '3';
        line = span_from(line, 5);
        severe = severe || span_starts(line, SPAN("Unknown command"));
    }
    fwrite(line.ptr, 1, line.len, stdout);
    putchar('\n');
    return severe;
}

/* Prints all answers, with an empty line between two. True when one is an error. */
static bool ctl_print(struct span text)
{
    bool severe = false, first_line = true, waiting_blank = false;
    // The answer to `set severity-output number`, and the end of the last answer.
    if (span_starts(text, SPAN("\n")))
        text = span_from(text, 1);
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n');
        if (waiting_blank)
            putchar('\n');
        waiting_blank = line.len == 0;
        if (line.len > 0 && ctl_print_line(line, first_line))
            severe = true;
        first_line = line.len == 0;
    }
    return severe;
}

bool ctl_ask(const char *path, struct span line, int patience_s, struct text *answer)
{
    int fd = ctl_connect(path, patience_s);
    if (fd < 0)
        return false;
    struct text out = {0};
    text_add(&out, line);
    bool ok = !out.failed && ctl_send(fd, &out) && shutdown(fd, SHUT_WR) == 0 &&
              ctl_receive(fd, answer);
    int error = errno;
    text_free(&out);
    close(fd);
    errno = error;
    return ok;
}

static int ctl_run(const char *program, const char *path, const struct text *line)
{
    int fd = ctl_connect(path, PATIENCE_S);
    if (fd < 0)
        return ctl_failed(program, "cannot connect to", path);
    struct text answer = {0};
    int code = EXIT_SYSTEM;
    if (!ctl_send(fd, line) || shutdown(fd, SHUT_WR) < 0 || !ctl_receive(fd, &answer)) {
        ctl_failed(program, "no answer from", path);
    } else if (answer.failed) {
        fprintf(stderr, "%s ctl: not enough memory for the answer\n", program);
    } else if (answer.len == 0) {
        fprintf(stderr, "%s ctl: no answer from %s: it closed the connection\n", program, path);
    } else {
        code = ctl_print(span_of(answer.data, answer.len)) ? EXIT_ERROR : 0;
        if (fflush(stdout) != 0)
            code = ctl_failed(program, "cannot write to", "stdout");
    }
    close(fd);
    text_free(&answer);
    return code;
}

int ctl_command(const char *program, const char *path, char *const *words, int count)
{
    struct text line = {0};
    text_add(&line, SPAN("set severity-output number;"));
    for (int i = 0; i < count; i++)
        text_addf(&line, "%s%s", i > 0 ? " " : "", words[i]);
    text_add(&line, SPAN("\n"));
    int code = ctl_run(program, path, &line);
    text_free(&line);
    return code;
}
