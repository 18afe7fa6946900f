// SPDX-License-Identifier: Apache-2.0
/*
 * ${VAR} in scalars, after YAML has been parsed: a variable's text can never become YAML structure,
 * and is not looked at for variables again.
 */
#include "config/expand.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 128 };

struct text {
    char *bytes;
    size_t len, room;
};

static bool text_add(struct text *text, struct span more)
{
    if (text->len + more.len > EXPAND_BYTES_MAX)
        return false;
    if (text->len + more.len >= text->room) {
        text->room = (text->len + more.len + 1) * 2;
        text->bytes = mem_must_resize(text->bytes, text->room);
    }
    if (more.len > 0)
        memcpy(text->bytes + text->len, more.ptr, more.len);
    text->len += more.len;
    text->bytes[text->len] = '\0';
    return true;
}

static size_t name_length(struct span s)
{
    size_t n = 0;
    while (n < s.len) {
        char c = s.ptr[n];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(n > 0 && c >= '0' && c <= '9'))
            break;
        n++;
    }
    return n;
}

/* The value of what stands between "${" and "}". False: `error` says why. */
static bool lookup(struct span inside, struct span *value, char error[static EXPAND_ERROR_MAX])
{
    size_t len = name_length(inside);
    struct span rest = span_from(inside, len);
    bool fallback = span_starts(rest, SPAN(":-")), demand = span_starts(rest, SPAN(":?"));
    if (len == 0 || len >= NAME_MAX_BYTES || (rest.len > 0 && !fallback && !demand)) {
        snprintf(error, EXPAND_ERROR_MAX,
                 "'${%.*s}' is not ${VAR}, ${VAR:-default} or ${VAR:?message}; write $$ for a '$'",
                 (int)(inside.len < 40 ? inside.len : 40), inside.ptr);
        return false;
    }
    char name[NAME_MAX_BYTES];
    span_to_str(span_upto(inside, len), name, sizeof name);
    const char *found = getenv(name);
    bool usable = found && (*found || rest.len == 0);
    if (!usable && !fallback) {
        struct span message = span_from(rest, 2);
        snprintf(error, EXPAND_ERROR_MAX, "the variable %s is not set%s%.*s", name,
                 message.len > 0 ? ": " : "", (int)(message.len < 80 ? message.len : 80),
                 message.len > 0 ? message.ptr : "");
        return false;
    }
    *value = usable ? span_str(found) : span_from(rest, 2);
    return true;
}

/* Handles what begins with the '$' at the front of *rest. */
static bool expand_one(struct text *out, struct span *rest, char error[static EXPAND_ERROR_MAX])
{
    struct span value = SPAN("$");
    size_t used = 1;
    if (span_starts(*rest, SPAN("$$"))) {
        used = 2;
    } else if (span_starts(*rest, SPAN("${"))) {
        size_t end = span_index(*rest, '}');
        if (end == SIZE_MAX) {
            snprintf(error, EXPAND_ERROR_MAX, "'${' without '}'; write $$ for a '$'");
            return false;
        }
        if (!lookup(span_upto(span_from(*rest, 2), end - 2), &value, error))
            return false;
        used = end + 1;
    }
    *rest = span_from(*rest, used);
    if (text_add(out, value))
        return true;
    snprintf(error, EXPAND_ERROR_MAX, "the variables expand to more than 1 MiB");
    return false;
}

char *expand(struct span text, char error[static EXPAND_ERROR_MAX])
{
    struct text out = {0};
    text_add(&out, SPAN(""));
    while (text.len > 0) {
        size_t dollar = span_index(text, '$');
        struct span before = span_upto(text, dollar);
        bool ok = text_add(&out, before);
        text = span_from(text, before.len);
        if (!ok)
            snprintf(error, EXPAND_ERROR_MAX, "the value is longer than 1 MiB");
        if (!ok || (text.len > 0 && !expand_one(&out, &text, error))) {
            free(out.bytes);
            return NULL;
        }
    }
    return out.bytes;
}
