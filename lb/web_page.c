// SPDX-License-Identifier: Apache-2.0
/*
 * The dashboard's page: a template (lb/dashboard/index.html) with places for sections, and the
 * sections that are not about backends. Complete without JavaScript; with it, sections that changed
 * arrive as server-sent events and are laid over the old ones, which is why each is one line of
 * HTML that depends on nothing but the numbers.
 *
 * Nothing is styled inline (the page's policy forbids it): bars and curves are SVG, whose
 * attributes are not styles.
 */
#include "base/clock.h"
#include "lb/control.h"
#include "lb/events.h"
#include "lb/failover.h"
#include "lb/reload.h"
#include "lb/secure.h"
#include "lb/stats_row.h"
#include "lb/web_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- small pieces ---- */

void web_add_html(struct text *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '<')
            text_add(out, SPAN("&lt;"));
        else if (c == '>')
            text_add(out, SPAN("&gt;"));
        else if (c == '&')
            text_add(out, SPAN("&amp;"));
        else if (c == '"')
            text_add(out, SPAN("&quot;"));
        else if (c == '\'')
            text_add(out, SPAN("&#39;"));
        else if ((unsigned char)c < ' ')
            text_add(out, SPAN(" "));
        else
            text_add(out, span_of(&bytes.ptr[i], 1));
    }
}

void web_add_number(struct text *out, int64_t value)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)(value < 0 ? -value : value));
    if (value < 0)
        text_add(out, SPAN("-"));
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text_add(out, SPAN(","));
        text_add(out, span_of(&digits[i], 1));
    }
}

void web_add_duration(struct text *out, int64_t s)
{
    static const struct {
        int64_t s, part;
        const char *unit, *part_unit;
    } steps[] = {{86400, 3600, "d", "h"}, {3600, 60, "h", "m"}, {60, 1, "m", "s"}};
    for (size_t i = 0; i < array_len(steps); i++) {
        if (s >= steps[i].s) {
            text_addf(out, "%lld %s %lld %s", (long long)(s / steps[i].s), steps[i].unit,
                      (long long)(s % steps[i].s / steps[i].part), steps[i].part_unit);
            return;
        }
    }
    text_addf(out, "%lld s", (long long)(s > 0 ? s : 0));
}

void web_add_pill(struct text *out, const char *state, const char *words)
{
    text_addf(out, "<span class=\"pill %s\"><svg aria-hidden=\"true\"><use href=\"#i-%s\"/></svg>",
              state, state);
    web_add_html(out, span_str(words));
    text_add(out, SPAN("</span>"));
}

static void add_bytes(struct text *out, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < array_len(units); unit++)
        value /= 1000;
    text_addf(out, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static int64_t sum_backends(struct serving *serving, enum counter id)
{
    const struct snapshot *snapshot = serving->snapshot;
    int64_t sum = 0;
    for (size_t i = 0; i < snapshot->backend_count; i++)
        sum += stats_sum(serving, snapshot->backends[i]->stat_id, id);
    return sum;
}

/* ---- history and its curves ---- */

static void all_sessions(struct serving *serving, int64_t *polling, int64_t *websocket)
{
    const struct snapshot *snapshot = serving->snapshot;
    *polling = *websocket = 0;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        int64_t by_polling, by_websocket;
        web_sessions_of(serving, snapshot->backends[i], &by_polling, &by_websocket);
        *polling += by_polling;
        *websocket += by_websocket;
    }
}

void web_history_take(struct serving *serving, struct web_history *history)
{
    const struct snapshot *snapshot = serving->snapshot;
    const struct stats_samples *samples = serving->samples;
    int64_t now[WEB_CURVES] = {0}, polling, websocket;
    all_sessions(serving, &polling, &websocket);
    now[WEB_SESSIONS] = polling + websocket;
    for (size_t i = 0; samples != NULL && i < snapshot->frontend_count; i++) {
        uint16_t stat_id = snapshot->frontends[i].stat_id;
        if (stat_id < samples->count)
            now[WEB_REQUESTS] += samples->blocks[stat_id].request_rate;
    }
    if (samples != NULL)
        now[WEB_BYTES] = samples->bytes_out_rate;
    for (size_t i = 0; i < WEB_CURVES; i++)
        history->values[i][history->at] = now[i];
    history->at = (history->at + 1) % WEB_HISTORY;
    if (history->count < WEB_HISTORY)
        history->count++;
}

static int64_t history_at(const struct web_history *history, enum web_curve curve, size_t i)
{
    size_t first = history->count < WEB_HISTORY ? 0 : history->at;
    return history->values[curve][(first + i) % WEB_HISTORY];
}

static int64_t history_last(const struct web_history *history, enum web_curve curve)
{
    return history->count > 0 ? history_at(history, curve, history->count - 1) : 0;
}

/* The last two minutes, newest at the right. */
static void add_curve(const struct web_history *history, enum web_curve curve, struct text *out)
{
    int64_t max = 1;
    for (size_t i = 0; i < history->count; i++) {
        int64_t value = history_at(history, curve, i);
        max = value > max ? value : max;
    }
    text_add(out, SPAN("<svg class=\"curve\" viewBox=\"0 0 119 32\" preserveAspectRatio=\"none\" "
                       "aria-hidden=\"true\">"));
    for (int area = 1; area >= 0; area--) {
        size_t first = WEB_HISTORY - history->count;
        text_addf(out, "<path class=\"%s\" d=\"", area ? "area" : "line");
        if (area)
            text_addf(out, "M%zu 32", first);
        for (size_t i = 0; i < history->count; i++)
            text_addf(out, "%s%zu %.1f", i == 0 && !area ? "M" : "L", first + i,
                      30.5 - 29.0 * (double)history_at(history, curve, i) / (double)max);
        text_add(out, area ? SPAN("L119 32Z\"/>") : SPAN("\"/>"));
    }
    text_add(out, SPAN("</svg>"));
}

/* ---- head ---- */

struct tally {
    size_t servers, down, backends, dead;
};

static struct tally tally_of(const struct snapshot *snapshot)
{
    struct tally tally = {.backends = snapshot->backend_count};
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        tally.servers += backend->server_count;
        tally.dead += !stats_backend_up(backend);
        for (size_t k = 0; k < backend->server_count; k++)
            tally.down += atomic_load(&backend->servers[k]->health) == SERVER_DOWN;
    }
    return tally;
}

static void add_verdict(const struct tally *tally, bool stopping, struct text *out)
{
    char words[96];
    if (stopping) {
        web_add_pill(out, "drain", "stopping gracefully");
    } else if (tally->dead > 0) {
        snprintf(words, sizeof(words), "%zu of %zu backends cannot serve new sessions", tally->dead,
                 tally->backends);
        web_add_pill(out, "down", words);
    } else if (tally->down > 0) {
        snprintf(words, sizeof(words), "%zu of %zu servers down", tally->down, tally->servers);
        web_add_pill(out, "wavering", words);
    } else {
        snprintf(words, sizeof(words), "%s %zu server%s up", tally->servers == 1 ? "the" : "all",
                 tally->servers, tally->servers == 1 ? "" : "s");
        web_add_pill(out, "up", words);
    }
}

/* What is being held up by it, at a glance. */
static void add_failovers(struct serving *serving, struct text *out)
{
    const struct failovers *failovers = control_failovers(serving->control);
    struct failover_status status;
    char words[FAILOVER_MASTER_NAME_MAX + 48];
    for (size_t i = 0; failovers_status(failovers, i, &status); i++) {
        if (!status.running)
            continue;
        snprintf(words, sizeof(words), "Redis failover of %s: %s", status.master, status.phase);
        web_add_pill(out, "wavering", words);
    }
}

static void add_top(const struct web_view *view, struct text *out)
{
    struct serving *serving = view->serving;
    struct tally tally = tally_of(serving->snapshot);
    add_verdict(&tally, atomic_load(&serving->stopping), out);
    add_failovers(serving, out);
    text_add(out, SPAN("<span class=\"quiet\">up "));
    web_add_duration(out, (clock_mono_ms() - serving->started_ms) / 1000);
    text_addf(out, "</span><span class=\"quiet\">%u worker%s, %d&nbsp;%% idle</span>",
              serving->worker_count, serving->worker_count == 1 ? "" : "s",
              serving->samples != NULL ? serving->samples->idle_pct : 100);
}

/* ---- overview ---- */

static void tile_begin(struct text *out, const char *title)
{
    text_addf(out, "<div class=\"tile\"><h3>%s</h3><p class=\"big\">", title);
}

static void tile_note(struct text *out)
{
    text_add(out, SPAN("</p><p class=\"quiet\">"));
}

static void tile_end(struct text *out)
{
    text_add(out, SPAN("</div>"));
}

static void add_session_tile(const struct web_view *view, struct text *out)
{
    int64_t polling, websocket;
    all_sessions(view->serving, &polling, &websocket);
    tile_begin(out, "Sessions");
    web_add_number(out, polling + websocket);
    tile_note(out);
    web_add_number(out, websocket);
    text_add(out, SPAN(" WebSocket, "));
    web_add_number(out, polling);
    text_add(out, SPAN(" polling</p>"));
    add_curve(view->history, WEB_SESSIONS, out);
    tile_end(out);
}

static void add_request_tile(const struct web_view *view, struct text *out)
{
    tile_begin(out, "Requests");
    web_add_number(out, history_last(view->history, WEB_REQUESTS));
    text_add(out, SPAN("<small>/s</small>"));
    tile_note(out);
    text_add(out, SPAN("errors: "));
    web_add_number(out, sum_backends(view->serving, COUNTER_RESPONSES_5XX));
    text_add(out, SPAN(" × 5xx, "));
    web_add_number(out, sum_backends(view->serving, COUNTER_RETRIES));
    text_add(out, SPAN(" retries</p>"));
    add_curve(view->history, WEB_REQUESTS, out);
    tile_end(out);
}

static void add_bytes_tile(const struct web_view *view, struct text *out)
{
    const struct serving *serving = view->serving;
    tile_begin(out, "Sent to clients");
    add_bytes(out, history_last(view->history, WEB_BYTES));
    text_add(out, SPAN("<small>/s</small>"));
    tile_note(out);
    web_add_number(out, atomic_load(&serving->client_connections));
    text_add(out, SPAN(" of "));
    web_add_number(out, serving->max_connections);
    text_add(out, SPAN(" connections</p>"));
    add_curve(view->history, WEB_BYTES, out);
    tile_end(out);
}

/* Colour and sign of a share that should be near 1. */
static const char *share_state(int64_t good, int64_t all)
{
    if (all == 0)
        return "unchecked";
    double share = (double)good / (double)all;
    return share >= 0.95 ? "up" : share >= 0.8 ? "wavering" : "down";
}

static void add_upgrade_tile(const struct web_view *view, struct text *out)
{
    int64_t done = sum_backends(view->serving, COUNTER_SIO_UPGRADES);
    int64_t tried = sum_backends(view->serving, COUNTER_SIO_UPGRADES_TRIED);
    tile_begin(out, "Upgrades to WebSocket");
    if (tried > 0)
        text_addf(out, "%.*f<small> %%</small>", done == tried ? 0 : 1,
                  100.0 * (double)done / (double)tried);
    else
        text_add(out, SPAN("–"));
    tile_note(out);
    web_add_number(out, done);
    text_add(out, SPAN(" of "));
    web_add_number(out, tried);
    text_add(out, SPAN(" succeeded</p>"));
    if (tried > 0) {
        const char *state = share_state(done, tried);
        web_add_pill(out, state, strcmp(state, "up") == 0 ? "good" : "look at proxies in front");
    }
    tile_end(out);
}

static void add_sid_tile(const struct web_view *view, struct text *out)
{
    int64_t hits = sum_backends(view->serving, COUNTER_SIO_SID_HITS);
    int64_t misses = sum_backends(view->serving, COUNTER_SIO_SID_MISSES);
    int64_t dead = sum_backends(view->serving, COUNTER_SIO_DEAD_OWNERS);
    int64_t all = hits + misses + dead;
    tile_begin(out, "Sids found");
    if (all > 0)
        text_addf(out, "%.*f<small> %%</small>", hits == all ? 0 : 1,
                  100.0 * (double)hits / (double)all);
    else
        text_add(out, SPAN("–"));
    tile_note(out);
    web_add_number(out, misses);
    text_add(out, SPAN(" misses, "));
    web_add_number(out, dead);
    text_add(out, SPAN(" dead owners</p>"));
    if (all > 0) {
        const char *state = share_state(hits, all);
        web_add_pill(out, state,
                     strcmp(state, "up") == 0 ? "sticky" : "sessions lose their server");
    }
    tile_end(out);
}

static void add_overview(const struct web_view *view, struct text *out)
{
    add_session_tile(view, out);
    add_request_tile(view, out);
    add_bytes_tile(view, out);
    add_upgrade_tile(view, out);
    add_sid_tile(view, out);
}

/* ---- timeline ---- */

static void add_time(struct text *out, int64_t wall_ms)
{
    char machine[32], human[32];
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&at, &utc);
    strftime(machine, sizeof(machine), "%Y-%m-%dT%H:%M:%SZ", &utc);
    strftime(human, sizeof(human), "%b %d, %H:%M:%S", &utc);
    text_addf(out, "<time datetime=\"%s\">%s</time>", machine, human);
}

static void add_timeline(const struct web_view *view, struct text *out)
{
    size_t count = events_count(view->serving);
    if (count == 0) {
        text_add(out, SPAN("<p class=\"quiet\">Nothing has happened yet.</p>"));
        return;
    }
    text_add(out, SPAN("<ol>"));
    while (count-- > 0) {
        const struct event *event = events_at(view->serving, count);
        text_addf(out, "<li id=\"e%llu\">", (unsigned long long)event->id);
        add_time(out, event->wall_ms);
        text_addf(out, "<span class=\"kind %s\">%s</span><span>", event_kind_word(event->kind),
                  event_kind_word(event->kind));
        web_add_html(out, span_str(event->text));
        text_add(out, SPAN("</span></li>"));
    }
    text_add(out, SPAN("</ol>"));
}

/* ---- configuration ---- */

static void add_fact(struct text *out, const char *name)
{
    text_addf(out, "<dt>%s</dt><dd>", name);
}

/* What a reload would change, did change, or could not. */
static void add_reloads(const struct reload_status *status, struct text *out)
{
    if (status->done + status->failed > 0) {
        add_fact(out, "Reloads");
        text_addf(out, "%llu done, %llu refused, the last ", (unsigned long long)status->done,
                  (unsigned long long)status->failed);
        add_time(out, status->tried_wall_ms);
        text_add(out, SPAN("</dd>"));
    }
    if (status->last_failed) {
        add_fact(out, "Last reload");
        web_add_pill(out, "down", "refused, nothing was changed");
        text_add(out, SPAN("<p><code>"));
        web_add_html(out, span_str(status->error));
        text_add(out, SPAN("</code></p></dd>"));
    }
    if (status->restart[0] != '\0') {
        add_fact(out, "Needs a restart");
        text_add(out, SPAN("<code>"));
        web_add_html(out, span_str(status->restart));
        text_add(out, SPAN("</code></dd>"));
    }
}

static void add_certificate(const struct secure_certificate *certificate, void *ctx)
{
    struct text *out = ctx;
    char text[48];
    int64_t days = secure_days_left(certificate, clock_wall_ms());
    add_fact(out, "Certificate");
    text_add(out, SPAN("<code>"));
    web_add_html(out, span_str(certificate->info.name));
    text_addf(out, "</code> (%s, of ", certificate->info.kind);
    web_add_html(out, span_str(certificate->owner));
    text_add(out, SPAN(") "));
    secure_expiry_text(days, text);
    if (days < SECURE_SOON_DAYS)
        web_add_pill(out, days < 0 ? "down" : "wavering", text);
    else
        text_addf(out, "%s", text);
    text_add(out, SPAN("</dd>"));
}

static void add_config(const struct web_view *view, struct text *out)
{
    const struct config *config = view->serving->snapshot->config;
    const struct reload_status *status = web_reload_status(view->serving);
    text_add(out, SPAN("<dl>"));
    add_fact(out, "File");
    text_add(out, SPAN("<code>"));
    web_add_html(out, span_str(config->file));
    text_add(out, SPAN("</code></dd>"));
    add_fact(out, "Checksum");
    text_addf(out, "<code>%016llx</code></dd>", (unsigned long long)config->checksum);
    add_fact(out, "Loaded");
    add_time(out, status != NULL ? status->loaded_wall_ms : view->serving->started_wall_ms);
    text_add(out, SPAN("</dd>"));
    if (status != NULL)
        add_reloads(status, out);
    secure_each(view->serving->snapshot, add_certificate, out);
    text_add(out, SPAN("</dl>"));
}

/* ---- the page ---- */

const char *web_section_id(enum web_section section)
{
    static const char *const ids[WEB_SECTIONS] = {
        [WEB_HEAD] = "head",         [WEB_OVERVIEW] = "overview", [WEB_BACKENDS] = "backends",
        [WEB_TIMELINE] = "timeline", [WEB_CONFIG] = "config",
    };
    return ids[section];
}

void web_section(const struct web_view *view, enum web_section section, struct text *out)
{
    switch (section) {
    case WEB_HEAD:
        add_top(view, out);
        return;
    case WEB_OVERVIEW:
        add_overview(view, out);
        return;
    case WEB_BACKENDS:
        web_add_backends(view, out);
        return;
    case WEB_TIMELINE:
        add_timeline(view, out);
        return;
    case WEB_CONFIG:
        add_config(view, out);
        return;
    case WEB_SECTIONS:
        return;
    }
}

static void add_lookup(const struct web_view *view, struct text *out)
{
    if (view->token == NULL)
        text_add(out, SPAN("<p class=\"quiet\">This browser came under a name that is not this "
                           "machine's (see admin.hosts): lookup and actions are off.</p>"));
    else if (!view->lookup)
        text_add(out, SPAN("<p class=\"quiet\">Needs admin.level operator.</p>"));
    else
        text_addf(out,
                  "<form method=\"post\" action=\"/sid\"><input type=\"hidden\" name=\"token\" "
                  "value=\"%s\"><label for=\"sid\">Session id</label><input id=\"sid\" "
                  "name=\"sid\" required maxlength=\"256\" autocomplete=\"off\" "
                  "spellcheck=\"false\" placeholder=\"e.g. lv_VI97HAXpY6yYWAAAC\">"
                  "<button>Find</button></form>",
                  view->token);
    text_add(out, SPAN("<div id=\"found\" role=\"status\">"));
    text_add(out, view->found);
    text_add(out, SPAN("</div>"));
}

static void add_node(struct text *out)
{
    char name[65] = "";
    if (gethostname(name, sizeof(name) - 1) == 0)
        web_add_html(out, span_str(name));
}

/* What stands for {{name}} in the template. */
static void add_place(const struct web_view *view, struct span name, struct text *out)
{
    for (enum web_section section = 0; section < WEB_SECTIONS; section++) {
        if (span_eq(name, span_str(web_section_id(section)))) {
            web_section(view, section, out);
            return;
        }
    }
    if (span_eq(name, SPAN("lookup")))
        add_lookup(view, out);
    else if (span_eq(name, SPAN("node")))
        add_node(out);
    else if (span_eq(name, SPAN("version")))
        text_add(out, SPAN(LIMPET_VERSION));
}

void web_page(const struct web_view *view, struct text *out)
{
    struct span rest = web_index_html;
    for (;;) {
        size_t open = span_find(rest, SPAN("{{"));
        if (open == SIZE_MAX)
            break;
        text_add(out, span_upto(rest, open));
        rest = span_from(rest, open + 2);
        size_t close = span_find(rest, SPAN("}}"));
        add_place(view, span_upto(rest, close), out);
        rest = span_from(rest, close + 2);
    }
    text_add(out, rest);
}
