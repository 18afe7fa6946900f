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
        return atomic_load(&row->frontend->home->connections);
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
        return greater(max, atomic_load(&row->frontend->home->connections_max));
    if (row->type == STATS_SERVER)
        return greater(max, atomic_load(&row->server->inflight_max));
    max = greater(max, row->sample.now_max);
    for (size_t i = 0; i < row->backend->server_count; i++)
        max = greater(max, atomic_load(&row->backend->servers[i]->inflight_max));
    return max;
}

/* A backend's limit is that of its servers together, when all have one. */
static int64_t sessions_limit(const struct stats_row *row)
{
    if (row->type == STATS_FRONTEND)
        return atomic_load(&row->frontend->home->max_connections);
    if (row->type == STATS_SERVER) {
        int limit = atomic_load(&row->server->max_connections);
        return limit > 0 ? limit : STATS_NOTHING;
    }
    int64_t limit = 0;
    for (size_t i = 0; i < row->backend->server_count; i++) {
        int one = atomic_load(&row->backend->servers[i]->max_connections);
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
        const struct server *server = backend->servers[i];
        if (server->config->opt.backup == backup && server_takes_sessions(backend, server))
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
        const struct server *server = row->backend->servers[i];
        if (server->config->opt.backup == backup && server_takes_sessions(row->backend, server))
            total += server_weight(server);
    }
    return total;
}

static int64_t weight_configured(const struct stats_row *row)
{
    if (row->type == STATS_SERVER)
        return atomic_load(&row->server->weight);
    int64_t total = 0;
    for (size_t i = 0; i < row->backend->server_count; i++) {
        const struct server *server = row->backend->servers[i];
        if (!server->config->opt.backup && server_takes_sessions(row->backend, server))
            total += atomic_load(&server->weight);
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
    int64_t full = (int64_t)atomic_load(&row->server->weight) * SERVER_WEIGHT_SCALE;
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
    const char *tags; /* see stats_typed.c */
    const char *help; /* NULL: the counter's */
    unsigned rows;    /* bits by type */
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
    {"pxname", "KNS:str", "name of the frontend or backend", F | B | S, TEXT(proxy_name)},
    {"svname", "KNS:str", "FRONTEND, BACKEND or the server's name", F | B | S, TEXT(service_name)},
    {"qcur", "MGP:u32", NULL, B | S, COUNTED(QUEUED_NOW)},
    {"qmax", "MMP:u32", "the most requests that waited at once", B | S, NUMBER(queue_max)},
    {"scur", "MGP:u32", "sessions now: client connections of a frontend, exchanges and tunnels of others", F | B | S, NUMBER(sessions_now)},
    {"smax", "MMP:u32", "the most of them at once", F | B | S, NUMBER(sessions_max)},
    {"slim", "CLP:u32", "their limit", F | B | S, NUMBER(sessions_limit)},
    {"stot", "MCP:u64", "how many there have been", F | B | S, NUMBER(sessions_total)},
    {"bin", "MCP:u64", NULL, F | B | S, COUNTED(BYTES_IN)},
    {"bout", "MCP:u64", NULL, F | B | S, COUNTED(BYTES_OUT)},
    {"dreq", "MCP:u64", NULL, F | B, COUNTED(REQUESTS_DENIED)},
    {"dresp", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_DENIED)},
    {"ereq", "MCP:u64", NULL, F, COUNTED(REQUESTS_BAD)},
    {"econ", "MCP:u64", NULL, B | S, COUNTED(CONNECT_ERRORS)},
    {"eresp", "MCP:u64", NULL, B | S, COUNTED(RESPONSE_ERRORS)},
    {"wretr", "MCP:u64", NULL, B | S, COUNTED(RETRIES)},
    {"wredis", "MCP:u64", NULL, B | S, COUNTED(REDISPATCHES)},
    {"status", "SGP:str", "OPEN or MAINT of a frontend, UP or DOWN of a backend; UP, DOWN, DRAIN, MAINT, NOLB, no check, UP n/m or DOWN n/m of a server", F | B | S, TEXT(stats_status)},
    {"weight", "MaP:u32", "weight that balance uses now; a backend's is that of its usable servers", B | S, NUMBER(weight)},
    {"act", "SGP:u32", "is no backup (server); usable servers that are none (backend)", B | S, NUMBER(active)},
    {"bck", "SGP:u32", "is a backup (server); usable ones (backend)", B | S, NUMBER(backup)},
    {"chkfail", "MCP:u64", "failed checks", S, NUMBER(stats_checks_failed)},
    {"chkdown", "MCP:u64", "times it went down", B | S, NUMBER(stats_downs)},
    {"lastchg", "MAP:u32", "seconds since its state changed", B | S, NUMBER(stats_last_change_s)},
    {"downtime", "MCP:u32", "seconds it was down, together", B | S, NUMBER(stats_downtime_s)},
    {"qlimit", "CLS:u32", "never there", NEVER},
    {"pid", "KGP:u32", "always 1", F | B | S, CONSTANT(1)},
    {"iid", "KGS:u32", "number of the frontend or backend", F | B | S, NUMBER(iid)},
    {"sid", "KGS:u32", "number of the server in its backend", F | B | S, NUMBER(sid)},
    {"throttle", "MGP:u32", "percent of its weight that a server has reached which grows to it", S, NUMBER(throttle)},
    {"lbtot", "MCP:u64", NULL, B | S, COUNTED(CHOSEN)},
    {"tracked", "CNS:str", "never there", NEVER},
    {"type", "CGS:u32", "0 frontend, 1 backend, 2 server", F | B | S, NUMBER(type)},
    {"rate", "MRP:u32", "sessions in the last second", F | B | S, NUMBER(rate)},
    {"rate_lim", "CLP:u32", "always 0", F, CONSTANT(0)},
    {"rate_max", "MMP:u32", "the most of them in a second", F | B | S, NUMBER(rate_max)},
    {"check_status", "MOP:str", "outcome of the last check, e.g. L4OK, L7STS", S, TEXT(stats_check_status)},
    {"check_code", "MOP:u32", "HTTP status of the last check", S, NUMBER(stats_check_code)},
    {"check_duration", "MDP:u64", "how long it took, ms", S, NUMBER(stats_check_duration)},
    {"hrsp_1xx", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_1XX)},
    {"hrsp_2xx", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_2XX)},
    {"hrsp_3xx", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_3XX)},
    {"hrsp_4xx", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_4XX)},
    {"hrsp_5xx", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_5XX)},
    {"hrsp_other", "MCP:u64", NULL, F | B | S, COUNTED(RESPONSES_OTHER)},
    {"hanafail", "MCP:u64", "never there", NEVER},
    {"req_rate", "MRP:u32", "requests in the last second", F, NUMBER(request_rate)},
    {"req_rate_max", "MMP:u32", "the most of them in a second", F, NUMBER(request_rate_max)},
    {"req_tot", "MCP:u64", "requests received; exchanges of a server", F | B | S, NUMBER(requests_total)},
    {"cli_abrt", "MCP:u64", NULL, B | S, COUNTED(CLIENT_ABORTS)},
    {"srv_abrt", "MCP:u64", NULL, B | S, COUNTED(SERVER_ABORTS)},
    {"comp_in", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"comp_out", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"comp_byp", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"comp_rsp", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"lastsess", "MAP:s32", "seconds since its last session, -1: none yet", B | S, NUMBER(last_session_s)},
    {"last_chk", "MOP:str", "what the last check said", S, TEXT(stats_check_detail)},
    {"last_agt", "MOP:str", "never there", NEVER},
    {"qtime", "MaP:u32", "mean time in the queue, ms", B | S, NUMBER(queue_time)},
    {"ctime", "MaP:u32", "mean time to connect, ms", B | S, NUMBER(connect_time)},
    {"rtime", "MaP:u32", "mean time to the response head, ms", B | S, NUMBER(response_time)},
    {"ttime", "MaP:u32", "mean time of whole exchanges, ms", B | S, NUMBER(total_time)},
    {"agent_status", "MOP:str", "never there", NEVER},
    {"agent_code", "MOP:u32", "never there", NEVER},
    {"agent_duration", "MDP:u64", "never there", NEVER},
    {"check_desc", "MOP:str", "check_status in words", S, TEXT(stats_check_text)},
    {"agent_desc", "MOP:str", "never there", NEVER},
    {"check_rise", "CGS:u32", "health.rise", S, NUMBER(stats_check_rise)},
    {"check_fall", "CGS:u32", "health.fall", S, NUMBER(stats_check_fall)},
    {"check_health", "CGS:u32", "below rise: good checks of a server that is down; from rise on: bad ones that it can stand", S, NUMBER(stats_check_health)},
    {"agent_rise", "CGS:u32", "never there", NEVER},
    {"agent_fall", "CGS:u32", "never there", NEVER},
    {"agent_health", "CGS:u32", "never there", NEVER},
    {"addr", "CGS:str", "address, for operators", S, TEXT(address)},
    {"cookie", "CNS:str", "the cookie's name, or the value that means this server, for operators", B | S, TEXT(cookie)},
    {"mode", "CGS:str", "always http", F | B | S, TEXT(mode)},
    {"algo", "CGS:str", "balance", B, TEXT(algorithm)},
    {"conn_rate", "MRP:u32", "client connections in the last second", F, NUMBER(rate)},
    {"conn_rate_max", "MMP:u32", "the most of them in a second", F, NUMBER(rate_max)},
    {"conn_tot", "MCP:u64", NULL, F, COUNTED(CONNS)},
    {"intercepted", "MCP:u64", NULL, F, COUNTED(OWN_ANSWERS)},
    {"dcon", "MCP:u64", NULL, F, COUNTED(CONNS_DENIED)},
    {"dses", "MCP:u64", "always 0", F, CONSTANT(0)},
    {"wrew", "MCP:u64", "always 0", F | B | S, CONSTANT(0)},
    {"connect", "MCP:u64", NULL, B | S, COUNTED(CONNECTS)},
    {"reuse", "MCP:u64", NULL, B | S, COUNTED(REUSES)},
    {"cache_lookups", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"cache_hits", "MCP:u64", "always 0", F | B, CONSTANT(0)},
    {"srv_icur", "MGP:u32", NULL, S, COUNTED(SERVER_CONNS_IDLE)},
    {"src_ilim", "CLS:u32", "never there", NEVER},
    {"qtime_max", "MMP:u32", "never there", NEVER},
    {"ctime_max", "MMP:u32", "never there", NEVER},
    {"rtime_max", "MMP:u32", "never there", NEVER},
    {"ttime_max", "MMP:u32", "never there", NEVER},
    {"eint", "MCP:u64", NULL, F | B | S, COUNTED(INTERNAL_ERRORS)},
    {"idle_conn_cur", "MGP:u32", NULL, S, COUNTED(SERVER_CONNS_IDLE)},
    {"safe_conn_cur", "MGP:u32", "always 0", S, CONSTANT(0)},
    {"used_conn_cur", "MGP:u32", NULL, S, COUNTED(SERVER_CONNS_USED)},
    {"need_conn_est", "MGP:u32", NULL, S, COUNTED(SERVER_CONNS_USED)},
    {"uweight", "MaP:u32", "weight configured, or set since; a backend's is that of its usable servers", B | S, NUMBER(weight_configured)},
    {"agg_server_status", "MGP:u32", "always 0", B, CONSTANT(0)},
    {"agg_server_check_status", "MGP:u32", "always 0", B, CONSTANT(0)},
    {"agg_check_status", "MGP:u32", "always 0", B, CONSTANT(0)},
    {"-", "KNS:str", "between HAProxy's columns and ours", F | B | S, TEXT(dash)},
    {"sio_sids", "MGP:u64", "Engine.IO sessions that live there", B | S, NUMBER(sids)},
    {"sio_polling", "MGP:u64", NULL, F | B | S, COUNTED(SIO_POLLING_NOW)},
    {"sio_websocket", "MGP:u64", NULL, F | B | S, COUNTED(SIO_WEBSOCKET_NOW)},
    {"sio_handshakes_tot", "MCP:u64", NULL, F | B | S, COUNTED(SIO_HANDSHAKES)},
    {"sio_upgrades_tot", "MCP:u64", NULL, F | B | S, COUNTED(SIO_UPGRADES)},
    {"sio_sid_miss_tot", "MCP:u64", NULL, F | B | S, COUNTED(SIO_SID_MISSES)},
    {"sio_dead_owner_tot", "MCP:u64", NULL, F | B | S, COUNTED(SIO_DEAD_OWNERS)},
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

/* Column number `i`, or, behind the table, counter `id`. */
struct stat_field {
    size_t pos;
    const char *name, *tags, *help;
    struct span value;
};

static void field_typed(const struct stats_row *row, const struct stat_field *field, bool described,
                        struct text *out)
{
    static const char letters[] = {
        [STATS_FRONTEND] = 'F', [STATS_BACKEND] = 'B', [STATS_SERVER] = 'S'};
    text_addf(out, "%c.%d.%lld.%zu.%s.1:%s:%.*s", letters[row->type], stats_iid(row),
              (long long)sid(row), field->pos, field->name, field->tags, SPAN_ARG(field->value));
    if (described)
        text_addf(out, ":\"%s\"", field->help);
    text_add(out, SPAN("\n"));
}

static void field_json(const struct stats_row *row, const struct stat_field *field, bool described,
                       struct text *out)
{
    static const char *const words[] = {
        [STATS_FRONTEND] = "Frontend", [STATS_BACKEND] = "Backend", [STATS_SERVER] = "Server"};
    text_addf(out,
              "%s{\"objType\":\"%s\",\"proxyId\":%d,\"id\":%lld,"
              "\"field\":{\"pos\":%zu,\"name\":\"%s\"},\"processNum\":1,",
              field->pos > 0 ? "," : "", words[row->type], stats_iid(row), (long long)sid(row),
              field->pos, field->name);
    stats_add_json_tags(field->tags, out);
    stats_add_json_value(field->tags, field->value, out);
    if (described)
        text_addf(out, ",\"desc\":\"%s\"", field->help);
    text_add(out, SPAN("}"));
}

static void field_add(const struct stats_row *row, const struct stat_field *field,
                      struct stats_format format, struct text *out)
{
    if (format.kind == STATS_PLAIN)
        text_addf(out, "%.*s,", SPAN_ARG(field->value));
    else if (field->value.len == 0)
        return;
    else if (format.kind == STATS_TYPED)
        field_typed(row, field, format.described, out);
    else
        field_json(row, field, format.described, out);
}

static const char *column_help(const struct column *column)
{
    return column->help != NULL ? column->help : counter_table[column->constant].help;
}

static const char *counter_tags(enum counter id)
{
    return counter_table[id].kind == COUNTER_GAUGE_KIND ? "MGP:u64" : "MCP:u64";
}

void stats_columns_row(const struct stats_row *row, struct stats_format format, struct text *out)
{
    struct text value = {0};
    size_t pos = 0;
    if (format.kind == STATS_JSON)
        text_add(out, SPAN("["));
    for (size_t i = 0; i < array_len(columns); i++, pos++) {
        const struct column *column = &columns[i];
        value.len = 0;
        column_value(column, row, &value);
        const struct stat_field field = {pos, column->name, column->tags, column_help(column),
                                         span_of(value.data, value.len)};
        field_add(row, &field, format, out);
    }
    for (enum counter id = 0; id < COUNTERS; id++) {
        if (!counter_follows(id))
            continue;
        value.len = 0;
        add_number(&value, sum(row, id));
        const struct stat_field field = {pos, counter_table[id].csv, counter_tags(id),
                                         counter_table[id].help, span_of(value.data, value.len)};
        field_add(row, &field, format, out);
        pos++;
    }
    out->failed = out->failed || value.failed;
    text_free(&value);
    if (format.kind != STATS_TYPED)
        text_add(out, format.kind == STATS_JSON ? SPAN("]") : SPAN("\n"));
}

void stats_columns_reference(FILE *out)
{
    fputs("| column | meaning |\n|---|---|\n", out);
    for (size_t i = 0; i < array_len(columns); i++)
        fprintf(out, "| `%s` | %s |\n", columns[i].name, column_help(&columns[i]));
    for (enum counter id = 0; id < COUNTERS; id++) {
        if (counter_follows(id))
            fprintf(out, "| `%s` | %s |\n", counter_table[id].csv, counter_table[id].help);
    }
}
