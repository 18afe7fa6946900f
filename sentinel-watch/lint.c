// SPDX-License-Identifier: Apache-2.0
/*
 * `sentinel-watch check` beyond the file: every sentinel is asked as it would be in earnest, for as
 * long as one question may take, and so is the master that they name. What they answered is laid side
 * by side then.
 *
 * Each check is a function of everything that was collected about one master; adding one is adding a
 * row of `checks`.
 */
#include "sentinel-watch/lint.h"

#include "base/mem.h"
#include "sentinel-watch/asker.h"
#include "sentinel-watch/roster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 3500, /* a connection and an answer, and once more */
    SILENT_POLL_MS = 60000,
    DOWN_AFTER_MIN_MS = 3000,
    SENTINELS_MIN = 3,
    HOSTS_MAX = 128,
};

struct subject; /* one master */

struct witness { /* one sentinel of the configuration */
    struct subject *subject;
    struct sentinel *sentinel;
    struct report report;
    bool reported, listed;
    char trouble[160];
};

struct subject {
    struct link_world *world;
    const struct config_sentinel *config;
    struct witness *witnesses;
    size_t count;
    struct asker *asker;
    enum role role;
    bool answered;
    char run_id[FAILOVER_RUN_ID_MAX], role_trouble[160];
    size_t names, addresses; /* hosts of either kind that were seen */
    size_t gone;             /* members that are down for a sentinel */
    FILE *out;
    int errors;
};

/* ---- findings ---- */

__attribute__((format(printf, 3, 4))) static void find(struct subject *subject, bool error,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(subject->out, "%s: %s: ", error ? "error" : "warning", subject->config->opt.master);
    vfprintf(subject->out, format, args);
    fputc('\n', subject->out);
    va_end(args);
    subject->errors += error;
}

static size_t heard(const struct subject *subject)
{
    size_t count = 0;
    for (size_t i = 0; i < subject->count; i++)
        count += subject->witnesses[i].reported;
    return count;
}

/* Of the first sentinel that answered; NULL: none did. */
static const struct report *first_report(const struct subject *subject)
{
    for (size_t i = 0; i < subject->count; i++)
        if (subject->witnesses[i].reported)
            return &subject->witnesses[i].report;
    return NULL;
}

static void check_heard(struct subject *subject)
{
    for (size_t i = 0; i < subject->count; i++)
        if (!subject->witnesses[i].reported)
            find(subject, true, "the sentinel %s does not answer: %s",
                 subject->config->opt.sentinels[i],
                 subject->witnesses[i].trouble[0] ? subject->witnesses[i].trouble
                                                  : "no answer in time");
    if (heard(subject) < subject->count / 2 + 1)
        find(subject, true, "%zu of %zu sentinels answer; without a majority nothing is done",
             heard(subject), subject->count);
}

static void check_rights(struct subject *subject)
{
    for (size_t i = 0; i < subject->count; i++) {
        struct sentinel_info info;
        sentinel_info(subject->witnesses[i].sentinel, &info);
        const char *name = subject->config->opt.sentinels[i];
        if (!subject->witnesses[i].reported)
            continue;
        if (info.subscription == SUBSCRIPTION_REFUSED)
            find(subject, false,
                 "at %s the user may read no channel (%s); failovers are only seen "
                 "by asking. Since Redis 7 a user needs channels: ACL SETUSER %s &*",
                 name, info.refused,
                 subject->config->opt.username ? subject->config->opt.username : "default");
        else if (info.subscription == SUBSCRIPTION_SOME)
            find(subject, false,
                 "at %s the user may not read all channels; the fast path and early "
                 "holds need &*",
                 name);
        else if (info.refused[0])
            find(subject, false, "at %s the user may not use %s", name, info.refused);
    }
}

static void check_number(struct subject *subject)
{
    const struct report *report = first_report(subject);
    size_t known = report ? report->sentinels + 1u : subject->count;
    if (known < SENTINELS_MIN)
        find(subject, false, "%zu sentinel%s; with fewer than %d one failure leaves no majority",
             known, known == 1 ? "" : "s", (int)SENTINELS_MIN);
    else if (known % 2 == 0)
        find(subject, false, "%zu sentinels: an even number tolerates no more failures than %zu",
             known, known - 1);
    if (known > subject->count)
        find(subject, false,
             "%zu more sentinels are known than `sentinels` names; they are found "
             "by asking, but not while the others are down",
             known - subject->count);
}

static void check_timing(struct subject *subject)
{
    const struct report *report = first_report(subject);
    if (report && report->down_after_ms > 0 && report->down_after_ms < DOWN_AFTER_MIN_MS)
        find(subject, false,
             "down-after-milliseconds is %lld; below %d a failover is often "
             "followed by a needless second one",
             (long long)report->down_after_ms, (int)DOWN_AFTER_MIN_MS);
    if (report && report->down_after_ms >= subject->config->opt.hold_max_ms)
        find(subject, false, "hold.max (%lld ms) is not longer than down-after-milliseconds",
             (long long)subject->config->opt.hold_max_ms);
}

static void check_quorum(struct subject *subject)
{
    const struct report *report = first_report(subject);
    if (!report)
        return;
    unsigned known = report->sentinels + 1;
    if (report->quorum > known)
        find(subject, true, "the quorum is %u, and there are %u sentinels: never a failover",
             report->quorum, known);
    else if (report->quorum < 2 && known > 1)
        find(subject, false, "the quorum is %u: one sentinel alone begins failovers",
             report->quorum);
    if (report->replicas == 0)
        find(subject, true, "there is no replica that could take over");
}

static void check_agreement(struct subject *subject)
{
    const struct report *first = first_report(subject);
    char one[PLACE_TEXT_MAX], other[PLACE_TEXT_MAX];
    for (size_t i = 0; first && i < subject->count; i++) {
        const struct report *report = &subject->witnesses[i].report;
        const char *name = subject->config->opt.sentinels[i];
        if (!subject->witnesses[i].reported || report == first)
            continue;
        if (!place_eq(&report->place, &first->place))
            find(subject, true, "%s says that the master is %s, others say %s", name,
                 place_show(&report->place, one), place_show(&first->place, other));
        else if (report->epoch != first->epoch)
            find(subject, true, "%s has another configuration epoch than others", name);
        if (report->quorum != first->quorum || report->down_after_ms != first->down_after_ms ||
            report->failover_timeout_ms != first->failover_timeout_ms)
            find(subject, false,
                 "%s has another quorum, down-after-milliseconds or "
                 "failover-timeout than others",
                 name);
        if (report->sentinels != first->sentinels || report->replicas != first->replicas)
            find(subject, false, "%s knows another number of sentinels or replicas than others",
                 name);
    }
}

static void check_hosts(struct subject *subject)
{
    if (subject->names > 0 && subject->addresses > 0)
        find(subject, false,
             "host names and addresses are mixed; use names everywhere "
             "(resolve-hostnames and announce-hostnames) or nowhere");
    if (subject->gone > 0)
        find(subject, false, "%zu replicas or sentinels are known that are down; see `prune`",
             subject->gone);
}

static void check_master(struct subject *subject)
{
    char place[PLACE_TEXT_MAX];
    const struct report *report = first_report(subject);
    if (!report)
        return;
    place_show(&report->place, place);
    if (!subject->answered || subject->role == ROLE_UNREACHABLE)
        find(subject, true, "the master %s cannot be reached from here: %s", place,
             subject->role_trouble[0] ? subject->role_trouble : "no answer in time");
    else if (subject->role == ROLE_REFUSED)
        find(subject, true, "the master %s may not be asked for its ROLE: %s", place,
             subject->role_trouble);
    else if (subject->role != ROLE_MASTER)
        find(subject, true, "%s says that it is no master", place);
    else if (!subject->run_id[0])
        find(subject, false, "the user may not read INFO server at %s; servers are told no run id",
             place);
}

static void (*const checks[])(struct subject *subject) = {
    check_heard,  check_rights,    check_number, check_timing,
    check_quorum, check_agreement, check_hosts,  check_master,
};

/* ---- collecting ---- */

/* asker_fn */
static void on_role(void *ctx, const struct asker_answer *answer)
{
    struct subject *subject = ctx;
    bool final = answer->role != ROLE_UNREACHABLE;
    snprintf(subject->role_trouble, sizeof(subject->role_trouble), "%s", answer->trouble);
    snprintf(subject->run_id, sizeof(subject->run_id), "%s", answer->run_id);
    subject->role = answer->role;
    subject->answered = subject->answered || final;
}

static void ask_master(struct subject *subject, const struct place *place)
{
    if (subject->asker)
        return;
    struct asker_options options = {
        .username = subject->config->opt.redis_username,
        .password = subject->config->opt.redis_password,
        .interval_ms = 200,
        .timeout_ms = 1000,
    };
    place_map(subject->config, place, &options.place);
    subject->asker = asker_new(subject->world, &options, on_role, subject);
}

static void on_report(void *ctx, struct sentinel *sentinel, const struct report *report)
{
    struct witness *witness = ctx;
    (void)sentinel;
    witness->report = *report;
    witness->reported = true;
    ask_master(witness->subject, &report->place);
}

static void on_lost(void *ctx, struct sentinel *sentinel)
{
    struct witness *witness = ctx;
    struct sentinel_info info;
    sentinel_info(sentinel, &info);
    snprintf(witness->trouble, sizeof(witness->trouble), "%s", info.trouble);
}

static bool is_address(struct span host)
{
    bool digits = host.len > 0;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == ':')
            return true;
        digits = digits && ((host.ptr[i] >= '0' && host.ptr[i] <= '9') || host.ptr[i] == '.');
    }
    return digits;
}

static void count_members(struct witness *witness, const struct resp *list)
{
    struct subject *subject = witness->subject;
    for (size_t i = 0; i < list->count && i < HOSTS_MAX; i++) {
        struct span host = resp_field(list->items[i], "ip");
        bool address = is_address(host);
        subject->addresses += address;
        subject->names += !address && host.len > 0;
        if (span_find(resp_field(list->items[i], "flags"), SPAN("s_down")) != SIZE_MAX &&
            witness == subject->witnesses)
            subject->gone++;
    }
}

static void on_sentinels(void *ctx, struct sentinel *sentinel, const struct resp *list)
{
    (void)sentinel;
    count_members(ctx, list);
}

static void on_replicas(void *ctx, struct sentinel *sentinel, const struct resp *list)
{
    struct witness *witness = ctx;
    (void)sentinel;
    count_members(witness, list);
    witness->listed = true;
}

static void on_event(void *ctx, struct sentinel *sentinel, struct span channel, struct span payload)
{
    (void)ctx;
    (void)sentinel;
    (void)channel;
    (void)payload;
}

static void on_named(void *ctx, struct sentinel *sentinel)
{
    (void)ctx;
    (void)sentinel;
}

static int64_t on_poll_ms(void *ctx)
{
    (void)ctx;
    return SILENT_POLL_MS; // Once is enough.
}

static const struct sentinel_owner owner = {
    .report = on_report,
    .lost = on_lost,
    .event = on_event,
    .named = on_named,
    .sentinels = on_sentinels,
    .replicas = on_replicas,
    .poll_ms = on_poll_ms,
};

static void subject_begin(struct subject *subject)
{
    const struct sentinel_options *opt = &subject->config->opt;
    subject->count = opt->sentinels_count;
    subject->witnesses = mem_must_alloc(subject->count * sizeof(*subject->witnesses));
    for (size_t i = 0; i < subject->count; i++) {
        struct witness *witness = &subject->witnesses[i];
        struct sentinel_setup setup = {
            .master = opt->master,
            .username = opt->username,
            .password = opt->password,
            .configured = true,
        };
        struct place place;
        if (!place_parse_text(span_str(opt->sentinels[i]), &place))
            continue; // Cannot be: the file has been checked.
        place_map(subject->config, &place, &setup.place);
        witness->subject = subject;
        witness->sentinel = sentinel_new(subject->world, &setup, &owner, witness);
    }
}

static bool subject_complete(const struct subject *subject)
{
    for (size_t i = 0; i < subject->count; i++)
        if (!subject->witnesses[i].reported || !subject->witnesses[i].listed)
            return false;
    return subject->answered;
}

static void subject_end(struct subject *subject)
{
    asker_free(subject->asker);
    for (size_t i = 0; i < subject->count; i++)
        sentinel_free(subject->witnesses[i].sentinel);
    free(subject->witnesses);
}

/* ---- the whole ---- */

static void collect(struct loop *loop, const struct subject *subjects, size_t count)
{
    int64_t give_up_ms = loop->now_ms + PATIENCE_MS;
    bool complete = false;
    while (!complete && loop->now_ms < give_up_ms) {
        loop_turn(loop, 50);
        complete = true;
        for (size_t i = 0; i < count; i++)
            complete = complete && subject_complete(&subjects[i]);
    }
}

static int look(struct link_world *world, const struct config *config, FILE *out)
{
    int errors = 0;
    size_t count = config->sentinel_count;
    struct subject *subjects = mem_must_alloc(count * sizeof(*subjects));
    for (size_t i = 0; i < count; i++) {
        subjects[i].world = world;
        subjects[i].config = &config->sentinels[i];
        subjects[i].out = out;
        subject_begin(&subjects[i]);
    }
    collect(world->loop, subjects, count);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < array_len(checks); k++)
            checks[k](&subjects[i]);
        errors += subjects[i].errors;
        subject_end(&subjects[i]);
    }
    loop_turn(world->loop, 0);
    free(subjects);
    return errors;
}

int lint_run(const struct config *config, FILE *out)
{
    struct loop loop;
    if (!loop_init(&loop, NULL))
        return -1;
    struct link_world world = {.loop = &loop, .shelf = shelf_new(), .resolver = resolver_new()};
    int errors = -1;
    if (world.shelf && world.resolver) {
        rng_seed_from_system(&world.rng);
        errors = look(&world, config, out);
    }
    int error = errno;
    if (world.resolver)
        resolver_free(world.resolver);
    loop_fini(&loop);
    if (world.shelf)
        shelf_free(world.shelf);
    errno = error;
    return errors;
}
