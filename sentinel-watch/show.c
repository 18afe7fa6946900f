// SPDX-License-Identifier: Apache-2.0
/*
 * Everything that is shown. Lines of the runtime socket are "key=value" tails behind a name, so that
 * people and awk can read them; Prometheus names begin with limpet_sentinel_.
 */
#include "sentinel-watch/show.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- small things ---- */

static void add_place(struct text *out, const char *key, const struct place *place)
{
    char text[PLACE_TEXT_MAX];
    text_addf(out, " %s=%s", key, place_show(place, text));
}

static void add_quoted(struct text *out, const char *key, const char *value)
{
    if (*value)
        text_addf(out, " %s=\"%s\"", key, value);
}

static const char *yes(bool value)
{
    return value ? "yes" : "no";
}

/* ---- runtime socket ---- */

void show_info(const struct service *service, struct text *out)
{
    text_addf(out, "Name: sentinel-watch\nVersion: %s\nPid: %d\n", LIMPET_VERSION, (int)getpid());
    text_addf(out, "Uptime_sec: %" PRId64 "\n", (service->loop.now_ms - service->began_ms) / 1000);
    text_addf(out, "Watcher: %s\nMasters: %zu\n", service->watcher, service->master_count);
    text_addf(out, "Reloads: %" PRIu64 "\nFailed_reloads: %" PRIu64 "\n", service->reloads,
              service->failed_reloads);
    if (service->reload_error[0])
        text_addf(out, "Reload_error: %s\n", service->reload_error);
    text_addf(out, "Events: %" PRIu64 "\n", journal_last_id(service->journal));
    struct text why = {0};
    bool healthy = show_health(service, &why);
    text_addf(out, "Healthy: %s\n", yes(healthy));
    while (!healthy && why.len > 0) {
        struct span rest = span_of(why.data, why.len);
        while (rest.len > 0)
            text_addf(out, "Trouble: %.*s\n", SPAN_ARG(span_cut(&rest, '\n')));
        break;
    }
    text_free(&why);
}

void show_masters(const struct service *service, struct text *out)
{
    for (size_t i = 0; i < service->master_count; i++) {
        const struct master *master = service->masters[i];
        const struct follower *f = master_follower(master);
        const struct opinion *t = &f->opinion;
        const struct answered_role *role = &f->roles[ASK_CURRENT];
        text_addf(out, "%s state=%s phase=%s", master_name(master), follower_state_word(f->state),
                  phase_word(doors_phase(service->doors, master_name(master))));
        add_place(out, "master", &f->place);
        text_addf(out, " generation=%" PRIu64 " epoch=%" PRIu64 " run_id=%s role=%s", f->generation,
                  f->epoch, role->run_id[0] ? role->run_id : "-", role_word(role->role));
        add_quoted(out, "role_trouble", master_role_trouble(master, ASK_CURRENT));
        text_addf(out,
                  " sentinels=%zu heard=%zu agree=%zu majority=%zu tilt=%zu sdown=%zu odown=%zu",
                  t->voters, t->up, t->agree, t->majority, t->tilted, t->sdown, t->odown);
        text_addf(out, " blind=%s degraded=%s held=%s", yes(t->blind), yes(t->degraded),
                  yes(f->held));
        add_place(out, "candidate", &f->candidate);
        add_place(out, "former", &f->former);
        text_add(out, SPAN("\n"));
    }
}

static void add_vote(struct text *out, const struct master *master, const struct sentinel *sentinel)
{
    int at = sentinel_voter(sentinel);
    if (at < 0) {
        text_add(out, SPAN(" voter=no"));
        return;
    }
    const struct voter *voter = &master_follower(master)->votes.list[at];
    const struct report *report = &voter->report;
    text_add(out, SPAN(" voter=yes"));
    if (!voter->up)
        return;
    add_place(out, "says", &report->place);
    text_addf(out,
              " epoch=%" PRIu64 " quorum=%u replicas=%u others=%u sdown=%s odown=%s "
              "failover=%s tilt=%s",
              report->epoch, report->quorum, report->replicas, report->sentinels, yes(voter->sdown),
              yes(voter->odown), yes(voter->failing_over), yes(voter->tilted));
}

void show_sentinels(const struct service *service, struct text *out)
{
    for (size_t i = 0; i < service->master_count; i++) {
        const struct master *master = service->masters[i];
        for (size_t k = 0; k < master_sentinel_count(master); k++) {
            struct sentinel_info info;
            char place[PLACE_TEXT_MAX];
            sentinel_info(master_sentinel(master, k), &info);
            text_addf(out, "%s %s heard=%s configured=%s run_id=%s news=%s", master_name(master),
                      place_show(&info.place, place), yes(info.up), yes(info.configured),
                      info.run_id[0] ? info.run_id : "-", subscription_word(info.subscription));
            add_vote(out, master, master_sentinel(master, k));
            text_addf(out,
                      " events=%" PRIu64 " polls=%" PRIu64 " losses=%" PRIu64 " rtt_ms=%" PRId64,
                      info.events, info.polls, info.losses, info.rtt_ms);
            add_quoted(out, "trouble", info.trouble);
            add_quoted(out, "refused", info.refused);
            text_add(out, SPAN("\n"));
        }
    }
}

static void show_asked(const struct master *master, enum ask_kind kind, const char *word,
                       struct text *out)
{
    const struct ask *ask = follower_ask(master_follower(master), kind);
    const struct answered_role *answer = &master_follower(master)->roles[kind];
    char place[PLACE_TEXT_MAX];
    if (!place_known(&ask->place))
        return;
    bool asked = place_eq(&answer->place, &ask->place);
    text_addf(out, "%s %s is=%s role=%s run_id=%s", master_name(master),
              place_show(&ask->place, place), word, role_word(asked ? answer->role : ROLE_UNKNOWN),
              asked && answer->run_id[0] ? answer->run_id : "-");
    add_quoted(out, "trouble", master_role_trouble(master, kind));
    text_add(out, SPAN("\n"));
}

void show_nodes(const struct service *service, struct text *out)
{
    for (size_t i = 0; i < service->master_count; i++) {
        const struct master *master = service->masters[i];
        const struct node *nodes;
        size_t count = master_nodes(master, &nodes);
        show_asked(master, ASK_CURRENT, "master", out);
        show_asked(master, ASK_CANDIDATE, "candidate", out);
        show_asked(master, ASK_FORMER, "former", out);
        for (size_t k = 0; k < count; k++) {
            char place[PLACE_TEXT_MAX];
            text_addf(out,
                      "%s %s is=replica flags=%s linked=%s offset=%" PRId64 " priority=%" PRId64
                      "\n",
                      master_name(master), place_show(&nodes[k].place, place), nodes[k].flags,
                      yes(nodes[k].linked), nodes[k].offset, nodes[k].priority);
        }
    }
}

void show_canary(const struct service *service, struct text *out)
{
    for (size_t i = 0; i < service->master_count; i++) {
        struct canary_info info;
        const char *name = master_name(service->masters[i]);
        if (!master_canary(service->masters[i], &info)) {
            text_addf(out, "%s off\n", name);
            continue;
        }
        text_addf(out, "%s published=%" PRIu64 " heard=%" PRIu64 " refused=%" PRIu64, name,
                  info.published, info.heard, info.refused);
        text_addf(out,
                  " subscribers=%" PRId64 " expected=%" PRId64 " at_former=%" PRId64
                  " window_ms=%" PRId64 " converged_ms=%" PRId64,
                  info.subscribers, info.expected_subscribers, info.former_subscribers,
                  info.window_ms, info.converged_ms);
        add_quoted(out, "trouble", info.trouble);
        text_add(out, SPAN("\n"));
    }
}

/* ---- health ---- */

bool show_health(const struct service *service, struct text *why)
{
    bool good = true;
    for (size_t i = 0; i < service->master_count; i++) {
        const struct follower *f = master_follower(service->masters[i]);
        const char *name = master_name(service->masters[i]);
        const struct answered_role *role = &f->roles[ASK_CURRENT];
        if (f->opinion.blind) {
            text_addf(why, "%s: %zu of %zu sentinels can be believed, %zu are needed\n", name,
                      f->opinion.up - f->opinion.tilted, f->opinion.voters, f->opinion.majority);
            good = false;
        } else if (role->role == ROLE_REFUSED) {
            text_addf(why, "%s: its Redis may not be asked for its role: %s\n", name,
                      master_role_trouble(service->masters[i], ASK_CURRENT));
            good = false;
        }
    }
    return good;
}

/* ---- JSON ---- */

static void json_place(struct text *out, const char *key, const struct place *place,
                       const char *run_id)
{
    if (!place_known(place)) {
        text_addf(out, ",\"%s\":null", key);
        return;
    }
    text_addf(out, ",\"%s\":{\"host\":\"%s\",\"port\":%u", key, place->host, place->port);
    if (run_id)
        text_addf(out, ",\"run_id\":\"%s\"", run_id);
    text_add(out, SPAN("}"));
}

void show_prune_status(const struct master *master, struct text *out)
{
    struct prune_info info;
    prune_info(master_prune(master), &info);
    text_addf(
        out, "%s mode=%s stage=%s turn=%s runs=%" PRIu64 " resets=%" PRIu64 " aborts=%" PRIu64,
        master_name(master), config_word("prune_mode", (int)master_config(master)->opt.prune_mode),
        info.stage, info.turn[0] ? info.turn : "-", info.runs, info.resets, info.aborts);
    text_addf(out, " last=\"%s\"\n", info.ended);
}

void show_prune_plan(const struct service *service, const struct master *master, struct text *out)
{
    struct prune_info info;
    char place[PLACE_TEXT_MAX];
    prune_info(master_prune(master), &info);
    if (!info.plan) {
        text_addf(out, "%s not looked yet\n", master_name(master));
        return;
    }
    long long ago_s = (long long)(service->loop.now_ms - info.looked_ms) / 1000;
    if (info.plan->doubt[0])
        text_addf(out, "%s refused: %s (%lld s ago)\n", master_name(master), info.plan->doubt,
                  ago_s);
    else if (info.plan->replica_count + info.plan->sentinel_count == 0)
        text_addf(out, "%s nothing is gone (%lld s ago)\n", master_name(master), ago_s);
    for (size_t i = 0; i < info.plan->replica_count; i++)
        text_addf(out, "%s would forget replica %s (%lld s ago)\n", master_name(master),
                  place_show(&info.plan->replicas[i].place, place), ago_s);
    for (size_t i = 0; i < info.plan->sentinel_count; i++)
        text_addf(out, "%s would forget sentinel %s (%lld s ago)\n", master_name(master),
                  place_show(&info.plan->sentinels[i].place, place), ago_s);
}

void show_master_json(const struct service *service, const struct master *master, struct text *out)
{
    const struct follower *f = master_follower(master);
    const struct opinion *t = &f->opinion;
    struct failover told = {0};
    bool known = master_told(master, &told);
    struct failover now = f->held ? f->failover : told;
    text_addf(out, "{\"event\":\"failover\",\"master\":\"%s\",\"id\":\"%s\",\"phase\":\"%s\"",
              master_name(master), now.id,
              phase_word(doors_phase(service->doors, master_name(master))));
    text_addf(out, ",\"generation\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"watcher\":\"%s\"",
              now.generation, now.epoch, service->watcher);
    if (f->held) {
        json_place(out, "old", &told.new_place, NULL);
        json_place(out, "new", &(struct place){0}, NULL);
    } else {
        json_place(out, "old", &told.old_place, NULL);
        json_place(out, "new", &told.new_place, told.run_id);
    }
    json_place(out, "current", &told.new_place, told.run_id);
    text_addf(out, ",\"state\":\"%s\",\"known\":%s,\"blind\":%s,\"degraded\":%s",
              follower_state_word(f->state), known ? "true" : "false", t->blind ? "true" : "false",
              t->degraded ? "true" : "false");
    text_addf(out, ",\"sentinels\":{\"voters\":%zu,\"heard\":%zu,\"agree\":%zu,\"tilt\":%zu}",
              t->voters, t->up, t->agree, t->tilted);
    text_add(out, SPAN(",\"doors\":"));
    size_t before = out->len;
    doors_show(service->doors, master_name(master), out);
    if (out->len == before)
        text_add(out, SPAN("null"));
    text_add(out, SPAN("}\n"));
}
