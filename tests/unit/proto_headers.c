// SPDX-License-Identifier: Apache-2.0
/* Heads written anew: what a server and a client get, byte for byte. */
#include "proto/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits limits = {.header_bytes = 16384, .fields = 100, .target = 8000};
static struct head head;
static char out[4096];

static void parse_request(const char *text)
{
    size_t seen = 0;
    struct head_error error = {0};
    assert_int_equal(head_parse_request(&head, span_str(text), &seen, &limits, &error), HEAD_OK);
}

static void parse_response(const char *text)
{
    size_t seen = 0;
    struct head_error error = {0};
    assert_int_equal(head_parse_response(&head, span_str(text), &seen, METHOD_GET, &limits, &error),
                     HEAD_OK);
}

static void request_becomes(const char *text, const struct request_edit *edit, const char *wanted)
{
    parse_request(text);
    size_t len = headers_write_request(&head, text, edit, out, sizeof(out) - 1);
    out[len] = '\0';
    assert_string_equal(out, wanted);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(headers_write_request(&head, text, edit, out, size), 0);
    assert_int_equal(headers_write_request(&head, text, edit, out, len), len);
}

static void response_becomes(const char *text, const struct response_edit *edit, const char *wanted)
{
    parse_response(text);
    size_t len = headers_write_response(&head, text, edit, out, sizeof(out) - 1);
    out[len] = '\0';
    assert_string_equal(out, wanted);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(headers_write_response(&head, text, edit, out, size), 0);
    assert_int_equal(headers_write_response(&head, text, edit, out, len), len);
}

static void only_what_is_end_to_end_is_kept(void **state)
{
    (void)state;
    struct request_edit edit = {.framing = FRAMING_LENGTH, .content_length = 12};
    request_becomes(
        "POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
        "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nTrailer: X\r\n"
        "Proxy-Connection: close\r\nProxy-Authorization: y\r\nExpect: 100-continue\r\n"
        "X_Under: 2\r\nX-End:  3 \r\nEmpty:\r\ncontent-length: 12\r\n\r\n",
        &edit,
        "POST /a?b HTTP/1.1\r\nHost: x\r\nX-End: 3\r\nEmpty: \r\nX-Forwarded-Host: x\r\n"
        "Content-Length: 12\r\n\r\n");
}

static void an_untrusted_client_cannot_say_where_it_comes_from(void **state)
{
    (void)state;
    struct request_edit edit = {.client_ip = SPAN("192.0.2.1"),
                                .scheme = SPAN("https"),
                                .port = SPAN("443"),
                                .request_id = SPAN("id"),
                                .close = true};
    request_becomes(
        "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: 2\r\nForwarded: 3\r\n"
        "X-Forwarded-Host: 4\r\nX-Forwarded-Port: 5\r\nX-Real-IP: 6\r\nX-Request-ID: 7\r\n"
        "Host: x\r\n\r\n",
        &edit,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: x\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 192.0.2.1\r\n"
        "X-Request-ID: id\r\nConnection: close\r\n\r\n");
}

static void a_trusted_proxy_can(void **state)
{
    (void)state;
    struct request_edit edit = {.client_ip = SPAN("10.0.0.1"),
                                .trust_forwarded = true,
                                .scheme = SPAN("http"),
                                .port = SPAN("80"),
                                .request_id = SPAN("id")};
    request_becomes(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1, 2\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-For: 3\r\nForwarded: for=1\r\nX-Request-ID: 7\r\n"
        "Connection: X-Forwarded-For\r\n\r\n",
        &edit,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\n"
        "X-Request-ID: 7\r\nX-Forwarded-For: 1, 2, 3, 10.0.0.1\r\nX-Forwarded-Host: x\r\n"
        "X-Forwarded-Port: 80\r\nX-Real-IP: 3\r\n\r\n");
    request_becomes("GET / HTTP/1.1\r\nHost: x\r\nX-Real-IP: 9\r\n\r\n", &edit,
                    "GET / HTTP/1.1\r\nHost: x\r\nX-Real-IP: 9\r\nX-Forwarded-For: 10.0.0.1\r\n"
                    "X-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\nX-Forwarded-Port: 80\r\n"
                    "X-Request-ID: id\r\n\r\n");
}

static void targets_and_hosts(void **state)
{
    (void)state;
    struct request_edit edit = {.default_host = SPAN("default")};
    request_becomes("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", &edit,
                    "GET / HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n");
    request_becomes("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", &edit,
                    "GET /?q HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n");
    request_becomes("GET http://b/p HTTP/1.1\r\nHost: a\r\n\r\n", &edit,
                    "GET /p HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n");
    request_becomes("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", &edit,
                    "OPTIONS * HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: b\r\n\r\n");
    request_becomes("BREW / HTTP/1.0\r\n\r\n", &edit, "BREW / HTTP/1.1\r\nHost: default\r\n\r\n");
}

static void upgrades_and_chunks(void **state)
{
    (void)state;
    struct request_edit edit = {.upgrade = true, .drop_accept_encoding = true};
    request_becomes("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x, websocket\r\n"
                    "Accept-Encoding: gzip\r\nSec-WebSocket-Key: k\r\n\r\n",
                    &edit,
                    "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nX-Forwarded-Host: a\r\n"
                    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    struct request_edit chunked = {.framing = FRAMING_CHUNKED};
    request_becomes("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n", &chunked,
                    "PUT / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
}

static void cookies_are_edited(void **state)
{
    (void)state;
    struct request_edit edit = {.cookie = {COOKIE_REMOVE, SPAN("io")}};
    request_becomes("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; io=2\r\nCookie: io=3\r\n\r\n", &edit,
                    "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX-Forwarded-Host: a\r\n\r\n");

    struct response_edit answer = {.set_cookie = {SET_COOKIE_PREFIX, SPAN("io"), SPAN("s1")},
                                   .add_set_cookie = SPAN("n=v"),
                                   .framing = FRAMING_LENGTH,
                                   .to_minor = 1};
    response_becomes("HTTP/1.1 200 OK\r\nSet-Cookie: io=x; Path=/\r\nSet-Cookie: b=y\r\n"
                     "Content-Length: 0\r\n\r\n",
                     &answer,
                     "HTTP/1.1 200 OK\r\nSet-Cookie: io=s1~x; Path=/\r\nSet-Cookie: b=y\r\n"
                     "Set-Cookie: n=v\r\nContent-Length: 0\r\n\r\n");
}

static void responses_in_each_framing(void **state)
{
    (void)state;
    const char *text = "HTTP/1.0 200 Fine\r\nServer: s\r\nx_y: kept\r\nConnection: close, X-Hop\r\n"
                       "X-Hop: 1\r\n\r\n";
    struct response_edit edit = {.to_minor = 1, .framing = FRAMING_CHUNKED};
    response_becomes(
        text, &edit,
        "HTTP/1.1 200 Fine\r\nServer: s\r\nx_y: kept\r\nTransfer-Encoding: chunked\r\n\r\n");
    edit.to_minor = 0;
    response_becomes(text, &edit,
                     "HTTP/1.1 200 Fine\r\nServer: s\r\nx_y: kept\r\nConnection: close\r\n\r\n");
    edit = (struct response_edit){.framing = FRAMING_UNTIL_CLOSE, .to_minor = 1};
    response_becomes(text, &edit,
                     "HTTP/1.1 200 Fine\r\nServer: s\r\nx_y: kept\r\nConnection: close\r\n\r\n");
    edit = (struct response_edit){
        .framing = FRAMING_LENGTH, .content_length = UINT64_MAX, .say_keep_alive = true};
    response_becomes(text, &edit,
                     "HTTP/1.1 200 Fine\r\nServer: s\r\nx_y: kept\r\nConnection: keep-alive\r\n"
                     "Content-Length: 18446744073709551615\r\n\r\n");
    edit = (struct response_edit){.has_content_length = true, .content_length = 7, .close = true};
    response_becomes(text, &edit,
                     "HTTP/1.1 200 Fine\r\nServer: s\r\nx_y: kept\r\nConnection: close\r\n"
                     "Content-Length: 7\r\n\r\n");
    edit = (struct response_edit){.upgrade = true, .to_minor = 1};
    response_becomes("HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: x\r\n\r\n", &edit,
                     "HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_end_to_end_is_kept),
        cmocka_unit_test(an_untrusted_client_cannot_say_where_it_comes_from),
        cmocka_unit_test(a_trusted_proxy_can),
        cmocka_unit_test(targets_and_hosts),
        cmocka_unit_test(upgrades_and_chunks),
        cmocka_unit_test(cookies_are_edited),
        cmocka_unit_test(responses_in_each_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
