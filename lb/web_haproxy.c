// SPDX-License-Identifier: Apache-2.0
/*
 * `/metrics/haproxy`: the families of HAProxy 2.6's built-in exporter, with its labels, so that its
 * dashboards and integrations work. One table row per family: where its value comes from, a column
 * of `show stat` or a key of `show info`. What we have no value for has no samples.
 *
 * haproxy_process_failed_resolutions is left out: promtool refuses a counter without _total.
 */
#include "lb/web_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum scope { PROCESS, FRONTEND, BACKEND, SERVER };
enum family_type { GAUGE, COUNTER };
enum source {
    PLAIN,
    MILLISECONDS,     /* shown as seconds */
    BUILD,            /* 1, with the version as label */
    STATUS,           /* a sample per state, 1 for the one it is in */
    CHECK,            /* the same of check states */
    RESPONSES,        /* a sample per class of status codes */
    AGGREGATE_STATUS, /* of a backend: how many servers are in each state */
    AGGREGATE_CHECK,
};

// clang-format off
static const struct family {
    enum scope scope;
    enum family_type type;
    const char *name;
    const char *from; /* column, key, or the beginning of columns; NULL: always 0 */
    enum source source;
} families[] = {
    {PROCESS, GAUGE, "nbthread", "Nbthread", PLAIN},
    {PROCESS, GAUGE, "nbproc", "Nbproc", PLAIN},
    {PROCESS, GAUGE, "relative_process_id", "Process_num", PLAIN},
    {PROCESS, GAUGE, "uptime_seconds", "Uptime_sec", PLAIN},
    {PROCESS, COUNTER, "pool_failures_total", "PoolFailed", PLAIN},
    {PROCESS, GAUGE, "max_fds", "Ulimit-n", PLAIN},
    {PROCESS, GAUGE, "max_sockets", "Maxsock", PLAIN},
    {PROCESS, GAUGE, "max_connections", "Maxconn", PLAIN},
    {PROCESS, GAUGE, "hard_max_connections", "Hard_maxconn", PLAIN},
    {PROCESS, GAUGE, "current_connections", "CurrConns", PLAIN},
    {PROCESS, COUNTER, "connections_total", "CumConns", PLAIN},
    {PROCESS, COUNTER, "requests_total", "CumReq", PLAIN},
    {PROCESS, GAUGE, "max_ssl_connections", "MaxSslConns", PLAIN},
    {PROCESS, GAUGE, "current_ssl_connections", "CurrSslConns", PLAIN},
    {PROCESS, COUNTER, "ssl_connections_total", "CumSslConns", PLAIN},
    {PROCESS, GAUGE, "max_pipes", "Maxpipes", PLAIN},
    {PROCESS, COUNTER, "pipes_used_total", "PipesUsed", PLAIN},
    {PROCESS, COUNTER, "pipes_free_total", "PipesFree", PLAIN},
    {PROCESS, GAUGE, "current_connection_rate", "ConnRate", PLAIN},
    {PROCESS, GAUGE, "limit_connection_rate", "ConnRateLimit", PLAIN},
    {PROCESS, GAUGE, "max_connection_rate", "MaxConnRate", PLAIN},
    {PROCESS, GAUGE, "current_session_rate", "SessRate", PLAIN},
    {PROCESS, GAUGE, "limit_session_rate", "SessRateLimit", PLAIN},
    {PROCESS, GAUGE, "max_session_rate", "MaxSessRate", PLAIN},
    {PROCESS, GAUGE, "current_ssl_rate", "SslRate", PLAIN},
    {PROCESS, GAUGE, "limit_ssl_rate", "SslRateLimit", PLAIN},
    {PROCESS, GAUGE, "max_ssl_rate", "MaxSslRate", PLAIN},
    {PROCESS, GAUGE, "current_frontend_ssl_key_rate", "SslFrontendKeyRate", PLAIN},
    {PROCESS, GAUGE, "max_frontend_ssl_key_rate", "SslFrontendMaxKeyRate", PLAIN},
    {PROCESS, GAUGE, "frontend_ssl_reuse", "SslFrontendSessionReuse_pct", PLAIN},
    {PROCESS, GAUGE, "current_backend_ssl_key_rate", "SslBackendKeyRate", PLAIN},
    {PROCESS, GAUGE, "max_backend_ssl_key_rate", "SslBackendMaxKeyRate", PLAIN},
    {PROCESS, COUNTER, "ssl_cache_lookups_total", "SslCacheLookups", PLAIN},
    {PROCESS, COUNTER, "ssl_cache_misses_total", "SslCacheMisses", PLAIN},
    {PROCESS, COUNTER, "http_comp_bytes_in_total", "CompressBpsIn", PLAIN},
    {PROCESS, COUNTER, "http_comp_bytes_out_total", "CompressBpsOut", PLAIN},
    {PROCESS, GAUGE, "limit_http_comp", "CompressBpsRateLim", PLAIN},
    {PROCESS, GAUGE, "current_zlib_memory", NULL, PLAIN},
    {PROCESS, GAUGE, "max_zlib_memory", NULL, PLAIN},
    {PROCESS, GAUGE, "current_tasks", "Tasks", PLAIN},
    {PROCESS, GAUGE, "current_run_queue", "Run_queue", PLAIN},
    {PROCESS, GAUGE, "idle_time_percent", "Idle_pct", PLAIN},
    {PROCESS, GAUGE, "stopping", "Stopping", PLAIN},
    {PROCESS, GAUGE, "jobs", "Jobs", PLAIN},
    {PROCESS, GAUGE, "unstoppable_jobs", "Unstoppable Jobs", PLAIN},
    {PROCESS, GAUGE, "listeners", "Listeners", PLAIN},
    {PROCESS, GAUGE, "active_peers", "ActivePeers", PLAIN},
    {PROCESS, GAUGE, "connected_peers", "ConnectedPeers", PLAIN},
    {PROCESS, COUNTER, "dropped_logs_total", "DroppedLogs", PLAIN},
    {PROCESS, GAUGE, "busy_polling_enabled", "BusyPolling", PLAIN},
    {PROCESS, COUNTER, "bytes_out_total", "TotalBytesOut", PLAIN},
    {PROCESS, COUNTER, "spliced_bytes_out_total", "TotalSplicdedBytesOut", PLAIN},
    {PROCESS, GAUGE, "bytes_out_rate", "BytesOutRate", PLAIN},
    {PROCESS, COUNTER, "recv_logs_total", "CumRecvLogs", PLAIN},
    {PROCESS, GAUGE, "build_info", NULL, BUILD},
    {PROCESS, GAUGE, "max_memory_bytes", "Memmax_bytes", PLAIN},
    {PROCESS, GAUGE, "pool_allocated_bytes", "PoolAlloc_bytes", PLAIN},
    {PROCESS, GAUGE, "pool_used_bytes", "PoolUsed_bytes", PLAIN},
    {PROCESS, GAUGE, "start_time_seconds", "Start_time_sec", PLAIN},
    {FRONTEND, GAUGE, "current_sessions", "scur", PLAIN},
    {FRONTEND, GAUGE, "max_sessions", "smax", PLAIN},
    {FRONTEND, GAUGE, "limit_sessions", "slim", PLAIN},
    {FRONTEND, COUNTER, "sessions_total", "stot", PLAIN},
    {FRONTEND, COUNTER, "bytes_in_total", "bin", PLAIN},
    {FRONTEND, COUNTER, "bytes_out_total", "bout", PLAIN},
    {FRONTEND, COUNTER, "requests_denied_total", "dreq", PLAIN},
    {FRONTEND, COUNTER, "responses_denied_total", "dresp", PLAIN},
    {FRONTEND, COUNTER, "request_errors_total", "ereq", PLAIN},
    {FRONTEND, GAUGE, "status", "status", STATUS},
    {FRONTEND, GAUGE, "limit_session_rate", "rate_lim", PLAIN},
    {FRONTEND, GAUGE, "max_session_rate", "rate_max", PLAIN},
    {FRONTEND, COUNTER, "http_responses_total", "hrsp_", RESPONSES},
    {FRONTEND, GAUGE, "http_requests_rate_max", "req_rate_max", PLAIN},
    {FRONTEND, COUNTER, "http_requests_total", "req_tot", PLAIN},
    {FRONTEND, COUNTER, "http_comp_bytes_in_total", "comp_in", PLAIN},
    {FRONTEND, COUNTER, "http_comp_bytes_out_total", "comp_out", PLAIN},
    {FRONTEND, COUNTER, "http_comp_bytes_bypassed_total", "comp_byp", PLAIN},
    {FRONTEND, COUNTER, "http_comp_responses_total", "comp_rsp", PLAIN},
    {FRONTEND, GAUGE, "connections_rate_max", "conn_rate_max", PLAIN},
    {FRONTEND, COUNTER, "connections_total", "conn_tot", PLAIN},
    {FRONTEND, COUNTER, "intercepted_requests_total", "intercepted", PLAIN},
    {FRONTEND, COUNTER, "denied_connections_total", "dcon", PLAIN},
    {FRONTEND, COUNTER, "denied_sessions_total", "dses", PLAIN},
    {FRONTEND, COUNTER, "failed_header_rewriting_total", "wrew", PLAIN},
    {FRONTEND, COUNTER, "http_cache_lookups_total", "cache_lookups", PLAIN},
    {FRONTEND, COUNTER, "http_cache_hits_total", "cache_hits", PLAIN},
    {FRONTEND, COUNTER, "internal_errors_total", "eint", PLAIN},
    {BACKEND, GAUGE, "current_queue", "qcur", PLAIN},
    {BACKEND, GAUGE, "max_queue", "qmax", PLAIN},
    {BACKEND, GAUGE, "current_sessions", "scur", PLAIN},
    {BACKEND, GAUGE, "max_sessions", "smax", PLAIN},
    {BACKEND, GAUGE, "limit_sessions", "slim", PLAIN},
    {BACKEND, COUNTER, "sessions_total", "stot", PLAIN},
    {BACKEND, COUNTER, "bytes_in_total", "bin", PLAIN},
    {BACKEND, COUNTER, "bytes_out_total", "bout", PLAIN},
    {BACKEND, COUNTER, "requests_denied_total", "dreq", PLAIN},
    {BACKEND, COUNTER, "responses_denied_total", "dresp", PLAIN},
    {BACKEND, COUNTER, "connection_errors_total", "econ", PLAIN},
    {BACKEND, COUNTER, "response_errors_total", "eresp", PLAIN},
    {BACKEND, COUNTER, "retry_warnings_total", "wretr", PLAIN},
    {BACKEND, COUNTER, "redispatch_warnings_total", "wredis", PLAIN},
    {BACKEND, GAUGE, "status", "status", STATUS},
    {BACKEND, GAUGE, "weight", "weight", PLAIN},
    {BACKEND, GAUGE, "active_servers", "act", PLAIN},
    {BACKEND, GAUGE, "backup_servers", "bck", PLAIN},
    {BACKEND, COUNTER, "check_up_down_total", "chkdown", PLAIN},
    {BACKEND, GAUGE, "check_last_change_seconds", "lastchg", PLAIN},
    {BACKEND, COUNTER, "downtime_seconds_total", "downtime", PLAIN},
    {BACKEND, COUNTER, "loadbalanced_total", "lbtot", PLAIN},
    {BACKEND, GAUGE, "max_session_rate", "rate_max", PLAIN},
    {BACKEND, COUNTER, "http_responses_total", "hrsp_", RESPONSES},
    {BACKEND, COUNTER, "http_requests_total", "req_tot", PLAIN},
    {BACKEND, COUNTER, "client_aborts_total", "cli_abrt", PLAIN},
    {BACKEND, COUNTER, "server_aborts_total", "srv_abrt", PLAIN},
    {BACKEND, COUNTER, "http_comp_bytes_in_total", "comp_in", PLAIN},
    {BACKEND, COUNTER, "http_comp_bytes_out_total", "comp_out", PLAIN},
    {BACKEND, COUNTER, "http_comp_bytes_bypassed_total", "comp_byp", PLAIN},
    {BACKEND, COUNTER, "http_comp_responses_total", "comp_rsp", PLAIN},
    {BACKEND, GAUGE, "last_session_seconds", "lastsess", PLAIN},
    {BACKEND, GAUGE, "queue_time_average_seconds", "qtime", MILLISECONDS},
    {BACKEND, GAUGE, "connect_time_average_seconds", "ctime", MILLISECONDS},
    {BACKEND, GAUGE, "response_time_average_seconds", "rtime", MILLISECONDS},
    {BACKEND, GAUGE, "total_time_average_seconds", "ttime", MILLISECONDS},
    {BACKEND, COUNTER, "failed_header_rewriting_total", "wrew", PLAIN},
    {BACKEND, COUNTER, "connection_attempts_total", "connect", PLAIN},
    {BACKEND, COUNTER, "connection_reuses_total", "reuse", PLAIN},
    {BACKEND, COUNTER, "http_cache_lookups_total", "cache_lookups", PLAIN},
    {BACKEND, COUNTER, "http_cache_hits_total", "cache_hits", PLAIN},
    {BACKEND, GAUGE, "max_queue_time_seconds", "qtime_max", MILLISECONDS},
    {BACKEND, GAUGE, "max_connect_time_seconds", "ctime_max", MILLISECONDS},
    {BACKEND, GAUGE, "max_response_time_seconds", "rtime_max", MILLISECONDS},
    {BACKEND, GAUGE, "max_total_time_seconds", "ttime_max", MILLISECONDS},
    {BACKEND, COUNTER, "internal_errors_total", "eint", PLAIN},
    {BACKEND, GAUGE, "uweight", "uweight", PLAIN},
    {BACKEND, GAUGE, "agg_server_status", "status", AGGREGATE_STATUS},
    {BACKEND, GAUGE, "agg_server_check_status", "check_status", AGGREGATE_CHECK},
    {BACKEND, GAUGE, "agg_check_status", "check_status", AGGREGATE_CHECK},
    {SERVER, GAUGE, "current_queue", "qcur", PLAIN},
    {SERVER, GAUGE, "max_queue", "qmax", PLAIN},
    {SERVER, GAUGE, "current_sessions", "scur", PLAIN},
    {SERVER, GAUGE, "max_sessions", "smax", PLAIN},
    {SERVER, GAUGE, "limit_sessions", "slim", PLAIN},
    {SERVER, COUNTER, "sessions_total", "stot", PLAIN},
    {SERVER, COUNTER, "bytes_in_total", "bin", PLAIN},
    {SERVER, COUNTER, "bytes_out_total", "bout", PLAIN},
    {SERVER, COUNTER, "responses_denied_total", "dresp", PLAIN},
    {SERVER, COUNTER, "connection_errors_total", "econ", PLAIN},
    {SERVER, COUNTER, "response_errors_total", "eresp", PLAIN},
    {SERVER, COUNTER, "retry_warnings_total", "wretr", PLAIN},
    {SERVER, COUNTER, "redispatch_warnings_total", "wredis", PLAIN},
    {SERVER, GAUGE, "status", "status", STATUS},
    {SERVER, GAUGE, "weight", "weight", PLAIN},
    {SERVER, COUNTER, "check_failures_total", "chkfail", PLAIN},
    {SERVER, COUNTER, "check_up_down_total", "chkdown", PLAIN},
    {SERVER, GAUGE, "check_last_change_seconds", "lastchg", PLAIN},
    {SERVER, COUNTER, "downtime_seconds_total", "downtime", PLAIN},
    {SERVER, GAUGE, "queue_limit", "qlimit", PLAIN},
    {SERVER, GAUGE, "current_throttle", "throttle", PLAIN},
    {SERVER, COUNTER, "loadbalanced_total", "lbtot", PLAIN},
    {SERVER, GAUGE, "max_session_rate", "rate_max", PLAIN},
    {SERVER, GAUGE, "check_status", "check_status", CHECK},
    {SERVER, GAUGE, "check_code", "check_code", PLAIN},
    {SERVER, GAUGE, "check_duration_seconds", "check_duration", MILLISECONDS},
    {SERVER, COUNTER, "http_responses_total", "hrsp_", RESPONSES},
    {SERVER, COUNTER, "client_aborts_total", "cli_abrt", PLAIN},
    {SERVER, COUNTER, "server_aborts_total", "srv_abrt", PLAIN},
    {SERVER, GAUGE, "last_session_seconds", "lastsess", PLAIN},
    {SERVER, GAUGE, "queue_time_average_seconds", "qtime", MILLISECONDS},
    {SERVER, GAUGE, "connect_time_average_seconds", "ctime", MILLISECONDS},
    {SERVER, GAUGE, "response_time_average_seconds", "rtime", MILLISECONDS},
    {SERVER, GAUGE, "total_time_average_seconds", "ttime", MILLISECONDS},
    {SERVER, COUNTER, "failed_header_rewriting_total", "wrew", PLAIN},
    {SERVER, COUNTER, "connection_attempts_total", "connect", PLAIN},
    {SERVER, COUNTER, "connection_reuses_total", "reuse", PLAIN},
    {SERVER, GAUGE, "idle_connections_current", "srv_icur", PLAIN},
    {SERVER, GAUGE, "idle_connections_limit", "src_ilim", PLAIN},
    {SERVER, GAUGE, "max_queue_time_seconds", "qtime_max", MILLISECONDS},
    {SERVER, GAUGE, "max_connect_time_seconds", "ctime_max", MILLISECONDS},
    {SERVER, GAUGE, "max_response_time_seconds", "rtime_max", MILLISECONDS},
    {SERVER, GAUGE, "max_total_time_seconds", "ttime_max", MILLISECONDS},
    {SERVER, COUNTER, "internal_errors_total", "eint", PLAIN},
    {SERVER, GAUGE, "unsafe_idle_connections_current", "idle_conn_cur", PLAIN},
    {SERVER, GAUGE, "safe_idle_connections_current", "safe_conn_cur", PLAIN},
    {SERVER, GAUGE, "used_connections_current", "used_conn_cur", PLAIN},
    {SERVER, GAUGE, "need_connections_current", "need_conn_est", PLAIN},
    {SERVER, GAUGE, "uweight", "uweight", PLAIN},
};
// clang-format on

static const char *const scope_words[] = {"process", "frontend", "backend", "server"};
static const char *const server_states[] = {"DOWN", "UP", "MAINT", "DRAIN", "NOLB"};
static const char *const check_states[] = {
    "HANA",   "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK",    "L6TOUT",   "L6RSP",
    "L7TOUT", "L7RSP",   "L7OK", "L7OKC",  "L7STS", "PROCERR", "PROCTOUT", "PROCOK"};
static const char *const codes[] = {"1xx", "2xx", "3xx", "4xx", "5xx", "other"};

struct page {
    struct text *out;
    struct web_table table;
    struct text info; /* `show info` */
    size_t pxname, svname, type;
};

/* ---- values ---- */

/* The value of a key of `show info`; empty: no such key. */
static struct span info_value(const struct page *page, const char *key)
{
    struct span rest = span_of(page->info.data, page->info.len);
    while (rest.ptr != NULL) {
        struct span line = span_cut(&rest, '\n');
        struct span name = span_cut(&line, ':');
        if (key != NULL && span_eq(name, span_str(key)))
            return span_trim(line);
    }
    return SPAN_NONE;
}

static enum scope row_scope(const struct page *page, size_t row)
{
    struct span type = web_table_cell(&page->table, row, page->type);
    if (span_eq(type, SPAN("0")))
        return FRONTEND;
    return span_eq(type, SPAN("1")) ? BACKEND : SERVER;
}

/* "UP 1/2" is UP, so are OPEN and "no check". */
static bool is_state(struct span status, const char *state)
{
    if (strcmp(state, "UP") == 0 &&
        (span_eq(status, SPAN("OPEN")) || span_eq(status, SPAN("no check"))))
        return true;
    if (strcmp(state, "DOWN") == 0 && span_eq(status, SPAN("STOP")))
        return true;
    return span_starts(status, span_str(state));
}

/* ---- samples ---- */

static void add_name(const struct page *page, const struct family *family, size_t row)
{
    struct text *out = page->out;
    text_addf(out, "haproxy_%s_%s{proxy=\"", scope_words[family->scope], family->name);
    web_add_label(out, web_table_cell(&page->table, row, page->pxname));
    if (family->scope == SERVER) {
        text_add(out, SPAN("\",server=\""));
        web_add_label(out, web_table_cell(&page->table, row, page->svname));
    }
    text_add(out, SPAN("\""));
}

static void add_sample(const struct page *page, const struct family *family, size_t row,
                       const char *label, const char *value, long long number)
{
    add_name(page, family, row);
    text_addf(page->out, ",%s=\"%s\"} %lld\n", label, value, number);
}

static void add_plain(const struct page *page, const struct family *family, size_t row,
                      struct span value)
{
    char text[32];
    if (value.len == 0)
        return;
    add_name(page, family, row);
    if (family->source == MILLISECONDS)
        text_addf(page->out, "} %.3f\n",
                  strtod(span_to_str(value, text, sizeof(text)), NULL) / 1000);
    else
        text_addf(page->out, "} %.*s\n", SPAN_ARG(value));
}

static void add_status(const struct page *page, const struct family *family, size_t row,
                       struct span status)
{
    size_t count = family->scope == SERVER ? array_len(server_states) : 2;
    for (size_t i = 0; i < count; i++)
        add_sample(page, family, row, "state", server_states[i],
                   is_state(status, server_states[i]));
}

static void add_check(const struct page *page, const struct family *family, size_t row,
                      struct span status)
{
    for (size_t i = 0; i < array_len(check_states); i++)
        add_sample(page, family, row, "state", check_states[i],
                   span_eq(status, span_str(check_states[i])));
}

static void add_responses(const struct page *page, const struct family *family, size_t row)
{
    for (size_t i = 0; i < array_len(codes); i++) {
        char name[16];
        snprintf(name, sizeof(name), "%s%s", family->from, codes[i]);
        size_t column = web_table_column(&page->table, span_str(name));
        struct span value = web_table_cell(&page->table, row, column);
        add_name(page, family, row);
        text_addf(page->out, ",code=\"%s\"} %.*s\n", codes[i], SPAN_ARG(value));
    }
}

/* Servers of this backend's whose column says this. */
static long long count_servers(const struct page *page, size_t backend, size_t column,
                               const char *state, bool check)
{
    struct span name = web_table_cell(&page->table, backend, page->pxname);
    long long count = 0;
    for (size_t row = 0; row < page->table.rows; row++) {
        struct span value = web_table_cell(&page->table, row, column);
        if (row_scope(page, row) == SERVER &&
            span_eq(web_table_cell(&page->table, row, page->pxname), name))
            count += check ? span_eq(value, span_str(state)) : is_state(value, state);
    }
    return count;
}

static void add_aggregate(const struct page *page, const struct family *family, size_t row,
                          size_t column)
{
    bool check = family->source == AGGREGATE_CHECK;
    size_t count = check ? array_len(check_states) : array_len(server_states);
    for (size_t i = 0; i < count; i++) {
        const char *state = check ? check_states[i] : server_states[i];
        add_sample(page, family, row, "state", state,
                   count_servers(page, row, column, state, check));
    }
}

static void add_row(const struct page *page, const struct family *family, size_t row, size_t column)
{
    struct span value = web_table_cell(&page->table, row, column);
    switch (family->source) {
    case PLAIN:
    case MILLISECONDS:
        add_plain(page, family, row, value);
        return;
    case STATUS:
        add_status(page, family, row, value);
        return;
    case CHECK:
        add_check(page, family, row, value);
        return;
    case RESPONSES:
        add_responses(page, family, row);
        return;
    case AGGREGATE_STATUS:
    case AGGREGATE_CHECK:
        add_aggregate(page, family, row, column);
        return;
    case BUILD:
        return; // Of the process.
    }
}

static void add_process(const struct page *page, const struct family *family)
{
    struct span value = info_value(page, family->from);
    text_addf(page->out, "haproxy_process_%s", family->name);
    if (family->source == BUILD)
        text_addf(page->out, "{version=\"%s\"} 1\n", LIMPET_VERSION);
    else if (value.len > 0)
        text_addf(page->out, " %.*s\n", SPAN_ARG(value));
    else
        text_add(page->out, SPAN(" 0\n"));
}

/* The name in words is the help; and where it comes from. */
static void add_head(const struct page *page, const struct family *family)
{
    struct text *out = page->out;
    const char *scope = scope_words[family->scope];
    text_addf(out, "# HELP haproxy_%s_%s %c%s:", scope, family->name,
              toupper((unsigned char)*scope), scope + 1);
    struct span rest = span_str(family->name);
    while (rest.ptr != NULL) {
        struct span word = span_cut(&rest, '_');
        text_addf(out, " %.*s", SPAN_ARG(word));
    }
    if (family->from != NULL)
        text_addf(out, " (%s)", family->from);
    text_addf(out, "\n# TYPE haproxy_%s_%s %s\n", scope, family->name,
              family->type == COUNTER ? "counter" : "gauge");
}

static void add_family(const struct page *page, const struct family *family)
{
    add_head(page, family);
    if (family->scope == PROCESS) {
        add_process(page, family);
        return;
    }
    size_t column = web_table_column(&page->table, span_str(family->from));
    for (size_t row = 0; row < page->table.rows; row++) {
        if (row_scope(page, row) == family->scope)
            add_row(page, family, row, column);
    }
}

void web_haproxy(struct serving *serving, struct text *out)
{
    struct page page = {.out = out};
    stats_info(serving, &page.info);
    if (web_table_read(serving, false, &page.table) && !page.info.failed) {
        page.pxname = web_table_column(&page.table, SPAN("pxname"));
        page.svname = web_table_column(&page.table, SPAN("svname"));
        page.type = web_table_column(&page.table, SPAN("type"));
        for (size_t i = 0; i < array_len(families); i++)
            add_family(&page, &families[i]);
    } else {
        out->failed = true;
    }
    text_free(&page.info);
    web_table_free(&page.table);
}
