// SPDX-License-Identifier: Apache-2.0
/*
 * What a reload does not apply: the rows of class RESTART. Their new values are replaced by those
 * that are in force, so that whoever reads the configuration reads what really holds, and named, so
 * that nobody believes otherwise. No option of that class is a list.
 */
#include "base/mem.h"
#include "config/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct differences {
    char *names;
    size_t size, len, count;
};

static void note(struct differences *found, const char *prefix, const char *path)
{
    found->count++;
    size_t left = found->size - found->len;
    int n = snprintf(found->names + found->len, left, "%s%s%s", found->len > 0 ? " " : "", prefix,
                     path);
    if (n > 0)
        found->len += (size_t)n < left ? (size_t)n : left > 0 ? left - 1 : 0;
}

/* Bytes of a field that is a plain value; 0: a text. */
static size_t plain_size(const struct option *option)
{
    switch (option->type) {
    case OPTION_BOOL:
        return sizeof(bool);
    case OPTION_INT:
    case OPTION_AUTO_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return sizeof(int64_t);
    case OPTION_RATE:
        return sizeof(struct rate);
    case OPTION_ENUM:
        return sizeof(int);
    case OPTION_MODE:
        return sizeof(unsigned);
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_STRINGS:
    case OPTION_SECRETS:
    case OPTION_PAIRS:
    case OPTION_NETMASKS:
    case OPTION_STATUSES:
    case OPTION_ENUMS:
        break;
    }
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* True: the values differed; *next has become *now. */
static bool keep_option(const struct option *option, void *next, const void *now)
{
    void *to = option_field(option, next);
    const void *from = option_field_const(option, now);
    size_t size = plain_size(option);
    if (size > 0) {
        bool differs = memcmp(to, from, size) != 0;
        memcpy(to, from, size);
        return differs;
    }
    assert(!option_is_list(option));
    char **text = to;
    const char *before = *(char *const *)from;
    if (same_text(*text, before))
        return false;
    free(*text);
    *text = before ? mem_must_copy(before) : NULL;
    return true;
}

static void keep_section(const struct section *section, void *next, const void *now,
                         const char *prefix, struct differences *found)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct option *option = &section->rows[i];
        if (option->reload == OPTION_RESTART && keep_option(option, next, now))
            note(found, prefix, option->path);
    }
}

static void keep_frontends(struct config *next, const struct config *now, struct differences *found)
{
    char prefix[512];
    for (size_t i = 0; i < next->frontend_count; i++) {
        for (size_t k = 0; k < now->frontend_count; k++) {
            if (strcmp(next->frontends[i].name, now->frontends[k].name) != 0)
                continue;
            snprintf(prefix, sizeof(prefix), "frontends.%s.", now->frontends[k].name);
            keep_section(&section_frontend, &next->frontends[i].opt, &now->frontends[k].opt, prefix,
                         found);
        }
    }
}

static void keep_backends(struct config *next, const struct config *now, struct differences *found)
{
    char prefix[512];
    for (size_t i = 0; i < next->backend_count; i++) {
        for (size_t k = 0; k < now->backend_count; k++) {
            if (strcmp(next->backends[i].name, now->backends[k].name) != 0)
                continue;
            snprintf(prefix, sizeof(prefix), "backends.%s.", now->backends[k].name);
            keep_section(&section_backend, &next->backends[i].opt, &now->backends[k].opt, prefix,
                         found);
        }
    }
}

size_t config_keep_restart(struct config *next, const struct config *now, char *names, size_t size)
{
    struct differences found = {.names = names, .size = size};
    if (size > 0)
        names[0] = '\0';
    keep_section(&section_process, &next->process, &now->process, "process.", &found);
    keep_section(&section_admin, &next->admin, &now->admin, "admin.", &found);
    keep_section(&section_log, &next->log, &now->log, "log.", &found);
    keep_frontends(next, now, &found);
    keep_backends(next, now, &found);
    next->admin_http = now->admin_http; // Of admin.http, which needs a restart.
    return found.count;
}
