// SPDX-License-Identifier: Apache-2.0
/*
 * What a user writes for an address: "HOST:PORT", "[IPV6]:PORT", ":PORT", "*:PORT", "unix:PATH",
 * "/PATH". Nothing is looked up here except an interface's number; a name stays a name for the
 * resolver.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

static void endpoint_fail(struct endpoint *out, const char *error)
{
    out->kind = ENDPOINT_BAD;
    out->error = error;
}

static void endpoint_parse_path(struct span path, struct endpoint *out)
{
    struct sockaddr_un *un = &out->addr.un;
    if (path.len == 0) {
        endpoint_fail(out, "the socket path is missing");
        return;
    }
    if (path.len >= sizeof(un->sun_path)) {
        endpoint_fail(out, "the socket path is too long (107 bytes at most)");
        return;
    }
    un->sun_family = AF_UNIX;
    span_to_str(path, un->sun_path, sizeof(un->sun_path));
    out->addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    out->kind = ENDPOINT_ADDR;
}

static bool parse_v4(struct span text, struct in_addr *out)
{
    char copy[INET_ADDRSTRLEN];
    return text.len < sizeof(copy) &&
           inet_pton(AF_INET, span_to_str(text, copy, sizeof(copy)), out) == 1;
}

static bool parse_v6(struct span text, struct in6_addr *out)
{
    char copy[INET6_ADDRSTRLEN];
    return text.len < sizeof(copy) &&
           inet_pton(AF_INET6, span_to_str(text, copy, sizeof(copy)), out) == 1;
}

/* "fe80::1%eth0" or "…%2": a zone is an interface's name or number. */
static bool parse_v6_zone(struct span text, struct sockaddr_in6 *out)
{
    size_t percent = span_index(text, '%');
    if (!parse_v6(span_upto(text, percent), &out->sin6_addr))
        return false;
    if (percent == SIZE_MAX)
        return true;
    char zone[IF_NAMESIZE];
    uint64_t number = 0;
    struct span name = span_from(text, percent + 1);
    if (name.len >= sizeof(zone))
        return false;
    if (!span_to_u64(name, &number) || number > UINT32_MAX)
        number = if_nametoindex(span_to_str(name, zone, sizeof(zone)));
    out->sin6_scope_id = (uint32_t)number;
    return number != 0;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static void endpoint_set_name(struct span host, struct endpoint *out)
{
    bool digits_only = true;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.ptr[i])) {
            endpoint_fail(out, "the host has a character that no host name may have");
            return;
        }
        digits_only = digits_only &&
                      (host.ptr[i] == '.' || (host.ptr[i] >= '0' && host.ptr[i] <= '9'));
    }
    if (digits_only) {
        endpoint_fail(out, "this is not an IPv4 address");
        return;
    }
    if (host.len > 253) {
        endpoint_fail(out, "the host name is too long (253 bytes at most)");
        return;
    }
    span_to_str(host, out->host, sizeof(out->host));
    out->kind = ENDPOINT_NAME;
}

static void endpoint_set_v6(struct endpoint *out)
{
    out->addr.v6.sin6_family = AF_INET6;
    out->addr.v6.sin6_port = htons(out->port);
    out->addr.len = sizeof(out->addr.v6);
    out->kind = ENDPOINT_ADDR;
}

static void endpoint_set_host(struct span host, bool bracketed, bool listening,
                              struct endpoint *out)
{
    if (bracketed) {
        if (!parse_v6_zone(host, &out->addr.v6))
            endpoint_fail(out, "what stands in the brackets is not an IPv6 address");
        else
            endpoint_set_v6(out);
    } else if (host.len == 0 || span_eq(host, SPAN("*"))) {
        if (!listening)
            endpoint_fail(out, "the host is missing");
        else
            endpoint_set_v6(out);
    } else if (parse_v4(host, &out->addr.v4.sin_addr)) {
        out->addr.v4.sin_family = AF_INET;
        out->addr.v4.sin_port = htons(out->port);
        out->addr.len = sizeof(out->addr.v4);
        out->kind = ENDPOINT_ADDR;
    } else {
        endpoint_set_name(host, out);
    }
}

/* Splits "HOST:PORT" and "[HOST]:PORT"; NULL, or what is wrong. */
static const char *split_host_port(struct span text, struct span *host, struct span *port,
                                   bool *bracketed)
{
    *bracketed = span_starts(text, SPAN("["));
    size_t colon;
    if (*bracketed) {
        size_t close = span_index(text, ']');
        if (close == SIZE_MAX)
            return "the closing bracket is missing";
        *host = span_from(span_upto(text, close), 1);
        text = span_from(text, close + 1);
        colon = text.len > 0 && text.ptr[0] == ':' ? 0 : SIZE_MAX;
    } else {
        colon = span_index(text, ':');
        *host = span_upto(text, colon);
    }
    if (colon == SIZE_MAX || colon + 1 == text.len)
        return "the port is missing";
    *port = span_from(text, colon + 1);
    if (span_index(*port, ':') != SIZE_MAX)
        return "an IPv6 address stands in brackets, as in [::1]:80";
    return NULL;
}

void endpoint_parse(struct span text, bool listening, struct endpoint *out)
{
    memset(out, 0, sizeof(*out));
    if (span_starts(text, SPAN("unix:")) || span_starts(text, SPAN("/"))) {
        endpoint_parse_path(span_from(text, text.ptr[0] == '/' ? 0 : 5), out);
        return;
    }
    struct span host, port_text;
    bool bracketed;
    const char *error = split_host_port(text, &host, &port_text, &bracketed);
    if (error) {
        endpoint_fail(out, error);
        return;
    }
    uint64_t port;
    if (!span_to_u64(port_text, &port) || port > UINT16_MAX || (port == 0 && !listening)) {
        endpoint_fail(out, "the port must be a number from 1 to 65535");
        return;
    }
    out->port = (uint16_t)port;
    endpoint_set_host(host, bracketed, listening, out);
}
