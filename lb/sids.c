// SPDX-License-Identifier: Apache-2.0
/*
 * What an exchange does about session ids beyond finding the owner: a handshake's answer is learned,
 * with sid.mode `tag` also rewritten; and a session that the table does not know (another balancer
 * opened it, or the table was lost) is entered once its server has confirmed it.
 *
 * A handshake's answer that gets a tag is held back from its head on, because the length changes:
 *
 *     watched:  | head as it came (tag_head) | body so far, chunks taken apart |
 *
 * until the sid has been read, at most EIO_HANDSHAKE_MAX bytes of body. Then the head goes out with
 * the new length, the body so far with the tag in it, and what is still to come passes as always.
 * When no sid is found everything goes out as it came. A server that dies meanwhile costs the client
 * a plain 502: nothing of the answer was sent yet.
 *
 * Unknown sids never create state, forged ones included: only an answer that a server gives to none
 * but a living session (200 to a poll or a POST, 101) enters one. 0.9 answers 200 to any sid, so
 * its sessions are entered by their handshakes only. Until then such a request counts as `loose` if
 * its sid names its owner.
 *
 * A sid that is nobody's costs a server as much as a handshake, so rate_limit.handshakes_per_ip bounds
 * them as well, in a bucket of their own. What is counted is that a server was asked and did not
 * confirm it: a live session is never counted, also when all of them come anew after a restart.
 *
 *     unknown to the table ─► too many were nobody's? ─► 429
 *                                       └─ no ─► a server ─┬─ confirms ─► entered
 *                                                          └─ does not ─► counted (sids_settle)
 */
#include "lb/exchange.h"

#include "lb/sidname.h"
#include "proto/engineio_tag.h"

#include <assert.h>
#include <string.h>

/* ---- sids that the table does not know ---- */

bool sids_may_miss(struct exchange *x)
{
    const struct rate *rate = &x->frontend->config->opt.handshakes_per_ip;
    struct addr client;
    if (rate->events == 0 || x->method == METHOD_OPTIONS)
        return true; /* a preflight is answered whatever the sid */
    x->unproven = true;
    peer_to_addr(exchange_client(x), &client);
    return limits_may_miss(x->frontend->limits, &client, rate, x->flow->worker->loop.now_ms);
}

void sids_settle(struct exchange *x)
{
    const struct rate *rate = &x->frontend->config->opt.handshakes_per_ip;
    struct addr client;
    if (!x->unproven || !x->sent)
        return;
    peer_to_addr(exchange_client(x), &client);
    limits_miss(x->frontend->limits, &client, rate, x->flow->worker->loop.now_ms);
}

void sids_note(struct exchange *x)
{
    struct worker *worker = x->flow->worker;
    struct span sid = eio_sid(&worker->eio);
    if (sid.len == 0 || x->legacy || x->method == METHOD_OPTIONS)
        return;
    x->sid = pool_lend(&worker->lines);
    if (!x->sid)
        return;
    memcpy(x->sid, sid.ptr, sid.len);
    x->sid_len = (uint16_t)sid.len;
}

static bool confirms(const struct exchange *x, uint16_t status)
{
    if (status == 101)
        return x->upgrade;
    return status == 200 && x->polling && (x->method == METHOD_GET || x->method == METHOD_POST);
}

void sids_confirm(struct exchange *x, uint16_t status)
{
    int64_t now_ms = x->flow->worker->loop.now_ms;
    struct sid_found found;
    if (x->legacy ? status == 200 : confirms(x, status))
        x->unproven = false; /* 0.9's body may still say otherwise */
    if (!x->sid || x->hold.held || x->closes_sid || !confirms(x, status))
        return;
    struct span sid = {x->sid, x->sid_len};
    int64_t lifetime = atomic_load_explicit(&x->server->sid_lifetime_ms, memory_order_relaxed);
    sidmap_bind(x->backend->sids, sid, x->server->sid_id, lifetime, now_ms);
    if (sidmap_hold(x->backend->sids, sid, now_ms, &found, &x->hold))
        exchange_tighten(x);
}

/* ---- handshakes ---- */

static void check_name(struct exchange *x, struct span sid)
{
    if (x->backend->config->opt.sid_mode != SID_PREFIX || !sidname_used(x->backend) ||
        sidname_is_named(x->server, sid) ||
        atomic_exchange_explicit(&x->server->sid_misnamed, true, memory_order_relaxed))
        return;
    log_warning("session ids of this server do not begin with its name: other balancers cannot "
                "route them server=%s/%s sid.mode=prefix",
                x->backend->name, x->server->name);
}

static void learn(struct exchange *x, struct span sid, const struct eio_handshake *handshake)
{
    int64_t lifetime = 0;
    if (handshake->ping_interval_ms > 0 && handshake->ping_timeout_ms > 0)
        lifetime = handshake->ping_interval_ms + handshake->ping_timeout_ms;
    if (lifetime > 0)
        atomic_store_explicit(&x->server->sid_lifetime_ms, lifetime, memory_order_relaxed);
    sidmap_bind(x->backend->sids, sid, x->server->sid_id, lifetime, x->flow->worker->loop.now_ms);
    flow_count(x->flow, COUNTER_SIO_HANDSHAKES, 1);
}

void sids_learn(struct exchange *x, const struct eio_handshake *handshake)
{
    struct span sid = {handshake->sid, handshake->sid_len};
    check_name(x, sid);
    learn(x, sid, handshake);
}

bool sids_hold_back(struct exchange *x, const char *base)
{
    struct worker *worker = x->flow->worker;
    const struct head *head = &worker->head;
    if (x->watch != WATCH_HANDSHAKE || !sidname_tags(x->backend) ||
        head_field(head, HEADER_CONTENT_ENCODING) ||
        !buf_append(worker->shelf, &x->watched, span_of(base, head->bytes)))
        return false;
    x->watch = WATCH_NOTHING;
    x->tag_head = head->bytes;
    x->held_back = true;
    return true;
}

/* Head and body so far go out; the head is parsed again, for in a later turn it is not in
 * worker->head any more. */
static bool release(struct exchange *x, const struct span *parts, size_t count, size_t grown)
{
    static const struct head_limits limits = {.header_bytes = UINT32_MAX,
                                              .fields = HEAD_FIELDS_MAX};
    struct worker *worker = x->flow->worker;
    struct head_error error;
    size_t seen = 0;
    struct span head = span_upto(buf_bytes(&x->watched), x->tag_head);
    enum head_result result = head_parse_response(&worker->head, head, &seen, x->method, &limits,
                                                  &error);
    assert(result == HEAD_OK); /* the same bytes as the first time */
    x->held_back = false;
    bool sent = result == HEAD_OK && response_write_head(x, head.ptr, grown) &&
                response_send(x, parts, count);
    buf_clear(worker->shelf, &x->watched);
    return sent;
}

static struct span body_so_far(const struct exchange *x)
{
    return span_from(buf_bytes(&x->watched), x->tag_head);
}

bool sids_release(struct exchange *x)
{
    struct span body = body_so_far(x);
    flow_count(x->flow, COUNTER_SIO_UNLEARNED, 1);
    return release(x, &body, 1, 0);
}

static bool release_tagged(struct exchange *x, const struct eio_handshake *handshake)
{
    struct eio_tagged tagged;
    char sid[EIO_SID_MAX];
    uint64_t tag = tag_of_hash(x->server->name_hash);
    struct span body = body_so_far(x);
    if (!eio_tag_handshake(body, handshake, tag, &tagged)) {
        sids_learn(x, handshake); /* here at least it can be routed */
        return release(x, &body, 1, 0);
    }
    eio_tag_write(tag, sid);
    memcpy(sid + EIO_TAG_ROOM, handshake->sid, handshake->sid_len);
    learn(x, span_of(sid, EIO_TAG_ROOM + handshake->sid_len), handshake);
    return release(x, tagged.parts, tagged.count, tagged.len - body.len);
}

bool sids_take(struct exchange *x, struct span piece)
{
    struct eio_handshake handshake;
    if (!buf_append(x->flow->worker->shelf, &x->watched, piece))
        return false;
    struct span body = body_so_far(x);
    /* Only these bytes can complete it, as in response.c. */
    if (!x->legacy && !memchr(piece.ptr, '}', piece.len) && body.len < EIO_HANDSHAKE_MAX)
        return true;
    switch (eio_parse_handshake(body, x->legacy, &handshake)) {
    case EIO_PARSE_MORE:
        return true;
    case EIO_PARSE_FOUND:
        return release_tagged(x, &handshake);
    case EIO_PARSE_NOT:
        return sids_release(x);
    }
    return true;
}
