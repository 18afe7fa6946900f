// SPDX-License-Identifier: Apache-2.0
/*
 * PROXY protocol headers.
 *
 *   v1   PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 CR LF        PROXY UNKNOWN … CR LF
 *
 *   v2   0             12      13      14       16
 *        ┌─────────────┬───────┬───────┬────────┬───────────┬──────────────────────────┐
 *        │ signature   │ 2|cmd │fam|pro│ length │ addresses │ TLVs: type, length, value│
 *        └─────────────┴───────┴───────┴────────┴───────────┴──────────────────────────┘
 *
 * TLVs must fill the rest exactly. A checksum is verified when there is one; of the others only "the
 * client spoke TLS" means something to us, and types that nobody knows are skipped, as the protocol
 * asks.
 */
#include "proto/proxyproto.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { V2_FIXED = 16, CRC_BYTES = 4, SSL_FIXED = 5, UNIX_BYTES = 108 };

enum tlv_type {
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
};

enum { SSL_CLIENT = 0x01, SSL_CERT_CONN = 0x02, SSL_CERT_SESS = 0x04 };

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
enum { SIGNATURE_BYTES = sizeof signature - 1 };

static enum proxy_result bad(struct proxy_header *out, const char *error)
{
    out->error = error;
    return PROXY_BAD;
}

/* Is one of them the beginning of the other? */
static bool could_be(struct span bytes, struct span begin)
{
    size_t n = bytes.len < begin.len ? bytes.len : begin.len;
    return memcmp(bytes.ptr, begin.ptr, n) == 0;
}

static void set_ip(struct addr *addr, bool v6, const void *ip, uint16_t port)
{
    memset(addr, 0, sizeof *addr);
    if (v6) {
        addr->v6.sin6_family = AF_INET6;
        memcpy(&addr->v6.sin6_addr, ip, 16);
        addr->len = sizeof addr->v6;
    } else {
        addr->v4.sin_family = AF_INET;
        memcpy(&addr->v4.sin_addr, ip, 4);
        addr->len = sizeof addr->v4;
    }
    addr_set_port(addr, port);
}

/* ---- version 1 ---- */

static bool read_ip(struct span text, bool v6, char ip[static 16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    span_to_str(text, copy, sizeof copy);
    return strlen(copy) == text.len && inet_pton(v6 ? AF_INET6 : AF_INET, copy, ip) == 1;
}

static bool read_port(struct span text, uint16_t *port)
{
    uint64_t number;
    bool padded = text.len > 1 && text.ptr[0] == '0';
    if (padded || text.len > 5 || !span_to_u64(text, &number) || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* What stands between "PROXY " and CR LF. */
static enum proxy_result read_line(struct span line, struct proxy_header *out)
{
    struct span family = span_cut(&line, ' ');
    if (span_eq(family, SPAN("UNKNOWN"))) {
        out->local = true;
        return PROXY_OK;
    }
    bool v6 = span_eq(family, SPAN("TCP6"));
    if (!v6 && !span_eq(family, SPAN("TCP4")))
        return bad(out, "version 1: the protocol is not TCP4, TCP6 or UNKNOWN");
    char source[16], destination[16];
    uint16_t from, to;
    if (!read_ip(span_cut(&line, ' '), v6, source) ||
        !read_ip(span_cut(&line, ' '), v6, destination))
        return bad(out, "version 1: not an address");
    if (!read_port(span_cut(&line, ' '), &from) || !read_port(line, &to))
        return bad(out, "version 1: not a port");
    set_ip(&out->source, v6, source, from);
    set_ip(&out->destination, v6, destination, to);
    return PROXY_OK;
}

static enum proxy_result read_v1(struct span bytes, struct proxy_header *out)
{
    size_t end = span_index(span_upto(bytes, PROXY_V1_MAX), '\n');
    if (end == SIZE_MAX)
        return bytes.len < PROXY_V1_MAX ? PROXY_MORE : bad(out, "version 1: the line is too long");
    struct span line = span_upto(bytes, end);
    if (span_index(line, '\r') != end - 1)
        return bad(out, "version 1: the line does not end with CR LF");
    out->bytes = end + 1;
    return read_line(span_from(span_upto(line, end - 1), strlen("PROXY ")), out);
}

/* ---- version 2 ---- */

static uint8_t byte_at(struct span bytes, size_t at)
{
    return (uint8_t)bytes.ptr[at];
}

static uint16_t number_at(struct span bytes, size_t at)
{
    return (uint16_t)(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

/* RFC 3720 B.4, reflected; of a few hundred bytes once per connection, so without a table. */
static uint32_t crc32c(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int i = 0; i < 8; i++)
        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    return crc;
}

/* Of the whole header, the checksum itself counted as zeroes. */
static bool checksum_fits(struct span header, size_t at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < header.len; i++)
        crc = crc32c(crc, i >= at && i < at + CRC_BYTES ? 0 : byte_at(header, i));
    uint32_t said = (uint32_t)number_at(header, at) << 16 | number_at(header, at + 2);
    return (crc ^ UINT32_MAX) == said;
}

static enum proxy_result read_tlvs(struct span header, size_t at, struct proxy_header *out)
{
    while (at < header.len) {
        size_t left = header.len - at;
        size_t len = left >= 3 ? number_at(header, at + 1) : SIZE_MAX;
        if (left < 3 || len > left - 3)
            return bad(out, "version 2: a TLV is cut short");
        enum tlv_type type = (enum tlv_type)byte_at(header, at);
        at += 3;
        if (type == TLV_CRC32C && (len != CRC_BYTES || !checksum_fits(header, at)))
            return bad(out, "version 2: the checksum does not fit");
        if (type == TLV_SSL && len < SSL_FIXED)
            return bad(out, "version 2: a TLV is cut short");
        if (type == TLV_SSL)
            out->tls = byte_at(header, at) & SSL_CLIENT;
        at += len;
    }
    return PROXY_OK;
}

/* Bytes of the addresses of a family, by its half of byte 13. */
static const size_t address_bytes[] = {0, 12, 36, (size_t)2 * UNIX_BYTES};

static void read_addresses(struct span header, unsigned family, struct proxy_header *out)
{
    size_t ip = family == 1 ? 4 : 16;
    if (family == 3) {
        out->source.un.sun_family = out->destination.un.sun_family = AF_UNIX;
        out->source.len = out->destination.len = sizeof(sa_family_t);
        return;
    }
    const char *first = header.ptr + V2_FIXED;
    set_ip(&out->source, ip == 16, first, number_at(header, V2_FIXED + 2 * ip));
    set_ip(&out->destination, ip == 16, first + ip, number_at(header, V2_FIXED + 2 * ip + 2));
}

static enum proxy_result read_v2(struct span bytes, struct proxy_header *out)
{
    if (bytes.len < V2_FIXED)
        return PROXY_MORE;
    unsigned command = byte_at(bytes, 12), family = byte_at(bytes, 13) >> 4,
             protocol = byte_at(bytes, 13) & 0xf;
    if (command != 0x20 && command != 0x21)
        return bad(out, "version 2: neither LOCAL nor PROXY");
    out->local = command == 0x20; // What stands behind LOCAL is to be skipped, whatever it is.
    if (out->local)
        family = protocol = 0;
    if (family >= sizeof address_bytes / sizeof address_bytes[0] || protocol > 1)
        return bad(out, "version 2: not a stream of a known family");
    out->bytes = (size_t)V2_FIXED + number_at(bytes, 14);
    if (out->bytes > PROXY_HEADER_MAX)
        return bad(out, "version 2: the header is too long");
    if (bytes.len < out->bytes)
        return PROXY_MORE;
    struct span header = span_upto(bytes, out->bytes);
    if (out->local)
        return PROXY_OK;
    if (header.len < V2_FIXED + address_bytes[family])
        return bad(out, "version 2: the addresses are cut short");
    out->local = family == 0 || protocol == 0;
    if (!out->local)
        read_addresses(header, family, out);
    return read_tlvs(header, V2_FIXED + address_bytes[family], out);
}

enum proxy_result proxy_read(struct span bytes, struct proxy_header *out)
{
    memset(out, 0, sizeof *out);
    if (could_be(bytes, SPAN("PROXY ")))
        return bytes.len <= strlen("PROXY ") ? PROXY_MORE : read_v1(bytes, out);
    if (could_be(bytes, span_of(signature, SIGNATURE_BYTES)))
        return read_v2(bytes, out);
    return bad(out, "no PROXY header");
}

/* ---- writing ---- */

enum family { FAMILY_NONE, FAMILY_V4, FAMILY_V6 };

static enum family family_of(const struct addr *source, const struct addr *destination)
{
    size_t a = source ? addr_ip_bytes(source).len : 0;
    size_t b = destination ? addr_ip_bytes(destination).len : 0;
    if (a == 0 || b == 0)
        return FAMILY_NONE;
    return a == 4 && b == 4 ? FAMILY_V4 : FAMILY_V6;
}

/* 4 or 16 bytes; an IPv4 address among IPv6 ones is mapped. Returns how many. */
static size_t put_ip(char *out, const struct addr *addr, enum family family)
{
    struct span ip = addr_ip_bytes(addr);
    size_t size = family == FAMILY_V4 ? 4 : 16;
    memset(out, 0, size);
    if (size > ip.len)
        memset(out + 10, 0xff, 2);
    memcpy(out + size - ip.len, ip.ptr, ip.len);
    return size;
}

size_t proxy_write_v1(const struct addr *source, const struct addr *destination,
                      char out[static PROXY_WRITE_MAX])
{
    enum family family = family_of(source, destination);
    char ip[16], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    int af = family == FAMILY_V4 ? AF_INET : AF_INET6;
    int n;
    if (family == FAMILY_NONE) {
        n = snprintf(out, PROXY_WRITE_MAX, "PROXY UNKNOWN\r\n");
    } else {
        put_ip(ip, source, family);
        inet_ntop(af, ip, from, sizeof from);
        put_ip(ip, destination, family);
        inet_ntop(af, ip, to, sizeof to);
        n = snprintf(out, PROXY_WRITE_MAX, "PROXY %s %s %s %u %u\r\n",
                     family == FAMILY_V4 ? "TCP4" : "TCP6", from, to, (unsigned)addr_port(source),
                     (unsigned)addr_port(destination));
    }
    assert(n > 0 && n <= PROXY_V1_MAX);
    return (size_t)n;
}

static void put_number(char *out, size_t number)
{
    out[0] = (char)(number >> 8);
    out[1] = (char)(number & 0xff);
}

/* Empty ones are left out, long ones cut. */
static size_t put_tlv(char *out, enum tlv_type type, struct span value)
{
    value = span_upto(value, 255);
    if (value.len == 0)
        return 0;
    out[0] = (char)type;
    put_number(out + 1, value.len);
    memcpy(out + 3, value.ptr, value.len);
    return 3 + value.len;
}

static size_t put_tls(char *out, const struct proxy_tls *tls)
{
    size_t n = put_tlv(out, TLV_AUTHORITY, tls->server_name);
    char *ssl = out + n;
    size_t len = 3;
    ssl[0] = (char)TLV_SSL;
    ssl[len] = (char)(SSL_CLIENT | (tls->certificate ? SSL_CERT_CONN | SSL_CERT_SESS : 0));
    memset(ssl + len + 1, 0, 4);
    ssl[len + 4] = (char)(tls->certificate ? 0 : 1); // Not zero: nothing was verified.
    len += SSL_FIXED;
    len += put_tlv(ssl + len, TLV_SSL_VERSION, tls->version);
    len += put_tlv(ssl + len, TLV_SSL_CIPHER, tls->cipher);
    len += put_tlv(ssl + len, TLV_SSL_CN, tls->common_name);
    put_number(ssl + 1, len - 3);
    return n + len;
}

size_t proxy_write_v2(const struct addr *source, const struct addr *destination,
                      const struct proxy_tls *tls, char out[static PROXY_WRITE_MAX])
{
    enum family family = family_of(source, destination);
    size_t n = V2_FIXED;
    memcpy(out, signature, SIGNATURE_BYTES);
    out[12] = source ? 0x21 : 0x20;
    out[13] = family == FAMILY_NONE ? 0 : family == FAMILY_V4 ? 0x11 : 0x21;
    if (family != FAMILY_NONE) {
        n += put_ip(out + n, source, family);
        n += put_ip(out + n, destination, family);
        put_number(out + n, addr_port(source));
        put_number(out + n + 2, addr_port(destination));
        n += 4;
    }
    if (source && tls)
        n += put_tls(out + n, tls);
    put_number(out + 14, n - V2_FIXED);
    assert(n <= PROXY_WRITE_MAX);
    return n;
}
