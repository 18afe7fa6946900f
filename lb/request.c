// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns the way of a request up to its server: its head is parsed, its backend found, its
 * owner asked for or a server chosen, a connection lent. And it owns the decision whether a failed
 * try may be followed by another. Bodies are in request_body.c, what is sent in request_send.c.
 *
 *   client's `in`:  | head (head_bytes) | body so far (body_bytes) | raw bytes, later requests … |
 *
 * Head and gathered body stay there until no further try can need them (head_kept). Offsets into the
 * head are only good while worker->head holds this request's: whoever comes back in a later turn
 * calls request_parse_again.
 *
 * What may be repeated (INTERFACE §3.7): anything of which no byte was sent; GET, HEAD and OPTIONS
 * without sid and body until the first byte of an answer. A request with a sid only ever goes to its
 * owner.
 */
#include "lb/exchange.h"

#include "lb/client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- the head ---- */

static void note_engineio(struct exchange *x, const struct eio_request *eio)
{
    x->protocol = eio->protocol;
    x->legacy = eio->kind != EIO_NONE && eio->protocol == 0;
    x->polling = eio->kind != EIO_NONE && eio->transport == EIO_POLLING;
    x->jsonp = eio->jsonp;
    x->jsonp_index = eio->jsonp_index;
    x->has_sid = eio->kind == EIO_SESSION;
    x->handshake = eio->kind == EIO_HANDSHAKE && x->method == METHOD_GET;
    x->held_poll = x->has_sid && x->method == METHOD_GET && !x->upgrade;
    if (x->has_sid) {
        struct span sid = span_upto(eio_sid(eio), sizeof x->sid_short - 1);
        size_t n = 0;
        for (; n < sid.len && sid.ptr[n] > ' ' && sid.ptr[n] < 0x7f; n++)
            x->sid_short[n] = sid.ptr[n];
    }
}

static void classify(struct exchange *x)
{
    struct worker *worker = x->flow->worker;
    const char *base = exchange_text(x).ptr;
    eio_classify(slice_of(base, worker->head.path), slice_of(base, worker->head.query),
                 x->backend->sid_paths, x->backend->sid_path_count, &worker->eio);
}

bool request_parse_again(struct exchange *x)
{
    struct worker *worker = x->flow->worker;
    struct head_error error;
    size_t seen = 0;
    struct span head = span_upto(exchange_text(x), x->head_bytes);
    enum head_result result = head_parse_request(&worker->head, head, &seen,
                                                 &x->frontend->head_limits, &error);
    assert(result == HEAD_OK); /* the same bytes as the first time */
    if (x->backend)
        classify(x);
    return result == HEAD_OK;
}

void request_forget_head(struct exchange *x)
{
    x->head_kept = false;
    conn_consume(&x->flow->client, x->head_bytes + x->body_bytes);
}

static bool body_none(enum framing framing, uint64_t length)
{
    return framing == FRAMING_NONE || (framing == FRAMING_LENGTH && length == 0);
}

static void note_head(struct exchange *x, const struct head *head)
{
    x->head_bytes = head->bytes;
    x->head_kept = true;
    x->method = head->method;
    x->minor_0 = head->minor == 0;
    x->client_keeps = head->keep_alive;
    x->upgrade = head->upgrade_websocket;
    x->request.framing = head->framing;
    x->request.left = head->content_length;
    x->request.done = body_none(head->framing, head->content_length);
    x->head_us = x->flow->worker->loop.now_us;
    if (head->framing == FRAMING_CHUNKED)
        chunked_init(&x->request.chunked);
}

static void request_begin(struct flow *flow);

void request_read(struct flow *flow)
{
    struct worker *worker = flow->worker;
    const struct head_limits *limits = &flow->listener->frontend->head_limits;
    struct head_error error;
    size_t seen = flow->seen;
    enum head_result result = head_parse_request(&worker->head, buf_bytes(&flow->client.in), &seen,
                                                 limits, &error);
    flow->seen = (uint32_t)seen;
    switch (result) {
    case HEAD_MORE:
        flow->client.in_limit = limits->header_bytes +
                                8; /* with the empty lines that may come before */
        if (flow->client_eof)
            flow_end_status(flow, END_CLIENT_GONE_HEAD, 0, NULL);
        return;
    case HEAD_BAD:
        exchange_capture(flow, flow->listener->frontend->home->bad_request,
                         buf_bytes(&flow->client.in), &error, NULL);
        log_debug("request refused: %s frontend=%s", error.reason, flow->listener->frontend->name);
        flow_end_status(flow, END_REQUEST_BAD, error.status, error.reason);
        return;
    case HEAD_OK:
        request_begin(flow);
        return;
    }
}

/* Whom a trusted proxy speaks for, if it does. False: no memory. */
static bool note_client(struct exchange *x, const struct addr *peer, const struct addr *client)
{
    if (addr_eq(peer, client))
        return true;
    x->spoken_for = pool_lend(&x->flow->worker->notes);
    if (x->spoken_for)
        peer_from_addr(x->spoken_for, client);
    return x->spoken_for != NULL;
}

/* Who asks, and may they? False: it was answered already. */
static bool request_allowed(struct exchange *x, struct span path)
{
    struct flow *flow = x->flow;
    const struct head *head = &flow->worker->head;
    const char *base = exchange_text(x).ptr;
    struct addr peer, client;
    if (!x->rules && x->frontend->config->opt.trusted_proxies_count == 0)
        return true; /* it is the peer, and it may */
    peer_to_addr(&flow->peer, &peer);
    client_of(x->frontend, head, base, &peer, &client);
    if (!note_client(x, &peer, &client)) {
        flow_end(flow, END_NO_MEMORY);
        return false;
    }
    const char *why = x->rules ? rules_refuse(x->rules, &client, head, base, path) : NULL;
    if (why)
        flow_end_status(flow, END_FORBIDDEN, 403, why);
    return !why;
}

/* May this client's address open another session now? */
static bool request_within_rate(struct exchange *x)
{
    const struct rate *rate = &x->frontend->config->opt.handshakes_per_ip;
    struct addr client;
    if (rate->events == 0)
        return true;
    peer_to_addr(exchange_client(x), &client);
    return limits_handshake(x->frontend->limits, &client, rate, x->flow->worker->loop.now_ms);
}

/* The same for limits. */
static bool request_within_limits(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    const struct head *head = &worker->head;
    const struct frontend_options *options = &x->frontend->config->opt;
    if (head->framing == FRAMING_LENGTH && head->content_length > (uint64_t)options->limit_body) {
        flow_end(flow, END_BODY_TOO_LARGE);
        return false;
    }
    if (x->handshake && !request_within_rate(x)) {
        flow_end(flow, END_RATE_LIMITED);
        return false;
    }
    if (x->handshake && !backend_handshake(x->backend, worker->loop.now_us)) {
        flow_count(flow, COUNTER_SIO_HANDSHAKES_LIMITED, 1);
        flow_end(flow, END_HANDSHAKE_LIMITED);
        return false;
    }
    return true;
}

/* Head and route are known. False: it was answered already. */
static bool request_admit(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    const struct head *head = &worker->head;
    const char *base = exchange_text(x).ptr;
    struct span path = head->target_is_root ? SPAN("/") : slice_of(base, head->path);
    const struct config *config = x->edition->snapshot->config;
    if (flow_wants_https(x)) {
        flow_count(flow, COUNTER_REQUESTS, 1);
        if (head->host.len > 0)
            flow_end(flow, END_REDIRECTED);
        else
            flow_end_status(flow, END_REQUEST_BAD, 400, "without a Host there is no https address");
        return false;
    }
    ptrdiff_t index = config->sentinel_count > 0 && route_is_signal(config, path)
                          ? -1
                          : route_find(x->frontend->routes, slice_of(base, head->host), path,
                                       &x->rules);
    if (index < 0) {
        flow_count(flow, COUNTER_REQUESTS, 1);
        flow_end(flow, END_NO_ROUTE);
        return false;
    }
    x->backend = x->edition->snapshot->backends[index];
    counter_add(worker_stats(worker, x->backend->stat_id), COUNTER_EXCHANGES, 1);
    counter_add(worker_stats(worker, x->backend->stat_id), COUNTER_EXCHANGES_NOW, 1);
    flow_count(flow, COUNTER_REQUESTS, 1);
    classify(x);
    note_engineio(x, &worker->eio);
    if (x->held_poll && !access_on(worker))
        exchange_note_line(x, head, base); /* for lb/farewell */
    x->repeatable = !x->has_sid && x->request.done &&
                    (x->method == METHOD_GET || x->method == METHOD_HEAD ||
                     x->method == METHOD_OPTIONS);
    return request_allowed(x, path) && request_within_limits(x);
}

static void request_begin(struct flow *flow)
{
    struct worker *worker = flow->worker;
    struct exchange *x = exchange_new(flow);
    if (!x) {
        flow_end(flow, END_NO_MEMORY);
        return;
    }
    note_head(x, &worker->head);
    if (access_on(worker))
        exchange_note_line(x, &worker->head, exchange_text(x).ptr);
    if (!request_admit(x))
        return;
    if (x->request.done)
        request_choose(x);
    else
        request_body(x);
}
/* ---- choosing ---- */

/* Is it we who lack something, so that it says nothing of the server? */
static bool shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* There is no connection: whose fault is it, and may another server do? */
static void request_unconnected(struct exchange *x, int error)
{
    if (error == ECONNREFUSED || error == ENOENT)
        exchange_report(x, HEALTH_EVENT_REFUSED);
    if (error == EADDRNOTAVAIL) { /* ports are taken per server address */
        flow_count(x->flow, COUNTER_PORTS_EXHAUSTED, 1);
        request_failed(x, END_NO_PORT);
        return;
    }
    bool full = error == EAGAIN; /* its backlog, on a unix socket */
    if (shortage(error) || (x->owned && full))
        flow_end(x->flow, END_NO_MEMORY);
    else
        request_failed(x, END_CONNECT_FAILED);
}

static void request_connect(struct exchange *x)
{
    struct flow *flow = x->flow;
    int64_t now_us = flow->worker->loop.now_us;
    if (!x->queued_us)
        x->queued_us = now_us;
    x->tries++;
    bool alone = x->backend->config->opt.send_proxy != SEND_PROXY_OFF;
    x->up = upstream_lend(flow->worker, x->server, x->fresh || alone, &exchange_server_owner, x);
    if (x->up && alone && !exchange_introduce(x)) {
        flow_end(flow, END_NO_MEMORY);
        return;
    }
    if (!x->up) {
        request_unconnected(x, errno);
        return;
    }
    if (x->up->conn.connecting)
        flow_enter(flow, FLOW_CONNECT);
    else
        request_send(x);
}

static uint64_t client_hash(const struct exchange *x)
{
    struct addr client;
    peer_to_addr(exchange_client(x), &client);
    return hash_stable(addr_ip_bytes(&client));
}

/* The hash of what hash_on names in the request; the client's when it is absent. */
static uint64_t key_hash(const struct exchange *x)
{
    const struct worker *worker = x->flow->worker;
    const char *on = x->backend->config->opt.hash_on;
    const char *base = exchange_text(x).ptr;
    struct span key = client_hash_key(&worker->head, base, on);
    return key.len > 0 ? hash_stable(key) : client_hash(x);
}

static enum balance_result balance(struct exchange *x, struct server **server)
{
    struct worker *worker = x->flow->worker;
    struct balance_input input = {
        .rng = &worker->rng,
        .state = &x->edition->balance[x->backend->index],
        .tried_count = x->tried_count,
    };
    if (x->backend->config->opt.balance == BALANCE_SOURCE)
        input.source_hash = client_hash(x);
    if (x->backend->config->opt.balance == BALANCE_HASH)
        input.key_hash = key_hash(x);
    for (size_t i = 0; i < x->tried_count; i++)
        input.tried[i] = backend_server_by_sid_id(x->backend, x->tried[i]);
    return balance_choose(x->backend, &input, server);
}

static void request_chosen(struct exchange *x, struct server *server)
{
    x->balanced = true;
    exchange_join(x, server);
    flow_count(x->flow, COUNTER_CHOSEN, 1);
    request_connect(x);
}

/* Nobody is left to try: a server that took the request and gave no answer is 502; else 503, come again. */
static enum end_reason none_left(const struct exchange *x)
{
    if (x->tries == 0)
        return END_NO_SERVER;
    if (x->failure == END_SERVER_GONE_HEAD || x->failure == END_NO_PORT)
        return x->failure;
    return END_CONNECT_FAILED;
}

/* It need not wait (any longer). */
static void request_balanced(struct exchange *x, enum balance_result result, struct server *server)
{
    if (result == BALANCE_NONE)
        flow_end(x->flow, none_left(x));
    else
        request_chosen(x, server);
}

bool request_leave_queue(struct exchange *x)
{
    struct server *server = NULL;
    request_parse_again(x);
    enum balance_result result = balance(x, &server);
    if (result == BALANCE_FULL)
        return false;
    upstream_queue_remove(x->flow->worker, x->backend, &x->queue_node);
    request_balanced(x, result, server);
    return true;
}

bool request_is_picky(const struct exchange *x)
{
    return x->tried_count > 0 || x->edition != x->flow->worker->edition;
}

/* Has somebody waited longer for any place? */
static bool others_wait_for(const struct exchange *x)
{
    struct list *first = upstream_queue_first(x->flow->worker, x->backend->home);
    return first && !request_is_picky(container_of(first, struct exchange, queue_node));
}

static void request_balance(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    struct server *server = NULL;
    bool others_wait = others_wait_for(x);
    enum balance_result result = others_wait ? BALANCE_FULL : balance(x, &server);
    if (result != BALANCE_FULL) {
        request_balanced(x, result, server);
        return;
    }
    if (x->backend->config->opt.timeout_queue_ms == 0) {
        flow_end(flow, END_NO_SERVER);
        return;
    }
    upstream_queue_push(worker, x->backend, &x->queue_node);
    x->waited = true;
    flow_enter(flow, FLOW_QUEUE);
    /* A place left between the look and the push would be nobody's news. */
    if (!others_wait)
        request_leave_queue(x);
}

static void note_owner(struct exchange *x, const struct sticky_owner *owner)
{
    x->hold = owner->hold;
    x->lifetime_ms = owner->lifetime_ms < UINT32_MAX ? (uint32_t)owner->lifetime_ms : UINT32_MAX;
    if (owner->sid_missed)
        flow_count(x->flow, COUNTER_SIO_SID_MISSES, 1);
    if (owner->by != STICKY_SID)
        return;
    if (owner->answer == STICKY_OWNER)
        flow_count(x->flow, COUNTER_SIO_SID_HITS, 1);
    else if (owner->answer == STICKY_DEAD)
        flow_count(x->flow, COUNTER_SIO_DEAD_OWNERS, 1);
}

/* Its owner has a place for it. A session that is to move leaves with its next poll. */
static void request_to_owner(struct exchange *x, const struct sticky_owner *owner)
{
    struct flow *flow = x->flow;
    if (x->held_poll && x->hold.held)
        sessions_add(&flow->worker->sessions, &x->session, flow, &x->hold);
    if (owner->kick && x->held_poll)
        flow_kick_poll(flow, server_moving(x->server));
    else if (owner->kick && x->upgrade)
        flow_end_status(flow, END_KICKED, 400, NULL);
    else
        request_connect(x);
}

void request_choose(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    struct sticky_owner owner;
    const char *base = exchange_text(x).ptr;
    struct addr client;
    peer_to_addr(exchange_client(x), &client);
    sticky_find(x->backend, &worker->eio, &worker->head, base, addr_ip_bytes(&client),
                worker->loop.now_ms, &owner);
    note_owner(x, &owner);
    if (owner.sid_unproven && owner.answer != STICKY_DEAD) {
        if (!sids_may_miss(x)) {
            flow_count(flow, COUNTER_SIO_SIDS_LIMITED, 1);
            flow_end(flow, END_RATE_LIMITED);
            return;
        }
        sids_note(x);
    }
    if (x->backend->config->opt.cookie_mode == COOKIE_INSERT)
        x->cookie_server = sticky_cookie_server(x->backend, &worker->head, base,
                                                worker->loop.now_ms);
    switch (owner.answer) {
    case STICKY_DEAD:
        flow_end(flow, END_DEAD_OWNER);
        return;
    case STICKY_OWNER:
        x->owned = owner.by == STICKY_SID;
        server_take_over(owner.server);
        exchange_join(x, owner.server);
        request_to_owner(x, &owner);
        return;
    case STICKY_NOBODY:
        request_balance(x);
        return;
    }
}

/* ---- another try ---- */

static bool response_began(const struct exchange *x)
{
    return x->answered || x->response_us || x->interim || (x->up && buf_len(&x->up->conn.in) > 0);
}

/* Nothing of it was done by any server, or it may be done twice. */
static bool may_try_again(const struct exchange *x)
{
    return x->head_kept && (!x->sent || x->repeatable) && !response_began(x) &&
           x->tries <= x->backend->config->opt.retries;
}

/* Without memory for it, it may be tried again. */
static void note_tried(struct exchange *x, const struct server *server)
{
    _Static_assert(BALANCE_TRIED_MAX * sizeof(*x->tried) <= NOTE_MAX, "they are a note");
    if (!x->tried)
        x->tried = pool_lend(&x->flow->worker->notes);
    if (x->tried && x->tried_count < BALANCE_TRIED_MAX)
        x->tried[x->tried_count++] = (uint16_t)server->sid_id;
}

static void try_again(struct exchange *x, enum end_reason reason, bool same_server)
{
    struct flow *flow = x->flow;
    struct server *server = x->server;
    flow_count(flow, COUNTER_RETRIES, 1);
    x->failure = reason;
    x->sent = false;
    x->seen = 0;
    request_parse_again(x);
    if (same_server) {
        if (x->up)
            upstream_close(x->up);
        x->up = NULL;
        x->fresh = true;
        request_connect(x);
        return;
    }
    note_tried(x, server);
    flow_count(flow, COUNTER_REDISPATCHES, 1);
    x->redispatched = true;
    x->fresh = false;
    if (x->cookie_server == server)
        x->cookie_server = NULL; /* the cookie leads nowhere: the client gets another */
    exchange_leave(x, false);
    request_balance(x);
}

void request_failed(struct exchange *x, enum end_reason reason)
{
    struct flow *flow = x->flow;
    bool reused = x->up && x->up->reused;
    if (reason == END_CONNECT_TIMEOUT)
        exchange_report(x, HEALTH_EVENT_CONNECT);
    if (reason == END_SERVER_GONE_HEAD && !reused)
        exchange_report(x, HEALTH_EVENT_RESPONSE);
    if (reason == END_CONNECT_FAILED || reason == END_CONNECT_TIMEOUT)
        flow_count(flow, COUNTER_CONNECT_ERRORS, 1);
    bool alive = server_alive(x->server);
    if (may_try_again(x) && reused && alive) {
        try_again(x, reason, true); /* the kept connection had died unnoticed */
        return;
    }
    if (!x->owned && may_try_again(x)) {
        try_again(x, reason, false);
        return;
    }
    bool refused = reason == END_CONNECT_FAILED && !x->sent;
    if (x->owned && !x->answered && (refused || !alive))
        reason = END_DEAD_OWNER;
    flow_end(flow, reason);
}
