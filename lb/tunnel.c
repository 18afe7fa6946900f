// SPDX-License-Identifier: Apache-2.0
/*
 * What is left of a flow after 101: two connections, a few counters, one coarse timer. No parser
 * but the frame tracker, which follows the server's frames so that a Close can be put in between
 * two of them.
 *
 *     client ──► in ─ tunnel_move ─► out ──► server     one recv and one send per message;
 *     client ◄── out ◄─ tunnel_move ─ in ◄── server     who takes no more stops the other's reading
 *
 * An end of stream is passed on as one (half-close); the tunnel ends when both have come. A kick
 * sends the client a Close frame (1012, service restart) at the next boundary, throws away what the
 * server still says, and waits for the client's answer as a closing connection does.
 */
#include "lb/exchange.h"

#include "base/clock.h"
#include "proto/headers.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KICK_CODE = 1012, KICK_WAIT_MS = 2000 };

static struct tunnel *tunnel_of(struct conn *conn)
{
    return container_of(conn, struct server_conn, conn)->user;
}

/* Something passed. Who is to be kicked stays only while the server's frame that is on its way
 * moves on. */
static void tunnel_touch(struct tunnel *tunnel, bool from_server)
{
    if (!tunnel->kick)
        flow_deadline(tunnel->flow, tunnel_backend(tunnel)->config->opt.timeout_tunnel_ms,
                      END_TUNNEL_TIMEOUT);
    else if (from_server)
        flow_deadline(tunnel->flow, KICK_WAIT_MS, END_KICKED);
}

struct backend *tunnel_backend(const struct tunnel *tunnel)
{
    struct edition *edition = tunnel->edition;
    return edition ? snapshot_backend(edition->snapshot, tunnel->server->home->name)
                   : upstream_backend(tunnel->flow->worker, tunnel->server);
}

void tunnel_outlive(struct tunnel *tunnel, struct edition *before)
{
    struct worker *worker = tunnel->flow->worker;
    if (tunnel->edition || !upstream_server_gone(worker, tunnel->server))
        return;
    tunnel->edition = edition_hold(before);
}

/* ---- the relay step ---- */

/* Moves what lies in from->in to `to`. False: `to` is dead. */
static bool tunnel_move(struct conn *from, struct conn *to)
{
    struct span bytes = buf_bytes(&from->in);
    enum io_result result = conn_write(to, &bytes, 1);
    if (result == IO_FAILED)
        return false;
    conn_consume(from, bytes.len);
    if (result == IO_WANT_WRITE)
        conn_pause(from);
    return true;
}

static void tunnel_send_close(struct tunnel *tunnel)
{
    char frame[2 + 125];
    struct conn *client = &tunnel->flow->client;
    struct span part = {frame, wsframe_write_close(KICK_CODE, SPAN("moving"), frame)};
    if (tunnel->frames.saw_close)
        part.len = 0; /* the server has said so itself */
    tunnel->kicked = true;
    enum io_result result = conn_write(client, &part, 1);
    conn_close_write(&tunnel->up->conn);
    if (result == IO_FAILED)
        tunnel_end(tunnel, END_KICKED);
    else
        flow_deadline(tunnel->flow, KICK_WAIT_MS, END_KICKED);
}

/* The server's bytes on their way to the client, up to the boundary where a Close is due. */
static void tunnel_server_bytes(struct tunnel *tunnel)
{
    struct conn *up = &tunnel->up->conn;
    struct conn *client = &tunnel->flow->client;
    struct span bytes = buf_bytes(&up->in);
    if (tunnel->kicked) {
        conn_consume(up, bytes.len);
        return;
    }
    size_t stop = tunnel->kick ? wsframe_to_boundary(&tunnel->frames, bytes) : SIZE_MAX;
    if (stop != SIZE_MAX)
        bytes = span_upto(bytes, stop);
    wsframe_feed(&tunnel->frames, bytes);
    bool alive = stop == SIZE_MAX ? tunnel_move(up, client)
                                  : conn_write(client, &bytes, 1) != IO_FAILED;
    if (!alive) {
        tunnel_end(tunnel, END_CLIENT_GONE_DATA);
        return;
    }
    if (stop == SIZE_MAX && tunnel->kick && tunnel->frames.broken) {
        tunnel_end(tunnel, END_KICKED); /* there will be no boundary */
        return;
    }
    if (stop == SIZE_MAX) {
        tunnel_touch(tunnel, true);
        return;
    }
    conn_consume(up, buf_len(&up->in));
    tunnel_send_close(tunnel);
}

void tunnel_client_bytes(struct tunnel *tunnel)
{
    struct conn *client = &tunnel->flow->client;
    if (tunnel->kicked) {
        conn_consume(client, buf_len(&client->in)); /* its Close frame, most likely */
        return;
    }
    struct conn *up = &tunnel->up->conn;
    if (tunnel_move(client, up)) {
        tunnel_touch(tunnel, false);
    } else if (up->error == ENOMEM) {
        tunnel_end(tunnel, END_NO_MEMORY);
    } else {
        /* What the server said last may still wait to be read; its end follows. */
        conn_consume(client, buf_len(&client->in));
    }
}

static bool tunnel_over(const struct tunnel *tunnel)
{
    return tunnel->client_eof && tunnel->server_eof && buf_len(&tunnel->flow->client.out) == 0 &&
           buf_len(&tunnel->up->conn.out) == 0;
}

void tunnel_client_drained(struct tunnel *tunnel)
{
    if (tunnel_over(tunnel))
        tunnel_end(tunnel, END_DONE);
    else
        conn_resume(&tunnel->up->conn);
}

void tunnel_client_eof(struct tunnel *tunnel)
{
    tunnel->client_eof = true;
    if (tunnel->kicked)
        tunnel_end(tunnel, END_KICKED);
    else if (tunnel_over(tunnel))
        tunnel_end(tunnel, END_DONE);
    else
        conn_close_write(&tunnel->up->conn);
}

/* ---- the server connection's events ---- */

static void server_bytes(struct conn *conn)
{
    tunnel_server_bytes(tunnel_of(conn));
}

static void server_drained(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of(conn);
    if (tunnel_over(tunnel))
        tunnel_end(tunnel, END_DONE);
    else
        conn_resume(&tunnel->flow->client);
}

static void server_eof(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of(conn);
    tunnel->server_eof = true;
    if (tunnel->kicked)
        return;
    if (tunnel_over(tunnel))
        tunnel_end(tunnel, END_DONE);
    else
        conn_close_write(&tunnel->flow->client);
}

/* A reset is passed on as one, unless bytes from before it still wait to be taken. */
static void server_failed(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of(conn);
    struct conn *client = &tunnel->flow->client;
    if (buf_len(&client->out) == 0)
        conn_reset(client);
    tunnel_end(tunnel, END_SERVER_GONE_BODY);
}

void tunnel_client_failed(struct tunnel *tunnel)
{
    conn_reset(&tunnel->up->conn);
    tunnel_end(tunnel, END_CLIENT_GONE_DATA);
}

static void server_connected(struct conn *conn)
{
    (void)conn; /* it was connected before there was a tunnel */
}

static const struct conn_owner tunnel_server_owner = {
    .connected = server_connected,
    .bytes = server_bytes,
    .drained = server_drained,
    .eof = server_eof,
    .failed = server_failed,
};

/* ---- beginning and end ---- */

static bool write_head(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct conn *client = &flow->client;
    struct head *head = &flow->worker->head;
    const char *base = buf_bytes(&x->up->conn.in).ptr;
    char cookie[512];
    struct response_edit edit = {
        .to_minor = 1, .upgrade = true, .fields = rules_response_fields(x->rules)};
    sticky_edit_response(x->backend, x->server, x->cookie_server, head, base,
                         flow->worker->loop.now_ms, &edit, cookie, sizeof cookie);
    size_t room = head->bytes * 2 + HEADERS_SLACK + (edit.fields ? edit.fields->bytes : 0);
    if (!buf_reserve(client->loop->shelf, &client->out, room))
        return false;
    size_t n = headers_write_response(head, base, &edit, client->out.data + client->out.end,
                                      buf_space(&client->out));
    client->out.end += (uint32_t)n;
    conn_consume(&x->up->conn, head->bytes);
    return n > 0;
}

/* Everything that the exchange held goes over; the exchange is logged, as the upgrade's own line,
 * and freed. */
static void tunnel_take_over(struct tunnel *tunnel, struct exchange *x)
{
    struct flow *flow = x->flow;
    struct worker *worker = flow->worker;
    tunnel->flow = flow;
    tunnel->up = x->up;
    tunnel->server = x->server;
    if (upstream_server_gone(worker, x->server))
        tunnel->edition = edition_hold(x->edition);
    tunnel->hold = x->hold;
    tunnel->loose = x->loose;
    tunnel->client_eof = flow->client_eof;
    wsframe_init(&tunnel->frames);
    tunnel->up->user = tunnel;
    conn_set_owner(&tunnel->up->conn, &tunnel_server_owner);
    x->status = 101;
    x->response_us = worker->loop.now_us;
    tunnel->upgraded = x->has_sid;
    if (tunnel->upgraded)
        flow_count(flow, COUNTER_SIO_UPGRADED_NOW, 1);
    else if (x->protocol != 0)
        flow_count(flow, COUNTER_SIO_WEBSOCKETS, 1);
    exchange_record(x, END_DONE);
    flow->began_us = worker->loop.now_us;
    conn_count_anew(&flow->client);
    exchange_free(x);
    flow->tunnel = tunnel;
    if (tunnel->hold.held || tunnel->loose)
        sessions_add(&worker->sessions, &tunnel->session, flow,
                     tunnel->hold.held ? &tunnel->hold : NULL);
    flow_count(flow, COUNTER_SIO_WEBSOCKET_NOW, 1);
    atomic_fetch_add_explicit(&worker->tunnels_now, 1, memory_order_relaxed);
}

void tunnel_start(struct exchange *x)
{
    struct flow *flow = x->flow;
    struct tunnel *tunnel = pool_lend(&flow->worker->tunnels);
    if (!tunnel || !write_head(x)) {
        if (tunnel)
            pool_give_back(&flow->worker->tunnels, tunnel);
        flow_end(flow, END_NO_MEMORY);
        return;
    }
    if (x->head_kept)
        request_forget_head(x);
    tunnel_take_over(tunnel, x);
    flow_enter(flow, FLOW_TUNNEL);
    flow->client.in_limit = tunnel->up->conn.in_limit = BUF_SMALL;
    /* Bytes glued to the 101 go out with it. */
    struct span glued = buf_bytes(&tunnel->up->conn.in);
    if (glued.len > 0)
        tunnel_server_bytes(tunnel);
    else if (conn_flush(&flow->client) == IO_FAILED)
        tunnel_end(tunnel, END_CLIENT_GONE_DATA);
    if (flow->state != FLOW_TUNNEL)
        return;
    conn_resume(&flow->client); /* bytes that came behind the request */
    if (buf_len(&flow->client.in) > 0)
        tunnel_client_bytes(tunnel);
    if (flow->state != FLOW_TUNNEL)
        return;
    if (tunnel->client_eof)
        tunnel_client_eof(tunnel);
    else if (sidmap_marked(tunnel_backend(tunnel)->sids, &tunnel->hold))
        tunnel_kick(tunnel, server_moving(tunnel->server));
}

static void tunnel_log(struct tunnel *tunnel, enum end_reason reason, uint64_t bytes)
{
    struct flow *flow = tunnel->flow;
    struct worker *worker = flow->worker;
    int64_t lasted_ms = (worker->loop.now_us - flow->began_us) / 1000;
    struct frontend *frontend = flow->listener->frontend;
    struct access_record record = {
        .frontend = frontend->name,
        .backend = tunnel_backend(tunnel)->name,
        .server = tunnel->server->name,
        .request_line = SPAN("<TUNNEL>"),
        .transport = "websocket",
        .accepted_wall_ms = clock_wall_ms() - lasted_ms,
        .time_total = lasted_ms,
        .status = 101,
        .bytes = bytes,
        .reason = reason,
        .process_connections = (int)atomic_load_explicit(&worker->serving->client_connections,
                                                         memory_order_relaxed),
        .frontend_connections = atomic_load_explicit(&frontend->home->connections,
                                                     memory_order_relaxed),
        .server_connections = atomic_load_explicit(&tunnel->server->inflight, memory_order_relaxed),
        .cookie_state = {'-', '-'},
    };
    peer_to_addr(&flow->peer, &record.client);
    access_write(worker, &record);
}

/* Its last bytes may still wait in the client's out buffer: those leave first (FLOW_CLOSING). */
void tunnel_end(struct tunnel *tunnel, enum end_reason reason)
{
    struct flow *flow = tunnel->flow;
    struct worker *worker = flow->worker;
    struct server *server = tunnel->server;
    struct server_conn *up = tunnel->up;
    struct backend *backend = tunnel_backend(tunnel);
    uint64_t bytes = conn_sent_since(&flow->client, 0);
    flow_count(flow, COUNTER_BYTES_OUT, (int64_t)bytes);
    flow_count(flow, COUNTER_BYTES_IN, (int64_t)flow->client.received);
    flow_count(flow, COUNTER_SIO_WEBSOCKET_NOW, -1);
    if (tunnel->upgraded)
        flow_count(flow, COUNTER_SIO_UPGRADED_NOW, -1);
    histogram_add(&worker_stats(worker, backend->stat_id)->histograms[HISTOGRAM_TUNNEL],
                  HISTOGRAM_TUNNEL, worker->loop.now_us - flow->began_us);
    flow_count(flow, COUNTER_EXCHANGES_NOW, -1);
    if (end_table[reason].fault == FAULT_SERVER)
        flow_count(flow, COUNTER_SERVER_ABORTS, 1);
    else if (end_table[reason].fault == FAULT_CLIENT)
        flow_count(flow, COUNTER_CLIENT_ABORTS, 1);
    atomic_fetch_sub_explicit(&worker->tunnels_now, 1, memory_order_relaxed);
    if (access_on(worker))
        tunnel_log(tunnel, reason, bytes);
    if (reason == END_SERVER_DOWN)
        flow_count_move(flow, MOVE_DOWN);
    sessions_remove(&worker->sessions, &tunnel->session);
    sidmap_release(backend->sids, &tunnel->hold, worker->loop.now_ms);
    if (tunnel->loose)
        atomic_fetch_sub_explicit(&server->loose, 1, memory_order_relaxed);
    upstream_close(up);
    server_leave(server);
    upstream_place_left(worker, backend);
    flow->tunnel = NULL;
    struct edition *edition = tunnel->edition;
    pool_give_back(&worker->tunnels, tunnel);
    if (edition)
        edition_drop(edition);
    flow_finish(flow);
}

/* Its session leaves the server now, for whoever counts; the client has yet to hear of it. */
static void tunnel_leave(struct tunnel *tunnel, enum move_reason why)
{
    struct flow *flow = tunnel->flow;
    sessions_remove(&flow->worker->sessions, &tunnel->session);
    bool left = sidmap_drop(tunnel_backend(tunnel)->sids, &tunnel->hold) || tunnel->loose;
    if (tunnel->loose)
        atomic_fetch_sub_explicit(&tunnel->server->loose, 1, memory_order_relaxed);
    tunnel->loose = false;
    if (left)
        flow_count_move(flow, why);
}

void tunnel_kick(struct tunnel *tunnel, enum move_reason why)
{
    tunnel_leave(tunnel, why);
    tunnel->kick = true;
    if (tunnel->frames.broken || tunnel->frames.saw_close)
        tunnel_end(tunnel, END_KICKED);
    else if (wsframe_at_boundary(&tunnel->frames) && !tunnel->kicked)
        tunnel_send_close(tunnel);
    else
        flow_deadline(tunnel->flow, KICK_WAIT_MS, END_KICKED);
}
