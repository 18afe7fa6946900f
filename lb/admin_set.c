// SPDX-License-Identifier: Apache-2.0
/*
 * Commands that change something: they read their arguments, say what is wrong with them in
 * HAProxy's words, and leave the doing to lb/operate (or to the table that they clear).
 *
 *     set server B/S state ready|drain|maint     "enable server", "disable server" are ready, maint
 *                    weight N[%]                 "set weight"
 *                    health up|down
 *                    addr A [port P]
 */
#include "lb/admin_command.h"
#include "lb/inquiry.h"
#include "lb/operate.h"

#include <limits.h>
#include <string.h>

#define BY "runtime API"

/* Done, or the sentence that says why not. */
static void say(struct admin_caller *caller, const char *error)
{
    if (error)
        admin_say(caller, SEVERITY_ERROR, "%s", error);
}

/* ---- servers ---- */

static void set_state(struct admin_caller *caller, struct server *server, const struct span *args,
                      size_t count)
{
    static const struct {
        struct span word;
        enum server_admin admin;
    } states[] = {
        {{"ready", 5}, SERVER_READY}, {{"drain", 5}, SERVER_DRAIN}, {{"maint", 5}, SERVER_MAINT}};
    for (size_t i = 0; i < array_len(states) && count == 1; i++) {
        if (!span_eq(args[0], states[i].word))
            continue;
        operate_server_admin(caller->serving, server, states[i].admin, BY);
        return;
    }
    say(caller, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.");
}

static void set_server_weight(struct admin_caller *caller, struct server *server,
                              const struct span *args, size_t count)
{
    if (count == 0)
        say(caller, "Require <weight> or <weight%>.");
    else if (!admin_unexpected(caller, args, count, 1))
        say(caller, operate_server_weight(caller->serving, server, args[0], BY));
}

static void set_health(struct admin_caller *caller, struct server *server, const struct span *args,
                       size_t count)
{
    bool up = count == 1 && span_eq(args[0], SPAN("up"));
    if (up || (count == 1 && span_eq(args[0], SPAN("down"))))
        say(caller, operate_server_health(caller->serving, server, up, BY));
    else
        say(caller, "'set server <srv> health' expects 'up' or 'down'.");
}

/* An IP address (or unix socket) with this port. */
static bool addr_make(struct span host, uint16_t port, struct addr *out)
{
    char text[160];
    struct endpoint endpoint;
    bool v6 = span_index(host, ':') != SIZE_MAX && !span_starts(host, SPAN("["));
    if (host.len == 0 || host.len > 128)
        return false;
    snprintf(text, sizeof(text), v6 ? "[%.*s]:%u" : "%.*s:%u", SPAN_ARG(host), (unsigned)port);
    endpoint_parse(span_str(text), false, &endpoint);
    *out = endpoint.addr;
    return endpoint.kind == ENDPOINT_ADDR;
}

/* "IP changed from … to …, port changed from … to … by 'stats socket command'". */
static void say_moved(struct admin_caller *caller, const struct addr *from, bool known,
                      const struct addr *to)
{
    char old[ADDR_TEXT_MAX] = "", now[ADDR_TEXT_MAX], ip[2 * ADDR_TEXT_MAX + 64], port[80] = "";
    if (known)
        addr_format_host(from, old);
    addr_format_host(to, now);
    if (strcmp(old, now) == 0)
        snprintf(ip, sizeof(ip), "no need to change the addr");
    else
        snprintf(ip, sizeof(ip), "IP changed from '%s' to '%s'", old, now);
    uint16_t was = known ? addr_port(from) : 0;
    if (was == addr_port(to))
        snprintf(port, sizeof(port), ", no need to change the port");
    else
        snprintf(port, sizeof(port), ", port changed from '%u' to '%u'", (unsigned)was,
                 (unsigned)addr_port(to));
    admin_say(caller, SEVERITY_NOTICE, "%s%s by 'stats socket command'", ip, port);
}

static void set_addr(struct admin_caller *caller, struct server *server, const struct span *args,
                     size_t count)
{
    if (count != 1 && !(count == 3 && span_eq(args[1], SPAN("port")))) {
        say(caller, "set server <b>/<s> addr requires an address and optionally a port.");
        return;
    }
    struct addr before = server->addr, addr;
    bool known = server->addr_known;
    uint64_t port = known ? addr_port(&server->addr) : server->config->endpoint.port;
    if (count == 3 && (!span_to_u64(args[2], &port) || port == 0 || port > UINT16_MAX)) {
        char text[64];
        admin_say(caller, SEVERITY_ERROR, "Invalid port '%s'.",
                  span_to_str(args[2], text, sizeof(text)));
        return;
    }
    if (!addr_make(args[0], (uint16_t)port, &addr)) {
        char raw[64], text[64 * 4 + 1];
        span_to_str(args[0], raw, sizeof(raw));
        size_t len = log_escape(span_str(raw), text, sizeof(text) - 1);
        text[len] = '\0';
        admin_say(caller, SEVERITY_ERROR, "Invalid addr '%s' by 'stats socket command'", text);
        return;
    }
    say(caller, operate_server_addr(caller->serving, server, &addr, BY));
    say_moved(caller, &before, known, &addr);
}

void admin_set_server(struct admin_caller *caller, const struct span *args, size_t count)
{
    static const struct {
        struct span word;
        void (*set)(struct admin_caller *caller, struct server *server, const struct span *args,
                    size_t count);
    } settings[] = {{{"state", 5}, set_state},
                    {{"weight", 6}, set_server_weight},
                    {{"health", 6}, set_health},
                    {{"addr", 4}, set_addr}};
    struct server *server = admin_server(caller, args, count);
    if (!server)
        return;
    for (size_t i = 0; i < array_len(settings) && count > 1; i++) {
        if (!span_eq(args[1], settings[i].word))
            continue;
        settings[i].set(caller, server, args + 2, count - 2);
        return;
    }
    say(caller, "usage: set server <backend>/<server> addr | health | state | weight");
}

void admin_set_weight(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct server *server = admin_server(caller, args, count);
    if (server)
        set_server_weight(caller, server, args + 1, count - 1);
}

void admin_get_weight(struct admin_caller *caller, const struct span *args, size_t count)
{
    const struct server *server = admin_server(caller, args, count);
    if (server && !admin_unexpected(caller, args, count, 1))
        text_addf(&caller->answer, "%d (initial %d)\n", atomic_load(&server->weight),
                  (int)server->config->opt.weight);
}

static void server_state(struct admin_caller *caller, const struct span *args, size_t count,
                         enum server_admin admin)
{
    struct server *server = admin_server(caller, args, count);
    if (server && !admin_unexpected(caller, args, count, 1))
        operate_server_admin(caller->serving, server, admin, BY);
}

void admin_enable_server(struct admin_caller *caller, const struct span *args, size_t count)
{
    server_state(caller, args, count, SERVER_READY);
}

void admin_disable_server(struct admin_caller *caller, const struct span *args, size_t count)
{
    server_state(caller, args, count, SERVER_MAINT);
}

static void server_checks(struct admin_caller *caller, const struct span *args, size_t count,
                          bool enabled)
{
    struct server *server = admin_server(caller, args, count);
    if (server && !admin_unexpected(caller, args, count, 1))
        say(caller, operate_server_checks(caller->serving, server, enabled, BY));
}

void admin_enable_health(struct admin_caller *caller, const struct span *args, size_t count)
{
    server_checks(caller, args, count, true);
}

void admin_disable_health(struct admin_caller *caller, const struct span *args, size_t count)
{
    server_checks(caller, args, count, false);
}

/* ---- frontends ---- */

static struct frontend *frontend_arg(struct admin_caller *caller, const struct span *args,
                                     size_t count)
{
    struct snapshot *snapshot = caller->serving->snapshot;
    if (count == 0) {
        say(caller, "A frontend name is expected.");
        return NULL;
    }
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        if (span_eq(args[0], span_str(snapshot->frontends[i].name)))
            return &snapshot->frontends[i];
    }
    say(caller, "No such frontend.");
    return NULL;
}

static void frontend_enabled(struct admin_caller *caller, const struct span *args, size_t count,
                             bool enabled)
{
    struct frontend *frontend = frontend_arg(caller, args, count);
    if (frontend && !admin_unexpected(caller, args, count, 1))
        say(caller, operate_frontend_enabled(caller->serving, frontend, enabled, BY));
}

void admin_enable_frontend(struct admin_caller *caller, const struct span *args, size_t count)
{
    frontend_enabled(caller, args, count, true);
}

void admin_disable_frontend(struct admin_caller *caller, const struct span *args, size_t count)
{
    frontend_enabled(caller, args, count, false);
}

/* ---- limits ---- */

/* Of the word at `at`, the last one. False: it was said what is wrong. */
static bool limit_arg(struct admin_caller *caller, const struct span *args, size_t count, size_t at,
                      const char *missing, int64_t *out)
{
    uint64_t number;
    if (count <= at) {
        say(caller, missing);
        return false;
    }
    if (admin_unexpected(caller, args, count, at + 1))
        return false;
    if (!span_to_u64(args[at], &number)) {
        say(caller, missing);
        return false;
    }
    *out = number < INT_MAX ? (int64_t)number : INT_MAX;
    return true;
}

void admin_set_maxconn_server(struct admin_caller *caller, const struct span *args, size_t count)
{
    int64_t max;
    struct server *server = admin_server(caller, args, count);
    if (server && limit_arg(caller, args, count, 1, "Require <maxconn>.", &max))
        say(caller, operate_server_max_connections(caller->serving, server, max, BY));
}

void admin_set_maxconn_frontend(struct admin_caller *caller, const struct span *args, size_t count)
{
    int64_t max;
    struct frontend *frontend = frontend_arg(caller, args, count);
    if (frontend && limit_arg(caller, args, count, 1, "Integer value expected.", &max))
        say(caller, operate_frontend_max_connections(caller->serving, frontend, max, BY));
}

void admin_set_maxconn_global(struct admin_caller *caller, const struct span *args, size_t count)
{
    int64_t max;
    if (limit_arg(caller, args, count, 0, "Expects an integer value.", &max))
        say(caller, operate_max_connections(caller->serving, max, BY));
}

/* ---- sessions ---- */

static void shutdown_answer(struct admin_caller *caller, uint64_t id)
{
    caller->inquiry = inquiry_ask(caller->serving, caller->loop, INQUIRY_SHUTDOWN, id);
    if (!caller->inquiry)
        say(caller, "Out of memory.");
}

void admin_shutdown_session(struct admin_caller *caller, const struct span *args, size_t count)
{
    uint64_t id;
    if (count == 0)
        say(caller, "Session pointer expected (use 'show sess').");
    else if (admin_unexpected(caller, args, count, 1))
        return;
    else if (!span_starts(args[0], SPAN("0x")) || !span_hex_to_u64(span_from(args[0], 2), &id))
        say(caller, "No such session (use 'show sess').");
    else
        shutdown_answer(caller, id);
}

void admin_shutdown_sessions_server(struct admin_caller *caller, const struct span *args,
                                    size_t count)
{
    struct server *server = admin_server(caller, args, count);
    if (server && !admin_unexpected(caller, args, count, 1))
        operate_server_shutdown_sessions(caller->serving, server, BY);
}

/* ---- counters and tables ---- */

void admin_clear_counters(struct admin_caller *caller, const struct span *args, size_t count)
{
    bool all = count == 1 && span_eq(args[0], SPAN("all"));
    if (admin_unexpected(caller, args, count, all))
        return;
    if (all && caller->level < ADMIN_LEVEL_ADMIN)
        say(caller, "Permission denied");
    else
        stats_clear(caller->serving, all);
}

void admin_clear_table(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct backend *backend = NULL;
    struct snapshot *snapshot = caller->serving->snapshot;
    bool by_key = count > 1 && span_eq(args[1], SPAN("key"));
    if (count == 0 || (count > 1 && !by_key)) {
        say(caller, "Required arguments: <table> or <table> key <key>");
        return;
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (span_eq(args[0], span_str(snapshot->backends[i]->name)))
            backend = snapshot->backends[i];
    }
    if (!backend)
        say(caller, "No such table");
    else if (by_key && count == 2)
        say(caller, "Key value expected");
    else if (admin_unexpected(caller, args, count, by_key ? 3 : 1))
        return;
    else if (by_key)
        sidmap_remove(backend->sids, args[2]);
    else
        sidmap_clear(backend->sids, -1);
}
