// SPDX-License-Identifier: Apache-2.0
/*
 * `show stat`: which rows there are, in HAProxy's order: the frontends, then each backend's servers
 * and the backend itself. Which columns, and their values, is stats_columns.c's business.
 */
#include "base/clock.h"
#include "lb/control.h"
#include "lb/stats_row.h"

static bool filter_wants(const struct stats_filter *filter, const struct stats_row *row)
{
    const char *name = row->type == STATS_FRONTEND ? row->frontend->name : row->backend->name;
    if (filter->proxy.len > 0 && !span_eq(filter->proxy, span_str(name)))
        return false;
    if (filter->iid != STATS_ANY && filter->iid != stats_iid(row))
        return false;
    if (filter->types != STATS_ANY && !((unsigned)filter->types & 1u << row->type))
        return false;
    if (row->type != STATS_SERVER)
        return true;
    if (filter->sid != STATS_ANY && filter->sid != row->server->sid_id + 1)
        return false;
    if (filter->up_only && !server_alive(row->server))
        return false;
    return !filter->no_maint || atomic_load(&row->server->admin) != SERVER_MAINT;
}

static void add_row(const struct stats_filter *filter, struct stats_row *row, struct text *out)
{
    if (!filter_wants(filter, row))
        return;
    const struct stats_samples *samples = row->serving->samples;
    row->sample = (struct stats_sample){.up = true};
    if (samples != NULL && row->stat_id < samples->count)
        row->sample = samples->blocks[row->stat_id];
    if (filter->format.kind == STATS_JSON && out->len > 0 && out->data[out->len - 1] == ']')
        text_add(out, SPAN(","));
    stats_columns_row(row, filter->format, out);
}

static void add_backend(const struct stats_filter *filter, struct stats_row row, struct text *out)
{
    const struct backend *backend = row.backend;
    row.type = STATS_SERVER;
    for (size_t i = 0; i < backend->server_count; i++) {
        row.server = backend->servers[i];
        row.stat_id = row.server->stat_id;
        row.health = NULL;
        if (backend->config->health_kind != HEALTH_NONE)
            row.health = control_health(row.serving->control, row.server);
        add_row(filter, &row, out);
    }
    row.type = STATS_BACKEND;
    row.server = NULL;
    row.health = NULL;
    row.stat_id = backend->stat_id;
    add_row(filter, &row, out);
}

void stats_csv_some(struct serving *serving, const struct stats_filter *filter, struct text *out)
{
    const struct snapshot *snapshot = serving->snapshot;
    struct stats_row row = {
        .serving = serving,
        .now_ms = clock_mono_ms(),
        .wall_ms = clock_wall_ms(),
        .addresses = filter->addresses,
    };
    if (filter->format.kind == STATS_PLAIN)
        stats_columns_head(out);
    else if (filter->format.kind == STATS_JSON)
        text_add(out, SPAN("["));
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        row.type = STATS_FRONTEND;
        row.frontend = &snapshot->frontends[i];
        row.stat_id = row.frontend->stat_id;
        add_row(filter, &row, out);
    }
    row.frontend = NULL;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        row.backend = snapshot->backends[i];
        add_backend(filter, row, out);
    }
    if (filter->format.kind == STATS_JSON)
        text_add(out, SPAN("]\n"));
}

void stats_csv(struct serving *serving, struct text *out)
{
    const struct stats_filter all = STATS_ALL;
    stats_csv_some(serving, &all, out);
}

bool stats_has_proxy(const struct serving *serving, struct span name)
{
    const struct snapshot *snapshot = serving->snapshot;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        if (span_eq(name, span_str(snapshot->frontends[i].name)))
            return true;
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(name, span_str(snapshot->backends[i]->name)))
            return true;
    }
    return false;
}
