// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses and sockets. An address is IPv4, IPv6 or a unix socket path ("unix:/run/x.sock" or a
 * text beginning with '/'); a name must be resolved first, which happens off the loop (resolver).
 *
 * Texts: "127.0.0.1:80", "[::1]:80", ":80" (any address, dual-stack), "*:80" (the same), "name:80".
 */
#ifndef LIMPET_BASE_NET_H
#define LIMPET_BASE_NET_H

#include "base/mailbox.h"
#include "base/span.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
    socklen_t len; /* 0: none */
};

enum { ADDR_TEXT_MAX = 128 + 8 }; /* bytes for the longest text, with its NUL */

/* What a text names. host is the part to resolve (NUL-terminated) when it is a name. */
enum endpoint_kind { ENDPOINT_BAD, ENDPOINT_ADDR, ENDPOINT_NAME };
struct endpoint {
    enum endpoint_kind kind;
    struct addr addr; /* ENDPOINT_ADDR */
    char host[256];   /* ENDPOINT_NAME */
    uint16_t port;
    const char *error; /* ENDPOINT_BAD: a phrase, e.g. "the port is missing" */
};
/* `listening`: an empty host means any address; otherwise it is an error. */
void endpoint_parse(struct span text, bool listening, struct endpoint *out);

/* "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock"; IPv4-mapped addresses are shown as IPv4. Returns
 * out. */
char *addr_format(const struct addr *addr, char out[static ADDR_TEXT_MAX]);
/* The same without port; "unix" for a unix socket. */
char *addr_format_host(const struct addr *addr, char out[static ADDR_TEXT_MAX]);
uint16_t addr_port(const struct addr *addr); /* 0 for unix sockets */
void addr_set_port(struct addr *addr, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b);
/* The IP's bytes (4, or 16; an IPv4-mapped address gives 4), for hashing; "" for unix sockets. */
struct span addr_ip_bytes(const struct addr *addr);

/* "10.0.0.0/8", "2001:db8::/32", a bare address = a host. IPv4-mapped addresses match IPv4
 * networks. */
struct netmask {
    uint8_t bytes[16];
    uint8_t bits;
    bool v6;
};
bool netmask_parse(struct span text, struct netmask *out);
bool netmask_matches(const struct netmask *mask, const struct addr *addr);

/*
 * A bound, listening, non-blocking socket with SO_REUSEADDR (and SO_REUSEPORT if asked, not for
 * unix sockets), TCP_NODELAY and close-on-exec set, so that accepted sockets inherit NODELAY. A
 * unix socket's stale path (nobody accepts on it) is removed first. -1: errno.
 */
int net_listen(const struct addr *addr, int backlog, bool reuse_port);
/* A non-blocking socket with TCP_NODELAY whose connect has begun (or is done). -1: errno. */
int net_connect(const struct addr *addr);
/* Does this errno say something about this process or host only, whoever the peer is? */
bool net_error_is_ours(int error);
/* Notice within about dead_ms that the peer's host is gone while nothing is said (keepalive); and,
 * the second, while what was said is not acknowledged. A peer that only does not read is alive to the
 * first. Both best effort. */
void net_keepalive(int fd, int64_t dead_ms);
void net_user_timeout(int fd, int64_t dead_ms);
/* Is this connection one to itself? The kernel may pick the port that nobody listens on as the local
 * one (TCP's simultaneous open); for our purposes that is a refusal. */
bool net_is_self(int fd);
bool net_local_addr(int fd, struct addr *out);
bool net_peer_addr(int fd, struct addr *out);

/* Resolves names on a thread of its own; answers arrive as letters in the asker's mailbox. */
struct resolver;
struct resolve {
    struct letter letter; /* set letter.deliver before asking */
    struct mailbox *reply_to;
    char host[256];
    uint16_t port;
    struct addr prefer; /* the answer if it is one of several; len 0: none is preferred */
    bool ok;
    struct addr addr;     /* the preferred answer, else the first */
    char error[128];      /* when not ok */
    struct resolve *next; /* the resolver's */
};
struct resolver *resolver_new(void);
void resolver_free(struct resolver *resolver); /* waits for the running query; unanswered ones are
                                                  delivered as failed */
/* `ask` belongs to the resolver until its letter is delivered. */
void resolver_ask(struct resolver *resolver, struct resolve *ask);
/* Blocking, for start-up. */
bool resolve_now(const char *host, uint16_t port, struct addr *out, char error[static 128]);

#endif
