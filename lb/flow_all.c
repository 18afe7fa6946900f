// SPDX-License-Identifier: Apache-2.0
/*
 * What befalls all flows of a worker at once: a graceful stop, a server that went down, a place that
 * became free. Flows are walked one by one, which takes a moment with thousands of them; all of this
 * is rare.
 *
 * A kick makes a session's client reconnect: a tunnel gets a Close frame (tunnel.c), a held poll is
 * answered with Engine.IO's close packet. The server sees its poll closed and frees the session.
 */
#include "lb/exchange.h"

enum { FIRST_MS = 500 }; /* for the first request of a connection, once a stop has begun */

void flow_begin_stop(struct worker *worker)
{
    upstream_close_idle(worker, NULL);
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->state != FLOW_IDLE || flow->client.blocked || buf_len(&flow->client.in) > 0)
            continue;
        // Who has just connected has most likely sent a request, which is on its way to us.
        if (flow->first)
            flow_deadline(flow, FIRST_MS, END_CLIENT_IDLE);
        else
            flow_close(flow, false);
    }
}

/* A poll that a server holds and of whose answer nothing has come. */
static bool flow_holds_poll(const struct flow *flow)
{
    const struct exchange *x = flow->exchange;
    return flow->state == FLOW_RELAY && x->held_poll && !x->answered && x->sent;
}

/* 0.9 has no close packet after which its clients come back: its polls are cut. */
static void flow_kick_poll(struct flow *flow)
{
    flow->exchange->closes_sid = true;
    flow_end_status(flow, END_KICKED, flow->exchange->legacy ? 0 : 200, NULL);
}

size_t flow_kick(struct worker *worker, size_t n)
{
    size_t left = 0;
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        bool tunnel = flow->state == FLOW_TUNNEL && !flow->tunnel->kick;
        if (!tunnel && !flow_holds_poll(flow))
            continue;
        left++;
        if (left > n)
            continue;
        if (tunnel)
            tunnel_kick(flow->tunnel);
        else
            flow_kick_poll(flow);
    }
    return left;
}

void flow_end_all(struct worker *worker)
{
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->exchange || flow->tunnel)
            flow_end_status(flow, END_KICKED, 0, NULL);
        if (flow->state != FLOW_ENDED)
            flow_close(flow, false);
    }
}

void flow_server_down(struct worker *worker, struct server *server)
{
    bool close_tunnels = server->backend->config->opt.health_on_down == ON_DOWN_CLOSE;
    upstream_close_idle(worker, server);
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->state == FLOW_TUNNEL && flow->tunnel->server == server && close_tunnels)
            tunnel_end(flow->tunnel, END_SERVER_DOWN);
        else if (flow->state == FLOW_RELAY && flow->exchange->server == server &&
                 !flow->exchange->answered)
            request_failed(flow->exchange, END_RESPONSE_TIMEOUT);
    }
    flow_place_free(worker, server->backend); /* who waited for this server alone waits in vain */
}

/* One that failed at a server waits for the others: that it has to stay says nothing of those behind it. */
bool flow_place_free(struct worker *worker, struct backend *backend)
{
    struct list *node = upstream_queue_first(worker, backend);
    while (node) {
        struct exchange *x = container_of(node, struct exchange, queue_node);
        struct list *next = upstream_queue_next(worker, backend, node);
        bool picky = x->tried_count > 0;
        if (!request_leave_queue(x) && !picky)
            return false;
        node = next;
    }
    return true;
}
