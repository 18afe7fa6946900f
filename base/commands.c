// SPDX-License-Identifier: Apache-2.0
#include "base/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    TALKS_MAX = 16,
    LINE_MAX_BYTES = 8192,
    ARGS_MAX = 16,
    IDLE_MS = 60000,
};

/* ---- answers ---- */

void command_say(struct commands_caller *caller, enum severity severity, const char *format, ...)
{
    static const char *const names[] = {[SEVERITY_ERROR] = "err",
                                        [SEVERITY_WARNING] = "warning",
                                        [SEVERITY_NOTICE] = "notice",
                                        [SEVERITY_INFO] = "info"};
    struct text *answer = &caller->talk.answer;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (caller->numbered)
        text_addf(answer, "[%d]: ", (int)severity);
    else if (caller->worded)
        text_addf(answer, "[%s]: ", names[severity]);
    text_addf(answer, "%s\n", text);
}

static void add_help_line(struct text *answer, const struct command *command)
{
    char words[128] = "";
    for (size_t i = 0; i < COMMAND_WORDS && command->words[i]; i++) {
        size_t len = strlen(words);
        snprintf(words + len, sizeof(words) - len, "%s%s", i > 0 ? " " : "", command->words[i]);
    }
    size_t len = strlen(words);
    snprintf(words + len, sizeof(words) - len, "%s%s", *command->args ? " " : "", command->args);
    text_addf(answer, "  %-32s : %s\n", words, command->help);
}

/* ---- our own commands ---- */

enum { OWN_HELP, OWN_PROMPT, OWN_QUIT, OWN_SEVERITY, OWN_COMMANDS };

static const struct command own_commands[OWN_COMMANDS] = {
    [OWN_HELP] = {{"help"}, "", 0, NULL, "this list"},
    [OWN_PROMPT] = {{"prompt"}, "", 0, NULL, "toggle interactive mode"},
    [OWN_QUIT] = {{"quit"}, "", 0, NULL, "disconnect"},
    [OWN_SEVERITY] = {{"set", "severity-output"},
                      "none|number|string",
                      1,
                      NULL,
                      "begin messages with their severity"},
};

static void help(const struct commands *commands, struct text *answer)
{
    text_addf(answer, "The following commands are valid:\n");
    for (const struct command *row = commands->table; row->words[0]; row++)
        add_help_line(answer, row);
    for (size_t i = 0; i < OWN_COMMANDS; i++)
        add_help_line(answer, &own_commands[i]);
}

static void set_severity(struct commands_caller *caller, struct span word)
{
    if (!span_eq(word, SPAN("none")) && !span_eq(word, SPAN("number")) &&
        !span_eq(word, SPAN("string"))) {
        command_say(caller, SEVERITY_ERROR, "one of 'none', 'number', 'string' is required");
        return;
    }
    caller->numbered = span_eq(word, SPAN("number"));
    caller->worded = span_eq(word, SPAN("string"));
}

static enum console_result run_own(struct commands_caller *caller, size_t row,
                                   const struct span *args)
{
    if (row == OWN_QUIT)
        return CONSOLE_QUIT;
    if (row == OWN_HELP)
        help(caller->talk.ctx, &caller->talk.answer);
    else if (row == OWN_PROMPT)
        caller->talk.interactive = !caller->talk.interactive;
    else
        set_severity(caller, args[0]);
    return CONSOLE_ANSWERED;
}

/* ---- the table's ---- */

static size_t split(struct span line, struct span words[static ARGS_MAX])
{
    size_t count = 0;
    while (line.ptr && count < ARGS_MAX) {
        struct span word = span_cut(&line, ' ');
        if (word.len > 0)
            words[count++] = word;
    }
    return count;
}

static size_t words_matched(const struct command *row, const struct span *words, size_t count)
{
    size_t n = 0;
    while (n < COMMAND_WORDS && row->words[n]) {
        if (n >= count || !span_eq(words[n], span_str(row->words[n])))
            return 0;
        n++;
    }
    return n;
}

static void run_from_table(struct commands_caller *caller, const struct span *words, size_t count)
{
    const struct commands *commands = caller->talk.ctx;
    for (const struct command *row = commands->table; row->words[0]; row++) {
        size_t n = words_matched(row, words, count);
        if (n == 0)
            continue;
        if (count - n > row->args_max)
            command_say(caller, SEVERITY_ERROR, "Unexpected argument; it takes%s%s",
                        row->args_max == 0 ? " none." : ": ", row->args);
        else
            row->run(commands->ctx, caller, words + n, count - n);
        return;
    }
    command_say(caller, SEVERITY_ERROR, "Unknown command; try 'help'.");
}

/* ---- the console's program ---- */

static struct commands_caller *caller_of(struct console_talk *talk)
{
    return container_of(talk, struct commands_caller, talk);
}

static void begin(struct console_talk *talk)
{
    talk->timeout_ms = IDLE_MS;
}

static enum console_result run(struct console_talk *talk, struct span command)
{
    struct commands_caller *caller = caller_of(talk);
    struct span words[ARGS_MAX] = {0};
    size_t count = split(span_trim(command), words);
    if (count == 0 && talk->interactive)
        return CONSOLE_ANSWERED;
    for (size_t i = 0; i < OWN_COMMANDS; i++) {
        size_t n = words_matched(&own_commands[i], words, count);
        if (n > 0 && count - n == own_commands[i].args_max)
            return run_own(caller, i, words + n);
    }
    run_from_table(caller, words, count);
    return CONSOLE_ANSWERED;
}

static void complain(struct console_talk *talk, const char *trouble)
{
    command_say(caller_of(talk), SEVERITY_ERROR, "%s", trouble);
}

static const struct console_program program = {
    .talk_bytes = sizeof(struct commands_caller),
    .talks_max = TALKS_MAX,
    .line_max = LINE_MAX_BYTES,
    .begin = begin,
    .run = run,
    .complain = complain,
};

struct console *commands_console(struct loop *loop, struct shelf *shelf, int fd,
                                 const struct commands *commands)
{
    return console_new(loop, shelf, fd, &program, (void *)(uintptr_t)commands);
}
