// SPDX-License-Identifier: Apache-2.0
/*
 * The structs and enums that options.def spells: struct process_options, admin_options,
 * log_options, frontend_options, listen_options, route_options, backend_options, server_options,
 * sentinel_options, each with one field per row, and one enum per CHOICES. A list NAME has NAME_count beside it. Part
 * of config.h.
 */
#ifndef LIMPET_CONFIG_FIELDS_H
#define LIMPET_CONFIG_FIELDS_H

#include "base/net.h"

/* What a TYPE of options.def is in C: how many (ONE or MANY), of what. */
#define CONFIG_TYPE_BOOL        ONE, bool
#define CONFIG_TYPE_INT         ONE, int64_t
#define CONFIG_TYPE_AUTO_INT    ONE, int64_t
#define CONFIG_TYPE_SIZE        ONE, int64_t
#define CONFIG_TYPE_DURATION    ONE, int64_t
#define CONFIG_TYPE_RATE        ONE, struct rate
#define CONFIG_TYPE_STRING      ONE, char *
#define CONFIG_TYPE_SECRET      ONE, char *
#define CONFIG_TYPE_STRINGS     MANY, char *
#define CONFIG_TYPE_SECRETS     MANY, char *
#define CONFIG_TYPE_PAIRS       MANY, struct pair
#define CONFIG_TYPE_NETMASKS    MANY, struct netmask
#define CONFIG_TYPE_STATUSES    MANY, struct status_range
#define CONFIG_TYPE_ENUM(name)  ONE, enum name
#define CONFIG_TYPE_ENUMS(name) MANY, enum name
#define CONFIG_TYPE_MODE        ONE, unsigned

#define CONFIG_FIELD(...)                    CONFIG_FIELD_(__VA_ARGS__)
#define CONFIG_FIELD_(how_many, type, field) CONFIG_FIELD_##how_many(type, field)
#define CONFIG_FIELD_ONE(type, field)        type field;
#define CONFIG_FIELD_MANY(type, field)                                                             \
    type *field;                                                                                   \
    size_t field##_count;

// clang-format off
#define CHOICES(name, ...)                    enum name { __VA_ARGS__ };
#define CHOICE(value, word)                   value,
#define SECTION(scope)                        struct scope##_options {
#define OPTION(scope, path, type, field, ...) CONFIG_FIELD(CONFIG_TYPE_##type, field)
#define END_SECTION                           };
// clang-format on
#include "config/options.def"

#endif
