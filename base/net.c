// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses as bytes and texts, networks, and the sockets made from addresses. Nothing here waits.
 *
 * An IPv4-mapped IPv6 address is what a dual-stack listener sees of an IPv4 client; everything that
 * shows, compares, hashes or matches addresses takes it for the IPv4 address that it is.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct span addr_ip_bytes(const struct addr *addr)
{
    if (addr->len == 0)
        return SPAN_NONE;
    if (addr->any.sa_family == AF_INET)
        return span_of((const char *)&addr->v4.sin_addr, 4);
    if (addr->any.sa_family != AF_INET6)
        return SPAN_NONE;
    const char *bytes = (const char *)&addr->v6.sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr))
        return span_of(bytes + 12, 4);
    return span_of(bytes, 16);
}

uint16_t addr_port(const struct addr *addr)
{
    if (addr->len == 0)
        return 0;
    if (addr->any.sa_family == AF_INET)
        return ntohs(addr->v4.sin_port);
    return addr->any.sa_family == AF_INET6 ? ntohs(addr->v6.sin6_port) : 0;
}

void addr_set_port(struct addr *addr, uint16_t port)
{
    if (addr->any.sa_family == AF_INET)
        addr->v4.sin_port = htons(port);
    else if (addr->any.sa_family == AF_INET6)
        addr->v6.sin6_port = htons(port);
}

/* The path, which may be missing (an unnamed client) or abstract (shown with '@'). */
static char *format_path(const struct addr *addr, char out[static ADDR_TEXT_MAX])
{
    size_t header = offsetof(struct sockaddr_un, sun_path);
    size_t len = addr->len > header ? addr->len - header : 0;
    const char *path = addr->un.sun_path;
    if (len > 0 && path[0] == '\0')
        snprintf(out, ADDR_TEXT_MAX, "unix:@%.*s", (int)(len - 1), path + 1);
    else
        snprintf(out, ADDR_TEXT_MAX, "unix:%.*s", (int)len, path);
    return out;
}

/* Every request carries one; inet_ntop would go through printf. */
static void format_ipv4(const char *bytes, char *at)
{
    for (size_t i = 0; i < 4; i++) {
        unsigned n = (unsigned char)bytes[i];
        if (i > 0)
            *at++ = '.';
        if (n >= 100)
            *at++ = (char)('0' + n / 100);
        if (n >= 10)
            *at++ = (char)('0' + n / 10 % 10);
        *at++ = (char)('0' + n % 10);
    }
    *at = '\0';
}

/* "1.2.3.4", "fe80::1%2". */
static void format_ip(const struct addr *addr, char out[static ADDR_TEXT_MAX])
{
    struct span ip = addr_ip_bytes(addr);
    if (ip.len == 4)
        format_ipv4(ip.ptr, out);
    else
        inet_ntop(AF_INET6, ip.ptr, out, ADDR_TEXT_MAX);
    if (ip.len == 16 && addr->v6.sin6_scope_id != 0) {
        size_t len = strlen(out);
        snprintf(out + len, ADDR_TEXT_MAX - len, "%%%" PRIu32, addr->v6.sin6_scope_id);
    }
}

char *addr_format(const struct addr *addr, char out[static ADDR_TEXT_MAX])
{
    if (addr->len > 0 && addr->any.sa_family == AF_UNIX)
        return format_path(addr, out);
    struct span ip = addr_ip_bytes(addr);
    char text[ADDR_TEXT_MAX] = "?";
    if (ip.len > 0)
        format_ip(addr, text);
    bool brackets = ip.len == 16;
    snprintf(out, ADDR_TEXT_MAX, "%s%.60s%s:%u", brackets ? "[" : "", text, brackets ? "]" : "",
             (unsigned)addr_port(addr));
    return out;
}

char *addr_format_host(const struct addr *addr, char out[static ADDR_TEXT_MAX])
{
    if (addr_ip_bytes(addr).len > 0)
        format_ip(addr, out);
    else
        snprintf(out, ADDR_TEXT_MAX, "unix");
    return out;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    struct span ip = addr_ip_bytes(a);
    if (ip.len == 0 || a->len == 0 || b->len == 0)
        return a->len == b->len && memcmp(a, b, a->len) == 0;
    if (!span_eq(ip, addr_ip_bytes(b)) || addr_port(a) != addr_port(b))
        return false;
    return ip.len == 4 || a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

bool netmask_parse(struct span text, struct netmask *out)
{
    char host[INET6_ADDRSTRLEN];
    size_t slash = span_index(text, '/');
    struct span host_text = span_upto(text, slash);
    memset(out, 0, sizeof(*out));
    if (host_text.len >= sizeof(host))
        return false;
    span_to_str(host_text, host, sizeof(host));
    out->v6 = span_index(host_text, ':') != SIZE_MAX;
    if (inet_pton(out->v6 ? AF_INET6 : AF_INET, host, out->bytes) != 1)
        return false;
    uint64_t bits = out->v6 ? 128 : 32;
    if (slash != SIZE_MAX) {
        uint64_t given;
        if (!span_to_u64(span_from(text, slash + 1), &given) || given > bits)
            return false;
        bits = given;
    }
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (out->v6 && bits >= 96 && memcmp(out->bytes, mapped, sizeof(mapped)) == 0) {
        memmove(out->bytes, out->bytes + 12, 4);
        out->v6 = false;
        bits -= 96;
    }
    out->bits = (uint8_t)bits;
    return true;
}

bool netmask_matches(const struct netmask *mask, const struct addr *addr)
{
    struct span ip = addr_ip_bytes(addr);
    if (ip.len != (mask->v6 ? 16 : 4))
        return false;
    size_t whole = mask->bits / 8;
    if (memcmp(mask->bytes, ip.ptr, whole) != 0)
        return false;
    unsigned rest = mask->bits % 8;
    if (rest == 0)
        return true;
    return ((mask->bytes[whole] ^ (uint8_t)ip.ptr[whole]) & 0xff & (0xff00 >> rest)) == 0;
}

static bool set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static int close_keep_errno(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Does nobody accept on this unix socket any more? */
static bool path_is_stale(const struct addr *addr)
{
    struct stat status;
    if (lstat(addr->un.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, &addr->any, addr->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool bind_to(int fd, const struct addr *addr)
{
    if (bind(fd, &addr->any, addr->len) == 0)
        return true;
    if (errno != EADDRINUSE || addr->any.sa_family != AF_UNIX)
        return false;
    if (path_is_stale(addr) && unlink(addr->un.sun_path) == 0)
        return bind(fd, &addr->any, addr->len) == 0;
    errno = EADDRINUSE;
    return false;
}

static bool prepare_listener(int fd, const struct addr *addr, bool reuse_port)
{
    if (addr->any.sa_family == AF_UNIX)
        return true;
    int off = 0;
    if (addr->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
        return false;
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR) &&
           (!reuse_port || set_option(fd, SOL_SOCKET, SO_REUSEPORT)) &&
           set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

int net_listen(const struct addr *addr, int backlog, bool reuse_port)
{
    struct addr any_v4 = {.v4 = {.sin_family = AF_INET}, .len = sizeof(any_v4.v4)};
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && addr->any.sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr)) {
        // A kernel without IPv6: "any address" is then any IPv4 address.
        addr_set_port(&any_v4, addr_port(addr));
        return net_listen(&any_v4, backlog, reuse_port);
    }
    if (fd < 0)
        return -1;
    if (!prepare_listener(fd, addr, reuse_port) || !bind_to(fd, addr) || listen(fd, backlog) < 0)
        return close_keep_errno(fd);
    return fd;
}

int net_connect(const struct addr *addr)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (addr->any.sa_family != AF_UNIX && !set_option(fd, IPPROTO_TCP, TCP_NODELAY))
        return close_keep_errno(fd);
    if (connect(fd, &addr->any, addr->len) < 0 && errno != EINPROGRESS && errno != EINTR)
        return close_keep_errno(fd);
    return fd;
}

bool net_error_is_ours(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
           error == EADDRNOTAVAIL;
}

void net_keepalive(int fd, int64_t dead_ms)
{
    enum { PROBES = 3 };
    int probes = PROBES, seconds = (int)(dead_ms / 1000 / (PROBES + 1));
    if (seconds < 1)
        seconds = 1;
    if (!set_option(fd, SOL_SOCKET, SO_KEEPALIVE))
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void net_user_timeout(int fd, int64_t dead_ms)
{
    unsigned limit = (unsigned)dead_ms;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
}

bool net_is_self(int fd)
{
    struct addr local, peer;
    return net_local_addr(fd, &local) && net_peer_addr(fd, &peer) &&
           local.any.sa_family != AF_UNIX && addr_eq(&local, &peer);
}

bool net_local_addr(int fd, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    socklen_t len = sizeof(out->un);
    if (getsockname(fd, &out->any, &len) < 0)
        return false;
    out->len = len;
    return true;
}

bool net_peer_addr(int fd, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    socklen_t len = sizeof(out->un);
    if (getpeername(fd, &out->any, &len) < 0)
        return false;
    out->len = len;
    return true;
}
