// SPDX-License-Identifier: Apache-2.0
/* show info, show stat and show table: HAProxy's forms kept, and the values of what workers
 * counted. */
#include "lb/stats.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/stats_house.h"

#include <cmocka.h>

static int set_up(void **state)
{
    *state = house_new();
    return 0;
}

static int tear_down(void **state)
{
    house_free(*state);
    return 0;
}

/* A NUL-terminated copy of what `out` holds; frees both at the next call. */
static char *text_string(struct text *out)
{
    static char *string;
    free(string);
    string = calloc(1, out->len + 1);
    if (out->len > 0)
        memcpy(string, out->data, out->len);
    text_free(out);
    return string;
}

/* ---- texts ---- */

static void texts_grow(void **state)
{
    (void)state;
    struct text text = {0};
    char long_one[3000];
    memset(long_one, 'x', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    text_add(&text, SPAN_NONE);
    assert_int_equal(text.len, 0);
    for (int i = 0; i < 100; i++)
        text_addf(&text, "%s%d", long_one, i);
    assert_false(text.failed);
    assert_int_equal(text.len, 100 * 2999 + 10 + 90 * 2);
    assert_memory_equal(text.data + text.len - 4, "xx99", 4);
    text_free(&text);
    assert_null(text.data);
}

/* ---- show info ---- */

static const char *const haproxy_keys[] = {
    // clang-format off
    "Name", "Version", "Release_date", "Nbthread", "Nbproc", "Process_num", "Pid", "Uptime",
    "Uptime_sec", "Memmax_MB", "PoolAlloc_MB", "PoolUsed_MB", "PoolFailed", "Ulimit-n",
    "Maxsock", "Maxconn", "Hard_maxconn", "CurrConns", "CumConns", "CumReq", "MaxSslConns",
    "CurrSslConns", "CumSslConns", "Maxpipes", "PipesUsed", "PipesFree", "ConnRate",
    "ConnRateLimit", "MaxConnRate", "SessRate", "SessRateLimit", "MaxSessRate", "SslRate",
    "SslRateLimit", "MaxSslRate", "SslFrontendKeyRate", "SslFrontendMaxKeyRate",
    "SslFrontendSessionReuse_pct", "SslBackendKeyRate", "SslBackendMaxKeyRate",
    "SslCacheLookups", "SslCacheMisses", "CompressBpsIn", "CompressBpsOut",
    "CompressBpsRateLim", "Tasks", "Run_queue", "Idle_pct", "node", "Stopping", "Jobs",
    "Unstoppable Jobs", "Listeners", "ActivePeers", "ConnectedPeers", "DroppedLogs",
    "BusyPolling", "FailedResolutions", "TotalBytesOut", "TotalSplicdedBytesOut",
    "BytesOutRate", "DebugCommandsIssued", "CumRecvLogs", "Build info", "Memmax_bytes",
    "PoolAlloc_bytes", "PoolUsed_bytes", "Start_time_sec", "Tainted",
    // clang-format on
};
static const char *const own_keys[] = {"Buffers_lent", "Buffers_kept", "Buffers_mapped",
                                       "Buffer_bytes", "Pool_grown",   "Flows",
                                       "Tunnels",      "Polls",        "Sid_entries"};

static char *info_text(struct house *house)
{
    struct text out = {0};
    stats_info(&house->serving, &out);
    return text_string(&out);
}

/* "Key: value\n" is in it. */
static void assert_info(struct house *house, const char *line)
{
    char want[128];
    snprintf(want, sizeof(want), "\n%s\n", line);
    const char *info = info_text(house);
    if (strstr(info, want) == NULL)
        fail_msg("no \"%s\" in:\n%s", line, info);
}

static void info_has_haproxys_keys_in_order(void **state)
{
    char *at = info_text(*state);
    size_t theirs = array_len(haproxy_keys), ours = array_len(own_keys);
    for (size_t i = 0; i < theirs + ours; i++) {
        const char *key = i < theirs ? haproxy_keys[i] : own_keys[i - theirs];
        assert_int_equal(strncmp(at, key, strlen(key)), 0);
        char *end = strchr(at, '\n');
        *end = '\0';
        assert_memory_equal(at + strlen(key), ": ", 2);
        assert_true(at[strlen(key) + 2] != '\0');
        assert_ptr_equal(strchr(at, ':'), strrchr(at, ':'));
        at = end + 1;
    }
    assert_true(strncmp(at, "Config_file: ", 13) == 0); // Of reloads, as texts may be.
}

static void info_values(void **state)
{
    struct house *house = *state;
    house->serving.client_connections = 7;
    house->serving.total_connections = 1000;
    house_count(house, 1, house->web->stat_id, COUNTER_REQUESTS, 5000);
    house->workers[0].buffers_lent = 3;
    house->workers[1].buffers_lent = 4;
    house->workers[1].pool_grown = 9;
    house->workers[0].flows_now = 5;
    house->workers[0].tunnels_now = 2;
    house->workers[1].polls_now = 1;
    house_count(house, 0, house->web->stat_id, COUNTER_BYTES_OUT, 1000);
    house_count(house, 1, house->web->stat_id, COUNTER_BYTES_OUT, 234);
    sidmap_bind(house->sio->sids, SPAN("abc"), 0, 1000, clock_mono_ms());
    assert_memory_equal(info_text(house), "Name: limpet\n", 13);
    assert_info(house, "Uptime: 1d 1h01m01s");
    assert_info(house, "Uptime_sec: 90061");
    assert_info(house, "Nbthread: 2");
    assert_info(house, "Maxconn: 4000");
    assert_info(house, "CurrConns: 7");
    assert_info(house, "CumConns: 1000");
    assert_info(house, "CumReq: 5000");
    assert_info(house, "Listeners: 3");
    assert_info(house, "TotalBytesOut: 1234");
    assert_info(house, "Stopping: 0");
    assert_info(house, "Buffers_lent: 7");
    assert_info(house, "Pool_grown: 9");
    assert_info(house, "Flows: 5");
    assert_info(house, "Tunnels: 2");
    assert_info(house, "Polls: 1");
    char *info = strstr(info_text(house), "Sid_entries: 1\n");
    assert_non_null(info);
    char *node = strstr(info_text(house), "\nnode: ") + 7;
    for (; *node != '\n'; node++)
        assert_true(isdigit((unsigned char)*node) || islower((unsigned char)*node) ||
                    strchr("-._", *node) != NULL);
}

/* ---- show stat ---- */

static const char haproxy_head[] =
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,"
    "wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,"
    "sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,"
    "check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,"
    "req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,"
    "lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,"
    "agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,"
    "agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,"
    "intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,"
    "qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,"
    "used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,"
    "agg_check_status,-,";

static char *csv_text(struct house *house, const struct stats_filter *filter)
{
    struct text out = {0};
    stats_csv_some(&house->serving, filter, &out);
    return text_string(&out);
}

/* A value of a row of the whole csv: copied, valid until the next call. */
static const char *csv_value(struct house *house, const char *proxy, const char *service,
                             const char *column)
{
    static char value[128];
    const struct stats_filter all = STATS_ALL;
    char start[128];
    char *csv = csv_text(house, &all);
    size_t at = 0;
    char *name = csv + 2;
    for (char *end = strchr(name, ','); end != NULL && end < strchr(csv, '\n');
         name = end + 1, end = strchr(name, ','), at++) {
        if (strlen(column) == (size_t)(end - name) && !strncmp(name, column, (size_t)(end - name)))
            break;
    }
    assert_true(*name != '\n');
    snprintf(start, sizeof(start), "\n%s,%s,", proxy, service);
    char *row = strstr(csv, start);
    assert_non_null(row);
    row++;
    for (; at > 0; at--)
        row = strchr(row, ',') + 1;
    snprintf(value, sizeof(value), "%.*s", (int)(strchr(row, ',') - row), row);
    return value;
}

#define assert_csv(house, proxy, service, column, want)                                            \
    assert_string_equal(csv_value(house, proxy, service, column), want)

static size_t count_char(const char *from, const char *to, char c)
{
    size_t count = 0;
    for (; from < to; from++)
        count += *from == c;
    return count;
}

static void csv_has_haproxys_columns_then_ours(void **state)
{
    const struct stats_filter all = STATS_ALL;
    char *csv = csv_text(*state, &all);
    size_t len = strlen(haproxy_head);
    assert_int_equal(strncmp(csv, haproxy_head, len), 0);
    static const char ours[] = "sio_sids,sio_polling,sio_websocket,sio_handshakes_tot,"
                               "sio_upgrades_tot,sio_sid_miss_tot,sio_dead_owner_tot,";
    assert_int_equal(strncmp(csv + len, ours, strlen(ours)), 0);
    char *end = strchr(csv, '\n');
    *end = '\0';
    for (size_t i = 0; i < COUNTERS; i++) {
        char field[64];
        snprintf(field, sizeof(field), ",%s,", counter_table[i].csv);
        if (counter_table[i].csv[0] == '\0')
            continue;
        char *first = strstr(csv, field);
        assert_non_null(first);
        assert_null(strstr(first + 1, field));
    }
}

static void csv_rows_are_rectangular(void **state)
{
    const struct stats_filter all = STATS_ALL;
    char *csv = csv_text(*state, &all);
    static const char *const rows[] = {"web,FRONTEND,", "alt,FRONTEND,", "sio,a,",
                                       "sio,b,",        "sio,spare,",    "sio,BACKEND,",
                                       "bare,only,",    "bare,BACKEND,"};
    char *at = strchr(csv, '\n') + 1;
    size_t columns = count_char(csv, at, ',');
    for (size_t i = 0; i < array_len(rows); i++) {
        char *end = strchr(at, '\n');
        assert_int_equal(strncmp(at, rows[i], strlen(rows[i])), 0);
        assert_int_equal(count_char(at, end, ','), columns);
        assert_int_equal(end[-1], ',');
        assert_int_equal(count_char(at, end, '"'), 0);
        at = end + 1;
    }
    assert_string_equal(at, "");
}

static void csv_values(void **state)
{
    struct house *house = *state;
    house->web->home->connections = 5;
    house->web->home->connections_max = 9;
    house->a->inflight = 3;
    house->a->inflight_max = 8;
    house_count(house, 0, house->web->stat_id, COUNTER_CONNS, 20);
    house_count(house, 1, house->web->stat_id, COUNTER_REQUESTS, 33);
    house_count(house, 0, house->a->stat_id, COUNTER_EXCHANGES, 11);
    house_count(house, 1, house->a->stat_id, COUNTER_EXCHANGES, 2);
    house_count(house, 0, house->a->stat_id, COUNTER_RESPONSES_2XX, 10);
    house_count(house, 0, house->a->stat_id, COUNTER_SIO_UPGRADES, 4);
    house_count(house, 0, house->a->stat_id, COUNTER_RESPONSE_US, 50000);
    house_count(house, 1, house->a->stat_id, COUNTER_RESPONSE_US, 10000);
    house_count(house, 0, house->a->stat_id, COUNTER_TIMED, 4);
    house_count(house, 1, house->sio->stat_id, COUNTER_QUEUED_NOW, 6);
    sidmap_bind(house->sio->sids, SPAN("abc"), house->a->sid_id, 1000, clock_mono_ms());

    assert_csv(house, "web", "FRONTEND", "status", "OPEN");
    assert_csv(house, "web", "FRONTEND", "scur", "5");
    assert_csv(house, "web", "FRONTEND", "smax", "9");
    assert_csv(house, "web", "FRONTEND", "slim", "2000");
    assert_csv(house, "web", "FRONTEND", "stot", "20");
    assert_csv(house, "web", "FRONTEND", "conn_tot", "20");
    assert_csv(house, "web", "FRONTEND", "req_tot", "33");
    assert_csv(house, "web", "FRONTEND", "qcur", "");
    assert_csv(house, "web", "FRONTEND", "type", "0");
    assert_csv(house, "sio", "a", "type", "2");
    assert_csv(house, "sio", "a", "scur", "3");
    assert_csv(house, "sio", "a", "smax", "8");
    assert_csv(house, "sio", "a", "slim", "100");
    assert_csv(house, "sio", "a", "stot", "13");
    assert_csv(house, "sio", "a", "req_tot", "13");
    assert_csv(house, "sio", "BACKEND", "smax", "8");
    assert_csv(house, "sio", "a", "hrsp_2xx", "10");
    assert_csv(house, "sio", "a", "rtime", "15");
    assert_csv(house, "sio", "a", "qtime", "0");
    assert_csv(house, "sio", "a", "sio_upgrades_tot", "4");
    assert_csv(house, "sio", "a", "sio_sids", "1");
    assert_csv(house, "sio", "b", "sio_sids", "0");
    assert_csv(house, "sio", "BACKEND", "sio_sids", "1");
    assert_csv(house, "sio", "BACKEND", "qcur", "6");
    assert_csv(house, "sio", "BACKEND", "qmax", "6");
    assert_csv(house, "sio", "BACKEND", "type", "1");
    assert_csv(house, "sio", "BACKEND", "algo", "leastconn");
    assert_csv(house, "sio", "BACKEND", "cookie", "node");
    assert_csv(house, "sio", "BACKEND", "-", "-");
    assert_csv(house, "sio", "a", "cookie", "a");
    assert_csv(house, "sio", "a", "addr", "127.0.0.1:13001");
    assert_csv(house, "bare", "BACKEND", "cookie", "io");
    assert_csv(house, "bare", "only", "cookie", "");
}

static void csv_weights(void **state)
{
    struct house *house = *state;
    assert_csv(house, "sio", "b", "weight", "4");
    assert_csv(house, "sio", "b", "throttle", "");
    assert_csv(house, "sio", "BACKEND", "weight", "5");
    assert_csv(house, "sio", "BACKEND", "act", "2");
    assert_csv(house, "sio", "BACKEND", "bck", "1");
    assert_csv(house, "sio", "spare", "act", "0");
    assert_csv(house, "sio", "spare", "bck", "1");
    house->b->weight_now = SERVER_WEIGHT_SCALE + 1; /* a quarter of the way */
    assert_csv(house, "sio", "b", "weight", "2");
    assert_csv(house, "sio", "b", "uweight", "4");
    assert_csv(house, "sio", "b", "throttle", "25");
    house->a->health = house->b->health = SERVER_DOWN;
    assert_csv(house, "sio", "BACKEND", "weight", "1"); /* the backup's */
    assert_csv(house, "sio", "BACKEND", "act", "0");
}

static void csv_ids(void **state)
{
    struct house *house = *state;
    assert_csv(house, "web", "FRONTEND", "iid", "2");
    assert_csv(house, "web", "FRONTEND", "sid", "0");
    assert_csv(house, "alt", "FRONTEND", "iid", "4");
    assert_csv(house, "sio", "a", "iid", "3");
    assert_csv(house, "sio", "a", "sid", "1");
    assert_csv(house, "sio", "b", "sid", "2");
    assert_csv(house, "sio", "BACKEND", "iid", "3");
    assert_csv(house, "sio", "BACKEND", "sid", "0");
    assert_csv(house, "bare", "BACKEND", "iid", "5");
}

static void status_words(void **state)
{
    struct house *house = *state;
    struct health_status *health = &house_health[0];
    assert_csv(house, "sio", "a", "status", "UP");
    assert_csv(house, "sio", "a", "check_health", "4");
    assert_csv(house, "bare", "only", "status", "no check");
    health->bad = 1;
    assert_csv(house, "sio", "a", "status", "UP 2/3");
    assert_csv(house, "sio", "a", "check_health", "3");
    health->bad = 2;
    assert_csv(house, "sio", "a", "status", "UP 1/3");
    house->a->admin = SERVER_DRAIN;
    assert_csv(house, "sio", "a", "status", "DRAIN");
    house->a->health = SERVER_DOWN;
    *health = (struct health_status){.state = HEALTH_DOWN,
                                     .check = CHECK_L4CON,
                                     .detail = "Connection refused",
                                     .duration_ms = -1,
                                     .failed_checks = 6,
                                     .downs = 2,
                                     .down_total_ms = 10000,
                                     .changed_ms = clock_mono_ms() - 5000};
    assert_csv(house, "sio", "a", "status", "DOWN");
    assert_csv(house, "sio", "a", "check_status", "L4CON");
    assert_csv(house, "sio", "a", "last_chk", "Connection refused");
    assert_csv(house, "sio", "a", "check_desc", check_status_text(CHECK_L4CON));
    assert_csv(house, "sio", "a", "check_code", "");
    assert_csv(house, "sio", "a", "check_duration", "");
    assert_csv(house, "sio", "a", "chkfail", "6");
    assert_csv(house, "sio", "a", "chkdown", "2");
    assert_csv(house, "sio", "a", "downtime", "15");
    assert_csv(house, "sio", "a", "check_health", "0");
    health->good = 1;
    assert_csv(house, "sio", "a", "status", "DOWN 1/2");
    assert_csv(house, "sio", "a", "check_health", "1");
    house->a->admin = SERVER_MAINT;
    assert_csv(house, "sio", "a", "status", "MAINT");
    assert_csv(house, "sio", "BACKEND", "status", "UP");
    house->b->health = house->spare->health = SERVER_DOWN;
    assert_csv(house, "sio", "BACKEND", "status", "DOWN");
}

/* Nothing that health reports can add a column or a line. */
static void csv_values_are_plain(void **state)
{
    struct house *house = *state;
    memcpy(house_health[0].detail, "a,b\"c\nd", 8);
    assert_csv(house, "sio", "a", "last_chk", "a b c d");
}

static void csv_filters(void **state)
{
    struct house *house = *state;
    struct stats_filter filter = STATS_ALL;
    filter.proxy = SPAN("sio");
    filter.types = 1 << STATS_SERVER;
    filter.sid = 2;
    char *csv = csv_text(house, &filter);
    assert_non_null(strstr(csv, "\nsio,b,"));
    assert_int_equal(count_char(csv, csv + strlen(csv), '\n'), 2);

    filter = STATS_ALL;
    filter.iid = 2;
    csv = csv_text(house, &filter);
    assert_non_null(strstr(csv, "\nweb,FRONTEND,"));
    assert_int_equal(count_char(csv, csv + strlen(csv), '\n'), 2);

    house->a->health = SERVER_DOWN;
    house->b->admin = SERVER_MAINT;
    filter = STATS_ALL;
    filter.up_only = true;
    csv = csv_text(house, &filter);
    assert_null(strstr(csv, "\nsio,a,"));
    assert_null(strstr(csv, "\nsio,b,"));
    filter = STATS_ALL;
    filter.no_maint = true;
    filter.addresses = false;
    csv = csv_text(house, &filter);
    assert_non_null(strstr(csv, "\nsio,a,"));
    assert_null(strstr(csv, "\nsio,b,"));
    assert_null(strstr(csv, "127.0.0.1"));
}

/* ---- rates ---- */

/* As if the last tick was that long ago. */
static void tick_after(struct house *house, int64_t ms)
{
    if (house->serving.samples != NULL)
        house->serving.samples->tick_ms = clock_mono_ms() - ms;
    stats_tick(&house->serving);
}

static void rates_and_maxima(void **state)
{
    struct house *house = *state;
    house_count(house, 0, house->web->stat_id, COUNTER_CONNS, 1000);
    house->serving.total_connections = 1000;
    stats_tick(&house->serving);
    assert_csv(house, "web", "FRONTEND", "rate", "0"); /* what was before is no rate */
    assert_csv(house, "sio", "a", "lastsess", "-1");

    house_count(house, 1, house->web->stat_id, COUNTER_CONNS, 50000);
    house_count(house, 0, house->web->stat_id, COUNTER_REQUESTS, 100000);
    house_count(house, 0, house->a->stat_id, COUNTER_EXCHANGES, 70000);
    house_count(house, 0, house->sio->stat_id, COUNTER_EXCHANGES_NOW, 12);
    house->serving.total_connections = 51000;
    house->workers[0].busy_us = 500000;
    tick_after(house, 1000);
    int64_t rate = strtoll(csv_value(house, "web", "FRONTEND", "rate"), NULL, 10);
    assert_in_range(rate, 49000, 50000); /* the tick may come some ms late */
    rate = strtoll(csv_value(house, "web", "FRONTEND", "req_rate"), NULL, 10);
    assert_in_range(rate, 98000, 100000);
    rate = strtoll(csv_value(house, "sio", "a", "rate"), NULL, 10);
    assert_in_range(rate, 68000, 70000);
    assert_csv(house, "sio", "a", "lastsess", "0");
    assert_in_range(house->serving.samples->idle_pct, 74, 76);
    assert_in_range(house->serving.samples->connection_rate, 49000, 50000);

    house_count(house, 0, house->sio->stat_id, COUNTER_EXCHANGES_NOW, -10);
    tick_after(house, 1000);
    assert_csv(house, "web", "FRONTEND", "rate", "0");
    assert_true(strtoll(csv_value(house, "web", "FRONTEND", "rate_max"), NULL, 10) > 48000);
    assert_csv(house, "sio", "BACKEND", "scur", "2");
    assert_csv(house, "sio", "BACKEND", "smax", "12");
}

static void backend_goes_down_and_up(void **state)
{
    struct house *house = *state;
    stats_tick(&house->serving);
    assert_csv(house, "sio", "BACKEND", "chkdown", "0");
    assert_csv(house, "sio", "BACKEND", "lastchg", "90061");
    house->a->health = house->b->health = house->spare->health = SERVER_DOWN;
    tick_after(house, 1000);
    assert_csv(house, "sio", "BACKEND", "chkdown", "1");
    assert_csv(house, "sio", "BACKEND", "lastchg", "0");
    house->serving.samples->blocks[house->sio->stat_id].changed_ms -= 3000;
    assert_csv(house, "sio", "BACKEND", "downtime", "3");
    house->a->health = SERVER_UP;
    tick_after(house, 1000);
    assert_csv(house, "sio", "BACKEND", "downtime", "3");
    assert_csv(house, "sio", "BACKEND", "chkdown", "1");
}

/* ---- show table ---- */

static void tables(void **state)
{
    struct house *house = *state;
    struct text out = {0};
    struct sid_hold hold;
    struct sid_found found;
    int64_t now = clock_mono_ms();
    sidmap_bind(house->sio->sids, SPAN("abc=\n\xff"), house->b->sid_id, 25000, now);
    assert_true(sidmap_hold(house->sio->sids, SPAN("abc=\n\xff"), now, &found, &hold));

    stats_tables(&house->serving, &out);
    assert_string_equal(text_string(&out), "# table: sio, type: string, size:1000, used:1\n"
                                           "# table: bare, type: string, size:1000000, used:0\n");
    assert_true(stats_table(&house->serving, SPAN("sio"), false, SPAN_NONE, &out));
    assert_string_equal(text_string(&out), "# table: sio, type: string, size:1000, used:1\n");
    assert_true(stats_table(&house->serving, SPAN("sio"), true, SPAN_NONE, &out));
    char *entry = strchr(text_string(&out), '\n') + 1;
    unsigned long long id;
    int expires;
    assert_int_equal(sscanf(entry,
                            "0x%llx: key=abc\\=\\x0a\\xff use=1 exp=%d shard=0 server_id=2 "
                            "server_key=b\n",
                            &id, &expires),
                     2);
    assert_in_range(expires, 25000, 31000);
    assert_int_equal(strlen(strchr(entry, '\n')), 1);
    assert_false(stats_table(&house->serving, SPAN("nope"), true, SPAN_NONE, &out));
    assert_int_equal(out.len, 0);
    sidmap_release(house->sio->sids, &hold, now);
}

#define house_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_grow),
        house_test(info_has_haproxys_keys_in_order),
        house_test(info_values),
        house_test(csv_has_haproxys_columns_then_ours),
        house_test(csv_rows_are_rectangular),
        house_test(csv_values),
        house_test(csv_weights),
        house_test(csv_ids),
        house_test(status_words),
        house_test(csv_values_are_plain),
        house_test(csv_filters),
        house_test(rates_and_maxima),
        house_test(backend_goes_down_and_up),
        house_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
