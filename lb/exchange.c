// SPDX-License-Identifier: Apache-2.0
/*
 * This file owns the life of an exchange apart from what it does: its birth with a request, the
 * server it has a place at, and its end, where everything that it holds is given back and
 * everything that happened is counted and logged, in one place.
 */
#include "lb/exchange.h"

#include "base/clock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct exchange *exchange_new(struct flow *flow)
{
    struct worker *worker = flow->worker;
    struct exchange *x = pool_lend(&worker->exchanges);
    if (!x)
        return NULL;
    struct loop *loop = &worker->loop;
    x->flow = flow;
    struct edition *of_gone = flow->listener->needs; // Where its frontend's routes lead.
    x->edition = edition_hold(of_gone ? of_gone : worker->edition);
    x->frontend = flow->listener->frontend;
    x->method = METHOD_OTHER;
    list_init(&x->queue_node);
    if (!flow->began_us)
        flow->began_us = loop->now_us;
    x->sent_before = flow->client.sent + buf_len(&flow->client.out);
    x->id = rng_next(&worker->rng);
    flow->exchange = x;
    static const struct counted one_more[] = {{COUNTER_EXCHANGES, 1}, {COUNTER_EXCHANGES_NOW, 1}};
    flow_count_all(flow, one_more, array_len(one_more));
    return x;
}

void exchange_note_line(struct exchange *x, const struct head *head, const char *base)
{
    struct worker *worker = x->flow->worker;
    struct span method = slice_of(base, head->method_text);
    struct span target = head->target_is_root ? SPAN("/") : slice_of(base, head->target);
    x->long_line = method.len + target.len + 10 > NOTE_MAX;
    x->line = pool_lend(x->long_line ? &worker->lines : &worker->notes);
    if (!x->line)
        return;
    size_t size = x->long_line ? LINE_LONG : NOTE_MAX;
    struct span pieces[] = {method, SPAN(" "), target,
                            head->minor ? SPAN(" HTTP/1.1") : SPAN(" HTTP/1.0")};
    size_t at = 0;
    for (size_t i = 0; i < array_len(pieces); i++) {
        size_t n = pieces[i].len < size - at ? pieces[i].len : size - at;
        memcpy(x->line + at, pieces[i].ptr, n);
        at += n;
    }
    x->line_len = (uint16_t)at;
}

/* ---- its server ---- */

const char *exchange_server_address(const struct exchange *x)
{
    const struct config_server *config = backend_server_config(x->backend, x->server);
    return config ? config->opt.address : x->server->address;
}

static bool counts_as_loose(const struct exchange *x)
{
    return !x->has_sid || (x->owned && !x->hold.held);
}

void exchange_join(struct exchange *x, struct server *server)
{
    struct worker *worker = x->flow->worker;
    assert(!x->server);
    x->server = server;
    counter_add(worker_stats(worker, server->stat_id), COUNTER_EXCHANGES, 1);
    counter_add(worker_stats(worker, server->stat_id), COUNTER_EXCHANGES_NOW, 1);
    if (counts_as_loose(x)) {
        x->loose = true;
        atomic_fetch_add_explicit(&server->loose, 1, memory_order_relaxed);
    }
}

void exchange_tighten(struct exchange *x)
{
    if (!x->loose)
        return;
    x->loose = false;
    atomic_fetch_sub_explicit(&x->server->loose, 1, memory_order_relaxed);
}

static void poll_over(struct exchange *x)
{
    if (!x->counted_poll)
        return;
    x->counted_poll = false;
    flow_count(x->flow, COUNTER_SIO_POLLING_NOW, -1);
    atomic_fetch_sub_explicit(&x->flow->worker->polls_now, 1, memory_order_relaxed);
}

void exchange_leave(struct exchange *x, bool reuse)
{
    struct worker *worker = x->flow->worker;
    struct server *server = x->server;
    poll_over(x);
    if (x->up) {
        struct server_conn *up = x->up;
        x->up = NULL;
        if (reuse)
            upstream_give_back(up, x->response_us / 1000);
        else
            upstream_close(up);
    }
    if (!server)
        return;
    x->server = NULL;
    counter_add(worker_stats(worker, server->stat_id), COUNTER_EXCHANGES_NOW, -1);
    if (x->loose) {
        x->loose = false;
        atomic_fetch_sub_explicit(&server->loose, 1, memory_order_relaxed);
    }
    server_leave(server);
    upstream_place_left(worker, x->backend);
}

void exchange_report(struct exchange *x, enum health_event event)
{
    struct serving *serving = x->flow->worker->serving;
    serving->report(serving, x->server, event);
}

void exchange_capture(const struct flow *flow, struct capture *capture, struct span bytes,
                      const struct head_error *error, const struct server *server)
{
    struct capture_what what = {
        .number = atomic_fetch_add(&flow->worker->serving->captured, 1),
        .wall_ms = clock_wall_ms(),
        .reason = error->reason,
        .at = error->at,
    };
    peer_to_addr(&flow->peer, &what.client);
    span_to_str(span_str(flow->listener->frontend->name), what.frontend, sizeof(what.frontend));
    if (server)
        span_to_str(span_str(server->name), what.server, sizeof(what.server));
    capture_take(capture, &what, bytes);
}

/* ---- its end ---- */

static enum counter response_counter(uint16_t status)
{
    switch (status / 100) {
    case 1:
        return COUNTER_RESPONSES_1XX;
    case 2:
        return COUNTER_RESPONSES_2XX;
    case 3:
        return COUNTER_RESPONSES_3XX;
    case 4:
        return COUNTER_RESPONSES_4XX;
    case 5:
        return COUNTER_RESPONSES_5XX;
    default:
        return COUNTER_RESPONSES_OTHER;
    }
}

static void count_reason(struct flow *flow, enum end_reason reason)
{
    switch (reason) {
    case END_REQUEST_TIMEOUT:
    case END_REQUEST_BAD:
    case END_BODY_BAD:
    case END_BODY_SLOW:
    case END_CLIENT_GONE_HEAD:
        flow_count(flow, COUNTER_REQUESTS_BAD, 1);
        return;
    case END_BODY_TOO_LARGE:
    case END_RATE_LIMITED:
    case END_HANDSHAKE_LIMITED:
    case END_FORBIDDEN:
        flow_count(flow, COUNTER_REQUESTS_DENIED, 1);
        return;
    case END_CLIENT_GONE_BODY:
    case END_CLIENT_GONE_QUEUE:
    case END_CLIENT_GONE_WAIT:
    case END_CLIENT_GONE_DATA:
    case END_CLIENT_STALLED:
        flow_count(flow, COUNTER_CLIENT_ABORTS, 1);
        return;
    case END_SERVER_GONE_HEAD:
    case END_RESPONSE_TIMEOUT:
    case END_RESPONSE_BAD:
        flow_count(flow, COUNTER_RESPONSE_ERRORS, 1);
        return;
    case END_SERVER_GONE_BODY:
    case END_RESPONSE_STALLED:
        flow_count(flow, COUNTER_RESPONSE_ERRORS, 1);
        flow_count(flow, COUNTER_SERVER_ABORTS, 1);
        return;
    case END_NO_MEMORY:
    case END_NO_PORT:
        flow_count(flow, COUNTER_INTERNAL_ERRORS, 1);
        return;
    case END_DONE:
    case END_HANDSHAKE_TIMEOUT:
    case END_PROXY_TIMEOUT:
    case END_CLIENT_IDLE:
    case END_NO_ROUTE:
    case END_REDIRECTED:
    case END_DEAD_OWNER:
    case END_NO_SERVER:
    case END_QUEUE_TIMEOUT:
    case END_CONNECT_FAILED:
    case END_CONNECT_TIMEOUT:
    case END_SERVER_DOWN:
    case END_TUNNEL_TIMEOUT:
    case END_KICKED:
    case END_REASONS:
        return;
    }
}

/* Milliseconds from one time to the next, -1 when either was not reached. */
static int64_t span_ms(int64_t from_us, int64_t to_us)
{
    return from_us && to_us ? (to_us - from_us) / 1000 : -1;
}

enum { COUNTED_TIMES = 5 };

/* Notes its times in the backend's histograms; returns how many sums of times are to be counted. */
static size_t note_times(struct exchange *x, struct counted counted[static COUNTED_TIMES])
{
    struct flow *flow = x->flow;
    if (!x->response_us)
        return 0;
    struct histogram_block *histograms =
        worker_stats(flow->worker, x->backend->stat_id)->histograms;
    if (x->waited)
        histogram_add(&histograms[HISTOGRAM_QUEUE], HISTOGRAM_QUEUE, x->queued_us - x->head_us);
    if (x->connect_us > x->queued_us) // Else on a kept connection.
        histogram_add(&histograms[HISTOGRAM_CONNECT], HISTOGRAM_CONNECT,
                      x->connect_us - x->queued_us);
    enum histogram answer = x->held_poll ? HISTOGRAM_POLL : HISTOGRAM_FIRST_BYTE;
    histogram_add(&histograms[answer], answer, x->response_us - x->connect_us);
    counted[0] = (struct counted){COUNTER_TIMED, 1};
    counted[1] = (struct counted){COUNTER_QUEUE_US, x->queued_us - x->head_us};
    counted[2] = (struct counted){COUNTER_CONNECT_US, x->connect_us - x->queued_us};
    counted[3] = (struct counted){COUNTER_RESPONSE_US, x->response_us - x->connect_us};
    counted[4] = (struct counted){
        COUNTER_TOTAL_US, x->status != 101 ? flow->worker->loop.now_us - flow->began_us : 0};
    return COUNTED_TIMES;
}

/* A session's step from polling to WebSocket: tried, and done or not. */
static void count_upgrade(struct exchange *x)
{
    if (!x->upgrade || !x->has_sid)
        return;
    flow_count(x->flow, COUNTER_SIO_UPGRADES_TRIED, 1);
    flow_count(x->flow, x->status == 101 ? COUNTER_SIO_UPGRADES : COUNTER_SIO_UPGRADES_FAILED, 1);
}

static int load_int(_Atomic int *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* Exchanges and tunnels of a backend, all workers. */
static int backend_connections(const struct serving *serving, const struct backend *backend)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < serving->worker_count; i++)
        sum += counter_get(worker_stats(&serving->workers[i], backend->stat_id),
                           COUNTER_EXCHANGES_NOW);
    return (int)sum;
}

static void write_access_line(struct exchange *x, enum end_reason reason, uint64_t bytes)
{
    struct worker *worker = x->flow->worker;
    int64_t total_ms = (worker->loop.now_us - x->flow->began_us) / 1000;
    struct access_record record = {
        .frontend = x->frontend->name,
        .backend = x->backend ? x->backend->name : NULL,
        .server = x->server ? x->server->name : NULL,
        .request_line = x->line_len ? span_of(x->line, x->line_len) : SPAN("<BADREQ>"),
        .sid = span_str(x->sid_short),
        .transport = x->polling   ? "polling"
                     : x->upgrade ? "websocket"
                                  : NULL,
        .accepted_wall_ms = clock_wall_ms() - total_ms,
        .time_request = span_ms(x->flow->began_us, x->head_us),
        .time_queue = span_ms(x->head_us, x->queued_us),
        .time_connect = span_ms(x->queued_us, x->connect_us),
        .time_response = span_ms(x->connect_us, x->response_us),
        .time_total = total_ms,
        .status = x->status,
        .bytes = bytes,
        .reason = reason,
        .process_connections = (int)atomic_load_explicit(&worker->serving->client_connections,
                                                         memory_order_relaxed),
        .frontend_connections = load_int(&x->frontend->home->connections),
        .backend_connections = x->backend ? backend_connections(worker->serving, x->backend) : 0,
        .server_connections = x->server ? load_int(&x->server->inflight) : 0,
        .retries = x->tries > 1 ? x->tries - 1 : 0,
        .redispatched = x->redispatched,
        .cookie_state = {'-', '-'},
    };
    if (x->line_len) {
        struct span rest = record.request_line;
        record.method = span_cut(&rest, ' ');
        record.target = span_cut(&rest, ' ');
    }
    char id[16];
    span_write_hex(x->id, id);
    record.request_id = span_of(id, 16);
    peer_to_addr(exchange_client(x), &record.client);
    access_write(worker, &record);
}

void exchange_record(struct exchange *x, enum end_reason reason)
{
    struct flow *flow = x->flow;
    uint64_t bytes = conn_sent_since(&flow->client, x->sent_before);
    enum { ALWAYS = 3 };
    struct counted counted[ALWAYS + COUNTED_TIMES] = {
        {COUNTER_BYTES_IN, (int64_t)(x->head_bytes + x->request_received)},
        {COUNTER_BYTES_OUT, (int64_t)bytes},
        {response_counter(x->status), 1},
    };
    size_t times = note_times(x, counted + ALWAYS);
    flow_count_all(flow, counted, ALWAYS + times);
    count_reason(flow, reason);
    if (reason == END_DEAD_OWNER && x->held_poll)
        flow_count_move(flow, MOVE_DOWN);
    count_upgrade(x);
    if (access_on(flow->worker))
        write_access_line(x, reason, bytes);
}

bool exchange_more_may_follow(const struct exchange *x)
{
    const struct flow *flow = x->flow;
    size_t own = x->head_kept ? (size_t)x->head_bytes + x->body_bytes : 0;
    return !flow->client_eof || buf_len(&flow->client.in) > own;
}

void exchange_free(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    sessions_remove(&worker->sessions, &x->session);
    buf_clear(worker->shelf, &x->watched);
    if (x->line)
        pool_give_back(x->long_line ? &worker->lines : &worker->notes, x->line);
    if (x->tried)
        pool_give_back(&worker->notes, x->tried);
    if (x->spoken_for)
        pool_give_back(&worker->notes, x->spoken_for);
    if (x->sid)
        pool_give_back(&worker->lines, x->sid);
    flow->exchange = NULL;
    struct edition *edition = x->edition;
    pool_give_back(&worker->exchanges, x);
    edition_drop(edition);
}

void exchange_end(struct exchange *x, enum end_reason reason, bool reuse)
{
    struct flow *flow = x->flow;
    if (!list_single(&x->queue_node))
        upstream_queue_remove(flow->worker, x->backend, &x->queue_node);
    exchange_record(x, reason);
    sids_settle(x);
    exchange_leave(x, reuse);
    if (x->hold.held && x->closes_sid && x->status == 200)
        sidmap_drop(x->backend->sids, &x->hold);
    else if (x->hold.held)
        sidmap_release(x->backend->sids, &x->hold, flow->worker->loop.now_ms);
    flow_count(flow, COUNTER_EXCHANGES_NOW, -1); /* its server's share went with exchange_leave */
    exchange_free(x);
}
