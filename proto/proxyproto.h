// SPDX-License-Identifier: Apache-2.0
/*
 * The PROXY protocol (haproxy.org, doc/proxy-protocol.txt): the few bytes in front of a connection by
 * which a proxy says for whom it made it. Version 1 is a line of text, version 2 is binary and may
 * carry more (TLVs). Pure functions: bytes in, addresses out, and back.
 *
 * The reader takes nothing that the other version, a TLS hello or an HTTP request may begin with; it
 * decides from as few bytes as it can, so that garbage is not waited for.
 */
#ifndef LIMPET_PROTO_PROXYPROTO_H
#define LIMPET_PROTO_PROXYPROTO_H

#include "base/net.h"

enum {
    PROXY_V1_MAX = 107,      /* bytes of the longest line, with CR LF */
    PROXY_HEADER_MAX = 4096, /* that are read; the protocol would allow 64 KiB */
    PROXY_WRITE_MAX = 1536,  /* that are written */
};

enum proxy_result { PROXY_MORE, PROXY_OK, PROXY_BAD };

struct proxy_header {
    size_t bytes; /* of the header; what follows is the client's */
    bool local;   /* the proxy speaks for itself, or does not know: no addresses */
    bool tls;     /* version 2: the client came to the proxy with TLS */
    struct addr source, destination; /* of the client's connection; sources may be unix sockets */
    const char *error;               /* PROXY_BAD: a phrase */
};

enum proxy_result proxy_read(struct span bytes, struct proxy_header *out);

/* What a version 2 header tells about TLS towards us. Texts may be empty. */
struct proxy_tls {
    struct span version, cipher, server_name;
    struct span common_name; /* of the client's verified certificate */
    bool certificate;        /* it showed one */
};

/*
 * The header for a client's connection from `source` to `destination`; NULL: for one of our own
 * (UNKNOWN, LOCAL). `tls` is NULL for a client without. Addresses of two families are both written
 * as IPv6. Returns the length.
 */
size_t proxy_write_v1(const struct addr *source, const struct addr *destination,
                      char out[static PROXY_WRITE_MAX]);
size_t proxy_write_v2(const struct addr *source, const struct addr *destination,
                      const struct proxy_tls *tls, char out[static PROXY_WRITE_MAX]);

#endif
