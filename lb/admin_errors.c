// SPDX-License-Identifier: Apache-2.0
/*
 * `show errors`: the last malformed head of each frontend (requests) and backend (responses), in
 * HAProxy's layout: who, what was wrong and where, and the bytes, escaped, a line per line of the
 * head, long ones folded. What HAProxy tells of its own buffers is left out.
 */
#include "base/clock.h"
#include "lb/admin_command.h"
#include "lb/stats_row.h"

#include <stdlib.h>
#include <time.h>

enum { FOLD = 66 }; /* bytes shown per line at most */

/* What is asked for. */
struct errors_filter {
    struct span proxy; /* empty: any */
    int iid;           /* 0: any */
    bool requests, responses;
};

static void add_date(int64_t wall_ms, struct text *out)
{
    struct tm tm;
    char text[64];
    time_t s = (time_t)(wall_ms / 1000);
    localtime_r(&s, &tm);
    strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S", &tm);
    text_addf(out, "[%s.%03d]", text, (int)(wall_ms % 1000));
}

static void add_byte(unsigned char c, struct text *out)
{
    static const char letters[] = "abtnvfr"; /* of 7 to 13 */
    if (c >= '\a' && c <= '\r')
        text_addf(out, "\\%c", letters[c - '\a']);
    else if (c == '\\')
        text_add(out, SPAN("\\\\"));
    else if (c >= ' ' && c < 0x7f)
        text_addf(out, "%c", c);
    else
        text_addf(out, "\\x%02X", c);
}

static void add_bytes(const struct capture *capture, struct text *out)
{
    size_t at = 0;
    bool folded = false;
    while (at < capture->len) {
        size_t begin = at;
        text_addf(out, "  %05zu%c ", at, folded ? '+' : ' ');
        folded = true;
        while (at < capture->len && at - begin < FOLD && folded) {
            folded = capture->bytes[at] != '\n';
            add_byte((unsigned char)capture->bytes[at++], out);
        }
        text_add(out, SPAN("\n"));
    }
    if (capture->what.total > capture->len)
        text_addf(out, "  … %zu more bytes\n", capture->what.total - capture->len);
}

static int backend_iid(const struct backend *backend)
{
    const struct stats_row row = {.type = STATS_BACKEND, .backend = backend};
    return stats_iid(&row);
}

static int frontend_iid(const struct frontend *frontend)
{
    const struct stats_row row = {.type = STATS_FRONTEND, .frontend = frontend};
    return stats_iid(&row);
}

static void add_end(const struct capture *capture, struct text *out)
{
    char client[ADDR_TEXT_MAX];
    text_addf(out, "event #%llu, src %s\n", (unsigned long long)capture->what.number,
              addr_format(&capture->what.client, client));
    text_addf(out, "  len %zu, error at position %zu: %s :\n  \n", capture->what.total,
              capture->what.at, capture->what.reason);
    add_bytes(capture, out);
}

static void add_request(const struct frontend *frontend, struct capture *copy, struct text *out)
{
    if (!capture_copy(frontend->home->bad_request, copy))
        return;
    text_add(out, SPAN(" \n"));
    add_date(copy->what.wall_ms, out);
    text_addf(out, " frontend %s (#%d): invalid request\n", frontend->name, frontend_iid(frontend));
    text_add(out, SPAN("  backend <NONE> (#-1), server <NONE> (#-1), "));
    add_end(copy, out);
}

static void add_response(const struct backend *backend, struct capture *copy, struct text *out)
{
    if (!capture_copy(backend->home->bad_response, copy))
        return;
    text_add(out, SPAN(" \n"));
    add_date(copy->what.wall_ms, out);
    text_addf(out, " backend %s (#%d): invalid response\n", backend->name, backend_iid(backend));
    text_addf(out, "  frontend %s, server %s, ", copy->what.frontend, copy->what.server);
    add_end(copy, out);
}

static bool filter_wants(const struct errors_filter *filter, const char *name, int iid)
{
    if (filter->iid > 0)
        return filter->iid == iid;
    return filter->proxy.len == 0 || span_eq(filter->proxy, span_str(name));
}

static void errors_list(const struct snapshot *snapshot, const struct errors_filter *filter,
                        struct text *out)
{
    struct capture *copy = malloc(sizeof(*copy));
    if (!copy)
        return;
    for (size_t i = 0; i < snapshot->frontend_count && filter->requests; i++) {
        const struct frontend *frontend = &snapshot->frontends[i];
        if (filter_wants(filter, frontend->name, frontend_iid(frontend)))
            add_request(frontend, copy, out);
    }
    for (size_t i = 0; i < snapshot->backend_count && filter->responses; i++) {
        const struct backend *backend = snapshot->backends[i];
        if (filter_wants(filter, backend->name, backend_iid(backend)))
            add_response(backend, copy, out);
    }
    free(copy);
}

/* NULL, or what is wrong. */
static const char *filter_parse(const struct serving *serving, const struct span *args,
                                size_t count, struct errors_filter *filter)
{
    uint64_t iid;
    *filter = (struct errors_filter){.requests = true, .responses = true};
    if (count == 0)
        return NULL;
    if (span_to_u64(args[0], &iid) && iid > 0 && iid < UINT16_MAX)
        filter->iid = (int)iid;
    else if (stats_has_proxy(serving, args[0]))
        filter->proxy = args[0];
    else
        return "No such proxy.";
    if (count == 1)
        return NULL;
    filter->requests = span_eq(args[1], SPAN("request"));
    filter->responses = span_eq(args[1], SPAN("response"));
    return filter->requests || filter->responses ? NULL : "Expects either 'request' or 'response'.";
}

void admin_show_errors(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct errors_filter filter;
    const char *error = filter_parse(caller->serving, args, count, &filter);
    if (admin_unexpected(caller, args, count, 2))
        return;
    if (error) {
        admin_say(caller, SEVERITY_ERROR, "%s", error);
        return;
    }
    text_add(&caller->answer, SPAN("Total events captured on "));
    add_date(clock_wall_ms(), &caller->answer);
    text_addf(&caller->answer, " : %llu\n",
              (unsigned long long)atomic_load(&caller->serving->captured));
    errors_list(caller->serving->snapshot, &filter, &caller->answer);
}
