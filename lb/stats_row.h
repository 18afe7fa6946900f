// SPDX-License-Identifier: Apache-2.0
/* What the stats_*.c files share: samples, and one row of `show stat` with its columns. */
#ifndef LIMPET_LB_STATS_ROW_H
#define LIMPET_LB_STATS_ROW_H

#include "health/health.h"
#include "lb/stats.h"

/* Of one counter block, once a second. */
struct stats_sample {
    int64_t sessions, requests; /* totals at the last tick */
    int64_t rate,
        rate_max; /* sessions per second: connections of a frontend, exchanges of others */
    int64_t request_rate, request_rate_max;
    int64_t now_max,
        queued_max;          /* exchanges in flight, requests queued: the most that a tick saw */
    int64_t last_session_ms; /* monotonic; 0: never */
    bool up;                 /* backends: some server is usable */
    int64_t changed_ms, down_total_ms; /* of `up`; down_total_ms up to the last change */
    int64_t downs;
};

struct stats_samples {
    int64_t tick_ms; /* of the last tick */
    int64_t connections, connection_rate, connection_rate_max;
    int64_t bytes_out, bytes_out_rate;
    uint64_t busy_us;
    int idle_pct;
    size_t count; /* of blocks */
    struct stats_sample blocks[];
};

/* A row: a frontend, a backend, or a server of it. */
struct stats_row {
    struct serving *serving;
    enum stats_row_type type;
    const struct frontend *frontend;    /* STATS_FRONTEND */
    const struct backend *backend;      /* the others */
    const struct server *server;        /* STATS_SERVER */
    const struct health_status *health; /* STATS_SERVER with checks; else NULL */
    struct stats_sample sample;         /* zeros before the first tick */
    uint16_t stat_id;
    int64_t now_ms, wall_ms;
    bool addresses;
};

/* The head line, with its line feed, and one row. */
void stats_columns_head(struct text *out);
void stats_columns_row(const struct stats_row *row, struct stats_format format, struct text *out);

/* Of the json forms: "tags":{…}, and "value":{…}. `tags` as in stats_typed.c. */
void stats_add_json_tags(const char *tags, struct text *out);
void stats_add_json_value(const char *tags, struct span value, struct text *out);

/* A number that is not there: an empty column. */
#define STATS_NOTHING INT64_MIN

/* Values of columns: stats_health.c. */
int64_t stats_checks_failed(const struct stats_row *row);
int64_t stats_downs(const struct stats_row *row);
int64_t stats_last_change_s(const struct stats_row *row);
int64_t stats_downtime_s(const struct stats_row *row);
int64_t stats_check_code(const struct stats_row *row);
int64_t stats_check_duration(const struct stats_row *row);
int64_t stats_check_rise(const struct stats_row *row);
int64_t stats_check_fall(const struct stats_row *row);
int64_t stats_check_health(const struct stats_row *row);
void stats_status(const struct stats_row *row, struct text *out);
void stats_check_status(const struct stats_row *row, struct text *out);
void stats_check_detail(const struct stats_row *row, struct text *out);
void stats_check_text(const struct stats_row *row, struct text *out);

bool stats_backend_up(const struct backend *backend);
int stats_iid(const struct stats_row *row);
/* Bytes of ours for a column: commas, quotes and control characters become spaces. */
void stats_add_plain(struct text *out, struct span bytes);

#endif
