// SPDX-License-Identifier: Apache-2.0
/*
 * Prometheus text, format 0.0.4. Labels are names of the configuration and addresses of sentinels and
 * nothing that grows without a bound. One row of the table per gauge of a master.
 */
#include "base/mem.h"
#include "sentinel-watch/show.h"

#include <inttypes.h>

typedef uint64_t master_value_fn(const struct master *master);

static uint64_t value_epoch(const struct master *master)
{
    return master_follower(master)->epoch;
}
static uint64_t value_generation(const struct master *master)
{
    return master_follower(master)->generation;
}
static uint64_t value_voters(const struct master *master)
{
    return master_follower(master)->opinion.voters;
}
static uint64_t value_heard(const struct master *master)
{
    return master_follower(master)->opinion.up;
}
static uint64_t value_agree(const struct master *master)
{
    return master_follower(master)->opinion.agree;
}
static uint64_t value_tilted(const struct master *master)
{
    return master_follower(master)->opinion.tilted;
}
static uint64_t value_sdown(const struct master *master)
{
    return master_follower(master)->opinion.sdown;
}
static uint64_t value_blind(const struct master *master)
{
    return master_follower(master)->opinion.blind;
}
static uint64_t value_degraded(const struct master *master)
{
    return master_follower(master)->opinion.degraded;
}
static uint64_t value_held(const struct master *master)
{
    return master_follower(master)->held;
}
static uint64_t value_role(const struct master *master)
{
    return master_role(master, ASK_CURRENT)->role == ROLE_MASTER;
}
static uint64_t value_holds(const struct master *master)
{
    return master_stats(master)->holds;
}
static uint64_t value_switches(const struct master *master)
{
    return master_stats(master)->switches;
}
static uint64_t value_cancels(const struct master *master)
{
    return master_stats(master)->cancels;
}
static uint64_t value_fences(const struct master *master)
{
    return master_stats(master)->fences;
}

static uint64_t value_prune_resets(const struct master *master)
{
    struct prune_info info;
    prune_info(master_prune(master), &info);
    return info.resets;
}
static uint64_t value_prune_aborts(const struct master *master)
{
    struct prune_info info;
    prune_info(master_prune(master), &info);
    return info.aborts;
}
static uint64_t value_prune_candidates(const struct master *master)
{
    struct prune_info info;
    prune_info(master_prune(master), &info);
    return info.plan ? info.plan->replica_count + info.plan->sentinel_count : 0;
}

static const struct {
    const char *name, *type, *help;
    master_value_fn *value;
} per_master[] = {
    {"prune_resets_total", "counter", "sentinels that were made to forget", value_prune_resets},
    {"prune_aborts_total", "counter", "times that pruning was given up", value_prune_aborts},
    {"prune_candidates", "gauge", "replicas and sentinels that are gone for good",
     value_prune_candidates},
    {"epoch", "gauge", "configuration epoch of the last failover", value_epoch},
    {"generation", "gauge", "how often epochs began anew, from 1", value_generation},
    {"sentinels", "gauge", "sentinels whose votes count", value_voters},
    {"sentinels_heard", "gauge", "those that answer", value_heard},
    {"sentinels_agree", "gauge", "the most that name the same master and epoch", value_agree},
    {"sentinels_tilt", "gauge", "those that are in tilt", value_tilted},
    {"sentinels_sdown", "gauge", "those that find the master down", value_sdown},
    {"blind", "gauge", "1: too few sentinels can be believed, nothing is done", value_blind},
    {"degraded", "gauge", "1: there is one sentinel only", value_degraded},
    {"held", "gauge", "1: publishes are held", value_held},
    {"role_confirmed", "gauge", "1: the master itself says that it is one", value_role},
    {"holds_total", "counter", "holds that were begun", value_holds},
    {"switches_total", "counter", "switches to another master", value_switches},
    {"cancels_total", "counter", "holds that ended without a switch", value_cancels},
    {"fences_total", "counter", "returns of an old master", value_fences},
};

static void add_head(struct text *out, const char *name, const char *type, const char *help)
{
    text_addf(out, "# HELP limpet_sentinel_%s %s\n# TYPE limpet_sentinel_%s %s\n", name, help, name,
              type);
}

static void add_states(const struct service *service, struct text *out)
{
    add_head(out, "state", "gauge", "1 for the state that the master is in");
    for (size_t i = 0; i < service->master_count; i++)
        for (enum follower_state state = FOLLOWER_START; state <= FOLLOWER_SETTLE; state++)
            text_addf(out, "limpet_sentinel_state{master=\"%s\",state=\"%s\"} %d\n",
                      master_name(service->masters[i]), follower_state_word(state),
                      master_follower(service->masters[i])->state == state);
}

typedef int64_t sentinel_value_fn(const struct sentinel_info *info);
static int64_t value_up(const struct sentinel_info *info)
{
    return info->up;
}
static int64_t value_news(const struct sentinel_info *info)
{
    return info->subscription == SUBSCRIPTION_ALL || info->subscription == SUBSCRIPTION_SOME;
}
static int64_t value_events(const struct sentinel_info *info)
{
    return (int64_t)info->events;
}
static int64_t value_losses(const struct sentinel_info *info)
{
    return (int64_t)info->losses;
}

static const struct {
    const char *name, *type, *help;
    sentinel_value_fn *value;
} per_sentinel[] = {
    {"sentinel_up", "gauge", "1: the sentinel answers", value_up},
    {"sentinel_subscribed", "gauge", "1: its events arrive", value_news},
    {"sentinel_events_total", "counter", "events that it published", value_events},
    {"sentinel_losses_total", "counter", "times that it was not heard any more", value_losses},
};

static void add_sentinels(const struct service *service, struct text *out)
{
    for (size_t row = 0; row < array_len(per_sentinel); row++) {
        add_head(out, per_sentinel[row].name, per_sentinel[row].type, per_sentinel[row].help);
        for (size_t i = 0; i < service->master_count; i++) {
            const struct master *master = service->masters[i];
            for (size_t k = 0; k < master_sentinel_count(master); k++) {
                struct sentinel_info info;
                char place[PLACE_TEXT_MAX];
                sentinel_info(master_sentinel(master, k), &info);
                text_addf(out, "limpet_sentinel_%s{master=\"%s\",sentinel=\"%s\"} %" PRId64 "\n",
                          per_sentinel[row].name, master_name(master),
                          place_show(&info.place, place), per_sentinel[row].value(&info));
            }
        }
    }
}

typedef int64_t canary_value_fn(const struct canary_info *info);
static int64_t canary_published(const struct canary_info *info)
{
    return (int64_t)info->published;
}
static int64_t canary_heard(const struct canary_info *info)
{
    return (int64_t)info->heard;
}
static int64_t canary_refused(const struct canary_info *info)
{
    return (int64_t)info->refused;
}
static int64_t canary_subscribers(const struct canary_info *info)
{
    return info->subscribers;
}
static int64_t canary_former(const struct canary_info *info)
{
    return info->former_subscribers;
}

static const struct {
    const char *name, *type, *help;
    canary_value_fn *value;
} per_canary[] = {
    {"canary_published_total", "counter", "canary messages that the master took", canary_published},
    {"canary_heard_total", "counter", "canary messages that came back", canary_heard},
    {"canary_refused_total", "counter", "canary messages that were refused", canary_refused},
    {"subscribers", "gauge", "servers that are subscribed at the master", canary_subscribers},
    {"former_subscribers", "gauge", "servers that are still at the former master", canary_former},
};

/* Values that are not known are left out. */
static void add_canaries(const struct service *service, struct text *out)
{
    struct canary_info info;
    for (size_t row = 0; row < array_len(per_canary); row++) {
        add_head(out, per_canary[row].name, per_canary[row].type, per_canary[row].help);
        for (size_t i = 0; i < service->master_count; i++)
            if (master_canary(service->masters[i], &info) && per_canary[row].value(&info) >= 0)
                text_addf(out, "limpet_sentinel_%s{master=\"%s\"} %" PRId64 "\n",
                          per_canary[row].name, master_name(service->masters[i]),
                          per_canary[row].value(&info));
    }
    add_head(out, "loss_window_seconds", "gauge", "without a canary message, in the last failover");
    for (size_t i = 0; i < service->master_count; i++)
        if (master_canary(service->masters[i], &info) && info.window_ms >= 0)
            text_addf(out, "limpet_sentinel_loss_window_seconds{master=\"%s\"} %g\n",
                      master_name(service->masters[i]), (double)info.window_ms / 1000.0);
}

static void add_times(const char *master, const char *name, const struct times *times,
                      struct text *out)
{
    uint64_t below = 0;
    for (size_t i = 0; i < TIMES_MAX; i++) {
        below += times->buckets[i];
        text_addf(out, "limpet_sentinel_%s_bucket{master=\"%s\",le=\"%g\"} %" PRIu64 "\n", name,
                  master, (double)times_bounds_ms[i] / 1000.0, below);
    }
    text_addf(out, "limpet_sentinel_%s_bucket{master=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
              master, times->count);
    text_addf(out, "limpet_sentinel_%s_sum{master=\"%s\"} %g\n", name, master,
              (double)times->sum_ms / 1000.0);
    text_addf(out, "limpet_sentinel_%s_count{master=\"%s\"} %" PRIu64 "\n", name, master,
              times->count);
}

void show_metrics(const struct service *service, struct text *out)
{
    for (size_t row = 0; row < array_len(per_master); row++) {
        add_head(out, per_master[row].name, per_master[row].type, per_master[row].help);
        for (size_t i = 0; i < service->master_count; i++)
            text_addf(out, "limpet_sentinel_%s{master=\"%s\"} %" PRIu64 "\n", per_master[row].name,
                      master_name(service->masters[i]), per_master[row].value(service->masters[i]));
    }
    add_states(service, out);
    add_sentinels(service, out);
    add_head(out, "switch_seconds", "histogram", "from the first sign to the switch");
    for (size_t i = 0; i < service->master_count; i++)
        add_times(master_name(service->masters[i]), "switch_seconds",
                  &master_stats(service->masters[i])->to_switch, out);
    add_head(out, "told_seconds", "histogram",
             "from the switch until all servers are where they should be");
    for (size_t i = 0; i < service->master_count; i++)
        add_times(master_name(service->masters[i]), "told_seconds",
                  &master_stats(service->masters[i])->to_told, out);
    add_canaries(service, out);
    doors_metrics(service->doors, out);
}
