// SPDX-License-Identifier: Apache-2.0
/*
 * A live view of a running limpet: servers, transports and rates, once a second, from `show info`
 * and `show stat`. Plain control sequences that every terminal of today knows, no library: one frame
 * is written at once, line by line over the last one, so that nothing flickers.
 *
 *     enter: other screen, no cursor, no echo ─► frame … frame ─► leave: all as it was
 *
 * The terminal is restored on every way out: q, SIGINT, SIGTERM, SIGHUP, and for the time of a
 * SIGTSTP. Signals only set a flag; ppoll lets them in while it waits. When stdout is no terminal,
 * one frame is printed as plain text.
 */
#include "lb/cli_top.h"

#include "base/clock.h"
#include "base/ctl.h"
#include "base/mem.h"
#include "lb/cli_ctl.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_MS = 1000, PATIENCE_S = 5, ROWS_MAX = 4096, NAME_WIDTH = 24 };

static const char usage[] = "usage: limpet top [-s SOCKET]\n"
                            "Shows servers, transports and rates once a second.\n"
                            "  -s, --socket SOCKET   the runtime socket (" CTL_DEFAULT_SOCKET ")\n"
                            "Keys: q ends it.\n";

/* Columns of `show stat` that are looked at. */
enum column {
    PXNAME,
    SVNAME,
    QCUR,
    SCUR,
    STATUS,
    WEIGHT,
    RATE,
    REQ_RATE,
    HRSP_5XX,
    ECON,
    CHECK,
    SIDS,
    POLLING,
    WEBSOCKET,
    HANDSHAKES,
    UPGRADES,
    MISSES,
    DEAD,
    TYPE,
    COLUMNS
};
static const char *const column_names[COLUMNS] = {"pxname",
                                                  "svname",
                                                  "qcur",
                                                  "scur",
                                                  "status",
                                                  "weight",
                                                  "rate",
                                                  "req_rate",
                                                  "hrsp_5xx",
                                                  "econ",
                                                  "check_status",
                                                  "sio_sids",
                                                  "sio_polling",
                                                  "sio_websocket",
                                                  "sio_handshakes_tot",
                                                  "sio_upgrades_tot",
                                                  "sio_sid_miss_tot",
                                                  "sio_dead_owner_tot",
                                                  "type"};

struct row {
    struct span value[COLUMNS]; /* in the answer */
};

/* An answer, taken apart. */
struct view {
    struct text answer;
    struct span info;
    struct row *rows;
    size_t count;
    int64_t at_ms;
};

struct top {
    const char *path;
    struct view now, before;
    int width, height;
    bool plain; /* no terminal */
};

static atomic_int signalled, stopped; /* the last signal that ends or suspends us */

static void on_signal(int signo)
{
    if (signo == SIGTSTP)
        stopped = 1;
    else if (signo != SIGWINCH)
        signalled = signo;
}

/* ---- taking the answer apart ---- */

static int64_t number(const struct row *row, enum column column)
{
    uint64_t value;
    return row && span_to_u64(row->value[column], &value) ? (int64_t)value : 0;
}

static void view_free(struct view *view)
{
    text_free(&view->answer);
    free(view->rows);
    *view = (struct view){0};
}

static struct row row_parse(struct span line, const int *places)
{
    struct row row = {0};
    for (int at = 0; line.ptr != NULL; at++) {
        struct span value = span_cut(&line, ',');
        for (enum column column = 0; column < COLUMNS; column++) {
            if (places[column] == at)
                row.value[column] = value;
        }
    }
    return row;
}

static void places_find(struct span head, int *places)
{
    for (enum column column = 0; column < COLUMNS; column++)
        places[column] = -1;
    if (span_starts(head, SPAN("# ")))
        head = span_from(head, 2);
    for (int at = 0; head.ptr != NULL; at++) {
        struct span name = span_cut(&head, ',');
        for (enum column column = 0; column < COLUMNS; column++) {
            if (span_eq(name, span_str(column_names[column])))
                places[column] = at;
        }
    }
}

static bool view_take(struct view *view, const char *path)
{
    view->at_ms = clock_mono_ms();
    if (!ctl_ask(path, SPAN("show info;show stat\n"), PATIENCE_S, &view->answer))
        return false;
    struct span text = span_of(view->answer.data, view->answer.len);
    size_t end = span_find(text, SPAN("\n\n"));
    view->rows = calloc(ROWS_MAX, sizeof(*view->rows));
    if (end == SIZE_MAX || view->rows == NULL) {
        errno = end == SIZE_MAX ? EPROTO : ENOMEM;
        return false;
    }
    view->info = span_upto(text, end + 1);
    struct span rest = span_from(text, end + 2);
    int places[COLUMNS];
    places_find(span_cut(&rest, '\n'), places);
    while (rest.len > 0 && view->count < ROWS_MAX) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > 0)
            view->rows[view->count++] = row_parse(line, places);
    }
    return true;
}

/* The value behind "key: " of show info. */
static struct span info_value(const struct view *view, const char *key)
{
    struct span rest = view->info;
    while (rest.len > 0) {
        struct span value = span_cut(&rest, '\n');
        if (span_eq(span_cut(&value, ':'), span_str(key)))
            return span_trim(value);
    }
    return SPAN("?");
}

static const struct row *row_before(const struct top *top, const struct row *row)
{
    for (size_t i = 0; i < top->before.count; i++) {
        const struct row *old = &top->before.rows[i];
        if (span_eq(old->value[PXNAME], row->value[PXNAME]) &&
            span_eq(old->value[SVNAME], row->value[SVNAME]))
            return old;
    }
    return NULL;
}

/* Growth of a counter per second; 0 without an earlier view. */
static double per_second(const struct top *top, const struct row *row, enum column column)
{
    const struct row *old = row_before(top, row);
    int64_t elapsed_ms = top->now.at_ms - top->before.at_ms;
    int64_t grown = number(row, column) - number(old, column);
    return old && elapsed_ms > 0 && grown > 0 ? (double)grown * 1000 / (double)elapsed_ms : 0;
}

/* ---- a frame ---- */

/* A line of at most the screen's width; bytes are one column each (names are ASCII). */
static void line_add(const struct top *top, struct text *out, const char *style,
                     const struct text *line)
{
    size_t len = line->len;
    if (!top->plain && len > (size_t)top->width)
        len = (size_t)top->width;
    if (!top->plain)
        text_addf(out, "%s", style);
    text_add(out, span_of(line->data, len));
    text_add(out, top->plain ? SPAN("\n") : SPAN("\033[0m\033[K\r\n"));
}

static void add_head(const struct top *top, struct text *out)
{
    const struct view *view = &top->now;
    struct text line = {0};
    char now[16];
    time_t s = time(NULL);
    struct tm tm;
    strftime(now, sizeof(now), "%H:%M:%S", localtime_r(&s, &tm));
    struct span node = info_value(view, "node"), version = info_value(view, "Version");
    struct span up = info_value(view, "Uptime"), conns = info_value(view, "CurrConns");
    struct span max = info_value(view, "Maxconn"), rate = info_value(view, "ConnRate");
    struct span idle = info_value(view, "Idle_pct");
    text_addf(&line, "limpet %.*s on %.*s  up %.*s  %s", SPAN_ARG(version), SPAN_ARG(node),
              SPAN_ARG(up), now);
    line_add(top, out, "\033[1m", &line);
    line.len = 0;
    text_addf(&line, "connections %.*s of %.*s  new/s %.*s  tunnels %.*s  polls %.*s  ",
              SPAN_ARG(conns), SPAN_ARG(max), SPAN_ARG(rate), SPAN_ARG(info_value(view, "Tunnels")),
              SPAN_ARG(info_value(view, "Polls")));
    text_addf(&line, "sessions %.*s  idle %.*s%%", SPAN_ARG(info_value(view, "Sid_entries")),
              SPAN_ARG(idle));
    if (!span_eq(info_value(view, "Stopping"), SPAN("0")))
        text_add(&line, SPAN("  STOPPING"));
    line_add(top, out, "", &line);
    line.len = 0;
    line_add(top, out, "", &line);
    text_free(&line);
}

static int64_t total(const struct top *top, struct span proxy, enum column column)
{
    for (size_t i = 0; i < top->now.count; i++) {
        const struct row *row = &top->now.rows[i];
        if (span_eq(row->value[PXNAME], proxy) && span_eq(row->value[SVNAME], SPAN("BACKEND")))
            return number(row, column);
    }
    return 0;
}

static void add_frontends(const struct top *top, struct text *out)
{
    struct text line = {0};
    text_addf(&line, "%-*s %-10s %8s %8s %8s", NAME_WIDTH, "FRONTEND", "STATUS", "CONNS", "NEW/S",
              "REQ/S");
    line_add(top, out, "\033[7m", &line);
    for (size_t i = 0; i < top->now.count; i++) {
        const struct row *row = &top->now.rows[i];
        if (!span_eq(row->value[SVNAME], SPAN("FRONTEND")))
            continue;
        line.len = 0;
        text_addf(&line, "%-*.*s %-10.*s %8lld %8lld %8lld", NAME_WIDTH,
                  SPAN_ARG(span_upto(row->value[PXNAME], NAME_WIDTH)), SPAN_ARG(row->value[STATUS]),
                  (long long)number(row, SCUR), (long long)number(row, RATE),
                  (long long)number(row, REQ_RATE));
        line_add(top, out, "", &line);
    }
    line.len = 0;
    line_add(top, out, "", &line);
    text_free(&line);
}

static const char *row_style(const struct row *row)
{
    struct span status = row->value[STATUS];
    if (span_starts(status, SPAN("DOWN")))
        return "\033[31m";
    if (span_starts(status, SPAN("MAINT")) || span_starts(status, SPAN("DRAIN")) ||
        span_starts(status, SPAN("NOLB")))
        return "\033[33m";
    return number(row, TYPE) == 1 ? "\033[1m" : "";
}

static void add_server(const struct top *top, const struct row *row, struct text *out)
{
    struct text line = {0};
    char name[256];
    snprintf(name, sizeof(name), "%.*s/%.*s", SPAN_ARG(span_upto(row->value[PXNAME], 100)),
             SPAN_ARG(span_upto(row->value[SVNAME], 100)));
    int64_t sids = number(row, SIDS), all = total(top, row->value[PXNAME], SIDS);
    int64_t weight = number(row, WEIGHT), weights = total(top, row->value[PXNAME], WEIGHT);
    bool whole = number(row, TYPE) == 1;
    text_addf(&line, "%-*.*s %-10.*s %6lld %7lld %4lld%% %4lld%% ", NAME_WIDTH, NAME_WIDTH, name,
              SPAN_ARG(span_upto(row->value[STATUS], 10)), (long long)weight, (long long)sids,
              (long long)(all > 0 ? sids * 100 / all : 0),
              (long long)(whole         ? 100
                          : weights > 0 ? weight * 100 / weights
                                        : 0));
    text_addf(&line, "%6lld %6lld %6lld %5lld %7lld ", (long long)number(row, POLLING),
              (long long)number(row, WEBSOCKET), (long long)number(row, SCUR),
              (long long)number(row, QCUR), (long long)number(row, RATE));
    text_addf(&line, "%7.1f %6.1f %5.1f %s%.*s", per_second(top, row, HANDSHAKES),
              per_second(top, row, UPGRADES),
              per_second(top, row, HRSP_5XX) + per_second(top, row, ECON), "",
              SPAN_ARG(row->value[CHECK]));
    line_add(top, out, row_style(row), &line);
    text_free(&line);
}

static void add_servers(const struct top *top, struct text *out)
{
    struct text line = {0};
    text_addf(&line, "%-*s %-10s %6s %7s %5s %5s %6s %6s %6s %5s %7s %7s %6s %5s %s", NAME_WIDTH,
              "SERVER", "STATUS", "WEIGHT", "SIDS", "SHARE", "DUE", "POLL", "WS", "NOW", "QUEUE",
              "REQ/S", "HANDS/S", "UPGR/S", "ERR/S", "CHECK");
    line_add(top, out, "\033[7m", &line);
    for (size_t i = 0; i < top->now.count; i++) {
        if (number(&top->now.rows[i], TYPE) > 0)
            add_server(top, &top->now.rows[i], out);
    }
    text_free(&line);
}

/* Not more lines than the screen has: the last one would scroll it. */
static void frame_cut(struct text *frame, int height)
{
    int lines = 0;
    for (size_t i = 0; i < frame->len; i++) {
        if (frame->data[i] != '\n')
            continue;
        lines++;
        if (lines == height) {
            frame->len = i - 1;
            return;
        }
    }
}

static bool put(const struct text *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(STDOUT_FILENO, text->data + at, text->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool draw(struct top *top, const char *problem)
{
    struct text frame = {0};
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        top->width = size.ws_col;
        top->height = size.ws_row;
    }
    if (!top->plain)
        text_add(&frame, SPAN("\033[H"));
    if (problem) {
        struct text line = {0};
        text_addf(&line, "limpet top: %s: %s, trying again", top->path, problem);
        line_add(top, &frame, "\033[7m", &line);
        text_free(&line);
    } else {
        add_head(top, &frame);
        add_frontends(top, &frame);
        add_servers(top, &frame);
    }
    if (!top->plain) {
        frame_cut(&frame, top->height);
        text_add(&frame, SPAN("\033[0m\033[J"));
    }
    bool ok = put(&frame);
    text_free(&frame);
    return ok;
}

/* ---- the terminal ---- */

static void put_string(const char *string)
{
    ssize_t written = write(STDOUT_FILENO, string, strlen(string));
    (void)written;
}

static void terminal_enter(const struct termios *before)
{
    struct termios raw = *before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    put_string("\033[?1049h\033[?25l\033[2J");
}

static void terminal_leave(const struct termios *before)
{
    put_string("\033[?25h\033[?1049l");
    tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
}

static void signals_catch(sigset_t *waiting)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < array_len(signals); i++) {
        sigaddset(&blocked, signals[i]);
        sigaction(signals[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, waiting);
}

/* Waits for the next frame, a key or a signal. False: the end is wanted. */
static bool wait_key(const sigset_t *waiting, int64_t until_ms)
{
    int64_t left = until_ms - clock_mono_ms();
    struct timespec time = {.tv_sec = left > 0 ? left / 1000 : 0,
                            .tv_nsec = left > 0 ? left % 1000 * 1000000 : 0};
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (ppoll(&input, 1, &time, waiting) <= 0)
        return signalled == 0;
    char key = 'q';
    ssize_t n = read(STDIN_FILENO, &key, 1);
    return n == 1 && key != 'q' && key != 'Q' && signalled == 0;
}

static void suspend(const struct termios *before)
{
    stopped = 0;
    terminal_leave(before);
    raise(SIGSTOP);
    terminal_enter(before);
}

static const char *refresh(struct top *top)
{
    view_free(&top->before);
    top->before = top->now;
    top->now = (struct view){0};
    return view_take(&top->now, top->path) ? NULL : strerror(errno);
}

static int top_live(struct top *top)
{
    struct termios before;
    sigset_t waiting;
    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        perror("limpet top: stdin");
        return 2;
    }
    signals_catch(&waiting);
    terminal_enter(&before);
    int64_t next_ms = 0;
    const char *problem = NULL;
    for (;;) {
        if (clock_mono_ms() >= next_ms) {
            problem = refresh(top);
            next_ms = clock_mono_ms() + EVERY_MS;
        }
        if (!draw(top, problem) || !wait_key(&waiting, next_ms))
            break;
        if (stopped)
            suspend(&before);
    }
    terminal_leave(&before);
    return 0;
}

static int top_once(struct top *top)
{
    const char *problem = refresh(top);
    if (problem)
        fprintf(stderr, "limpet top: %s: %s\n", top->path, problem);
    else
        draw(top, NULL);
    return problem ? 2 : 0;
}

int cli_top(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct top top = {.path = CTL_DEFAULT_SOCKET, .width = 80, .height = 24};
    optind = 0;
    for (;;) {
        int option = getopt_long(argc, argv, "s:h", options, NULL);
        if (option < 0)
            break;
        if (option != 's') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 1;
        }
        top.path = optarg;
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 1;
    }
    top.plain = !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    int code = top.plain ? top_once(&top) : top_live(&top);
    view_free(&top.now);
    view_free(&top.before);
    return code;
}
