// SPDX-License-Identifier: Apache-2.0
/*
 * The dashboard's table of servers, backend by backend. What it must show at a glance: who serves
 * and who does not, and whether sessions lie where the weights want them. So every server has a bar
 * of its share of the sessions with a mark where its share of the weight ends; a server whose bar
 * is far from its mark says so in words.
 *
 * The share of weight is that among the servers that are given new sessions: backups count only
 * when no other server is usable.
 */
#include "base/clock.h"
#include "config/config.h"
#include "lb/control.h"
#include "lb/move.h"
#include "lb/stats_row.h"
#include "lb/web_parts.h"

#include <stdio.h>
#include <string.h>

enum {
    IMBALANCE_POINTS = 10,  /* percentage points that are worth words … */
    IMBALANCE_SESSIONS = 20 /* … when there are as many sessions at least */
};

/* A server's part of all sessions and of all weight of its backend, which should be equal. 0 to 1. */
struct share {
    double sessions, weight;
};

struct totals {
    int64_t sessions, weight;
    bool backups; /* only backups are usable */
};

static size_t all_servers(const struct backend *backend)
{
    return backend->server_count + backend->leaving_count;
}

static bool is_backup(const struct server *server)
{
    return server->config != NULL && server->config->opt.backup;
}

static struct totals totals_of(const struct web_view *view, const struct backend *backend)
{
    struct totals totals = {.backups = true};
    for (size_t i = 0; i < backend->server_count; i++) {
        if (server_takes_sessions(backend, backend->servers[i]) && !is_backup(backend->servers[i]))
            totals.backups = false;
    }
    for (size_t i = 0; i < all_servers(backend); i++) {
        struct web_server it;
        web_server_of(view->serving, backend->servers[i], &it);
        totals.sessions += it.sessions;
        if (it.usable && is_backup(it.server) == totals.backups)
            totals.weight += it.weight;
    }
    return totals;
}

static struct share share_of(const struct totals *totals, const struct web_server *it)
{
    struct share share = {0};
    if (totals->sessions > 0)
        share.sessions = (double)it->sessions / (double)totals->sessions;
    if (totals->weight > 0 && it->usable && is_backup(it->server) == totals->backups)
        share.weight = (double)it->weight / (double)totals->weight;
    return share;
}

/* ---- cells ---- */

/* Cells say what they are, for the phone's layout, where the table's head is not shown. */
static void cell(struct text *out, const char *class, const char *label)
{
    text_addf(out, "<td class=\"%s\" data-label=\"%s\">", class, label);
}

static void add_name(const struct web_view *view, const struct web_server *it, struct text *out)
{
    text_add(out, SPAN("<th scope=\"row\">"));
    web_add_html(out, span_str(it->server->name));
    if (is_backup(it->server))
        text_add(out, SPAN(" <span class=\"tag\">backup</span>"));
    if (it->server->config == NULL)
        text_add(out, SPAN(" <span class=\"tag\">leaving</span>"));
    char address[ADDR_TEXT_MAX];
    if (view->addresses && it->server->addr_known) {
        addr_format(&it->server->addr, address);
        if (strcmp(address, it->server->name) != 0) {
            text_add(out, SPAN("<small>"));
            web_add_html(out, span_str(address));
            text_add(out, SPAN("</small>"));
        }
    }
    text_add(out, SPAN("</th>"));
}

/* How far a drain or rebalance is. */
static void add_move(const struct move_status *move, struct text *out)
{
    int64_t all = move->moved + move->left;
    text_addf(out,
              "<svg class=\"bar move\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" "
              "aria-hidden=\"true\"><rect class=\"got\" width=\"%.1f\" height=\"6\"/></svg><small>",
              all > 0 ? 100.0 * (double)move->moved / (double)all : 100.0);
    web_add_number(out, move->left);
    text_add(out, SPAN(" to move"));
    if (move->waits != NULL) {
        text_add(out, SPAN(", waiting: "));
        web_add_html(out, span_str(move->waits));
    } else if (move->eta_ms >= 0) {
        text_add(out, SPAN(", "));
        web_add_duration(out, (move->eta_ms + 999) / 1000);
        text_add(out, SPAN(" left"));
    }
    text_add(out, SPAN("</small>"));
}

static void add_state(const struct web_view *view, const struct web_server *it, struct text *out)
{
    struct move_status move;
    const struct stats_row row = {.type = STATS_SERVER,
                                  .serving = view->serving,
                                  .backend = it->server->backend,
                                  .server = it->server,
                                  .health = it->health};
    struct text words = {0};
    int64_t since_ms = it->changed_wall_ms > 0 ? it->changed_wall_ms
                                               : view->serving->started_wall_ms;
    stats_status(&row, &words);
    text_add(&words, span_of("", 1));
    cell(out, "state", "State");
    web_add_pill(out, web_state_word(it->state), words.failed ? "?" : words.data);
    text_add(out, SPAN("<small>for "));
    web_add_duration(out, (clock_wall_ms() - since_ms) / 1000);
    text_add(out, SPAN("</small>"));
    if (server_stale(it->server))
        text_add(out, SPAN("<small>has not followed Redis</small>"));
    if (moves_drain_status(control_moves(view->serving->control), it->server, &move) &&
        move.running)
        add_move(&move, out);
    text_add(out, SPAN("</td>"));
    text_free(&words);
}

static void add_check(const struct web_server *it, struct text *out)
{
    const struct health_status *health = it->health;
    cell(out, "check", "Last check");
    if (health == NULL) {
        text_add(out, SPAN("<span class=\"quiet\">not checked</span></td>"));
        return;
    }
    text_add(out, SPAN("<span>"));
    web_add_html(out, span_str(check_status_word(health->check)));
    if (health->code > 0)
        text_addf(out, " %d", health->code);
    if (health->duration_ms >= 0)
        text_addf(out, " in %lld ms", (long long)health->duration_ms);
    text_add(out, SPAN("</span>"));
    if (health->detail[0] != '\0') {
        text_add(out, SPAN("<small>"));
        web_add_html(out, span_str(health->detail));
        text_add(out, SPAN("</small>"));
    }
    text_add(out, SPAN("</td>"));
}

static void add_weight(const struct web_server *it, struct text *out)
{
    cell(out, "number", "Weight");
    text_addf(out, "%lld", (long long)it->weight);
    int set = atomic_load(&it->server->weight);
    if (it->usable && it->weight != set)
        text_addf(out, "<small>of %d, slow start</small>", set);
    else if (it->server->config != NULL && set != it->weight_configured)
        text_addf(out, "<small>file: %lld</small>", (long long)it->weight_configured);
    text_add(out, SPAN("</td>"));
}

static void add_sessions(const struct web_server *it, struct text *out)
{
    double websocket = it->sessions > 0 ? 100.0 * (double)it->websocket / (double)it->sessions : 0;
    cell(out, "sessions", "Sessions");
    text_add(out, SPAN("<span>"));
    web_add_number(out, it->sessions);
    text_add(out, SPAN("</span>"));
    text_addf(out,
              "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" "
              "aria-hidden=\"true\"><rect class=\"polling\" width=\"%d\" height=\"6\"/>"
              "<rect class=\"websocket\" width=\"%.1f\" height=\"6\"/></svg>",
              it->sessions > 0 ? 100 : 0, websocket);
    text_add(out, SPAN("<small>"));
    web_add_number(out, it->websocket);
    text_add(out, SPAN(" ws · "));
    web_add_number(out, it->polling);
    text_add(out, SPAN(" polling</small></td>"));
}

static void add_share(const struct totals *totals, const struct web_server *it, struct text *out)
{
    struct share share = share_of(totals, it);
    double off = 100 * (share.sessions - share.weight);
    bool worth = it->usable && totals->sessions >= IMBALANCE_SESSIONS &&
                 (off >= IMBALANCE_POINTS || off <= -IMBALANCE_POINTS);
    double mark = 100 * share.weight < 99 ? 100 * share.weight : 99;
    cell(out, worth ? "share off" : "share", "Share of sessions");
    text_addf(out,
              "<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" "
              "aria-hidden=\"true\"><rect class=\"got\" y=\"2\" width=\"%.1f\" height=\"6\"/>"
              "<rect class=\"mark\" x=\"%.1f\" width=\"1\" height=\"10\"/></svg>",
              100 * share.sessions, mark);
    text_addf(out, "<small>has %.0f %%, due %.0f %%</small>", 100 * share.sessions,
              100 * share.weight);
    if (worth)
        text_addf(out, "<strong>%s %.0f points %s</strong>", off > 0 ? "▲" : "▼",
                  off > 0 ? off : -off, off > 0 ? "over" : "under");
    text_add(out, SPAN("</td>"));
}

static void add_load(const struct web_server *it, struct text *out)
{
    cell(out, "number", "Now");
    web_add_number(out, it->rate);
    text_add(out, SPAN("/s<small>"));
    web_add_number(out, it->inflight);
    if (it->limit > 0) {
        text_add(out, SPAN(" of "));
        web_add_number(out, it->limit);
    }
    text_add(out, SPAN(" open</small></td>"));
}

/* ---- actions ---- */

static void add_choice(struct text *out, const char *what, const char *word, bool now)
{
    text_addf(out, "<button name=\"do\" value=\"%s\"%s>%s</button>", what, now ? " disabled" : "",
              word);
}

static void form_begin(const struct web_view *view, const struct backend *backend, struct text *out)
{
    text_addf(out,
              "<form method=\"post\" action=\"/action\"><input type=\"hidden\" name=\"token\" "
              "value=\"%s\"><input type=\"hidden\" name=\"backend\" value=\"",
              view->token);
    web_add_html(out, span_str(backend->name));
    text_add(out, SPAN("\">"));
}

static bool may_act(const struct web_view *view)
{
    return view->actions && view->token != NULL;
}

static void add_actions(const struct web_view *view, const struct web_server *it, struct text *out)
{
    int admin = atomic_load(&it->server->admin);
    text_add(out, SPAN("<td class=\"actions\"><details><summary>Change</summary>"));
    form_begin(view, it->server->backend, out);
    text_add(out, SPAN("<input type=\"hidden\" name=\"server\" value=\""));
    web_add_html(out, span_str(it->server->name));
    text_add(out, SPAN("\"><p>"));
    add_choice(out, "ready", "Ready", admin == SERVER_READY);
    add_choice(out, "drain", "Drain", admin == SERVER_DRAIN);
    add_choice(out, "move", "Drain and move sessions", it->sessions == 0);
    add_choice(out, "maint", "Maintenance", admin == SERVER_MAINT);
    text_addf(out,
              "</p><p><label>Weight <input name=\"weight\" type=\"number\" min=\"0\" max=\"256\" "
              "value=\"%d\"></label><button name=\"do\" value=\"weight\">Set</button></p>",
              atomic_load(&it->server->weight));
    text_add(out, SPAN("</form></details></td>"));
}

/* ---- a backend ---- */

static void add_row(const struct web_view *view, const struct totals *totals,
                    const struct server *server, struct text *out)
{
    struct web_server it;
    web_server_of(view->serving, server, &it);
    text_addf(out, "<tr class=\"%s\">", web_state_word(it.state));
    add_name(view, &it, out);
    add_state(view, &it, out);
    add_check(&it, out);
    add_weight(&it, out);
    add_sessions(&it, out);
    add_share(totals, &it, out);
    add_load(&it, out);
    if (may_act(view) && server->config != NULL)
        add_actions(view, &it, out);
    else if (may_act(view))
        text_add(out, SPAN("<td></td>"));
    text_add(out, SPAN("</tr>"));
}

static void add_fact(struct text *out, const char *name, int64_t value, const char *note)
{
    text_addf(out, "<div><dt>%s</dt><dd>", name);
    web_add_number(out, value);
    if (note != NULL)
        text_addf(out, " <small>%s</small>", note);
    text_add(out, SPAN("</dd></div>"));
}

static int64_t counted(const struct web_view *view, const struct backend *backend, enum counter id)
{
    return stats_sum(view->serving, backend->stat_id, id);
}

static void add_facts(const struct web_view *view, const struct backend *backend, struct text *out)
{
    int64_t polling, websocket;
    int64_t tried = counted(view, backend, COUNTER_SIO_UPGRADES_TRIED);
    char note[64];
    web_sessions_of(view->serving, backend, &polling, &websocket);
    text_add(out, SPAN("<dl class=\"facts\">"));
    snprintf(note, sizeof(note), "%lld ws, %lld polling", (long long)websocket, (long long)polling);
    add_fact(out, "Sessions", polling + websocket, note);
    add_fact(out, "Handshakes",
             counted(view, backend, COUNTER_SIO_HANDSHAKES) +
                 counted(view, backend, COUNTER_SIO_WEBSOCKETS),
             NULL);
    snprintf(note, sizeof(note), "of %lld", (long long)tried);
    add_fact(out, "Upgrades", counted(view, backend, COUNTER_SIO_UPGRADES), note);
    add_fact(out, "Sid misses", counted(view, backend, COUNTER_SIO_SID_MISSES), NULL);
    add_fact(out, "Dead owners", counted(view, backend, COUNTER_SIO_DEAD_OWNERS), NULL);
    add_fact(out, "Queued", counted(view, backend, COUNTER_QUEUED_NOW), NULL);
    add_fact(out, "5xx answers", counted(view, backend, COUNTER_RESPONSES_5XX), NULL);
    text_add(out, SPAN("</dl>"));
}

/* Beside the backend's name: sessions are being spread anew, or may be. */
static void add_rebalance(const struct web_view *view, const struct backend *backend,
                          struct text *out)
{
    struct move_status move;
    struct moves *moves = control_moves(view->serving->control);
    bool running = moves_rebalance_status(moves, backend, &move) && move.running;
    if (running) {
        text_add(out, SPAN("<div class=\"rebalance\">"));
        web_add_pill(out, "drain", "rebalancing");
        add_move(&move, out);
        text_add(out, SPAN("</div>"));
    }
    if (!may_act(view))
        return;
    text_add(out, SPAN("<div class=\"actions\">"));
    form_begin(view, backend, out);
    add_choice(out, running ? "rebalance-stop" : "rebalance",
               running ? "Stop rebalancing" : "Rebalance", false);
    text_add(out, SPAN("</form></div>"));
}

static void add_backend(const struct web_view *view, const struct backend *backend,
                        struct text *out)
{
    struct totals totals = totals_of(view, backend);
    bool up = stats_backend_up(backend);
    text_add(out, SPAN("<article><header><h2>"));
    web_add_html(out, span_str(backend->name));
    text_add(out, SPAN("</h2>"));
    web_add_pill(out, up ? "up" : "down", up ? "UP" : "DOWN: no server takes new sessions");
    text_addf(out, "<span class=\"quiet\">%s</span>",
              config_word("balance_kind", (int)backend->config->opt.balance));
    add_rebalance(view, backend, out);
    text_add(out, SPAN("</header>"));
    add_facts(view, backend, out);
    text_add(out, SPAN("<table><thead><tr><th scope=\"col\">Server</th><th scope=\"col\">State</th>"
                       "<th scope=\"col\">Last check</th><th scope=\"col\">Weight</th>"
                       "<th scope=\"col\">Sessions</th><th scope=\"col\">Share of sessions</th>"
                       "<th scope=\"col\">Now</th>"));
    if (may_act(view))
        text_add(out, SPAN("<td></td>"));
    text_add(out, SPAN("</tr></thead><tbody>"));
    for (size_t i = 0; i < all_servers(backend); i++)
        add_row(view, &totals, backend->servers[i], out);
    text_add(out, SPAN("</tbody></table></article>"));
}

void web_add_backends(const struct web_view *view, struct text *out)
{
    const struct snapshot *snapshot = view->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++)
        add_backend(view, snapshot->backends[i], out);
}
