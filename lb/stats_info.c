// SPDX-License-Identifier: Apache-2.0
/*
 * `show info`: the keys of HAProxy 2.6 in its order, then our own. One table row per key; what a
 * row shows is a field of struct info, which is filled first. Keys that mean nothing here
 * (compression, TLS, peers) are there with 0, because tools look for them.
 *
 * Tools split each line at its only colon, so no value may contain one.
 */
#include "base/clock.h"
#include "base/log.h"
#include "lb/stats_row.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RELEASE_DATE "2026/11/21"

struct info {
    int64_t threads, one, pid, uptime_s, ulimit_n, max_connections, connections, connections_total,
        requests_total, connection_rate, connection_rate_max, tasks, idle_pct, stopping, jobs,
        listeners, logs_dropped, bytes_out, bytes_out_rate, started_s, buffers_lent, buffers_kept,
        buffers_mapped, buffer_bytes, buffer_mb, buffer_bytes_used, pool_grown, flows, tunnels,
        polls, sid_entries;
    char uptime[48];
    char node[65];
};

enum info_kind { INFO_ZERO, INFO_NUMBER, INFO_TEXT, INFO_LITERAL };
struct info_key {
    const char *key;
    enum info_kind kind;
    size_t offset; /* in struct info */
    const char *literal;
};

// clang-format off
#define ZERO           INFO_ZERO, 0, NULL
#define NUMBER(field)  INFO_NUMBER, offsetof(struct info, field), NULL
#define TEXT(field)    INFO_TEXT, offsetof(struct info, field), NULL
#define LITERAL(text)  INFO_LITERAL, 0, text

static const struct info_key info_keys[] = {
    {"Name", LITERAL("limpet")},
    {"Version", LITERAL(LIMPET_VERSION)},
    {"Release_date", LITERAL(RELEASE_DATE)},
    {"Nbthread", NUMBER(threads)},
    {"Nbproc", NUMBER(one)},
    {"Process_num", NUMBER(one)},
    {"Pid", NUMBER(pid)},
    {"Uptime", TEXT(uptime)},
    {"Uptime_sec", NUMBER(uptime_s)},
    {"Memmax_MB", ZERO},
    {"PoolAlloc_MB", NUMBER(buffer_mb)},
    {"PoolUsed_MB", NUMBER(buffer_mb)},
    {"PoolFailed", ZERO},
    {"Ulimit-n", NUMBER(ulimit_n)},
    {"Maxsock", NUMBER(ulimit_n)},
    {"Maxconn", NUMBER(max_connections)},
    {"Hard_maxconn", NUMBER(max_connections)},
    {"CurrConns", NUMBER(connections)},
    {"CumConns", NUMBER(connections_total)},
    {"CumReq", NUMBER(requests_total)},
    {"MaxSslConns", ZERO},
    {"CurrSslConns", ZERO},
    {"CumSslConns", ZERO},
    {"Maxpipes", ZERO},
    {"PipesUsed", ZERO},
    {"PipesFree", ZERO},
    {"ConnRate", NUMBER(connection_rate)},
    {"ConnRateLimit", ZERO},
    {"MaxConnRate", NUMBER(connection_rate_max)},
    {"SessRate", NUMBER(connection_rate)},
    {"SessRateLimit", ZERO},
    {"MaxSessRate", NUMBER(connection_rate_max)},
    {"SslRate", ZERO},
    {"SslRateLimit", ZERO},
    {"MaxSslRate", ZERO},
    {"SslFrontendKeyRate", ZERO},
    {"SslFrontendMaxKeyRate", ZERO},
    {"SslFrontendSessionReuse_pct", ZERO},
    {"SslBackendKeyRate", ZERO},
    {"SslBackendMaxKeyRate", ZERO},
    {"SslCacheLookups", ZERO},
    {"SslCacheMisses", ZERO},
    {"CompressBpsIn", ZERO},
    {"CompressBpsOut", ZERO},
    {"CompressBpsRateLim", ZERO},
    {"Tasks", NUMBER(tasks)},
    {"Run_queue", ZERO},
    {"Idle_pct", NUMBER(idle_pct)},
    {"node", TEXT(node)},
    {"Stopping", NUMBER(stopping)},
    {"Jobs", NUMBER(jobs)},
    {"Unstoppable Jobs", ZERO},
    {"Listeners", NUMBER(listeners)},
    {"ActivePeers", ZERO},
    {"ConnectedPeers", ZERO},
    {"DroppedLogs", NUMBER(logs_dropped)},
    {"BusyPolling", ZERO},
    {"FailedResolutions", ZERO},
    {"TotalBytesOut", NUMBER(bytes_out)},
    {"TotalSplicdedBytesOut", ZERO}, /* HAProxy's spelling */
    {"BytesOutRate", NUMBER(bytes_out_rate)},
    {"DebugCommandsIssued", ZERO},
    {"CumRecvLogs", ZERO},
    {"Build info", LITERAL(LIMPET_VERSION)},
    {"Memmax_bytes", ZERO},
    {"PoolAlloc_bytes", NUMBER(buffer_bytes)},
    {"PoolUsed_bytes", NUMBER(buffer_bytes_used)},
    {"Start_time_sec", NUMBER(started_s)},
    {"Tainted", ZERO},
    {"Buffers_lent", NUMBER(buffers_lent)},
    {"Buffers_kept", NUMBER(buffers_kept)},
    {"Buffers_mapped", NUMBER(buffers_mapped)},
    {"Buffer_bytes", NUMBER(buffer_bytes)},
    {"Pool_grown", NUMBER(pool_grown)},
    {"Flows", NUMBER(flows)},
    {"Tunnels", NUMBER(tunnels)},
    {"Polls", NUMBER(polls)},
    {"Sid_entries", NUMBER(sid_entries)},
};
// clang-format on

static void info_node(struct info *info)
{
    if (gethostname(info->node, sizeof(info->node) - 1) != 0 || info->node[0] == '\0')
        memcpy(info->node, "localhost", sizeof("localhost"));
    for (char *c = info->node; *c != '\0'; c++) {
        bool plain = isalnum((unsigned char)*c) || *c == '.' || *c == '_';
        *c = plain ? (char)tolower((unsigned char)*c) : '-';
    }
}

static void info_uptime(struct info *info, int64_t s)
{
    info->uptime_s = s;
    snprintf(info->uptime, sizeof(info->uptime), "%lldd %lldh%02lldm%02llds",
             (long long)(s / 86400), (long long)(s / 3600 % 24), (long long)(s / 60 % 60),
             (long long)(s % 60));
}

static void info_workers(struct info *info, const struct serving *serving)
{
    info->threads = serving->worker_count;
    for (unsigned i = 0; i < serving->worker_count; i++) {
        const struct worker *worker = &serving->workers[i];
        info->buffers_lent += (int64_t)atomic_load(&worker->buffers_lent);
        info->buffers_kept += (int64_t)atomic_load(&worker->buffers_kept);
        info->buffers_mapped += (int64_t)atomic_load(&worker->buffers_mapped);
        info->buffer_bytes += (int64_t)atomic_load(&worker->buffer_bytes);
        info->pool_grown += (int64_t)atomic_load(&worker->pool_grown);
        info->flows += atomic_load(&worker->flows_now);
        info->tunnels += atomic_load(&worker->tunnels_now);
        info->polls += atomic_load(&worker->polls_now);
    }
    int64_t blocks = info->buffers_lent + info->buffers_kept;
    if (blocks > 0) // Blocks differ in size; this is their share by number.
        info->buffer_bytes_used = info->buffer_bytes * info->buffers_lent / blocks;
    info->buffer_mb = info->buffer_bytes / (1024 * 1024);
}

static void info_counters(struct info *info, const struct serving *serving)
{
    const struct snapshot *snapshot = serving->snapshot;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        uint16_t stat_id = snapshot->frontends[i].stat_id;
        info->bytes_out += stats_sum(serving, stat_id, COUNTER_BYTES_OUT);
        info->requests_total += stats_sum(serving, stat_id, COUNTER_REQUESTS);
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (snapshot->backends[i]->sids != NULL)
            info->sid_entries += (int64_t)sidmap_used(snapshot->backends[i]->sids);
    }
    info->connections = atomic_load(&serving->client_connections);
    info->connections_total = atomic_load(&serving->total_connections);
    info->idle_pct = 100;
    if (serving->samples != NULL) {
        info->connection_rate = serving->samples->connection_rate;
        info->connection_rate_max = serving->samples->connection_rate_max;
        info->bytes_out_rate = serving->samples->bytes_out_rate;
        info->idle_pct = serving->samples->idle_pct;
    }
}

static void info_process(struct info *info, const struct serving *serving)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    info->ulimit_n = (int64_t)files.rlim_cur;
    info->one = 1;
    info->pid = getpid();
    info->max_connections = serving->max_connections;
    info->stopping = atomic_load(&serving->stopping);
    info->listeners = serving->listen_fd_count;
    info->logs_dropped = (int64_t)log_dropped();
    info->started_s = serving->started_wall_ms / 1000;
    info_uptime(info, (clock_mono_ms() - serving->started_ms) / 1000);
    info_node(info);
}

void stats_info(struct serving *serving, struct text *out)
{
    struct info info = {0};
    info_process(&info, serving);
    info_workers(&info, serving);
    info_counters(&info, serving);
    info.tasks = info.threads + 1 + info.flows;
    info.jobs = info.listeners + info.connections;

    for (size_t i = 0; i < array_len(info_keys); i++) {
        const struct info_key *key = &info_keys[i];
        const void *field = (const char *)&info + key->offset;
        switch (key->kind) {
        case INFO_ZERO:
            text_addf(out, "%s: 0\n", key->key);
            break;
        case INFO_NUMBER:
            text_addf(out, "%s: %lld\n", key->key, (long long)*(const int64_t *)field);
            break;
        case INFO_TEXT:
            text_addf(out, "%s: %s\n", key->key, (const char *)field);
            break;
        case INFO_LITERAL:
            text_addf(out, "%s: %s\n", key->key, key->literal);
            break;
        }
    }
}
