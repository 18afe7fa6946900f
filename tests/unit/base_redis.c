// SPDX-License-Identifier: Apache-2.0
/* A connection to Redis, against a server that this test plays by hand: answers in order, messages
 * between them, heartbeats, and every way to end. */
#include "base/redis.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
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
static int listener, peer;
static struct redis *redis;
static struct redis_options options;

static struct {
    int ready, ended, messages, answers;
    enum redis_end end;
    char why[160], text[256]; /* of the end; all answers and messages */
} got;

static void note(const char *what, struct span text)
{
    size_t len = strlen(got.text);
    snprintf(got.text + len, sizeof(got.text) - len, "%s%.*s|", what, SPAN_ARG(text));
}

static void on_ready(void *ctx)
{
    assert_ptr_equal(ctx, &got);
    got.ready++;
}

static void on_message(void *ctx, struct span channel, struct span payload)
{
    (void)ctx;
    got.messages++;
    note("m:", channel);
    note("", payload);
}

static void on_ended(void *ctx, enum redis_end end, const char *why)
{
    (void)ctx;
    got.ended++;
    got.end = end;
    snprintf(got.why, sizeof(got.why), "%s", why);
    redis = NULL;
}

static void on_answer(void *ctx, const struct resp *answer)
{
    (void)ctx;
    got.answers++;
    note(answer->type == RESP_ERROR ? "e:" : "a:",
         answer->type == RESP_ARRAY ? resp_text(answer, 0) : answer->text);
}

static const struct redis_owner owner = {on_ready, on_message, on_ended};

static int setup(void **state)
{
    (void)state;
    struct endpoint endpoint;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    listener = net_listen(&endpoint.addr, 4, false);
    assert_true(listener >= 0);
    memset(&got, 0, sizeof(got));
    options = (struct redis_options){.timeout_ms = 20000};
    assert_true(net_local_addr(listener, &options.addr));
    peer = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redis_free(redis);
    redis = NULL;
    if (peer >= 0)
        close(peer);
    if (listener >= 0)
        close(listener);
    loop_fini(&loop);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

/* Turns the loop until `*value` is at least `least`. */
static void turn_until(const int *value, int least)
{
    int64_t give_up_ms = clock_mono_ms() + 20000;
    while (*value < least && clock_mono_ms() < give_up_ms)
        loop_turn(&loop, 50);
    assert_true(*value >= least);
}

static void begin(void)
{
    redis = redis_new(&loop, shelf, &options, &owner, &got);
    assert_non_null(redis);
    while (peer < 0) {
        loop_turn(&loop, 10);
        peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
}

static void say(const char *text)
{
    assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What the server has got must come to this. */
static void expect_sent(const char *text)
{
    char bytes[512] = "";
    size_t len = 0;
    int64_t give_up_ms = clock_mono_ms() + 20000;
    while (len < strlen(text) && clock_mono_ms() < give_up_ms) {
        loop_turn(&loop, 10);
        ssize_t n = recv(peer, bytes + len, sizeof(bytes) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    assert_string_equal(bytes, text);
}

static void test_answers_come_in_order(void **state)
{
    (void)state;
    begin();
    assert_true(redis_command(redis, on_answer, NULL, "ROLE", NULL));
    assert_true(redis_command(redis, NULL, NULL, "PING", NULL));
    assert_true(redis_command(redis, on_answer, NULL, "X", "y z", NULL));
    expect_sent("*1\r\n$4\r\nROLE\r\n*1\r\n$4\r\nPING\r\n*2\r\n$1\r\nX\r\n$3\r\ny z\r\n");
    say("*1\r\n$6\r\nmaster\r\n+PONG\r\n-ERR unknown\r\n");
    turn_until(&got.answers, 2);
    assert_string_equal(got.text, "a:master|e:ERR unknown|");
    assert_int_equal(got.ready, 1);
    assert_int_equal(got.ended, 0);
}

static void test_messages_between_answers(void **state)
{
    (void)state;
    begin();
    redis_command(redis, on_answer, NULL, "PSUBSCRIBE", "*", NULL);
    redis_command(redis, on_answer, NULL, "PING", NULL);
    say("*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$6\r\n+sdown\r\n$1\r\nx\r\n"
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\np\r\n");
    turn_until(&got.messages, 2);
    assert_string_equal(got.text, "a:psubscribe|m:+sdown|x|a:pong|m:c|p|");
}

static void test_auth_comes_first(void **state)
{
    (void)state;
    options.username = "watch";
    options.password = "secret";
    begin();
    redis_command(redis, on_answer, NULL, "ROLE", NULL);
    expect_sent("*3\r\n$4\r\nAUTH\r\n$5\r\nwatch\r\n$6\r\nsecret\r\n*1\r\n$4\r\nROLE\r\n");
    assert_int_equal(got.ready, 0);
    say("+OK\r\n");
    turn_until(&got.ready, 1);
    say("*0\r\n");
    turn_until(&got.answers, 1);
}

static void test_a_wrong_password(void **state)
{
    (void)state;
    options.password = "secret";
    begin();
    say("-WRONGPASS invalid username-password pair\r\n");
    turn_until(&got.ended, 1);
    assert_int_equal(got.end, REDIS_REFUSED);
    assert_non_null(strstr(got.why, "WRONGPASS"));
    assert_int_equal(got.ready, 0);
}

static void test_a_password_that_nobody_wants(void **state)
{
    (void)state;
    options.password = "secret";
    begin();
    say("-ERR AUTH <password> called without any password configured for the default user.\r\n");
    turn_until(&got.ready, 1);
}

static void test_a_frozen_server_is_noticed_while_subscribed(void **state)
{
    (void)state;
    options.timeout_ms = 100;
    options.heartbeat_ms = 50;
    begin();
    redis_command(redis, on_answer, NULL, "SUBSCRIBE", "c", NULL);
    say("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    turn_until(&got.answers, 1);
    // Its kernel goes on to acknowledge; the process says nothing to PING.
    turn_until(&got.ended, 1);
    assert_int_equal(got.end, REDIS_SILENT);
}

static void test_heartbeats_keep_a_silent_connection(void **state)
{
    (void)state;
    options.heartbeat_ms = 20;
    begin();
    for (int i = 0; i < 3; i++) {
        expect_sent("*1\r\n$4\r\nPING\r\n");
        say("+PONG\r\n");
    }
    assert_int_equal(got.ended, 0);
}

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text; /* NULL: the server closes */
        enum redis_end end;
    } cases[] = {
        {NULL, REDIS_CLOSED},
        {"nonsense", REDIS_BAD_REPLY},
        {"+OK\r\n", REDIS_BAD_REPLY}, // an answer to nothing
        {"*2000000000\r\n", REDIS_BAD_REPLY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        turn_until(&got.ready, (int)i + 1);
        if (cases[i].text)
            say(cases[i].text);
        else
            shutdown(peer, SHUT_RDWR);
        turn_until(&got.ended, (int)i + 1);
        assert_int_equal(got.end, cases[i].end);
        close(peer);
        peer = -1;
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    close(listener);
    listener = -1;
    redis = redis_new(&loop, shelf, &options, &owner, &got);
    if (!redis) { // refused at once
        assert_int_equal(errno, ECONNREFUSED);
        return;
    }
    turn_until(&got.ended, 1);
    assert_int_equal(got.end, REDIS_CONNECT_FAILED);
}

static void free_it(void *ctx, const struct resp *answer)
{
    (void)ctx;
    (void)answer;
    got.answers++;
    redis_free(redis);
    redis = NULL;
}

static void test_freed_in_an_answer(void **state)
{
    (void)state;
    begin();
    redis_command(redis, free_it, NULL, "A", NULL);
    redis_command(redis, on_answer, NULL, "B", NULL);
    say("+1\r\n+2\r\n");
    turn_until(&got.answers, 1);
    loop_turn(&loop, 0);
    assert_int_equal(got.answers, 1);
    assert_int_equal(got.ended, 0);
}

static void test_commands_that_wait_are_bounded(void **state)
{
    (void)state;
    begin();
    int sent = 0;
    while (sent < 1000 && redis_command(redis, on_answer, NULL, "PING", NULL))
        sent++;
    assert_in_range(sent, 10, 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_come_in_order),
        TEST(test_messages_between_answers),
        TEST(test_auth_comes_first),
        TEST(test_a_wrong_password),
        TEST(test_a_password_that_nobody_wants),
        TEST(test_a_frozen_server_is_noticed_while_subscribed),
        TEST(test_heartbeats_keep_a_silent_connection),
        TEST(test_ends),
        TEST(test_nobody_listens),
        TEST(test_freed_in_an_answer),
        TEST(test_commands_that_wait_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
