// SPDX-License-Identifier: Apache-2.0
/*
 * A tree of nodes becomes a snapshot: this file knows the shape of the file (which sections there
 * are, that frontends have listens and routes, that backends have servers), object.c fills the
 * options of each, check.c judges the result.
 *
 * Order matters in one place: backends are read before frontends, which refer to them. Everything
 * is read even when something before it was wrong, so that all problems show at once; the half-good
 * snapshot is thrown away then.
 */
#include "config/config.h"

#include "base/mem.h"
#include "base/rand.h"
#include "base/tag.h"
#include "config/check.h"
#include "config/sentinel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENS_MAX = 256 };

struct reading {
    struct diag *diag;
    struct config *config;
    enum config_reader reader;
    const struct node *defaults;             /* NULL: none */
    const struct node *listens[LISTENS_MAX]; /* the values, in the order of all listens */
    const struct endpoint *endpoints[LISTENS_MAX];
    size_t listen_count;
};

/* ---- servers ----------------------------------------------------------------------------------
 */

/* A server that is given as an address only: the address without brackets is its name. */
static void name_server(struct reading *reading, struct config_server *server,
                        const struct node *node)
{
    const char *address = server->opt.address;
    if (!address || server->endpoint.kind == ENDPOINT_BAD) {
        server->name = mem_must_copy("?"); /* reported already */
        return;
    }
    server->name = mem_must_alloc(strlen(address) + 1);
    for (char *out = server->name; *address; address++)
        if (*address != '[' && *address != ']')
            *out++ = *address;
    if (strchr(server->name, '/'))
        diag_at(reading->diag, node,
                "a server at a unix socket needs a name; write 'servers' as a mapping of names");
    else
        check_name(reading->diag, node, span_str(server->name), "server");
}

static void read_server(struct reading *reading, struct config_server *server,
                        const struct node *key, const struct node *value)
{
    static const char *const what = "a server";
    struct object object;
    object_init(&object, &section_server, &server->opt, reading->diag);
    if (value->kind == NODE_MAP) {
        keys_check(reading->diag, &section_server, value, NULL);
        object_read(&object, value, false);
    } else {
        object_set(&object, "address", value);
    }
    object_finish(&object, key ? key : value, what);
    check_server(&object, server);
    if (!key) {
        name_server(reading, server, value);
        return;
    }
    check_name(reading->diag, key, key->text, "server");
    server->name = mem_must_copy(key->text.ptr);
}

struct named {
    const char *name;
    const struct node *node;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int diff = strcmp(x->name, y->name);
    return diff != 0 ? diff : x->node->line - y->node->line;
}

/* Servers of a list are named by their addresses, which may come twice. */
static void check_server_names(struct reading *reading, const struct config_backend *backend,
                               const struct node *list)
{
    struct named *names = mem_must_alloc((backend->server_count + 1) * sizeof *names);
    for (size_t i = 0; i < backend->server_count; i++)
        names[i] = (struct named){backend->servers[i].name, list->items[i]};
    qsort(names, backend->server_count, sizeof *names, by_name);
    for (size_t i = 1; i < backend->server_count; i++)
        if (strcmp(names[i].name, names[i - 1].name) == 0 && strcmp(names[i].name, "?") != 0)
            diag_at(reading->diag, names[i].node, "server '%.60s' is listed twice", names[i].name);
    free(names);
}

static void read_server_list(struct reading *reading, struct config_backend *backend,
                             const struct node *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct node *item = list->items[i];
        if (item->kind == NODE_MAP)
            diag_at(reading->diag, item,
                    "in a list, a server is an address; to give it options write 'servers' as a "
                    "mapping of names");
        struct config_server *server = &backend->servers[backend->server_count++];
        if (item->kind == NODE_MAP)
            server->name = mem_must_copy("?");
        else
            read_server(reading, server, NULL, item);
    }
    check_server_names(reading, backend, list);
}

static void read_servers(struct reading *reading, struct config_backend *backend,
                         const struct node *key, const struct node *servers)
{
    if (!servers || servers->kind == NODE_SCALAR) {
        diag_at(reading->diag, servers ? servers : key,
                "backend '%s' needs 'servers': a list of addresses or a mapping of names",
                backend->name);
        return;
    }
    backend->servers = mem_must_alloc((servers->count + 1) * sizeof *backend->servers);
    if (servers->kind == NODE_LIST)
        read_server_list(reading, backend, servers);
    for (size_t i = 0; servers->kind == NODE_MAP && i < servers->count; i++)
        if (!key_is_private(servers->keys[i]))
            read_server(reading, &backend->servers[backend->server_count++], servers->keys[i],
                        servers->items[i]);
    if (backend->server_count == 0)
        diag_at(reading->diag, servers, "backend '%s' has no servers", backend->name);
}

struct tagged {
    uint64_t tag;
    const char *name;
    const struct node *node;
};

static int by_tag(const void *a, const void *b)
{
    const struct tagged *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->node->line - y->node->line;
}

/* sid.mode tag: two servers of one tag could not be told apart. */
static void check_server_tags(struct reading *reading, const struct config_backend *backend,
                              const struct node *servers)
{
    if (backend->opt.sid_mode != SID_TAG || backend->server_count == 0)
        return;
    bool list = servers->kind == NODE_LIST;
    struct tagged *tags = mem_must_alloc((backend->server_count + 1) * sizeof *tags);
    size_t count = 0;
    for (size_t i = 0; i < servers->count && count < backend->server_count; i++) {
        if (!list && key_is_private(servers->keys[i]))
            continue;
        const char *name = backend->servers[count].name;
        const struct node *node = list ? servers->items[i] : servers->keys[i];
        tags[count++] = (struct tagged){tag_of_name(span_str(name)), name, node};
    }
    qsort(tags, count, sizeof *tags, by_tag);
    for (size_t i = 1; i < count; i++)
        if (tags[i].tag == tags[i - 1].tag && strcmp(tags[i].name, tags[i - 1].name) != 0)
            diag_at(reading->diag, tags[i].node,
                    "with 'sid.mode: tag', server '%.60s' would have the same tag as '%.60s'; "
                    "rename one of them",
                    tags[i].name, tags[i - 1].name);
    free(tags);
}

/* A name that can be checked is needed, and a path is none. */
static void check_tls_names(struct reading *reading, const struct config_backend *backend,
                            const struct node *servers)
{
    if (!backend->tls || !backend->opt.tls_verify || backend->opt.tls_sni)
        return;
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct endpoint *endpoint = &backend->servers[i].endpoint;
        if (endpoint->kind == ENDPOINT_ADDR && endpoint->addr.any.sa_family == AF_UNIX)
            diag_at(reading->diag, servers,
                    "server '%.60s' is at a unix socket; 'tls.sni' must say which name its "
                    "certificate is for",
                    backend->servers[i].name);
    }
}

/* ---- backends ---------------------------------------------------------------------------------
 */

static void read_backend(struct reading *reading, const struct node *key, const struct node *value)
{
    static const char *const also[] = {"servers", NULL};
    struct config_backend *backend = &reading->config->backends[reading->config->backend_count++];
    struct object object;
    backend->name = mem_must_copy(key->text.ptr);
    check_name(reading->diag, key, key->text, "backend");
    object_init(&object, &section_backend, &backend->opt, reading->diag);
    object_read(&object, reading->defaults, true);
    object_read(&object, value, false);
    keys_check(reading->diag, &section_backend, value, also);
    object_finish(&object, key, "a backend");
    check_backend(&object, backend);
    read_servers(reading, backend, key, node_get(value, "servers"));
    check_server_tags(reading, backend, node_get(value, "servers"));
    check_tls_names(reading, backend, node_get(value, "servers"));
    const struct node *tls = node_get(value, "tls");
    if (tls && !backend->tls)
        diag_at(reading->diag, tls, "'tls' is empty; write e.g. tls: {verify: true}");
}

/* ---- frontends --------------------------------------------------------------------------------
 */

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    if (a->kind != b->kind || a->kind == ENDPOINT_BAD)
        return false;
    if (a->kind == ENDPOINT_NAME)
        return a->port == b->port && a->port != 0 && strcmp(a->host, b->host) == 0;
    bool free_port = a->addr.any.sa_family != AF_UNIX && addr_port(&a->addr) == 0;
    return !free_port && addr_eq(&a->addr, &b->addr);
}

static void check_listen_twice(struct reading *reading, const struct config_listen *listen,
                               const struct node *node)
{
    for (size_t i = 0; i < reading->listen_count; i++) {
        if (same_endpoint(reading->endpoints[i], &listen->endpoint)) {
            diag_at(reading->diag, node, "the address '%.60s' is listened on already, on line %d",
                    listen->opt.address, reading->listens[i]->line);
            return;
        }
    }
    reading->listens[reading->listen_count] = node;
    reading->endpoints[reading->listen_count++] = &listen->endpoint;
}

static struct config_place place_of(const struct node *node)
{
    return (struct config_place){node->line, node->column};
}

static void read_certificate(struct reading *reading, struct config_listen *listen,
                             const struct node *value)
{
    if (value->kind != NODE_MAP) {
        diag_at(reading->diag, value,
                "a certificate must be a mapping like {cert: FILE, key: FILE}");
        return;
    }
    struct config_certificate *certificate = &listen->certificates[listen->certificate_count++];
    struct object object;
    object_init(&object, &section_certificate, &certificate->opt, reading->diag);
    keys_check(reading->diag, &section_certificate, value, NULL);
    object_read(&object, value, false);
    object_finish(&object, value, "a certificate");
    certificate->place = place_of(value);
}

static void read_tls(struct reading *reading, struct config_listen *listen, const struct node *tls)
{
    const struct node *list = tls && tls->kind == NODE_MAP ? node_get(tls, "certificates") : NULL;
    if (!tls)
        return;
    listen->tls_place = place_of(tls);
    if (!list || node_is_empty(list) || (list->kind == NODE_LIST && list->count == 0)) {
        diag_at(reading->diag, tls,
                "'tls' needs 'certificates', e.g. certificates: [{cert: FILE, key: FILE}]");
        return;
    }
    size_t count = list->kind == NODE_LIST ? list->count : 1;
    listen->certificates = mem_must_alloc(count * sizeof *listen->certificates);
    if (list->kind != NODE_LIST)
        read_certificate(reading, listen, list);
    for (size_t i = 0; list->kind == NODE_LIST && i < count; i++)
        read_certificate(reading, listen, list->items[i]);
}

static void read_listen(struct reading *reading, struct config_frontend *frontend,
                        const struct node *value)
{
    if (reading->listen_count == LISTENS_MAX) {
        diag_at(reading->diag, value, "more than %d listen addresses", LISTENS_MAX);
        return;
    }
    struct config_listen *listen = &frontend->listens[frontend->listen_count++];
    struct object object;
    object_init(&object, &section_listen, &listen->opt, reading->diag);
    if (value->kind == NODE_MAP) {
        static const char *const also[] = {"tls.certificates", NULL};
        keys_check(reading->diag, &section_listen, value, also);
        object_read(&object, value, false);
        read_tls(reading, listen, node_get(value, "tls"));
    } else {
        object_set(&object, "address", value);
    }
    object_finish(&object, value, "a listener");
    check_listen(&object, listen);
    if (listen->opt.address)
        check_listen_twice(reading, listen, value);
}

static void read_listens(struct reading *reading, struct config_frontend *frontend,
                         const struct node *key, const struct node *value)
{
    if (!value || (value->kind == NODE_LIST && value->count == 0)) {
        diag_at(reading->diag, value ? value : key, "frontend '%s' needs 'listen', e.g. \":8080\"",
                frontend->name);
        return;
    }
    size_t count = value->kind == NODE_LIST ? value->count : 1;
    frontend->listens = mem_must_alloc(count * sizeof *frontend->listens);
    if (value->kind != NODE_LIST)
        read_listen(reading, frontend, value);
    for (size_t i = 0; value->kind == NODE_LIST && i < count; i++)
        read_listen(reading, frontend, value->items[i]);
}

static void read_route(struct reading *reading, struct config_frontend *frontend,
                       const struct node *value)
{
    if (value->kind != NODE_MAP) {
        diag_at(reading->diag, value,
                "a route must be a mapping like {path: /socket.io/, backend: NAME}");
        return;
    }
    struct config_route *route = &frontend->routes[frontend->route_count++];
    struct object object;
    object_init(&object, &section_route, &route->opt, reading->diag);
    keys_check(reading->diag, &section_route, value, NULL);
    object_read(&object, value, false);
    object_finish(&object, value, "a route");
    check_route(&object, reading->config, route, value);
}

static void read_routes(struct reading *reading, struct config_frontend *frontend,
                        const struct node *value)
{
    if (!value || node_is_empty(value))
        return;
    if (value->kind != NODE_LIST) {
        diag_at(reading->diag, value, "'routes' must be a list");
        return;
    }
    frontend->routes = mem_must_alloc((value->count + 1) * sizeof *frontend->routes);
    for (size_t i = 0; i < value->count; i++)
        read_route(reading, frontend, value->items[i]);
}

static void read_frontend(struct reading *reading, const struct node *key, const struct node *value)
{
    static const char *const also[] = {"listen", "routes", NULL};
    struct config *config = reading->config;
    struct config_frontend *frontend = &config->frontends[config->frontend_count++];
    struct object object;
    frontend->name = mem_must_copy(key->text.ptr);
    check_name(reading->diag, key, key->text, "frontend");
    object_init(&object, &section_frontend, &frontend->opt, reading->diag);
    object_read(&object, reading->defaults, true);
    object_read(&object, value, false);
    keys_check(reading->diag, &section_frontend, value, also);
    object_finish(&object, key, "a frontend");
    read_listens(reading, frontend, key, node_get(value, "listen"));
    read_routes(reading, frontend, node_get(value, "routes"));
    check_frontend(&object, config, frontend, key);
}

/* ---- the file ---------------------------------------------------------------------------------
 */

/* A section's mapping; NULL when it is absent, empty or (reported) something else. */
static const struct node *get_map(struct reading *reading, const struct node *root,
                                  const char *name)
{
    const struct node *node = node_get(root, name);
    if (!node || node_is_empty(node))
        return NULL;
    if (node->kind == NODE_MAP)
        return node;
    diag_at(reading->diag, node, "'%s' must be a mapping", name);
    return NULL;
}

static void read_section(struct reading *reading, const struct node *root,
                         const struct section *section, struct object *object, void *opt)
{
    const struct node *map = get_map(reading, root, section->name);
    object_init(object, section, opt, reading->diag);
    if (map)
        keys_check(reading->diag, section, map, NULL);
    object_read(object, map, false);
    object_finish(object, map ? map : root, section->name);
}

typedef void read_named_fn(struct reading *reading, const struct node *key,
                           const struct node *value);

static void read_named(struct reading *reading, const struct node *map, const char *what,
                       read_named_fn *read)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct node *key = map->keys[i], *value = map->items[i];
        if (key_is_private(key))
            continue;
        if (value->kind == NODE_MAP)
            read(reading, key, value);
        else
            diag_at(reading->diag, value, "%s '%.*s' must be a mapping", what,
                    SPAN_ARG(diag_quote(key->text)));
    }
}

/* Once for its own sake: there may be no frontend or backend that would show its mistakes. */
static void read_defaults(struct reading *reading, const struct node *root)
{
    struct frontend_options frontend = {0};
    struct backend_options backend = {0};
    struct object object;
    reading->defaults = get_map(reading, root, "defaults");
    if (!reading->defaults)
        return;
    keys_check(reading->diag, &section_defaults, reading->defaults, NULL);
    object_init(&object, &section_frontend, &frontend, reading->diag);
    object_read(&object, reading->defaults, true);
    object_init(&object, &section_backend, &backend, reading->diag);
    object_read(&object, reading->defaults, true);
    options_free(&section_frontend, &frontend);
    options_free(&section_backend, &backend);
}

static void read_version(struct reading *reading, const struct node *root)
{
    const struct node *node = node_get(root, "version");
    char *text = node ? node_text(reading->diag, node, "version") : NULL;
    if (text && strcmp(text, "1") != 0)
        diag_at(reading->diag, node, "'version' must be 1; this program knows no other");
    free(text);
}

static const char *const top_keys[] = {"version",   "process",  "admin",    "log", "defaults",
                                       "frontends", "backends", "sentinel", NULL};

static void check_top_keys(struct reading *reading, const struct node *root)
{
    for (size_t i = 0; i < root->count; i++) {
        const struct node *key = root->keys[i];
        struct suggestion suggestion;
        bool known = key_is_private(key);
        suggestion_init(&suggestion, key->text);
        for (size_t k = 0; top_keys[k] && !known; k++) {
            known = span_eq(key->text, span_str(top_keys[k]));
            suggestion_try(&suggestion, top_keys[k]);
        }
        struct span quoted = diag_quote(key->text);
        if (!known && *suggestion.best)
            diag_at(reading->diag, key, "unknown key '%.*s'; did you mean '%s'?", SPAN_ARG(quoted),
                    suggestion.best);
        else if (!known)
            diag_at(reading->diag, key, "unknown key '%.*s'", SPAN_ARG(quoted));
    }
}

/* The mapping of `frontends` or `backends`, which must name something. */
static const struct node *get_named(struct reading *reading, const struct node *root,
                                    const char *name)
{
    const struct node *node = node_get(root, name);
    const struct node *map = get_map(reading, root, name);
    size_t count = 0;
    for (size_t i = 0; map && i < map->count; i++)
        count += !key_is_private(map->keys[i]);
    if (!node)
        diag_at(reading->diag, root, "'%s' is missing", name);
    else if (map ? count == 0 : node_is_empty(node))
        diag_at(reading->diag, node, "'%s' is empty; at least one is needed", name);
    return map;
}

static void read_backends(struct reading *reading, const struct node *backends)
{
    struct config *config = reading->config;
    if (!backends)
        return;
    config->backends = mem_must_alloc((backends->count + 1) * sizeof *config->backends);
    read_named(reading, backends, "backend", read_backend);
}

static void read_for_limpet(struct reading *reading, const struct node *root)
{
    struct config *config = reading->config;
    struct object object;
    read_section(reading, root, &section_admin, &object, &config->admin);
    check_admin(&object, &config->admin, &config->admin_http);
    read_defaults(reading, root);
    read_backends(reading, get_named(reading, root, "backends"));
    const struct node *frontends = get_named(reading, root, "frontends");
    if (!frontends)
        return;
    config->frontends = mem_must_alloc((frontends->count + 1) * sizeof *config->frontends);
    read_named(reading, frontends, "frontend", read_frontend);
}

static void read_for_sentinel_watch(struct reading *reading, const struct node *root)
{
    read_defaults(reading, root);
    read_backends(reading, get_map(reading, root, "backends"));
    if (!node_get(root, "sentinel"))
        diag_at(reading->diag, root, "'sentinel' is missing");
}

static void read_file(struct reading *reading, const struct node *root)
{
    struct config *config = reading->config;
    struct object object;
    check_top_keys(reading, root);
    read_version(reading, root);
    read_section(reading, root, &section_process, &object, &config->process);
    read_section(reading, root, &section_log, &object, &config->log);
    check_log(&object, &config->log);
    if (reading->reader == CONFIG_LIMPET)
        read_for_limpet(reading, root);
    else
        read_for_sentinel_watch(reading, root);
    const struct node *sentinel = node_get(root, "sentinel");
    if (sentinel)
        config_sentinel_read(reading->diag, config, sentinel, reading->reader);
}

/* ---- loading ----------------------------------------------------------------------------------
 */

static void load(struct diag *diag, struct config *config, enum config_reader reader)
{
    struct tree tree;
    tree_load(&tree, diag->text, diag);
    if (tree.root && tree.root->kind == NODE_MAP) {
        struct reading reading = {.diag = diag, .config = config, .reader = reader};
        read_file(&reading, tree.root);
    } else if (tree.root) {
        diag_at(diag, tree.root, "the file must be a mapping with %s",
                reader == CONFIG_LIMPET ? "'frontends' and 'backends'" : "'sentinel'");
    }
    tree_free(&tree);
}

static struct config *load_text(const char *name, struct span text, enum config_reader reader,
                                struct problems *problems)
{
    struct diag diag;
    if (span_starts(text, SPAN("\xef\xbb\xbf"))) /* a byte order mark */
        text = span_from(text, 3);
    diag_init(&diag, problems, text);
    struct config *config = mem_must_alloc(sizeof *config);
    config->file = mem_must_copy(name);
    config->checksum = hash_stable(text);
    if (text.len > LOAD_BYTES_MAX)
        diag_add(&diag, 0, 0, "the file is larger than 1 MiB");
    else
        load(&diag, config, reader);
    diag_finish(&diag);
    if (problems->count == 0)
        return config;
    config_free(config);
    return NULL;
}

char *config_read_file(const char *path, size_t *len, struct problems *problems)
{
    enum { ROOM = LOAD_BYTES_MAX + 4 + 1 }; /* a byte order mark may come on top */
    bool opened = strcmp(path, "-") != 0;
    FILE *file = opened ? fopen(path, "re") : stdin;
    char *text = mem_must_alloc(ROOM);
    *len = file ? fread(text, 1, ROOM, file) : 0;
    bool failed = !file || ferror(file);
    if (failed) {
        struct diag diag;
        diag_init(&diag, problems, SPAN_NONE);
        diag_add(&diag, 0, 0, "cannot be read: %s", strerror(errno));
    }
    if (file && opened)
        fclose(file);
    if (!failed)
        return text;
    free(text);
    return NULL;
}

static struct config *load_file(const char *path, enum config_reader reader,
                                struct problems *problems)
{
    size_t len;
    char *text = config_read_file(path, &len, problems);
    struct config *config = NULL;
    if (text)
        config = load_text(path, span_of(text, len), reader, problems);
    free(text);
    return config;
}

struct config *config_load_text(const char *name, struct span text, struct problems *problems)
{
    return load_text(name, text, CONFIG_LIMPET, problems);
}

struct config *config_load_file(const char *path, struct problems *problems)
{
    return load_file(path, CONFIG_LIMPET, problems);
}

struct config *config_load_sentinel_text(const char *name, struct span text,
                                         struct problems *problems)
{
    return load_text(name, text, CONFIG_SENTINEL_WATCH, problems);
}

struct config *config_load_sentinel_file(const char *path, struct problems *problems)
{
    return load_file(path, CONFIG_SENTINEL_WATCH, problems);
}

const char *config_tls_name(const struct config_backend *backend,
                            const struct config_server *server, const struct addr *addr,
                            char text[static ADDR_TEXT_MAX])
{
    if (backend->opt.tls_sni)
        return backend->opt.tls_sni;
    if (server && server->endpoint.kind == ENDPOINT_NAME)
        return server->endpoint.host;
    return addr->any.sa_family == AF_UNIX ? NULL : addr_format_host(addr, text);
}

static void listen_free(struct config_listen *listen)
{
    for (size_t i = 0; i < listen->certificate_count; i++)
        options_free(&section_certificate, &listen->certificates[i].opt);
    options_free(&section_listen, &listen->opt);
    free(listen->certificates);
}

static void frontend_free(struct config_frontend *frontend)
{
    for (size_t i = 0; i < frontend->listen_count; i++)
        listen_free(&frontend->listens[i]);
    for (size_t i = 0; i < frontend->route_count; i++)
        options_free(&section_route, &frontend->routes[i].opt);
    options_free(&section_frontend, &frontend->opt);
    free(frontend->listens);
    free(frontend->routes);
    free(frontend->name);
}

static void backend_free(struct config_backend *backend)
{
    for (size_t i = 0; i < backend->server_count; i++) {
        options_free(&section_server, &backend->servers[i].opt);
        free(backend->servers[i].name);
    }
    options_free(&section_backend, &backend->opt);
    free(backend->servers);
    free(backend->name);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    if (config->shared > 0) {
        config->shared--;
        return;
    }
    for (size_t i = 0; i < config->frontend_count; i++)
        frontend_free(&config->frontends[i]);
    for (size_t i = 0; i < config->backend_count; i++)
        backend_free(&config->backends[i]);
    for (size_t i = 0; i < config->sentinel_count; i++)
        config_sentinel_free(&config->sentinels[i]);
    free(config->sentinels);
    options_free(&section_process, &config->process);
    options_free(&section_admin, &config->admin);
    options_free(&section_log, &config->log);
    free(config->frontends);
    free(config->backends);
    free(config->file);
    free(config);
}
