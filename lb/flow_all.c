// SPDX-License-Identifier: Apache-2.0
/*
 * What befalls all flows of a worker at once: a graceful stop, a server that went down, a place that
 * became free. Flows are walked one by one, which takes a moment with thousands of them; all of this
 * is rare.
 *
 * A kick makes a session's client reconnect: a tunnel gets a Close frame (tunnel.c), a held poll is
 * answered with Engine.IO's close packet, and the server is told (farewell.c). The session's entry
 * goes at once: what counts a server's sessions sees it leave.
 */
#include "lb/exchange.h"
#include "lb/farewell.h"
#include "lb/sidname.h"

/* Ends its connection if it is idle; else its next answer will. */
static void flow_let_go(struct flow *flow)
{
    if (flow->state == FLOW_PROXY || flow->state == FLOW_HANDSHAKE) {
        flow_deadline(flow, LAST_FIRST_MS, flow->on_deadline);
        return;
    }
    if (flow->state != FLOW_IDLE || flow->client.blocked || buf_len(&flow->client.in) > 0)
        return;
    // Who has just connected has most likely sent a request, which is on its way to us.
    if (flow->first)
        flow_deadline(flow, LAST_FIRST_MS, END_CLIENT_IDLE);
    else
        flow_close(flow, false);
}

void flow_begin_stop(struct worker *worker)
{
    upstream_close_idle(worker, NULL);
    list_each_safe(node, &worker->flow_list)
    {
        flow_let_go(container_of(node, struct flow, node));
    }
}

static bool frontends_gone(const struct worker *worker)
{
    list_each(node, &worker->listeners)
    {
        if (container_of(node, struct listener, node)->gone)
            return true;
    }
    return false;
}

void flow_change_edition(struct worker *worker, struct edition *before, bool servers_gone)
{
    if (!servers_gone && !frontends_gone(worker))
        return;
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->tunnel)
            tunnel_outlive(flow->tunnel, before);
        else if (flow->listener->gone)
            flow_let_go(flow);
    }
}

/* A poll that is with its server, or on the way there, and of whose answer nothing has come. */
static bool flow_holds_poll(const struct flow *flow)
{
    const struct exchange *x = flow->exchange;
    return (flow->state == FLOW_RELAY || flow->state == FLOW_CONNECT) && x->held_poll &&
           !x->answered;
}

/* 0.9 has no close packet after which its clients come back: its polls are cut. */
void flow_kick_poll(struct flow *flow, enum move_reason why)
{
    struct exchange *x = flow->exchange;
    if (sidmap_drop(x->backend->sids, &x->hold))
        flow_count_move(flow, why);
    farewell_send(x);
    flow_end_status(flow, END_KICKED, flow->exchange->legacy ? 0 : 200, NULL);
}

/*
 * A poll of a session that any balancer can serve need not be kicked in a graceful stop: its server
 * answers it within a ping interval, and the next one comes in somewhere else.
 */
static bool flow_poll_moves_on(const struct flow *flow)
{
    return flow_holds_poll(flow) && flow->exchange->owned && sidname_used(flow->exchange->backend);
}

size_t flow_kick(struct worker *worker, size_t n)
{
    size_t left = 0;
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        bool tunnel = flow->state == FLOW_TUNNEL && !flow->tunnel->kick;
        if (!tunnel && (!flow_holds_poll(flow) || flow_poll_moves_on(flow)))
            continue;
        left++;
        if (left > n)
            continue;
        if (tunnel)
            tunnel_kick(flow->tunnel, MOVE_STOP);
        else
            flow_kick_poll(flow, MOVE_STOP);
    }
    return left;
}

static void flow_kick_session(struct flow *flow, enum move_reason why)
{
    if (flow->state == FLOW_TUNNEL && !flow->tunnel->kick)
        tunnel_kick(flow->tunnel, why);
    else if (flow_holds_poll(flow))
        flow_kick_poll(flow, why);
}

static bool flow_holds_sid(const struct flow *flow, const struct sidmap *sids,
                           const struct sid_name *name)
{
    const struct tunnel *tunnel = flow->tunnel;
    const struct exchange *x = flow->exchange;
    const struct sid_hold *hold = tunnel ? &tunnel->hold : &x->hold;
    const struct backend *backend = tunnel ? tunnel_backend(tunnel) : x->backend;
    return backend->sids == sids && hold->shard == name->shard && hold->slot == name->slot &&
           hold->generation == name->generation;
}

void flow_kick_sid(struct worker *worker, const struct sidmap *sids, const struct sid_name *name,
                   enum move_reason why)
{
    const struct sessions *all = &worker->sessions;
    struct held_session *next;
    struct held_session *session = sessions_next_sid(all, name->shard, name->slot, name->generation,
                                                     NULL);
    for (; session; session = next) {
        next = sessions_next_sid(all, name->shard, name->slot, name->generation, session);
        if (flow_holds_sid(session->flow, sids, name))
            flow_kick_session(session->flow, why);
    }
}

void flow_kick_loose(struct worker *worker, uint32_t loose_id, enum move_reason why)
{
    struct held_session *session = sessions_find_loose(&worker->sessions, loose_id);
    if (session)
        flow_kick_session(session->flow, why);
}

size_t flow_loose_sessions(struct worker *worker, const struct server *server,
                           struct loose_session *out, size_t max)
{
    size_t n = 0;
    list_each_safe(node, &worker->flow_list) // In the order in which they came.
    {
        const struct flow *flow = container_of(node, struct flow, node);
        if (n == max)
            break;
        if (flow->state == FLOW_TUNNEL && flow->tunnel->loose && flow->tunnel->server == server)
            out[n++] = (struct loose_session){flow->tunnel->session.loose_id,
                                              flow->began_us / 1000};
    }
    return n;
}

void flow_end_all(struct worker *worker)
{
    farewell_end_all(worker);
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow_poll_moves_on(flow)) { // it was spared, but did not end in time
            flow_end_status(flow, END_KICKED, flow->exchange->legacy ? 0 : 200, NULL);
            continue;
        }
        if (flow->exchange || flow->tunnel)
            flow_end_status(flow, END_KICKED, 0, NULL);
        if (flow->state != FLOW_ENDED)
            flow_close(flow, false);
    }
}

void flow_server_down(struct worker *worker, struct server *server)
{
    bool close_tunnels = upstream_backend(worker, server)->config->opt.health_on_down ==
                         ON_DOWN_CLOSE;
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
    flow_place_free(worker, server->home); /* who waited for this server alone waits in vain */
}

void flow_shutdown(struct flow *flow)
{
    if (flow->state == FLOW_TUNNEL && flow->tunnel->kick)
        tunnel_end(flow->tunnel, END_KICKED);
    else if (flow->state == FLOW_TUNNEL)
        tunnel_kick(flow->tunnel, MOVE_NONE);
    else if (flow_holds_poll(flow))
        flow_kick_poll(flow, MOVE_NONE);
    else if (flow->exchange)
        flow_end_status(flow, END_KICKED, 0, NULL);
    else
        flow_close(flow, false);
}

static struct server *flow_server(const struct flow *flow)
{
    return flow->tunnel ? flow->tunnel->server : flow->exchange ? flow->exchange->server : NULL;
}

void flow_server_end(struct worker *worker, struct server *server)
{
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->state != FLOW_ENDED && flow_server(flow) == server)
            flow_shutdown(flow);
    }
}

void flow_server_maint(struct worker *worker, struct server *server)
{
    bool close_tunnels = upstream_backend(worker, server)->config->opt.health_on_down ==
                         ON_DOWN_CLOSE;
    upstream_close_idle(worker, server);
    list_each_safe(node, &worker->flow_list)
    {
        struct flow *flow = container_of(node, struct flow, node);
        if (flow->state == FLOW_ENDED || flow_server(flow) != server)
            continue;
        if (flow->tunnel && close_tunnels && !flow->tunnel->kick)
            tunnel_kick(flow->tunnel, MOVE_DOWN);
        else if (flow_holds_poll(flow) && flow->exchange->owned)
            flow_end(flow, END_DEAD_OWNER);
    }
}

/* That a picky one has to stay says nothing of those behind it. */
bool flow_place_free(struct worker *worker, const struct backend_home *home)
{
    struct list *node = upstream_queue_first(worker, home);
    while (node) {
        struct exchange *x = container_of(node, struct exchange, queue_node);
        struct list *next = upstream_queue_next(worker, home, node);
        bool picky = request_is_picky(x);
        if (!request_leave_queue(x) && !picky)
            return false;
        node = next;
    }
    return true;
}
