// SPDX-License-Identifier: Apache-2.0
/*
 * The section `sentinel`. It belongs to sentinel-watch; limpet reads the same rows, so that a
 * mistake shows wherever the file is checked, but neither variables in secrets nor files of secrets:
 * those may be for sentinel-watch's eyes only.
 *
 * A secret's file stands beside it in the table (password, password_file). For sentinel-watch its
 * contents end in the secret's own field, so that nobody else has to ask where a secret came from.
 *
 * One process has one admin side and one name however many masters it follows: `admin` and
 * `watcher` may stand in one entry, or be the same in several (YAML anchors); where they are absent
 * they stay so, and sentinel-watch takes the first that is given.
 */
#include "config/sentinel.h"

#include "base/mem.h"
#include "config/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOTIFY_PATH_MAX = 512,
    SECRET_FILE_MAX = 4096,
    SECRETS_MAX = 2,
    SENTINELS_MAX = 64,
    MASTERS_MAX = 64
};

/* ---- secrets ----------------------------------------------------------------------------------
 */

/* The file's text without the line ends behind it; NULL: reported. */
static char *read_secret_file(struct diag *diag, const struct node *node, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = mem_must_alloc(SECRET_FILE_MAX + 1);
    size_t len = file ? fread(text, 1, SECRET_FILE_MAX, file) : 0;
    bool failed = !file || ferror(file) != 0;
    int error = errno;
    if (file)
        fclose(file);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    text[len] = '\0';
    if (!failed && len > 0 && len < SECRET_FILE_MAX && strlen(text) == len)
        return text;
    diag_at(diag, node, "the secret file '%.200s' %s%s", path,
            failed ? "cannot be read: " : "must hold 1 to 4095 bytes of text",
            failed ? strerror(error) : "");
    free(text);
    return NULL;
}

/* `option` or `option_file`, not both; for sentinel-watch the file's contents become the secret. */
static void take_secret(struct object *object, const char *option, char **secret, const char *file,
                        enum config_reader reader)
{
    char other[OPTION_PATH_MAX];
    snprintf(other, sizeof other, "%s_file", option);
    const struct node *node = object_from(object, other);
    if (!node || !file)
        return;
    if (object_from(object, option)) {
        diag_at(object->diag, node, "'%s' and '%s' cannot both be given", option, other);
        return;
    }
    if (reader == CONFIG_SENTINEL_WATCH) {
        char *text = read_secret_file(object->diag, node, file);
        if (text)
            text[strcspn(text, "\r\n")] = '\0';
        *secret = text;
    }
}

static void add_secret(struct sentinel_options *opt, struct span line)
{
    size_t count = opt->notify_secrets_count++;
    opt->notify_secrets = mem_must_resize(opt->notify_secrets,
                                          (count + 1) * sizeof *opt->notify_secrets);
    opt->notify_secrets[count] = mem_must_alloc(line.len + 1);
    memcpy(opt->notify_secrets[count], line.ptr, line.len);
}

static void take_notify_secrets(struct object *object, struct sentinel_options *opt,
                                enum config_reader reader)
{
    const struct node *file = object_from(object, "notify.secrets_file");
    const struct node *given = object_from(object, "notify.secrets");
    const struct node *backends = object_from(object, "notify.backends");
    if (file && given)
        diag_at(object->diag, file,
                "'notify.secrets' and 'notify.secrets_file' cannot both be given");
    else if (backends && !file && !given)
        diag_at(object->diag, backends, "'notify' needs 'secrets' or 'secrets_file'");
    else if (file && opt->notify_secrets_file && reader == CONFIG_SENTINEL_WATCH) {
        char *text = read_secret_file(object->diag, file, opt->notify_secrets_file);
        struct span rest = span_str(text);
        while (text && rest.ptr) {
            struct span line = span_cut(&rest, '\n');
            if (span_ends(line, SPAN("\r")))
                line.len--;
            line = span_trim(line);
            if (line.len > 0)
                add_secret(opt, line);
        }
        free(text);
    }
    if (opt->notify_secrets_count > SECRETS_MAX)
        diag_at(object->diag, given ? given : file,
                "'notify.secrets' may hold two secrets at most");
}

/* ---- checks -----------------------------------------------------------------------------------
 */

/* Where the i-th item of a list was written. */
static const struct node *item_node(const struct node *node, size_t i, size_t count)
{
    return node->kind == NODE_LIST && node->count == count ? node->items[i] : node;
}

static void check_sentinels(struct object *object, struct config_sentinel *sentinel)
{
    struct sentinel_options *opt = &sentinel->opt;
    const struct node *node = object_from(object, "sentinels");
    size_t count = opt->sentinels_count;
    sentinel->sentinels = mem_must_alloc((count + 1) * sizeof *sentinel->sentinels);
    for (size_t i = 0; node && i < count; i++)
        check_address(object->diag, item_node(node, i, count), opt->sentinels[i], false,
                      &sentinel->sentinels[i]);
    if (node && (count > SENTINELS_MAX || (count == 0 && node->kind == NODE_LIST)))
        diag_at(object->diag, node, "'sentinels' must name 1 to %d sentinels", SENTINELS_MAX);
}

static void check_relays(struct object *object, struct config_sentinel *sentinel)
{
    struct sentinel_options *opt = &sentinel->opt;
    const struct node *node = object_from(object, "relay.listen");
    size_t count = opt->relay_listen_count;
    sentinel->relays = mem_must_alloc((count + 1) * sizeof *sentinel->relays);
    for (size_t i = 0; node && i < count; i++)
        check_address(object->diag, item_node(node, i, count), opt->relay_listen[i], true,
                      &sentinel->relays[i]);
}

static void check_notify(struct object *object, const struct config *config,
                         struct config_sentinel *sentinel)
{
    struct sentinel_options *opt = &sentinel->opt;
    const struct node *node = object_from(object, "notify.backends");
    size_t count = opt->notify_backends_count;
    sentinel->backends = mem_must_alloc((count + 1) * sizeof *sentinel->backends);
    for (size_t i = 0; node && i < count; i++) {
        ptrdiff_t index = check_backend_name(object->diag, config, opt->notify_backends[i],
                                             item_node(node, i, count));
        sentinel->backends[i] = index >= 0 ? (size_t)index : 0;
    }
    const struct node *path = object_from(object, "notify.path");
    check_url_path(object, "notify.path", opt->notify_path, path);
    if (path && opt->notify_path && strlen(opt->notify_path) > NOTIFY_PATH_MAX)
        diag_at(object->diag, path, "'notify.path' may have %d bytes at most", NOTIFY_PATH_MAX);
}

static void check_address_map(struct object *object, const struct sentinel_options *opt)
{
    const struct node *node = object_from(object, "address_map");
    struct endpoint endpoint;
    for (size_t i = 0; node && i < opt->address_map_count; i++) {
        check_address(object->diag, node, opt->address_map[i].from, false, &endpoint);
        check_address(object->diag, node, opt->address_map[i].to, false, &endpoint);
    }
}

/* Texts that stand in events and URLs: no spaces, no odd characters. */
static void check_master_name(struct object *object, const char *name)
{
    const struct node *node = object_from(object, "master");
    if (node && name)
        check_name(object->diag, node, span_str(name), "master");
}

static void check_users(struct object *object, const struct sentinel_options *opt)
{
    const struct node *user = object_from(object, "username");
    const struct node *redis = object_from(object, "redis.username");
    if (user && opt->username && !object_from(object, "password") &&
        !object_from(object, "password_file"))
        diag_at(object->diag, user, "'username' needs 'password' or 'password_file'");
    if (redis && opt->redis_username && !object_from(object, "redis.password") &&
        !object_from(object, "redis.password_file"))
        diag_at(object->diag, redis, "'redis.username' needs 'redis.password' or its file");
}

static void check_sentinel(struct object *object, const struct config *config,
                           struct config_sentinel *sentinel)
{
    struct sentinel_options *opt = &sentinel->opt;
    check_master_name(object, opt->master);
    check_sentinels(object, sentinel);
    check_users(object, opt);
    check_relays(object, sentinel);
    check_notify(object, config, sentinel);
    check_address_map(object, opt);
    check_socket_path(object, "admin.socket", opt->admin_socket);
    check_address(object->diag, object_from(object, "admin.http"), opt->admin_http, true,
                  &sentinel->admin_http);
    const struct node *watcher = object_from(object, "watcher");
    if (watcher && opt->watcher)
        check_name(object->diag, watcher, span_str(opt->watcher), "watcher");
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void read_one(struct diag *diag, struct config *config, const struct node *node,
                     enum config_reader reader)
{
    static const char *const also[] = {"tls", NULL};
    if (node->kind != NODE_MAP) {
        diag_at(diag, node, "'sentinel' must be a mapping or a list of mappings");
        return;
    }
    struct config_sentinel *sentinel = &config->sentinels[config->sentinel_count++];
    struct object object;
    object_init(&object, &section_sentinel, &sentinel->opt, diag);
    object.sealed = reader == CONFIG_LIMPET;
    keys_check(diag, &section_sentinel, node, also);
    if (node_get(node, "tls"))
        diag_at(diag, node_get(node, "tls"),
                "sentinel-watch does not speak TLS to Redis; let stunnel (client = yes) carry the "
                "connections and name its addresses here and in 'address_map'");
    object_read(&object, node, false);
    object_finish(&object, node, "sentinel");
    struct sentinel_options *opt = &sentinel->opt;
    take_secret(&object, "password", &opt->password, opt->password_file, reader);
    take_secret(&object, "redis.password", &opt->redis_password, opt->redis_password_file, reader);
    take_secret(&object, "prune.password", &opt->prune_password, opt->prune_password_file, reader);
    take_notify_secrets(&object, opt, reader);
    check_sentinel(&object, config, sentinel);
}

static bool differ(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

/* Several masters: each name once, and one admin side. */
static void check_together(struct diag *diag, const struct config *config, const struct node *list)
{
    for (size_t i = 1; i < config->sentinel_count; i++) {
        const struct sentinel_options *one = &config->sentinels[i].opt;
        for (size_t k = 0; k < i; k++) {
            const struct sentinel_options *other = &config->sentinels[k].opt;
            if (one->master && other->master && strcmp(one->master, other->master) == 0)
                diag_at(diag, list->items[i], "master '%.60s' is listed twice", one->master);
            if (differ(one->admin_socket, other->admin_socket) ||
                differ(one->admin_http, other->admin_http) || differ(one->watcher, other->watcher))
                diag_at(diag, list->items[i],
                        "'admin' and 'watcher' are for the whole program; give them once");
        }
    }
}

void config_sentinel_read(struct diag *diag, struct config *config, const struct node *node,
                          enum config_reader reader)
{
    if (node_is_empty(node) || (node->kind == NODE_LIST && node->count == 0)) {
        diag_at(diag, node, "'sentinel' is empty; it must be a mapping or a list of mappings");
        return;
    }
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    if (count > MASTERS_MAX) {
        diag_at(diag, node, "'sentinel' may list %d masters at most", MASTERS_MAX);
        return;
    }
    config->sentinels = mem_must_alloc(count * sizeof *config->sentinels);
    if (node->kind != NODE_LIST) {
        read_one(diag, config, node, reader);
        return;
    }
    for (size_t i = 0; i < count; i++)
        read_one(diag, config, node->items[i], reader);
    if (config->sentinel_count == count)
        check_together(diag, config, node);
}

void config_sentinel_free(struct config_sentinel *sentinel)
{
    options_free(&section_sentinel, &sentinel->opt);
    free(sentinel->sentinels);
    free(sentinel->relays);
    free(sentinel->backends);
}
