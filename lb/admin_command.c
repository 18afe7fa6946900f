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

struct command {
    const char *words[COMMAND_WORDS];
    const char *args; /* for help */
    enum admin_level level;
    admin_fn *run;
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

bool admin_unexpected(struct admin_caller *caller, const struct span *args, size_t count,
                      size_t most)
{
    if (count > most)
        say_unexpected(caller, args[most]);
    return count > most;
}

struct backend *admin_backend(struct admin_caller *caller, struct span name)
{
    struct snapshot *snapshot = caller->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(span_str(snapshot->backends[i]->name), name))
            return snapshot->backends[i];
    }
    admin_say(caller, SEVERITY_ERROR, "No such backend.");
    return NULL;
}

struct server *admin_server(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct span rest = count > 0 ? args[0] : SPAN_NONE;
    if (span_find(rest, SPAN("/")) >= rest.len) {
        admin_say(caller, SEVERITY_ERROR, "Require 'backend/server'.");
        return NULL;
    }
    struct backend *backend = admin_backend(caller, span_cut(&rest, '/'));
    if (!backend)
        return NULL;
    struct server *server = backend_server(backend, rest);
    if (!server)
        admin_say(caller, SEVERITY_ERROR, "No such server.");
    return server;
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

int64_t admin_duration_ms(struct span word)
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
    int64_t timeout_ms = admin_duration_ms(args[1]);
    if (timeout_ms > 0)
        caller->timeout_ms = timeout_ms;
    else
        admin_say(caller, SEVERITY_ERROR, "Invalid timeout value.");
}

static admin_fn command_help;

// clang-format off
#define USER     ADMIN_LEVEL_USER
#define OPERATOR ADMIN_LEVEL_OPERATOR
#define ADMIN    ADMIN_LEVEL_ADMIN
static const struct command commands[] = {
    {{"clear", "counters"}, "[all]", OPERATOR, admin_clear_counters, "clear max statistics counters (or all counters)"},
    {{"clear", "table"}, "<backend> [key <sid>]", OPERATOR, admin_clear_table, "forget the sessions of a backend's sid table, or one"},
    {{"disable", "frontend"}, "<frontend>", ADMIN, admin_disable_frontend, "stop listening for a frontend; open connections stay"},
    {{"disable", "health"}, "<backend>/<server>", ADMIN, admin_disable_health, "disable health checks"},
    {{"disable", "server"}, "<backend>/<server>", ADMIN, admin_disable_server, "take a server out for maintenance (set server ... state maint)"},
    {{"enable", "frontend"}, "<frontend>", ADMIN, admin_enable_frontend, "listen again"},
    {{"enable", "health"}, "<backend>/<server>", ADMIN, admin_enable_health, "enable health checks"},
    {{"enable", "server"}, "<backend>/<server>", ADMIN, admin_enable_server, "put a server back (set server ... state ready)"},
    {{"get", "weight"}, "<backend>/<server>", USER, admin_get_weight, "report a server's current weight"},
    {{"operator"}, "", OPERATOR, command_operator, "lower the level of the current CLI session to operator"},
    {{"reload"}, "", ADMIN, admin_reload, "load the configuration file again; the answer says what became of it"},
    {{"set", "maxconn", "frontend"}, "<frontend> <value>", ADMIN, admin_set_maxconn_frontend, "change a frontend's limit of connections"},
    {{"set", "maxconn", "global"}, "<value>", ADMIN, admin_set_maxconn_global, "change the process's limit of connections"},
    {{"set", "maxconn", "server"}, "<backend>/<server> <value>", ADMIN, admin_set_maxconn_server, "change a server's limit of connections, 0 = none"},
    {{"set", "server"}, "<backend>/<server> [opts]", ADMIN, admin_set_server, "change a server: state ready|drain|maint, weight N[%], health up|down, addr A [port P]"},
    {{"set", "severity-output"}, "[none|number|string]", USER, set_severity_output, "set presence of severity level in feedback information"},
    {{"set", "timeout"}, "[cli] <delay>", USER, set_timeout, "change a timeout setting"},
    {{"set", "weight"}, "<backend>/<server> <weight>[%]", ADMIN, admin_set_weight, "change a server's weight (set server ... weight)"},
    {{"show", "backend"}, "", USER, admin_show_backend, "list backends in the current running config"},
    {{"show", "cli", "level"}, "", USER, admin_show_cli_level, "display the level of the current CLI session"},
    {{"show", "config"}, "", OPERATOR, admin_show_config, "show the effective configuration, without secrets"},
    {{"show", "errors"}, "[<px>] [request|response]", OPERATOR, admin_show_errors, "report last malformed request and response for each proxy"},
    {{"show", "events"}, "[<count>]", USER, admin_show_events, "report what happened lately"},
    {{"show", "info"}, "[desc|json|typed]*", USER, admin_show_info, "report information about the running process"},
    {{"show", "servers", "conn"}, "[<backend>]", USER, admin_show_servers_conn, "dump server connections status (all or for a single backend)"},
    {{"show", "servers", "state"}, "[<backend>]", USER, admin_show_servers_state, "dump volatile server information (all or for a single backend)"},
    {{"show", "sess"}, "[all|<id>]", OPERATOR, admin_show_sess, "report the client connections, all about them or all about one"},
    {{"show", "stat"}, "[px type sid] [desc|json|no-maint|typed|up]*", USER, admin_show_stat, "report counters for each proxy and server"},
    {{"show", "table"}, "[<backend> [key <sid>]]", USER, admin_show_table, "report the sid tables' usage or dump one's contents"},
    {{"show", "version"}, "", USER, admin_show_version, "show version of the current process"},
    {{"shutdown", "session"}, "<id>", ADMIN, admin_shutdown_session, "end a specific connection"},
    {{"shutdown", "sessions", "server"}, "<backend>/<server>", ADMIN, admin_shutdown_sessions_server, "end what a server serves"},
    {{"sio", "drain"}, "[<backend>/<server> [rate <n>/s]]", ADMIN, admin_sio_drain, "move all sessions off a server, a few per second; alone: how far drains are"},
    {{"sio", "failover"}, "[<master> <phase> lease <n>]", OPERATOR, admin_sio_failover, "say that a Redis failover is on: calm|hold|sub|pub|fence|cancel, until the lease of n seconds ends; alone: list them"},
    {{"sio", "rebalance"}, "[<backend> [rate <n>/s] [stop]]", ADMIN, admin_sio_rebalance, "move sessions off servers that have more than their share; alone: how far that is"},
    {{"sio", "redis"}, "[<backend>/<server> ready|stale <epoch> lease <n>]", OPERATOR, admin_sio_redis, "say whether a server has followed Redis; a stale one gets no new sessions until the lease of n seconds ends; alone: list them"},
    {{"sio", "sids"}, "[<backend>]", OPERATOR, admin_sio_sids, "list Engine.IO sessions: sid, owner, age, expiry"},
    {{"sio", "transports"}, "", USER, admin_sio_transports, "count sessions by server and transport"},
    {{"sio", "where"}, "<sid>", OPERATOR, admin_sio_where, "show which server owns a session"},
    {{"user"}, "", USER, command_user, "lower the level of the current CLI session to user"},
    {{"help"}, "[<command>]", USER, command_help, "list matching or all commands"},
    {{"prompt"}, "", USER, command_prompt, "toggle interactive mode with prompt"},
    {{"quit"}, "", USER, command_quit, "disconnect"},
};
#undef USER
#undef OPERATOR
#undef ADMIN
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

/* The most words that any command (of this level) has in common with these. */
static size_t most_matched(const struct admin_caller *caller, const struct span *words,
                           size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t n = command_matched(&commands[i], words, count);
        if (commands[i].level <= caller->level && n > most)
            most = n;
    }
    return most;
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

/* Which commands help shows: those beginning with the words; of those with the most words in
 * common, the ones like them, or all; or all there are. */
enum help_match { HELP_EXACT, HELP_SIMILAR, HELP_COMMON, HELP_ALL };

static bool help_wants(const struct admin_caller *caller, enum help_match match,
                       const struct command *command, const struct span *words, size_t count)
{
    size_t n = command_matched(command, words, count);
    switch (match) {
    case HELP_EXACT:
        return n == count;
    case HELP_SIMILAR:
        return n == most_matched(caller, words, count) && command_similar(command, words, count);
    case HELP_COMMON:
        return n > 0 && n == most_matched(caller, words, count);
    case HELP_ALL:
        return true;
    }
    return true;
}

static bool help_finds(const struct admin_caller *caller, enum help_match match,
                       const struct span *words, size_t count)
{
    for (size_t i = 0; i < COMMAND_COUNT - ALWAYS_HELPED; i++) {
        if (commands[i].level <= caller->level &&
            help_wants(caller, match, &commands[i], words, count))
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
            (command->level > caller->level || !help_wants(caller, match, command, words, count)))
            continue;
        char usage[128];
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

void admin_print_reference(FILE *out)
{
    fputs("<!-- Generated from the tables in lb/; the unit test lb_admin compares. -->\n\n"
          "# The runtime API\n\nOn the socket `admin.socket`, in HAProxy's dialect. `limpet ctl` "
          "sends a command; an answer ends with an empty line.\n\n## Commands\n\n"
          "| command | level | what it does |\n|---|---|---|\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        fputs("| `", out);
        for (size_t w = 0; w < command_word_count(command); w++)
            fprintf(out, "%s%s", w > 0 ? " " : "", command->words[w]);
        fprintf(out, "%s", *command->args != '\0' ? " " : "");
        for (const char *c = command->args; *c != '\0'; c++)
            fprintf(out, "%s%c", *c == '|' ? "\\" : "", *c);
        fprintf(out, "` | %s | ", config_word("admin_level", (int)command->level));
        for (const char *c = command->help; *c != '\0'; c++)
            fprintf(out, "%s%c", *c == '|' ? "\\" : "", *c);
        fputs(" |\n", out);
    }
    fputs("\n## Keys of `show info`\n\n", out);
    stats_info_reference(out);
    fputs("\n## Columns of `show stat`\n\n", out);
    stats_columns_reference(out);
}
