// SPDX-License-Identifier: Apache-2.0
/*
 * limpet's own answers, byte by byte. What is said of an unknown sid is what
 * engine.io 6.6.12, 3.6.2 and 1.8.5 and socket.io 0.9.19 answered to the same requests, but for
 * Date, chunks and keep-alive fields (ours have a Content-Length and Cache-Control).
 */
#include "lb/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define JSON "{\"code\":1,\"message\":\"Session ID unknown\"}"

static char out[1024];

static const char *unknown(const struct eio_request *eio, bool upgrade, const char *origin,
                           bool close)
{
    size_t len = reply_write_unknown_sid(eio, upgrade, span_str(origin), close, out,
                                         sizeof(out) - 1);
    assert_true(len > 0);
    out[len] = '\0';
    return out;
}

static void polling(void **state)
{
    (void)state;
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 4};
    assert_string_equal(unknown(&eio, false, NULL, false),
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                        "Cache-Control: no-store\r\nContent-Length: 41\r\n\r\n" JSON);
    assert_string_equal(
        unknown(&eio, false, NULL, true),
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
        "Cache-Control: no-store\r\nContent-Length: 41\r\nConnection: close\r\n\r\n" JSON);
    assert_string_equal(unknown(&eio, false, "http://a.example", false),
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                        "Access-Control-Allow-Origin: http://a.example\r\n"
                        "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
                        "Cache-Control: no-store\r\nContent-Length: 41\r\n\r\n" JSON);
    assert_int_equal(strlen(JSON), 41);
}

static void polling_of_old_servers(void **state)
{
    (void)state;
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 3};
    assert_string_equal(unknown(&eio, false, NULL, false),
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                        "Access-Control-Allow-Origin: *\r\n"
                        "Cache-Control: no-store\r\nContent-Length: 41\r\n\r\n" JSON);
    assert_non_null(strstr(unknown(&eio, false, "http://a.example", false),
                           "Access-Control-Allow-Origin: http://a.example\r\n"
                           "Access-Control-Allow-Credentials: true\r\n"));
}

static void jsonp_gets_it_bare(void **state)
{
    (void)state;
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 4, .jsonp = true, .jsonp_index = 7};
    assert_string_equal(unknown(&eio, false, NULL, false),
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                        "Cache-Control: no-store\r\nContent-Length: 41\r\n\r\n" JSON);
}

static void upgrades(void **state)
{
    (void)state;
    for (uint8_t protocol = 3; protocol <= 4; protocol++) {
        struct eio_request eio = {
            .kind = EIO_SESSION, .protocol = protocol, .transport = EIO_WEBSOCKET};
        assert_string_equal(
            unknown(&eio, true, "http://a.example", false),
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n"
            "Content-Length: 18\r\n\r\nSession ID unknown");
    }
}

static void a_websocket_request_that_is_no_upgrade(void **state)
{
    (void)state;
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 4, .transport = EIO_WEBSOCKET};
    assert_non_null(strstr(unknown(&eio, false, NULL, false), "\r\n\r\n" JSON));
}

static void legacy(void **state)
{
    (void)state;
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 0};
    assert_string_equal(unknown(&eio, false, NULL, false),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\n"
                        "Cache-Control: no-store\r\nContent-Length: 7\r\n\r\n7:::1+0");
    assert_non_null(strstr(unknown(&eio, false, "http://a.example", false),
                           "Access-Control-Allow-Origin: http://a.example\r\n"
                           "Access-Control-Allow-Credentials: true\r\n"));
    eio.jsonp = true;
    assert_string_equal(unknown(&eio, false, NULL, true),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/javascript; charset=UTF-8\r\n"
                        "X-XSS-Protection: 0\r\nCache-Control: no-store\r\nContent-Length: 19\r\n"
                        "Connection: close\r\n\r\nio.j[0](\"7:::1+0\");");
    eio.jsonp_index = 4294967295u;
    assert_non_null(strstr(unknown(&eio, false, NULL, true), "Content-Length: 28\r\n"));
}

static void own_answers(void **state)
{
    (void)state;
    struct reply reply = {.status = 503, .retry_after_s = 3, .close = true};
    size_t len = reply_write(&reply, out, sizeof(out) - 1);
    out[len] = '\0';
    assert_string_equal(
        out, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Length: 24\r\nCache-Control: no-store\r\nRetry-After: 3\r\n"
             "Connection: close\r\n\r\n503 Service Unavailable\n");

    reply = (struct reply){.status = 400,
                           .reason = "two Content-Length fields",
                           .keep_alive_10 = true,
                           .request_id = SPAN("abc-1")};
    len = reply_write(&reply, out, sizeof(out) - 1);
    out[len] = '\0';
    assert_string_equal(out,
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
                        "Content-Length: 30\r\nCache-Control: no-store\r\nX-Request-ID: abc-1\r\n"
                        "Connection: keep-alive\r\n\r\n400 two Content-Length fields\n");

    reply = (struct reply){.status = 404, .to_head = true};
    len = reply_write(&reply, out, sizeof(out) - 1);
    out[len] = '\0';
    assert_string_equal(out, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
                             "Content-Length: 14\r\nCache-Control: no-store\r\n\r\n");
}

/* The length that is announced is the length that comes, for every status; and too little room is
 * said. */
static void lengths_are_right(void **state)
{
    (void)state;
    for (uint16_t status = 200; status < 600; status++) {
        struct reply reply = {.status = status, .retry_after_s = 1, .close = true};
        size_t len = reply_write(&reply, out, sizeof(out) - 1), announced;
        out[len] = '\0';
        const char *body = strstr(out, "\r\n\r\n");
        assert_int_equal(sscanf(strstr(out, "Content-Length: "), "Content-Length: %zu", &announced),
                         1);
        assert_int_equal(strlen(body + 4), announced);
        assert_true(strlen(reply_phrase(status)) > 0);
    }
    struct reply reply = {.status = 503};
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 4};
    size_t whole = reply_write(&reply, out, sizeof(out));
    for (size_t size = 0; size <= whole; size++)
        assert_int_equal(reply_write(&reply, out, size), 0); // a NUL is written behind it
    assert_int_equal(reply_write(&reply, out, whole + 1), whole);
    whole = reply_write_unknown_sid(&eio, false, SPAN("o"), false, out, sizeof(out));
    for (size_t size = 0; size <= whole; size++)
        assert_int_equal(reply_write_unknown_sid(&eio, false, SPAN("o"), false, out, size), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polling),
        cmocka_unit_test(polling_of_old_servers),
        cmocka_unit_test(jsonp_gets_it_bare),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(a_websocket_request_that_is_no_upgrade),
        cmocka_unit_test(legacy),
        cmocka_unit_test(own_answers),
        cmocka_unit_test(lengths_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
