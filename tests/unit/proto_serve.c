// SPDX-License-Identifier: Apache-2.0
/* proto/serve against real loopback clients: splits, limits, and readers that are slow or silent. */
#include "proto/serve.h"

#include "base/clock.h"
#include "base/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 8 * 1024 * 1024, READ_MAX = 9 * 1024 * 1024 };

static struct loop loop;
static struct shelf *shelf;
static struct serve *serve;
static struct addr addr;
static struct serve_limits limits;
static int asked; /* requests that came through */
static char *inbox;
static size_t inbox_len;

static void answer(void *ctx, const struct serve_request *request, struct serve_answer *out)
{
    (void)ctx;
    asked++;
    if (span_eq(request->path, SPAN("/big"))) {
        out->text = malloc(BIG);
        assert_non_null(out->text);
        memset(out->text, 'x', BIG);
        out->text_len = BIG;
        return;
    }
    if (span_eq(request->path, SPAN("/live"))) {
        out->stream = true;
        out->type = "text/event-stream";
        out->fixed = SPAN("data: hello\n\n");
        return;
    }
    if (span_eq(request->path, SPAN("/no")))
        out->status = 404;
    out->headers = "X-Test: yes\r\n";
    out->text = malloc(1024);
    assert_non_null(out->text);
    int len = snprintf(out->text, 1024, "%s %.*s?%.*s host=%.*s origin=%.*s body=%.*s",
                       request->is_post ? "POST" : "GET", SPAN_ARG(request->path),
                       SPAN_ARG(request->query), SPAN_ARG(request->host), SPAN_ARG(request->origin),
                       SPAN_ARG(request->body));
    out->text_len = (size_t)len;
}

static void serve_begin(void)
{
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int fd = net_listen(&endpoint.addr, 100, false);
    assert_true(fd >= 0 && net_local_addr(fd, &addr));
    serve = serve_new(&loop, shelf, fd, "test", &limits, answer, NULL);
    assert_non_null(serve);
}

static int setup(void **state)
{
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    inbox = malloc(READ_MAX + 1);
    assert_non_null(inbox);
    asked = 0;
    limits = (struct serve_limits){.connections = 20,
                                   .streams = 10,
                                   .waiting = 4 * BIG,
                                   .idle_ms = 5000,
                                   .request_ms = 5000,
                                   .stall_ms = 5000,
                                   .answer_ms = 20000};
    serve_begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    serve_free(serve);
    loop_fini(&loop);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    free(inbox);
    return 0;
}

/* ---- a client ---- */

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        loop_turn(&loop, 1);
}

static int dial(void)
{
    int fd = net_connect(&addr);
    assert_true(fd >= 0);
    turns(3);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    turns(3);
}

static void inbox_clear(void)
{
    inbox_len = 0;
    inbox[0] = '\0';
}

/* Reads what is there. False: the connection's end. */
static bool hear(int fd)
{
    for (;;) {
        ssize_t got = read(fd, inbox + inbox_len, READ_MAX - inbox_len);
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            return false;
        inbox_len += (size_t)got;
        inbox[inbox_len] = '\0';
    }
}

/* Reads until the text is there. */
static void await_text(int fd, const char *text)
{
    int64_t until_ms = clock_mono_ms() + 5000;
    while (strstr(inbox, text) == NULL && clock_mono_ms() < until_ms) {
        loop_turn(&loop, 1);
        if (!hear(fd))
            break;
    }
    if (strstr(inbox, text) == NULL)
        fail_msg("no \"%s\" in \"%.300s\"", text, inbox);
}

static void await_end(int fd)
{
    int64_t until_ms = clock_mono_ms() + 5000;
    while (hear(fd)) {
        assert_true(clock_mono_ms() < until_ms);
        loop_turn(&loop, 1);
    }
    close(fd);
    turns(2);
}

static int count_of(const char *text)
{
    int count = 0;
    for (const char *at = strstr(inbox, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

/* ---- requests ---- */

static void answers_a_get(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    say(fd, "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nOrigin: http://o\r\n\r\n");
    await_text(fd, "GET /a?b=c host=h:1 origin=http://o body=");
    assert_non_null(strstr(inbox, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(inbox, "X-Test: yes\r\n"));
    assert_non_null(strstr(inbox, "Content-Length: "));
    assert_non_null(strstr(inbox, "Date: "));
    assert_null(strstr(inbox, "Connection: close"));
    close(fd);
}

static void head_has_no_body(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    say(fd, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    await_text(fd, "\r\n\r\n");
    turns(3);
    hear(fd);
    assert_null(strstr(inbox, "GET /a"));
    assert_non_null(strstr(inbox, "Content-Length: "));
    say(fd, "GET /no HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    await_text(fd, "HTTP/1.1 404 Not Found\r\n");
    await_end(fd);
    assert_non_null(strstr(inbox, "Connection: close\r\n"));
}

static void bytes_may_drip(void **state)
{
    (void)state;
    static const char request[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345"
                                  "GET /q HTTP/1.1\r\nHost: h\r\n\r\n";
    inbox_clear();
    int fd = dial();
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        assert_int_equal(write(fd, &request[i], 1), 1);
        turns(2);
    }
    await_text(fd, "POST /p? host=h origin= body=12345");
    await_text(fd, "GET /q?");
    close(fd);
}

static void requests_sent_together_are_answered_in_order(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    char many[4096] = "";
    for (int i = 0; i < 50; i++) {
        char one[64];
        snprintf(one, sizeof(one), "GET /n%02d HTTP/1.1\r\nHost: h\r\n\r\n", i);
        strncat(many, one, sizeof(many) - strlen(many) - 1);
    }
    say(fd, many);
    await_text(fd, "GET /n49?");
    assert_int_equal(count_of("HTTP/1.1 200 OK"), 50);
    for (int i = 1; i < 50; i++) {
        char one[16], before[16];
        snprintf(one, sizeof(one), "/n%02d?", i);
        snprintf(before, sizeof(before), "/n%02d?", i - 1);
        assert_true(strstr(inbox, before) < strstr(inbox, one));
    }
    close(fd);
}

static void who_ends_its_side_still_gets_its_answers(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    assert_true(write(fd, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
                      56) == 56);
    shutdown(fd, SHUT_WR);
    await_end(fd);
    assert_int_equal(count_of("HTTP/1.1 200 OK"), 2);
}

static void http_1_0_closes(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    say(fd, "GET /a HTTP/1.0\r\n\r\n");
    await_end(fd);
    assert_non_null(strstr(inbox, "GET /a?"));
    assert_non_null(strstr(inbox, "Connection: close"));
}

/* What is refused, and how. */
static void refuses_what_it_does_not_serve(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
    } rows[] = {
        {"PUT / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 "},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 411 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n", "HTTP/1.1 413 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999\r\n\r\n", "HTTP/1.1 413 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
         "HTTP/1.1 400 "},
        {"\x16\x03\x01 nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/9.1\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        inbox_clear();
        int fd = dial();
        say(fd, rows[i].request);
        await_end(fd);
        if (strncmp(inbox, rows[i].answer, strlen(rows[i].answer)) != 0)
            fail_msg("row %zu: \"%.100s\"", i, inbox);
    }
    assert_int_equal(asked, 0);
}

static void heads_are_bounded(void **state)
{
    (void)state;
    char *head = calloc(1, 64 * 1024);
    assert_non_null(head);
    strcat(head, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    memset(head + strlen(head), 'y', 40 * 1024);
    inbox_clear();
    int fd = dial();
    ssize_t put = write(fd, head, strlen(head));
    assert_true(put > 0);
    await_end(fd);
    assert_non_null(strstr(inbox, "HTTP/1.1 431 "));
    free(head);
    assert_int_equal(asked, 0);
}

static void expectations_are_met(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    await_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    await_text(fd, "body=ok");
    assert_int_equal(count_of("100 Continue"), 1);
    close(fd);
}

/* ---- time and room ---- */

static void restart(void)
{
    serve_free(serve);
    turns(1);
    serve_begin();
}

static void nobody_may_be_idle_or_slow_for_ever(void **state)
{
    (void)state;
    limits.idle_ms = limits.request_ms = 50;
    restart();
    inbox_clear();
    int idle = dial(), slow = dial();
    say(slow, "GET / HTT");
    await_end(idle);
    await_end(slow);
    assert_int_equal(inbox_len, 0);
}

static void the_longest_idle_gives_way(void **state)
{
    (void)state;
    limits.connections = 3;
    restart();
    inbox_clear();
    int first = dial(), second = dial(), third = dial();
    say(first, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"); // Now the second waits longest.
    await_text(first, "/1?");
    int fourth = dial();
    say(fourth, "GET /4 HTTP/1.1\r\nHost: h\r\n\r\n");
    await_text(fourth, "/4?");
    await_end(second);
    close(first);
    close(third);
    close(fourth);
}

static void busy_connections_are_not_disturbed(void **state)
{
    (void)state;
    limits.connections = 2;
    restart();
    inbox_clear();
    int one = dial(), two = dial();
    say(one, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    say(two, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(serve_streams(serve), 2);
    int three = dial();
    say(three, "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    turns(10);
    assert_int_equal(asked, 2);
    close(one); // The place is free, and the third one's turn.
    await_text(three, "/3?");
    close(two);
    close(three);
}

static void a_slow_reader_gets_all_in_the_end(void **state)
{
    (void)state;
    inbox_clear();
    int fd = dial();
    say(fd, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    turns(20);
    int64_t until_ms = clock_mono_ms() + 10000;
    for (bool open = true; open && clock_mono_ms() < until_ms;) {
        ssize_t got = read(fd, inbox + inbox_len, 100000);
        open = got > 0 || (got < 0 && errno == EAGAIN);
        inbox_len += got > 0 ? (size_t)got : 0;
        loop_turn(&loop, 1);
    }
    close(fd);
    assert_true(inbox_len > BIG && inbox_len < BIG + 1024);
}

static void a_silent_reader_is_dropped(void **state)
{
    (void)state;
    limits.stall_ms = 60;
    restart();
    int fd = dial();
    say(fd, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    int64_t until_ms = clock_mono_ms() + 150;
    while (clock_mono_ms() < until_ms)
        loop_turn(&loop, 10);
    inbox_clear();
    await_end(fd);
    assert_true(inbox_len < BIG); // Cut short, for it was not read.
}

static void unread_answers_are_bounded(void **state)
{
    (void)state;
    limits.waiting = BIG + BIG / 2;
    restart();
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial();
        say(fds[i], "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    inbox_clear();
    await_text(fds[3], "HTTP/1.1 503 Service Unavailable\r\n");
    assert_non_null(strstr(inbox, "Retry-After: "));
    assert_int_equal(asked, 2);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

/* ---- streams ---- */

static void events_reach_all_streams(void **state)
{
    (void)state;
    int fds[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = dial();
        say(fds[i], "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    assert_int_equal(serve_streams(serve), 10);
    serve_publish(serve, SPAN("data: one\n\n"), SPAN("data: all\n\n"));
    serve_publish(serve, SPAN_NONE, SPAN("data: all\n\n"));
    serve_publish(serve, SPAN("data: two\n\n"), SPAN("data: all\n\n"));
    for (int i = 0; i < 10; i++) {
        inbox_clear();
        await_text(fds[i], "data: hello\n\ndata: one\n\ndata: two\n\n");
        assert_null(strstr(inbox, "Content-Length"));
        close(fds[i]);
    }
    turns(5);
    assert_int_equal(serve_streams(serve), 0);
}

static void streams_are_bounded(void **state)
{
    (void)state;
    limits.streams = 1;
    restart();
    inbox_clear();
    int one = dial(), two = dial();
    say(one, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    say(two, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    await_end(two);
    assert_non_null(strstr(inbox, "HTTP/1.1 503 "));
    assert_int_equal(serve_streams(serve), 1);
    close(one);
}

/* A reader that stops is passed over, costs one event's memory, and is dropped; others go on. */
static void a_stream_that_does_not_read_is_dropped(void **state)
{
    (void)state;
    static char event[256 * 1024];
    memset(event, 'e', sizeof(event));
    limits.stall_ms = 1000; // the reader is not held up for so long, however busy the machine
    limits.waiting = sizeof(event) * 4;
    restart();
    int silent = dial(), reader = dial();
    say(silent, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    say(reader, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    int64_t until_ms = clock_mono_ms() + 20000;
    int published = 0;
    size_t heard = 0;
    while (serve_streams(serve) == 2 && clock_mono_ms() < until_ms) {
        serve_publish(serve, span_of(event, sizeof(event)), SPAN("all"));
        published++;
        for (int i = 0; i < 30; i++) {
            inbox_clear();
            loop_turn(&loop, 1);
            assert_true(hear(reader));
            heard += inbox_len;
        }
    }
    assert_int_equal(serve_streams(serve), 1);
    assert_true(published > 2 && heard > (size_t)(published - 1) * sizeof(event));
    inbox_clear();
    await_end(silent);
    close(reader);
}

static void who_was_passed_over_gets_everything(void **state)
{
    (void)state;
    static char event[4 * 1024 * 1024];
    memset(event, 'e', sizeof(event));
    inbox_clear();
    int fd = dial();
    say(fd, "GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    serve_publish(serve, span_of(event, sizeof(event)), SPAN_NONE);
    serve_publish(serve, SPAN("data: missed\n\n"), SPAN("data: missed\n\n"));
    int64_t until_ms = clock_mono_ms() + 5000;
    while (inbox_len < sizeof(event) && clock_mono_ms() < until_ms) {
        loop_turn(&loop, 1);
        assert_true(hear(fd));
    }
    turns(5);
    serve_publish(serve, SPAN("data: news\n\n"), SPAN("data: everything\n\n"));
    await_text(fd, "data: everything\n\n");
    serve_publish(serve, SPAN("data: news\n\n"), SPAN("data: everything\n\n"));
    await_text(fd, "data: news\n\n");
    assert_null(strstr(inbox, "missed"));
    close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_a_get),
        TEST(head_has_no_body),
        TEST(bytes_may_drip),
        TEST(requests_sent_together_are_answered_in_order),
        TEST(who_ends_its_side_still_gets_its_answers),
        TEST(http_1_0_closes),
        TEST(refuses_what_it_does_not_serve),
        TEST(heads_are_bounded),
        TEST(expectations_are_met),
        TEST(nobody_may_be_idle_or_slow_for_ever),
        TEST(the_longest_idle_gives_way),
        TEST(busy_connections_are_not_disturbed),
        TEST(a_slow_reader_gets_all_in_the_end),
        TEST(a_silent_reader_is_dropped),
        TEST(unread_answers_are_bounded),
        TEST(events_reach_all_streams),
        TEST(streams_are_bounded),
        TEST(a_stream_that_does_not_read_is_dropped),
        TEST(who_was_passed_over_gets_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
