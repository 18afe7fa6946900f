// SPDX-License-Identifier: Apache-2.0
/* Message heads: what is accepted and what it means, and what is refused and with which status. */
#include "proto/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits limits = {.header_bytes = 16384, .fields = 100, .target = 8000};
static struct head head;
static struct head_error error;

/* A copy without a byte behind it, so that AddressSanitizer sees every read beyond. */
static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static enum head_result parse_n(bool request, const char *text, size_t len, enum http_method to)
{
    size_t seen = 0;
    char *copy = exact(text, len);
    error = (struct head_error){0};
    enum head_result result =
        request ? head_parse_request(&head, span_of(copy, len), &seen, &limits, &error)
                : head_parse_response(&head, span_of(copy, len), &seen, to, &limits, &error);
    free(copy);
    return result;
}

static void request(const char *text)
{
    enum head_result result = parse_n(true, text, strlen(text), METHOD_GET);
    if (result != HEAD_OK)
        fail_msg("refused: %s\n%s", error.reason ? error.reason : "(more)", text);
}

static void response_to(enum http_method method, const char *text)
{
    enum head_result result = parse_n(false, text, strlen(text), method);
    if (result != HEAD_OK)
        fail_msg("refused: %s\n%s", error.reason ? error.reason : "(more)", text);
}

static void response(const char *text)
{
    response_to(METHOD_GET, text);
}

static void refused_n(bool is_request, const char *text, size_t len, unsigned status)
{
    if (parse_n(is_request, text, len, METHOD_GET) != HEAD_BAD)
        fail_msg("accepted:\n%s", text);
    if (error.status != status)
        fail_msg("status %u (%s), not %u:\n%s", error.status, error.reason, status, text);
    assert_non_null(error.reason);
}

static void refused(unsigned status, const char *text)
{
    refused_n(true, text, strlen(text), status);
}

static void bad_response(const char *text)
{
    refused_n(false, text, strlen(text), 502);
}

static void check_slice(const char *base, struct slice slice, const char *wanted)
{
    assert_int_equal(slice.len, strlen(wanted));
    assert_memory_equal(base + slice.at, wanted, slice.len);
}

static void llhttp_is_strict(void **state)
{
    (void)state;
    assert_true(head_parser_is_strict());
}

static void a_request_has_its_parts(void **state)
{
    (void)state;
    const char *text = "GET /socket.io/?EIO=4&sid=a HTTP/1.1\r\nHost: chat.example:80\r\n"
                       "Accept:  text/x \t\r\nCookie: io=b\r\nX_Under: 1\r\n\r\nbody";
    request(text);
    assert_int_equal(head.bytes, strlen(text) - 4);
    assert_int_equal(head.method, METHOD_GET);
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.framing, FRAMING_NONE);
    assert_true(head.keep_alive);
    assert_false(head.upgrade_websocket);
    check_slice(text, head.target, "/socket.io/?EIO=4&sid=a");
    check_slice(text, head.path, "/socket.io/");
    check_slice(text, head.query, "EIO=4&sid=a");
    check_slice(text, head.host, "chat.example:80");
    assert_int_equal(head.nfields, 4);
    check_slice(text, head.fields[1].value, "text/x");
    assert_true(span_eq(head_value(&head, text, HEADER_COOKIE), SPAN("io=b")));
    assert_null(head_field(&head, HEADER_ORIGIN));
    assert_true(head.fields[3].underscore);
    assert_false(head.fields[0].underscore);
}

static void empty_lines_before_a_request_are_skipped(void **state)
{
    (void)state;
    request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(head.bytes, 31);
    refused(400, "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(parse_n(true, "\r\n\r", 3, METHOD_GET), HEAD_MORE);
}

static void methods_that_llhttp_does_not_know_are_served(void **state)
{
    (void)state;
    static const char *const methods[] = {"FOO", "get", "PROPFIND", "M-SEARCH", "DESCRIBE", "X"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
                 methods[i]);
        request(text);
        assert_int_equal(head.method, METHOD_OTHER);
        check_slice(text, head.method_text, methods[i]);
        assert_int_equal(head.content_length, 3);
    }
}

static void white_space_behind_framing_values_is_legal(void **state)
{
    (void)state;
    request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\t\r\n\r\n");
    assert_int_equal(head.content_length, 5);
    request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t 5 \t \r\nX: y\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_LENGTH);
    request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\t\r\nX: y\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_CHUNKED);
    request("FOO / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:chunked \r\n\r\n");
    assert_int_equal(head.framing, FRAMING_CHUNKED);
}

static void start_lines_that_are_refused(void **state)
{
    (void)state;
    refused(400, "GET /\r\n\r\n");
    refused(400, "GET / \r\n\r\n");
    refused(400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n");
    refused(400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET / http/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET / RTSP/1.0\r\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1\r\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n");
    refused(400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "\x16\x03\x01");
    refused(505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n");
    refused(505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n");
    refused(505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    refused(501, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void the_http2_preface_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_n(true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, METHOD_GET), HEAD_BAD);
}

/* Every byte in every place of a name, in both directions. */
static void names_are_tokens(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t at = 0; at < 20; at++) {
        for (int c = 0; c < 256; c++) {
            char request[] = "GET / HTTP/1.1\r\nHost: a\r\nX-abcdefghijklmnopqrs: b\r\n\r\n";
            char response[] = "HTTP/1.1 200 OK\r\nX-abcdefghijklmnopqrs: b\r\n\r\n";
            bool good = (c != 0 && strchr(token, c) != NULL) || (c == ':' && at > 0);
            request[25 + at] = (char)c;
            response[17 + at] = (char)c;
            if (!good) {
                refused_n(true, request, sizeof(request) - 1, 400);
                assert_null(strstr(error.reason, "llhttp"));
                refused_n(false, response, sizeof(response) - 1, 502);
            } else {
                assert_int_equal(parse_n(true, request, sizeof(request) - 1, METHOD_GET), HEAD_OK);
                assert_int_equal(parse_n(false, response, sizeof(response) - 1, METHOD_GET),
                                 HEAD_OK);
            }
        }
    }
}

static void line_ends_that_are_refused(void **state)
{
    (void)state;
    refused(400, "GET / HTTP/1.1\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\n\n");
    refused(400, "GET / HTTP/1.1\r\n\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\rX");
    refused(400, "GET / HTTP/1.1\rHost: a\r\r");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\n\rGET /smug HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nX:\rTransfer-Encoding: chunked\r\n\r\n");
    // Known as soon as the line has come, not only when the head is complete.
    refused(400, "GET / HTTP/1.1\n");
}

static void fields_that_are_refused(void **state)
{
    (void)state;
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nName : v\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nName\t: v\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nName\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nNa(me: v\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\x85: 3\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\n Content-Length: 3\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01"
                 "b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a long value with a control \x1f in it\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n");
    static const char nul_value[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    refused_n(true, nul_value, sizeof(nul_value) - 1, 400);
    static const char nul_name[] = "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n";
    refused_n(true, nul_name, sizeof(nul_name) - 1, 400);
    request(
        "GET / HTTP/1.1\r\nHost: a\r\nX: tab\tand \x80\xff bytes, ~ and more\r\nEmpty:\r\n\r\n");
    assert_int_equal(head.nfields, 3);
}

static void hosts(void **state)
{
    (void)state;
    request("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(head.host.len, 0);
    request("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a-b.c_d~%20:\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    refused(400, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n");
    static const char *const bad[] = {"a,b",      "a b", "a/b",  "u@a",  "a:b",    "a:65536",
                                      "a:1:2",    "a%2", "a%zz", "[::1", "[::1]x", "[1.2]",
                                      "[]",       "a?b", "a\\b", "a\"b", "\x80",   "a:00000080",
                                      "[::1]:-1", ":80", "a#b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        refused(400, text);
    }
}

static void absolute_targets_become_origin_form(void **state)
{
    (void)state;
    const char *text = "GET http://b.example:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n";
    request(text);
    assert_true(head.absolute_form);
    assert_false(head.target_is_root);
    check_slice(text, head.host, "b.example:81");
    check_slice(text, head.target, "/p?q");
    check_slice(text, head.path, "/p");
    check_slice(text, head.query, "q");
    text = "GET HTTPS://b?q HTTP/1.1\r\nHost: a\r\n\r\n";
    request(text);
    assert_true(head.target_is_root);
    check_slice(text, head.host, "b");
    check_slice(text, head.target, "?q");
    check_slice(text, head.path, "");
    check_slice(text, head.query, "q");
    request("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(head.target_is_root);
    refused(400, "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET http:///p HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, "GET http://b/ HTTP/1.1\r\n\r\n");
    request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void framing_of_requests(void **state)
{
    (void)state;
    request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_LENGTH);
    request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
    assert_true(head.content_length == INT64_MAX);
    request("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_CHUNKED);
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
    refused(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n");
    refused(400, POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n");
    refused(400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n");
    refused(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, POST "Transfer-Encoding: chunked, identity\r\n\r\n");
    refused(400, POST "Transfer-Encoding: chunked , identity\r\n\r\n");
    refused(501, POST "Transfer-Encoding: identity, chunked\r\n\r\n");
    refused(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n");
    refused(501, POST "Transfer-Encoding: ,chunked\r\n\r\n");
    refused(501, POST "Transfer-Encoding: xchunked\r\n\r\n");
    refused(501, POST "Transfer-Encoding: \"chunked\"\r\n\r\n");
    refused(400, POST "Transfer-Encoding: \x0b"
                      "chunked\r\n\r\n");
    refused(400, POST "Transfer-Encoding:\r\n\r\n");
    refused(400, POST "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\n");
    refused(400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    static const char *const lengths[] = {"+5",
                                          "-5",
                                          "0x5",
                                          "5,5",
                                          "1 0",
                                          "",
                                          "5;",
                                          "９",
                                          "9223372036854775808",
                                          "18446744073709551616",
                                          "5a"};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), POST "Content-Length: %s\r\n\r\n", lengths[i]);
        refused(400, text);
    }
#undef POST
}

static void connection_options(void **state)
{
    (void)state;
    request("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n");
    assert_false(head.keep_alive);
    request("GET / HTTP/1.0\r\n\r\n");
    assert_false(head.keep_alive);
    request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(head.keep_alive);
    request("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n");
    assert_false(head.keep_alive);

    request("GET / HTTP/1.1\r\nConnection: host, cookie ,,X-One,te\r\nConnection: x-TWO\r\n"
            "Host: a\r\nCookie: b\r\nx-one: 1\r\nX-Two: 2\r\nX-One: 3\r\nTE: trailers\r\n"
            "X-Three: 4\r\nKeep-Alive: 5\r\nProxy-Connection: 6\r\nUpgrade: h2c\r\n\r\n");
    static const bool hop[] = {true, true, false, false, true, true,
                               true, true, false, true,  true, true};
    assert_int_equal(head.nfields, sizeof(hop));
    for (size_t i = 0; i < sizeof(hop); i++)
        assert_int_equal(head.fields[i].hop_by_hop, hop[i]);

    char text[1024] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: a";
    for (size_t i = 0; i < 64; i++)
        strcat(text, ",a");
    strcat(text, "\r\n\r\n");
    refused(400, text);
}

#define WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

static void websocket_upgrades(void **state)
{
    (void)state;
    request(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" WS
        "\r\n");
    assert_true(head.upgrade_websocket);
    static const char *const not [] = {
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" WS "\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 8\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Content-Length: 3\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Transfer-Encoding: chunked\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, Sec-WebSocket-Key\r\n"
        "Upgrade: websocket\r\n" WS "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: y\r\n" WS "\r\n",
    };
    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++) {
        request(not [i]);
        assert_false(head.upgrade_websocket);
    }
    response(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_true(head.upgrade_websocket);
    assert_int_equal(head.framing, FRAMING_NONE);
    response("HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    assert_false(head.upgrade_websocket);
    response("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n");
    assert_false(head.upgrade_websocket);
    response("HTTP/1.1 200 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_false(head.upgrade_websocket);
}

static void expectations(void **state)
{
    (void)state;
    request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n");
    assert_true(head.expect_continue);
    request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_false(head.expect_continue);
    request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_false(head.expect_continue);
    refused(417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 4\r\n\r\n");
}

static void limits_are_kept(void **state)
{
    (void)state;
    char *text = malloc(20000);
    assert_non_null(text);
    for (size_t target = 7990; target <= 8200; target++) {
        size_t len = (size_t)sprintf(text, "GET /");
        memset(text + len, 'a', target - 1);
        len += target - 1;
        assert_int_equal(parse_n(true, text, len, METHOD_GET),
                         5 + target - 1 > 8000 + 76 ? HEAD_BAD : HEAD_MORE);
        len += (size_t)sprintf(text + len, " HTTP/1.1\r\nHost: a\r\n\r\n");
        if (target <= 8000)
            assert_int_equal(parse_n(true, text, len, METHOD_GET), HEAD_OK);
        else
            refused_n(true, text, len, 414);
    }
    size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 0; i < 99; i++)
        len += (size_t)sprintf(text + len, "a:\r\n");
    strcpy(text + len, "\r\n");
    request(text);
    assert_int_equal(head.nfields, 100);
    strcpy(text + len, "a:\r\n\r\n");
    refused(431, text);

    len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + len, 'x', 16384 - len - 4);
    strcpy(text + 16380, "\r\n\r\n");
    request(text);
    strcpy(text + 16380, "x\r\n\r\n");
    refused(431, text);
    refused_n(true, text, 16384, 431);
    assert_int_equal(parse_n(true, text, 16383, METHOD_GET), HEAD_MORE);
    free(text);

    char method[200];
    memset(method, 'M', 65);
    strcpy(method + 65, " / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(501, method);
}

static void a_head_may_come_in_any_pieces(void **state)
{
    (void)state;
    const char *text = "\r\nPOST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    size_t seen = 0, whole = strlen(text) - 4;
    for (size_t len = 0; len < whole; len++) {
        char *copy = exact(text, len);
        assert_int_equal(head_parse_request(&head, span_of(copy, len), &seen, &limits, &error),
                         HEAD_MORE);
        free(copy);
    }
    assert_int_equal(head_parse_request(&head, span_of(text, whole), &seen, &limits, &error),
                     HEAD_OK);
    assert_int_equal(head.bytes, whole);
    assert_int_equal(head.content_length, 4);
}

static void framing_of_responses(void **state)
{
    (void)state;
    response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_LENGTH);
    assert_int_equal(head.status, 200);
    response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_CHUNKED);
    response("HTTP/1.1 200\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_UNTIL_CLOSE);
    assert_false(head.keep_alive);
    response("HTTP/1.0 200 \r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n");
    assert_true(head.keep_alive);
    response("HTTP/1.0 200 \r\nContent-Length: 3\r\n\r\n");
    assert_false(head.keep_alive);
    response_to(METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_NONE);
    assert_true(head.has_content_length);
    assert_int_equal(head.content_length, 7);
    response("HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_NONE);
    assert_true(head.has_content_length);
    response("HTTP/1.1 204 x\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_NONE);
    assert_false(head.has_content_length);
    assert_true(head.keep_alive);
    response("HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(head.framing, FRAMING_NONE);
}

static void responses_that_are_refused(void **state)
{
    (void)state;
    bad_response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad_response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n");
    bad_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    bad_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n");
    bad_response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad_response("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n");
    bad_response("HTTP/1.1 20 OK\r\n\r\n");
    bad_response("HTTP/1.1 2000 OK\r\n\r\n");
    bad_response("HTTP/1.1 099 OK\r\n\r\n");
    bad_response("HTTP/1.1 600 OK\r\n\r\n");
    bad_response("HTTP/1.1  200 OK\r\n\r\n");
    bad_response("HTTP/1.1 200 O\x01K\r\n\r\n");
    bad_response("HTTP/2.0 200 OK\r\n\r\n");
    bad_response("HTTP/1.2 200 OK\r\n\r\n");
    bad_response("ICY 200 OK\r\n\r\n");
    bad_response("H2");
    bad_response("\r\nHTTP/1.1 200 OK\r\n\r\n");
    bad_response("HTTP/1.1 200 OK\n\n");
    bad_response("HTTP/1.1 200 OK\r\nContent-Length : 7\r\n\r\n");
    assert_int_equal(parse_n(false, "HTT", 3, METHOD_GET), HEAD_MORE);
    assert_int_equal(parse_n(false, "", 0, METHOD_GET), HEAD_MORE);
}

static void names_are_found_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(header_lookup(SPAN("hOsT")), HEADER_HOST);
    assert_int_equal(header_lookup(SPAN("ACCESS-CONTROL-REQUEST-METHOD")),
                     HEADER_ACCESS_CONTROL_REQUEST_METHOD);
    assert_int_equal(header_lookup(SPAN("sec-websocket-extensions")),
                     HEADER_SEC_WEBSOCKET_EXTENSIONS);
    assert_int_equal(header_lookup(SPAN("x-request-id")), HEADER_X_REQUEST_ID);
    assert_int_equal(header_lookup(SPAN("te")), HEADER_TE);
    assert_int_equal(header_lookup(SPAN("date")), HEADER_DATE);
    assert_int_equal(header_lookup(SPAN("proxy-authenticate")), HEADER_PROXY_AUTHENTICATE);
    assert_int_equal(header_lookup(SPAN("hos")), HEADER_OTHER);
    assert_int_equal(header_lookup(SPAN("content_length")), HEADER_OTHER);
    assert_int_equal(header_lookup(SPAN("")), HEADER_OTHER);
    assert_int_equal(header_lookup(SPAN("a-name-that-is-longer-than-all-of-ours")), HEADER_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llhttp_is_strict),
        cmocka_unit_test(a_request_has_its_parts),
        cmocka_unit_test(names_are_tokens),
        cmocka_unit_test(empty_lines_before_a_request_are_skipped),
        cmocka_unit_test(methods_that_llhttp_does_not_know_are_served),
        cmocka_unit_test(white_space_behind_framing_values_is_legal),
        cmocka_unit_test(start_lines_that_are_refused),
        cmocka_unit_test(the_http2_preface_is_refused),
        cmocka_unit_test(line_ends_that_are_refused),
        cmocka_unit_test(fields_that_are_refused),
        cmocka_unit_test(hosts),
        cmocka_unit_test(absolute_targets_become_origin_form),
        cmocka_unit_test(framing_of_requests),
        cmocka_unit_test(connection_options),
        cmocka_unit_test(websocket_upgrades),
        cmocka_unit_test(expectations),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_head_may_come_in_any_pieces),
        cmocka_unit_test(framing_of_responses),
        cmocka_unit_test(responses_that_are_refused),
        cmocka_unit_test(names_are_found_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
