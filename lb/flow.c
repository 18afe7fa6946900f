// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns the life of a client connection: its states, its deadlines, what its events mean
 * in each state, and its end.
 *
 *             ┌──────────────────── next request on a kept connection ───────────────┐
 *   accept → IDLE → HEAD → GATHER → (choose) → CONNECT → RELAY ── response complete ─┤
 *      │    ▲  │      │       │        │ ▲       │         └── 101 agreed → TUNNEL   │
 *      ▼    │  │      │       │     QUEUE┘ ◄─────┘ another try: while none can harm  │
 *   HANDSHAKE  └──────┴───────┴────────┴── failure → answer? → CLOSING ◄─────────────┘
 *
 * flow_enter alone writes the state. flow_end alone ends an exchange early: it answers when no byte
 * of an answer has left, else closes; counters, access line and grave follow from there. Every
 * function that may end the flow is called last, so that nobody touches it afterwards; its memory
 * lives until the turn ends.
 *
 * One timer per flow. A state sets its deadline on entry (state_table); RELAY sets it again with
 * every step, which costs two stores (base/timer.h).
 */
#include "lb/exchange.h"

#include "lb/reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAY(state) (1u << FLOW_##state)

static const struct {
    const char *name;
    unsigned next;           /* states that may follow */
    enum end_reason overdue; /* why it ends when its deadline passes */
} state_table[FLOW_STATES] = {
    [FLOW_PROXY] = {"proxy", MAY(IDLE) | MAY(ENDED), END_PROXY_TIMEOUT},
    [FLOW_HANDSHAKE] = {"handshake", MAY(IDLE) | MAY(CLOSING) | MAY(ENDED), END_HANDSHAKE_TIMEOUT},
    [FLOW_IDLE] = {"idle", MAY(HEAD) | MAY(CLOSING) | MAY(ENDED), END_CLIENT_IDLE},
    [FLOW_HEAD] = {"head",
                   MAY(IDLE) | MAY(GATHER) | MAY(QUEUE) | MAY(CONNECT) | MAY(RELAY) | MAY(CLOSING) |
                       MAY(ENDED),
                   END_REQUEST_TIMEOUT},
    [FLOW_GATHER] = {"gather",
                     MAY(IDLE) | MAY(QUEUE) | MAY(CONNECT) | MAY(RELAY) | MAY(CLOSING) | MAY(ENDED),
                     END_BODY_SLOW},
    [FLOW_QUEUE] = {"queue",
                    MAY(IDLE) | MAY(QUEUE) | MAY(CONNECT) | MAY(RELAY) | MAY(CLOSING) | MAY(ENDED),
                    END_QUEUE_TIMEOUT},
    [FLOW_CONNECT] = {"connect",
                      MAY(IDLE) | MAY(QUEUE) | MAY(CONNECT) | MAY(RELAY) | MAY(CLOSING) |
                          MAY(ENDED),
                      END_CONNECT_TIMEOUT},
    [FLOW_RELAY] = {"relay",
                    MAY(IDLE) | MAY(QUEUE) | MAY(CONNECT) | MAY(RELAY) | MAY(TUNNEL) |
                        MAY(CLOSING) | MAY(ENDED),
                    END_RESPONSE_TIMEOUT},
    [FLOW_TUNNEL] = {"tunnel", MAY(CLOSING) | MAY(ENDED), END_TUNNEL_TIMEOUT},
    [FLOW_CLOSING] = {"closing", MAY(ENDED), END_DONE},
    [FLOW_ENDED] = {"ended", 0, END_DONE},
};

/* Milliseconds that a state may last; RELAY's and CLOSING's follow from what they wait for. */
static int64_t state_deadline(const struct flow *flow)
{
    const struct frontend_options *options = &flow->listener->frontend->config->opt;
    switch (flow->state) {
    case FLOW_PROXY:
    case FLOW_HANDSHAKE:
        return options->timeout_handshake_ms;
    case FLOW_IDLE:
        return flow->first ? options->timeout_request_ms : options->timeout_keepalive_ms;
    case FLOW_HEAD:
        return options->timeout_request_ms;
    case FLOW_GATHER:
    case FLOW_CLOSING:
        return options->timeout_client_ms;
    case FLOW_QUEUE:
        return flow->exchange->backend->config->opt.timeout_queue_ms;
    case FLOW_CONNECT:
        return flow->exchange->backend->config->opt.timeout_connect_ms;
    case FLOW_RELAY:
        return flow->exchange->backend->config->opt.timeout_response_ms;
    case FLOW_TUNNEL:
        return tunnel_backend(flow->tunnel)->config->opt.timeout_tunnel_ms;
    case FLOW_ENDED:
    case FLOW_STATES:
        break;
    }
    return 0;
}

void flow_deadline(struct flow *flow, int64_t ms, enum end_reason reason)
{
    flow->on_deadline = reason;
    loop_timer_start(&flow->worker->loop, &flow->timer, ms);
}

void flow_enter(struct flow *flow, enum flow_state state)
{
    assert(state_table[flow->state].next & (1u << state));
    bool head_of_first = state == FLOW_HEAD && flow->first;
    flow->state = state;
    if (state == FLOW_ENDED)
        loop_timer_stop(&flow->worker->loop, &flow->timer);
    else if (head_of_first)
        flow->on_deadline =
            state_table[state].overdue; /* its time runs since the connection came */
    else
        flow_deadline(flow, state_deadline(flow), state_table[state].overdue);
}

static void add_all(struct counter_block *block, const struct counted *counted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        counter_add(block, counted[i].id, counted[i].n);
}

void flow_count_all(struct flow *flow, const struct counted *counted, size_t n)
{
    struct worker *worker = flow->worker;
    struct exchange *x = flow->exchange;
    struct tunnel *tunnel = flow->tunnel;
    struct backend *backend = x ? x->backend : tunnel ? tunnel_backend(tunnel) : NULL;
    struct server *server = x ? x->server : tunnel ? tunnel->server : NULL;
    add_all(worker_stats(worker, flow->listener->frontend->stat_id), counted, n);
    if (backend)
        add_all(worker_stats(worker, backend->stat_id), counted, n);
    if (server)
        add_all(worker_stats(worker, server->stat_id), counted, n);
}

void flow_count(struct flow *flow, enum counter id, int64_t n)
{
    flow_count_all(flow, &(struct counted){id, n}, 1);
}

void peer_to_addr(const union peer *peer, struct addr *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out, peer, sizeof *peer);
    sa_family_t family = peer->any.sa_family;
    out->len = family == AF_INET    ? sizeof peer->v4
               : family == AF_INET6 ? sizeof peer->v6
                                    : (socklen_t)sizeof family;
}

void peer_from_addr(union peer *peer, const struct addr *addr)
{
    memset(peer, 0, sizeof *peer);
    if (addr->any.sa_family == AF_UNIX || addr->len == 0)
        peer->any.sa_family = AF_UNIX;
    else
        memcpy(peer, addr, addr->len < sizeof *peer ? addr->len : sizeof *peer);
}

/* ---- the end ---- */

static void flow_bury(struct grave *grave)
{
    struct flow *flow = container_of(grave, struct flow, grave);
    struct listener *listener = flow->listener;
    free(flow->proxied);
    pool_give_back(&flow->worker->flows, flow);
    listener_flow_gone(listener);
}

void flow_close(struct flow *flow, bool reset)
{
    struct worker *worker = flow->worker;
    struct frontend *frontend = flow->listener->frontend;
    flow_enter(flow, FLOW_ENDED);
    if (reset)
        conn_reset(&flow->client);
    else
        conn_close(&flow->client);
    if (flow->counted_limit) {
        struct addr peer;
        peer_to_addr(&flow->peer, &peer);
        limits_disconnect(frontend->home->limits, &peer);
    }
    list_remove(&flow->node);
    flow->grave.fn = flow_bury;
    counter_add(worker_stats(worker, frontend->stat_id), COUNTER_CONNS_NOW, -1);
    atomic_fetch_sub_explicit(&worker->flows_now, 1, memory_order_relaxed);
    worker_client_closed(worker, frontend);
    loop_bury(&worker->loop, &flow->grave);
}

/* Does the last answer still wait for the client to take it? */
static bool flow_drains(const struct flow *flow)
{
    return buf_len(&flow->client.out) > 0 && !flow->client.unwritable;
}

/*
 * No further request. What the client still sends is read and thrown away until it closes, for a while:
 * closing a socket before that sends a reset that can overtake the answer (RFC 9112 §9.6).
 */
void flow_finish(struct flow *flow)
{
    bool waiting = flow_drains(flow);
    bool gone = !conn_open(&flow->client) || flow->client.unwritable;
    if (gone || (!waiting && flow->client_eof)) {
        flow_close(flow, false);
        return;
    }
    flow_enter(flow, FLOW_CLOSING);
    conn_consume(&flow->client, buf_len(&flow->client.in));
    conn_close_write(&flow->client);
    flow->progress = (uint32_t)(waiting ? conn_taken(&flow->client) : flow->client.received);
    if (!waiting)
        flow_deadline(flow, LINGER_MS, END_DONE);
    conn_resume(&flow->client);
}

/* The next request waits until this answer has drained. */
static void flow_drain(struct flow *flow)
{
    conn_pause(&flow->client);
    flow->progress = (uint32_t)conn_taken(&flow->client);
    flow_deadline(flow, flow->listener->frontend->config->opt.timeout_client_ms,
                  END_CLIENT_STALLED);
}

void flow_next(struct flow *flow)
{
    struct exchange *x = flow->exchange;
    assert(!x);
    bool last = flow->client_eof || flow_leaves(flow);
    if (last && buf_len(&flow->client.in) == 0) {
        flow_finish(flow);
        return;
    }
    flow->first = false;
    flow->seen = 0;
    flow->began_us = 0;
    flow_enter(flow, FLOW_IDLE);
    flow->client.in_limit = BUF_SMALL;
    if (flow->client.blocked)
        flow_drain(flow);
    else if (buf_len(&flow->client.in) > 0 || flow->client.paused)
        conn_resume(&flow->client);
}

/* May the connection carry another request after an answer of our own? */
static bool flow_keeps(const struct flow *flow, const struct exchange *x, enum end_reason reason)
{
    return x->client_keeps && x->request.done && reason != END_REQUEST_BAD &&
           reason != END_REQUEST_TIMEOUT && reason != END_BODY_BAD && reason != END_NO_MEMORY &&
           exchange_more_may_follow(x) && !flow_leaves(flow);
}

static size_t write_reply(struct exchange *x, uint16_t status, const char *phrase, bool keep,
                          char *out, size_t size)
{
    struct rng *rng = &x->flow->worker->rng;
    struct reply reply = {
        .status = status,
        .reason = phrase,
        .retry_after_s = status == 503 || status == 429 ? 1 + (int)rng_below(rng, 4) : 0,
        .close = !keep,
        .keep_alive_10 = keep && x->minor_0,
        .to_head = x->method == METHOD_HEAD,
    };
    char location[FLOW_LOCATION_MAX];
    if (status == 308)
        flow_https_location(x, &reply, location);
    return reply_write(&reply, out, size);
}

/* In Engine.IO's own words: the session is unknown (its owner is dead), or it closes (a kick). */
static size_t write_engineio(struct exchange *x, enum end_reason reason, bool keep, char *out,
                             size_t size)
{
    enum { ORIGIN_MAX = 1024 }; /* no browser has a longer one; it must fit the answer */
    struct span origin = SPAN_NONE;
    if (x->head_kept && request_parse_again(x))
        origin = head_value(&x->flow->worker->head, exchange_text(x).ptr, HEADER_ORIGIN);
    if (origin.len > ORIGIN_MAX)
        origin = SPAN_NONE;
    struct eio_request eio = {
        .kind = EIO_SESSION,
        .transport = x->polling ? EIO_POLLING : EIO_WEBSOCKET,
        .protocol = x->protocol,
        .jsonp = x->jsonp,
        .jsonp_index = x->jsonp_index,
    };
    if (reason == END_KICKED && !x->upgrade)
        return reply_write_close_packet(&eio, origin, !keep, out, size);
    size_t n = reply_write_unknown_sid(&eio, x->upgrade, origin, !keep, out, size);
    if (x->method == METHOD_HEAD)
        n = span_find(span_of(out, n), SPAN("\r\n\r\n")) + 4;
    return n;
}

/* Our own answer. False: it could not be written. */
static bool flow_answer(struct flow *flow, enum end_reason reason, uint16_t status,
                        const char *phrase, bool keep)
{
    struct exchange *x = flow->exchange;
    struct conn *client = &flow->client;
    size_t room = 4096 + (reason == END_REDIRECTED ? x->head_bytes : 0);
    if (!conn_open(client) || !buf_reserve(client->loop->shelf, &client->out, room))
        return false;
    char *out = client->out.data + client->out.end;
    bool engineio = reason == END_DEAD_OWNER || reason == END_KICKED;
    size_t n = engineio ? write_engineio(x, reason, keep, out, room)
                        : write_reply(x, status, phrase, keep, out, room);
    client->out.end += (uint32_t)n;
    x->status = reason == END_DEAD_OWNER && x->legacy && !x->upgrade ? 200 : status;
    x->answered = true;
    flow_count(flow, COUNTER_OWN_ANSWERS, 1);
    return n > 0 && conn_flush(client) != IO_FAILED;
}

/* Who was too slow with its request is not waited for any longer. */
static bool timed_out(enum end_reason reason)
{
    return reason == END_REQUEST_TIMEOUT || reason == END_BODY_SLOW;
}

void flow_end_status(struct flow *flow, enum end_reason reason, uint16_t status, const char *phrase)
{
    if (flow->state == FLOW_ENDED)
        return;
    if (flow->tunnel) {
        tunnel_end(flow->tunnel, reason);
        return;
    }
    struct exchange *x = flow->exchange;
    if (!x && (status != 0 || reason == END_CLIENT_GONE_HEAD))
        x = exchange_new(flow); /* so that it is counted and logged */
    if (!x) {
        flow_close(flow, flow_drains(flow));
        return;
    }
    bool mid_answer = x->answered;
    bool keep = flow_keeps(flow, x, reason) &&
                !(x->upgrade && (reason == END_DEAD_OWNER || reason == END_KICKED));
    bool answered = !mid_answer && status != 0 && flow_answer(flow, reason, status, phrase, keep);
    if (x->head_kept)
        request_forget_head(x);
    exchange_end(x, reason, false);
    bool hasty = timed_out(reason) && buf_len(&flow->client.out) == 0;
    if (!answered || hasty)
        flow_close(flow, mid_answer);
    else if (keep)
        flow_next(flow);
    else
        flow_finish(flow);
}

void flow_end(struct flow *flow, enum end_reason reason)
{
    flow_end_status(flow, reason, end_table[reason].status, NULL);
}

/* ---- deadlines ---- */

/* The deadline of a stalled client passed, but it took (or sent) something meanwhile: it goes on.
 */
static bool flow_progressed(struct flow *flow)
{
    uint32_t taken = (uint32_t)conn_taken(&flow->client);
    if (!flow->client.blocked || taken == flow->progress)
        return false;
    flow->progress = taken;
    flow_deadline(flow, flow->listener->frontend->config->opt.timeout_client_ms, flow->on_deadline);
    return true;
}

static void flow_overdue(struct timer *timer)
{
    struct flow *flow = container_of(timer, struct flow, timer);
    enum end_reason reason = flow->on_deadline;
    switch (flow->state) {
    case FLOW_PROXY:
        flow_count(flow, COUNTER_PROXY_TIMEOUTS, 1);
        flow_close(flow, false);
        return;
    case FLOW_HANDSHAKE:
        flow_count(flow, COUNTER_TLS_TIMEOUTS, 1);
        flow_close(flow, false);
        return;
    case FLOW_CONNECT:
        request_failed(flow->exchange, reason);
        return;
    case FLOW_CLOSING:
        if (!flow_progressed(flow))
            flow_close(flow, flow_drains(flow));
        return;
    case FLOW_RELAY:
        if (reason == END_CLIENT_STALLED && flow_progressed(flow))
            return;
        if (reason == END_RESPONSE_TIMEOUT)
            exchange_report(flow->exchange, HEALTH_EVENT_RESPONSE);
        flow_end(flow, reason);
        return;
    case FLOW_IDLE:
        if (reason == END_CLIENT_STALLED && flow_progressed(flow))
            return;
        flow_end(flow, reason);
        return;
    case FLOW_HEAD:
    case FLOW_GATHER:
    case FLOW_QUEUE:
    case FLOW_TUNNEL:
        flow_end(flow, reason);
        return;
    case FLOW_ENDED:
    case FLOW_STATES:
        return;
    }
}

/* ---- the client connection's events ---- */

static struct flow *flow_of(struct conn *client)
{
    return container_of(client, struct flow, client);
}

static void client_bytes(struct conn *client)
{
    struct flow *flow = flow_of(client);
    switch (flow->state) {
    case FLOW_PROXY:
        flow_proxy_bytes(flow);
        return;
    case FLOW_IDLE:
        flow_enter(flow, FLOW_HEAD);
        flow->began_us = flow->worker->loop.now_us;
        request_read(flow);
        return;
    case FLOW_HEAD:
        request_read(flow);
        return;
    case FLOW_GATHER:
        request_gather(flow);
        return;
    case FLOW_RELAY:
        if (!flow->exchange->request.done)
            request_relay(flow->exchange);
        return;
    case FLOW_TUNNEL:
        tunnel_client_bytes(flow->tunnel);
        return;
    case FLOW_CLOSING:
        conn_consume(client, buf_len(&client->in));
        if (!flow_drains(flow) && (uint32_t)client->received - flow->progress > LINGER_BYTES)
            flow_close(flow, false);
        return;
    case FLOW_HANDSHAKE:
    case FLOW_QUEUE:
    case FLOW_CONNECT:
        /* a later request, or more of a long body: it waits in `in` */
    case FLOW_ENDED:
    case FLOW_STATES:
        return;
    }
}

/* The answer is out: now the client is waited for. */
static void idle_drained(struct flow *flow)
{
    if (flow_leaves(flow) && buf_len(&flow->client.in) == 0) {
        flow_finish(flow);
        return;
    }
    flow_deadline(flow, state_deadline(flow), END_CLIENT_IDLE);
    conn_resume(&flow->client);
}

static void client_drained(struct conn *client)
{
    struct flow *flow = flow_of(client);
    switch (flow->state) {
    case FLOW_IDLE:
        idle_drained(flow);
        return;
    case FLOW_RELAY:
        response_drained(flow->exchange);
        return;
    case FLOW_TUNNEL:
        tunnel_client_drained(flow->tunnel);
        return;
    case FLOW_CLOSING:
        flow->progress = (uint32_t)client->received;
        if (flow->client_eof)
            flow_close(flow, false);
        else
            flow_deadline(flow, LINGER_MS, END_DONE);
        return;
    case FLOW_PROXY:
    case FLOW_HANDSHAKE:
    case FLOW_HEAD:
    case FLOW_GATHER:
    case FLOW_QUEUE:
    case FLOW_CONNECT:
    case FLOW_ENDED:
    case FLOW_STATES:
        return;
    }
}

/* Why an exchange ends when its client went away now. */
static enum end_reason gone_reason(const struct flow *flow)
{
    const struct exchange *x = flow->exchange;
    switch (flow->state) {
    case FLOW_HEAD:
        return END_CLIENT_GONE_HEAD;
    case FLOW_GATHER:
        return END_CLIENT_GONE_BODY;
    case FLOW_QUEUE:
        return END_CLIENT_GONE_QUEUE;
    case FLOW_CONNECT:
        return END_CLIENT_GONE_WAIT;
    case FLOW_RELAY:
        if (x->answered)
            return END_CLIENT_GONE_DATA;
        return x->request.done ? END_CLIENT_GONE_WAIT : END_CLIENT_GONE_BODY;
    case FLOW_PROXY:
    case FLOW_HANDSHAKE:
    case FLOW_IDLE:
    case FLOW_TUNNEL:
    case FLOW_CLOSING:
    case FLOW_ENDED:
    case FLOW_STATES:
        return END_CLIENT_IDLE;
    }
    return END_CLIENT_IDLE;
}

/* Is it certain that the rest of the body will not come? What waits in `in` may be all of it, until
 * request_relay has looked. */
static bool request_incomplete(const struct exchange *x)
{
    size_t own = x->head_kept ? (size_t)x->head_bytes + x->body_bytes : 0;
    return !x->request.done && buf_len(&x->flow->client.in) <= own;
}

/*
 * The client sends no more. A half-closed request that is complete is still answered; a held poll
 * is given up at once, so that the server notices that its client is gone.
 */
static void client_eof(struct conn *client)
{
    struct flow *flow = flow_of(client);
    struct exchange *x = flow->exchange;
    flow->client_eof = true;
    switch (flow->state) {
    case FLOW_PROXY:
        flow_close(flow, false);
        return;
    case FLOW_IDLE:
        if (buf_len(&client->in) == 0)
            flow_close(flow, false);
        return;
    case FLOW_HEAD:
    case FLOW_GATHER:
        flow_end_status(flow, gone_reason(flow), 0, NULL);
        return;
    case FLOW_QUEUE:
    case FLOW_CONNECT:
    case FLOW_RELAY:
        if (x->held_poll || request_incomplete(x))
            flow_end_status(flow, gone_reason(flow), 0, NULL);
        return;
    case FLOW_TUNNEL:
        tunnel_client_eof(flow->tunnel);
        return;
    case FLOW_CLOSING:
        if (buf_len(&client->out) == 0)
            flow_close(flow, false);
        return;
    case FLOW_HANDSHAKE:
    case FLOW_ENDED:
    case FLOW_STATES:
        return;
    }
}

static void client_failed(struct conn *client)
{
    struct flow *flow = flow_of(client);
    if (flow->state == FLOW_HANDSHAKE) {
        flow_handshake_failed(flow);
        return;
    }
    flow->client_eof = true;
    if (flow->tunnel)
        tunnel_client_failed(flow->tunnel);
    else if (flow->exchange || flow->state == FLOW_HEAD)
        flow_end_status(flow, gone_reason(flow), 0, NULL);
    else
        flow_close(flow, false);
}

/* TLS is agreed on; a connection without it was accepted connected. */
static void client_connected(struct conn *client)
{
    flow_handshake_done(flow_of(client));
}

const struct conn_owner flow_client_owner = {
    .connected = client_connected,
    .bytes = client_bytes,
    .drained = client_drained,
    .eof = client_eof,
    .failed = client_failed,
};

/* ---- the beginning ---- */

static struct flow *flow_new(struct worker *worker, struct listener *listener, int fd)
{
    struct flow *flow = pool_lend(&worker->flows);
    if (!flow)
        return NULL;
    if (!conn_init(&flow->client, &worker->loop, worker->shelf, fd, false, &flow_client_owner)) {
        pool_give_back(&worker->flows, flow);
        return NULL;
    }
    flow->worker = worker;
    flow->listener = listener;
    listener->flows++;
    flow->number = ++worker->next_flow;
    flow->accepted_s = (uint32_t)(worker->loop.now_ms / 1000);
    flow->first = true;
    timer_init(&flow->timer, flow_overdue);
    list_push_back(&worker->flow_list, &flow->node);
    return flow;
}

void flow_accept(struct worker *worker, struct listener *listener, int fd, const struct addr *peer)
{
    struct frontend *frontend = listener->frontend;
    struct counter_block *stats = worker_stats(worker, frontend->stat_id);
    struct flow *flow = flow_new(worker, listener, fd);
    if (!flow) {
        close(fd);
        if (frontend->limits && !flow_is_proxied(listener, peer))
            limits_disconnect(frontend->limits, peer);
        counter_add(stats, COUNTER_INTERNAL_ERRORS, 1);
        worker_client_closed(worker, frontend);
        return;
    }
    bool proxied = flow_is_proxied(listener, peer);
    peer_from_addr(&flow->peer, peer);
    flow->counted_limit = frontend->limits && !proxied;
    counter_add(stats, COUNTER_CONNS, 1);
    counter_add(stats, COUNTER_CONNS_NOW, 1);
    atomic_fetch_add_explicit(&worker->flows_now, 1, memory_order_relaxed);
    flow->state = FLOW_IDLE;
    if (proxied)
        flow_await_proxy(flow);
    else if (listener->tls)
        flow_secure(flow);
    else
        flow_deadline(flow, state_deadline(flow), END_CLIENT_IDLE);
}

void flow_count_move(struct flow *flow, enum move_reason why)
{
    static const enum counter counters[] = {
        [MOVE_DRAIN] = COUNTER_SIO_MOVED_DRAIN,
        [MOVE_REBALANCE] = COUNTER_SIO_MOVED_REBALANCE,
        [MOVE_STOP] = COUNTER_SIO_MOVED_STOP,
        [MOVE_DOWN] = COUNTER_SIO_MOVED_DOWN,
    };
    if (why != MOVE_NONE)
        flow_count(flow, counters[why], 1);
}

void flow_init_worker(struct worker *worker)
{
    sessions_init(&worker->sessions);
    list_init(&worker->farewells);
    pool_init(&worker->flows, sizeof(struct flow));
    pool_init(&worker->exchanges, sizeof(struct exchange));
    pool_init(&worker->tunnels, sizeof(struct tunnel));
    pool_init(&worker->notes, NOTE_MAX);
    pool_init(&worker->lines, LINE_LONG);
    pool_init(&worker->server_conns, sizeof(struct server_conn));
}

void flow_fini_worker(struct worker *worker)
{
    sessions_fini(&worker->sessions);
    pool_fini(&worker->flows);
    pool_fini(&worker->exchanges);
    pool_fini(&worker->tunnels);
    pool_fini(&worker->notes);
    pool_fini(&worker->lines);
    pool_fini(&worker->server_conns);
}
