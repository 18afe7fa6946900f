// SPDX-License-Identifier: Apache-2.0
/* What the web_*.c files share. */
#ifndef LIMPET_LB_WEB_PARTS_H
#define LIMPET_LB_WEB_PARTS_H

#include "lb/stats.h"
#include "lb/worker.h"
#include "proto/serve.h"

struct reload_status;

/* ---- web_metrics.c, web_haproxy.c: Prometheus's text format ---- */

#define WEB_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void web_metrics(struct serving *serving, struct text *out);
void web_haproxy(struct serving *serving, struct text *out);
/* A label's value, escaped. */
void web_add_label(struct text *out, struct span value);

/* ---- web_table.c: `show stat` as a table of cells ---- */

struct web_table {
    struct text text;
    struct span *cells; /* rows + 1 times columns; row 0 holds the columns' names */
    size_t columns, rows;
};
/* False: no memory. To be freed in any case. */
bool web_table_read(struct serving *serving, bool addresses, struct web_table *table);
void web_table_free(struct web_table *table);
/* SIZE_MAX: there is none. */
size_t web_table_column(const struct web_table *table, struct span name);
/* row from 0; empty when there is no such column. */
struct span web_table_cell(const struct web_table *table, size_t row, size_t column);

/* ---- web_json.c ---- */

void web_json_stat(struct serving *serving, bool addresses, struct text *out);
void web_json_servers(struct serving *serving, bool addresses, struct text *out);
/* Events with a greater id than `after`. */
void web_json_events(struct serving *serving, uint64_t after, struct text *out);

/* ---- web_servers.c: what a page says of backends and servers ---- */

enum web_state {
    WEB_UP,
    WEB_WAVERING, /* up or down, and the last checks said otherwise */
    WEB_UNCHECKED,
    WEB_NOLB, /* up, but given no new sessions */
    WEB_DRAIN,
    WEB_MAINT,
    WEB_DOWN,
    WEB_STATES
};
const char *web_state_word(enum web_state state); /* "up", "drain" … */

/* A server as numbers. */
struct web_server {
    const struct server *server;
    const struct health_status *health; /* NULL: it is not checked */
    enum web_state state;
    bool alive;                        /* serves the sessions that it has */
    bool usable;                       /* is given new ones */
    int64_t weight, weight_configured; /* now (slow start included), and as the file says */
    int64_t sessions, polling, websocket;
    int64_t inflight, limit; /* 0: no limit */
    int64_t rate;            /* exchanges per second */
    int64_t changed_wall_ms;
};
void web_server_of(struct serving *serving, const struct server *server, struct web_server *out);
/* Sessions of a backend by transport, from the same counters. */
void web_sessions_of(struct serving *serving, const struct backend *backend, int64_t *polling,
                     int64_t *websocket);

/* NULL: nothing is known of reloads. */
const struct reload_status *web_reload_status(const struct serving *serving);

/* ---- web_page.c, web_backends.c: the dashboard ---- */

/* Parts of the page that are sent anew when they change. */
enum web_section { WEB_HEAD, WEB_OVERVIEW, WEB_BACKENDS, WEB_TIMELINE, WEB_CONFIG, WEB_SECTIONS };

enum { WEB_HISTORY = 120 }; /* seconds */
enum web_curve { WEB_SESSIONS, WEB_REQUESTS, WEB_BYTES, WEB_CURVES };
struct web_history {
    int64_t values[WEB_CURVES][WEB_HISTORY];
    size_t count, at; /* taken so far, at most WEB_HISTORY; where the next one goes */
};
void web_history_take(struct serving *serving, struct web_history *history);

/* Whom a page is for, and what it may offer. */
struct web_view {
    struct serving *serving;
    const struct web_history *history;
    const char *token; /* for forms; NULL: no forms, this browser came under a foreign name */
    bool addresses, lookup, actions;
    struct span found; /* the answer to a lookup, or what an action came to; HTML */
};
/* One part, as HTML without line breaks. */
void web_section(const struct web_view *view, enum web_section section, struct text *out);
const char *web_section_id(enum web_section section);
/* The whole page. */
void web_page(const struct web_view *view, struct text *out);
void web_add_backends(const struct web_view *view, struct text *out); /* of WEB_BACKENDS */

/* Bytes as HTML text or attribute value. */
void web_add_html(struct text *out, struct span bytes);
void web_add_number(struct text *out, int64_t value); /* 12,345 */
void web_add_duration(struct text *out, int64_t s);   /* 3 h 12 m */
/* A state's sign: never colour alone. */
void web_add_pill(struct text *out, const char *state, const char *words);

/* The embedded files of lb/dashboard. */
extern const struct span web_index_html, web_style_css, web_app_js, web_icon_svg;

#endif
