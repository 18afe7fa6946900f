// SPDX-License-Identifier: Apache-2.0
/*
 * Access lines. One is written for every exchange, so this is the hot path: no printf, no locale,
 * no system call. A pen writes bytes into the batch and stops at its end; the end lies two bytes
 * before the true one, so that the closing quote (or brace) and the line feed always fit and a long
 * request line is what gets cut.
 *
 * Clock texts: time zones differ from UTC by whole quarters of an hour, so all seconds of a quarter
 * share date and hour; localtime_r runs once per quarter and not per line. The batch keeps two
 * quarters, for lines name two times: when they are written and when their request began.
 *
 * Session ids are credentials: only their first characters are logged, in the request line too.
 * Everything else from the network is escaped.
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

enum {
    BATCH_SIZE = 64 * 1024,
    QUARTER_S = 900,
    SID_SHOWN = 6, /* characters */
};

/* Writes up to `end`; what does not fit is cut. */
struct pen {
    char *at, *end;
};

static void pen_char(struct pen *pen, char c)
{
    if (pen->at < pen->end)
        *pen->at++ = c;
}

static void pen_bytes(struct pen *pen, const char *bytes, size_t len)
{
    size_t room = (size_t)(pen->end - pen->at);
    if (len > room)
        len = room;
    memcpy(pen->at, bytes, len);
    pen->at += len;
}

#define pen_literal(pen, literal) pen_bytes(pen, literal, sizeof(literal) - 1)

static void pen_text(struct pen *pen, const char *text)
{
    pen_bytes(pen, text, strlen(text));
}

static void pen_uint(struct pen *pen, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    pen_bytes(pen, digits + at, sizeof(digits) - at);
}

static void pen_int(struct pen *pen, int64_t value)
{
    if (value < 0)
        pen_char(pen, '-');
    pen_uint(pen, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Exactly `width` digits. */
static void pen_padded(struct pen *pen, unsigned value, size_t width)
{
    char digits[4];
    for (size_t i = width; i > 0; i--, value /= 10)
        digits[i - 1] = (char)('0' + value % 10);
    pen_bytes(pen, digits, width);
}

static void pen_millis(struct pen *pen, int64_t wall_ms)
{
    pen_char(pen, '.');
    pen_padded(pen, (unsigned)(wall_ms % 1000), 3);
}

/* The address without port. IPv4 is most of what comes, and inet_ntop is slow at it. */
static void pen_host(struct pen *pen, const struct addr *addr)
{
    struct span ip = addr_ip_bytes(addr);
    if (ip.len != 4) {
        char text[ADDR_TEXT_MAX];
        pen_text(pen, addr_format_host(addr, text));
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            pen_char(pen, '.');
        pen_uint(pen, (uint8_t)ip.ptr[i]);
    }
}

static void pen_escaped(struct pen *pen, struct span bytes)
{
    size_t room = (size_t)(pen->end - pen->at);
    size_t len = log_escape(bytes, pen->at, room);
    pen->at += len < room ? len : room;
}

static void pen_json_escaped(struct pen *pen, struct span bytes)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (pen->end - pen->at < 6)
            return; // Half an escape would spoil the line.
        if (c == '"' || c == '\\') {
            pen_char(pen, '\\');
            pen_char(pen, (char)c);
        } else if (c >= 0x20 && c < 0x7f) {
            pen_char(pen, (char)c);
        } else {
            pen_literal(pen, "\\u00");
            pen_char(pen, hex[c >> 4]);
            pen_char(pen, hex[c & 15]);
        }
    }
}

typedef void pen_escape_fn(struct pen *pen, struct span bytes);

static void pen_sid(struct pen *pen, struct span sid, pen_escape_fn *escape)
{
    escape(pen, span_upto(sid, SID_SHOWN));
    if (sid.len > SID_SHOWN)
        pen_literal(pen, "...");
}

/* `text` with the sid in it shortened. */
static void pen_without_sid(struct pen *pen, struct span text, struct span sid,
                            pen_escape_fn *escape)
{
    size_t at = sid.len > SID_SHOWN ? span_find(text, sid) : SIZE_MAX;
    if (at == SIZE_MAX) {
        escape(pen, text);
        return;
    }
    escape(pen, span_upto(text, at));
    pen_sid(pen, sid, escape);
    escape(pen, span_from(text, at + sid.len));
}

/* "web sio/a ", HAProxy's way: without a backend the frontend stands in its place. */
static void pen_names(struct pen *pen, const struct access_record *record)
{
    pen_text(pen, record->frontend);
    pen_char(pen, ' ');
    pen_text(pen, record->backend != NULL ? record->backend : record->frontend);
    pen_char(pen, '/');
    pen_text(pen, record->server != NULL ? record->server : "<NOSRV>");
    pen_char(pen, ' ');
}

static void pen_slashed(struct pen *pen, const int64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            pen_char(pen, '/');
        pen_int(pen, values[i]);
    }
}

static void pen_counts(struct pen *pen, const struct access_record *record)
{
    const int64_t open[] = {record->process_connections, record->frontend_connections,
                            record->backend_connections, record->server_connections};
    pen_slashed(pen, open, array_len(open));
    pen_char(pen, '/');
    if (record->redispatched)
        pen_char(pen, '+');
    pen_int(pen, record->retries);
    pen_char(pen, ' ');
    const int64_t queues[] = {record->server_queue, record->backend_queue};
    pen_slashed(pen, queues, array_len(queues));
}

size_t access_format_haproxy(const struct access_record *record, const char *stamp,
                             const char *host, int pid, const char *time, char *out, size_t size)
{
    if (size < 2)
        return 0;
    struct pen pen = {out, out + size - 2};
    pen_text(&pen, stamp);
    pen_char(&pen, ' ');
    pen_text(&pen, host);
    pen_literal(&pen, " limpet[");
    pen_int(&pen, pid);
    pen_literal(&pen, "]: ");
    pen_host(&pen, &record->client);
    pen_char(&pen, ':');
    pen_uint(&pen, addr_port(&record->client));
    pen_literal(&pen, " [");
    pen_text(&pen, time);
    pen_millis(&pen, record->accepted_wall_ms);
    pen_literal(&pen, "] ");
    pen_names(&pen, record);

    const int64_t timers[] = {record->time_request, record->time_queue, record->time_connect,
                              record->time_response, record->time_total};
    pen_slashed(&pen, timers, array_len(timers));
    pen_char(&pen, ' ');
    pen_int(&pen, record->status > 0 ? record->status : -1);
    pen_char(&pen, ' ');
    pen_uint(&pen, record->bytes);
    pen_literal(&pen, " - - ");
    pen_bytes(&pen, end_table[record->reason].flags, 2);
    pen_bytes(&pen, record->cookie_state, 2);
    pen_char(&pen, ' ');
    pen_counts(&pen, record);
    pen_literal(&pen, " \"");
    pen_without_sid(&pen, record->request_line, record->sid, pen_escaped);
    pen.end += 2;
    pen_literal(&pen, "\"\n");
    return (size_t)(pen.at - out);
}

/* ,"key": */
static void json_key(struct pen *pen, const char *key)
{
    pen_literal(pen, ",\"");
    pen_text(pen, key);
    pen_literal(pen, "\":");
}

static void json_int(struct pen *pen, const char *key, int64_t value)
{
    json_key(pen, key);
    pen_int(pen, value);
}

/* A text of ours, or null. */
static void json_text(struct pen *pen, const char *key, const char *text)
{
    json_key(pen, key);
    if (text == NULL) {
        pen_literal(pen, "null");
        return;
    }
    pen_char(pen, '"');
    pen_text(pen, text);
    pen_char(pen, '"');
}

static void json_client(struct pen *pen, const struct addr *client)
{
    json_key(pen, "client");
    pen_char(pen, '"');
    pen_host(pen, client);
    pen_char(pen, '"');
    json_int(pen, "client_port", addr_port(client));
}

static void json_times(struct pen *pen, const struct access_record *record)
{
    json_int(pen, "request_ms", record->time_request);
    json_int(pen, "queue_ms", record->time_queue);
    json_int(pen, "connect_ms", record->time_connect);
    json_int(pen, "response_ms", record->time_response);
    json_int(pen, "total_ms", record->time_total);
}

static void json_network_text(struct pen *pen, const char *key, struct span text, struct span sid)
{
    json_key(pen, key);
    pen_char(pen, '"');
    pen_without_sid(pen, text, sid, pen_json_escaped);
    pen_char(pen, '"');
}

/* The target comes last, and has all the room that is left. */
size_t access_format_json(const struct access_record *record, const char *time, char *out,
                          size_t size)
{
    if (size < 3)
        return 0;
    struct pen pen = {out, out + size - 3};
    pen_literal(&pen, "{\"time\":\"");
    pen_text(&pen, time);
    pen_millis(&pen, record->accepted_wall_ms);
    pen_literal(&pen, "Z\"");
    json_client(&pen, &record->client);
    json_text(&pen, "frontend", record->frontend);
    json_text(&pen, "backend", record->backend);
    json_text(&pen, "server", record->server);
    json_int(&pen, "status", record->status);
    pen_literal(&pen, ",\"bytes\":");
    pen_uint(&pen, record->bytes);
    json_times(&pen, record);
    json_text(&pen, "reason", end_table[record->reason].word);
    json_int(&pen, "retries", record->retries);
    json_key(&pen, "redispatched");
    pen_text(&pen, record->redispatched ? "true" : "false");
    json_text(&pen, "transport", record->transport);
    json_network_text(&pen, "sid", record->sid, record->sid);
    json_network_text(&pen, "request_id", span_upto(record->request_id, 128), SPAN_NONE);
    json_network_text(&pen, "method", span_upto(record->method, 32), SPAN_NONE);
    json_key(&pen, "target");
    pen_char(&pen, '"');
    pen_without_sid(&pen, record->target, record->sid, pen_json_escaped);
    pen.end += 3;
    pen_literal(&pen, "\"}\n");
    return (size_t)(pen.at - out);
}

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

/* head + "MM:SS" */
static void clock_text(const char *head, int minute, int64_t wall_s, char *out, size_t size)
{
    unsigned into = (unsigned)(wall_s % QUARTER_S);
    struct pen pen = {out, out + size - 1};
    pen_text(&pen, head);
    pen_padded(&pen, ((unsigned)minute + into / 60) % 60, 2);
    pen_char(&pen, ':');
    pen_padded(&pen, into % 60, 2);
    *pen.at = '\0';
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
    list_init(&batch->flush.node);
    batch->flush.fn = batch_on_turn_end;
    batch->quarters[0].number = batch->quarters[1].number = -1;
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
    const struct serving *serving = worker->serving;
    return serving->access != NULL && serving->config->log.access_format != ACCESS_OFF;
}

static size_t batch_format(struct access_batch *batch, enum access_format format,
                           const struct access_record *record, char *out)
{
    char time[32], stamp[32];
    int64_t began_s = record->accepted_wall_ms / 1000;
    const struct access_quarter *began = batch_quarter(batch, began_s);
    switch (format) {
    case ACCESS_HAPROXY:
        break;
    case ACCESS_JSON:
        clock_text(began->utc_text, began->utc_minute, began_s, time, sizeof(time));
        return access_format_json(record, time, out, ACCESS_LINE_MAX);
    case ACCESS_OFF:
        return 0;
    }
    clock_text(began->time_text, began->minute, began_s, time, sizeof(time));
    int64_t now_s = clock_wall_ms() / 1000;
    const struct access_quarter *now = batch_quarter(batch, now_s);
    clock_text(now->stamp_text, now->minute, now_s, stamp, sizeof(stamp));
    return access_format_haproxy(record, stamp, batch->host, batch->pid, time, out,
                                 ACCESS_LINE_MAX);
}

void access_write(struct worker *worker, const struct access_record *record)
{
    struct access_batch *batch = &worker->access;
    if (!access_on(worker))
        return;
    if (batch->cap - batch->len < ACCESS_LINE_MAX)
        batch_flush(batch);
    enum access_format format = worker->serving->config->log.access_format;
    batch->len += batch_format(batch, format, record, batch->text + batch->len);
    loop_at_turn_end(&worker->loop, &batch->flush);
}
