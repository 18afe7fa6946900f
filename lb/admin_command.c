// SPDX-License-Identifier: Apache-2.0
/*
 * The commands, one table row each: words, what may follow, least level, help, function. A command
 * is the row whose words the line begins with; what follows are its arguments. Texts, severities
 * and their oddities (an unknown command is only "info") are HAProxy 2.6's, as its tools expect
 * them; but an argument that we do not know is refused instead of ignored.
 */
#include "lb/admin_command.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64, COMMAND_WORDS = 3 };

/* A command's words, unescaped, in `text`. */
struct words {
    size_t count;
    struct span list[WORDS_MAX];
    bool too_many;
    char text[ADMIN_LINE_MAX];
};

/* `args` are the words behind the command's own. */
typedef void command_fn(struct admin_caller *caller, const struct span *args, size_t count);

struct command {
    const char *words[COMMAND_WORDS];
    const char *args; /* for help */
    enum admin_level level;
    command_fn *run;
    const char *help;
};

/* ---- words ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* One word off the front of *rest, unescaped into `to`. False: there is none. */
static bool word_take(struct span *rest, char *to, struct span *word)
{
    while (rest->len > 0 && blank(rest->ptr[0]))
        *rest = span_from(*rest, 1);
    if (rest->len == 0 || rest->ptr[0] == '#')
        return false;
    size_t at = 0, len = 0;
    for (; at < rest->len && !blank(rest->ptr[at]); at++) {
        if (rest->ptr[at] == '\\' && at + 1 < rest->len)
            at++;
        to[len++] = rest->ptr[at];
    }
    *rest = span_from(*rest, at);
    *word = span_of(to, len);
    return true;
}

static void words_split(struct span command, struct words *words)
{
    command = span_upto(command, sizeof(words->text));
    char *to = words->text;
    words->count = 0;
    words->too_many = false;
    struct span word;
    while (word_take(&command, to, &word)) {
        if (words->count == WORDS_MAX) {
            words->too_many = true;
            return;
        }
        words->list[words->count++] = word;
        to += word.len;
    }
}

/* ---- answers ---- */

void admin_say(struct admin_caller *caller, enum severity severity, const char *format, ...)
{
    static const char *const names[] = {[SEVERITY_ERROR] = "err",
                                        [SEVERITY_WARNING] = "warning",
                                        [SEVERITY_NOTICE] = "notice",
                                        [SEVERITY_INFO] = "info"};
    switch (caller->severity_output) {
    case SEVERITY_OUTPUT_NONE:
        break;
    case SEVERITY_OUTPUT_NUMBER:
        text_addf(&caller->answer, "[%d]: ", (int)severity);
        break;
    case SEVERITY_OUTPUT_STRING:
        text_addf(&caller->answer, "[%s]: ", names[severity]);
        break;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_addf(&caller->answer, "%s\n", text);
}

/* A word of the caller's, for a message. */
static const char *shown(struct span word, char out[static 64])
{
    size_t len = log_escape(span_upto(word, 32), out, 63);
    out[len < 63 ? len : 63] = '\0';
    return out;
}

static void say_unexpected(struct admin_caller *caller, struct span word)
{
    char text[64];
    admin_say(caller, SEVERITY_ERROR, "Unexpected argument '%s'.", shown(word, text));
}

/* ---- the commands ---- */

static void command_prompt(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    caller->interactive = !caller->interactive;
}

static void command_quit(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    caller->quit = true;
}

static void command_user(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    caller->level = ADMIN_LEVEL_USER;
}

static void command_operator(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    caller->level = ADMIN_LEVEL_OPERATOR;
}

static void show_cli_level(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    text_addf(&caller->answer, "%s\n", config_word("admin_level", (int)caller->level));
}

static void show_version(struct admin_caller *caller, const struct span *args, size_t count)
{
    (void)args;
    (void)count;
    admin_say(caller, SEVERITY_INFO, "%s", LIMPET_VERSION);
}

static void show_info(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (count > 0)
        say_unexpected(caller, args[0]);
    else
        stats_info(caller->serving, &caller->answer);
}

/* A number, -1 included. */
static bool word_to_int(struct span word, int *out)
{
    uint64_t number;
    if (span_eq(word, SPAN("-1"))) {
        *out = -1;
        return true;
    }
    if (!span_to_u64(word, &number) || number > INT_MAX)
        return false;
    *out = (int)number;
    return true;
}

/* <iid|name> <type> <sid>; NULL or what is wrong. */
static const char *filter_parse(const struct serving *serving, const struct span *args,
                                struct stats_filter *filter)
{
    if (!word_to_int(args[0], &filter->iid)) {
        filter->iid = STATS_ANY;
        filter->proxy = args[0];
        if (!stats_has_proxy(serving, filter->proxy))
            return "No such proxy.";
    }
    if (!word_to_int(args[1], &filter->types) || !word_to_int(args[2], &filter->sid))
        return "'show stat' expects [<iid|name> <type> <sid>], the latter two being numbers.";
    return NULL;
}

static void show_stat(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct stats_filter filter = STATS_ALL;
    filter.addresses = caller->level >= ADMIN_LEVEL_OPERATOR;
    size_t at = 0;
    uint64_t number;
    bool by_number = count > 0 && span_to_u64(args[0], &number);
    if (count >= 3 || by_number) {
        const char *error = count >= 3 ? filter_parse(caller->serving, args, &filter)
                                       : "'show stat' expects [<iid|name> <type> <sid>].";
        if (error != NULL) {
            admin_say(caller, SEVERITY_ERROR, "%s", error);
            return;
        }
        at = 3;
    }
    for (; at < count; at++) {
        if (span_eq(args[at], SPAN("up"))) {
            filter.up_only = true;
        } else if (span_eq(args[at], SPAN("no-maint"))) {
            filter.no_maint = true;
        } else {
            say_unexpected(caller, args[at]);
            return;
        }
    }
    stats_csv_some(caller->serving, &filter, &caller->answer);
}

static void show_table(struct admin_caller *caller, const struct span *args, size_t count)
{
    bool entries = caller->level >= ADMIN_LEVEL_OPERATOR;
    if (count > 1)
        say_unexpected(caller, args[1]);
    else if (count == 0)
        stats_tables(caller->serving, &caller->answer);
    else if (!stats_table(caller->serving, args[0], entries, &caller->answer))
        admin_say(caller, SEVERITY_ERROR, "No such table");
}

static void set_severity_output(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (count == 1 && span_eq(args[0], SPAN("none")))
        caller->severity_output = SEVERITY_OUTPUT_NONE;
    else if (count == 1 && span_eq(args[0], SPAN("number")))
        caller->severity_output = SEVERITY_OUTPUT_NUMBER;
    else if (count == 1 && span_eq(args[0], SPAN("string")))
        caller->severity_output = SEVERITY_OUTPUT_STRING;
    else
        admin_say(caller, SEVERITY_ERROR,
                  "one of 'none', 'number', 'string' is a required argument");
}

/* HAProxy's durations: a bare number is seconds. 0: not one, or longer than a day. */
static int64_t word_to_ms(struct span word)
{
    static const struct {
        struct span unit;
        uint64_t ms;
    } units[] = {{{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
                 {{"h", 1}, 3600000}, {{"d", 1}, 86400000}, {{"", 0}, 1000}};
    const uint64_t day_ms = 86400000;
    for (size_t i = 0; i < array_len(units); i++) {
        uint64_t number;
        struct span digits = word;
        if (!span_ends(word, units[i].unit))
            continue;
        digits.len -= units[i].unit.len;
        if (span_to_u64(digits, &number))
            return number <= day_ms && number * units[i].ms <= day_ms
                       ? (int64_t)(number * units[i].ms)
                       : 0;
    }
    return 0;
}

static void set_timeout(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (count == 0 || !span_eq(args[0], SPAN("cli"))) {
        admin_say(caller, SEVERITY_ERROR, "'set timeout' only supports 'cli'.");
        return;
    }
    if (count != 2) {
        admin_say(caller, SEVERITY_ERROR, "Expects an integer value.");
        return;
    }
    int64_t timeout_ms = word_to_ms(args[1]);
    if (timeout_ms > 0)
        caller->timeout_ms = timeout_ms;
    else
        admin_say(caller, SEVERITY_ERROR, "Invalid timeout value.");
}

static command_fn command_help;

// clang-format off
static const struct command commands[] = {
    {{"operator"}, "", ADMIN_LEVEL_OPERATOR, command_operator, "lower the level of the current CLI session to operator"},
    {{"set", "severity-output"}, "[none|number|string]", ADMIN_LEVEL_USER, set_severity_output, "set presence of severity level in feedback information"},
    {{"set", "timeout"}, "[cli] <delay>", ADMIN_LEVEL_USER, set_timeout, "change a timeout setting"},
    {{"show", "cli", "level"}, "", ADMIN_LEVEL_USER, show_cli_level, "display the level of the current CLI session"},
    {{"show", "info"}, "", ADMIN_LEVEL_USER, show_info, "report information about the running process"},
    {{"show", "stat"}, "[px type sid] [up|no-maint]", ADMIN_LEVEL_USER, show_stat, "report counters for each proxy and server"},
    {{"show", "table"}, "[<backend>]", ADMIN_LEVEL_USER, show_table, "report the sid tables' usage or dump one's contents"},
    {{"show", "version"}, "", ADMIN_LEVEL_USER, show_version, "show version of the current process"},
    {{"user"}, "", ADMIN_LEVEL_USER, command_user, "lower the level of the current CLI session to user"},
    {{"help"}, "[<command>]", ADMIN_LEVEL_USER, command_help, "list matching or all commands"},
    {{"prompt"}, "", ADMIN_LEVEL_USER, command_prompt, "toggle interactive mode with prompt"},
    {{"quit"}, "", ADMIN_LEVEL_USER, command_quit, "disconnect"},
};
// clang-format on
enum { COMMAND_COUNT = array_len(commands), ALWAYS_HELPED = 3 };

/* ---- help ---- */

static size_t command_word_count(const struct command *command)
{
    size_t count = 0;
    while (count < COMMAND_WORDS && command->words[count] != NULL)
        count++;
    return count;
}

/* How many of the given words the command has at the same place, from the first on. */
static size_t command_matched(const struct command *command, const struct span *words, size_t count)
{
    size_t n = 0;
    size_t most = command_word_count(command);
    while (n < most && n < count && span_eq(words[n], span_str(command->words[n])))
        n++;
    return n;
}

/* Edit distance of two short words, for the likes of "shwo". */
static size_t word_distance(struct span a, struct span b)
{
    enum { LONGEST = 24 };
    size_t row[LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[b.len];
}

/* Could the words have meant this command? The first one that differs is off by two letters at
 * most, or begins it. */
static bool command_similar(const struct command *command, const struct span *words, size_t count)
{
    size_t n = command_matched(command, words, count);
    if (n == count || n == command_word_count(command))
        return true;
    struct span wanted = span_str(command->words[n]);
    return span_starts(wanted, words[n]) || word_distance(words[n], wanted) <= 2;
}

/* Which commands help shows: those beginning with the words, those like them, or those with the
 * same first word. */
enum help_match { HELP_EXACT, HELP_SIMILAR, HELP_FIRST_WORD, HELP_ALL };

static bool help_wants(enum help_match match, const struct command *command,
                       const struct span *words, size_t count)
{
    switch (match) {
    case HELP_EXACT:
        return command_matched(command, words, count) == count;
    case HELP_SIMILAR:
        return command_similar(command, words, count);
    case HELP_FIRST_WORD:
        return command_matched(command, words, 1) == 1;
    case HELP_ALL:
        return true;
    }
    return true;
}

static bool help_finds(const struct admin_caller *caller, enum help_match match,
                       const struct span *words, size_t count)
{
    for (size_t i = 0; i < COMMAND_COUNT - ALWAYS_HELPED; i++) {
        if (commands[i].level <= caller->level && help_wants(match, &commands[i], words, count))
            return true;
    }
    return false;
}

static void help_list(struct admin_caller *caller, enum help_match match, const struct span *words,
                      size_t count)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        bool always = i >= COMMAND_COUNT - ALWAYS_HELPED;
        if (!always &&
            (command->level > caller->level || !help_wants(match, command, words, count)))
            continue;
        char usage[96];
        size_t len = 0;
        for (size_t w = 0; w < command_word_count(command); w++)
            len += (size_t)snprintf(usage + len, sizeof(usage) - len, "%s%s", w > 0 ? " " : "",
                                    command->words[w]);
        snprintf(usage + len, sizeof(usage) - len, "%s%s", *command->args != '\0' ? " " : "",
                 command->args);
        text_addf(&caller->answer, "  %-40s: %s\n", usage, command->help);
    }
}

static enum help_match help_match(const struct admin_caller *caller, const struct span *words,
                                  size_t count)
{
    if (count == 0)
        return HELP_ALL;
    for (enum help_match match = HELP_EXACT; match < HELP_ALL; match++) {
        if (help_finds(caller, match, words, count))
            return match;
    }
    return HELP_ALL;
}

static void command_help(struct admin_caller *caller, const struct span *args, size_t count)
{
    text_add(&caller->answer, SPAN("The following commands are valid at this level:\n"));
    help_list(caller, help_match(caller, args, count), args, count);
}

static void say_unknown(struct admin_caller *caller, const struct span *words, size_t count)
{
    enum help_match match = help_match(caller, words, count);
    admin_say(caller, SEVERITY_INFO, "%s",
              match == HELP_ALL
                  ? "Unknown command. Please enter one of the following commands only:"
                  : "Unknown command, but maybe one of the following ones is a better match:");
    help_list(caller, match, words, count);
}

/* ---- dispatch ---- */

void admin_run(struct admin_caller *caller, struct span command)
{
    struct words words;
    words_split(command, &words);
    if (words.too_many) {
        admin_say(caller, SEVERITY_ERROR, "Too many words.");
        return;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t own = command_word_count(&commands[i]);
        if (command_matched(&commands[i], words.list, words.count) != own)
            continue;
        if (commands[i].level > caller->level)
            admin_say(caller, SEVERITY_ERROR, "Permission denied");
        else
            commands[i].run(caller, words.list + own, words.count - own);
        return;
    }
    say_unknown(caller, words.list, words.count);
}
