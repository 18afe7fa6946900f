// SPDX-License-Identifier: Apache-2.0
/*
 * `limpet config dump`: the snapshot as YAML, every option spelled out, in the table's order. What
 * it prints loads again to the same snapshot, secrets aside. Texts stand in double quotes, so that
 * no YAML reader guesses at them; '$' is doubled, since variables have been expanded already.
 */
#include "base/mem.h"
#include "config/options.h"
#include "config/text.h"
#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- values -----------------------------------------------------------------------------------
 */

static void print_string(const char *string, FILE *out)
{
    struct span text = span_str(string);
    putc('"', out);
    while (text.len > 0) {
        uint32_t code = 0;
        size_t width = utf8_decode(text, &code);
        width = width > 0 ? width : 1;
        bool odd = utf8_is_control(code) || code == 0x2028 || code == 0x2029 || code >= 0xfeff;
        if (odd)
            fprintf(out, "\\U%08" PRIx32, code);
        else if (code == '"' || code == '\\')
            fprintf(out, "\\%c", (int)code);
        else if (code == '$')
            fputs("$$", out);
        else
            fwrite(text.ptr, 1, width, out);
        text = span_from(text, width);
    }
    putc('"', out);
}

static void print_rate(const struct rate *rate, FILE *out)
{
    struct option per = {.type = OPTION_DURATION};
    char text[VALUE_TEXT_MAX];
    value_format(&per, rate->per_ms, text);
    if (rate->events == 0)
        fputs("0", out);
    else
        fprintf(out, "%" PRId64 "/%s", rate->events, strcmp(text, "1s") == 0 ? "s" : text);
}

static void print_netmask(const struct netmask *mask, FILE *out)
{
    char host[INET6_ADDRSTRLEN];
    inet_ntop(mask->v6 ? AF_INET6 : AF_INET, mask->bytes, host, sizeof host);
    fprintf(out, "\"%s/%u\"", host, mask->bits);
}

static void print_status(const struct status_range *range, FILE *out)
{
    if (range->from == range->to)
        fprintf(out, "%u", range->from);
    else
        fprintf(out, "%u-%u", range->from, range->to);
}

static void print_pair(const struct pair *pair, FILE *out)
{
    print_string(pair->from, out);
    fputs(": ", out);
    print_string(pair->to, out);
}

static void print_item(const struct option *option, const void *list, size_t i, FILE *out)
{
    if (option->type == OPTION_STRINGS)
        print_string(((char *const *)list)[i], out);
    else if (option->type == OPTION_SECRETS)
        fputs("\"***\"", out);
    else if (option->type == OPTION_PAIRS)
        print_pair((const struct pair *)list + i, out);
    else if (option->type == OPTION_NETMASKS)
        print_netmask((const struct netmask *)list + i, out);
    else if (option->type == OPTION_STATUSES)
        print_status((const struct status_range *)list + i, out);
    else
        fputs(option->choices->words[((const int *)list)[i]], out);
}

static size_t count_of(const struct option *option, const void *opt)
{
    return *(const size_t *)(const void *)((const char *)opt + option->count_offset);
}

static void print_list(const struct option *option, const void *opt, FILE *out)
{
    const void *list = *(void *const *)option_field_const(option, opt);
    bool mapping = option->type == OPTION_PAIRS;
    putc(mapping ? '{' : '[', out);
    for (size_t i = 0; i < count_of(option, opt); i++) {
        fputs(i > 0 ? ", " : "", out);
        print_item(option, list, i, out);
    }
    putc(mapping ? '}' : ']', out);
}

static void print_value(const struct option *option, const void *opt, FILE *out)
{
    const void *field = option_field_const(option, opt);
    char text[VALUE_TEXT_MAX];
    switch (option->type) {
    case OPTION_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case OPTION_AUTO_INT:
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION: {
        int64_t number = *(const int64_t *)field;
        bool is_auto = option->type == OPTION_AUTO_INT && number == 0;
        fputs(is_auto ? "auto" : value_format(option, number, text), out);
        break;
    }
    case OPTION_MODE:
        fprintf(out, "\"%s\"", value_format(option, *(const unsigned *)field, text));
        break;
    case OPTION_RATE:
        print_rate(field, out);
        break;
    case OPTION_STRING:
        print_string(*(char *const *)field, out);
        break;
    case OPTION_SECRET:
        fputs("\"***\"", out);
        break;
    case OPTION_ENUM:
        fputs(option->choices->words[*(const int *)field], out);
        break;
    case OPTION_STRINGS:
    case OPTION_SECRETS:
    case OPTION_PAIRS:
    case OPTION_NETMASKS:
    case OPTION_STATUSES:
    case OPTION_ENUMS:
        print_list(option, opt, out);
        break;
    }
}

/* ---- mappings ---------------------------------------------------------------------------------
 */

struct dump {
    const struct section *section;
    const void *opt;
    FILE *out;
    int indent;
    bool dash;                          /* the next line begins a list's item */
    const struct config_listen *listen; /* whose options they are; else NULL */
    bool no_tls;                        /* the same for a backend without TLS */
};

static void begin_line(struct dump *dump)
{
    fprintf(dump->out, "%*s%s", dump->dash ? dump->indent - 2 : dump->indent, "",
            dump->dash ? "- " : "");
    dump->dash = false;
}

/* Texts and lists without default may be absent. */
static bool is_given(const struct option *option, const void *opt)
{
    if (option_is_list(option))
        return option_default(option) || count_of(option, opt) > 0;
    bool text = option->type == OPTION_STRING || option->type == OPTION_SECRET;
    return !text || *(void *const *)option_field_const(option, opt);
}

/* Is there an option in this group, and the one that the group cannot be without? */
static bool group_is_given(const struct dump *dump, const char *group)
{
    size_t len = strlen(group);
    bool any = false;
    section_each(row, dump->section)
    {
        if (strncmp(row->path, group, len) != 0 || row->path[len] != '.')
            continue;
        bool key = row->default_text == option_key && !strchr(row->path + len + 1, '.');
        if (key && !is_given(row, dump->opt))
            return false;
        any = any || is_given(row, dump->opt);
    }
    return any;
}

static void dump_child(const char *path, const char *name, const struct option *row, void *ctx);

static void dump_certificates(const struct dump *dump)
{
    fprintf(dump->out, "%*scertificates:\n", dump->indent, "");
    for (size_t i = 0; i < dump->listen->certificate_count; i++) {
        struct dump one = {.section = &section_certificate,
                           .opt = &dump->listen->certificates[i].opt,
                           .out = dump->out,
                           .indent = dump->indent + 4,
                           .dash = true};
        section_each_child(&section_certificate, "", dump_child, &one);
    }
}

/* A listener without certificates has no TLS, whatever the defaults of that are. */
static bool is_tls(const struct dump *dump, const char *path)
{
    return dump->listen && strcmp(path, "tls") == 0;
}

static void dump_child(const char *path, const char *name, const struct option *row, void *ctx)
{
    struct dump *dump = ctx;
    if (row ? !is_given(row, dump->opt) : !group_is_given(dump, path))
        return;
    bool off = dump->no_tls || (dump->listen && dump->listen->certificate_count == 0);
    if (off && strcmp(path, "tls") == 0)
        return;
    begin_line(dump);
    fprintf(dump->out, "%s:", name);
    if (row) {
        putc(' ', dump->out);
        print_value(row, dump->opt, dump->out);
        putc('\n', dump->out);
    } else {
        putc('\n', dump->out);
        dump->indent += 2;
        section_each_child(dump->section, path, dump_child, dump);
        if (is_tls(dump, path))
            dump_certificates(dump);
        dump->indent -= 2;
    }
}

static void dump_options(const struct section *section, const void *opt, int indent, bool dash,
                         FILE *out)
{
    struct dump dump = {section, opt, out, indent, dash, NULL, false};
    section_each_child(section, "", dump_child, &dump);
}

static void dump_name(const char *name, int indent, FILE *out)
{
    fprintf(out, "%*s\"%s\":\n", indent, "", name);
}

static void dump_frontend(const struct config_frontend *frontend, FILE *out)
{
    dump_name(frontend->name, 2, out);
    fputs("    listen:\n", out);
    for (size_t i = 0; i < frontend->listen_count; i++) {
        const struct config_listen *listen = &frontend->listens[i];
        struct dump dump = {&section_listen, &listen->opt, out, 8, true, listen, false};
        section_each_child(&section_listen, "", dump_child, &dump);
    }
    if (frontend->route_count > 0)
        fputs("    routes:\n", out);
    for (size_t i = 0; i < frontend->route_count; i++)
        dump_options(&section_route, &frontend->routes[i].opt, 8, true, out);
    dump_options(&section_frontend, &frontend->opt, 4, false, out);
}

static void dump_backend(const struct config_backend *backend, FILE *out)
{
    dump_name(backend->name, 2, out);
    struct dump dump = {&section_backend, &backend->opt, out, 4, false, NULL, !backend->tls};
    section_each_child(&section_backend, "", dump_child, &dump);
    fputs("    servers:\n", out);
    for (size_t i = 0; i < backend->server_count; i++) {
        dump_name(backend->servers[i].name, 6, out);
        dump_options(&section_server, &backend->servers[i].opt, 8, false, out);
    }
}

void config_dump(const struct config *config, FILE *out)
{
    fputs("version: 1\nprocess:\n", out);
    dump_options(&section_process, &config->process, 2, false, out);
    fputs("admin:\n", out);
    dump_options(&section_admin, &config->admin, 2, false, out);
    fputs("log:\n", out);
    dump_options(&section_log, &config->log, 2, false, out);
    fputs("frontends:\n", out);
    for (size_t i = 0; i < config->frontend_count; i++)
        dump_frontend(&config->frontends[i], out);
    fputs("backends:\n", out);
    for (size_t i = 0; i < config->backend_count; i++)
        dump_backend(&config->backends[i], out);
    if (config->sentinel_count > 0)
        fputs("sentinel:\n", out);
    for (size_t i = 0; i < config->sentinel_count; i++)
        dump_options(&section_sentinel, &config->sentinels[i].opt, 4, true, out);
}
