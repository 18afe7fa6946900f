// SPDX-License-Identifier: Apache-2.0
/*
 * `/metrics`: everything in Prometheus's text format, names beginning with limpet_, base units
 * (seconds, bytes), totals ending in _total. Three kinds of families:
 *
 * - counters: the table below gives those that belong together a common name and a label; every
 *   other row of counters.def appears by itself, under its own name in lower case, so that a new
 *   counter is never forgotten
 * - histograms of backends: lb/histogram's table
 * - values that no counter holds: states, weights, sessions, limits
 *
 * Labels are names from the configuration and fixed words; never a sid or a client's address.
 */
#include "base/clock.h"
#include "base/log.h"
#include "lb/control.h"
#include "lb/failover.h"
#include "lb/reload.h"
#include "lb/secure.h"
#include "lb/stats_row.h"
#include "lb/web_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void web_add_label(struct text *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            text_add(out, SPAN("\\"));
        text_add(out, c == '\n' ? SPAN("\\n") : span_of(&value.ptr[i], 1));
    }
}

/* ---- objects: what a family has samples of ---- */

enum { ON_FRONTENDS = 1, ON_BACKENDS = 2, ON_SERVERS = 4, ON_ALL = 7 };

struct target {
    unsigned kind; /* one ON_ bit */
    uint16_t stat_id;
    const struct frontend *frontend;
    const struct backend *backend;
    const struct server *server;
};
typedef void target_fn(void *ctx, const struct target *target);

static void each_backend(const struct backend *backend, unsigned kind, target_fn *fn, void *ctx)
{
    struct target target = {ON_BACKENDS, backend->stat_id, NULL, backend, NULL};
    if (kind == ON_BACKENDS) {
        fn(ctx, &target);
        return;
    }
    target.kind = ON_SERVERS;
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++) {
        target.server = backend->servers[i];
        target.stat_id = target.server->stat_id;
        fn(ctx, &target);
    }
}

static void each_target(struct serving *serving, unsigned kind, target_fn *fn, void *ctx)
{
    const struct snapshot *snapshot = serving->snapshot;
    for (size_t i = 0; kind == ON_FRONTENDS && i < snapshot->frontend_count; i++) {
        const struct frontend *frontend = &snapshot->frontends[i];
        struct target target = {ON_FRONTENDS, frontend->stat_id, frontend, NULL, NULL};
        fn(ctx, &target);
    }
    for (size_t i = 0; kind != ON_FRONTENDS && i < snapshot->backend_count; i++)
        each_backend(snapshot->backends[i], kind, fn, ctx);
}

static const char *kind_word(unsigned kind)
{
    return kind == ON_FRONTENDS ? "frontend" : kind == ON_BACKENDS ? "backend" : "server";
}

/* "{backend="chat",server="a"", without the closing brace. */
static void add_labels(struct text *out, const struct target *target)
{
    bool of_frontend = target->kind == ON_FRONTENDS;
    const char *proxy = of_frontend ? target->frontend->name : target->backend->name;
    text_addf(out, "{%s=\"", of_frontend ? "frontend" : "backend");
    web_add_label(out, span_str(proxy));
    if (target->server != NULL) {
        text_add(out, SPAN("\",server=\""));
        web_add_label(out, span_str(target->server->name));
    }
    text_add(out, SPAN("\""));
}

static void add_head(struct text *out, const char *scope, const char *name, const char *type,
                     const char *help)
{
    const char *dash = *scope != '\0' ? "_" : "";
    size_t len = strlen(help);
    bool dot = len > 0 && help[len - 1] == '.';
    text_addf(out, "# HELP limpet_%s%s%s %c%s%s\n", scope, dash, name,
              toupper((unsigned char)*help), help + 1, dot ? "" : ".");
    text_addf(out, "# TYPE limpet_%s%s%s %s\n", scope, dash, name, type);
}

/* ---- counters ---- */

/* Rows of one name follow one another and are one family. */
static const struct shown {
    enum counter id;
    unsigned kinds; /* 0: shown otherwise, or not at all */
    const char *name;
    const char *label, *value; /* NULL: none */
    const char *help;          /* of the family; NULL: the counter's own */
} shown_counters[] = {
    {COUNTER_CONNS_NOW, ON_FRONTENDS, "connections", NULL, NULL, NULL},
    {COUNTER_CONNS, ON_FRONTENDS, "connections_total", NULL, NULL, NULL},
    {COUNTER_CONNS_DENIED, ON_FRONTENDS, "connections_denied_total", NULL, NULL, NULL},
    {COUNTER_EXCHANGES_NOW, ON_ALL, "exchanges", NULL, NULL, NULL},
    {COUNTER_EXCHANGES, ON_ALL, "exchanges_total", NULL, NULL, NULL},
    {COUNTER_REQUESTS, ON_FRONTENDS | ON_BACKENDS, "requests_total", NULL, NULL, NULL},
    {COUNTER_BYTES_IN, ON_ALL, "received_bytes_total", NULL, NULL, NULL},
    {COUNTER_BYTES_OUT, ON_ALL, "sent_bytes_total", NULL, NULL, NULL},
    {COUNTER_REQUESTS_DENIED, ON_FRONTENDS | ON_BACKENDS, "requests_denied_total", NULL, NULL,
     NULL},
    {COUNTER_REQUESTS_BAD, ON_FRONTENDS, "requests_bad_total", NULL, NULL, NULL},
    {COUNTER_CONNECT_ERRORS, ON_BACKENDS | ON_SERVERS, "connect_errors_total", NULL, NULL, NULL},
    {COUNTER_PORTS_EXHAUSTED, ON_BACKENDS | ON_SERVERS, "ports_exhausted_total", NULL, NULL, NULL},
    {COUNTER_RESPONSE_ERRORS, ON_BACKENDS | ON_SERVERS, "response_errors_total", NULL, NULL, NULL},
    {COUNTER_RETRIES, ON_BACKENDS | ON_SERVERS, "retries_total", NULL, NULL, NULL},
    {COUNTER_REDISPATCHES, ON_BACKENDS | ON_SERVERS, "redispatches_total", NULL, NULL, NULL},
    {COUNTER_CHOSEN, ON_BACKENDS | ON_SERVERS, "chosen_total", NULL, NULL, NULL},
    {COUNTER_RESPONSES_1XX, ON_ALL, "responses_total", "code", "1xx", "answers by status"},
    {COUNTER_RESPONSES_2XX, ON_ALL, "responses_total", "code", "2xx", NULL},
    {COUNTER_RESPONSES_3XX, ON_ALL, "responses_total", "code", "3xx", NULL},
    {COUNTER_RESPONSES_4XX, ON_ALL, "responses_total", "code", "4xx", NULL},
    {COUNTER_RESPONSES_5XX, ON_ALL, "responses_total", "code", "5xx", NULL},
    {COUNTER_RESPONSES_OTHER, ON_ALL, "responses_total", "code", "other", NULL},
    {COUNTER_CLIENT_ABORTS, ON_ALL, "aborts_total", "by", "client", "exchanges given up, by whom"},
    {COUNTER_SERVER_ABORTS, ON_ALL, "aborts_total", "by", "server", NULL},
    {COUNTER_CONNECTS, ON_BACKENDS | ON_SERVERS, "connections_total", "kind", "opened",
     "connections to servers used for a request: opened for it, or kept"},
    {COUNTER_REUSES, ON_BACKENDS | ON_SERVERS, "connections_total", "kind", "reused", NULL},
    {COUNTER_SERVER_CONNS_IDLE, ON_BACKENDS | ON_SERVERS, "connections", "state", "idle",
     "connections to servers that are open"},
    {COUNTER_SERVER_CONNS_USED, ON_BACKENDS | ON_SERVERS, "connections", "state", "used", NULL},
    {COUNTER_OWN_ANSWERS, ON_FRONTENDS, "own_answers_total", NULL, NULL, NULL},
    {COUNTER_QUEUED_NOW, ON_BACKENDS, "queued_requests", NULL, NULL, NULL},
    {COUNTER_QUEUED, ON_BACKENDS, "queued_requests_total", NULL, NULL, NULL},
    {COUNTER_QUEUE_US, 0, NULL, NULL, NULL, NULL}, // The histograms' sums say it.
    {COUNTER_CONNECT_US, 0, NULL, NULL, NULL, NULL},
    {COUNTER_RESPONSE_US, 0, NULL, NULL, NULL, NULL},
    {COUNTER_TOTAL_US, ON_BACKENDS, "exchange_duration_seconds_total", NULL, NULL,
     "time of whole exchanges, tunnels left out"},
    {COUNTER_TIMED, ON_BACKENDS, "exchanges_timed_total", NULL, NULL, NULL},
    {COUNTER_PROXY_HEADERS, ON_FRONTENDS, "proxy_headers_total", NULL, NULL, NULL},
    {COUNTER_PROXY_BAD, ON_FRONTENDS, "proxy_failures_total", "reason", "bad",
     "connections closed because of their PROXY header, by what was wrong"},
    {COUNTER_PROXY_TIMEOUTS, ON_FRONTENDS, "proxy_failures_total", "reason", "timeout", NULL},
    {COUNTER_TLS_HANDSHAKES, ON_FRONTENDS, "tls_handshakes_total", NULL, NULL, NULL},
    {COUNTER_TLS_RESUMED, ON_FRONTENDS, "tls_resumed_total", NULL, NULL, NULL},
    {COUNTER_TLS_TIMEOUTS, ON_FRONTENDS, "tls_failures_total", "reason", "timeout",
     "TLS handshakes with clients that failed, by the reason"},
    {COUNTER_TLS_FAILED_PLAIN_HTTP, ON_FRONTENDS, "tls_failures_total", "reason", "plain_http",
     NULL},
    {COUNTER_TLS_FAILED_VERSION, ON_FRONTENDS, "tls_failures_total", "reason", "version", NULL},
    {COUNTER_TLS_FAILED_CIPHER, ON_FRONTENDS, "tls_failures_total", "reason", "cipher", NULL},
    {COUNTER_TLS_FAILED_ALPN, ON_FRONTENDS, "tls_failures_total", "reason", "alpn", NULL},
    {COUNTER_TLS_FAILED_CERTIFICATE, ON_FRONTENDS, "tls_failures_total", "reason", "certificate",
     NULL},
    {COUNTER_TLS_FAILED_REFUSED, ON_FRONTENDS, "tls_failures_total", "reason", "refused", NULL},
    {COUNTER_TLS_FAILED_CLOSED, ON_FRONTENDS, "tls_failures_total", "reason", "closed", NULL},
    {COUNTER_TLS_FAILED_PROTOCOL, ON_FRONTENDS, "tls_failures_total", "reason", "protocol", NULL},
    {COUNTER_SIO_POLLING_NOW, ON_ALL, "held_polls", NULL, NULL, NULL},
    {COUNTER_SIO_WEBSOCKET_NOW, ON_ALL, "tunnels", NULL, NULL, NULL},
    {COUNTER_SIO_UPGRADED_NOW, 0, NULL, NULL, NULL, NULL}, // sessions{transport} says it.
    {COUNTER_SIO_HANDSHAKES, ON_ALL, "handshakes_total", "transport", "polling",
     "Engine.IO sessions opened, by the transport that they began with"},
    {COUNTER_SIO_WEBSOCKETS, ON_ALL, "handshakes_total", "transport", "websocket", NULL},
    {COUNTER_SIO_UPGRADES_TRIED, ON_ALL, "upgrades_tried_total", NULL, NULL, NULL},
    {COUNTER_SIO_UPGRADES, ON_ALL, "upgrades_total", "result", "done",
     "sessions that tried to go over from polling to WebSocket, by how that ended"},
    {COUNTER_SIO_UPGRADES_FAILED, ON_ALL, "upgrades_total", "result", "failed", NULL},
    {COUNTER_SIO_SID_HITS, ON_ALL, "sid_lookups_total", "result", "hit",
     "lookups of a request's sid: its owner was found, nobody knew it, or its owner is down"},
    {COUNTER_SIO_SID_MISSES, ON_ALL, "sid_lookups_total", "result", "miss", NULL},
    {COUNTER_SIO_DEAD_OWNERS, ON_ALL, "sid_lookups_total", "result", "dead_owner", NULL},
    {COUNTER_SIO_MOVED_DRAIN, ON_BACKENDS | ON_SERVERS, "moves_total", "reason", "drain",
     "sessions sent to another server, by the reason"},
    {COUNTER_SIO_MOVED_REBALANCE, ON_BACKENDS | ON_SERVERS, "moves_total", "reason", "rebalance",
     NULL},
    {COUNTER_SIO_MOVED_STOP, ON_BACKENDS | ON_SERVERS, "moves_total", "reason", "stop", NULL},
    {COUNTER_SIO_MOVED_DOWN, ON_BACKENDS | ON_SERVERS, "moves_total", "reason", "down", NULL},
    {COUNTER_SIO_HANDSHAKES_LIMITED, ON_BACKENDS, "handshakes_limited_total", NULL, NULL, NULL},
    {COUNTER_SIO_SIDS_LIMITED, ON_BACKENDS, "unknown_sids_limited_total", NULL, NULL, NULL},
    {COUNTER_SIO_UNKNOWN_ANSWERS, ON_BACKENDS | ON_SERVERS, "sid_unknown_answers_total", NULL, NULL,
     NULL},
    {COUNTER_SIO_UNLEARNED, ON_BACKENDS | ON_SERVERS, "handshakes_unlearned_total", NULL, NULL,
     NULL},
};

struct counting {
    struct serving *serving;
    struct text *out;
    const struct shown *rows; /* of one family */
    size_t row_count;
};

static bool in_microseconds(enum counter id)
{
    const char *name = counter_table[id].name;
    size_t len = strlen(name);
    return len > 3 && strcmp(name + len - 3, "_US") == 0;
}

static void add_counters(void *ctx, const struct target *target)
{
    const struct counting *counting = ctx;
    struct text *out = counting->out;
    for (size_t i = 0; i < counting->row_count; i++) {
        const struct shown *row = &counting->rows[i];
        int64_t value = stats_sum(counting->serving, target->stat_id, row->id);
        text_addf(out, "limpet_%s_%s", kind_word(target->kind), row->name);
        add_labels(out, target);
        if (row->label != NULL)
            text_addf(out, ",%s=\"%s\"", row->label, row->value);
        if (in_microseconds(row->id))
            text_addf(out, "} %.6f\n", (double)value / 1e6);
        else
            text_addf(out, "} %lld\n", (long long)value);
    }
}

static void add_family(struct serving *serving, const struct shown *rows, size_t count,
                       struct text *out)
{
    const struct counter_info *info = &counter_table[rows->id];
    struct counting counting = {serving, out, rows, count};
    for (unsigned kind = ON_FRONTENDS; kind <= ON_SERVERS; kind <<= 1) {
        if (!(rows->kinds & kind))
            continue;
        add_head(out, kind_word(kind), rows->name,
                 info->kind == COUNTER_TOTAL_KIND ? "counter" : "gauge",
                 rows->help != NULL ? rows->help : info->help);
        each_target(serving, kind, add_counters, &counting);
    }
}

static bool counter_shown(enum counter id)
{
    for (size_t i = 0; i < array_len(shown_counters); i++) {
        if (shown_counters[i].id == id)
            return true;
    }
    return false;
}

/* A counter that the table does not know: its id in lower case, with the endings that Prometheus
 * wants. */
static void add_unlisted(struct serving *serving, enum counter id, struct text *out)
{
    char name[64];
    const char *from = counter_table[id].name;
    if (strncmp(from, "SIO_", 4) == 0)
        from += 4;
    size_t len = 0;
    for (; len < 40 && from[len] != '\0'; len++)
        name[len] = (char)tolower((unsigned char)from[len]);
    if (in_microseconds(id))
        len -= 3;
    snprintf(name + len, sizeof(name) - len, "%s%s", in_microseconds(id) ? "_seconds" : "",
             counter_table[id].kind == COUNTER_TOTAL_KIND ? "_total" : "");
    struct shown row = {.id = id, .kinds = ON_ALL, .name = name};
    add_family(serving, &row, 1, out);
}

static void add_all_counters(struct serving *serving, struct text *out)
{
    for (size_t i = 0; i < array_len(shown_counters);) {
        const struct shown *rows = &shown_counters[i];
        size_t count = 1;
        while (rows->name != NULL && i + count < array_len(shown_counters) &&
               rows[count].name != NULL && strcmp(rows[count].name, rows->name) == 0)
            count++;
        if (rows->kinds != 0)
            add_family(serving, rows, count, out);
        i += count;
    }
    for (enum counter id = 0; id < COUNTERS; id++) {
        if (!counter_shown(id))
            add_unlisted(serving, id, out);
    }
}

/* ---- histograms ---- */

struct measuring {
    struct serving *serving;
    struct text *out;
    enum histogram id;
};

static int64_t sum_bucket(const struct measuring *measuring, uint16_t stat_id, size_t bucket)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < measuring->serving->worker_count; i++) {
        const struct counter_block *stats = measuring->serving->workers[i].stats;
        if (stats != NULL)
            sum += atomic_load_explicit(&stats[stat_id].histograms[measuring->id].count[bucket],
                                        memory_order_relaxed);
    }
    return sum;
}

static int64_t sum_us(const struct measuring *measuring, uint16_t stat_id)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < measuring->serving->worker_count; i++) {
        const struct counter_block *stats = measuring->serving->workers[i].stats;
        if (stats != NULL)
            sum += atomic_load_explicit(&stats[stat_id].histograms[measuring->id].sum_us,
                                        memory_order_relaxed);
    }
    return sum;
}

static void add_histogram(void *ctx, const struct target *target)
{
    const struct measuring *measuring = ctx;
    const struct histogram_info *info = &histogram_table[measuring->id];
    struct text *out = measuring->out;
    int64_t count = 0;
    for (size_t i = 0; i <= info->bounds; i++) {
        bool last = i == info->bounds;
        count += sum_bucket(measuring, target->stat_id, last ? HISTOGRAM_BOUNDS_MAX : i);
        text_addf(out, "limpet_backend_%s_bucket", info->metric);
        add_labels(out, target);
        if (last)
            text_addf(out, ",le=\"+Inf\"} %lld\n", (long long)count);
        else
            text_addf(out, ",le=\"%g\"} %lld\n", (double)info->bounds_us[i] / 1e6,
                      (long long)count);
    }
    text_addf(out, "limpet_backend_%s_sum", info->metric);
    add_labels(out, target);
    text_addf(out, "} %.6f\n", (double)sum_us(measuring, target->stat_id) / 1e6);
    text_addf(out, "limpet_backend_%s_count", info->metric);
    add_labels(out, target);
    text_addf(out, "} %lld\n", (long long)count);
}

static void add_histograms(struct serving *serving, struct text *out)
{
    for (enum histogram id = 0; id < HISTOGRAMS; id++) {
        struct measuring measuring = {serving, out, id};
        add_head(out, "backend", histogram_table[id].metric, "histogram", histogram_table[id].help);
        each_target(serving, ON_BACKENDS, add_histogram, &measuring);
    }
}

/* ---- what no counter holds ---- */

struct valuing {
    struct serving *serving;
    struct text *out;
    const struct value *value;
};

typedef double value_fn(struct serving *serving, const struct target *target);

static double backend_servers(struct serving *serving, const struct target *target)
{
    (void)serving;
    return (double)target->backend->server_count;
}

static double backend_usable(struct serving *serving, const struct target *target)
{
    double count = 0;
    (void)serving;
    for (size_t i = 0; i < target->backend->server_count; i++)
        count += server_takes_sessions(target->backend, target->backend->servers[i]);
    return count;
}

static double sid_entries(struct serving *serving, const struct target *target)
{
    (void)serving;
    return target->backend->sids != NULL ? (double)sidmap_used(target->backend->sids) : 0;
}

static double sid_entries_limit(struct serving *serving, const struct target *target)
{
    (void)serving;
    return target->backend->sids != NULL ? (double)sidmap_max(target->backend->sids) : 0;
}

static double sid_evictions(struct serving *serving, const struct target *target)
{
    (void)serving;
    return target->backend->sids != NULL ? (double)sidmap_evictions(target->backend->sids) : 0;
}

static double sid_lock_waits(struct serving *serving, const struct target *target)
{
    (void)serving;
    return target->backend->sids != NULL ? (double)sidmap_lock_waits(target->backend->sids) : 0;
}

static double frontend_limit(struct serving *serving, const struct target *target)
{
    (void)serving;
    return (double)target->frontend->config->opt.max_connections;
}

static struct web_server server_of(struct serving *serving, const struct target *target)
{
    struct web_server server;
    web_server_of(serving, target->server, &server);
    return server;
}

static double server_weight(struct serving *serving, const struct target *target)
{
    (void)serving;
    return (double)atomic_load(&target->server->weight_now) / SERVER_WEIGHT_SCALE;
}

static double server_weight_configured(struct serving *serving, const struct target *target)
{
    return (double)server_of(serving, target).weight_configured;
}

static double server_limit(struct serving *serving, const struct target *target)
{
    return (double)server_of(serving, target).limit;
}

static double check_failures(struct serving *serving, const struct target *target)
{
    const struct health_status *health = server_of(serving, target).health;
    return health != NULL ? (double)health->failed_checks : 0;
}

static double server_downs(struct serving *serving, const struct target *target)
{
    const struct health_status *health = server_of(serving, target).health;
    return health != NULL ? (double)health->downs : 0;
}

static double check_duration(struct serving *serving, const struct target *target)
{
    const struct health_status *health = server_of(serving, target).health;
    return health != NULL && health->duration_ms >= 0 ? (double)health->duration_ms / 1000 : 0;
}

static double last_change(struct serving *serving, const struct target *target)
{
    int64_t wall_ms = atomic_load(&target->server->changed_ms);
    return (double)(wall_ms > 0 ? wall_ms : serving->started_wall_ms) / 1000;
}

static double redis_epoch(struct serving *serving, const struct target *target)
{
    (void)serving;
    return (double)target->server->redis.epoch;
}

static double server_stale_now(struct serving *serving, const struct target *target)
{
    (void)serving;
    return server_stale(target->server);
}

static const struct value {
    unsigned kind;
    const char *name, *type;
    value_fn *fn;
    const char *help;
} values[] = {
    {ON_FRONTENDS, "connections_limit", "gauge", frontend_limit,
     "client connections that are accepted at most"},
    {ON_BACKENDS, "servers", "gauge", backend_servers, "servers that are configured"},
    {ON_BACKENDS, "servers_usable", "gauge", backend_usable, "servers that are given new sessions"},
    {ON_BACKENDS, "sid_entries", "gauge", sid_entries, "sids in the session table"},
    {ON_BACKENDS, "sid_entries_limit", "gauge", sid_entries_limit,
     "sids that the session table holds at most"},
    {ON_BACKENDS, "sid_evictions_total", "counter", sid_evictions,
     "sids given up because the session table was full"},
    {ON_BACKENDS, "sid_lock_waits_total", "counter", sid_lock_waits,
     "lookups for which a worker waited until another one was done with that part of the table"},
    {ON_SERVERS, "weight", "gauge", server_weight,
     "weight now, with slow start; 0 is given no new sessions"},
    {ON_SERVERS, "weight_configured", "gauge", server_weight_configured,
     "weight that the file gives"},
    {ON_SERVERS, "connections_limit", "gauge", server_limit,
     "exchanges and tunnels at a time at most, 0 is no limit"},
    {ON_SERVERS, "check_failures_total", "counter", check_failures, "health checks that failed"},
    {ON_SERVERS, "downs_total", "counter", server_downs, "times that the server went down"},
    {ON_SERVERS, "check_duration_seconds", "gauge", check_duration,
     "how long the last health check took"},
    {ON_SERVERS, "last_change_timestamp_seconds", "gauge", last_change,
     "when the server's state changed last"},
    {ON_SERVERS, "redis_epoch", "gauge", redis_epoch,
     "Redis failover that sentinel-watch speaks of, 0 when it says nothing"},
    {ON_SERVERS, "redis_stale", "gauge", server_stale_now,
     "1 if the server has not followed Redis, by what sentinel-watch says"},
};

static void add_value(void *ctx, const struct target *target)
{
    const struct valuing *valuing = ctx;
    text_addf(valuing->out, "limpet_%s_%s", kind_word(target->kind), valuing->value->name);
    add_labels(valuing->out, target);
    text_addf(valuing->out, "} %.15g\n", valuing->value->fn(valuing->serving, target));
}

static void add_state(void *ctx, const struct target *target)
{
    const struct valuing *valuing = ctx;
    struct web_server server = server_of(valuing->serving, target);
    for (enum web_state state = 0; state < WEB_STATES; state++) {
        text_add(valuing->out, SPAN("limpet_server_state"));
        add_labels(valuing->out, target);
        text_addf(valuing->out, ",state=\"%s\"} %d\n", web_state_word(state),
                  server.state == state);
    }
}

static void add_sessions(void *ctx, const struct target *target)
{
    const struct valuing *valuing = ctx;
    int64_t by_transport[2];
    static const char *const names[2] = {"polling", "websocket"};
    if (target->server != NULL) {
        struct web_server server = server_of(valuing->serving, target);
        by_transport[0] = server.polling;
        by_transport[1] = server.websocket;
    } else {
        web_sessions_of(valuing->serving, target->backend, &by_transport[0], &by_transport[1]);
    }
    for (size_t i = 0; i < array_len(names); i++) {
        text_addf(valuing->out, "limpet_%s_sessions", kind_word(target->kind));
        add_labels(valuing->out, target);
        text_addf(valuing->out, ",transport=\"%s\"} %lld\n", names[i], (long long)by_transport[i]);
    }
}

static void add_values(struct serving *serving, struct text *out)
{
    struct valuing valuing = {serving, out, NULL};
    for (size_t i = 0; i < array_len(values); i++) {
        valuing.value = &values[i];
        add_head(out, kind_word(values[i].kind), values[i].name, values[i].type, values[i].help);
        each_target(serving, values[i].kind, add_value, &valuing);
    }
    add_head(out, "server", "state", "gauge", "the server's state, 1 for the one that it is in");
    each_target(serving, ON_SERVERS, add_state, &valuing);
    add_head(out, "backend", "sessions", "gauge", "Engine.IO sessions by transport");
    each_target(serving, ON_BACKENDS, add_sessions, &valuing);
    add_head(out, "server", "sessions", "gauge", "Engine.IO sessions by transport");
    each_target(serving, ON_SERVERS, add_sessions, &valuing);
}

/* ---- the process ---- */

static void add_one(struct text *out, const char *name, const char *type, const char *help,
                    double value)
{
    add_head(out, "", name, type, help);
    text_addf(out, "limpet_%s %.15g\n", name, value);
}

static void add_process(struct serving *serving, struct text *out)
{
    int64_t buffers = 0;
    for (unsigned i = 0; i < serving->worker_count; i++)
        buffers += (int64_t)atomic_load(&serving->workers[i].buffer_bytes);
    int idle = serving->samples != NULL ? serving->samples->idle_pct : 100;
    add_head(out, "", "build_info", "gauge", "1, with the version as a label");
    text_addf(out, "limpet_build_info{version=\"%s\"} 1\n", LIMPET_VERSION);
    add_one(out, "start_time_seconds", "gauge", "when the process began to serve",
            (double)serving->started_wall_ms / 1000);
    add_one(out, "workers", "gauge", "worker threads", serving->worker_count);
    add_one(out, "idle_ratio", "gauge", "share of time that the workers waited, last second",
            (double)idle / 100);
    add_one(out, "stopping", "gauge", "1 during a graceful stop", atomic_load(&serving->stopping));
    add_one(out, "client_connections", "gauge", "client connections open, all frontends",
            (double)atomic_load(&serving->client_connections));
    add_one(out, "client_connections_limit", "gauge", "client connections admitted at most",
            (double)serving->max_connections);
    add_one(out, "client_connections_total", "counter", "client connections accepted",
            (double)atomic_load(&serving->total_connections));
    add_one(out, "buffer_bytes", "gauge", "memory of the workers' buffers", (double)buffers);
    add_one(out, "log_lines_dropped_total", "counter",
            "log lines that could not be written in time", (double)log_dropped());
}

static void add_reloads(struct serving *serving, struct text *out)
{
    const struct reload_status none = {.loaded_wall_ms = serving->started_wall_ms};
    const struct reload_status *status = web_reload_status(serving);
    if (status == NULL)
        status = &none;
    add_one(out, "config_last_reload_successful", "gauge",
            "0 if the last reload was refused and nothing was changed", !status->last_failed);
    add_one(out, "config_loaded_timestamp_seconds", "gauge",
            "when the configuration in force was loaded", (double)status->loaded_wall_ms / 1000);
    add_one(out, "config_restart_pending", "gauge",
            "1 if the file has options that a restart would change", status->restart[0] != '\0');
    add_head(out, "", "config_reloads_total", "counter", "reloads by how they ended");
    text_addf(out, "limpet_config_reloads_total{result=\"done\"} %llu\n",
              (unsigned long long)status->done);
    text_addf(out, "limpet_config_reloads_total{result=\"refused\"} %llu\n",
              (unsigned long long)status->failed);
}

static void add_certificate(const struct secure_certificate *certificate, void *ctx)
{
    struct text *out = ctx;
    text_add(out, SPAN("limpet_certificate_expiry_timestamp_seconds{proxy=\""));
    web_add_label(out, span_str(certificate->owner));
    text_add(out, SPAN("\",file=\""));
    web_add_label(out, span_str(certificate->file));
    text_add(out, SPAN("\",name=\""));
    web_add_label(out, span_str(certificate->info.name));
    text_addf(out, "\"} %lld\n", (long long)certificate->info.expires_s);
}

static void add_certificates(const struct serving *serving, struct text *out)
{
    add_head(out, "", "certificate_expiry_timestamp_seconds", "gauge",
             "when a certificate ends that is shown to clients (or to servers)");
    secure_each(serving->snapshot, add_certificate, out);
}

static void add_failovers(struct serving *serving, struct text *out)
{
    const struct failovers *failovers = control_failovers(serving->control);
    struct failover_status status;
    add_head(out, "", "redis_failover", "gauge", "1 while a failover of this Redis master is on");
    for (size_t i = 0; failovers_status(failovers, i, &status); i++)
        text_addf(out, "limpet_redis_failover{master=\"%s\"} %d\n", status.master, status.running);
}

void web_metrics(struct serving *serving, struct text *out)
{
    add_process(serving, out);
    add_reloads(serving, out);
    add_certificates(serving, out);
    add_failovers(serving, out);
    add_values(serving, out);
    add_all_counters(serving, out);
    add_histograms(serving, out);
}
