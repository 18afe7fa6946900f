// SPDX-License-Identifier: Apache-2.0
/*
 * Checks of meaning, one function per kind of object. They point at the node that gave an option
 * (object_from), never at the object as a whole when something smaller is wrong, and say what to
 * write.
 *
 * A text option without a valid value is NULL here, since its type has been refused already; that
 * is why every check begins with the question whether there is something to check.
 */
#include "config/check.h"

#include "base/mem.h"

#include <string.h>

enum { NAME_BYTES_MAX = 128, SOCKET_PATH_MAX = sizeof((struct sockaddr_un){0}.sun_path) - 1 };

/* ---- texts ------------------------------------------------------------------------------------
 */

static bool is_letter_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Only letters, digits and the characters of `also`; at least one. */
static bool consists_of(struct span text, const char *also)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_letter_or_digit(text.ptr[i]) && (!text.ptr[i] || !strchr(also, text.ptr[i])))
            return false;
    return text.len > 0;
}

/* Visible ASCII only; at least one character. */
static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > '~')
            return false;
    return text.len > 0;
}

bool check_is_token(struct span text)
{
    return consists_of(text, "!#$%&'*+-.^_`|~");
}

bool check_name(struct diag *diag, const struct node *place, struct span name, const char *what)
{
    if (span_eq(name, SPAN("FRONTEND")) || span_eq(name, SPAN("BACKEND"))) {
        diag_at(diag, place, "a %s cannot be called '%.*s'; the name has a meaning in statistics",
                what, SPAN_ARG(name));
        return false;
    }
    if (consists_of(name, "_.:-") && name.len <= NAME_BYTES_MAX)
        return true;
    diag_at(diag, place,
            "bad name of a %s: '%.*s'; letters, digits and _ . : - are allowed, %d at most", what,
            SPAN_ARG(diag_quote(name)), (int)NAME_BYTES_MAX);
    return false;
}

/* A path in a URL, given by an option. */
void check_url_path(const struct object *object, const char *option, const char *path,
                    const struct node *node)
{
    struct span text = span_str(path);
    if (!path || !node)
        return;
    if (!span_starts(text, SPAN("/")))
        diag_at(object->diag, node, "'%s' must begin with '/'", option);
    else if (!is_visible(text) || strchr(path, '#'))
        diag_at(object->diag, node, "'%s' must be a path of visible ASCII characters without '#'",
                option);
}

void check_address(struct diag *diag, const struct node *node, const char *address, bool listening,
                   struct endpoint *endpoint)
{
    if (!node || !address)
        return;
    endpoint_parse(span_str(address), listening, endpoint);
    struct span quoted = diag_quote(span_str(address));
    if (endpoint->kind == ENDPOINT_BAD)
        diag_at(diag, node, "bad address '%.*s': %s", SPAN_ARG(quoted), endpoint->error);
}

static void check_endpoint(const struct object *object, const char *option, const char *address,
                           bool listening, struct endpoint *endpoint)
{
    check_address(object->diag, object_from(object, option), address, listening, endpoint);
}

void check_socket_path(const struct object *object, const char *option, const char *path)
{
    const struct node *node = object_from(object, option);
    if (node && path && strlen(path) > SOCKET_PATH_MAX)
        diag_at(object->diag, node, "'%s' is longer than %d bytes, the system's limit", option,
                (int)SOCKET_PATH_MAX);
}

/* ---- admin, log -------------------------------------------------------------------------------
 */

void check_admin(const struct object *object, const struct admin_options *opt,
                 struct endpoint *http)
{
    check_endpoint(object, "http", opt->http, true, http);
    check_socket_path(object, "socket", opt->socket);
}

void check_log(const struct object *object, const struct log_options *opt)
{
    const struct node *node = object_from(object, "access.to");
    struct span to = span_str(opt->access_to);
    struct span rest = span_from(to, strlen("syslog:"));
    if (!node || span_eq(to, SPAN("stderr")))
        return;
    bool syslog = span_starts(to, SPAN("syslog:"));
    bool has_port = span_index(rest, ':') != SIZE_MAX;
    if (syslog ? !span_starts(rest, SPAN("/")) && !has_port : span_index(to, '/') == SIZE_MAX)
        diag_at(object->diag, node,
                "'access.to' must be stderr, a file's path, syslog:/dev/log or syslog:HOST:PORT, "
                "not '%.*s'",
                SPAN_ARG(diag_quote(to)));
}

/* ---- frontends --------------------------------------------------------------------------------
 */

ptrdiff_t check_backend_name(struct diag *diag, const struct config *config, const char *name,
                             const struct node *node)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, span_str(name));
    for (size_t i = 0; i < config->backend_count; i++) {
        const char *other = config->backends[i].name;
        if (strcmp(other, name) == 0)
            return (ptrdiff_t)i;
        suggestion_try(&suggestion, other);
    }
    struct span quoted = diag_quote(span_str(name));
    if (*suggestion.best)
        diag_at(diag, node, "there is no backend '%.*s'; did you mean '%s'?", SPAN_ARG(quoted),
                suggestion.best);
    else
        diag_at(diag, node, "there is no backend '%.*s'", SPAN_ARG(quoted));
    return -1;
}

void check_frontend(const struct object *object, const struct config *config,
                    struct config_frontend *frontend, const struct node *key)
{
    frontend->backend = -1;
    if (frontend->opt.backend_name)
        frontend->backend = check_backend_name(object->diag, config, frontend->opt.backend_name,
                                               object_from(object, "backend"));
    else if (!object_from(object, "backend") && frontend->route_count == 0)
        diag_at(object->diag, key, "frontend '%s' needs 'backend' or 'routes'", frontend->name);
}

void check_listen(const struct object *object, struct config_listen *listen)
{
    check_endpoint(object, "address", listen->opt.address, true, &listen->endpoint);
    const struct node *verify = object_from(object, "tls.client_verify");
    if (!verify && !listen->opt.tls_client_ca)
        listen->opt.tls_client_verify = CLIENT_VERIFY_OFF;
    else if (!listen->opt.tls_client_ca && listen->opt.tls_client_verify != CLIENT_VERIFY_OFF)
        diag_at(object->diag, verify, "'tls.client_verify' needs 'tls.client_ca'");
}

void check_route(const struct object *object, const struct config *config,
                 struct config_route *route, const struct node *place)
{
    const struct node *host = object_from(object, "host");
    if (!host && !object_from(object, "path"))
        diag_at(object->diag, place,
                "a route needs 'host' or 'path'; the frontend's 'backend' takes everything else");
    if (host && route->opt.host) {
        struct span name = span_str(route->opt.host);
        if (span_starts(name, SPAN("*.")))
            name = span_from(name, 2);
        if (!consists_of(name, "-._") && !span_starts(name, SPAN("[")))
            diag_at(object->diag, host, "'host' must be a host name or *.suffix, not '%.*s'",
                    SPAN_ARG(diag_quote(span_str(route->opt.host))));
    }
    check_url_path(object, "path", route->opt.path, object_from(object, "path"));
    if (route->opt.backend_name) {
        ptrdiff_t backend = check_backend_name(object->diag, config, route->opt.backend_name,
                                               object_from(object, "backend"));
        route->backend = backend >= 0 ? (size_t)backend : 0;
    }
    check_rules(object, &route->opt);
}

/* ---- backends ---------------------------------------------------------------------------------
 */

static bool hash_on_is_good(struct span text)
{
    static const struct span kinds[] = {SPAN("query:"), SPAN("header:"), SPAN("cookie:")};
    for (size_t i = 0; i < array_len(kinds); i++)
        if (span_starts(text, kinds[i])) {
            struct span name = span_from(text, kinds[i].len);
            return i == 0 ? is_visible(name) : check_is_token(name);
        }
    return span_eq(text, SPAN("path"));
}

static void check_hash(const struct object *object, const struct backend_options *opt)
{
    const struct node *hash_on = object_from(object, "hash_on");
    const struct node *balance = object_from(object, "balance");
    if (hash_on && opt->hash_on && !hash_on_is_good(span_str(opt->hash_on)))
        diag_at(object->diag, hash_on,
                "'hash_on' must be query:NAME, header:NAME, cookie:NAME or path");
    if (!hash_on && balance && opt->balance == BALANCE_HASH)
        diag_at(object->diag, balance, "'balance: hash' needs 'hash_on', e.g. hash_on: path");
    if (hash_on && opt->hash_on && !object_inherited(object, "hash_on") &&
        opt->balance != BALANCE_HASH)
        diag_at(object->diag, hash_on, "'hash_on' is used with 'balance: hash' only");
}

static void check_sid_paths(const struct object *object, const struct backend_options *opt)
{
    const struct node *node = object_from(object, "sid.path");
    for (size_t i = 0; node && i < opt->sid_paths_count; i++) {
        bool matching = node->kind == NODE_LIST && node->count == opt->sid_paths_count;
        check_url_path(object, "sid.path", opt->sid_paths[i], matching ? node->items[i] : node);
    }
    if (node && node->kind == NODE_LIST && node->count == 0)
        diag_at(object->diag, node, "'sid.path' must name a path");
}

/* The options that choose a check, each with the kind that it stands for. */
static const struct {
    const char *path;
    enum health_kind kind;
} health_choices[] = {
    {"health.tcp", HEALTH_TCP},
    {"health.http.path", HEALTH_HTTP},
    {"health.engineio.path", HEALTH_ENGINEIO},
};

static bool chosen(const struct object *object, const struct backend_options *opt, size_t i)
{
    return object_from(object, health_choices[i].path) &&
           (health_choices[i].kind != HEALTH_TCP || opt->health_tcp);
}

/* A check that the backend itself chooses replaces the one of `defaults`. */
static void drop_inherited_checks(struct object *object, struct backend_options *opt)
{
    bool own = false;
    for (size_t i = 0; i < array_len(health_choices); i++)
        own = own || (object_from(object, health_choices[i].path) &&
                      !object_inherited(object, health_choices[i].path));
    for (size_t i = 0; own && i < array_len(health_choices); i++) {
        if (!object_inherited(object, health_choices[i].path))
            continue;
        object_drop(object, health_choices[i].path);
        if (health_choices[i].kind == HEALTH_TCP)
            opt->health_tcp = false;
    }
}

static void check_health(struct object *object, struct config_backend *backend)
{
    struct backend_options *opt = &backend->opt;
    drop_inherited_checks(object, opt);
    backend->health_kind = object_from(object, "health.tcp") ? HEALTH_NONE : HEALTH_TCP;
    bool found = false;
    for (size_t i = 0; i < array_len(health_choices); i++) {
        if (!chosen(object, opt, i))
            continue;
        if (found)
            diag_at(object->diag, object_from(object, health_choices[i].path),
                    "only one of health.tcp, health.http and health.engineio can be used");
        backend->health_kind = health_choices[i].kind;
        found = true;
    }
    opt->health_tcp = backend->health_kind == HEALTH_TCP;

    check_url_path(object, "health.http.path", opt->health_http_path,
                   object_from(object, "health.http.path"));
    check_url_path(object, "health.engineio.path", opt->health_engineio_path,
                   object_from(object, "health.engineio.path"));
    const struct node *host = object_from(object, "health.http.host");
    if (host && opt->health_http_host && !is_visible(span_str(opt->health_http_host)))
        diag_at(object->diag, host, "'health.http.host' must be a host name without spaces");
}

/* Given at all, and therefore on. */
static void check_tls(const struct object *object, struct config_backend *backend)
{
    static const char *const options[] = {"tls.verify", "tls.ca",  "tls.sni",
                                          "tls.cert",   "tls.key", "tls.min_version"};
    for (size_t i = 0; i < array_len(options) && !backend->tls; i++) {
        const struct node *node = object_from(object, options[i]);
        if (!node)
            continue;
        backend->tls = true;
        backend->tls_place = (struct config_place){node->line, node->column};
    }
    const struct node *key = object_from(object, "tls.key");
    if (key && !backend->opt.tls_cert)
        diag_at(object->diag, key, "'tls.key' needs 'tls.cert'");
    const struct node *sni = object_from(object, "tls.sni");
    if (sni && backend->opt.tls_sni && !consists_of(span_str(backend->opt.tls_sni), "-._:"))
        diag_at(object->diag, sni, "'tls.sni' must be a host name");
}

void check_backend(struct object *object, struct config_backend *backend)
{
    struct backend_options *opt = &backend->opt;
    check_hash(object, opt);
    check_sid_paths(object, opt);
    check_health(object, backend);
    check_tls(object, backend);
    const struct node *cookie = object_from(object, "cookie.name");
    if (cookie && opt->cookie_name && !check_is_token(span_str(opt->cookie_name)))
        diag_at(object->diag, cookie,
                "'cookie.name' must be a token: letters, digits and !#$%%&'*+-.^_`|~");
}

void check_server(const struct object *object, struct config_server *server)
{
    check_endpoint(object, "address", server->opt.address, false, &server->endpoint);
}
