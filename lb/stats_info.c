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
#include "lb/reload.h"
#include "lb/secure.h"
#include "lb/stats_row.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RELEASE_DATE "2026/11/21"

struct info {
    int64_t threads, one, pid, uptime_s, ulimit_n, max_connections, hard_max_connections,
        connections, connections_total, requests_total, connection_rate, connection_rate_max, tasks,
        idle_pct, stopping, jobs, listeners, logs_dropped, bytes_out, bytes_out_rate, started_s,
        buffers_lent, buffers_kept, buffers_mapped, buffer_bytes, buffer_mb, buffer_bytes_used,
        pool_grown, flows, tunnels, polls, sid_entries, reloads, reloads_failed, reload_ok,
        loaded_s, predecessor, certificates, certificate_days;
    char config_file[256], config_checksum[24], reload_error[512], reload_restart[512];
    char uptime[48];
    char node[65];
};

enum info_kind { INFO_ZERO, INFO_NUMBER, INFO_TEXT, INFO_LITERAL };
struct info_key {
    const char *key;
    enum info_kind kind;
    size_t offset; /* in struct info */
    const char *literal;
    const char *tags; /* of `show info typed`: origin, nature, scope, and the type */
    const char *help;
};

// clang-format off
#define ZERO           INFO_ZERO, 0, NULL
#define NUMBER(field)  INFO_NUMBER, offsetof(struct info, field), NULL
#define TEXT(field)    INFO_TEXT, offsetof(struct info, field), NULL
#define LITERAL(text)  INFO_LITERAL, 0, text

static const struct info_key info_keys[] = {
    {"Name", LITERAL("limpet"), "POS:str", "the program"},
    {"Version", LITERAL(LIMPET_VERSION), "POS:str", "its version"},
    {"Release_date", LITERAL(RELEASE_DATE), "POS:str", "when that was released"},
    {"Nbthread", NUMBER(threads), "CGS:u32", "worker threads"},
    {"Nbproc", NUMBER(one), "CGS:u32", "serving processes (always 1)"},
    {"Process_num", NUMBER(one), "KGP:u32", "number of the process (always 1)"},
    {"Pid", NUMBER(pid), "SGP:u32", "process id of the serving process"},
    {"Uptime", TEXT(uptime), "MDP:str", "since the serving process started"},
    {"Uptime_sec", NUMBER(uptime_s), "MDP:u32", "the same in seconds"},
    {"Memmax_MB", ZERO, "CLP:u32", "limit on memory (none)"},
    {"PoolAlloc_MB", NUMBER(buffer_mb), "MGP:u32", "memory of buffers, in MiB"},
    {"PoolUsed_MB", NUMBER(buffer_mb), "MGP:u32", "the part of it in use"},
    {"PoolFailed", ZERO, "MCP:u32", "always 0"},
    {"Ulimit-n", NUMBER(ulimit_n), "CLP:u32", "limit on file descriptors"},
    {"Maxsock", NUMBER(ulimit_n), "CLP:u32", "the same"},
    {"Maxconn", NUMBER(max_connections), "CLP:u32", "client connections admitted at most"},
    {"Hard_maxconn", NUMBER(hard_max_connections), "CLP:u32", "what that may be set to"},
    {"CurrConns", NUMBER(connections), "MGP:u32", "client connections now"},
    {"CumConns", NUMBER(connections_total), "MCP:u32", "client connections accepted"},
    {"CumReq", NUMBER(requests_total), "MCP:u32", "requests received"},
    {"MaxSslConns", ZERO, "MMP:u32", "always 0"},
    {"CurrSslConns", ZERO, "MGP:u32", "always 0"},
    {"CumSslConns", ZERO, "MCP:u32", "always 0"},
    {"Maxpipes", ZERO, "CLP:u32", "always 0"},
    {"PipesUsed", ZERO, "MGP:u32", "always 0"},
    {"PipesFree", ZERO, "MGP:u32", "always 0"},
    {"ConnRate", NUMBER(connection_rate), "MRP:u32", "client connections accepted in the last second"},
    {"ConnRateLimit", ZERO, "CLP:u32", "always 0"},
    {"MaxConnRate", NUMBER(connection_rate_max), "MMP:u32", "the highest ConnRate"},
    {"SessRate", NUMBER(connection_rate), "MRP:u32", "like ConnRate"},
    {"SessRateLimit", ZERO, "CLP:u32", "always 0"},
    {"MaxSessRate", NUMBER(connection_rate_max), "MRP:u32", "like MaxConnRate"},
    {"SslRate", ZERO, "MRP:u32", "always 0"},
    {"SslRateLimit", ZERO, "CLP:u32", "always 0"},
    {"MaxSslRate", ZERO, "MMP:u32", "always 0"},
    {"SslFrontendKeyRate", ZERO, "MGP:u32", "always 0"},
    {"SslFrontendMaxKeyRate", ZERO, "MMP:u32", "always 0"},
    {"SslFrontendSessionReuse_pct", ZERO, "MGP:u32", "always 0"},
    {"SslBackendKeyRate", ZERO, "MRP:u32", "always 0"},
    {"SslBackendMaxKeyRate", ZERO, "MMP:u32", "always 0"},
    {"SslCacheLookups", ZERO, "MCP:u32", "always 0"},
    {"SslCacheMisses", ZERO, "MCP:u32", "always 0"},
    {"CompressBpsIn", ZERO, "MRP:u32", "always 0"},
    {"CompressBpsOut", ZERO, "MRP:u32", "always 0"},
    {"CompressBpsRateLim", ZERO, "CLP:u32", "always 0"},
    {"Tasks", NUMBER(tasks), "MGP:u32", "threads and client connections"},
    {"Run_queue", ZERO, "MGP:u32", "always 0"},
    {"Idle_pct", NUMBER(idle_pct), "MaP:u32", "share of the last second in which workers used no CPU"},
    {"node", TEXT(node), "COS:str", "name of the host"},
    {"Stopping", NUMBER(stopping), "MGP:u32", "1 during a graceful stop"},
    {"Jobs", NUMBER(jobs), "MGP:u32", "listening sockets and client connections"},
    {"Unstoppable Jobs", ZERO, "MGP:u32", "always 0"},
    {"Listeners", NUMBER(listeners), "MGP:u32", "listening sockets"},
    {"ActivePeers", ZERO, "MGP:u32", "always 0"},
    {"ConnectedPeers", ZERO, "MGP:u32", "always 0"},
    {"DroppedLogs", NUMBER(logs_dropped), "MGP:u32", "log lines dropped because nobody took them"},
    {"BusyPolling", ZERO, "MGP:u32", "always 0"},
    {"FailedResolutions", ZERO, "MGP:u32", "always 0"},
    {"TotalBytesOut", NUMBER(bytes_out), "MGP:u64", "bytes sent to clients"},
    {"TotalSplicdedBytesOut", ZERO, "MGP:u64", "always 0"}, /* HAProxy's spelling */
    {"BytesOutRate", NUMBER(bytes_out_rate), "MRP:u64", "bytes sent to clients in the last second"},
    {"DebugCommandsIssued", ZERO, "MGP:u32", "always 0"},
    {"CumRecvLogs", ZERO, "MCP:u32", "always 0"},
    {"Build info", LITERAL(LIMPET_VERSION), "POS:str", "the version again"},
    {"Memmax_bytes", ZERO, "CLP:u32", "limit on memory (none)"},
    {"PoolAlloc_bytes", NUMBER(buffer_bytes), "MGP:u64", "memory of buffers"},
    {"PoolUsed_bytes", NUMBER(buffer_bytes_used), "MGP:u64", "the part of it in use"},
    {"Start_time_sec", NUMBER(started_s), "MDP:u32", "when the serving process started, seconds since 1970"},
    {"Tainted", ZERO, "SGP:str", "always 0"},
    {"Buffers_lent", NUMBER(buffers_lent), "MGP:u64", "buffers in use"},
    {"Buffers_kept", NUMBER(buffers_kept), "MGP:u64", "buffers kept for the next use"},
    {"Buffers_mapped", NUMBER(buffers_mapped), "MGP:u64", "buffers that were asked from the system"},
    {"Buffer_bytes", NUMBER(buffer_bytes), "MGP:u64", "memory of all buffers"},
    {"Pool_grown", NUMBER(pool_grown), "MCP:u64", "times that the system was asked for memory for objects"},
    {"Flows", NUMBER(flows), "MGP:u64", "client connections that workers hold"},
    {"Tunnels", NUMBER(tunnels), "MGP:u64", "WebSocket tunnels open"},
    {"Polls", NUMBER(polls), "MGP:u64", "polls that servers hold"},
    {"Sid_entries", NUMBER(sid_entries), "MGP:u64", "Engine.IO sessions in the tables"},
    {"Config_file", TEXT(config_file), "CGP:str", "the configuration file"},
    {"Config_checksum", TEXT(config_checksum), "CGP:str", "of the text that is in force"},
    {"Config_loaded_sec", NUMBER(loaded_s), "MDP:u32", "when that was loaded, seconds since 1970"},
    {"Reload_count", NUMBER(reloads), "MCP:u32", "reloads that were done"},
    {"Reload_failures", NUMBER(reloads_failed), "MCP:u32", "reloads that were refused and changed nothing"},
    {"Reload_last_ok", NUMBER(reload_ok), "MGP:u32", "0 if the last reload was refused"},
    {"Reload_last_error", TEXT(reload_error), "MGP:str", "why it was, with file, line and column"},
    {"Predecessor_pid", NUMBER(predecessor), "SGP:u32", "after an upgrade, the master before it while it drains; else 0"},
    {"Reload_needs_restart", TEXT(reload_restart), "MGP:str", "options whose new values wait for a restart"},
    {"Certificates", NUMBER(certificates), "CGP:u32", "certificates of TLS"},
    {"Certificate_days_left", NUMBER(certificate_days), "MGP:s64", "until the first of them ends; negative if one has, 0 if there are none"},
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
    info->buffer_mb = info->buffer_bytes / (INT64_C(1024) * 1024);
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
    info->hard_max_connections = serving->hard_max_connections;
    info->stopping = atomic_load(&serving->stopping);
    info->listeners = serving->listen_fd_count;
    info->logs_dropped = (int64_t)log_dropped();
    info->started_s = serving->started_wall_ms / 1000;
    info_uptime(info, (clock_mono_ms() - serving->started_ms) / 1000);
    info_node(info);
}

static void info_certificate(const struct secure_certificate *certificate, void *ctx)
{
    struct info *info = ctx;
    int64_t days = secure_days_left(certificate, clock_wall_ms());
    if (info->certificates++ == 0 || days < info->certificate_days)
        info->certificate_days = days;
}

static void info_reload(struct info *info, const struct serving *serving)
{
    const struct reload_status *status = serving->reload_status;
    snprintf(info->config_file, sizeof(info->config_file), "%s", serving->config->file);
    snprintf(info->config_checksum, sizeof(info->config_checksum), "%016llx",
             (unsigned long long)serving->config->checksum);
    info->predecessor = serving->predecessor;
    info->reload_ok = 1;
    info->loaded_s = info->started_s;
    if (status == NULL)
        return;
    info->loaded_s = status->loaded_wall_ms / 1000;
    info->reloads = (int64_t)status->done;
    info->reloads_failed = (int64_t)status->failed;
    info->reload_ok = !status->last_failed;
    snprintf(info->reload_error, sizeof(info->reload_error), "%s", status->error);
    snprintf(info->reload_restart, sizeof(info->reload_restart), "%s", status->restart);
}

/* As text: "s" unless it is written there already. */
static const char *info_text(const struct info *info, const struct info_key *key, char number[24])
{
    const void *field = (const char *)info + key->offset;
    switch (key->kind) {
    case INFO_ZERO:
        return "0";
    case INFO_NUMBER:
        snprintf(number, 24, "%lld", (long long)*(const int64_t *)field);
        return number;
    case INFO_TEXT:
        return field;
    case INFO_LITERAL:
        return key->literal;
    }
    return "";
}

static void info_typed(size_t pos, const struct info_key *key, const char *value, bool described,
                       struct text *out)
{
    text_addf(out, "%zu.%s.1:%s:%s", pos, key->key, key->tags, value);
    if (described)
        text_addf(out, ":\"%s\"", key->help);
    text_add(out, SPAN("\n"));
}

static void info_json(size_t pos, const struct info_key *key, const char *value, bool described,
                      struct text *out)
{
    text_addf(out, "%s{\"field\":{\"pos\":%zu,\"name\":\"%s\"},\"processNum\":1,",
              pos > 0 ? "," : "", pos, key->key);
    stats_add_json_tags(key->tags, out);
    stats_add_json_value(key->tags, span_str(value), out);
    if (described)
        text_addf(out, ",\"desc\":\"%s\"", key->help);
    text_add(out, SPAN("}"));
}

void stats_info_as(struct serving *serving, struct stats_format format, struct text *out)
{
    struct info info = {0};
    info_process(&info, serving);
    info_reload(&info, serving);
    secure_each(serving->snapshot, info_certificate, &info);
    info_workers(&info, serving);
    info_counters(&info, serving);
    info.tasks = info.threads + 1 + info.flows;
    info.jobs = info.listeners + info.connections;

    if (format.kind == STATS_JSON)
        text_add(out, SPAN("["));
    for (size_t i = 0; i < array_len(info_keys); i++) {
        const struct info_key *key = &info_keys[i];
        char number[24];
        const char *value = info_text(&info, key, number);
        switch (format.kind) {
        case STATS_PLAIN:
            text_addf(out, "%s: %s", key->key, value);
            if (format.described)
                text_addf(out, ":\"%s\"", key->help);
            text_add(out, SPAN("\n"));
            break;
        case STATS_TYPED:
            info_typed(i, key, value, format.described, out);
            break;
        case STATS_JSON:
            info_json(i, key, value, format.described, out);
            break;
        }
    }
    if (format.kind == STATS_JSON)
        text_add(out, SPAN("]\n"));
}

void stats_info(struct serving *serving, struct text *out)
{
    stats_info_as(serving, (struct stats_format){STATS_PLAIN, false}, out);
}

void stats_info_reference(FILE *out)
{
    fputs("| key | meaning |\n|---|---|\n", out);
    for (size_t i = 0; i < array_len(info_keys); i++)
        fprintf(out, "| `%s` | %s |\n", info_keys[i].key, info_keys[i].help);
}
