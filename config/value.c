// SPDX-License-Identifier: Apache-2.0
/*
 * Option values: reading texts, with messages that say what to write instead, and printing them
 * again.
 *
 * Every number type ends in read_bounded(), every list type in list_append(). Fields are reached
 * through the offsets of the option table; enum fields are read and written as int, which is what
 * gcc and clang store them in.
 */
#include "config/value.h"

#include "base/mem.h"
#include "config/diag.h"
#include "config/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { STATUSES_MAX = 16 };

static_assert(sizeof(enum balance_kind) == sizeof(int), "enums are stored as int");

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, as value_format tries them. The binary sizes come before the decimal ones. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"TiB", 1LL << 40},    {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10},
    {"TB", 1000000000000}, {"GB", 1000000000}, {"MB", 1000000},    {"KB", 1000},
    {"kB", 1000},          {"B", 1},           {NULL, 0},
};

/* ---- messages ---------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static bool refuse(char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, VALUE_ERROR_MAX, format, args);
    va_end(args);
    return false;
}

#define QUOTED(text) SPAN_ARG(diag_quote(text))

static bool refuse_word(const struct choices *choices, struct span word, char *error)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, word);
    char list[160] = "";
    for (size_t i = 0; choices->words[i]; i++) {
        const char *between = i == 0 ? "" : choices->words[i + 1] ? ", " : " or ";
        size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s", between, choices->words[i]);
        suggestion_try(&suggestion, choices->words[i]);
    }
    if (*suggestion.best)
        return refuse(error, "must be %s, not '%.*s'; did you mean '%s'?", list, QUOTED(word),
                      suggestion.best);
    return refuse(error, "must be %s, not '%.*s'", list, QUOTED(word));
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static size_t digit_count(struct span text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9')
        n++;
    return n;
}

static const struct unit *unit_find(const struct unit *units, struct span name)
{
    for (; units->name; units++)
        if (span_eq(span_str(units->name), name))
            return units;
    return NULL;
}

static bool to_int64(struct span text, int64_t factor, int64_t *out)
{
    uint64_t number;
    if (!span_to_u64(text, &number) || number > (uint64_t)(INT64_MAX / factor))
        return false;
    *out = (int64_t)number * factor;
    return true;
}

/* `digits` of `text` times `factor`, within the option's bounds. */
static bool read_bounded(const struct option *option, struct span text, struct span digits,
                         int64_t factor, int64_t *field, char *error)
{
    char low[VALUE_TEXT_MAX], high[VALUE_TEXT_MAX];
    int64_t number;
    bool fits = to_int64(digits, factor, &number);
    bool bounded = option->min != 0 || option->max != 0;
    if (bounded && (!fits || number < option->min || number > option->max))
        return refuse(error, "must be between %s and %s, not '%.*s'",
                      value_format(option, option->min, low),
                      value_format(option, option->max, high), QUOTED(text));
    if (!fits)
        return refuse(error, "is too large a number: '%.*s'", QUOTED(text));
    *field = number;
    return true;
}

static bool read_int(const struct option *option, struct span text, int64_t *field, char *error)
{
    if (option->type == OPTION_AUTO_INT && span_eq(text, SPAN("auto"))) {
        *field = 0;
        return true;
    }
    if (text.len == 0 || digit_count(text) != text.len)
        return refuse(error, "must be %sa whole number, not '%.*s'",
                      option->type == OPTION_AUTO_INT ? "auto or " : "", QUOTED(text));
    return read_bounded(option, text, text, 1, field, error);
}

static bool read_size(const struct option *option, struct span text, int64_t *field, char *error)
{
    size_t n = digit_count(text);
    struct span number = span_upto(text, n), name = span_trim(span_from(text, n));
    const struct unit *unit = unit_find(sizes, name);
    if (n > 0 && (name.len == 0 || unit))
        return read_bounded(option, text, number, unit ? unit->factor : 1, field, error);
    if (n > 0 && name.len == 1 && strchr("kKmMgGtT", name.ptr[0])) {
        int letter = name.ptr[0] & ~0x20;
        return refuse(error, "needs a whole unit: write %.*s%ciB (1024) or %.*s%cB (1000)",
                      QUOTED(number), letter, QUOTED(number), letter);
    }
    return refuse(error, "must be a size like 16KiB, 1MB or 512, not '%.*s'", QUOTED(text));
}

static bool read_duration(const struct option *option, struct span text, int64_t *field,
                          char *error)
{
    size_t n = digit_count(text);
    struct span number = span_upto(text, n), name = span_trim(span_from(text, n));
    const struct unit *unit = unit_find(durations, name);
    if (n > 0 && unit)
        return read_bounded(option, text, number, unit->factor, field, error);
    if (n > 0 && name.len == 0)
        return refuse(error, "needs a unit: write %.*ss for seconds or %.*sms for milliseconds",
                      QUOTED(number), QUOTED(number));
    return refuse(error, "must be a duration like 500ms, 30s, 5m, 1h or 1d, not '%.*s'",
                  QUOTED(text));
}

/* "20/s", "100/m", "20/10s", "0". */
static bool read_rate(struct span text, struct rate *field, char *error)
{
    struct span per = text;
    struct span events = span_trim(span_cut(&per, '/'));
    per = span_trim(per);
    struct rate rate = {0, 1000};
    bool good = to_int64(events, 1, &rate.events) && rate.events <= 1000000000;
    if (per.ptr) {
        size_t n = digit_count(per);
        const struct unit *unit = unit_find(durations, span_from(per, n));
        struct span times = n > 0 ? span_upto(per, n) : SPAN("1");
        good = good && unit && to_int64(times, unit->factor, &rate.per_ms) && rate.per_ms > 0;
    } else {
        good = good && rate.events == 0;
    }
    if (!good)
        return refuse(error, "must be a rate like 20/s, 100/m or 0 for no limit, not '%.*s'",
                      QUOTED(text));
    *field = rate;
    return true;
}

static bool read_mode(const struct option *option, struct span text, unsigned *field, char *error)
{
    unsigned mode = 0;
    bool good = text.len >= 3 && text.len <= 4;
    for (size_t i = 0; good && i < text.len; i++) {
        good = text.ptr[i] >= '0' && text.ptr[i] <= '7';
        mode = mode * 8 + (unsigned)(text.ptr[i] & 7);
    }
    if (!good || mode > option->max)
        return refuse(error, "must be an octal file mode like \"0660\", not '%.*s'", QUOTED(text));
    *field = mode;
    return true;
}

/* ---- words and texts --------------------------------------------------------------------------
 */

static bool read_bool(struct span text, bool *field, char *error)
{
    bool yes = span_eq(text, SPAN("true"));
    if (!yes && !span_eq(text, SPAN("false")))
        return refuse(error, "must be true or false, not '%.*s'", QUOTED(text));
    *field = yes;
    return true;
}

static bool read_word(const struct option *option, struct span text, int *field, char *error)
{
    const char *const *words = option->choices->words;
    for (int i = 0; words[i]; i++) {
        if (span_eq(span_str(words[i]), text)) {
            *field = i;
            return true;
        }
    }
    return refuse_word(option->choices, text, error);
}

static bool read_string(struct span text, char **field, char *error)
{
    if (text.len == 0)
        return refuse(error, "must not be empty");
    if (!utf8_valid(text)) /* an environment variable's */
        return refuse(error, "must be UTF-8");
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return refuse(error, "must not hold control characters");
    free(*field);
    *field = mem_must_alloc(text.len + 1);
    memcpy(*field, text.ptr, text.len);
    return true;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static void list_append(const struct option *option, void *opt, const void *item, size_t size)
{
    void **list = option_field(option, opt);
    size_t *count = option_count(option, opt);
    *list = mem_must_resize(*list, (*count + 1) * size);
    memcpy((char *)*list + *count * size, item, size);
    (*count)++;
}

static bool append_string(const struct option *option, struct span text, void *opt, char *error)
{
    char *string = NULL;
    if (!read_string(text, &string, error))
        return false;
    list_append(option, opt, &string, sizeof string);
    return true;
}

bool value_add_pair(const struct option *option, struct span from, struct span to, void *opt,
                    char error[static VALUE_ERROR_MAX])
{
    struct pair pair = {0};
    bool good = read_string(from, &pair.from, error) && read_string(to, &pair.to, error);
    if (good)
        list_append(option, opt, &pair, sizeof pair);
    else
        free(pair.from);
    return good;
}

static bool append_word(const struct option *option, struct span text, void *opt, char *error)
{
    int word = -1;
    if (!read_word(option, text, &word, error))
        return false;
    const int *list = *(int *const *)option_field_const(option, opt);
    for (size_t i = 0; i < *option_count(option, opt); i++)
        if (list[i] == word)
            return refuse(error, "names '%.*s' twice", QUOTED(text));
    list_append(option, opt, &word, sizeof word);
    return true;
}

static bool append_netmask(const struct option *option, struct span text, void *opt, char *error)
{
    struct netmask mask;
    if (!netmask_parse(text, &mask))
        return refuse(error, "must be addresses or networks like 10.0.0.0/8, not '%.*s'",
                      QUOTED(text));
    list_append(option, opt, &mask, sizeof mask);
    return true;
}

static bool append_status(const struct option *option, struct span text, void *opt, char *error)
{
    struct span to = text;
    struct span from = span_trim(span_cut(&to, '-'));
    uint64_t low = 0, high = 0;
    bool good = span_to_u64(from, &low) && span_to_u64(to.ptr ? span_trim(to) : from, &high);
    if (!good || low < (uint64_t)option->min || high > (uint64_t)option->max || low > high)
        return refuse(error, "must be statuses like 200, 200-299 or 200,204, not '%.*s'",
                      QUOTED(text));
    if (*option_count(option, opt) == STATUSES_MAX)
        return refuse(error, "may name 16 statuses or ranges at most");
    struct status_range range = {(uint16_t)low, (uint16_t)high};
    list_append(option, opt, &range, sizeof range);
    return true;
}

typedef bool append_fn(const struct option *option, struct span text, void *opt, char *error);

static bool append_each(const struct option *option, struct span text, void *opt, char *error,
                        append_fn *append)
{
    while (text.ptr) {
        struct span piece = span_trim(span_cut(&text, ','));
        if (!append(option, piece, opt, error))
            return false;
    }
    return true;
}

/* ---- all types --------------------------------------------------------------------------------
 */

bool value_read(const struct option *option, struct span text, void *opt,
                char error[static VALUE_ERROR_MAX])
{
    void *field = option_field(option, opt);
    switch (option->type) {
    case OPTION_BOOL:
        return read_bool(text, field, error);
    case OPTION_INT:
    case OPTION_AUTO_INT:
        return read_int(option, text, field, error);
    case OPTION_SIZE:
        return read_size(option, text, field, error);
    case OPTION_DURATION:
        return read_duration(option, text, field, error);
    case OPTION_RATE:
        return read_rate(text, field, error);
    case OPTION_STRING:
    case OPTION_SECRET:
        return read_string(text, field, error);
    case OPTION_ENUM:
        return read_word(option, text, field, error);
    case OPTION_MODE:
        return read_mode(option, text, field, error);
    case OPTION_STRINGS:
    case OPTION_SECRETS:
        return append_string(option, text, opt, error);
    case OPTION_PAIRS:
        return refuse(error, "must be a mapping like {\"10.0.0.5:6379\": \"redis:6379\"}");
    case OPTION_NETMASKS:
        return append_each(option, text, opt, error, append_netmask);
    case OPTION_STATUSES:
        return append_each(option, text, opt, error, append_status);
    case OPTION_ENUMS:
        return append_each(option, text, opt, error, append_word);
    }
    abort();
}

void value_clear(const struct option *option, void *opt)
{
    void **pointer = option_field(option, opt);
    if (option_is_list(option)) {
        size_t *count = option_count(option, opt);
        bool texts = option->type == OPTION_STRINGS || option->type == OPTION_SECRETS;
        for (size_t i = 0; texts && i < *count; i++)
            free(((char **)*pointer)[i]);
        for (size_t i = 0; option->type == OPTION_PAIRS && i < *count; i++) {
            free(((struct pair *)*pointer)[i].from);
            free(((struct pair *)*pointer)[i].to);
        }
        *count = 0;
    }
    if (option_is_list(option) || option->type == OPTION_STRING || option->type == OPTION_SECRET) {
        free(*pointer);
        *pointer = NULL;
    }
}

/* The largest unit that divides the number; decimal sizes are shown in binary units or bytes. */
static char *format_units(const struct unit *units, int64_t number, char out[static VALUE_TEXT_MAX])
{
    const struct unit *unit = units;
    while (unit[1].name && number % unit->factor != 0)
        unit++;
    snprintf(out, VALUE_TEXT_MAX, "%" PRId64 "%s", number / unit->factor, unit->name);
    return out;
}

char *value_format(const struct option *option, int64_t number, char out[static VALUE_TEXT_MAX])
{
    static const struct unit binary[] = {
        {"TiB", 1LL << 40}, {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10}, {"", 1},
        {NULL, 0},
    };
    if (option->type == OPTION_DURATION)
        return format_units(number == 0 ? &durations[3] : durations, number, out); /* "0s" */
    if (option->type == OPTION_SIZE && number > 0)
        return format_units(binary, number, out);
    if (option->type == OPTION_MODE)
        snprintf(out, VALUE_TEXT_MAX, "%04" PRIo64, number);
    else
        snprintf(out, VALUE_TEXT_MAX, "%" PRId64, number);
    return out;
}
