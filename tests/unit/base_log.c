// SPDX-License-Identifier: Apache-2.0
/*
 * Logs: the forms of lines, sinks, and that nobody waits for a reader that has stopped. stderr is
 * replaced by a pipe or a file where a test reads it.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[32];
static int real_stderr, stderr_pipe[2];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/limpet-log-XXXXXX");
    assert_non_null(mkdtemp(directory));
    log_setup("limpet", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    if (pipe2(stderr_pipe, O_CLOEXEC) < 0)
        return -1;
    return dup2(stderr_pipe[1], STDERR_FILENO) < 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_stop();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(stderr_pipe[0]);
    close(stderr_pipe[1]);
    rmdir(directory);
    return 0;
}

/* What stderr got so far. */
static const char *stderr_text(void)
{
    static char text[64 * 1024];
    size_t end = 0;
    struct pollfd ready = {.fd = stderr_pipe[0], .events = POLLIN};
    while (end < sizeof(text) - 1 && poll(&ready, 1, 0) == 1) {
        ssize_t got = read(stderr_pipe[0], text + end, sizeof(text) - 1 - end);
        if (got <= 0)
            break;
        end += (size_t)got;
    }
    text[end] = '\0';
    return text;
}

static char *file_path(const char *name)
{
    static char path[2][128];
    static int which;
    which = !which;
    snprintf(path[which], sizeof(path[0]), "%s/%s", directory, name);
    return path[which];
}

/* The file's text, which is removed; waits until it ends with `last`. */
static const char *take_file(const char *name, const char *last)
{
    static char text[256 * 1024];
    int64_t end_ms = clock_mono_ms() + 3000;
    size_t len = 0;
    do {
        FILE *file = fopen(file_path(name), "r");
        len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
        text[len] = '\0';
        if (file)
            fclose(file);
    } while ((len < strlen(last) || strcmp(text + len - strlen(last), last) != 0) &&
             clock_mono_ms() < end_ms);
    unlink(file_path(name));
    return text;
}

static void text_lines_have_time_level_sentence(void **state)
{
    (void)state;
    log_warning("server is down server=%s/%s", "chat", "app01");
    log_debug("not shown");
    const char *text = stderr_text();
    assert_int_equal(strlen(text), strlen("2026-11-21T20:00:00.123Z warning: server is down "
                                          "server=chat/app01\n"));
    assert_true(text[4] == '-' && text[10] == 'T' && text[19] == '.' && text[23] == 'Z');
    assert_string_equal(text + 24, " warning: server is down server=chat/app01\n");
}

static void levels_decide(void **state)
{
    (void)state;
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_setup("limpet", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    log_warning("no");
    log_info("no");
    log_error("yes");
    assert_non_null(strstr(stderr_text(), " error: yes\n"));
    log_setup("limpet", LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("deep");
    assert_non_null(strstr(stderr_text(), " debug: deep\n"));
}

static void a_line_cannot_be_forged(void **state)
{
    (void)state;
    log_info("a\nb\x1b[31m\x7f");
    assert_non_null(strstr(stderr_text(), " info: a\\x0Ab\\x1B[31m\\x7F\n"));
}

static void json_lines_are_json(void **state)
{
    (void)state;
    log_setup("limpet", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("say \"hi\" \\ \n\x01 gr\xc3\xbc\xc3\x9f \xff\xc3 \xed\xa0\x80");
    const char *text = stderr_text();
    assert_true(strncmp(text, "{\"time\":\"20", 11) == 0);
    assert_non_null(strstr(text,
                           "\"level\":\"info\",\"program\":\"limpet\",\"message\":\""
                           "say \\\"hi\\\" \\\\ \\u000a\\u0001 gr\xc3\xbc\xc3\x9f "
                           "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}\n"));
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char *long_text = mem_must_alloc(10001);
    memset(long_text, '\x01', 10000);
    log_setup("limpet", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("%s", long_text);
    free(long_text);
    const char *text = stderr_text();
    size_t len = strlen(text);
    assert_in_range(len, 2047 * 6, 2047 * 6 + 200);
    assert_string_equal(text + len - 3, "\"}\n");
}

static void the_journal_gets_priorities(void **state)
{
    (void)state;
    struct stat status;
    char mine[64];
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", mine, 1);
    log_setup("limpet", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    unsetenv("JOURNAL_STREAM");
    log_warning("hello");
    assert_string_equal(stderr_text(), "<4>warning: hello\n");
}

static void escapes_network_bytes(void **state)
{
    (void)state;
    char out[32];
    assert_int_equal(log_escape(SPAN("a\"\\\n\xff~"), out, sizeof(out)), 18);
    assert_string_equal(out, "a\\x22\\x5C\\x0A\\xFF~");
    assert_int_equal(log_escape(SPAN("ab\n"), out, 6), 2); // no half escape
    assert_string_equal(out, "ab");
    assert_int_equal(log_escape(SPAN("abc"), out, 3), 2);
}

static void files_are_written_and_reopened(void **state)
{
    (void)state;
    const char *error = NULL;
    assert_true(log_start());
    struct log_sink *sink = log_sink_open(file_path("a"), &error);
    assert_non_null(sink);
    log_sink_write(sink, SPAN("one\ntwo\n"));
    log_sink_write(sink, SPAN("three\n"));
    assert_string_equal(take_file("a", "three\n"), "one\ntwo\nthree\n");
    log_reopen(); // It was removed, as if moved by logrotate.
    log_reopen();
    int64_t end_ms = clock_mono_ms() + 3000;
    struct stat status;
    while (stat(file_path("a"), &status) < 0 && clock_mono_ms() < end_ms) {
    }
    log_sink_write(sink, SPAN("four\n"));
    log_sink_close(sink); // What was queued before is written.
    assert_string_equal(take_file("a", "four\n"), "four\n");
}

static void files_work_without_the_writer(void **state)
{
    (void)state;
    const char *error = NULL;
    struct log_sink *sink = log_sink_open(file_path("b"), &error);
    log_sink_write(sink, SPAN("direct\n"));
    assert_string_equal(take_file("b", "direct\n"), "direct\n");
    log_reopen();
    log_sink_write(sink, SPAN("anew\n"));
    log_sink_close(sink);
    assert_string_equal(take_file("b", "anew\n"), "anew\n");
}

static void bad_targets_say_why(void **state)
{
    (void)state;
    const char *error = NULL;
    assert_null(log_sink_open("/no/such/directory/log", &error));
    assert_string_equal(error, "No such file or directory");
    assert_null(log_sink_open("syslog:127.0.0.1:99999", &error));
    assert_non_null(strstr(error, "port"));
    assert_null(log_sink_open("syslog:", &error));
    assert_non_null(error);
    struct log_sink *sink = log_sink_open("stderr", &error);
    log_sink_write(sink, SPAN("access\n"));
    log_sink_close(sink);
    assert_string_equal(stderr_text(), "access\n");
}

static void stop_writes_what_is_left(void **state)
{
    (void)state;
    const char *error = NULL;
    assert_true(log_start());
    struct log_sink *sink = log_sink_open(file_path("c"), &error);
    for (int i = 0; i < 1000; i++)
        log_sink_write(sink, SPAN("line\n"));
    log_info("last words");
    log_sink_close(sink);
    log_stop();
    assert_int_equal(strlen(take_file("c", "line\n")), 5000);
    assert_non_null(strstr(stderr_text(), "last words\n"));
    log_info("direct again");
    assert_non_null(strstr(stderr_text(), "direct again\n"));
}

static void *write_many(void *sink)
{
    for (int i = 0; i < 2000; i++)
        log_sink_write(sink, SPAN("0123456789\n"));
    return NULL;
}

static void many_threads_lose_nothing(void **state)
{
    (void)state;
    const char *error = NULL;
    uint64_t before = log_dropped();
    assert_true(log_start());
    struct log_sink *sink = log_sink_open(file_path("d"), &error);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_true(thread_start(&threads[i], "writer", write_many, sink));
    for (int i = 0; i < 20; i++) {
        log_reopen();
        log_info("in between");
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_sink_close(sink);
    log_stop();
    assert_int_equal(log_dropped(), before);
    assert_int_equal(strlen(take_file("d", "9\n")), 4 * 2000 * 11);
    assert_non_null(strstr(stderr_text(), "in between\n"));
}

static void a_stopped_reader_holds_up_nobody(void **state)
{
    (void)state;
    const char *error = NULL;
    uint64_t before = log_dropped();
    assert_true(log_start());
    struct log_sink *file = log_sink_open(file_path("e"), &error);
    char *line = mem_must_alloc(1000);
    memset(line, 'x', 999);
    line[999] = '\n';
    int64_t start_ms = clock_mono_ms();
    struct log_sink *err = log_sink_open("stderr", &error);
    for (int i = 0; i < 4000; i++) // 4 MB: more than the pipe and both queues take
        log_sink_write(err, span_of(line, 1000));
    free(line);
    assert_true(clock_mono_ms() - start_ms < 900);
    assert_true(log_dropped() > before);
    // The file goes on once the writer has given up on the pipe.
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    struct stat status = {0};
    while (status.st_size == 0 && clock_mono_ms() - start_ms < 5000) {
        log_sink_write(file, SPAN("still here\n"));
        nanosleep(&pause, NULL);
        stat(file_path("e"), &status);
    }
    assert_true(status.st_size > 0);
    // A reader that comes back gets whole lines again, and is told what it missed.
    const char *text = "";
    while (!strstr(text, "were dropped") && clock_mono_ms() - start_ms < 10000) {
        log_info("back");
        nanosleep(&pause, NULL);
        text = stderr_text();
    }
    assert_non_null(strstr(text, "log lines were dropped"));
    log_sink_close(file);
    log_stop();
    unlink(file_path("e"));
}

static void syslog_gets_datagrams(const char *target, int receiver)
{
    const char *error = NULL;
    char message[256];
    assert_true(log_start());
    struct log_sink *sink = log_sink_open(target, &error);
    assert_non_null(sink);
    log_sink_write(sink, SPAN("first line\nsecond line\n"));
    static const char *const expected[] = {"first line", "second line"};
    for (int i = 0; i < 2; i++) {
        struct pollfd ready = {.fd = receiver, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 3000), 1);
        ssize_t got = recv(receiver, message, sizeof(message) - 1, 0);
        assert_true(got > 0);
        message[got] = '\0';
        assert_true(strncmp(message, "<134>", 5) == 0);
        char tail[64];
        snprintf(tail, sizeof(tail), " limpet[%d]: %s", (int)getpid(), expected[i]);
        assert_non_null(strstr(message, tail));
        assert_null(strchr(message, '\n'));
    }
    log_sink_close(sink);
    log_stop();
}

static void syslog_by_udp(void **state)
{
    (void)state;
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    struct addr addr = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(receiver, &addr.any, sizeof(addr.v4)), 0);
    assert_true(net_local_addr(receiver, &addr));
    char target[ADDR_TEXT_MAX + 8], text[ADDR_TEXT_MAX];
    snprintf(target, sizeof(target), "syslog:%s", addr_format(&addr, text));
    syslog_gets_datagrams(target, receiver);
    close(receiver);
}

static void syslog_by_unix_socket(void **state)
{
    (void)state;
    struct endpoint endpoint;
    char path[128], target[160];
    snprintf(path, sizeof(path), "%s/log", directory);
    snprintf(target, sizeof(target), "syslog:%s", path);
    endpoint_parse(span_str(path), true, &endpoint);
    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(receiver, &endpoint.addr.any, endpoint.addr.len), 0);
    syslog_gets_datagrams(target, receiver);
    close(receiver);
    unlink(path);
}

#define WITH_STDERR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STDERR(text_lines_have_time_level_sentence),
        WITH_STDERR(levels_decide),
        WITH_STDERR(a_line_cannot_be_forged),
        WITH_STDERR(json_lines_are_json),
        WITH_STDERR(long_sentences_are_cut),
        WITH_STDERR(the_journal_gets_priorities),
        WITH_STDERR(escapes_network_bytes),
        WITH_STDERR(files_are_written_and_reopened),
        WITH_STDERR(files_work_without_the_writer),
        WITH_STDERR(bad_targets_say_why),
        WITH_STDERR(stop_writes_what_is_left),
        WITH_STDERR(many_threads_lose_nothing),
        WITH_STDERR(a_stopped_reader_holds_up_nobody),
        WITH_STDERR(syslog_by_udp),
        WITH_STDERR(syslog_by_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
