// SPDX-License-Identifier: Apache-2.0
/* proto/call against real loopback servers: what it reads, and how it ends. */
#include "proto/call.h"

#include "base/clock.h"
#include "toy_server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static struct shelf *shelf;
static struct toy toy;

/* What the last call came to. */
static struct {
    int count;
    struct call_result result;
    char body[CALL_BODY_MAX + 1];
    size_t body_len;
} got;

static void note_done(void *ctx, const struct call_result *result)
{
    assert_ptr_equal(ctx, &got);
    got.count++;
    got.result = *result;
    got.body_len = result->body.len;
    assert_true(got.body_len <= CALL_BODY_MAX);
    if (got.body_len > 0)
        memcpy(got.body, result->body.ptr, got.body_len);
    got.body[got.body_len] = '\0';
}

static int setup(void **state)
{
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    toy_init(&toy, &loop, shelf);
    memset(&got, 0, sizeof(got));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    toy_close(&toy);
    loop_fini(&loop);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

static struct call_request get_request(int64_t timeout_ms)
{
    return (struct call_request){
        .addr = toy.addr,
        .head_and_body = SPAN("GET / HTTP/1.1\r\nHost: toy\r\n\r\n"),
        .timeout_ms = timeout_ms,
    };
}

/* Runs the call to its end. */
static enum call_end run(const struct call_request *request)
{
    int64_t give_up_ms = clock_mono_ms() + 10000;
    assert_non_null(call_start(&loop, shelf, request, note_done, &got));
    assert_int_equal(got.count, 0);
    while (got.count == 0 && clock_mono_ms() < give_up_ms)
        loop_turn(&loop, 100);
    assert_int_equal(got.count, 1);
    return got.result.end;
}

/* The end of a call that is answered with this text. */
static enum call_end ask(const char *answer)
{
    toy.text = answer;
    struct call_request request = get_request(2000);
    got.count = 0;
    return run(&request);
}

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void reads_a_body_of_known_length(void **state)
{
    (void)state;
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloXX"), CALL_DONE);
    assert_int_equal(got.result.status, 200);
    assert_string_equal(got.body, "hello");
    assert_string_equal(toy.requests[0], "GET / HTTP/1.1\r\nHost: toy\r\n\r\n");
    assert_int_equal(ask("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), CALL_DONE);
    assert_int_equal(got.result.status, 503);
    assert_string_equal(got.body, "");
}

static void does_not_wait_for_the_servers_close(void **state)
{
    (void)state;
    toy.keep_open = true;
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), CALL_DONE);
    assert_true(got.result.duration_ms < 1000);
    assert_int_equal(ask("HTTP/1.1 204 No Content\r\n\r\n"), CALL_DONE);
    assert_int_equal(got.result.status, 204);
}

static void reads_chunks_byte_by_byte(void **state)
{
    (void)state;
    toy.drip_ms = 1;
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"),
                     CALL_DONE);
    assert_string_equal(got.body, "abcdefg");
}

static void reads_until_close(void **state)
{
    (void)state;
    assert_int_equal(ask("HTTP/1.0 200 OK\r\n\r\nall of it"), CALL_DONE);
    assert_string_equal(got.body, "all of it");
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    toy.keep_open = true;
    toy.text = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    struct call_request request = get_request(2000);
    request.head_and_body = SPAN("HEAD / HTTP/1.1\r\nHost: toy\r\n\r\n");
    request.is_head = true;
    assert_int_equal(run(&request), CALL_DONE);
    assert_int_equal(got.result.status, 200);
}

static void passes_interim_answers_by_but_not_many(void **state)
{
    (void)state;
    assert_int_equal(ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                         "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx"),
                     CALL_DONE);
    assert_int_equal(got.result.status, 201);
    assert_int_equal(ask("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                         "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                         "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                         "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                     CALL_BAD_ANSWER);
    assert_int_equal(ask("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                         "Upgrade: websocket\r\n\r\n"),
                     CALL_BAD_ANSWER);
}

static void refuses_what_is_not_http(void **state)
{
    (void)state;
    assert_int_equal(ask("SSH-2.0-OpenSSH_9.2\r\n\r\n"), CALL_BAD_ANSWER);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"),
                     CALL_BAD_ANSWER);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                     CALL_BAD_ANSWER);
}

static void refuses_a_head_without_end(void **state)
{
    (void)state;
    static char text[40000];
    size_t len = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX-Long: ");
    memset(text + len, 'x', sizeof(text) - len - 1);
    assert_int_equal(ask(text), CALL_BAD_ANSWER);
}

static void tells_a_cut_answer(void **state)
{
    (void)state;
    assert_int_equal(ask(""), CALL_CLOSED);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-"), CALL_CLOSED);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), CALL_CLOSED);
    assert_int_equal(got.result.error, 0);
    toy.reset = true;
    assert_int_equal(ask("HTTP/1.1 200 OK\r\n"), CALL_CLOSED);
    assert_int_equal(got.result.error, ECONNRESET);
}

static void keeps_a_bounded_body(void **state)
{
    (void)state;
    static char text[70000];
    size_t len = (size_t)snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\n\r\n");
    memset(text + len, 'b', sizeof(text) - len - 1);
    toy.keep_open = true;
    assert_int_equal(ask(text), CALL_DONE);
    assert_int_equal(got.body_len, CALL_BODY_MAX);
}

static void tells_refused(void **state)
{
    (void)state;
    toy_close(&toy);
    struct call_request request = get_request(2000);
    assert_int_equal(run(&request), CALL_CONNECT_FAILED);
    assert_int_equal(got.result.error, ECONNREFUSED);
    assert_int_equal(got.result.status, 0);
}

static void tells_a_missing_unix_socket(void **state)
{
    (void)state;
    struct endpoint endpoint;
    endpoint_parse(SPAN("unix:/nonexistent/limpet-test.sock"), false, &endpoint);
    struct call_request request = get_request(2000);
    request.addr = endpoint.addr;
    assert_int_equal(run(&request), CALL_CONNECT_FAILED);
    assert_int_equal(got.result.error, ENOENT);
}

static void tells_a_connection_that_does_not_come(void **state)
{
    (void)state;
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int listener = net_listen(&endpoint.addr, 0, false);
    struct call_request request = get_request(100);
    assert_true(net_local_addr(listener, &request.addr));
    int fill[4];
    for (size_t i = 0; i < array_len(fill); i++)
        fill[i] = net_connect(&request.addr);
    request.connect_only = true;
    assert_int_equal(run(&request), CALL_CONNECT_TIMEOUT);
    assert_true(got.result.duration_ms >= 100);
    for (size_t i = 0; i < array_len(fill); i++)
        close(fill[i]);
    close(listener);
}

static void tells_silence(void **state)
{
    (void)state;
    toy.answer = toy_is_silent;
    struct call_request request = get_request(80);
    assert_int_equal(run(&request), CALL_TIMEOUT);
    assert_in_range(got.result.duration_ms, 80, 1000);
    assert_int_equal(toy.answered, 1);
}

static void a_slow_drip_does_not_move_the_deadline(void **state)
{
    (void)state;
    toy.drip_ms = 10;
    toy.text =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\nok";
    struct call_request request = get_request(150);
    assert_int_equal(run(&request), CALL_TIMEOUT);
    assert_in_range(got.result.duration_ms, 150, 1000);
}

static void only_connects(void **state)
{
    (void)state;
    struct call_request request = get_request(2000);
    request.connect_only = true;
    request.head_and_body = SPAN_NONE;
    assert_int_equal(run(&request), CALL_DONE);
    assert_int_equal(got.result.status, 0);
    loop_turn(&loop, 0);
    assert_int_equal(toy.answered, 0);
}

static void a_cancelled_call_is_silent(void **state)
{
    (void)state;
    struct call_request request = get_request(20);
    toy.answer = toy_is_silent;
    call_cancel(call_start(&loop, shelf, &request, note_done, &got));
    struct call *call = call_start(&loop, shelf, &request, note_done, &got);
    loop_turn(&loop, 10);
    loop_turn(&loop, 10);
    call_cancel(call);
    int64_t until_ms = clock_mono_ms() + 60;
    while (clock_mono_ms() < until_ms)
        loop_turn(&loop, 10);
    assert_int_equal(got.count, 0);
}

static void says_when_the_loop_itself_was_held_up(void **state)
{
    (void)state;
    toy.answer = toy_is_silent;
    struct call_request request = get_request(100);
    assert_non_null(call_start(&loop, shelf, &request, note_done, &got));
    for (int i = 0; i < 4; i++)
        loop_turn(&loop, 5);
    sleep_ms(200);
    while (got.count == 0)
        loop_turn(&loop, 100);
    assert_int_equal(got.result.end, CALL_TIMEOUT);
    assert_true(got.result.loop_was_late);

    got.count = 0;
    request = get_request(800); // Long enough that a busy machine does not make the loop late.
    assert_int_equal(run(&request), CALL_TIMEOUT);
    assert_false(got.result.loop_was_late);
}

/* As after SIGSTOP and SIGCONT: the deadline has passed, and the answer lies in the kernel. */
static void an_answer_that_waited_for_us_counts(void **state)
{
    (void)state;
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:0"), true, &endpoint);
    int listener = net_listen(&endpoint.addr, 8, false);
    struct call_request request = get_request(50);
    assert_true(net_local_addr(listener, &request.addr));
    assert_non_null(call_start(&loop, shelf, &request, note_done, &got));
    loop_turn(&loop, 20);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(write(fd, answer, sizeof(answer) - 1), sizeof(answer) - 1);
    sleep_ms(100);
    while (got.count == 0)
        loop_turn(&loop, 100);
    assert_int_equal(got.result.end, CALL_DONE);
    close(fd);
    close(listener);
}

static void says_no_without_descriptors(void **state)
{
    (void)state;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct call_request request = get_request(50);
    struct call *call = call_start(&loop, shelf, &request, note_done, &got);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_null(call);
    assert_int_equal(error, EMFILE);
    assert_true(net_error_is_ours(error));
    assert_false(net_error_is_ours(ECONNREFUSED));
}

/* Without a listener the kernel may answer a connection with itself; that is no server. */
static void a_connection_to_itself_is_refused(void **state)
{
    (void)state;
    // For connect the kernel walks the even ports of its range, about 14,000 by default.
    toy_close(&toy);
    addr_set_port(&toy.addr, addr_port(&toy.addr) & 0xfffe);
    struct call_request request = get_request(2000);
    request.connect_only = true;
    for (int i = 0; i < 30000; i++) {
        got.count = 0;
        assert_int_equal(run(&request), CALL_CONNECT_FAILED);
        assert_int_equal(got.result.error, ECONNREFUSED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_a_body_of_known_length),
        TEST(does_not_wait_for_the_servers_close),
        TEST(reads_chunks_byte_by_byte),
        TEST(reads_until_close),
        TEST(an_answer_to_head_has_no_body),
        TEST(passes_interim_answers_by_but_not_many),
        TEST(refuses_what_is_not_http),
        TEST(refuses_a_head_without_end),
        TEST(tells_a_cut_answer),
        TEST(keeps_a_bounded_body),
        TEST(tells_refused),
        TEST(tells_a_missing_unix_socket),
        TEST(tells_a_connection_that_does_not_come),
        TEST(tells_silence),
        TEST(a_slow_drip_does_not_move_the_deadline),
        TEST(only_connects),
        TEST(a_cancelled_call_is_silent),
        TEST(says_when_the_loop_itself_was_held_up),
        TEST(an_answer_that_waited_for_us_counts),
        TEST(says_no_without_descriptors),
        TEST(a_connection_to_itself_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
