// SPDX-License-Identifier: Apache-2.0
/*
 * `limpet config schema`: JSON Schema draft 7, for editors and CI. It accepts every file that
 * limpet accepts; what it cannot say (references, which options go together) is left to `limpet
 * check`.
 *
 * YAML readers turn scalars into numbers and booleans before a schema sees them, so numbers are
 * allowed both as such and as texts; a text with ${…} may stand anywhere.
 */
#include "base/mem.h"
#include "config/options.h"
#include "config/text.h"

#include <inttypes.h>
#include <string.h>

/* ---- JSON -------------------------------------------------------------------------------------
 */

struct json {
    FILE *out;
    int depth;
    bool first; /* nothing stands yet in the innermost object or array */
};

static void json_next(struct json *json)
{
    fprintf(json->out, "%s\n%*s", json->first ? "" : ",", json->depth * 2, "");
    json->first = false;
}

static void json_key(struct json *json, const char *key)
{
    json_next(json);
    json_print_string(key, json->out);
    fputs(": ", json->out);
}

static void json_open(struct json *json, const char *bracket)
{
    fputs(bracket, json->out);
    json->depth++;
    json->first = true;
}

static void json_close(struct json *json, const char *bracket)
{
    json->depth--;
    fprintf(json->out, "\n%*s%s", json->depth * 2, "", bracket);
    json->first = false;
}

static void json_text(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_print_string(text, json->out);
}

/* A value that is JSON already. */
static void json_raw(struct json *json, const char *key, const char *raw)
{
    json_key(json, key);
    fputs(raw, json->out);
}

/* ---- types ------------------------------------------------------------------------------------
 */

#define VARIABLE         "\\\\$\\\\{" /* as JSON writes the pattern \$\{ */
#define DIGITS           "[0-9]+"
#define SCALAR           "{\"type\": [\"string\", \"number\", \"boolean\"]}"
#define PATTERN(pattern) "{\"type\": \"string\", \"pattern\": \"" pattern "|" VARIABLE "\"}"
#define STATUS           "{\"type\": \"integer\", \"minimum\": 100, \"maximum\": 599}"
#define STATUS_TEXT      PATTERN("^[0-9][-0-9, ]*$")
#define NETWORK          PATTERN("^[0-9a-fA-F.:/, ]+$")

static void print_integer(const struct option *option, const char *texts, FILE *out)
{
    fputs("{\"type\": \"integer\"", out);
    int64_t min = option->type == OPTION_AUTO_INT || option->min > 0 ? option->min : 0;
    fprintf(out, ", \"minimum\": %" PRId64, min);
    if (option->max != 0)
        fprintf(out, ", \"maximum\": %" PRId64, option->max);
    fprintf(out, "}, %s", texts);
}

static void print_words(const struct choices *choices, FILE *out)
{
    fputs("{\"enum\": [", out);
    for (size_t i = 0; choices->words[i]; i++)
        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", choices->words[i]);
    fputs("]}, {\"type\": \"string\", \"pattern\": \"" VARIABLE "\"}", out);
}

static void print_word_list(const struct choices *choices, FILE *out)
{
    print_words(choices, out);
    fputs(", {\"type\": \"string\", \"pattern\": \",\"}", out);
    fputs(", {\"type\": \"array\", \"uniqueItems\": true, \"items\": {\"anyOf\": [", out);
    print_words(choices, out);
    fputs("]}}", out);
}

/* What stands in anyOf. */
static void print_alternatives(const struct option *option, FILE *out)
{
    switch (option->type) {
    case OPTION_BOOL:
        fputs("{\"type\": \"boolean\"}, " PATTERN("^(true|false)$"), out);
        break;
    case OPTION_INT:
        print_integer(option, PATTERN("^" DIGITS "$"), out);
        break;
    case OPTION_AUTO_INT:
        print_integer(option, PATTERN("^(auto|" DIGITS ")$"), out);
        break;
    case OPTION_SIZE:
        print_integer(option, PATTERN("^" DIGITS "[ \\\\t]*(|B|[kKMGT]B|[KMGT]iB)$"), out);
        break;
    case OPTION_DURATION:
        fputs(PATTERN("^" DIGITS "[ \\\\t]*(ms|s|m|h|d)$"), out);
        break;
    case OPTION_RATE:
        fputs("{\"const\": 0}, " PATTERN("^(0|" DIGITS "[ \\\\t]*/[ \\\\t]*[0-9]*(ms|s|m|h|d))$"),
              out);
        break;
    case OPTION_STRING:
    case OPTION_SECRET:
        fputs(SCALAR, out);
        break;
    case OPTION_STRINGS:
    case OPTION_SECRETS:
        fputs(SCALAR ", {\"type\": \"array\", \"items\": " SCALAR "}", out);
        break;
    case OPTION_PAIRS:
        fputs("{\"type\": \"object\", \"additionalProperties\": " SCALAR "}", out);
        break;
    case OPTION_NETMASKS:
        fputs(NETWORK ", {\"type\": \"array\", \"items\": " NETWORK "}", out);
        break;
    case OPTION_STATUSES:
        fputs(STATUS ", " STATUS_TEXT ", {\"type\": \"array\", \"maxItems\": 16, \"items\": "
                     "{\"anyOf\": [" STATUS ", " STATUS_TEXT "]}}",
              out);
        break;
    case OPTION_ENUM:
        print_words(option->choices, out);
        break;
    case OPTION_ENUMS:
        print_word_list(option->choices, out);
        break;
    case OPTION_MODE:
        fputs("{\"type\": \"integer\"}, " PATTERN("^[0-7]{3,4}$"), out);
        break;
    }
}

static void print_default(const struct option *option, FILE *out)
{
    const char *text = option_default(option);
    bool number = text[strspn(text, "0123456789")] == '\0' && option->type != OPTION_MODE;
    if (option->type == OPTION_BOOL || number)
        fputs(text, out);
    else
        json_print_string(text, out);
}

static void option_schema(struct json *json, const struct option *option)
{
    json_open(json, "{");
    json_text(json, "description", option->help);
    if (option_default(option)) {
        json_key(json, "default");
        print_default(option, json->out);
    }
    json_key(json, "anyOf");
    putc('[', json->out);
    print_alternatives(option, json->out);
    putc(']', json->out);
    json_close(json, "}");
}

/* ---- mappings ---------------------------------------------------------------------------------
 */

struct schema {
    struct json *json;
    const struct section *section;
};

static void group_schema(struct schema *schema, const char *group, const char *also);

static void child_schema(const char *path, const char *name, const struct option *row, void *ctx)
{
    struct schema *schema = ctx;
    json_key(schema->json, name);
    if (row)
        option_schema(schema->json, row);
    else
        group_schema(schema, path, NULL);
}

/* Must this option be given directly in this group? */
static bool is_needed(const struct option *option, const char *group)
{
    if (option->default_text != option_required && option->default_text != option_key)
        return false;
    size_t len = strlen(group);
    const char *name = len > 0 ? option->path + len + 1 : option->path;
    bool inside = len == 0 || (strncmp(option->path, group, len) == 0 && option->path[len] == '.');
    return inside && !strchr(name, '.');
}

/* The keys that an object cannot be without: the table's, and `also`. An object with none may be
 * empty. */
static void print_needed(struct schema *schema, const char *group, const char *also)
{
    size_t skip = *group ? strlen(group) + 1 : 0;
    bool any = also != NULL;
    section_each(row, schema->section) any = any || is_needed(row, group);
    json_raw(schema->json, "type", any ? "\"object\"" : "[\"object\", \"null\"]");
    if (!any)
        return;
    json_key(schema->json, "required");
    json_open(schema->json, "[");
    section_each(row, schema->section)
    {
        if (!is_needed(row, group))
            continue;
        json_next(schema->json);
        json_print_string(row->path + skip, schema->json->out);
    }
    if (also) {
        json_next(schema->json);
        json_print_string(also, schema->json->out);
    }
    json_close(schema->json, "]");
}

/* Keys for YAML anchors are allowed everywhere, unknown ones nowhere. */
static void print_other_keys(struct json *json)
{
    json_raw(json, "patternProperties", "{\"^x-\": {}}");
    json_raw(json, "additionalProperties", "false");
}

/* An object with the options of a group. `also` is a needed key whose schema is a definition of
 * that name. */
static void group_schema(struct schema *schema, const char *group, const char *also)
{
    struct json *json = schema->json;
    json_open(json, "{");
    print_needed(schema, group, also);
    json_key(json, "properties");
    json_open(json, "{");
    section_each_child(schema->section, group, child_schema, schema);
    if (also) {
        char reference[64];
        snprintf(reference, sizeof reference, "{\"$ref\": \"#/definitions/%s\"}", also);
        json_raw(json, also, reference);
    }
    if (schema->section == &section_listen && strcmp(group, "tls") == 0)
        json_raw(json, "certificates",
                 "{\"anyOf\": [{\"$ref\": \"#/definitions/certificate\"}, {\"type\": \"array\", "
                 "\"minItems\": 1, \"items\": {\"$ref\": \"#/definitions/certificate\"}}]}");
    bool frontend = schema->section == &section_frontend && *group == '\0';
    if (frontend)
        json_raw(
            json, "routes",
            "{\"type\": [\"array\", \"null\"], \"items\": {\"$ref\": \"#/definitions/route\"}}");
    json_close(json, "}");
    print_other_keys(json);
    json_close(json, "}");
}

static void section_schema(struct json *json, const char *key, const struct section *section,
                           const char *also)
{
    struct schema schema = {json, section};
    json_key(json, key);
    group_schema(&schema, "", also);
}

/* ---- the file ---------------------------------------------------------------------------------
 */

#define NAME      "^(?!x-)(?!FRONTEND$)(?!BACKEND$)[A-Za-z0-9_.:-]{1,128}$"
#define ADDRESS   PATTERN("^(unix:|/)|:[0-9]+$")
#define REF(name) "{\"$ref\": \"#/definitions/" name "\"}"
#define NAMED(value)                                                                               \
    "{\"type\": \"object\", \"patternProperties\": {\"" NAME "\": " value                          \
    ", \"^x-\": {}}, \"additionalProperties\": false}"

static void definitions(struct json *json)
{
    json_key(json, "definitions");
    json_open(json, "{");
    json_raw(json, "address", ADDRESS);
    section_schema(json, "certificate", &section_certificate, NULL);
    section_schema(json, "listener", &section_listen, NULL);
    json_raw(json, "listen",
             "{\"anyOf\": [" REF("address") ", " REF(
                 "listener") ", {\"type\": \"array\", "
                             "\"minItems\": 1, \"items\": {\"anyOf\": [" REF("address") ", " REF(
                                 "listener") "]}}]}");
    section_schema(json, "route", &section_route, NULL);
    section_schema(json, "server", &section_server, NULL);
    json_raw(
        json, "servers",
        "{\"anyOf\": [{\"type\": \"array\", \"minItems\": 1, \"items\": " REF("address") "}, " //
        NAMED("{\"anyOf\": [" REF("address") ", " REF("server") "]}") "]}");
    section_schema(json, "frontend", &section_frontend, "listen");
    section_schema(json, "backend", &section_backend, "servers");
    section_schema(json, "sentinel", &section_sentinel, NULL);
    json_close(json, "}");
}

void config_print_schema(FILE *out)
{
    struct json json = {.out = out, .first = true};
    json_open(&json, "{");
    json_text(&json, "$schema", "http://json-schema.org/draft-07/schema#");
    json_text(&json, "title", "limpet configuration");
    json_raw(&json, "type", "\"object\"");
    json_raw(&json, "anyOf",
             "[{\"required\": [\"frontends\", \"backends\"]}, {\"required\": [\"sentinel\"]}]");
    json_key(&json, "properties");
    json_open(&json, "{");
    json_raw(&json, "version", "{\"enum\": [1, \"1\"]}");
    section_schema(&json, "process", &section_process, NULL);
    section_schema(&json, "admin", &section_admin, NULL);
    section_schema(&json, "log", &section_log, NULL);
    section_schema(&json, "defaults", &section_defaults, NULL);
    json_raw(&json, "frontends", NAMED(REF("frontend")));
    json_raw(&json, "backends", NAMED(REF("backend")));
    json_raw(
        &json, "sentinel",
        "{\"anyOf\": [" REF("sentinel") ", {\"type\": \"array\", \"minItems\": 1, \"items\": " REF(
            "sentinel") "}]}");
    json_close(&json, "}");
    print_other_keys(&json);
    definitions(&json);
    json_close(&json, "}");
    fputs("\n", out);
}
