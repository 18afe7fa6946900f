// SPDX-License-Identifier: Apache-2.0
/* What can be asked at the runtime socket; the console itself has help, prompt and quit. */
#include "sentinel-watch/command.h"

#include "sentinel-watch/show.h"

#include <inttypes.h>

static void run_info(void *ctx, struct console_caller *caller, const struct span *args,
                     size_t count)
{
    (void)args;
    (void)count;
    show_info(ctx, &caller->answer);
}

static void run_masters(void *ctx, struct console_caller *caller, const struct span *args,
                        size_t count)
{
    (void)args;
    (void)count;
    show_masters(ctx, &caller->answer);
}

static void run_sentinels(void *ctx, struct console_caller *caller, const struct span *args,
                          size_t count)
{
    (void)args;
    (void)count;
    show_sentinels(ctx, &caller->answer);
}

static void run_nodes(void *ctx, struct console_caller *caller, const struct span *args,
                      size_t count)
{
    (void)args;
    (void)count;
    show_nodes(ctx, &caller->answer);
}

static void run_canary(void *ctx, struct console_caller *caller, const struct span *args,
                       size_t count)
{
    (void)args;
    (void)count;
    show_canary(ctx, &caller->answer);
}

/* The last ones, or those behind an id. */
static void run_events(void *ctx, struct console_caller *caller, const struct span *args,
                       size_t count)
{
    const struct service *service = ctx;
    uint64_t after = 0;
    if (count > 0 && !span_to_u64(args[0], &after)) {
        console_say(caller, SEVERITY_ERROR, "Require the id of an event, or nothing.");
        return;
    }
    const struct entry *entry = journal_next(service->journal, after);
    for (; entry; entry = journal_next(service->journal, entry->id)) {
        text_addf(&caller->answer, "%" PRIu64 " %" PRId64 ".%03d %s ", entry->id,
                  entry->wall_ms / 1000, (int)(entry->wall_ms % 1000), entry_word(entry->kind));
        entry_line(entry, &caller->answer);
        text_add(&caller->answer, SPAN("\n"));
    }
}

static void run_servers(void *ctx, struct console_caller *caller, const struct span *args,
                        size_t count)
{
    const struct service *service = ctx;
    (void)args;
    (void)count;
    for (size_t i = 0; i < service->master_count; i++) {
        text_addf(&caller->answer, "%s ", master_name(service->masters[i]));
        doors_show(service->doors, master_name(service->masters[i]), &caller->answer);
        text_add(&caller->answer, SPAN("\n"));
    }
}

static void run_reload(void *ctx, struct console_caller *caller, const struct span *args,
                       size_t count)
{
    (void)args;
    (void)count;
    service_reload(ctx);
    console_say(caller, SEVERITY_INFO, "The file is loaded anew; see 'show info'.");
}

const struct console_command sentinel_commands[] = {
    {{"show", "info"}, "", 0, run_info, "the program and what troubles it"},
    {{"show", "masters"}, "", 0, run_masters, "state, address, epoch and votes of every master"},
    {{"show", "sentinels"}, "", 0, run_sentinels, "every sentinel and what it says"},
    {{"show", "nodes"}, "", 0, run_nodes, "Redis nodes, as sentinels and they themselves say"},
    {{"show", "canary"}, "", 0, run_canary, "what the last failover cost, and who is where"},
    {{"show", "servers"}, "", 0, run_servers, "servers, relay and hooks of every master, as JSON"},
    {{"show", "events"}, "[ID]", 1, run_events, "what happened lately, or since an event"},
    {{"reload"}, "", 0, run_reload, "load the file anew"},
    {{NULL}, NULL, 0, NULL, NULL},
};
