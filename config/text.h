// SPDX-License-Identifier: Apache-2.0
/* Characters of texts: UTF-8, and strings for JSON. */
#ifndef LIMPET_CONFIG_TEXT_H
#define LIMPET_CONFIG_TEXT_H

#include "base/span.h"

#include <stdio.h>

/* Bytes of the character at the front of s, and its code point; 0 when s is empty or that is not
 * UTF-8. */
size_t utf8_decode(struct span s, uint32_t *code);
bool utf8_valid(struct span s);
/* C0 (TAB and line breaks too), DEL, C1. */
bool utf8_is_control(uint32_t code);

/* In quotes, escaped. */
void json_print_string(const char *text, FILE *out);

#endif
