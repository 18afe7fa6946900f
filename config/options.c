// SPDX-License-Identifier: Apache-2.0
/*
 * The option table, expanded from options.def. The file is included twice here: once for the rows
 * of every section, once for the sections themselves. How a row's TYPE becomes an enum value, and
 * whether the field has a count, is said by the ROW_TYPE_ macros; fields.h says what it is in C.
 */
#include "config/options.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char option_required[] = "(required)";
const char option_key[] = "(required in its group)";

#define REQUIRED option_required
#define KEY      option_key
#define LIVE     OPTION_LIVE
#define RESTART  OPTION_RESTART

#define ROW_TYPE_BOOL        ONE, OPTION_BOOL, NULL
#define ROW_TYPE_INT         ONE, OPTION_INT, NULL
#define ROW_TYPE_AUTO_INT    ONE, OPTION_AUTO_INT, NULL
#define ROW_TYPE_SIZE        ONE, OPTION_SIZE, NULL
#define ROW_TYPE_DURATION    ONE, OPTION_DURATION, NULL
#define ROW_TYPE_RATE        ONE, OPTION_RATE, NULL
#define ROW_TYPE_STRING      ONE, OPTION_STRING, NULL
#define ROW_TYPE_SECRET      ONE, OPTION_SECRET, NULL
#define ROW_TYPE_STRINGS     MANY, OPTION_STRINGS, NULL
#define ROW_TYPE_SECRETS     MANY, OPTION_SECRETS, NULL
#define ROW_TYPE_PAIRS       MANY, OPTION_PAIRS, NULL
#define ROW_TYPE_NETMASKS    MANY, OPTION_NETMASKS, NULL
#define ROW_TYPE_STATUSES    MANY, OPTION_STATUSES, NULL
#define ROW_TYPE_ENUM(name)  ONE, OPTION_ENUM, &choices_##name
#define ROW_TYPE_ENUMS(name) MANY, OPTION_ENUMS, &choices_##name
#define ROW_TYPE_MODE        ONE, OPTION_MODE, NULL

#define ROW_COUNT_ONE(scope, field)  0
#define ROW_COUNT_MANY(scope, field) offsetof(struct scope##_options, field##_count)

#define ROW(...) ROW_(__VA_ARGS__)
#define ROW_(how_many, type, choices, scope, path, field, text, min, max, reload, help)            \
    {path,                                                                                         \
     type,                                                                                         \
     choices,                                                                                      \
     offsetof(struct scope##_options, field),                                                      \
     ROW_COUNT_##how_many(scope, field),                                                           \
     text,                                                                                         \
     min,                                                                                          \
     max,                                                                                          \
     reload,                                                                                       \
     help},

// clang-format off
#define CHOICES(name, ...)                                                                         \
    static const char *const words_##name[] = {__VA_ARGS__ NULL};                                  \
    static const struct choices choices_##name = {#name, words_##name};
#define CHOICE(value, word)                   [value] = word,
#define SECTION(scope)                        static const struct option rows_##scope[] = {
#define OPTION(scope, path, type, field, ...) ROW(ROW_TYPE_##type, scope, path, field, __VA_ARGS__)
#define END_SECTION                           };
#include "config/options.def"

#define CHOICES(name, ...)
#define CHOICE(value, word)
#define SECTION(scope)                                                                             \
    const struct section section_##scope = {#scope, rows_##scope, array_len(rows_##scope),         \
                                            sizeof(struct scope##_options), NULL};                 \
    static_assert(array_len(rows_##scope) <= SECTION_ROWS_MAX, "SECTION_ROWS_MAX is too small");
#define OPTION(scope, path, type, field, ...)
#define END_SECTION
#include "config/options.def"

static const struct choices *const all_choices[] = {
#define CHOICES(name, ...)                    &choices_##name,
#define CHOICE(value, word)
#define SECTION(scope)
#define OPTION(scope, path, type, field, ...)
#define END_SECTION
#include "config/options.def"
};
// clang-format on

const struct section section_defaults = {"defaults", rows_frontend, array_len(rows_frontend), 0,
                                         &section_backend};

const struct option *section_next(const struct section *section, const struct option *row)
{
    for (; section; section = section->also) {
        if (!row)
            return section->rows;
        bool last = row == section->rows + section->count - 1;
        if (!last && row >= section->rows && row < section->rows + section->count)
            return row + 1;
        if (last)
            row = NULL; /* next is the next section's first */
    }
    return NULL;
}

const struct option *section_find(const struct section *section, const char *path)
{
    section_each(row, section) if (strcmp(row->path, path) == 0) return row;
    return NULL;
}

bool section_has_group(const struct section *section, const char *path)
{
    size_t len = strlen(path);
    section_each(row, section) if (strncmp(row->path, path, len) == 0 &&
                                   row->path[len] == '.') return true;
    return false;
}

/* The bytes of `path` up to the end of the name that follows the group; 0 when it is not below it.
 */
static size_t child_length(const char *path, const char *group)
{
    size_t skip = strlen(group);
    if (skip > 0) {
        if (strncmp(path, group, skip) != 0 || path[skip] != '.')
            return 0;
        skip++;
    }
    return skip + strcspn(path + skip, ".");
}

static bool child_seen(const struct section *section, const struct option *before, size_t len)
{
    section_each(row, section)
    {
        if (row == before)
            return false;
        if (strncmp(row->path, before->path, len) == 0 &&
            (row->path[len] == '.' || row->path[len] == '\0'))
            return true;
    }
    return false;
}

void section_each_child(const struct section *section, const char *group, section_visit_fn *visit,
                        void *ctx)
{
    section_each(row, section)
    {
        size_t len = child_length(row->path, group);
        if (len == 0 || child_seen(section, row, len))
            continue;
        char path[OPTION_PATH_MAX];
        assert(len < sizeof path);
        memcpy(path, row->path, len);
        path[len] = '\0';
        const char *name = *group ? path + strlen(group) + 1 : path;
        visit(path, name, row->path[len] ? NULL : row, ctx);
    }
}

const char *option_default(const struct option *option)
{
    const char *text = option->default_text;
    return text == option_required || text == option_key ? NULL : text;
}

bool option_is_list(const struct option *option)
{
    return option->count_offset != 0;
}

void *option_field(const struct option *option, void *opt)
{
    return (char *)opt + option->offset;
}

const void *option_field_const(const struct option *option, const void *opt)
{
    return (const char *)opt + option->offset;
}

size_t *option_count(const struct option *option, void *opt)
{
    assert(option_is_list(option));
    return (size_t *)(void *)((char *)opt + option->count_offset);
}

const char *config_word(const char *choices, int value)
{
    for (size_t i = 0; i < array_len(all_choices); i++)
        if (strcmp(all_choices[i]->name, choices) == 0)
            return all_choices[i]->words[value];
    return NULL;
}
