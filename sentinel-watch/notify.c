// SPDX-License-Identifier: Apache-2.0
/*
 * One struct receiver per server: its node in the barrier, its connection (post), its address.
 *
 *     barrier ── order ──► send_order ──► post ──► server
 *        ▲                                  │
 *        └── outcome ◄── on_answered, on_ended
 *
 * Nothing is sent from inside a callback: whatever happens only asks for a round at the end of the
 * turn (notify_go), and a round (go) looks at every server: give up what is superseded, send what is
 * ordered, open what is closed. So there is one place from which bytes leave.
 *
 * Connections are open before they are needed. A server may close an idle one (Node.js does after
 * five seconds); it is opened again at once, and when that fails its process is taken for gone: what
 * it had acknowledged counts no more (barrier_lost), and it is led to the master when it is back.
 *
 * Signing: with one of at most two secrets per server. A 401 changes to the other one, once per
 * question; what a server accepted stays. So a secret can be changed in any order of steps.
 */
#include "sentinel-watch/notify.h"

#include "base/clock.h"
#include "base/log.h"
#include "sentinel-watch/locator.h"
#include "sentinel-watch/message.h"
#include "sentinel-watch/post.h"
#include "sentinel-watch/secure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 1000,
    REOPEN_FIRST_MS = 20,
    REOPEN_MAX_MS = 2000,
    HEAD_MAX =
        1280, /* of a request; its path has 512 bytes at most, by the configuration's check */
};

struct receiver {
    struct list link;
    struct grave grave;
    struct notify *notify;
    struct barrier_node node;
    struct post post;
    struct locator *locator;
    const struct config_backend *backend;
    const struct config_server *server;
    struct tls_context *tls; /* notify's; NULL: without */
    struct tls_session session;
    struct addr addr; /* len 0: not known yet */
    bool locating;
    bool kept;       /* what is in flight went over a connection that had been idle */
    bool other_key;  /* this question was already refused under the other secret */
    bool kept_twice; /* this question was lost with a kept connection before */
    size_t key;      /* which secret it accepts */
    enum phase asked;
    int64_t sent_wall_ms; /* of the last signal: grows strictly */
    int64_t reopen_ms;    /* not before */
    uint32_t failures;    /* of opening, in a row */
    enum standing told;
    bool keep; /* during notify_configure */
};

struct notify {
    struct world world;
    const struct notify_owner *owner;
    void *ctx;
    struct barrier barrier;
    struct list receivers;
    const struct config_sentinel *sentinel;
    struct tls_context **contexts, **prepared; /* per backend, NULL: without TLS */
    size_t context_count, prepared_count;
    struct rng rng;
    struct timer timer;
    struct turn_hook hook;
};

static struct receiver *receiver_of(struct list *link)
{
    return container_of(link, struct receiver, link);
}

static void count(struct notify *notify, enum tally_id id)
{
    tally_add(notify->world.tally, id, 1);
}

void notify_go(struct notify *notify)
{
    loop_at_turn_end(notify->world.loop, &notify->hook);
}

/* ---- what came of a signal ----------------------------------------------------------------- */

static void report(struct receiver *receiver, enum outcome_kind kind, const struct ack *ack,
                   const char *trouble)
{
    struct notify *notify = receiver->notify;
    struct barrier_node *node = &receiver->node;
    struct outcome outcome = {kind, ack, trouble};
    const char *before = node->trouble;
    barrier_answer(&notify->barrier, node, &outcome, notify->world.loop->now_ms);
    if (node->trouble && node->trouble != before)
        log_info("a server %s: phase=%s server=%s/%s id=%s", node->trouble,
                 phase_word(receiver->asked), receiver->backend->name, receiver->server->name,
                 notify->barrier.now.id);
    if (kind != OUTCOME_AGAIN)
        receiver->kept_twice = false;
    notify_go(notify);
}

static void take_ack(struct receiver *receiver, uint16_t status, struct span body)
{
    struct notify *notify = receiver->notify;
    struct ack ack;
    const char *error = ack_parse(body, &ack);
    if (error) {
        count(notify, TALLY_NOTIFY_GARBAGE);
        log_debug("an acknowledgement is malformed: %s server=%s/%s", error,
                  receiver->backend->name, receiver->server->name);
        report(receiver, OUTCOME_NONE, NULL, "answers with something that is no acknowledgement");
        return;
    }
    bool current = !barrier_superseded(&notify->barrier, &receiver->node);
    report(receiver, status == 200 ? OUTCOME_ACK : OUTCOME_STALE, &ack, NULL);
    if (status == 409) {
        count(notify, TALLY_NOTIFY_STALE);
    } else if (receiver->node.trouble) {
        count(notify, TALLY_NOTIFY_WRONG);
    } else if (current) {
        count(notify, TALLY_NOTIFY_ACK);
        tally_add(notify->world.tally, TALLY_NOTIFY_ACK_MS,
                  notify->world.loop->now_ms - receiver->post.sent_ms);
    }
}

/* 401: perhaps it has only the other secret. */
static void take_unauthorized(struct receiver *receiver)
{
    struct notify *notify = receiver->notify;
    count(notify, TALLY_NOTIFY_REFUSED);
    bool try_other = notify->sentinel->opt.notify_secrets_count == 2 && !receiver->other_key;
    receiver->other_key = try_other;
    if (notify->sentinel->opt.notify_secrets_count == 2)
        receiver->key ^= 1;
    if (try_other)
        report(receiver, OUTCOME_AGAIN, NULL, NULL);
    else
        report(receiver, OUTCOME_NONE, NULL, "refuses the signature (401)");
}

static const char *status_trouble(uint16_t status)
{
    if (status == 404)
        return "has no receiver at this path (404)";
    if (status >= 500)
        return "answers with an error of its own (5xx)";
    return status < 300 ? "answers with 2xx, but not 200" : "answers with an unexpected status";
}

static void on_answered(struct post *post, uint16_t status, struct span body)
{
    struct receiver *receiver = container_of(post, struct receiver, post);
    if (status == 401) {
        take_unauthorized(receiver);
        return;
    }
    receiver->other_key = false;
    if (status == 200 || status == 409) {
        take_ack(receiver, status, body);
        return;
    }
    count(receiver->notify, TALLY_NOTIFY_STATUS);
    report(receiver, OUTCOME_NONE, NULL, status_trouble(status));
}

static void on_opened(struct post *post)
{
    struct receiver *receiver = container_of(post, struct receiver, post);
    count(receiver->notify, TALLY_NOTIFY_CONNECTS);
    receiver->failures = 0;
    barrier_found(&receiver->node);
    notify_go(receiver->notify);
}

static void reopen_later(struct receiver *receiver)
{
    struct notify *notify = receiver->notify;
    uint32_t doublings = receiver->failures < 7 ? receiver->failures : 7;
    int64_t wait_ms = (int64_t)REOPEN_FIRST_MS << doublings;
    if (wait_ms > REOPEN_MAX_MS)
        wait_ms = REOPEN_MAX_MS;
    receiver->failures++;
    receiver->reopen_ms = notify->world.loop->now_ms + rng_jitter(&notify->rng, wait_ms, 25);
    notify_go(notify);
}

/* No connection can be had: the barrier hears of it if it waits for one, or believed it was there. */
static void unreached(struct receiver *receiver)
{
    struct notify *notify = receiver->notify;
    int64_t now_ms = notify->world.loop->now_ms;
    struct order order;
    count(notify, TALLY_NOTIFY_UNREACHED);
    if (receiver->failures == 0)
        log_info("a server cannot be reached: server=%s/%s: %s", receiver->backend->name,
                 receiver->server->name, receiver->post.why);
    if (receiver->node.done != PHASE_NONE) {
        log_warning("a server that followed the master is gone: server=%s/%s",
                    receiver->backend->name, receiver->server->name);
        barrier_lost(&notify->barrier, &receiver->node, now_ms);
    } else if (barrier_order(&notify->barrier, &receiver->node, now_ms, &order)) {
        receiver->asked = order.phase;
        report(receiver, OUTCOME_UNREACHED, NULL, "cannot be reached");
    }
    reopen_later(receiver);
}

/* The connection ended with a signal on it. A kept one may have been closed by the server at that
 * very moment; then the same is sent again over a new one, once. */
static void lost(struct receiver *receiver, enum tally_id id, const char *trouble)
{
    count(receiver->notify, id);
    bool again = receiver->kept && !receiver->kept_twice && id == TALLY_NOTIFY_CUT;
    receiver->kept_twice = again;
    if (again)
        report(receiver, OUTCOME_AGAIN, NULL, NULL);
    else
        report(receiver, OUTCOME_NONE, NULL, trouble);
}

static void on_ended(struct post *post, enum post_end end)
{
    struct receiver *receiver = container_of(post, struct receiver, post);
    switch (end) {
    case POST_UNREACHED:
        unreached(receiver);
        return;
    case POST_DROPPED:
        reopen_later(receiver);
        return;
    case POST_CUT:
        lost(receiver, TALLY_NOTIFY_CUT, "closes the connection before it has answered");
        return;
    case POST_SILENT:
        lost(receiver, TALLY_NOTIFY_SILENT, "does not answer in time");
        return;
    case POST_GARBAGE:
        lost(receiver, TALLY_NOTIFY_GARBAGE, "does not speak HTTP");
        return;
    case POST_OURS:
        if (receiver->node.asked != PHASE_NONE)
            report(receiver, OUTCOME_NONE, NULL, "was not asked: this host is out of resources");
        reopen_later(receiver);
        return;
    }
}

static const struct post_owner post_owner = {on_opened, on_answered, on_ended};

/* ---- sending ------------------------------------------------------------------------------- */

/* "sent_at" tells a receiver what is newer, so it must grow, whatever the wall clock does. */
static int64_t next_sent_ms(struct receiver *receiver)
{
    int64_t now_ms = clock_wall_ms();
    receiver->sent_wall_ms = now_ms > receiver->sent_wall_ms ? now_ms : receiver->sent_wall_ms + 1;
    return receiver->sent_wall_ms;
}

static const char *secret_of(struct receiver *receiver)
{
    const struct sentinel_options *opt = &receiver->notify->sentinel->opt;
    if (receiver->key >= opt->notify_secrets_count)
        receiver->key = 0;
    return opt->notify_secrets_count > 0 ? opt->notify_secrets[receiver->key] : "";
}

/* For the Host field: the address as configured. */
static const char *host_of(const struct receiver *receiver)
{
    return receiver->addr.any.sa_family == AF_UNIX ? "localhost" : receiver->server->opt.address;
}

static void send_order(struct receiver *receiver, const struct order *order)
{
    struct notify *notify = receiver->notify;
    const struct sentinel_options *opt = &notify->sentinel->opt;
    char head[HEAD_MAX], body[MESSAGE_MAX], signature[SIGNATURE_MAX];
    struct message message = {
        .failover = order->failover,
        .phase = order->phase,
        .watcher = notify->world.watcher,
        .sent_ms = next_sent_ms(receiver),
        .deadline_ms = order->deadline_ms,
        .hold_max_ms = order->hold_max_ms,
        .attempt = order->attempt,
    };
    size_t len = message_write(&message, body);
    int64_t timestamp_s = message.sent_ms / 1000;
    message_sign(secret_of(receiver), timestamp_s, span_of(body, len), signature);
    int head_len = snprintf(head, sizeof(head),
                            "POST %.512s HTTP/1.1\r\nHost: %.255s\r\n"
                            "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                            "X-Limpet-Timestamp: %" PRId64 "\r\nX-Limpet-Signature: %s\r\n\r\n",
                            opt->notify_path, host_of(receiver), len, timestamp_s, signature);
    struct span parts[] = {{head, (size_t)head_len}, {body, len}};
    receiver->kept = receiver->post.answers > 0;
    receiver->asked = order->phase;
    barrier_sent(&notify->barrier, &receiver->node, order);
    count(notify, TALLY_NOTIFY_SENT);
    post_send(&receiver->post, parts, 2, opt->notify_deadline_ms);
}

static void open_at(struct receiver *receiver)
{
    int64_t deadline_ms = receiver->notify->sentinel->opt.notify_deadline_ms;
    char name[ADDR_TEXT_MAX];
    struct post_tls tls = {
        .context = receiver->tls,
        .name = config_tls_name(receiver->backend, receiver->server, &receiver->addr, name),
        .session = &receiver->session,
    };
    post_open(&receiver->post, &receiver->addr, &tls,
              deadline_ms < CONNECT_MS ? deadline_ms : CONNECT_MS);
}

static void on_located(void *ctx, const struct addr *addr, const char *error)
{
    struct receiver *receiver = ctx;
    receiver->locating = false;
    if (addr)
        receiver->addr = *addr;
    else if (receiver->failures == 0)
        log_warning("a server's name cannot be resolved: server=%s/%s: %s", receiver->backend->name,
                    receiver->server->name, error);
    if (receiver->addr.len == 0)
        unreached(receiver);
    else if (receiver->post.state == POST_CLOSED)
        open_at(receiver);
}

/* A name is asked for again when its address was no good. */
static void open_connection(struct receiver *receiver)
{
    const struct endpoint *endpoint = &receiver->server->endpoint;
    if (endpoint->kind == ENDPOINT_ADDR) {
        receiver->addr = endpoint->addr;
        open_at(receiver);
    } else if ((receiver->addr.len > 0 && receiver->failures == 0) ||
               locator_ask(receiver->locator, endpoint->host, endpoint->port, &receiver->addr,
                           &receiver->addr)) {
        open_at(receiver);
    } else {
        receiver->locating = true;
    }
}

static void earliest(int64_t *when, int64_t other)
{
    if (other >= 0 && (*when < 0 || other < *when))
        *when = other;
}

static enum standing standing_of(const struct barrier_node *node)
{
    if (node->stale)
        return STANDING_STALE;
    return node->followed ? STANDING_READY : STANDING_UNKNOWN;
}

/* Everything that is to be done for one server now. */
static void serve(struct receiver *receiver, int64_t now_ms, int64_t *wake_ms)
{
    struct notify *notify = receiver->notify;
    struct order order;
    if (barrier_superseded(&notify->barrier, &receiver->node)) {
        count(notify, TALLY_NOTIFY_SUPERSEDED);
        post_close(&receiver->post);
        report(receiver, OUTCOME_AGAIN, NULL, NULL);
    }
    bool ordered = barrier_order(&notify->barrier, &receiver->node, now_ms, &order);
    if (receiver->post.state == POST_IDLE && ordered) {
        send_order(receiver, &order);
    } else if (receiver->post.state == POST_CLOSED && !receiver->locating) {
        // An order has its own pauses, from try to try; the first one does not wait.
        if (ordered || now_ms >= receiver->reopen_ms)
            open_connection(receiver);
        else
            earliest(wake_ms, receiver->reopen_ms);
    }
    enum standing standing = standing_of(&receiver->node);
    if (standing != receiver->told) {
        receiver->told = standing;
        notify->owner->changed(notify->ctx);
    }
}

static void go(struct turn_hook *hook)
{
    struct notify *notify = container_of(hook, struct notify, hook);
    int64_t now_ms = notify->world.loop->now_ms, wake_ms = -1;
    barrier_run(&notify->barrier, now_ms);
    list_each(link, &notify->receivers) serve(receiver_of(link), now_ms, &wake_ms);
    earliest(&wake_ms, barrier_run(&notify->barrier, now_ms));
    if (wake_ms < 0)
        loop_timer_stop(notify->world.loop, &notify->timer);
    else
        loop_timer_start(notify->world.loop, &notify->timer,
                         wake_ms > now_ms ? wake_ms - now_ms : 1);
}

static void on_timer(struct timer *timer)
{
    notify_go(container_of(timer, struct notify, timer));
}

/* ---- the barrier's news -------------------------------------------------------------------- */

static void on_phase(void *ctx, const struct failover *failover, enum phase phase)
{
    static const int ids[] = {
        [PHASE_NONE] = -1,
        [PHASE_HOLD] = TALLY_PHASE_HOLDS,
        [PHASE_SUB] = TALLY_PHASE_SUBS,
        [PHASE_PUB] = TALLY_PHASE_PUBS,
        [PHASE_FENCE] = TALLY_PHASE_FENCES,
        [PHASE_CANCEL] = TALLY_PHASE_CANCELS,
    };
    struct notify *notify = ctx;
    if (ids[phase] >= 0)
        count(notify, (enum tally_id)ids[phase]);
    notify->owner->phase(notify->ctx, failover, phase);
    notify_go(notify);
}

static void on_late(void *ctx, struct barrier_node *node, const struct failover *failover)
{
    struct notify *notify = ctx;
    const struct receiver *receiver = container_of(node, struct receiver, node);
    count(notify, TALLY_NOTIFY_LATE);
    log_warning("a server has not subscribed at the new master, the others go on without it: "
                "server=%s/%s id=%s it %s",
                receiver->backend->name, receiver->server->name, failover->id,
                node->trouble ? node->trouble : "has not answered yet");
}

static void on_outdated(void *ctx, struct barrier_node *node, uint64_t generation, uint64_t epoch)
{
    struct notify *notify = ctx;
    const struct receiver *receiver = container_of(node, struct receiver, node);
    if (!node->ahead)
        log_warning("a server has seen a newer failover than we have: server=%s/%s "
                    "generation=%" PRIu64 " epoch=%" PRIu64,
                    receiver->backend->name, receiver->server->name, generation, epoch);
    notify->owner->outdated(notify->ctx, notify->barrier.now.master, generation, epoch);
}

static const struct barrier_owner barrier_owner = {on_phase, on_late, on_outdated};

/* ---- servers that come and go -------------------------------------------------------------- */

static void receiver_free(struct grave *grave)
{
    free(container_of(grave, struct receiver, grave));
}

static void receiver_new(struct notify *notify, const struct config_backend *backend,
                         const struct config_server *server, struct tls_context *tls)
{
    struct receiver *receiver = mem_must_alloc(sizeof(*receiver));
    receiver->notify = notify;
    receiver->grave.fn = receiver_free;
    receiver->backend = backend;
    receiver->server = server;
    receiver->tls = tls;
    receiver->keep = true;
    receiver->locator = locator_new(notify->world.loop, notify->world.resolver, on_located,
                                    receiver);
    post_init(&receiver->post, notify->world.loop, notify->world.shelf, ACK_BYTES_MAX + 1,
              &post_owner);
    list_push_back(&notify->receivers, &receiver->link);
    barrier_join(&notify->barrier, &receiver->node);
}

static void receiver_leave(struct receiver *receiver)
{
    barrier_leave(&receiver->node);
    list_remove(&receiver->link);
    post_close(&receiver->post);
    locator_free(receiver->locator);
    tls_session_forget(&receiver->session);
    loop_bury(receiver->notify->world.loop, &receiver->grave);
}

static struct receiver *find(struct notify *notify, const char *backend, const char *name,
                             const char *address)
{
    list_each(link, &notify->receivers)
    {
        struct receiver *receiver = receiver_of(link);
        if (strcmp(receiver->backend->name, backend) == 0 &&
            strcmp(receiver->server->name, name) == 0 &&
            strcmp(receiver->server->opt.address, address) == 0)
            return receiver;
    }
    return NULL;
}

static void contexts_free(struct tls_context **contexts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tls_context_unref(contexts[i]);
    free(contexts);
}

bool notify_prepare(struct notify *notify, const struct config *config,
                    const struct config_sentinel *sentinel, char **error)
{
    size_t count = sentinel->opt.notify_backends_count;
    contexts_free(notify->prepared, notify->prepared_count);
    notify->prepared = mem_must_alloc((count + 1) * sizeof(struct tls_context *));
    notify->prepared_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct config_backend *backend = &config->backends[sentinel->backends[i]];
        notify->prepared[i] = backend->tls ? secure_backend(backend, error) : NULL;
        if (backend->tls && !notify->prepared[i])
            return false;
    }
    return true;
}

/* What is prepared is in force. Connections that stand keep the context that they were made with. */
static void contexts_take(struct notify *notify)
{
    contexts_free(notify->contexts, notify->context_count);
    notify->contexts = notify->prepared;
    notify->context_count = notify->prepared_count;
    notify->prepared = NULL;
    notify->prepared_count = 0;
}

void notify_configure(struct notify *notify, const struct config *config,
                      const struct config_sentinel *sentinel)
{
    const struct sentinel_options *opt = &sentinel->opt;
    notify->sentinel = sentinel;
    notify->barrier.times = (struct barrier_times){opt->notify_deadline_ms, opt->hold_max_ms};
    contexts_take(notify);
    list_each(link, &notify->receivers) receiver_of(link)->keep = false;
    for (size_t b = 0; b < opt->notify_backends_count; b++) {
        const struct config_backend *backend = &config->backends[sentinel->backends[b]];
        for (size_t s = 0; s < backend->server_count; s++) {
            const struct config_server *server = &backend->servers[s];
            struct receiver *receiver = find(notify, backend->name, server->name,
                                             server->opt.address);
            if (!receiver) {
                receiver_new(notify, backend, server, notify->contexts[b]);
                continue;
            }
            receiver->backend = backend;
            receiver->tls = notify->contexts[b];
            receiver->server = server;
            receiver->key = 0;
            receiver->keep = true;
        }
    }
    list_each_safe(link, &notify->receivers)
    {
        if (!receiver_of(link)->keep)
            receiver_leave(receiver_of(link));
    }
    notify_go(notify);
}

struct notify *notify_new(const struct world *world, const struct notify_owner *owner, void *ctx)
{
    static const struct barrier_times none = {0};
    struct notify *notify = mem_must_alloc(sizeof(*notify));
    notify->world = *world;
    notify->owner = owner;
    notify->ctx = ctx;
    rng_seed_from_system(&notify->rng);
    barrier_init(&notify->barrier, &none, rng_next(&notify->rng), &barrier_owner, notify);
    list_init(&notify->receivers);
    timer_init(&notify->timer, on_timer);
    list_init(&notify->hook.node);
    notify->hook.fn = go;
    return notify;
}

void notify_free(struct notify *notify)
{
    if (!notify)
        return;
    list_each_safe(link, &notify->receivers) receiver_leave(receiver_of(link));
    loop_timer_stop(notify->world.loop, &notify->timer);
    list_remove(&notify->hook.node);
    contexts_free(notify->contexts, notify->context_count);
    contexts_free(notify->prepared, notify->prepared_count);
    free(notify);
}

struct barrier *notify_barrier(struct notify *notify)
{
    return &notify->barrier;
}

/* ---- for limpet and for people ------------------------------------------------------------- */

static struct notify_server view(const struct receiver *receiver)
{
    return (struct notify_server){
        .backend = receiver->backend->name,
        .name = receiver->server->name,
        .node = &receiver->node,
        .standing = standing_of(&receiver->node),
        .open = receiver->post.state >= POST_IDLE,
    };
}

bool notify_find(struct notify *notify, const char *backend, const char *name,
                 struct notify_server *out)
{
    list_each(link, &notify->receivers)
    {
        const struct receiver *receiver = receiver_of(link);
        if (strcmp(receiver->backend->name, backend) != 0 ||
            strcmp(receiver->server->name, name) != 0)
            continue;
        *out = view(receiver);
        return true;
    }
    return false;
}

void notify_each(struct notify *notify, void (*each)(void *ctx, const struct notify_server *server),
                 void *ctx)
{
    list_each(link, &notify->receivers)
    {
        struct notify_server server = view(receiver_of(link));
        each(ctx, &server);
    }
}

static const char *state_word(const struct barrier_node *node)
{
    if (node->stale)
        return "stale";
    if (node->ahead)
        return "ahead";
    return node->home ? "ready" : phase_word(node->done);
}

static void show(void *ctx, const struct notify_server *server)
{
    struct text *out = ctx;
    const struct barrier_node *node = server->node;
    text_addf(out,
              "%s{\"server\":\"%s/%s\",\"state\":\"%s\",\"connected\":%s,\"generation\":%" PRIu64
              ",\"epoch\":%" PRIu64 ",\"queued\":%" PRIu64 ",\"attempt\":%" PRIu32 ",\"trouble\":",
              out->len > 0 && out->data[out->len - 1] == '}' ? "," : "", server->backend,
              server->name, state_word(node), server->open ? "true" : "false", node->generation,
              node->epoch, node->queued, node->attempt);
    text_addf(out, node->trouble ? "\"%s\"}" : "null}", node->trouble);
}

void notify_show(struct notify *notify, struct text *out)
{
    text_add(out, SPAN("["));
    notify_each(notify, show, out);
    text_add(out, SPAN("]"));
}
