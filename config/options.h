// SPDX-License-Identifier: Apache-2.0
/*
 * The option table as data: one section per mapping of the file, one row per option. Everything
 * that works on options in general (reading, dump, schema, reference) walks these rows and knows
 * none by name.
 */
#ifndef LIMPET_CONFIG_OPTIONS_H
#define LIMPET_CONFIG_OPTIONS_H

#include "config/config.h"

enum option_type {
    OPTION_BOOL,
    OPTION_INT,
    OPTION_AUTO_INT,
    OPTION_SIZE,
    OPTION_DURATION,
    OPTION_RATE,
    OPTION_STRING,
    OPTION_SECRET,
    OPTION_STRINGS,
    OPTION_SECRETS,
    OPTION_PAIRS,
    OPTION_NETMASKS,
    OPTION_STATUSES,
    OPTION_ENUM,
    OPTION_ENUMS,
    OPTION_MODE,
};

enum option_reload { OPTION_LIVE, OPTION_RESTART };

/* The words of an enum, indexed by its values, NULL at the end. */
struct choices {
    const char *name;
    const char *const *words;
};

struct option {
    const char *path; /* "health.http.path" */
    enum option_type type;
    const struct choices *choices; /* of OPTION_ENUM and OPTION_ENUMS */
    size_t offset;                 /* of the field in its struct */
    size_t count_offset;           /* of the count, when the field is a list */
    const char *default_text;      /* NULL, option_required or option_key: none */
    int64_t min, max;              /* both 0: no bounds */
    enum option_reload reload;
    const char *help;
};

/* Stand in default_text, compared by address: must be given; must be given when its group is. */
extern const char option_required[];
extern const char option_key[];

struct section {
    const char *name;
    const struct option *rows;
    size_t count;
    size_t struct_size;         /* bytes of its struct */
    const struct section *also; /* `defaults` has the rows of two sections */
};

#define CHOICES(name, ...)
#define CHOICE(value, word)
#define SECTION(scope) extern const struct section section_##scope;
#define OPTION(scope, path, type, field, ...)
#define END_SECTION
#include "config/options.def"

/* What the `defaults` section may hold: the options of frontends and of backends. */
extern const struct section section_defaults;

enum { SECTION_ROWS_MAX = 64, OPTION_PATH_MAX = 128 };

/* The row behind `row`, through `also`; the first one for NULL, NULL behind the last. */
const struct option *section_next(const struct section *section, const struct option *row);
#define section_each(row, section)                                                                 \
    for (const struct option *row = section_next(section, NULL); row;                              \
         row = section_next(section, row))

/* The row with this path, or NULL. */
const struct option *section_find(const struct section *section, const char *path);
/* Do rows exist below this path ("health", "health.http")? */
bool section_has_group(const struct section *section, const char *path);

/*
 * The names directly below a group ("" = the section itself), each once, in the table's order.
 * `row` is NULL for a group. Ends when `visit` is done with the last one; path is the child's whole
 * path.
 */
typedef void section_visit_fn(const char *path, const char *name, const struct option *row,
                              void *ctx);
void section_each_child(const struct section *section, const char *group, section_visit_fn *visit,
                        void *ctx);

/* The text of the default, or NULL when there is none. */
const char *option_default(const struct option *option);
bool option_is_list(const struct option *option);
/* Where the option's field lies in its struct. */
void *option_field(const struct option *option, void *opt);
const void *option_field_const(const struct option *option, const void *opt);
size_t *option_count(const struct option *option, void *opt);

#endif
