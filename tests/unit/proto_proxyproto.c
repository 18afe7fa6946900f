// SPDX-License-Identifier: Apache-2.0
/* PROXY headers: what is taken, what is refused, and what is written. */
#include "proto/proxyproto.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"

static const char *address(const struct addr *addr)
{
    static char text[ADDR_TEXT_MAX];
    return addr_format(addr, text);
}

static struct proxy_header read_ok(struct span bytes)
{
    struct proxy_header header;
    assert_int_equal(proxy_read(bytes, &header), PROXY_OK);
    for (size_t n = 0; n < header.bytes; n++) {
        struct proxy_header early;
        assert_int_equal(proxy_read(span_upto(bytes, n), &early), PROXY_MORE);
    }
    return header;
}

static void lines(void **state)
{
    (void)state;
    struct proxy_header header = read_ok(
        SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n"));
    assert_int_equal(header.bytes, strlen("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"));
    assert_string_equal(address(&header.source), "192.0.2.1:56324");
    assert_string_equal(address(&header.destination), "198.51.100.1:443");
    assert_false(header.local || header.tls);
    header = read_ok(SPAN("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"));
    assert_string_equal(address(&header.source), "[2001:db8::1]:0");
    assert_true(read_ok(SPAN("PROXY UNKNOWN\r\n")).local);
    assert_true(read_ok(SPAN("PROXY UNKNOWN 1 2 3\r\nx")).local);
}

static void binary(void **state)
{
    (void)state;
    struct proxy_header header = read_ok(SPAN(SIGNATURE "\x21\x11\x00\x0c" V4 "GET"));
    assert_int_equal(header.bytes, 28);
    assert_string_equal(address(&header.source), "192.0.2.1:56324");
    assert_string_equal(address(&header.destination), "198.51.100.1:443");
    assert_true(read_ok(SPAN(SIGNATURE "\x20\x00\x00\x00")).local);
    assert_true(read_ok(SPAN(SIGNATURE "\x20\xff\x00\x02zz")).local);
    assert_true(read_ok(SPAN(SIGNATURE "\x21\x00\x00\x00")).local);
    header = read_ok(SPAN(SIGNATURE "\x21\x11\x00\x18" V4 "\x04\x00\x01z\x20\x00\x05\x01\0\0\0\0"));
    assert_true(header.tls);
    header = read_ok(SPAN(SIGNATURE "\x21\x11\x00\x18" V4 "\xee\x00\x01z\x20\x00\x05\x00\0\0\0\1"));
    assert_false(header.tls);
}

static void refusals(void **state)
{
    (void)state;
    static const struct span all[] = {
        SPAN("GET / HTTP/1.1\r\n"),
        SPAN("\x16\x03\x01"),
        SPAN("PROXYTCP4"),
        SPAN("proxy TCP4 "),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
        SPAN("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"),
        SPAN("PROXY TCP4 ::1 ::1 1 2\r\n"),
        SPAN("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
        SPAN("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        SPAN("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"),
        SPAN("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"),
        SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"),
        SPAN(SIGNATURE "\x11\x11\x00\x0c" V4),
        SPAN(SIGNATURE "\x22\x11\x00\x0c" V4),
        SPAN(SIGNATURE "\x21\x41\x00\x0c" V4),
        SPAN(SIGNATURE "\x21\x12\x00\x0c" V4),
        SPAN(SIGNATURE "\x21\x11\x00\x0b" V4),
        SPAN(SIGNATURE "\x21\x21\x00\x0c" V4),
        SPAN(SIGNATURE "\x21\x11\x00\x0e" V4 "\x04\x00"),
        SPAN(SIGNATURE "\x21\x11\xff\xff"),
        SPAN(SIGNATURE "\x21\x11\x00\x10" V4 "\x04\x00\x02z"),
        SPAN(SIGNATURE "\x21\x11\x00\x10" V4 "\x20\x00\x01\x01"),
        SPAN(SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\0\0\0\0"),
        SPAN(SIGNATURE "\x21\x11\x00\x12" V4 "\x03\x00\x03\0\0\0"),
    };
    for (size_t i = 0; i < array_len(all); i++) {
        struct proxy_header header;
        assert_int_equal(proxy_read(all[i], &header), PROXY_BAD);
        assert_non_null(header.error);
    }
    char line[PROXY_V1_MAX + 2];
    struct proxy_header header;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX - 1), &header), PROXY_MORE);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX), &header), PROXY_BAD);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX), &header), PROXY_OK);
    memcpy(line + PROXY_V1_MAX - 1, "\r\n", 2);
    assert_int_equal(proxy_read(span_of(line, PROXY_V1_MAX + 1), &header), PROXY_BAD);
}

/* The protocol's checksum, of a header that another implementation wrote. */
static void checksum(void **state)
{
    (void)state;
    char bytes[] = SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\0\0\0\0";
    static const unsigned char crc[4] = {0x73, 0x7e, 0xe9, 0x19};
    memcpy(bytes + sizeof bytes - 5, crc, 4);
    read_ok(span_of(bytes, sizeof bytes - 1));
    struct proxy_header header;
    bytes[16] ^= 1;
    assert_int_equal(proxy_read(span_of(bytes, sizeof bytes - 1), &header), PROXY_BAD);
}

static struct addr of(const char *text)
{
    struct endpoint endpoint;
    endpoint_parse(span_str(text), false, &endpoint);
    assert_int_equal(endpoint.kind, ENDPOINT_ADDR);
    return endpoint.addr;
}

static void written(void **state)
{
    (void)state;
    char out[PROXY_WRITE_MAX];
    struct addr a = of("192.0.2.1:56324"), b = of("198.51.100.1:443"), c = of("[2001:db8::1]:7");
    struct addr path = of("unix:/run/x.sock"), none = {0};
    size_t n = proxy_write_v1(&a, &b, out);
    assert_true(span_eq(span_of(out, n), SPAN("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")));
    n = proxy_write_v1(&c, &b, out);
    assert_true(
        span_eq(span_of(out, n), SPAN("PROXY TCP6 2001:db8::1 ::ffff:198.51.100.1 7 443\r\n")));
    n = proxy_write_v1(&path, &none, out);
    assert_true(span_eq(span_of(out, n), SPAN("PROXY UNKNOWN\r\n")));
    n = proxy_write_v1(NULL, NULL, out);
    assert_true(span_eq(span_of(out, n), SPAN("PROXY UNKNOWN\r\n")));

    n = proxy_write_v2(&a, &b, NULL, out);
    assert_true(span_eq(span_of(out, n), SPAN(SIGNATURE "\x21\x11\x00\x0c" V4)));
    n = proxy_write_v2(NULL, NULL, NULL, out);
    assert_true(span_eq(span_of(out, n), SPAN(SIGNATURE "\x20\x00\x00\x00")));
    n = proxy_write_v2(&path, &none, NULL, out);
    assert_true(span_eq(span_of(out, n), SPAN(SIGNATURE "\x21\x00\x00\x00")));
    n = proxy_write_v2(&c, &c, NULL, out);
    assert_int_equal(n, 52);

    struct proxy_tls tls = {SPAN("TLSv1.3"), SPAN("AES"), SPAN("a.b"), SPAN("me"), true};
    n = proxy_write_v2(&a, &b, &tls, out);
    assert_true(span_eq(span_of(out, n),
                        SPAN(SIGNATURE "\x21\x11\x00\x2f" V4 "\x02\x00\x03"
                                       "a.b"
                                       "\x20\x00\x1a\x07\0\0\0\0\x21\x00\x07TLSv1.3\x23\x00\x03"
                                       "AES\x22\x00\x02me")));
    assert_true(read_ok(span_of(out, n)).tls);
    tls = (struct proxy_tls){0};
    n = proxy_write_v2(&a, &b, &tls, out);
    assert_true(
        span_eq(span_of(out, n), SPAN(SIGNATURE "\x21\x11\x00\x14" V4 "\x20\x00\x05\x01\0\0\0\1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),    cmocka_unit_test(binary),  cmocka_unit_test(refusals),
        cmocka_unit_test(checksum), cmocka_unit_test(written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
