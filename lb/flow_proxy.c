// SPDX-License-Identifier: Apache-2.0
/*
 * The PROXY protocol, on both sides.
 *
 * In: from a peer that the listener's accept_proxy names a flow begins with a header (FLOW_PROXY),
 * and then is the client's whom that speaks for: in limits, rules, logs and X-Forwarded-For. From
 * anybody else such a header is what it looks like, a malformed request. TLS comes behind it.
 *
 *     listed peer ──► FLOW_PROXY ── header ──► the address's limit ──► HANDSHAKE or IDLE
 *                          └── malformed, late, gone ──► closed, counted, logged at level debug
 *
 * Out: the header is the first that a server connection carries, before TLS. Such a connection
 * speaks for one client, so it is used for one exchange and never kept.
 */
#include "lb/exchange.h"

#include "base/tls.h"
#include "proto/proxyproto.h"

#include <stdlib.h>

/* ---- in ---- */

bool flow_admit_address(const struct frontend *frontend, const struct addr *client)
{
    if (!frontend->limits)
        return true;
    int64_t max = frontend->config->opt.connections_per_ip;
    bool unbounded = max == 0 || client->any.sa_family == AF_UNIX;
    return limits_connect(frontend->limits, client, unbounded ? INT64_MAX : max);
}

bool flow_is_proxied(const struct listener *listener, const struct addr *peer)
{
    if (!listener->config)
        return false;
    const struct listen_options *options = &listener->config->opt;
    if (peer->any.sa_family == AF_UNIX || peer->len == 0)
        return options->accept_proxy_count > 0;
    for (size_t i = 0; i < options->accept_proxy_count; i++) {
        if (netmask_matches(&options->accept_proxy[i], peer))
            return true;
    }
    return false;
}

void flow_await_proxy(struct flow *flow)
{
    flow->state = FLOW_PROXY;
    flow_deadline(flow, flow->listener->frontend->config->opt.timeout_handshake_ms,
                  END_PROXY_TIMEOUT);
}

/* From here on the client is whom the header names. False: no memory, or too many of them. */
static bool become(struct flow *flow, const struct proxy_header *header)
{
    struct frontend *frontend = flow->listener->frontend;
    struct addr client;
    if (!header->local) {
        flow->proxied = malloc(sizeof *flow->proxied);
        if (!flow->proxied) {
            flow_count(flow, COUNTER_INTERNAL_ERRORS, 1);
            return false;
        }
        flow->proxied->tls = header->tls;
        peer_from_addr(&flow->proxied->local, &header->destination);
        peer_from_addr(&flow->peer, &header->source);
    }
    peer_to_addr(&flow->peer, &client);
    flow->counted_limit = frontend->limits && flow_admit_address(frontend, &client);
    if (!frontend->limits || flow->counted_limit)
        return true;
    flow_count(flow, COUNTER_CONNS_DENIED, 1);
    return false;
}

static void refuse(struct flow *flow, const char *why)
{
    char text[ADDR_TEXT_MAX];
    struct addr peer;
    peer_to_addr(&flow->peer, &peer);
    flow_count(flow, COUNTER_PROXY_BAD, 1);
    log_debug("connection closed: %s frontend=%s peer=%s", why, flow->listener->frontend->name,
              addr_format(&peer, text));
    flow_close(flow, false);
}

void flow_proxy_bytes(struct flow *flow)
{
    struct conn *client = &flow->client;
    struct proxy_header header;
    switch (proxy_read(buf_bytes(&client->in), &header)) {
    case PROXY_MORE:
        return;
    case PROXY_BAD:
        refuse(flow, header.error);
        return;
    case PROXY_OK:
        break;
    }
    flow_count(flow, COUNTER_PROXY_HEADERS, 1);
    if (!become(flow, &header)) {
        flow_close(flow, false);
        return;
    }
    conn_consume(client, header.bytes);
    if (flow->listener->tls) {
        flow_secure(flow);
        return;
    }
    flow_enter(flow, FLOW_IDLE);
    if (flow_leaves(flow))
        flow_deadline(flow, LAST_FIRST_MS, END_CLIENT_IDLE);
    if (buf_len(&client->in) > 0)
        conn_resume(client);
}

void flow_local_addr(const struct flow *flow, struct addr *out)
{
    if (flow->proxied)
        peer_to_addr(&flow->proxied->local, out);
    else if (!net_local_addr(flow->client.io.fd, out))
        *out = (struct addr){0};
}

bool flow_came_with_tls(const struct flow *flow)
{
    return flow->client.tls || (flow->proxied && flow->proxied->tls);
}

/* ---- out ---- */

bool exchange_introduce(struct exchange *x)
{
    struct flow *flow = x->flow;
    const struct tls *tls = flow->client.tls;
    struct proxy_tls told = {0};
    struct tls_peer certificate;
    struct addr source, destination;
    if (tls) {
        told.version = span_str(tls_version(tls));
        told.cipher = span_str(tls_cipher(tls));
        told.server_name = span_str(tls_server_name(tls));
        told.certificate = tls_peer(tls, &certificate);
        if (told.certificate)
            told.common_name = span_str(certificate.common_name);
    }
    peer_to_addr(&flow->peer, &source);
    flow_local_addr(flow, &destination);
    return upstream_introduce(x->up, x->backend->config->opt.send_proxy, &source, &destination,
                              flow_came_with_tls(flow) ? &told : NULL);
}
