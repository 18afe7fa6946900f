// SPDX-License-Identifier: Apache-2.0
/*
 * The access lines of a worker: gathered over a turn, given to the log writer at its end.
 *
 * Clock texts: time zones differ from UTC by whole quarters of an hour, so all seconds of a quarter
 * share date and hour; localtime_r runs once per quarter and not per line. The batch keeps two
 * quarters, for lines name two times: when they are written and when their request began.
 */
#include "lb/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "lb/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_SIZE = 64 * 1024, QUARTER_S = 900 };

/* ---- clock texts ---- */

static void quarter_fill(struct access_quarter *quarter, int64_t number)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t begin = (time_t)(number * QUARTER_S);
    struct tm local, utc;
    localtime_r(&begin, &local);
    gmtime_r(&begin, &utc);
    // The unsigned remainders only tell the compiler how long the texts can become.
    const char *month = months[(unsigned)local.tm_mon % 12];
    unsigned day = (unsigned)local.tm_mday % 100, hour = (unsigned)local.tm_hour % 100;
    snprintf(quarter->time_text, sizeof(quarter->time_text), "%02u/%s/%04u:%02u:", day, month,
             (unsigned)(local.tm_year + 1900) % 10000, hour);
    snprintf(quarter->stamp_text, sizeof(quarter->stamp_text), "%s %2u %02u:", month, day, hour);
    snprintf(quarter->utc_text, sizeof(quarter->utc_text),
             "%04u-%02u-%02uT%02u:", (unsigned)(utc.tm_year + 1900) % 10000,
             (unsigned)(utc.tm_mon + 1) % 100, (unsigned)utc.tm_mday % 100,
             (unsigned)utc.tm_hour % 100);
    quarter->minute = local.tm_min;
    quarter->utc_minute = utc.tm_min;
    quarter->number = number;
}

static const struct access_quarter *batch_quarter(struct access_batch *batch, int64_t wall_s)
{
    int64_t number = wall_s / QUARTER_S;
    struct access_quarter *quarter = &batch->quarters[number & 1];
    if (quarter->number != number)
        quarter_fill(quarter, number);
    return quarter;
}

/* Writes head + "MM:SS". */
static void second_fill(struct access_second *kept, const char *head, int minute, int64_t wall_s)
{
    unsigned into = (unsigned)(wall_s % QUARTER_S);
    snprintf(kept->text, sizeof(kept->text), "%s%02u:%02u", head,
             ((unsigned)minute + into / 60) % 60, into % 60);
    kept->second = wall_s;
}

static const char *batch_stamp(struct access_batch *batch, int64_t wall_s)
{
    if (batch->stamp.second != wall_s) {
        const struct access_quarter *quarter = batch_quarter(batch, wall_s);
        second_fill(&batch->stamp, quarter->stamp_text, quarter->minute, wall_s);
    }
    return batch->stamp.text;
}

static const char *batch_time(struct access_batch *batch, int64_t wall_s)
{
    if (batch->time.second != wall_s) {
        const struct access_quarter *quarter = batch_quarter(batch, wall_s);
        second_fill(&batch->time, quarter->time_text, quarter->minute, wall_s);
    }
    return batch->time.text;
}

static const char *batch_time_utc(struct access_batch *batch, int64_t wall_s)
{
    if (batch->utc.second != wall_s) {
        const struct access_quarter *quarter = batch_quarter(batch, wall_s);
        second_fill(&batch->utc, quarter->utc_text, quarter->utc_minute, wall_s);
    }
    return batch->utc.text;
}

/* ---- the batch ---- */

static void batch_flush(struct access_batch *batch)
{
    if (batch->len > 0 && batch->worker->serving->access != NULL)
        log_sink_write(batch->worker->serving->access, span_of(batch->text, batch->len));
    batch->len = 0;
}

static void batch_on_turn_end(struct turn_hook *hook)
{
    batch_flush(container_of(hook, struct access_batch, flush));
}

bool access_init(struct access_batch *batch, struct worker *worker)
{
    *batch = (struct access_batch){.worker = worker, .pid = (int)getpid()};
    batch->format = worker->serving->config->log.access_format; // Another one needs a restart.
    list_init(&batch->flush.node);
    batch->flush.fn = batch_on_turn_end;
    batch->quarters[0].number = batch->quarters[1].number = -1;
    batch->stamp.second = batch->time.second = batch->utc.second = -1;
    if (gethostname(batch->host, sizeof(batch->host) - 1) != 0 || batch->host[0] == '\0')
        memcpy(batch->host, "localhost", sizeof("localhost"));
    batch->text = malloc(BATCH_SIZE);
    batch->cap = BATCH_SIZE;
    return batch->text != NULL;
}

void access_fini(struct access_batch *batch)
{
    if (batch->text == NULL)
        return;
    batch_flush(batch);
    list_remove(&batch->flush.node);
    free(batch->text);
    batch->text = NULL;
}

bool access_on(const struct worker *worker)
{
    return worker->serving->access != NULL && worker->access.format != ACCESS_OFF;
}

static size_t batch_format(struct access_batch *batch, enum access_format format,
                           const struct access_record *record, char *out)
{
    int64_t began_s = record->accepted_wall_ms / 1000;
    switch (format) {
    case ACCESS_HAPROXY:
        return access_format_haproxy(record, batch_stamp(batch, clock_wall_ms() / 1000),
                                     batch->host, batch->pid, batch_time(batch, began_s), out,
                                     ACCESS_LINE_MAX);
    case ACCESS_JSON:
        return access_format_json(record, batch_time_utc(batch, began_s), out, ACCESS_LINE_MAX);
    case ACCESS_OFF:
        break;
    }
    return 0;
}

void access_write(struct worker *worker, const struct access_record *record)
{
    struct access_batch *batch = &worker->access;
    if (!access_on(worker))
        return;
    if (batch->cap - batch->len < ACCESS_LINE_MAX)
        batch_flush(batch);
    batch->len += batch_format(batch, batch->format, record, batch->text + batch->len);
    loop_at_turn_end(&worker->loop, &batch->flush);
}
