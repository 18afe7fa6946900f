// SPDX-License-Identifier: Apache-2.0
/*
 * What the typed and json forms of `show info` and `show stat` share. A field's tags are written
 * "MGP:u32": where it comes from (Metric, Status, Key, Config, Product), what it is (Gauge,
 * Counter, …), how far it goes (Process, Service, System), and its type.
 */
#include "lb/stats_row.h"

static const char *origin_word(char c)
{
    switch (c) {
    case 'M':
        return "Metric";
    case 'S':
        return "Status";
    case 'K':
        return "Key";
    case 'C':
        return "Config";
    case 'P':
        return "Product";
    default:
        return "Unknown";
    }
}

static const char *nature_word(char c)
{
    switch (c) {
    case 'G':
        return "Gauge";
    case 'L':
        return "Limit";
    case 'M':
        return "Max";
    case 'm':
        return "Min";
    case 'R':
        return "Rate";
    case 'C':
        return "Counter";
    case 'D':
        return "Duration";
    case 'A':
        return "Age";
    case 'T':
        return "Time";
    case 'N':
        return "Name";
    case 'O':
        return "Output";
    case 'a':
        return "Avg";
    default:
        return "Unknown";
    }
}

static const char *scope_word(char c)
{
    switch (c) {
    case 'C':
        return "Cluster";
    case 'P':
        return "Process";
    case 'S':
        return "Service";
    case 's':
        return "System";
    default:
        return "Unknown";
    }
}

void stats_add_json_tags(const char *tags, struct text *out)
{
    text_addf(out, "\"tags\":{\"origin\":\"%s\",\"nature\":\"%s\",\"scope\":\"%s\"},",
              origin_word(tags[0]), nature_word(tags[1]), scope_word(tags[2]));
}

void stats_add_json_value(const char *tags, struct span value, struct text *out)
{
    const char *type = tags + 4;
    bool text = type[0] == 's' && type[1] == 't'; // "str", not "s32"
    text_addf(out, "\"value\":{\"type\":\"%s\",\"value\":%s", type, text ? "\"" : "");
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == '"' || c == '\\')
            text_addf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            text_addf(out, "\\u%04x", c);
        else
            text_addf(out, "%c", c);
    }
    text_add(out, text ? SPAN("\"}") : SPAN("}"));
}
