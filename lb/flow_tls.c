// SPDX-License-Identifier: Apache-2.0
/*
 * The beginning of a flow whose listener has TLS. conn shakes hands; here is what that means: a
 * deadline of its own, counters by kind of failure, and one line at level debug, since anybody who
 * can connect can make handshakes fail.
 */
#include "lb/exchange.h"

#include "base/tls.h"
#include "lb/reply.h"

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
