// SPDX-License-Identifier: Apache-2.0
/*
 * Options structs from mappings: the one place where a key of the file meets a row of the table.
 *
 * Two walks over the same mapping. keys_check() looks for keys that nobody knows; object_read()
 * takes the values of one section's rows. They are apart because `defaults` holds the keys of two
 * sections and is read many times, into every frontend and every backend.
 */
#include "config/object.h"

#include "base/mem.h"
#include "config/expand.h"
#include "config/value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars ----------------------------------------------------------------------------------
 */

char *node_text(struct diag *diag, const struct node *node, const char *what)
{
    if (node->kind != NODE_SCALAR) {
        diag_at(diag, node, "'%s' must be a single value, not a %s", what,
                node->kind == NODE_LIST ? "list" : "mapping");
        return NULL;
    }
    if (node_is_empty(node)) {
        diag_at(diag, node, "'%s' has no value", what);
        return NULL;
    }
    if (memchr(node->text.ptr, '\0', node->text.len)) {
        diag_at(diag, node, "'%s' must not hold control characters", what);
        return NULL;
    }
    char error[EXPAND_ERROR_MAX];
    char *text = expand(node->text, error);
    if (!text)
        diag_at(diag, node, "'%s': %s", what, error);
    return text;
}

/* ---- one object -------------------------------------------------------------------------------
 */

void object_init(struct object *object, const struct section *section, void *opt, struct diag *diag)
{
    *object = (struct object){.section = section, .opt = opt, .diag = diag};
}

static size_t row_index(const struct object *object, const struct option *row)
{
    return (size_t)(row - object->section->rows);
}

static void read_default(struct object *object, const struct option *row)
{
    char error[VALUE_ERROR_MAX] = "";
    const char *text = option_default(row);
    bool good = !text || value_read(row, span_str(text), object->opt, error);
    assert(good); /* a unit test reads every default */
    (void)good;
}

/* Documented values that an option does not have until they work. */
static bool is_word_for_later(const struct option *row, struct span text)
{
    return row == section_find(&section_backend, "sid.mode") &&
           (span_eq(text, SPAN("tag")) || span_eq(text, SPAN("prefix")));
}

static bool read_text(struct object *object, const struct option *row, const struct node *node)
{
    char error[VALUE_ERROR_MAX];
    bool secret = row->type == OPTION_SECRET || row->type == OPTION_SECRETS;
    char *text = object->sealed && secret && node->kind == NODE_SCALAR && node->text.len > 0
                     ? mem_must_copy(node->text.ptr)
                     : node_text(object->diag, node, row->path);
    if (!text)
        return false;
    bool good = value_read(row, span_str(text), object->opt, error);
    if (!good)
        diag_at(object->diag, node, "'%s' %s%s", row->path, error,
                is_word_for_later(row, span_str(text)) ? " (not supported by this version)" : "");
    free(text);
    return good;
}

/* A mapping of texts to texts, e.g. address_map. */
static void read_pairs(struct object *object, const struct option *row, const struct node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        if (key_is_private(map->keys[i]))
            continue;
        char error[VALUE_ERROR_MAX];
        char *from = node_text(object->diag, map->keys[i], row->path);
        char *to = node_text(object->diag, map->items[i], row->path);
        if (from && to && !value_add_pair(row, span_str(from), span_str(to), object->opt, error))
            diag_at(object->diag, map->keys[i], "'%s' %s", row->path, error);
        free(from);
        free(to);
    }
}

static void set_row(struct object *object, const struct option *row, const struct node *value,
                    bool inherited)
{
    size_t i = row_index(object, row);
    object->from[i].node = value;
    object->from[i].inherited = inherited;
    value_clear(row, object->opt);
    if (row->type == OPTION_PAIRS && value->kind == NODE_MAP) {
        read_pairs(object, row, value);
        return;
    }
    if (value->kind != NODE_LIST || !option_is_list(row)) {
        if (!read_text(object, row, value)) {
            value_clear(row, object->opt);
            read_default(object, row); /* so that later checks find something sensible */
        }
        return;
    }
    for (size_t n = 0; n < value->count; n++)
        read_text(object, row, value->items[n]);
}

/* path = group + "." + key; false when that is too long for any option. */
static bool join(char path[static OPTION_PATH_MAX], const char *group, const struct node *key)
{
    int len = snprintf(path, OPTION_PATH_MAX, "%s%s%.*s", group, *group ? "." : "",
                       key->text.len < OPTION_PATH_MAX ? (int)key->text.len : 0, key->text.ptr);
    return len < OPTION_PATH_MAX && key->text.len < OPTION_PATH_MAX &&
           !memchr(key->text.ptr, '.', key->text.len) &&
           !memchr(key->text.ptr, '\0', key->text.len);
}

/* An empty group whose key must be given asks for something and does not say what. */
static void check_empty_group(struct object *object, const struct node *map, const char *group)
{
    size_t len = strlen(group);
    section_each(row, object->section)
    {
        bool in_group = strncmp(row->path, group, len) == 0 && row->path[len] == '.';
        if (in_group && row->default_text == option_key && !strchr(row->path + len + 1, '.'))
            diag_at(object->diag, map, "'%s' needs '%s'", group, row->path + len + 1);
    }
}

static void read_group(struct object *object, const struct node *map, const char *group,
                       bool inherited)
{
    bool empty = node_is_empty(map) || (map->kind == NODE_MAP && map->count == 0);
    if (empty)
        check_empty_group(object, map, group);
    else if (map->kind != NODE_MAP)
        diag_at(object->diag, map, "'%s' must be a mapping", group);
    if (empty || map->kind != NODE_MAP)
        return;
    for (size_t i = 0; i < map->count; i++) {
        char path[OPTION_PATH_MAX];
        if (!join(path, group, map->keys[i]))
            continue;
        const struct option *row = section_find(object->section, path);
        if (row)
            set_row(object, row, map->items[i], inherited);
        else if (section_has_group(object->section, path))
            read_group(object, map->items[i], path, inherited);
    }
}

void object_read(struct object *object, const struct node *map, bool inherited)
{
    if (map && map->kind == NODE_MAP)
        read_group(object, map, "", inherited);
}

void object_set(struct object *object, const char *path, const struct node *value)
{
    const struct option *row = section_find(object->section, path);
    assert(row);
    set_row(object, row, value, false);
}

/* The group's first option that was given, when `row` is its key and was not. */
static const struct node *group_without(const struct object *object, const struct option *row)
{
    size_t len = (size_t)(strrchr(row->path, '.') - row->path);
    for (size_t i = 0; i < object->section->count; i++)
        if (strncmp(object->section->rows[i].path, row->path, len + 1) == 0 && object->from[i].node)
            return object->from[i].node;
    return NULL;
}

void object_finish(struct object *object, const struct node *place, const char *what)
{
    section_each(row, object->section)
    {
        if (object->from[row_index(object, row)].node)
            continue;
        if (row->default_text == option_required)
            diag_at(object->diag, place, "%s needs '%s'", what, row->path);
        const struct node *group = row->default_text == option_key ? group_without(object, row)
                                                                   : NULL;
        if (group)
            diag_at(object->diag, group, "%s needs '%s' too", what, row->path);
        read_default(object, row);
    }
}

void object_drop(struct object *object, const char *path)
{
    const struct option *row = section_find(object->section, path);
    assert(row);
    value_clear(row, object->opt);
    object->from[row_index(object, row)].node = NULL;
}

const struct node *object_from(const struct object *object, const char *path)
{
    const struct option *row = section_find(object->section, path);
    assert(row);
    return object->from[row_index(object, row)].node;
}

bool object_inherited(const struct object *object, const char *path)
{
    const struct option *row = section_find(object->section, path);
    assert(row);
    return object->from[row_index(object, row)].inherited;
}

void options_free(const struct section *section, void *opt)
{
    for (size_t i = 0; i < section->count; i++)
        value_clear(&section->rows[i], opt);
}

/* ---- unknown keys -----------------------------------------------------------------------------
 */

bool key_is_private(const struct node *key)
{
    return span_starts(key->text, SPAN("x-"));
}

static void suggest_child(const char *path, const char *name, const struct option *row, void *ctx)
{
    (void)path;
    (void)row;
    suggestion_try(ctx, name);
}

/* The path of an option of this name in another group: "interval" is health.interval. */
static const char *elsewhere(const struct section *section, struct span name)
{
    section_each(row, section)
    {
        const char *dot = strrchr(row->path, '.');
        if (dot && span_eq(span_str(dot + 1), name))
            return row->path;
    }
    return NULL;
}

/* A key that is read elsewhere, if it belongs to this group. */
static void suggest_also(struct suggestion *suggestion, const char *group, const char *path)
{
    size_t len = strlen(group);
    if (len == 0 && !strchr(path, '.'))
        suggestion_try(suggestion, path);
    else if (len > 0 && strncmp(path, group, len) == 0 && path[len] == '.')
        suggestion_try(suggestion, path + len + 1);
}

static void report_unknown(struct diag *diag, const struct section *section, const char *group,
                           const struct node *key, const char *const *also)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, key->text);
    section_each_child(section, group, suggest_child, &suggestion);
    for (; also && *also; also++)
        suggest_also(&suggestion, group, *also);
    const char *other = elsewhere(section, key->text);
    const char *best = other ? other : suggestion.best;
    if (*best)
        diag_at(diag, key, "unknown key '%.*s'; did you mean '%s'?",
                SPAN_ARG(diag_quote(key->text)), best);
    else
        diag_at(diag, key, "unknown key '%.*s'", SPAN_ARG(diag_quote(key->text)));
}

static bool is_one_of(const char *path, const char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(path, *list) == 0)
            return true;
    return false;
}

static void check_group(struct diag *diag, const struct section *section, const char *group,
                        const struct node *map, const char *const *also)
{
    for (size_t i = 0; map->kind == NODE_MAP && i < map->count; i++) {
        const struct node *key = map->keys[i];
        char path[OPTION_PATH_MAX];
        bool joined = join(path, group, key);
        if (key_is_private(key) ||
            (joined && (is_one_of(path, also) || section_find(section, path))))
            continue;
        if (joined && section_has_group(section, path))
            check_group(diag, section, path, map->items[i], also);
        else
            report_unknown(diag, section, group, key, also);
    }
}

void keys_check(struct diag *diag, const struct section *section, const struct node *map,
                const char *const *also)
{
    check_group(diag, section, "", map, also);
}
