// SPDX-License-Identifier: Apache-2.0
/* Engine.IO: requests as the servers read them, and the bodies of every protocol version. */
#include "proto/engineio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct eio_request request;
static struct eio_handshake handshake;

static void classify(const char *path, const char *query)
{
    static const struct span paths[] = {{"/socket.io/", 11}, {"/engine.io/", 11}, {"/bare", 5}};
    eio_classify(span_str(path), span_str(query), paths, 3, &request);
}

static void handshakes_of_requests(void **state)
{
    (void)state;
    classify("/socket.io/", "EIO=4&transport=polling&t=abc");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_int_equal(request.protocol, 4);
    assert_int_equal(request.transport, EIO_POLLING);
    assert_false(request.jsonp);
    classify("/socket.io/foo/bar", "transport=websocket&sid=");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_int_equal(request.protocol, 3);
    assert_int_equal(request.transport, EIO_WEBSOCKET);
    classify("/engine.io/", "EIO=3&transport=polling&j=17&sid");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_true(request.jsonp);
    assert_int_equal(request.jsonp_index, 17);
    classify("/engine.io/", "EIO=3&transport=polling&j=%31x%2&sid");
    assert_int_equal(request.jsonp_index, 12);
    classify("/barely", "transport=x");
    assert_int_equal(request.transport, EIO_OTHER);
    assert_int_equal(request.kind, EIO_HANDSHAKE);
}

static void sessions_of_requests(void **state)
{
    (void)state;
    classify("/socket.io/", "token=sid&EIO=4&transport=polling&sid=YDgLaTTgDnRgDY5QAAAA");
    assert_int_equal(request.kind, EIO_SESSION);
    assert_true(span_eq(eio_sid(&request), SPAN("YDgLaTTgDnRgDY5QAAAA")));
    classify("/socket.io/", "%73id=%41b+c%zz&&EIO=4&tr%61nsport=polling&SID=x&a%73id=z");
    assert_true(span_eq(eio_sid(&request), SPAN("Ab c%zz")));
    classify("/socket.io/", "sid=a&transport=polling&sid=b");
    assert_true(span_eq(eio_sid(&request), SPAN("b")));
    classify("/socket.io/", "sid=a&transport=polling&sid=");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_int_equal(request.sid_len, 0);
    classify("/socket.io/", "sid=a;transport=polling");
    assert_int_equal(request.kind, EIO_NONE);
}

static void long_sids_are_unknown_sids(void **state)
{
    (void)state;
    char query[1024] = "transport=polling&sid=";
    size_t len = strlen(query);
    memset(query + len, 'x', 256);
    classify("/socket.io/", query);
    assert_int_equal(request.sid_len, 256);
    assert_false(request.sid_too_long);
    query[len + 256] = 'x';
    classify("/socket.io/", query);
    assert_int_equal(request.kind, EIO_SESSION);
    assert_true(request.sid_too_long);
    assert_int_equal(request.sid_len, 0);
    for (size_t i = 0; i < 256; i++)
        memcpy(query + len + 3 * i, "%c3", 3);
    query[len + 768] = '\0';
    classify("/socket.io/", query);
    assert_int_equal(request.sid_len, 256);
}

static void other_requests(void **state)
{
    (void)state;
    classify("/socket.io", "EIO=4&transport=polling");
    assert_int_equal(request.kind, EIO_NONE);
    classify("//socket.io/", "EIO=4&transport=polling");
    assert_int_equal(request.kind, EIO_NONE);
    classify("/socket.io/socket.io.js", "");
    assert_int_equal(request.kind, EIO_NONE);
    classify("/socket.io/", "");
    assert_int_equal(request.kind, EIO_NONE);
    classify("/", "sid=x&transport=polling");
    assert_int_equal(request.kind, EIO_NONE);
}

static void socket_io_0_9(void **state)
{
    (void)state;
    classify("/socket.io/1/", "t=123");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_int_equal(request.protocol, 0);
    assert_false(request.jsonp);
    classify("/socket.io/1", "t=1&jsonp=3");
    assert_int_equal(request.kind, EIO_HANDSHAKE);
    assert_true(request.jsonp);
    assert_int_equal(request.jsonp_index, 3);
    classify("/socket.io/1/xhr-polling/6sj-l2LBy1auvKNXvPg8", "t=1");
    assert_int_equal(request.kind, EIO_SESSION);
    assert_int_equal(request.transport, EIO_POLLING);
    assert_true(span_eq(eio_sid(&request), SPAN("6sj-l2LBy1auvKNXvPg8")));
    classify("/socket.io/1/websocket/abc/", "disconnect=1");
    assert_int_equal(request.transport, EIO_WEBSOCKET);
    assert_true(span_eq(eio_sid(&request), SPAN("abc")));
    classify("/socket.io/1/jsonp-polling/abc", "t=1&i=2");
    assert_true(request.jsonp);
    assert_int_equal(request.jsonp_index, 2);
    classify("/bare/1/websocket/abc", "");
    assert_int_equal(request.kind, EIO_SESSION);
    classify("/socket.io/1/websocket/", "");
    assert_int_equal(request.kind, EIO_NONE);
    classify("/socket.io/1/websocket/a/b", "");
    assert_int_equal(request.kind, EIO_NONE);
    classify("/socket.io/12/", "");
    assert_int_equal(request.kind, EIO_NONE);
}

/* MORE for every shorter piece, or the same as the whole; never anything else. */
static void finds(const char *body, size_t len, bool legacy, const char *sid, int64_t interval,
                  int64_t timeout)
{
    enum eio_parse last = EIO_PARSE_MORE;
    for (size_t n = 0; n <= len; n++) {
        char *copy = malloc(n > 0 ? n : 1);
        assert_non_null(copy);
        memcpy(copy, body, n);
        enum eio_parse now = eio_parse_handshake(span_of(copy, n), legacy, &handshake);
        free(copy);
        assert_true(now == last || (last == EIO_PARSE_MORE && now == EIO_PARSE_FOUND));
        last = now;
        if (now != EIO_PARSE_FOUND)
            continue;
        assert_int_equal(handshake.sid_len, strlen(sid));
        assert_memory_equal(handshake.sid, sid, strlen(sid));
        assert_int_equal(handshake.ping_interval_ms, interval);
        assert_int_equal(handshake.ping_timeout_ms, timeout);
    }
    assert_int_equal(last, EIO_PARSE_FOUND);
}

#define FINDS(body, legacy, sid, interval, timeout)                                                \
    finds(body, sizeof(body) - 1, legacy, sid, interval, timeout)

static void handshakes_of_every_version(void **state)
{
    (void)state;
    FINDS("0{\"sid\":\"YDgLaTTgDnRgDY5QAAAA\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
          "\"pingTimeout\":20000,\"maxPayload\":1000000}",
          false, "YDgLaTTgDnRgDY5QAAAA", 25000, 20000);
    FINDS(
        "96:0{\"sid\":\"b7Lv8o_tjMAztqEQAAAA\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
        "\"pingTimeout\":5000}2:40",
        false, "b7Lv8o_tjMAztqEQAAAA", 25000, 5000);
    static const char binary[] =
        "\0\x09\x07\xff"
        "0{\"sid\":\"x\",\"upgrades\":[],\"pingInterval\":1,\"pingTimeout\":2}";
    finds(binary, sizeof(binary) - 1, false, "x", 1, 2);
    FINDS("___eio[7](\"0{\\\"sid\\\":\\\"axRc\\\",\\\"upgrades\\\":[\\\"websocket\\\"],"
          "\\\"pingInterval\\\":25000,\\\"pingTimeout\\\":20000}\");",
          false, "axRc", 25000, 20000);
    FINDS("___eio[0](\"97:0{\\\"sid\\\":\\\"a\\\\\\\"b\\\"}2:40\");", false, "a\"b", -1, -1);
    FINDS("6sj-l2LBy1auvKNXvPg8:60:61:websocket,htmlfile", true, "6sj-l2LBy1auvKNXvPg8", 60000,
          61000);
    FINDS("io.j[0](\"8MjyOhviTiif_YlFvPg9:60:60:websocket\");", true, "8MjyOhviTiif_YlFvPg9", 60000,
          60000);
    FINDS("ioabc:::x", true, "ioabc", -1, -1);
}

static void handshakes_in_other_spellings(void **state)
{
    (void)state;
    FINDS(
        "0 { \"pingTimeout\" : 20000.0 , \"upgrades\" : [ \"a]\\\"\", {\"sid\":\"no\"} ] ,\n"
        "\"nothing\":null, \"pingInterval\" : 25000, \"sid\" : \"z\\u00e4\\ud83d\\ude00\\/\\n\" }",
        false, "z\xc3\xa4\xf0\x9f\x98\x80/\n", 25000, 20000);
    FINDS("0{\"sid\":\"a\",\"pingInterval\":2e4,\"pingTimeout\":-5}", false, "a", -1, -1);
    FINDS("0{\"sid\":\"a\",\"sid\":\"b\",\"a key that is longer than ours\":\"x\"}", false, "b", -1,
          -1);
}

static void not_a_handshake(const char *body, bool legacy)
{
    if (eio_parse_handshake(span_str(body), legacy, &handshake) != EIO_PARSE_NOT)
        fail_msg("taken: %s", body);
}

static void bodies_without_a_handshake(void **state)
{
    (void)state;
    not_a_handshake("{\"code\":1,\"message\":\"Session ID unknown\"}", false);
    not_a_handshake("ok", false);
    not_a_handshake("4hello", false);
    not_a_handshake("0{\"sid\":5}", false);
    not_a_handshake("0{\"sid\":\"\"}", false);
    not_a_handshake("0{}", false);
    not_a_handshake("0[]", false);
    not_a_handshake("0{\"upgrades\":]}", false);
    not_a_handshake("12345678901:0{", false);
    not_a_handshake("___eio[1](\"1\");", false);
    not_a_handshake("___eio[1](\"0{\\\"sid\");", false);
    not_a_handshake("___eio[1]({\"type\":\"Buffer\"});", false);
    not_a_handshake("\1\2\3\4\5\6\7\1\2\3\4\5\6", false);
    not_a_handshake("handshake unauthorized:", true);
    not_a_handshake(":60:60:x", true);
    not_a_handshake("a:b:60:x", true);
    not_a_handshake("io.j[0](\"abc\");", true);
    not_a_handshake("io.j[0](\"abc\\u00zz:60:60:\");", true);
    not_a_handshake("io.j[0](abc:60:60:", true);
    // What stands behind a handshake does not matter, be it broken or not yet there.
    FINDS("io.j[0](\"abc:60:60:\\u00zz\");", true, "abc", 60000, 60000);
    char *body = malloc(9001);
    assert_non_null(body);
    memset(body, 'x', 9000);
    body[9000] = '\0';
    not_a_handshake(body, true);
    memcpy(body, "0{\"sid\":\"", 9);
    not_a_handshake(body, false);
    memcpy(body, "0{\"s\":", 6);
    not_a_handshake(body, false);
    memcpy(body + 300, "\"}", 3);
    memcpy(body, "0{\"sid\":\"", 9);
    not_a_handshake(body, false);
    free(body);
}

static void close_packets(void **state)
{
    (void)state;
    assert_true(eio_is_close(SPAN("1"), 4));
    assert_true(eio_is_close(SPAN("1:1"), 3));
    assert_true(eio_is_close(SPAN("\0\1\xff"
                                  "1"),
                             3));
    assert_true(eio_is_close(SPAN("d=1"), 4));
    assert_true(eio_is_close(SPAN("0::"), 0));
    assert_false(eio_is_close(SPAN("1:1"), 4));
    assert_false(eio_is_close(SPAN("1"), 3));
    assert_false(eio_is_close(SPAN("12"), 4));
    assert_false(eio_is_close(SPAN_NONE, 4));
}

static void unknown_sids(void **state)
{
    (void)state;
    assert_true(eio_is_unknown_sid(SPAN("{\"code\":1,\"message\":\"Session ID unknown\"}")));
    assert_true(eio_is_unknown_sid(
        SPAN(" { \"message\" : \"Session ID \\u0075nknown\" ,\n\"x\":[1], \"code\" : 1 } ")));
    assert_true(eio_is_unknown_sid(SPAN("Session ID unknown")));
    assert_true(eio_is_unknown_sid(SPAN("7:::1+0")));
    assert_true(eio_is_unknown_sid(SPAN("io.j[2](\"7:::1+0\");")));
    assert_false(eio_is_unknown_sid(SPAN("{\"code\":3,\"message\":\"Session ID unknown\"}")));
    assert_false(eio_is_unknown_sid(SPAN("{\"code\":1,\"message\":\"Bad request\"}")));
    assert_false(eio_is_unknown_sid(
        SPAN("{\"code\":1,\"message\":\"Session ID unknown and more of it than that\"}")));
    assert_false(eio_is_unknown_sid(SPAN("{\"code\":1}")));
    assert_false(eio_is_unknown_sid(SPAN("{\"code\":1,\"message\":\"Session ID unknown\"")));
    assert_false(eio_is_unknown_sid(SPAN_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes_of_requests),
        cmocka_unit_test(sessions_of_requests),
        cmocka_unit_test(long_sids_are_unknown_sids),
        cmocka_unit_test(other_requests),
        cmocka_unit_test(socket_io_0_9),
        cmocka_unit_test(handshakes_of_every_version),
        cmocka_unit_test(handshakes_in_other_spellings),
        cmocka_unit_test(bodies_without_a_handshake),
        cmocka_unit_test(close_packets),
        cmocka_unit_test(unknown_sids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
