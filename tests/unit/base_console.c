// SPDX-License-Identifier: Apache-2.0
/* A runtime socket whose commands this test makes up: lines, answers, and callers who misbehave. */
#include "base/commands.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static struct shelf *shelf;
static struct console *console;
static struct addr addr;

static void run_echo(void *ctx, struct commands_caller *caller, const struct span *args,
                     size_t count)
{
    assert_ptr_equal(ctx, &loop);
    for (size_t i = 0; i < count; i++)
        text_addf(&caller->talk.answer, "<%.*s>\n", SPAN_ARG(args[i]));
}

static void run_fail(void *ctx, struct commands_caller *caller, const struct span *args,
                     size_t count)
{
    (void)ctx;
    (void)args;
    (void)count;
    command_say(caller, SEVERITY_ERROR, "No.");
}

static void run_large(void *ctx, struct commands_caller *caller, const struct span *args,
                      size_t count)
{
    (void)ctx;
    (void)args;
    (void)count;
    for (int i = 0; i < 100000; i++)
        text_addf(&caller->talk.answer, "line %d of a long answer\n", i);
}

static const struct command table[] = {
    {{"echo", "all"}, "A B", 2, run_echo, "echoes"},
    {{"fail"}, "", 0, run_fail, "fails"},
    {{"large"}, "", 0, run_large, "much"},
    {{NULL}, NULL, 0, NULL, NULL},
};
static const struct commands commands = {table, &loop};

static int setup(void **state)
{
    (void)state;
    struct endpoint endpoint;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int fd = net_listen(&endpoint.addr, 64, false);
    assert_true(fd >= 0 && net_local_addr(fd, &addr));
    console = commands_console(&loop, shelf, fd, &commands);
    assert_non_null(console);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    console_free(console);
    loop_fini(&loop);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

static int call_up(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &addr.any, addr.len), 0);
    return fd;
}

/* What is answered to `text` until the console closes, or `enough` has come. */
static char *answer_to(int fd, const char *text, const char *enough)
{
    size_t len = 0, cap = 4 * 1024 * 1024;
    char *got = mem_must_alloc(cap);
    int64_t give_up_ms = clock_mono_ms() + 20000;
    if (*text)
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    while (clock_mono_ms() < give_up_ms) {
        loop_turn(&loop, 5);
        ssize_t n = recv(fd, got + len, cap - 1 - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
        if (n == 0 || (enough && strstr(got, enough)))
            return got;
    }
    fail_msg("no answer in time: %s", got);
    return got;
}

static void expect(const char *text, const char *answer)
{
    int fd = call_up();
    char *got = answer_to(fd, text, NULL);
    assert_string_equal(got, answer);
    free(got);
    close(fd);
}

static void test_lines_and_answers(void **state)
{
    (void)state;
    expect("echo all a b\n", "<a>\n<b>\n\n");
    expect("  echo   all x\r\n", "<x>\n\n");
    expect("echo all a;fail;echo all\n", "<a>\n\nNo.\n\n\n");
    expect("fail;\n", "No.\n\n");
    expect("set severity-output number;fail\n", "\n[3]: No.\n\n");
    expect("set severity-output string;fail\n", "\n[err]: No.\n\n");
    expect("set severity-output loud\n", "one of 'none', 'number', 'string' is required\n\n");
    expect("echo all 1 2 3\n", "Unexpected argument; it takes: A B\n\n");
    expect("fail 1\n", "Unexpected argument; it takes none.\n\n");
    expect("echo\n", "Unknown command; try 'help'.\n\n");
    expect("\n", "Unknown command; try 'help'.\n\n");
    expect("quit\n", "");
}

static void test_interactive(void **state)
{
    (void)state;
    int fd = call_up();
    char *got = answer_to(fd, "prompt\n", "\n> ");
    free(got);
    got = answer_to(fd, "echo all a\n", "> ");
    assert_string_equal(got, "<a>\n\n> ");
    free(got);
    got = answer_to(fd, "quit\n", NULL);
    assert_string_equal(got, "");
    free(got);
    close(fd);
}

static void test_a_line_without_an_end(void **state)
{
    (void)state;
    char line[9001];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    expect(line, "The line is longer than 8192 bytes.\n\n");
}

static void test_a_command_that_ends_with_the_connection(void **state)
{
    (void)state;
    int fd = call_up();
    assert_int_equal(send(fd, "echo all a", 10, MSG_NOSIGNAL), 10);
    shutdown(fd, SHUT_WR);
    char *got = answer_to(fd, "", NULL);
    assert_string_equal(got, "<a>\n\n");
    free(got);
    close(fd);
}

static void test_a_large_answer_arrives_whole(void **state)
{
    (void)state;
    int fd = call_up();
    char *got = answer_to(fd, "large\n", NULL);
    assert_non_null(strstr(got, "line 99999 of a long answer\n\n"));
    free(got);
    close(fd);
}

static void test_many_callers_wait_their_turn(void **state)
{
    (void)state;
    int idle[16];
    for (size_t i = 0; i < array_len(idle); i++)
        idle[i] = call_up();
    for (int i = 0; i < 20; i++)
        loop_turn(&loop, 5);
    int late = call_up();
    for (int i = 0; i < 20; i++)
        loop_turn(&loop, 5);
    for (size_t i = 0; i < array_len(idle); i++)
        close(idle[i]);
    char *got = answer_to(late, "fail\n", NULL);
    assert_string_equal(got, "No.\n\n");
    free(got);
    close(late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_and_answers),
        TEST(test_interactive),
        TEST(test_a_line_without_an_end),
        TEST(test_a_command_that_ends_with_the_connection),
        TEST(test_a_large_answer_arrives_whole),
        TEST(test_many_callers_wait_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
