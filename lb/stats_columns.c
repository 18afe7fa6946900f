// SPDX-License-Identifier: Apache-2.0
/*
 * The columns of `show stat`, one table row each: name, on which kinds of rows it has a value, and
 * where the value comes from. First the static columns of HAProxy 2.6 in its order (tools count
 * them), then one called "-", then ours: those of the table, and every counter whose csv name
 * begins with sio_ and is not in the table yet.
 *
 * Meanings, where HAProxy's do not fit by themselves
 * - A session is a client connection on a frontend, and an exchange or tunnel on backends and
 * servers.
 * - qtime, ctime, rtime and ttime are averages over everything since the start, in ms; tunnels are
 *   not in them. We keep no maxima of times, so the *_max columns are empty.
 * - iid: even for frontends, odd for backends, by their order in the file. sid: the server's number
 *   in its sid table, which belongs to its name. So a reload that adds at the end changes none.
 */
#include "config/config.h"
#include "lb/stats_row.h"

#include <string.h>

/* ---- numbers ---- */

static int64_t sum(const struct stats_row *row, enum counter id)
{
    return stats_sum(row->serving, row->stat_id, id);
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t queue_max(const struct stats_row *row)
{
    return greater(sum(row, COUNTER_QUEUED_NOW), row->sample.queued_max);
}

static int64_t sessions_now(const struct stats_row *row)
{
    switch (row->type) {
    case STATS_FRONTEND:
        return atomic_load(&row->frontend->connections);
    case STATS_BACKEND:
        return sum(row, COUNTER_EXCHANGES_NOW);
    case STATS_SERVER:
        return atomic_load(&row->server->inflight);
    }
    return STATS_NOTHING;
}

/* A backend's is what a tick saw; but at least what its busiest server knows of itself. */
static int64_t sessions_max(const struct stats_row *row)
{
    int64_t max = sessions_now(row);
    if (row->type == STATS_FRONTEND)
        return greater(max, atomic_load(&row->frontend->connections_max));
    if (row->type == STATS_SERVER)
        return greater(max, atomic_load(&row->server->inflight_max));
    max = greater(max, row->sample.now_max);
    for (size_t i = 0; i < row->backend->server_count; i++)
        max = greater(max, atomic_load(&row->backend->servers[i].inflight_max));
    return max;
}

/* A backend's limit is that of its servers together, when all have one. */
static int64_t sessions_limit(const struct stats_row *row)
{
    if (row->type == STATS_FRONTEND)
        return row->frontend->config->opt.max_connections;
    if (row->type == STATS_SERVER) {
        int limit = atomic_load(&row->server->max_connections);
        return limit > 0 ? limit : STATS_NOTHING;
    }
    int64_t limit = 0;
    for (size_t i = 0; i < row->backend->server_count; i++) {
        int one = atomic_load(&row->backend->servers[i].max_connections);
        if (one <= 0)
            return STATS_NOTHING;
        limit += one;
    }
    return limit > 0 ? limit : STATS_NOTHING;
}

static int64_t sessions_total(const struct stats_row *row)
{
    return sum(row, row->type == STATS_FRONTEND ? COUNTER_CONNS : COUNTER_EXCHANGES);
}

/* A server is not known yet when a request's head is complete: its requests are its exchanges. */
static int64_t requests_total(const struct stats_row *row)
{
    return sum(row, row->type == STATS_SERVER ? COUNTER_EXCHANGES : COUNTER_REQUESTS);
}

static int64_t server_weight(const struct server *server)
{
    int scaled = atomic_load(&server->weight_now);
    return (scaled + SERVER_WEIGHT_SCALE - 1) / SERVER_WEIGHT_SCALE;
}

static int64_t usable_count(const struct backend *backend, bool backup)
{
    int64_t count = 0;
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct server *server = &backend->servers[i];
        if (server->config->opt.backup == backup && server_usable(server))
            count++;
    }
    return count;
}

/* A backend's weight is that of the servers that get new sessions: backups only without others. */
static int64_t weight(const struct stats_row *row)
{
    if (row->type == STATS_SERVER)
        return server_weight(row->server);
    bool backup = usable_count(row->backend, false) == 0;
    int64_t total = 0;
    for (size_t i = 0; i < row->backend->server_count; i++) {
        const struct server *server = &row->backend->servers[i];
        if (server->config->opt.backup == backup && server_usable(server))
            total += server_weight(server);
    }
    return total;
}

static int64_t weight_configured(const struct stats_row *row)
{
    if (row->type == STATS_SERVER)
        return row->server->config->opt.weight;
    int64_t total = 0;
    for (size_t i = 0; i < row->backend->server_count; i++) {
        const struct server *server = &row->backend->servers[i];
        if (!server->config->opt.backup && server_usable(server))
            total += server->config->opt.weight;
    }
    return total;
}

static int64_t active(const struct stats_row *row)
{
    if (row->type == STATS_SERVER)
        return !row->server->config->opt.backup;
    return usable_count(row->backend, false);
}

static int64_t backup(const struct stats_row *row)
{
    if (row->type == STATS_SERVER)
        return row->server->config->opt.backup;
    return usable_count(row->backend, true);
}

int stats_iid(const struct stats_row *row)
{
    return row->type == STATS_FRONTEND ? 2 * row->frontend->index + 2 : 2 * row->backend->index + 3;
}

static int64_t iid(const struct stats_row *row)
{
    return stats_iid(row);
}

static int64_t sid(const struct stats_row *row)
{
    return row->type == STATS_SERVER ? row->server->sid_id + 1 : 0;
}

/* Percent of its weight, while a server that came up grows to it. */
static int64_t throttle(const struct stats_row *row)
{
    int64_t full = row->server->config->opt.weight * SERVER_WEIGHT_SCALE;
    int64_t now = atomic_load(&row->server->weight_now);
    return now > 0 && now < full ? now * 100 / full : STATS_NOTHING;
}

static int64_t type(const struct stats_row *row)
{
    return row->type;
}

static int64_t rate(const struct stats_row *row)
{
    return row->sample.rate;
}

static int64_t rate_max(const struct stats_row *row)
{
    return row->sample.rate_max;
}

static int64_t request_rate(const struct stats_row *row)
{
    return row->sample.request_rate;
}

static int64_t request_rate_max(const struct stats_row *row)
{
    return row->sample.request_rate_max;
}

static int64_t last_session_s(const struct stats_row *row)
{
    int64_t last = row->sample.last_session_ms;
    return last > 0 ? (row->now_ms - last) / 1000 : -1;
}

static int64_t average_ms(const struct stats_row *row, enum counter total_us)
{
    int64_t count = sum(row, COUNTER_TIMED);
    return count > 0 ? sum(row, total_us) / count / 1000 : 0;
}

static int64_t queue_time(const struct stats_row *row)
{
    return average_ms(row, COUNTER_QUEUE_US);
}

static int64_t connect_time(const struct stats_row *row)
{
    return average_ms(row, COUNTER_CONNECT_US);
}

static int64_t response_time(const struct stats_row *row)
{
    return average_ms(row, COUNTER_RESPONSE_US);
}

static int64_t total_time(const struct stats_row *row)
{
    return average_ms(row, COUNTER_TOTAL_US);
}

static int64_t sids(const struct stats_row *row)
{
    const struct sidmap *map = row->backend->sids;
    if (map == NULL)
        return 0;
    if (row->type == STATS_BACKEND)
        return (int64_t)sidmap_used(map);
    return sidmap_sessions(map, row->server->sid_id);
}

/* ---- texts ---- */

static void proxy_name(const struct stats_row *row, struct text *out)
{
    const char *name = row->type == STATS_FRONTEND ? row->frontend->name : row->backend->name;
    text_add(out, span_str(name));
}

static void service_name(const struct stats_row *row, struct text *out)
{
    switch (row->type) {
    case STATS_FRONTEND:
        text_add(out, SPAN("FRONTEND"));
        return;
    case STATS_BACKEND:
        text_add(out, SPAN("BACKEND"));
        return;
    case STATS_SERVER:
        text_add(out, span_str(row->server->name));
        return;
    }
}

static void address(const struct stats_row *row, struct text *out)
{
    if (!row->addresses)
        return;
    char shown[ADDR_TEXT_MAX];
    if (row->server->addr_known)
        stats_add_plain(out, span_str(addr_format(&row->server->addr, shown)));
    else
        stats_add_plain(out, span_str(row->server->config->opt.address));
}

/* The cookie's name, and the value that means this server where we choose it. */
static void cookie(const struct stats_row *row, struct text *out)
{
    const struct backend_options *opt = &row->backend->config->opt;
    bool used = false;
    for (size_t i = 0; i < opt->sticky_count; i++)
        used = used || opt->sticky[i] == STICKY_COOKIE;
    if (!used || !row->addresses)
        return;
    if (row->type == STATS_BACKEND)
        stats_add_plain(out, span_str(opt->cookie_name));
    else if (opt->cookie_mode != COOKIE_LEARN)
        text_add(out, span_str(row->server->name));
}

static void mode(const struct stats_row *row, struct text *out)
{
    (void)row;
    text_add(out, SPAN("http"));
}

static void algorithm(const struct stats_row *row, struct text *out)
{
    text_add(out, span_str(config_word("balance_kind", (int)row->backend->config->opt.balance)));
}

static void dash(const struct stats_row *row, struct text *out)
{
    (void)row;
    text_add(out, SPAN("-"));
}

/* ---- the table ---- */

enum column_source { SOURCE_NOTHING, SOURCE_CONSTANT, SOURCE_COUNTER, SOURCE_NUMBER, SOURCE_TEXT };

struct column {
    const char *name;
    unsigned rows; /* bits by type */
    enum column_source source;
    int constant; /* or enum counter */
    int64_t (*number)(const struct stats_row *row);
    void (*text)(const struct stats_row *row, struct text *out);
};

// clang-format off
#define F (1u << STATS_FRONTEND)
#define B (1u << STATS_BACKEND)
#define S (1u << STATS_SERVER)
#define NEVER        0, SOURCE_NOTHING, 0, NULL, NULL
#define CONSTANT(n)  SOURCE_CONSTANT, n, NULL, NULL
#define COUNTED(id)  SOURCE_COUNTER, COUNTER_##id, NULL, NULL
#define NUMBER(fn)   SOURCE_NUMBER, 0, fn, NULL
#define TEXT(fn)     SOURCE_TEXT, 0, NULL, fn

static const struct column columns[] = {
    {"pxname", F | B | S, TEXT(proxy_name)},
    {"svname", F | B | S, TEXT(service_name)},
    {"qcur", B | S, COUNTED(QUEUED_NOW)},
    {"qmax", B | S, NUMBER(queue_max)},
    {"scur", F | B | S, NUMBER(sessions_now)},
    {"smax", F | B | S, NUMBER(sessions_max)},
    {"slim", F | B | S, NUMBER(sessions_limit)},
    {"stot", F | B | S, NUMBER(sessions_total)},
    {"bin", F | B | S, COUNTED(BYTES_IN)},
    {"bout", F | B | S, COUNTED(BYTES_OUT)},
    {"dreq", F | B, COUNTED(REQUESTS_DENIED)},
    {"dresp", F | B | S, COUNTED(RESPONSES_DENIED)},
    {"ereq", F, COUNTED(REQUESTS_BAD)},
    {"econ", B | S, COUNTED(CONNECT_ERRORS)},
    {"eresp", B | S, COUNTED(RESPONSE_ERRORS)},
    {"wretr", B | S, COUNTED(RETRIES)},
    {"wredis", B | S, COUNTED(REDISPATCHES)},
    {"status", F | B | S, TEXT(stats_status)},
    {"weight", B | S, NUMBER(weight)},
    {"act", B | S, NUMBER(active)},
    {"bck", B | S, NUMBER(backup)},
    {"chkfail", S, NUMBER(stats_checks_failed)},
    {"chkdown", B | S, NUMBER(stats_downs)},
    {"lastchg", B | S, NUMBER(stats_last_change_s)},
    {"downtime", B | S, NUMBER(stats_downtime_s)},
    {"qlimit", NEVER},
    {"pid", F | B | S, CONSTANT(1)},
    {"iid", F | B | S, NUMBER(iid)},
    {"sid", F | B | S, NUMBER(sid)},
    {"throttle", S, NUMBER(throttle)},
    {"lbtot", B | S, COUNTED(CHOSEN)},
    {"tracked", NEVER},
    {"type", F | B | S, NUMBER(type)},
    {"rate", F | B | S, NUMBER(rate)},
    {"rate_lim", F, CONSTANT(0)},
    {"rate_max", F | B | S, NUMBER(rate_max)},
    {"check_status", S, TEXT(stats_check_status)},
    {"check_code", S, NUMBER(stats_check_code)},
    {"check_duration", S, NUMBER(stats_check_duration)},
    {"hrsp_1xx", F | B | S, COUNTED(RESPONSES_1XX)},
    {"hrsp_2xx", F | B | S, COUNTED(RESPONSES_2XX)},
    {"hrsp_3xx", F | B | S, COUNTED(RESPONSES_3XX)},
    {"hrsp_4xx", F | B | S, COUNTED(RESPONSES_4XX)},
    {"hrsp_5xx", F | B | S, COUNTED(RESPONSES_5XX)},
    {"hrsp_other", F | B | S, COUNTED(RESPONSES_OTHER)},
    {"hanafail", NEVER},
    {"req_rate", F, NUMBER(request_rate)},
    {"req_rate_max", F, NUMBER(request_rate_max)},
    {"req_tot", F | B | S, NUMBER(requests_total)},
    {"cli_abrt", B | S, COUNTED(CLIENT_ABORTS)},
    {"srv_abrt", B | S, COUNTED(SERVER_ABORTS)},
    {"comp_in", F | B, CONSTANT(0)},
    {"comp_out", F | B, CONSTANT(0)},
    {"comp_byp", F | B, CONSTANT(0)},
    {"comp_rsp", F | B, CONSTANT(0)},
    {"lastsess", B | S, NUMBER(last_session_s)},
    {"last_chk", S, TEXT(stats_check_detail)},
    {"last_agt", NEVER},
    {"qtime", B | S, NUMBER(queue_time)},
    {"ctime", B | S, NUMBER(connect_time)},
    {"rtime", B | S, NUMBER(response_time)},
    {"ttime", B | S, NUMBER(total_time)},
    {"agent_status", NEVER},
    {"agent_code", NEVER},
    {"agent_duration", NEVER},
    {"check_desc", S, TEXT(stats_check_text)},
    {"agent_desc", NEVER},
    {"check_rise", S, NUMBER(stats_check_rise)},
    {"check_fall", S, NUMBER(stats_check_fall)},
    {"check_health", S, NUMBER(stats_check_health)},
    {"agent_rise", NEVER},
    {"agent_fall", NEVER},
    {"agent_health", NEVER},
    {"addr", S, TEXT(address)},
    {"cookie", B | S, TEXT(cookie)},
    {"mode", F | B | S, TEXT(mode)},
    {"algo", B, TEXT(algorithm)},
    {"conn_rate", F, NUMBER(rate)},
    {"conn_rate_max", F, NUMBER(rate_max)},
    {"conn_tot", F, COUNTED(CONNS)},
    {"intercepted", F, COUNTED(OWN_ANSWERS)},
    {"dcon", F, COUNTED(CONNS_DENIED)},
    {"dses", F, CONSTANT(0)},
    {"wrew", F | B | S, CONSTANT(0)},
    {"connect", B | S, COUNTED(CONNECTS)},
    {"reuse", B | S, COUNTED(REUSES)},
    {"cache_lookups", F | B, CONSTANT(0)},
    {"cache_hits", F | B, CONSTANT(0)},
    {"srv_icur", S, COUNTED(SERVER_CONNS_IDLE)},
    {"src_ilim", NEVER},
    {"qtime_max", NEVER},
    {"ctime_max", NEVER},
    {"rtime_max", NEVER},
    {"ttime_max", NEVER},
    {"eint", F | B | S, COUNTED(INTERNAL_ERRORS)},
    {"idle_conn_cur", S, COUNTED(SERVER_CONNS_IDLE)},
    {"safe_conn_cur", S, CONSTANT(0)},
    {"used_conn_cur", S, COUNTED(SERVER_CONNS_USED)},
    {"need_conn_est", S, COUNTED(SERVER_CONNS_USED)},
    {"uweight", B | S, NUMBER(weight_configured)},
    {"agg_server_status", B, CONSTANT(0)},
    {"agg_server_check_status", B, CONSTANT(0)},
    {"agg_check_status", B, CONSTANT(0)},
    {"-", F | B | S, TEXT(dash)},
    {"sio_sids", B | S, NUMBER(sids)},
    {"sio_polling", F | B | S, COUNTED(SIO_POLLING_NOW)},
    {"sio_websocket", F | B | S, COUNTED(SIO_WEBSOCKET_NOW)},
    {"sio_handshakes_tot", F | B | S, COUNTED(SIO_HANDSHAKES)},
    {"sio_upgrades_tot", F | B | S, COUNTED(SIO_UPGRADES)},
    {"sio_sid_miss_tot", F | B | S, COUNTED(SIO_SID_MISSES)},
    {"sio_dead_owner_tot", F | B | S, COUNTED(SIO_DEAD_OWNERS)},
};
// clang-format on

/* Is it a counter of ours that the table does not name? */
static bool counter_follows(enum counter id)
{
    const char *name = counter_table[id].csv;
    if (strncmp(name, "sio_", 4) != 0)
        return false;
    for (size_t i = 0; i < array_len(columns); i++) {
        if (strcmp(columns[i].name, name) == 0)
            return false;
    }
    return true;
}

static void add_number(struct text *out, int64_t value)
{
    if (value != STATS_NOTHING)
        text_addf(out, "%lld", (long long)value);
}

void stats_add_plain(struct text *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        bool plain = c >= 0x20 && c < 0x7f && c != ',' && c != '"';
        text_add(out, plain ? span_of(bytes.ptr + i, 1) : SPAN(" "));
    }
}

void stats_columns_head(struct text *out)
{
    text_add(out, SPAN("# "));
    for (size_t i = 0; i < array_len(columns); i++)
        text_addf(out, "%s,", columns[i].name);
    for (enum counter id = 0; id < COUNTERS; id++) {
        if (counter_follows(id))
            text_addf(out, "%s,", counter_table[id].csv);
    }
    text_add(out, SPAN("\n"));
}

static void column_value(const struct column *column, const struct stats_row *row, struct text *out)
{
    if (!(column->rows & 1u << row->type))
        return;
    switch (column->source) {
    case SOURCE_NOTHING:
        return;
    case SOURCE_CONSTANT:
        add_number(out, column->constant);
        return;
    case SOURCE_COUNTER:
        add_number(out, sum(row, (enum counter)column->constant));
        return;
    case SOURCE_NUMBER:
        add_number(out, column->number(row));
        return;
    case SOURCE_TEXT:
        column->text(row, out);
        return;
    }
}

void stats_columns_row(const struct stats_row *row, struct text *out)
{
    for (size_t i = 0; i < array_len(columns); i++) {
        column_value(&columns[i], row, out);
        text_add(out, SPAN(","));
    }
    for (enum counter id = 0; id < COUNTERS; id++) {
        if (!counter_follows(id))
            continue;
        add_number(out, sum(row, id));
        text_add(out, SPAN(","));
    }
    text_add(out, SPAN("\n"));
}
