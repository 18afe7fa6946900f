// SPDX-License-Identifier: Apache-2.0
/* What can be asked at the runtime socket; the console itself has help, prompt and quit. */
#include "sentinel-watch/command.h"

#include "sentinel-watch/show.h"

#include <inttypes.h>

static void run_info(void *ctx, struct commands_caller *caller, const struct span *args,
                     size_t count)
{
    (void)args;
    (void)count;
    show_info(ctx, &caller->talk.answer);
}

static void run_masters(void *ctx, struct commands_caller *caller, const struct span *args,
                        size_t count)
{
    (void)args;
    (void)count;
    show_masters(ctx, &caller->talk.answer);
}

static void run_sentinels(void *ctx, struct commands_caller *caller, const struct span *args,
                          size_t count)
{
    (void)args;
    (void)count;
    show_sentinels(ctx, &caller->talk.answer);
}

static void run_nodes(void *ctx, struct commands_caller *caller, const struct span *args,
                      size_t count)
{
    (void)args;
    (void)count;
    show_nodes(ctx, &caller->talk.answer);
}

static void run_canary(void *ctx, struct commands_caller *caller, const struct span *args,
                       size_t count)
{
    (void)args;
    (void)count;
    show_canary(ctx, &caller->talk.answer);
}

/* The last ones, or those behind an id. */
static void run_events(void *ctx, struct commands_caller *caller, const struct span *args,
                       size_t count)
{
    const struct service *service = ctx;
    uint64_t after = 0;
    if (count > 0 && !span_to_u64(args[0], &after)) {
        command_say(caller, SEVERITY_ERROR, "Require the id of an event, or nothing.");
        return;
    }
    const struct entry *entry = journal_next(service->journal, after);
    for (; entry; entry = journal_next(service->journal, entry->id)) {
        text_addf(&caller->talk.answer, "%" PRIu64 " %" PRId64 ".%03d %s ", entry->id,
                  entry->wall_ms / 1000, (int)(entry->wall_ms % 1000), entry_word(entry->kind));
        entry_line(entry, &caller->talk.answer);
        text_add(&caller->talk.answer, SPAN("\n"));
    }
}

static void run_servers(void *ctx, struct commands_caller *caller, const struct span *args,
                        size_t count)
{
    const struct service *service = ctx;
    (void)args;
    (void)count;
    for (size_t i = 0; i < service->master_count; i++) {
        text_addf(&caller->talk.answer, "%s ", master_name(service->masters[i]));
        doors_show(service->doors, master_name(service->masters[i]), &caller->talk.answer);
        text_add(&caller->talk.answer, SPAN("\n"));
    }
}

/* Of the master that is named, or of all. */
static void each_master(const struct service *service, struct commands_caller *caller,
                        const struct span *args, size_t count,
                        void (*each)(struct commands_caller *caller, const struct service *service,
                                     const struct master *master))
{
    bool found = count == 0;
    for (size_t i = 0; i < service->master_count; i++) {
        const struct master *master = service->masters[i];
        if (count > 0 && !span_eq(args[0], span_str(master_name(master))))
            continue;
        found = true;
        each(caller, service, master);
    }
    if (!found)
        command_say(caller, SEVERITY_ERROR, "There is no such master.");
}

static void status_of(struct commands_caller *caller, const struct service *service,
                      const struct master *master)
{
    (void)service;
    show_prune_status(master, &caller->talk.answer);
}

static void plan_of(struct commands_caller *caller, const struct service *service,
                    const struct master *master)
{
    show_prune_plan(service, master, &caller->talk.answer);
    prune_look(master_prune(master));
}

static void begin_of(struct commands_caller *caller, const struct service *service,
                     const struct master *master)
{
    (void)service;
    const char *error = prune_run(master_prune(master));
    if (error)
        command_say(caller, SEVERITY_ERROR, "%s", error);
}

static void run_prune_status(void *ctx, struct commands_caller *caller, const struct span *args,
                             size_t count)
{
    each_master(ctx, caller, args, count, status_of);
}

static void run_prune_plan(void *ctx, struct commands_caller *caller, const struct span *args,
                           size_t count)
{
    each_master(ctx, caller, args, count, plan_of);
}

static void run_prune(void *ctx, struct commands_caller *caller, const struct span *args,
                      size_t count)
{
    each_master(ctx, caller, args, count, begin_of);
}

static void run_reload(void *ctx, struct commands_caller *caller, const struct span *args,
                       size_t count)
{
    (void)args;
    (void)count;
    service_reload(ctx);
    command_say(caller, SEVERITY_INFO, "The file is loaded anew; see 'show info'.");
}

const struct command sentinel_commands[] = {
    {{"show", "info"}, "", 0, run_info, "the program and what troubles it"},
    {{"show", "masters"}, "", 0, run_masters, "state, address, epoch and votes of every master"},
    {{"show", "sentinels"}, "", 0, run_sentinels, "every sentinel and what it says"},
    {{"show", "nodes"}, "", 0, run_nodes, "Redis nodes, as sentinels and they themselves say"},
    {{"show", "canary"}, "", 0, run_canary, "what the last failover cost, and who is where"},
    {{"show", "servers"}, "", 0, run_servers, "servers, relay and hooks of every master, as JSON"},
    {{"show", "events"}, "[ID]", 1, run_events, "what happened lately, or since an event"},
    {{"prune", "status"},
     "[MASTER]",
     1,
     run_prune_status,
     "what pruning does, and how the last run ended"},
    {{"prune", "plan"},
     "[MASTER]",
     1,
     run_prune_plan,
     "what would be forgotten, or the doubt, by the last look; looks again"},
    {{"prune", "run"},
     "[MASTER]",
     1,
     run_prune,
     "make the sentinels forget what is gone, one by one, if nothing is in doubt"},
    {{"reload"}, "", 0, run_reload, "load the file anew"},
    {{NULL}, NULL, 0, NULL, NULL},
};
