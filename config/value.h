// SPDX-License-Identifier: Apache-2.0
/* Texts to option values. */
#ifndef LIMPET_CONFIG_VALUE_H
#define LIMPET_CONFIG_VALUE_H

#include "config/options.h"

enum { VALUE_ERROR_MAX = 384, VALUE_TEXT_MAX = 32 };

/*
 * Reads `text` into the option's field of `opt`; a list grows by what the text holds (ENUMS,
 * NETMASKS and STATUSES take several, separated by commas). False, with `error` set to a phrase
 * that goes behind the option's name ("must be true or false, not 'yes'"); the field is unchanged
 * then, or has part of a list.
 */
bool value_read(const struct option *option, struct span text, void *opt,
                char error[static VALUE_ERROR_MAX]);

/* One more entry of an OPTION_PAIRS; false with `error` as above. */
bool value_add_pair(const struct option *option, struct span from, struct span to, void *opt,
                    char error[static VALUE_ERROR_MAX]);

/* Frees what the field owns and zeroes it. */
void value_clear(const struct option *option, void *opt);

/* A number of the option's type, as one writes it: 500 ms, 16KiB, 0660. Returns out. */
char *value_format(const struct option *option, int64_t number, char out[static VALUE_TEXT_MAX]);

#endif
