// SPDX-License-Identifier: Apache-2.0
/*
 * The columns of `show stat` that say how a server is: status, checks, since when. A server without
 * checks (health NULL) has none of the check columns.
 *
 * A server that is up has `bad` failures in a row, one that is down has `good` successes; HAProxy
 * shows both as what is left or reached of fall or rise: "UP 2/3" has lost one of three lives,
 * "DOWN 1/2" needs one more. A backend's times come from the samples.
 */
#include "lb/stats_row.h"

int64_t stats_checks_failed(const struct stats_row *row)
{
    return row->health != NULL ? (int64_t)row->health->failed_checks : STATS_NOTHING;
}

int64_t stats_downs(const struct stats_row *row)
{
    if (row->type == STATS_BACKEND)
        return row->sample.downs;
    return row->health != NULL ? (int64_t)row->health->downs : STATS_NOTHING;
}

int64_t stats_last_change_s(const struct stats_row *row)
{
    int64_t since_start = row->now_ms - row->serving->started_ms;
    if (row->type == STATS_BACKEND) {
        int64_t at = row->sample.changed_ms;
        return (at > 0 ? row->now_ms - at : since_start) / 1000;
    }
    int64_t changed = atomic_load(&row->server->changed_ms);
    int64_t since = changed > 0 ? row->wall_ms - changed : since_start;
    return since > 0 ? since / 1000 : 0;
}

static int64_t downtime_ms(const struct stats_row *row)
{
    if (row->type == STATS_BACKEND) {
        const struct stats_sample *sample = &row->sample;
        bool down = !sample->up && sample->changed_ms > 0;
        return sample->down_total_ms + (down ? row->now_ms - sample->changed_ms : 0);
    }
    if (row->health == NULL)
        return 0;
    bool down = row->health->state == HEALTH_DOWN;
    return row->health->down_total_ms + (down ? row->now_ms - row->health->changed_ms : 0);
}

int64_t stats_downtime_s(const struct stats_row *row)
{
    if (row->type == STATS_SERVER && row->health == NULL)
        return STATS_NOTHING;
    return downtime_ms(row) / 1000;
}

int64_t stats_check_code(const struct stats_row *row)
{
    return row->health != NULL && row->health->code > 0 ? row->health->code : STATS_NOTHING;
}

int64_t stats_check_duration(const struct stats_row *row)
{
    return row->health != NULL && row->health->duration_ms >= 0 ? row->health->duration_ms
                                                                : STATS_NOTHING;
}

int64_t stats_check_rise(const struct stats_row *row)
{
    return row->health != NULL ? row->backend->config->opt.health_rise : STATS_NOTHING;
}

int64_t stats_check_fall(const struct stats_row *row)
{
    return row->health != NULL ? row->backend->config->opt.health_fall : STATS_NOTHING;
}

/* Checks that count, of rise or fall: a server that is down has `good` of rise, one that is up has
 * lost `bad` of fall. */
static int64_t checks_good(const struct stats_row *row)
{
    int64_t rise = row->backend->config->opt.health_rise, good = row->health->good;
    return good < rise ? good : rise - 1;
}

static int64_t checks_left(const struct stats_row *row)
{
    int64_t left = row->backend->config->opt.health_fall - row->health->bad;
    return left > 0 ? left : 1;
}

int64_t stats_check_health(const struct stats_row *row)
{
    if (row->health == NULL)
        return STATS_NOTHING;
    if (row->health->state == HEALTH_DOWN)
        return checks_good(row);
    return row->backend->config->opt.health_rise + checks_left(row) - 1;
}

static void status_down(const struct stats_row *row, struct text *out)
{
    if (row->health != NULL && row->health->good > 0)
        text_addf(out, "DOWN %d/%d", (int)checks_good(row),
                  (int)row->backend->config->opt.health_rise);
    else
        text_add(out, SPAN("DOWN"));
}

/* Of a server that gets new sessions. */
static void status_up(const struct stats_row *row, struct text *out)
{
    if (atomic_load(&row->server->health) == SERVER_UNCHECKED)
        text_add(out, SPAN("no check"));
    else if (row->health != NULL && row->health->bad > 0)
        text_addf(out, "UP %d/%d", (int)checks_left(row),
                  (int)row->backend->config->opt.health_fall);
    else
        text_add(out, SPAN("UP"));
}

/* As HAProxy: maintenance hides a failure, a failure hides a drain; weight 0 is a drain.
 * NOLB: it has not followed Redis, and others get the new sessions. */
void stats_status(const struct stats_row *row, struct text *out)
{
    if (row->type == STATS_FRONTEND) {
        text_add(out, atomic_load(&row->frontend->home->disabled) ? SPAN("MAINT") : SPAN("OPEN"));
        return;
    }
    if (row->type == STATS_BACKEND) {
        text_add(out, stats_backend_up(row->backend) ? SPAN("UP") : SPAN("DOWN"));
        return;
    }
    int admin = atomic_load(&row->server->admin);
    if (admin == SERVER_MAINT)
        text_add(out, SPAN("MAINT"));
    else if (atomic_load(&row->server->health) == SERVER_DOWN)
        status_down(row, out);
    else if (admin == SERVER_DRAIN || atomic_load(&row->server->weight) == 0)
        text_add(out, SPAN("DRAIN"));
    else if (server_held(row->backend, row->server))
        text_add(out, SPAN("NOLB"));
    else
        status_up(row, out);
}

void stats_check_status(const struct stats_row *row, struct text *out)
{
    if (row->health != NULL)
        text_add(out, span_str(check_status_word(row->health->check)));
}

void stats_check_detail(const struct stats_row *row, struct text *out)
{
    if (row->health != NULL)
        stats_add_plain(out, span_str(row->health->detail));
}

void stats_check_text(const struct stats_row *row, struct text *out)
{
    if (row->health != NULL)
        stats_add_plain(out, span_str(check_status_text(row->health->check)));
}
