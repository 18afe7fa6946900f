// SPDX-License-Identifier: Apache-2.0
/*
 * The beginning of a flow whose listener has TLS. conn shakes hands; here is what that means: a
 * deadline of its own, counters by kind of failure, and one line at level debug, since anybody who
 * can connect can make handshakes fail. And the redirection of who came without.
 */
#include "lb/exchange.h"

#include "base/tls.h"
#include "lb/client.h"
#include "lb/reply.h"

#include <stdio.h>

void flow_secure(struct flow *flow)
{
    struct tls *tls = tls_accept(flow->listener->tls);
    if (!tls) {
        flow_count(flow, COUNTER_INTERNAL_ERRORS, 1);
        flow_close(flow, false);
        return;
    }
    flow->state = FLOW_HANDSHAKE;
    flow_deadline(flow, flow->listener->frontend->config->opt.timeout_handshake_ms,
                  END_HANDSHAKE_TIMEOUT);
    conn_secure(&flow->client, tls);
}

void flow_handshake_done(struct flow *flow)
{
    flow_count(flow, COUNTER_TLS_HANDSHAKES, 1);
    if (tls_resumed(flow->client.tls))
        flow_count(flow, COUNTER_TLS_RESUMED, 1);
    flow_enter(flow, FLOW_IDLE);
    if (flow_leaves(flow))
        flow_deadline(flow, LAST_FIRST_MS, END_CLIENT_IDLE);
}

/* ---- failures ---- */

static void log_failure(const struct flow *flow)
{
    char text[ADDR_TEXT_MAX];
    struct addr peer;
    const struct tls *tls = flow->client.tls;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    peer_to_addr(&flow->peer, &peer);
    log_debug("TLS handshake failed frontend=%s client=%s kind=%s reason=\"%s\"",
              flow->listener->frontend->name, addr_format(&peer, text),
              tls_trouble_word(tls->trouble), tls_error(tls));
}

/* Somebody has put http:// before an address that wants https://. */
static void answer_http(struct flow *flow)
{
    char text[1024];
    struct reply reply = {
        .status = 400, .reason = "This port speaks HTTPS, not HTTP.", .close = true};
    struct span answer = {text, reply_write(&reply, text, sizeof text)};
    conn_unsecure(&flow->client);
    conn_write(&flow->client, &answer, 1);
    flow_finish(flow);
}

static enum counter counter_of(enum tls_trouble trouble)
{
    static const enum counter counters[TLS_TROUBLES] = {
        [TLS_TROUBLE_NONE] = COUNTER_TLS_FAILED_PROTOCOL,
        [TLS_TROUBLE_HTTP] = COUNTER_TLS_FAILED_PLAIN_HTTP,
        [TLS_TROUBLE_VERSION] = COUNTER_TLS_FAILED_VERSION,
        [TLS_TROUBLE_CIPHER] = COUNTER_TLS_FAILED_CIPHER,
        [TLS_TROUBLE_ALPN] = COUNTER_TLS_FAILED_ALPN,
        [TLS_TROUBLE_CERTIFICATE] = COUNTER_TLS_FAILED_CERTIFICATE,
        [TLS_TROUBLE_REFUSED] = COUNTER_TLS_FAILED_REFUSED,
        [TLS_TROUBLE_CLOSED] = COUNTER_TLS_FAILED_CLOSED,
        [TLS_TROUBLE_PROTOCOL] = COUNTER_TLS_FAILED_PROTOCOL,
    };
    return counters[trouble];
}

void flow_handshake_failed(struct flow *flow)
{
    enum tls_trouble trouble = flow->client.tls->trouble;
    flow_count(flow, counter_of(trouble), 1);
    log_failure(flow);
    if (trouble == TLS_TROUBLE_HTTP)
        answer_http(flow);
    else
        flow_close(flow, false);
}

/* ---- to https ---- */

bool flow_wants_https(const struct exchange *x)
{
    const struct flow *flow = x->flow;
    const struct head *head = &flow->worker->head;
    if (!x->frontend->config->opt.https_redirect || flow_came_with_tls(flow))
        return false;
    struct addr peer;
    peer_to_addr(&flow->peer, &peer);
    struct span proto = head_value(head, exchange_text(x).ptr, HEADER_X_FORWARDED_PROTO);
    return !(client_trusted(x->frontend, &peer) && span_eq_nocase(proto, SPAN("https")));
}

/* "chat.test:8080" → "chat.test", "[::1]:80" → "[::1]" */
static struct span without_port(struct span host)
{
    size_t bracket = span_index(host, ']');
    size_t colon = span_index(host, ':');
    if (bracket != SIZE_MAX)
        return span_upto(host, bracket + 1);
    return colon != SIZE_MAX ? span_upto(host, colon) : host;
}

void flow_https_location(const struct exchange *x, struct reply *reply,
                         char text[static FLOW_LOCATION_MAX])
{
    const struct head *head = &x->flow->worker->head;
    const char *base = exchange_text(x).ptr;
    struct span host = without_port(slice_of(base, head->host));
    char port[16] = "";
    if (x->frontend->config->opt.https_port != 443)
        snprintf(port, sizeof(port), ":%lld", (long long)x->frontend->config->opt.https_port);
    int n = snprintf(text, FLOW_LOCATION_MAX, "https://%.*s%s%s",
                     (int)(host.len < 256 ? host.len : 256), host.ptr, port,
                     head->target_is_root ? "/" : "");
    reply->location = span_of(text, (size_t)n);
    reply->location_rest = slice_of(base, head->target);
}
