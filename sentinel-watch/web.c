// SPDX-License-Identifier: Apache-2.0
/*
 * What is served over HTTP. Nothing here changes anything.
 *
 * /events is a stream of server-sent events: every entry of the journal, with its id, so that a
 * reader that comes back with Last-Event-ID (or ?after=ID) gets what it has missed, as far as it is
 * kept. A reader that is too slow for a moment gets everything that is kept instead of what was new;
 * it knows by the ids what it has already.
 */
#include "sentinel-watch/web.h"

#include "proto/serve.h"
#include "sentinel-watch/show.h"

#include <inttypes.h>
#include <stdlib.h>

#define SAFE                                                                                       \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"      \
    "Cross-Origin-Resource-Policy: same-origin\r\n"

struct web {
    struct service *service;
    struct serve *serve;
};

static void add_event(const struct entry *entry, struct text *out)
{
    text_addf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", entry->id, entry_word(entry->kind));
    entry_json(entry, out);
    text_add(out, SPAN("\n\n"));
}

static void add_events(const struct journal *journal, uint64_t after, struct text *out)
{
    const struct entry *entry = journal_next(journal, after);
    for (; entry; entry = journal_next(journal, entry->id))
        add_event(entry, out);
}

/* Where the reader has been; a new one gets what comes from now on. */
static uint64_t seen_by(const struct serve_request *request, uint64_t last)
{
    uint64_t seen;
    struct span after = request->query;
    if (span_to_u64(request->last_event_id, &seen))
        return seen;
    if (span_starts(after, SPAN("after=")) && span_to_u64(span_from(after, 6), &seen))
        return seen;
    return last;
}

static void answer_events(struct web *web, const struct serve_request *request, struct text *out)
{
    const struct journal *journal = web->service->journal;
    text_add(out, SPAN("retry: 1000\n\n"));
    add_events(journal, seen_by(request, journal_last_id(journal)), out);
}

static void answer_health(struct web *web, struct serve_answer *answer, struct text *out)
{
    if (show_health(web->service, out))
        text_add(out, SPAN("ok\n"));
    else
        answer->status = 503;
}

static void answer_master(struct web *web, struct span name, struct serve_answer *answer,
                          struct text *out)
{
    char decoded[FAILOVER_NAME_MAX];
    size_t len = 0;
    bool fits = span_percent_decode(name, false, decoded, sizeof(decoded), &len);
    const struct master *master = fits ? service_master(web->service, span_of(decoded, len)) : NULL;
    if (master) {
        answer->type = "application/json";
        show_master_json(web->service, master, out);
    } else {
        answer->status = 404;
        text_add(out, SPAN("There is no such master.\n"));
    }
}

/* serve_answer_fn */
static void web_answer(void *ctx, const struct serve_request *request, struct serve_answer *answer)
{
    struct web *web = ctx;
    struct text out = {0};
    answer->headers = SAFE;
    if (request->is_post) {
        answer->status = 405;
        answer->headers = SAFE "Allow: GET, HEAD\r\n";
        text_add(&out, SPAN("Nothing can be changed here.\n"));
    } else if (span_eq(request->path, SPAN("/healthz"))) {
        answer_health(web, answer, &out);
    } else if (span_eq(request->path, SPAN("/metrics"))) {
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        show_metrics(web->service, &out);
    } else if (span_starts(request->path, SPAN("/master/"))) {
        answer_master(web, span_from(request->path, 8), answer, &out);
    } else if (span_eq(request->path, SPAN("/events"))) {
        answer->type = "text/event-stream";
        answer->stream = true;
        answer_events(web, request, &out);
    } else {
        answer->status = 404;
        text_add(&out, SPAN("/healthz /metrics /master/NAME /events\n"));
    }
    if (out.failed) {
        text_free(&out);
        answer->status = 503;
        answer->stream = false;
        answer->fixed = SPAN("Out of memory.\n");
        return;
    }
    answer->text = out.data;
    answer->text_len = out.len;
}

void web_news(struct web *web, const struct entry *entry)
{
    if (serve_streams(web->serve) == 0)
        return;
    struct text news = {0}, all = {0};
    add_event(entry, &news);
    add_events(web->service->journal, 0, &all);
    if (!news.failed && !all.failed)
        serve_publish(web->serve, span_of(news.data, news.len), span_of(all.data, all.len));
    text_free(&news);
    text_free(&all);
}

struct web *web_new(struct service *service, int fd)
{
    static const struct serve_limits limits = {
        .connections = 256,
        .streams = 128,
        .waiting = (size_t)32 * 1024 * 1024,
        .idle_ms = 30000,
        .request_ms = 10000,
        .stall_ms = 10000,
        .answer_ms = 60000,
    };
    struct web *web = calloc(1, sizeof(*web));
    if (!web)
        return NULL;
    web->service = service;
    web->serve = serve_new(&service->loop, service->world.shelf, fd, "admin.http", &limits,
                           web_answer, web);
    if (web->serve)
        return web;
    free(web);
    return NULL;
}

void web_free(struct web *web)
{
    if (!web)
        return;
    serve_free(web->serve);
    free(web);
}
