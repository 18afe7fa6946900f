// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime socket: what its connections keep, and commands whose answers come later. Lines and
 * answers are base/console's business, what commands do is admin_command.c's.
 */
#include "lb/admin.h"

#include "base/console.h"
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/inquiry.h"
#include "lb/reload.h"

enum { SESSIONS_MAX = 64 };

/* A connection to the runtime socket. */
struct talk {
    struct console_talk base;
    struct admin_caller caller;
    struct reload_wait reload; /* while caller.reloads */
};

static struct talk *talk_of(struct console_talk *base)
{
    return container_of(base, struct talk, base);
}

/* What the command had to say is the answer. */
static void talk_take(struct talk *talk)
{
    struct admin_caller *caller = &talk->caller;
    talk->base.answer = caller->answer;
    talk->base.interactive = caller->interactive;
    talk->base.timeout_ms = caller->timeout_ms;
    caller->answer = (struct text){0};
}

/* inquiry_done_fn: the workers have answered. */
static void talk_answered(void *ctx, struct text *answer, bool found)
{
    struct talk *talk = ctx;
    struct admin_caller *caller = &talk->caller;
    enum inquiry_kind kind = inquiry_kind(caller->inquiry);
    caller->inquiry = NULL;
    if (answer->failed)
        caller->answer.failed = true;
    else if (kind == INQUIRY_SHUTDOWN && !found)
        admin_say(caller, SEVERITY_ERROR, "No such session (use 'show sess').");
    else if (kind == INQUIRY_SESSION && !found)
        admin_say(caller, SEVERITY_ERROR, "Session not found.");
    else
        text_add(&caller->answer, span_of(answer->data, answer->len));
    talk_take(talk);
    console_answer(&talk->base);
}

/* done of struct reload_wait: maybe before control_reload returns. */
static void talk_reloaded(struct reload_wait *wait, const struct reload_status *status)
{
    struct talk *talk = container_of(wait, struct talk, reload);
    struct admin_caller *caller = &talk->caller;
    caller->reloads = false;
    if (status->last_failed)
        admin_say(caller, SEVERITY_ERROR, "Reload failed, nothing changed: %s", status->error);
    else if (status->restart[0])
        admin_say(caller, SEVERITY_NOTICE, "Reloaded. Needs a restart: %s", status->restart);
    else
        admin_say(caller, SEVERITY_INFO, "Reloaded.");
    talk_take(talk);
    console_answer(&talk->base);
}

static void talk_reload(struct talk *talk)
{
    struct serving *serving = talk->caller.serving;
    talk->reload.done = talk_reloaded;
    reload_await(serving->reload, &talk->reload);
    control_reload(serving->control);
}

/* ---- the console's program ---- */

static void talk_begin(struct console_talk *base)
{
    struct serving *serving = base->ctx;
    talk_of(base)->caller = (struct admin_caller){
        .serving = serving,
        .loop = base->conn.loop,
        .level = serving->config->admin.level,
        .timeout_ms = ADMIN_TIMEOUT_MS,
    };
    base->timeout_ms = ADMIN_TIMEOUT_MS;
}

static enum console_result talk_run(struct console_talk *base, struct span command)
{
    struct talk *talk = talk_of(base);
    struct admin_caller *caller = &talk->caller;
    admin_run(caller, command);
    if (caller->inquiry) {
        inquiry_await(caller->inquiry, talk_answered, talk);
        return CONSOLE_LATER;
    }
    if (caller->reloads) {
        talk_reload(talk);
        return CONSOLE_LATER;
    }
    talk_take(talk);
    return caller->quit ? CONSOLE_QUIT : CONSOLE_ANSWERED;
}

static void talk_complain(struct console_talk *base, const char *trouble)
{
    struct talk *talk = talk_of(base);
    admin_say(&talk->caller, SEVERITY_ERROR, "%s", trouble);
    talk_take(talk);
}

static void talk_end(struct console_talk *base)
{
    struct talk *talk = talk_of(base);
    if (talk->caller.inquiry)
        inquiry_forget(talk->caller.inquiry);
    if (talk->caller.reloads)
        reload_forget(&talk->reload);
    text_free(&talk->caller.answer);
}

static const struct console_program program = {
    .talk_bytes = sizeof(struct talk),
    .talks_max = SESSIONS_MAX,
    .line_max = ADMIN_LINE_MAX,
    .begin = talk_begin,
    .run = talk_run,
    .complain = talk_complain,
    .end = talk_end,
};

struct console *admin_console(struct serving *serving, struct loop *loop, struct shelf *shelf,
                              int fd)
{
    return console_new(loop, shelf, fd, &program, serving);
}
