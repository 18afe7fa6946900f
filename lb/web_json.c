// SPDX-License-Identifier: Apache-2.0
/*
 * `/api/v1/…`: the same numbers as JSON. `stat` is `show info` and `show stat` with their own names,
 * `servers` is what the dashboard's table shows, `events` its timeline.
 */
#include "health/health.h"
#include "lb/events.h"
#include "lb/web_parts.h"

#include <string.h>

static void add_string(struct text *out, struct span value)
{
    text_add(out, SPAN("\""));
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == '"' || c == '\\')
            text_addf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            text_addf(out, "\\u%04x", c);
        else
            text_add(out, span_of(&value.ptr[i], 1));
    }
    text_add(out, SPAN("\""));
}

static bool is_number(struct span value)
{
    uint64_t number;
    if (value.len > 1 && value.ptr[0] == '-')
        value = span_from(value, 1);
    return value.len < 16 && span_to_u64(value, &number) && (value.len == 1 || value.ptr[0] != '0');
}

/* A number as one, nothing as null, all else as a string. */
static void add_value(struct text *out, struct span value)
{
    if (value.len == 0)
        text_add(out, SPAN("null"));
    else if (is_number(value))
        text_add(out, value);
    else
        add_string(out, value);
}

/* ---- stat ---- */

static void add_info(struct serving *serving, struct text *out)
{
    struct text info = {0};
    stats_info(serving, &info);
    out->failed = out->failed || info.failed;
    struct span rest = span_of(info.data, info.len);
    const char *comma = "";
    while (rest.ptr != NULL) {
        struct span line = span_cut(&rest, '\n');
        struct span key = span_cut(&line, ':');
        if (key.len == 0)
            continue;
        text_addf(out, "%s", comma);
        add_string(out, key);
        text_add(out, SPAN(":"));
        add_value(out, span_trim(line));
        comma = ",";
    }
    text_free(&info);
}

/* Server names may look like numbers and are strings all the same. */
static bool is_name(struct span column)
{
    return span_eq(column, SPAN("pxname")) || span_eq(column, SPAN("svname")) ||
           span_eq(column, SPAN("cookie"));
}

static void add_row(const struct web_table *table, size_t row, struct text *out)
{
    const char *comma = "";
    text_add(out, SPAN("{"));
    for (size_t i = 0; i < table->columns; i++) {
        struct span name = table->cells[i], value = web_table_cell(table, row, i);
        if (span_eq(name, SPAN("-")) || value.len == 0)
            continue;
        text_addf(out, "%s\"%.*s\":", comma, SPAN_ARG(name));
        if (is_name(name))
            add_string(out, value);
        else
            add_value(out, value);
        comma = ",";
    }
    text_add(out, SPAN("}"));
}

void web_json_stat(struct serving *serving, bool addresses, struct text *out)
{
    struct web_table table;
    text_add(out, SPAN("{\"info\":{"));
    add_info(serving, out);
    text_add(out, SPAN("},\"stat\":["));
    out->failed = !web_table_read(serving, addresses, &table) || out->failed;
    for (size_t row = 0; row < table.rows; row++) {
        text_add(out, row > 0 ? SPAN(",\n") : SPAN("\n"));
        add_row(&table, row, out);
    }
    text_add(out, SPAN("\n]}\n"));
    web_table_free(&table);
}

/* ---- servers ---- */

static void add_check(const struct health_status *health, struct text *out)
{
    if (health == NULL) {
        text_add(out, SPAN("null"));
        return;
    }
    text_addf(out, "{\"status\":\"%s\",\"code\":", check_status_word(health->check));
    text_addf(out, health->code > 0 ? "%d" : "null", health->code);
    text_addf(out, health->duration_ms >= 0 ? ",\"duration_ms\":%lld" : ",\"duration_ms\":null",
              (long long)health->duration_ms);
    text_add(out, SPAN(",\"detail\":"));
    add_string(out, span_str(health->detail));
    text_addf(out, ",\"failed\":%llu,\"downs\":%llu}", (unsigned long long)health->failed_checks,
              (unsigned long long)health->downs);
}

static void add_server(struct serving *serving, const struct server *server, bool addresses,
                       struct text *out)
{
    struct web_server it;
    web_server_of(serving, server, &it);
    text_add(out, SPAN("{\"name\":"));
    add_string(out, span_str(server->name));
    if (addresses && server->addr_known) {
        char address[ADDR_TEXT_MAX];
        text_add(out, SPAN(",\"address\":"));
        add_string(out, span_str(addr_format(&server->addr, address)));
    }
    text_addf(out, ",\"state\":\"%s\",\"usable\":%s", web_state_word(it.state),
              it.usable ? "true" : "false");
    text_addf(out, ",\"backup\":%s",
              server->config != NULL && server->config->opt.backup ? "true" : "false");
    text_addf(out, ",\"weight\":%lld,\"weight_configured\":%lld", (long long)it.weight,
              (long long)it.weight_configured);
    text_addf(out, ",\"sessions\":{\"all\":%lld,\"polling\":%lld,\"websocket\":%lld}",
              (long long)it.sessions, (long long)it.polling, (long long)it.websocket);
    text_addf(out, ",\"inflight\":%lld,\"max_connections\":%lld,\"rate\":%lld",
              (long long)it.inflight, (long long)it.limit, (long long)it.rate);
    text_addf(out, ",\"changed_ms\":%lld,\"check\":", (long long)it.changed_wall_ms);
    add_check(it.health, out);
    text_add(out, SPAN("}"));
}

void web_json_servers(struct serving *serving, bool addresses, struct text *out)
{
    const struct snapshot *snapshot = serving->snapshot;
    text_add(out, SPAN("{\"backends\":["));
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        text_add(out, i > 0 ? SPAN(",\n{\"name\":") : SPAN("\n{\"name\":"));
        add_string(out, span_str(backend->name));
        text_add(out, SPAN(",\"servers\":["));
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            text_add(out, k > 0 ? SPAN(",\n") : SPAN("\n"));
            add_server(serving, backend->servers[k], addresses, out);
        }
        text_add(out, SPAN("]}"));
    }
    text_add(out, SPAN("\n]}\n"));
}

/* ---- events ---- */

void web_json_events(struct serving *serving, uint64_t after, struct text *out)
{
    const char *comma = "";
    text_addf(out, "{\"last\":%llu,\"events\":[", (unsigned long long)events_last_id(serving));
    for (size_t i = 0; i < events_count(serving); i++) {
        const struct event *event = events_at(serving, i);
        if (event->id <= after)
            continue;
        text_addf(out, "%s\n{\"id\":%llu,\"time_ms\":%lld,\"kind\":\"%s\",\"text\":", comma,
                  (unsigned long long)event->id, (long long)event->wall_ms,
                  event_kind_word(event->kind));
        add_string(out, span_str(event->text));
        text_add(out, SPAN("}"));
        comma = ",";
    }
    text_add(out, SPAN("\n]}\n"));
}
