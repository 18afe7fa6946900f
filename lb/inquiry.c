// SPDX-License-Identifier: Apache-2.0
/*
 * One letter per worker goes out, comes back, and the last one to come back frees the whole.
 *
 *     control ── part ──► worker: SLICE flows ─┐ more: to itself, for its next turn
 *        ▲                   ▲─────────────────┘
 *        └──── part ─────────┘ no more
 *
 * Between two slices the place in the worker's list is kept by a marker: a flow that has ended, as
 * far as anybody who walks the list can see. A worker that quits meanwhile answers with what it has.
 */
#include "lb/inquiry.h"

#include "lb/exchange.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLICE = 128,                /* flows per turn */
    TEXT_MAX = 8 * 1024 * 1024, /* of one worker's answer; what is beyond is left out */
};

struct part {
    struct letter letter;
    struct inquiry *inquiry;
    struct worker *worker;
    struct flow marker;
    bool begun, found;
    struct text text;
};

struct inquiry {
    enum inquiry_kind kind;
    uint64_t id;
    struct mailbox *reply_to;
    inquiry_done_fn *done; /* NULL: nobody waits */
    void *ctx;
    unsigned under_way; /* parts */
    unsigned part_count;
    struct part parts[];
};

/* ---- what is said of a flow ---- */

static const char *const state_words[FLOW_STATES] = {
    [FLOW_PROXY] = "proxy",     [FLOW_HANDSHAKE] = "handshake", [FLOW_IDLE] = "idle",
    [FLOW_HEAD] = "head",       [FLOW_GATHER] = "gather",       [FLOW_QUEUE] = "queue",
    [FLOW_CONNECT] = "connect", [FLOW_RELAY] = "relay",         [FLOW_TUNNEL] = "tunnel",
    [FLOW_CLOSING] = "closing", [FLOW_ENDED] = "ended",
};

static uint64_t flow_id(const struct flow *flow)
{
    return (uint64_t)flow->worker->index << 32 | flow->number;
}

static const struct backend *flow_backend(const struct flow *flow)
{
    return flow->tunnel     ? tunnel_backend(flow->tunnel)
           : flow->exchange ? flow->exchange->backend
                            : NULL;
}

static const struct server *flow_server(const struct flow *flow)
{
    return flow->tunnel ? flow->tunnel->server : flow->exchange ? flow->exchange->server : NULL;
}

static const char *flow_transport(const struct flow *flow)
{
    if (flow->tunnel)
        return "websocket";
    if (!flow->exchange)
        return "none";
    return flow->exchange->held_poll || flow->exchange->polling ? "polling" : "http";
}

static int64_t flow_age_s(const struct flow *flow)
{
    int64_t now_us = flow->worker->loop.now_us;
    if (flow->tunnel || flow->exchange)
        return (now_us - flow->began_us) / 1000000;
    return now_us / 1000000 - flow->accepted_s;
}

static void add_line(const struct flow *flow, struct text *out)
{
    struct addr peer;
    char text[ADDR_TEXT_MAX];
    peer_to_addr(&flow->peer, &peer);
    const struct backend *backend = flow_backend(flow);
    const struct server *server = flow_server(flow);
    text_addf(out, "0x%llx: proto=%s src=%s fe=%s be=%s srv=%s ts=00 epoch=0 age=%llds ",
              (unsigned long long)flow_id(flow),
              peer.any.sa_family == AF_UNIX    ? "unix_stream"
              : peer.any.sa_family == AF_INET6 ? "tcpv6"
                                               : "tcpv4",
              addr_format(&peer, text), flow->listener->frontend->name,
              backend ? backend->name : "<NONE>", server ? server->name : "<none>",
              (long long)flow_age_s(flow));
    text_addf(out, "state=%s transport=%s in=%llu out=%llu sid=%s\n", state_words[flow->state],
              flow_transport(flow), (unsigned long long)flow->client.received,
              (unsigned long long)conn_sent_since(&flow->client, 0),
              flow->exchange && flow->exchange->has_sid ? flow->exchange->sid_short : "-");
}

/* A worker's loop only knows when it ends, not when a timer of `flow` does; so this is in seconds. */
static int64_t expires_s(const struct flow *flow)
{
    if (!timer_running(&flow->timer))
        return -1;
    int64_t left = flow->timer.at_ms - flow->worker->loop.now_ms;
    return left > 0 ? left / 1000 : 0;
}

static void add_request(const struct exchange *x, struct text *out)
{
    char line[4 * LINE_LONG];
    struct span raw = span_of(x->line, x->line_len);
    size_t len = log_escape(raw, line, sizeof(line));
    text_addf(out, "  request=\"%.*s\" tries=%u interim=%u handshake=%d jsonp=%d protocol=%u\n",
              (int)(len < sizeof(line) ? len : sizeof(line)), line, (unsigned)x->tries,
              (unsigned)x->interim, x->handshake, x->jsonp, (unsigned)x->protocol);
}

static void add_details(const struct flow *flow, struct text *out)
{
    add_line(flow, out);
    text_addf(
        out,
        "  worker=%u connection_age=%llds deadline=%llds requests=%s buffered in=%zu out=%zu\n",
        flow->worker->index, (long long)(flow->worker->loop.now_us / 1000000 - flow->accepted_s),
        (long long)expires_s(flow), flow->first ? "none" : "some", buf_len(&flow->client.in),
        buf_len(&flow->client.out));
    if (flow->exchange)
        add_request(flow->exchange, out);
    const struct server_conn *up = flow->tunnel     ? flow->tunnel->up
                                   : flow->exchange ? flow->exchange->up
                                                    : NULL;
    if (up)
        text_addf(out, "  server connection: reused=%d sent=%llu received=%llu buffered=%zu\n",
                  up->reused, (unsigned long long)up->conn.sent,
                  (unsigned long long)up->conn.received, buf_len(&up->conn.in));
}

/* False: no further flow matters. */
static bool part_look(struct part *part, struct flow *flow)
{
    const struct inquiry *inquiry = part->inquiry;
    switch (inquiry->kind) {
    case INQUIRY_SESSIONS:
        add_line(flow, &part->text);
        return part->text.len < TEXT_MAX;
    case INQUIRY_ALL:
        add_details(flow, &part->text);
        return part->text.len < TEXT_MAX;
    case INQUIRY_SESSION:
        part->found = flow_id(flow) == inquiry->id;
        if (part->found)
            add_details(flow, &part->text);
        return !part->found;
    case INQUIRY_SHUTDOWN:
        part->found = flow_id(flow) == inquiry->id;
        if (part->found)
            flow_shutdown(flow);
        return !part->found;
    }
    return false;
}

/* ---- the letters ---- */

static void part_come_back(struct letter *letter, void *receiver);

/* On the worker's thread; or, when it has quit, on the one that takes it apart. */
static void part_deliver(struct letter *letter, void *receiver)
{
    struct part *part = container_of(letter, struct part, letter);
    struct worker *worker = receiver;
    if (!part->begun) {
        part->begun = true;
        part->marker.state = FLOW_ENDED;
        list_push_front(&worker->flow_list, &part->marker.node);
    }
    struct list *at = part->marker.node.next;
    list_remove(&part->marker.node);
    bool on = true;
    for (int i = 0; i < SLICE && on && at != &worker->flow_list; i++) {
        struct flow *flow = container_of(at, struct flow, node);
        at = at->next;
        if (flow->state != FLOW_ENDED)
            on = part_look(part, flow);
    }
    if (on && at != &worker->flow_list && !worker->loop.stopping) {
        list_insert_after(at->prev, &part->marker.node);
        mailbox_post(&worker->loop.mailbox, letter);
        return;
    }
    letter->deliver = part_come_back;
    mailbox_post(part->inquiry->reply_to, letter);
}

static void inquiry_free(struct inquiry *inquiry)
{
    for (unsigned i = 0; i < inquiry->part_count; i++)
        text_free(&inquiry->parts[i].text);
    free(inquiry);
}

static void inquiry_finish(struct inquiry *inquiry)
{
    struct text answer = {0};
    bool found = false;
    for (unsigned i = 0; i < inquiry->part_count; i++) {
        struct part *part = &inquiry->parts[i];
        found = found || part->found;
        text_add(&answer, span_of(part->text.data, part->text.len));
        answer.failed = answer.failed || part->text.failed;
    }
    if (inquiry->done)
        inquiry->done(inquiry->ctx, &answer, found);
    text_free(&answer);
    inquiry_free(inquiry);
}

static void part_come_back(struct letter *letter, void *receiver)
{
    struct part *part = container_of(letter, struct part, letter);
    struct inquiry *inquiry = part->inquiry;
    (void)receiver;
    inquiry->under_way--;
    if (inquiry->under_way == 0)
        inquiry_finish(inquiry);
}

struct inquiry *inquiry_ask(struct serving *serving, struct loop *loop, enum inquiry_kind kind,
                            uint64_t id)
{
    unsigned count = serving->worker_count;
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry) + count * sizeof(inquiry->parts[0]));
    if (!inquiry)
        return NULL;
    inquiry->kind = kind;
    inquiry->id = id;
    inquiry->reply_to = &loop->mailbox;
    inquiry->part_count = inquiry->under_way = count;
    for (unsigned i = 0; i < count; i++) {
        struct part *part = &inquiry->parts[i];
        part->inquiry = inquiry;
        part->letter.deliver = part_deliver;
        list_init(&part->marker.node);
        mailbox_post(&serving->workers[i].loop.mailbox, &part->letter);
    }
    return inquiry;
}

enum inquiry_kind inquiry_kind(const struct inquiry *inquiry)
{
    return inquiry->kind;
}

void inquiry_await(struct inquiry *inquiry, inquiry_done_fn *done, void *ctx)
{
    inquiry->done = done;
    inquiry->ctx = ctx;
}

void inquiry_forget(struct inquiry *inquiry)
{
    inquiry->done = NULL;
}
