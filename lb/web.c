// SPDX-License-Identifier: Apache-2.0
/*
 * admin.http: which path gives what, and who may do what.
 *
 *     GET   /  /style.css  /app.js  /live                     the dashboard and its news
 *           /metrics  /metrics/haproxy  /…;csv…               for tools
 *           /api/v1/stat|servers|events  /healthz  /readyz
 *     POST  /sid                                              where is this session? (operator)
 *           /action                                           with admin.actions (admin)
 *
 * What a foreign page in an administrator's browser can do
 * - Read: nothing, by the browser's own rules, as long as it comes under its own name. A page whose
 *   name was made to point here (DNS rebinding) is told apart by the Host field: under a name that
 *   is not ours there are no forms, no token and no events.
 * - Send a form: refused, for it has neither our token nor our Origin.
 *
 * The dashboard's sections are rendered once a second for all browsers together, and only while one
 * is connected; those that changed are sent.
 */
#include "lb/web.h"

#include "base/clock.h"
#include "lb/control.h"
#include "lb/move.h"
#include "lb/operate.h"
#include "lb/sidname.h"
#include "lb/stats_row.h"
#include "lb/web_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STREAMS = 64,
    WAITING_BYTES = 16 * 1024 * 1024,
    TOKEN_BYTES = 16,
    FORM_VALUE_MAX = 512,
};

#define HTML "text/html; charset=utf-8"
#define JSON "application/json"

/* For everything: nothing is kept, sniffed or framed. */
#define SAFE                                                                                       \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"      \
    "Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: same-origin\r\n"
#define PAGE                                                                                       \
    SAFE "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "      \
         "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "               \
         "frame-ancestors 'none'\r\nCross-Origin-Opener-Policy: same-origin\r\n"

struct web {
    struct serving *serving;
    struct serve *serve;
    char token[2 * TOKEN_BYTES + 1];
    struct web_history history;
    struct text sections[WEB_SECTIONS]; /* as sent last */
};

/* ---- who asks ---- */

static const struct config *config_of(const struct web *web)
{
    return web->serving->snapshot->config;
}

/* "[::1]:8404" → "::1", "host:8404" → "host". */
static struct span host_name(struct span host)
{
    if (span_starts(host, SPAN("[")))
        return span_upto(span_from(host, 1), span_index(host, ']') - 1);
    size_t colon = span_index(host, ':');
    return span_upto(host, colon);
}

static bool is_address(struct span name)
{
    char text[64];
    unsigned char bytes[16];
    if (name.len >= sizeof(text))
        return false;
    span_to_str(name, text, sizeof(text));
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Is that a name of ours? An address cannot be made to point elsewhere. */
static bool host_is_ours(const struct web *web, struct span host)
{
    const struct config *config = config_of(web);
    struct span name = host_name(host);
    char machine[65] = "";
    if (is_address(name) || span_eq_nocase(name, SPAN("localhost")) ||
        span_ends_nocase(name, SPAN(".localhost")))
        return true;
    if (config->admin_http.kind == ENDPOINT_NAME &&
        span_eq_nocase(name, span_str(config->admin_http.host)))
        return true;
    for (size_t i = 0; i < config->admin.hosts_count; i++) {
        if (span_eq_nocase(name, span_str(config->admin.hosts[i])))
            return true;
    }
    return name.len > 0 && gethostname(machine, sizeof(machine) - 1) == 0 &&
           span_eq_nocase(name, span_str(machine));
}

static bool origin_is_ours(struct span origin, struct span host)
{
    if (span_starts_nocase(origin, SPAN("http://")))
        return span_eq_nocase(span_from(origin, 7), host);
    return span_starts_nocase(origin, SPAN("https://")) &&
           span_eq_nocase(span_from(origin, 8), host);
}

static bool may_operate(const struct web *web)
{
    return config_of(web)->admin.level >= ADMIN_LEVEL_OPERATOR;
}

static bool may_act(const struct web *web)
{
    return config_of(web)->admin.actions && config_of(web)->admin.level >= ADMIN_LEVEL_ADMIN;
}

static struct web_view view_of(struct web *web, bool ours)
{
    return (struct web_view){
        .serving = web->serving,
        .history = &web->history,
        .token = ours ? web->token : NULL,
        .addresses = may_operate(web),
        .lookup = may_operate(web),
        .actions = may_act(web),
    };
}

/* ---- forms ---- */

/* A field of a form, decoded. False: there is none, or it is too long. */
static bool form_value(struct span body, struct span name, char out[static FORM_VALUE_MAX],
                       struct span *value)
{
    while (body.ptr != NULL) {
        struct span pair = span_cut(&body, '&');
        struct span key = span_cut(&pair, '=');
        size_t len = 0;
        if (!span_eq(key, name) || !span_percent_decode(pair, true, out, FORM_VALUE_MAX, &len))
            continue;
        *value = span_of(out, len);
        return true;
    }
    return false;
}

/* In a time that does not depend on where they differ. */
static bool token_matches(const struct web *web, struct span token)
{
    unsigned differ = 0;
    if (token.len != (size_t)2 * TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < token.len; i++)
        differ |= (unsigned)(token.ptr[i] ^ web->token[i]);
    return differ == 0;
}

/* NULL, or why this form is not listened to. */
static const char *form_refused(const struct web *web, const struct serve_request *request)
{
    char text[FORM_VALUE_MAX];
    struct span token;
    if (!host_is_ours(web, request->host))
        return "This page was asked for under a foreign name; see admin.hosts.\n";
    if (request->origin.len > 0 && !origin_is_ours(request->origin, request->host))
        return "The form comes from a foreign page.\n";
    if (!span_starts_nocase(request->content_type, SPAN("application/x-www-form-urlencoded")))
        return "A form is expected.\n";
    if (!form_value(request->body, SPAN("token"), text, &token) || !token_matches(web, token))
        return "The form's token is missing or old: load the page again.\n";
    return NULL;
}

static void refuse(struct serve_answer *answer, uint16_t status, const char *why)
{
    answer->status = status;
    answer->fixed = span_str(why);
}

/* ---- answers ---- */

static void give(struct serve_answer *answer, const char *type, struct text *text)
{
    if (text->failed) {
        text_free(text);
        refuse(answer, 503, "Out of memory.\n");
        return;
    }
    answer->type = type;
    answer->text = text->data;
    answer->text_len = text->len;
}

static void give_page(struct web *web, const struct serve_request *request, struct span found,
                      struct serve_answer *answer)
{
    struct text text = {0};
    struct web_view view = view_of(web, host_is_ours(web, request->host));
    view.found = found;
    web_page(&view, &text);
    answer->headers = PAGE;
    give(answer, HTML, &text);
}

static void give_index(struct web *web, const struct serve_request *request,
                       struct serve_answer *answer)
{
    give_page(web, request, SPAN_NONE, answer);
}

static void give_style(struct web *web, const struct serve_request *request,
                       struct serve_answer *answer)
{
    (void)web;
    (void)request;
    answer->type = "text/css; charset=utf-8";
    answer->fixed = web_style_css;
}

static void give_script(struct web *web, const struct serve_request *request,
                        struct serve_answer *answer)
{
    (void)web;
    (void)request;
    answer->type = "text/javascript; charset=utf-8";
    answer->fixed = web_app_js;
}

static void give_icon(struct web *web, const struct serve_request *request,
                      struct serve_answer *answer)
{
    (void)web;
    (void)request;
    answer->type = "image/svg+xml";
    answer->fixed = web_icon_svg;
}

static void give_metrics(struct web *web, const struct serve_request *request,
                         struct serve_answer *answer)
{
    struct text text = {0};
    (void)request;
    web_metrics(web->serving, &text);
    give(answer, WEB_METRICS_TYPE, &text);
}

static void give_haproxy_metrics(struct web *web, const struct serve_request *request,
                                 struct serve_answer *answer)
{
    struct text text = {0};
    (void)request;
    web_haproxy(web->serving, &text);
    give(answer, WEB_METRICS_TYPE, &text);
}

static void give_csv(struct web *web, struct serve_answer *answer)
{
    struct text text = {0};
    struct stats_filter filter = STATS_ALL;
    filter.addresses = may_operate(web);
    stats_csv_some(web->serving, &filter, &text);
    give(answer, "text/plain", &text);
}

static void give_stat(struct web *web, const struct serve_request *request,
                      struct serve_answer *answer)
{
    struct text text = {0};
    (void)request;
    web_json_stat(web->serving, may_operate(web), &text);
    give(answer, JSON, &text);
}

static void give_servers(struct web *web, const struct serve_request *request,
                         struct serve_answer *answer)
{
    struct text text = {0};
    (void)request;
    web_json_servers(web->serving, may_operate(web), &text);
    give(answer, JSON, &text);
}

static void give_events(struct web *web, const struct serve_request *request,
                        struct serve_answer *answer)
{
    struct text text = {0};
    char decoded[FORM_VALUE_MAX];
    struct span value;
    uint64_t after = 0;
    if (form_value(request->query, SPAN("after"), decoded, &value))
        span_to_u64(value, &after);
    web_json_events(web->serving, after, &text);
    give(answer, JSON, &text);
}

static void give_health(struct web *web, const struct serve_request *request,
                        struct serve_answer *answer)
{
    (void)web;
    (void)request;
    answer->fixed = SPAN("ok\n");
}

/* Listeners are bound before there is anybody to ask. */
static void give_readiness(struct web *web, const struct serve_request *request,
                           struct serve_answer *answer)
{
    const struct snapshot *snapshot = web->serving->snapshot;
    struct text text = {0};
    (void)request;
    if (atomic_load(&web->serving->stopping))
        text_add(&text, SPAN("stopping\n"));
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (!stats_backend_up(snapshot->backends[i]))
            text_addf(&text, "backend %s has no usable server\n", snapshot->backends[i]->name);
    }
    answer->status = text.len > 0 || text.failed ? 503 : 200;
    if (text.len == 0)
        text_add(&text, SPAN("ready\n"));
    give(answer, NULL, &text);
}

/* ---- where is this session? ---- */

static void add_owner(const struct backend *backend, const struct server *owner, struct text *out)
{
    bool alive = owner != NULL && server_alive(owner);
    text_add(out, SPAN("<p>"));
    web_add_pill(out, alive ? "up" : "down", owner != NULL ? owner->name : "a server that is gone");
    text_add(out, SPAN(" in backend <strong>"));
    web_add_html(out, span_str(backend->name));
    text_add(out, SPAN("</strong>"));
    if (!alive)
        text_add(out, SPAN(", which does not serve: the next request is told to open a new "
                           "session"));
}

static void add_age(const struct sid_found *found, int64_t now_ms, struct text *out)
{
    text_add(out, SPAN(". Opened "));
    web_add_duration(out, (now_ms - found->created_ms) / 1000);
    text_add(out, SPAN(" ago, lives "));
    web_add_duration(out, found->lifetime_ms / 1000);
    text_add(out, SPAN(" without a request.</p>"));
}

/* In the backend's table, or by what the sid itself says. */
static void find_in_backend(struct backend *backend, struct span sid, struct text *out)
{
    int64_t now_ms = clock_mono_ms();
    struct sid_found found;
    struct server *named = NULL;
    if (backend->sids != NULL && sidmap_peek(backend->sids, sid, now_ms, &found)) {
        add_owner(backend, backend_server_by_sid_id(backend, found.server_id), out);
        add_age(&found, now_ms, out);
    } else if (sidname_owner(backend, sid, &named) != SIDNAME_NOTHING) {
        add_owner(backend, named, out);
        text_add(out, SPAN(", as the sid itself says; whether it is still open only its server "
                           "knows.</p>"));
    }
}

static void find_session(struct web *web, struct span sid, struct text *out)
{
    const struct snapshot *snapshot = web->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++)
        find_in_backend(snapshot->backends[i], sid, out);
    if (out->len == 0)
        text_add(out, SPAN("<p>No backend knows this session: it never came through here, is over, "
                           "or began with WebSocket.</p>"));
}

static void give_lookup(struct web *web, const struct serve_request *request,
                        struct serve_answer *answer)
{
    char decoded[FORM_VALUE_MAX];
    struct span sid;
    struct text found = {0};
    const char *why = form_refused(web, request);
    if (why != NULL || !may_operate(web)) {
        refuse(answer, 403, why != NULL ? why : "That needs admin.level operator.\n");
        return;
    }
    if (!form_value(request->body, SPAN("sid"), decoded, &sid) || sid.len == 0) {
        refuse(answer, 400, "A sid is expected.\n");
        return;
    }
    find_session(web, span_trim(sid), &found);
    give_page(web, request, span_of(found.data, found.len), answer);
    text_free(&found);
}

/* ---- actions ---- */

static const char by[] = "dashboard";

/* NULL, or why not. */
static const char *act_on_server(struct web *web, struct server *server, struct span action,
                                 struct span body)
{
    char decoded[FORM_VALUE_MAX];
    struct span weight;
    if (span_eq(action, SPAN("ready")))
        operate_server_admin(web->serving, server, SERVER_READY, by);
    else if (span_eq(action, SPAN("drain")))
        operate_server_admin(web->serving, server, SERVER_DRAIN, by);
    else if (span_eq(action, SPAN("maint")))
        operate_server_admin(web->serving, server, SERVER_MAINT, by);
    else if (span_eq(action, SPAN("move")))
        return moves_drain(control_moves(web->serving->control), server, NULL, by);
    else if (span_eq(action, SPAN("weight")) && form_value(body, SPAN("weight"), decoded, &weight))
        return operate_server_weight(web->serving, server, weight, by);
    else
        return "No such action.";
    return NULL;
}

static const char *act_on_backend(struct web *web, struct backend *backend, struct span action)
{
    struct moves *moves = control_moves(web->serving->control);
    if (span_eq(action, SPAN("rebalance")))
        return moves_rebalance(moves, backend, NULL, by);
    if (span_eq(action, SPAN("rebalance-stop")))
        return moves_rebalance_stop(moves, backend, by);
    return "No such action.";
}

/* What the form wants, done. NULL, or why not. */
static const char *act(struct web *web, struct span body)
{
    char backend_text[FORM_VALUE_MAX], server_text[FORM_VALUE_MAX], action_text[FORM_VALUE_MAX];
    struct span backend_name, server_name, action;
    const struct snapshot *snapshot = web->serving->snapshot;
    if (!form_value(body, SPAN("backend"), backend_text, &backend_name) ||
        !form_value(body, SPAN("do"), action_text, &action))
        return "Nothing to do.";
    struct backend *backend = NULL;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(backend_name, span_str(snapshot->backends[i]->name)))
            backend = snapshot->backends[i];
    }
    if (backend == NULL)
        return "No such backend.";
    if (!form_value(body, SPAN("server"), server_text, &server_name))
        return act_on_backend(web, backend, action);
    struct server *server = backend_server(backend, server_name);
    return server != NULL ? act_on_server(web, server, action, body) : "No such server.";
}

static void give_action(struct web *web, const struct serve_request *request,
                        struct serve_answer *answer)
{
    const char *why = form_refused(web, request);
    if (!may_act(web))
        why = "Actions are off: they need admin.actions true and admin.level admin.\n";
    if (why != NULL) {
        refuse(answer, 403, why);
        return;
    }
    why = act(web, request->body);
    if (why != NULL) {
        refuse(answer, 400, why);
        return;
    }
    answer->status = 303;
    answer->headers = SAFE "Location: /\r\n";
}

/* ---- news ---- */

/* A section as a server-sent event. Its HTML is one line. */
static void add_event(enum web_section section, const struct text *html, struct text *out)
{
    text_addf(out, "event: %s\ndata: ", web_section_id(section));
    text_add(out, span_of(html->data, html->len));
    text_add(out, SPAN("\n\n"));
}

static void render(struct web *web, struct text *news, struct text *all)
{
    struct web_view view = view_of(web, true);
    for (enum web_section section = 0; section < WEB_SECTIONS; section++) {
        struct text html = {0};
        struct text *last = &web->sections[section];
        web_section(&view, section, &html);
        if (!span_eq(span_of(html.data, html.len), span_of(last->data, last->len)))
            add_event(section, &html, news);
        add_event(section, &html, all);
        text_free(last);
        *last = html;
    }
}

static void give_live(struct web *web, const struct serve_request *request,
                      struct serve_answer *answer)
{
    struct text all = {0};
    struct web_view view = view_of(web, true);
    if (!host_is_ours(web, request->host)) {
        refuse(answer, 403, "This page was asked for under a foreign name; see admin.hosts.\n");
        return;
    }
    text_add(&all, SPAN("retry: 2000\n\n"));
    for (enum web_section section = 0; section < WEB_SECTIONS; section++) {
        struct text html = {0};
        web_section(&view, section, &html);
        add_event(section, &html, &all);
        text_free(&html);
    }
    answer->stream = true;
    give(answer, "text/event-stream", &all);
    answer->stream = answer->text != NULL;
}

void web_tick(struct web *web)
{
    struct text news = {0}, all = {0};
    web_history_take(web->serving, &web->history);
    if (serve_streams(web->serve) == 0)
        return;
    render(web, &news, &all);
    if (!news.failed && !all.failed)
        serve_publish(web->serve, span_of(news.data, news.len), span_of(all.data, all.len));
    text_free(&news);
    text_free(&all);
}

/* ---- routes ---- */

typedef void give_fn(struct web *web, const struct serve_request *request,
                     struct serve_answer *answer);

static const struct route_row {
    const char *path;
    bool is_post;
    give_fn *give;
} routes[] = {
    {"/", false, give_index},
    {"/style.css", false, give_style},
    {"/app.js", false, give_script},
    {"/icon.svg", false, give_icon},
    {"/live", false, give_live},
    {"/metrics", false, give_metrics},
    {"/metrics/haproxy", false, give_haproxy_metrics},
    {"/api/v1/stat", false, give_stat},
    {"/api/v1/servers", false, give_servers},
    {"/api/v1/events", false, give_events},
    {"/healthz", false, give_health},
    {"/readyz", false, give_readiness},
    {"/sid", true, give_lookup},
    {"/action", true, give_action},
};

/* serve_answer_fn. HAProxy's tools hang ";csv" and ";norefresh" on any path. */
static void web_answer(void *ctx, const struct serve_request *request, struct serve_answer *answer)
{
    struct web *web = ctx;
    struct span path = span_upto(request->path, span_index(request->path, ';'));
    answer->headers = SAFE;
    if (!request->is_post && span_find(request->path, SPAN(";csv")) != SIZE_MAX) {
        give_csv(web, answer);
        return;
    }
    for (size_t i = 0; i < array_len(routes); i++) {
        if (!span_eq(path, span_str(routes[i].path)))
            continue;
        if (routes[i].is_post == request->is_post) {
            routes[i].give(web, request, answer);
            return;
        }
        refuse(answer, 405, "Not with this method.\n");
        answer->headers = routes[i].is_post ? SAFE "Allow: POST\r\n" : SAFE "Allow: GET, HEAD\r\n";
        return;
    }
    refuse(answer, 404, "There is no such page.\n");
}

/* ---- life ---- */

static void token_make(char out[static 2 * TOKEN_BYTES + 1])
{
    unsigned char secret[TOKEN_BYTES];
    rand_secret(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++)
        snprintf(out + 2 * i, 3, "%02x", secret[i]);
}

struct web *web_new(struct serving *serving, struct loop *loop, struct shelf *shelf, int fd)
{
    static const struct serve_limits limits = {
        .connections = WEB_CONNECTIONS,
        .streams = STREAMS,
        .waiting = WAITING_BYTES,
        .idle_ms = 30000,
        .request_ms = 10000,
        .stall_ms = 10000,
        .answer_ms = 60000,
    };
    struct web *web = calloc(1, sizeof(*web));
    if (web == NULL)
        return NULL;
    web->serving = serving;
    token_make(web->token);
    web->serve = serve_new(loop, shelf, fd, "admin.http", &limits, web_answer, web);
    if (web->serve != NULL)
        return web;
    int error = errno;
    free(web);
    errno = error;
    return NULL;
}

void web_free(struct web *web)
{
    if (web == NULL)
        return;
    serve_free(web->serve);
    for (enum web_section section = 0; section < WEB_SECTIONS; section++)
        text_free(&web->sections[section]);
    free(web);
}
