// SPDX-License-Identifier: Apache-2.0
/* The Engine.IO check: opens a session in the protocol that the server speaks, and closes it. */
#include "health_fixture.h"

#define ANSWER(body) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" body

static const char handshake4[] = ANSWER(
    "0{\"sid\":\"a-b_c/d+e\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}");
static const char handshake3[] = ANSWER(
    "68:0{\"sid\":\"oldsid\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":5}2:40");
static const char ok[] = ANSWER("ok");
static const char unsupported[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n"
    "{\"code\":5,\"message\":\"Unsupported protocol version\"}";

static bool asks(const char *request, const char *what)
{
    return strstr(request, what) != NULL;
}

/* A current server. */
static const char *speaks4(struct toy *toy, const char *request)
{
    (void)toy;
    if (!asks(request, "EIO=4"))
        return unsupported;
    return asks(request, "POST ") ? ok : handshake4;
}

/* One that knows protocol 3 only, and says so. */
static const char *speaks3(struct toy *toy, const char *request)
{
    (void)toy;
    if (!asks(request, "EIO=3"))
        return unsupported;
    return asks(request, "POST ") ? ok : handshake3;
}

/* Socket.IO 2: takes any EIO, and answers in protocol 3. */
static const char *ignores_eio(struct toy *toy, const char *request)
{
    (void)toy;
    return asks(request, "POST ") ? ok : handshake3;
}

static void start(const char *(*answer)(struct toy *, const char *))
{
    backend.health_kind = HEALTH_ENGINEIO;
    backend.opt.health_timeout_ms = 200;
    toys[0].answer = answer;
    fixture_start(1);
}

static void opens_and_closes_a_session(void **state)
{
    (void)state;
    start(speaks4);
    run_until(toys[0].answered >= 4);
    assert_true(asks(toys[0].requests[0], "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"));
    assert_true(asks(toys[0].requests[1],
                     "POST /socket.io/?EIO=4&transport=polling&sid=a-b_c%2Fd%2Be HTTP/1.1\r\n"));
    assert_true(asks(toys[0].requests[1], "\r\nContent-Length: 1\r\n\r\n1"));
    assert_true(asks(toys[0].requests[2], "GET "));
    assert_int_equal(status_of(0)->check, CHECK_L7OK);
    assert_int_equal(status_of(0)->code, 200);
    assert_string_equal(status_of(0)->detail, "Engine.IO 4 session opened");
    assert_int_equal(verdict_count, 0);
}

static void falls_back_once_and_remembers(void **state)
{
    (void)state;
    start(speaks3);
    run_until(toys[0].answered >= 5);
    assert_true(asks(toys[0].requests[0], "EIO=4"));
    assert_true(asks(toys[0].requests[1], "GET /socket.io/?EIO=3&"));
    assert_true(asks(toys[0].requests[2], "POST /socket.io/?EIO=3&transport=polling&sid=oldsid "));
    assert_true(asks(toys[0].requests[2], "\r\nContent-Length: 3\r\n\r\n1:1"));
    assert_true(asks(toys[0].requests[3], "GET /socket.io/?EIO=3&"));
    assert_string_equal(status_of(0)->detail, "Engine.IO 3 session opened");
    assert_int_equal(status_of(0)->failed_checks, 0);
}

static void comes_back_when_the_server_was_upgraded(void **state)
{
    (void)state;
    start(speaks3);
    run_until(status_of(0)->checks >= 1);
    toys[0].answer = speaks4;
    run_until(status_of(0)->checks >= 3);
    assert_string_equal(status_of(0)->detail, "Engine.IO 4 session opened");
    assert_int_equal(status_of(0)->failed_checks, 0);
}

static void closes_in_the_form_of_the_answer(void **state)
{
    (void)state;
    start(ignores_eio);
    run_until(toys[0].answered >= 2);
    assert_true(asks(toys[0].requests[0], "EIO=4"));
    assert_true(asks(toys[0].requests[1], "POST /socket.io/?EIO=3&"));
    assert_true(asks(toys[0].requests[1], "\r\n\r\n1:1"));
}

/* Answers handshakes, and never the farewell. */
static const char *no_farewell(struct toy *toy, const char *request)
{
    (void)toy;
    return asks(request, "POST ") ? NULL : handshake4;
}

static void nobody_waits_for_the_farewell(void **state)
{
    (void)state;
    start(no_farewell);
    run_until(status_of(0)->checks >= 4);
    assert_int_equal(status_of(0)->failed_checks, 0);
    assert_true(status_of(0)->duration_ms < 150);
}

static void is_ill_for(const char *text, enum check_status check, const char *detail)
{
    toys[0].text = text;
    start(toy_says);
    run_until(verdict_count == 1);
    assert_int_equal(status_of(0)->check, check);
    assert_string_equal(status_of(0)->detail, detail);
}

static void another_page_is_ill(void **state)
{
    (void)state;
    is_ill_for(ANSWER("<html>hi</html>"), CHECK_L7RSP, "the answer is no Engine.IO handshake");
}

static void a_refused_handshake_is_ill(void **state)
{
    (void)state;
    is_ill_for("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", CHECK_L7STS,
               "HTTP status 403 to the handshake");
}

static void no_protocol_in_common_is_ill(void **state)
{
    (void)state;
    is_ill_for(unsupported, CHECK_L7STS, "HTTP status 400 to the handshake");
    assert_int_equal(toys[0].answered, 2);
}

static void silence_is_ill(void **state)
{
    (void)state;
    start(toy_is_silent);
    run_until(verdict_count == 1);
    assert_int_equal(status_of(0)->check, CHECK_L7TOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(opens_and_closes_a_session),
        FIXTURE_TEST(falls_back_once_and_remembers),
        FIXTURE_TEST(comes_back_when_the_server_was_upgraded),
        FIXTURE_TEST(closes_in_the_form_of_the_answer),
        FIXTURE_TEST(nobody_waits_for_the_farewell),
        FIXTURE_TEST(another_page_is_ill),
        FIXTURE_TEST(a_refused_handshake_is_ill),
        FIXTURE_TEST(no_protocol_in_common_is_ill),
        FIXTURE_TEST(silence_is_ill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
