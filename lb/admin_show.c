// SPDX-License-Identifier: Apache-2.0
/*
 * Commands that only look. None of them stops a worker: counters, gauges and states are atomics,
 * the sid tables are walked a shard at a time, and flows are asked for by lb/inquiry, a few per
 * turn. Formats are HAProxy 2.6's.
 */
#include "base/clock.h"
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/events.h"
#include "lb/inquiry.h"
#include "lb/stats_row.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

void admin_show_cli_level(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (!admin_unexpected(caller, args, count, 0))
        text_addf(&caller->answer, "%s\n", config_word("admin_level", (int)caller->level));
}

void admin_show_version(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (!admin_unexpected(caller, args, count, 0))
        admin_say(caller, SEVERITY_INFO, "%s", LIMPET_VERSION);
}

/* ---- info and stat ---- */

/* typed, json, desc: true when the word is one of them. */
static bool format_word(struct span word, struct stats_format *format)
{
    if (span_eq(word, SPAN("typed")))
        format->kind = STATS_TYPED;
    else if (span_eq(word, SPAN("json")))
        format->kind = STATS_JSON;
    else if (span_eq(word, SPAN("desc")))
        format->described = true;
    else
        return false;
    return true;
}

void admin_show_info(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct stats_format format = {STATS_PLAIN, false};
    for (size_t i = 0; i < count; i++) {
        if (format_word(args[i], &format))
            continue;
        admin_unexpected(caller, args, count, i);
        return;
    }
    stats_info_as(caller->serving, format, &caller->answer);
}

/* A number, -1 included. */
static bool word_to_int(struct span word, int *out)
{
    uint64_t number;
    if (span_eq(word, SPAN("-1"))) {
        *out = -1;
        return true;
    }
    if (!span_to_u64(word, &number) || number > INT_MAX)
        return false;
    *out = (int)number;
    return true;
}

/* <iid|name> <type> <sid>; NULL or what is wrong. */
static const char *filter_parse(const struct serving *serving, const struct span *args,
                                struct stats_filter *filter)
{
    if (!word_to_int(args[0], &filter->iid)) {
        filter->iid = STATS_ANY;
        filter->proxy = args[0];
        if (!stats_has_proxy(serving, filter->proxy))
            return "No such proxy.";
    }
    if (!word_to_int(args[1], &filter->types) || !word_to_int(args[2], &filter->sid))
        return "'show stat' expects [<iid|name> <type> <sid>], the latter two being numbers.";
    return NULL;
}

void admin_show_stat(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct stats_filter filter = STATS_ALL;
    filter.addresses = caller->level >= ADMIN_LEVEL_OPERATOR;
    size_t at = 0;
    uint64_t number;
    bool by_number = count > 0 && span_to_u64(args[0], &number);
    bool by_name = count >= 3 && !format_word(args[0], &filter.format) &&
                   !span_eq(args[0], SPAN("up")) && !span_eq(args[0], SPAN("no-maint"));
    if (by_name || by_number) {
        const char *error = count >= 3 ? filter_parse(caller->serving, args, &filter)
                                       : "'show stat' expects [<iid|name> <type> <sid>].";
        if (error != NULL) {
            admin_say(caller, SEVERITY_ERROR, "%s", error);
            return;
        }
        at = 3;
    }
    for (; at < count; at++) {
        if (span_eq(args[at], SPAN("up"))) {
            filter.up_only = true;
        } else if (span_eq(args[at], SPAN("no-maint"))) {
            filter.no_maint = true;
        } else if (!format_word(args[at], &filter.format)) {
            admin_unexpected(caller, args, count, at);
            return;
        }
    }
    stats_csv_some(caller->serving, &filter, &caller->answer);
}

void admin_show_table(struct admin_caller *caller, const struct span *args, size_t count)
{
    bool entries = caller->level >= ADMIN_LEVEL_OPERATOR;
    bool by_key = count == 3 && span_eq(args[1], SPAN("key"));
    struct span key = by_key ? args[2] : SPAN_NONE;
    if (!by_key && admin_unexpected(caller, args, count, 1))
        return;
    if (count == 0)
        stats_tables(caller->serving, &caller->answer);
    else if (!stats_table(caller->serving, args[0], entries, key, &caller->answer))
        admin_say(caller, SEVERITY_ERROR, "No such table");
}

/* ---- backends and servers ---- */

void admin_show_backend(struct admin_caller *caller, const struct span *args, size_t count)
{
    const struct snapshot *snapshot = caller->serving->snapshot;
    if (admin_unexpected(caller, args, count, 0))
        return;
    text_add(&caller->answer, SPAN("# name\n"));
    for (size_t i = 0; i < snapshot->backend_count; i++)
        text_addf(&caller->answer, "%s\n", snapshot->backends[i]->name);
}

typedef void server_line_fn(struct serving *serving, const struct server *server, int iid,
                            struct text *out);

/* A line for each server of one backend, or of all. */
static void server_lines(struct admin_caller *caller, const struct span *args, size_t count,
                         const char *head, server_line_fn *line)
{
    const struct snapshot *snapshot = caller->serving->snapshot;
    bool found = count == 0;
    if (admin_unexpected(caller, args, count, 1))
        return;
    for (size_t i = 0; i < snapshot->backend_count; i++)
        found = found || span_eq(args[0], span_str(snapshot->backends[i]->name));
    if (!found) {
        admin_say(caller, SEVERITY_ERROR, "Can't find backend.");
        return;
    }
    text_addf(&caller->answer, "%s\n", head);
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        const struct stats_row row = {.type = STATS_BACKEND, .backend = backend};
        if (count == 1 && !span_eq(args[0], span_str(backend->name)))
            continue;
        for (size_t k = 0; k < backend->server_count; k++)
            line(caller->serving, backend->servers[k], stats_iid(&row), &caller->answer);
    }
}

/* HAProxy's numbers of check_status. */
static int check_number(enum check_status status)
{
    switch (status) {
    case CHECK_UNK:
        return 0;
    case CHECK_INI:
        return 1;
    case CHECK_SOCKERR:
        return 5;
    case CHECK_L4OK:
        return 6;
    case CHECK_L4TOUT:
        return 7;
    case CHECK_L4CON:
        return 8;
    case CHECK_L6OK:
        return 9;
    case CHECK_L6TOUT:
        return 10;
    case CHECK_L6RSP:
        return 11;
    case CHECK_L7TOUT:
        return 12;
    case CHECK_L7RSP:
        return 13;
    case CHECK_L7OK:
        return 15;
    case CHECK_L7STS:
        return 17;
    }
    return 0;
}

/* 0 unknown, 2 failed, 3 passed. */
static int check_result(enum check_status status)
{
    if (status == CHECK_UNK || status == CHECK_INI || status == CHECK_SOCKERR)
        return 0;
    return status == CHECK_L4OK || status == CHECK_L6OK || status == CHECK_L7OK ? 3 : 2;
}

/* 2 configured, 4 enabled, 8 paused. */
static int check_state(const struct serving *serving, const struct server *server)
{
    int state = 2;
    if (server->backend->config->health_kind == HEALTH_NONE)
        return 0;
    if (watch_checks(control_watch(serving->control), server))
        state |= 4;
    if (atomic_load(&server->admin) == SERVER_MAINT)
        state |= 8;
    return state;
}

/* 0 stopped, 1 starting slowly, 2 running. */
static int operation_state(const struct server *server)
{
    if (!server_alive(server))
        return 0;
    int full = atomic_load(&server->weight) * SERVER_WEIGHT_SCALE;
    return atomic_load(&server->weight_now) < full ? 1 : 2;
}

/* 1 maintenance, 8 drain: HAProxy's bits of what was forced. */
static int admin_state(const struct server *server)
{
    switch ((enum server_admin)atomic_load(&server->admin)) {
    case SERVER_READY:
        return 0;
    case SERVER_DRAIN:
        return 8;
    case SERVER_MAINT:
        return 1;
    }
    return 0;
}

static const char *server_host(const struct server *server, char out[static ADDR_TEXT_MAX])
{
    if (!server->addr_known)
        return "-";
    if (server->addr.any.sa_family == AF_UNIX)
        return addr_format(&server->addr, out);
    return addr_format_host(&server->addr, out);
}

static unsigned server_port(const struct server *server)
{
    return server->addr_known ? addr_port(&server->addr) : server->config->endpoint.port;
}

static void state_line(struct serving *serving, const struct server *server, int iid,
                       struct text *out)
{
    static const struct health_status unchecked = {.check = CHECK_UNK};
    const struct config_backend *config = server->backend->config;
    struct stats_row row = {.serving = serving,
                            .type = STATS_SERVER,
                            .backend = server->backend,
                            .server = server,
                            .now_ms = clock_mono_ms(),
                            .wall_ms = clock_wall_ms()};
    if (config->health_kind != HEALTH_NONE)
        row.health = control_health(serving->control, server);
    const struct health_status *health = row.health ? row.health : &unchecked;
    const struct endpoint *endpoint = &server->config->endpoint;
    char host[ADDR_TEXT_MAX];
    text_addf(out, "%d %s %d %s %s %d %d %d %d %lld ", iid, server->backend->name,
              server->sid_id + 1, server->name, server_host(server, host), operation_state(server),
              admin_state(server), atomic_load(&server->weight), (int)server->config->opt.weight,
              (long long)stats_last_change_s(&row));
    text_addf(out, "%d %d %d %d 0 0 0 %s %u - 0 0 - - 0\n", check_number(health->check),
              check_result(health->check), row.health ? (int)stats_check_health(&row) : 0,
              check_state(serving, server), endpoint->kind == ENDPOINT_NAME ? endpoint->host : "-",
              server_port(server));
}

void admin_show_servers_state(struct admin_caller *caller, const struct span *args, size_t count)
{
    server_lines(caller, args, count,
                 "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state "
                 "srv_uweight srv_iweight srv_time_since_last_change srv_check_status "
                 "srv_check_result srv_check_health srv_check_state srv_agent_state "
                 "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
                 "srv_check_port srv_check_addr srv_agent_addr srv_agent_port",
                 state_line);
}

static void conn_line(struct serving *serving, const struct server *server, int iid,
                      struct text *out)
{
    char host[ADDR_TEXT_MAX];
    long long used = (long long)stats_sum(serving, server->stat_id, COUNTER_SERVER_CONNS_USED);
    long long idle = (long long)stats_sum(serving, server->stat_id, COUNTER_SERVER_CONNS_IDLE);
    text_addf(out, "%s/%s %d/%d %s %u - %lld %lld %d %lld %lld 0 -1 %lld", server->backend->name,
              server->name, iid, server->sid_id + 1, server_host(server, host), server_port(server),
              (long long)server->backend->config->opt.timeout_idle_ms, used,
              atomic_load(&server->inflight_max), used, idle, idle);
    for (unsigned i = 0; i < serving->worker_count; i++)
        text_addf(out, " %lld",
                  (long long)counter_get(&serving->workers[i].stats[server->stat_id],
                                         COUNTER_SERVER_CONNS_IDLE));
    text_add(out, SPAN("\n"));
}

void admin_show_servers_conn(struct admin_caller *caller, const struct span *args, size_t count)
{
    char head[192];
    snprintf(head, sizeof(head),
             "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est "
             "unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[%u]",
             caller->serving->worker_count);
    server_lines(caller, args, count, head, conn_line);
}

/* ---- flows ---- */

void admin_show_sess(struct admin_caller *caller, const struct span *args, size_t count)
{
    enum inquiry_kind kind = INQUIRY_SESSIONS;
    uint64_t id = 0;
    if (admin_unexpected(caller, args, count, 1))
        return;
    if (count == 1 && span_eq(args[0], SPAN("all"))) {
        kind = INQUIRY_ALL;
    } else if (count == 1) {
        kind = INQUIRY_SESSION;
        if (!span_starts(args[0], SPAN("0x")) || !span_hex_to_u64(span_from(args[0], 2), &id)) {
            admin_say(caller, SEVERITY_ERROR, "Session not found.");
            return;
        }
    }
    caller->inquiry = inquiry_ask(caller->serving, caller->loop, kind, id);
    if (!caller->inquiry)
        admin_say(caller, SEVERITY_ERROR, "Out of memory.");
}

/* ---- events ---- */

static void add_time(int64_t wall_ms, struct text *out)
{
    struct tm tm;
    char text[64];
    time_t s = (time_t)(wall_ms / 1000);
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    text_addf(out, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

void admin_show_events(struct admin_caller *caller, const struct span *args, size_t count)
{
    const struct serving *serving = caller->serving;
    size_t have = events_count(serving);
    uint64_t wanted = have;
    if (admin_unexpected(caller, args, count, 1))
        return;
    if (count == 1 && !span_to_u64(args[0], &wanted)) {
        admin_say(caller, SEVERITY_ERROR, "'show events' expects how many of the last ones.");
        return;
    }
    text_add(&caller->answer, SPAN("# id time kind text\n"));
    for (size_t i = wanted < have ? have - (size_t)wanted : 0; i < have; i++) {
        const struct event *event = events_at(serving, i);
        text_addf(&caller->answer, "%llu ", (unsigned long long)event->id);
        add_time(event->wall_ms, &caller->answer);
        text_addf(&caller->answer, " %s %s\n", event_kind_word(event->kind), event->text);
    }
}

/* ---- the configuration ---- */

/* Without empty lines: one ends an answer. */
void admin_show_config(struct admin_caller *caller, const struct span *args, size_t count)
{
    char *data = NULL;
    size_t len = 0;
    if (admin_unexpected(caller, args, count, 0))
        return;
    FILE *out = open_memstream(&data, &len);
    if (out) {
        config_dump(caller->serving->config, out);
        fclose(out);
    }
    struct span rest = span_of(data, len);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > 0)
            text_addf(&caller->answer, "%.*s\n", SPAN_ARG(line));
    }
    free(data);
}
