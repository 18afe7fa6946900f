// SPDX-License-Identifier: Apache-2.0
/* A growing text, for answers and pages. */
#ifndef LIMPET_BASE_TEXT_H
#define LIMPET_BASE_TEXT_H

#include "base/span.h"

/* All zero is an empty one. Allocation failure is noted and the text stays cut. */
struct text {
    char *data;
    size_t len, cap; /* bytes */
    bool failed;
};
void text_add(struct text *text, struct span bytes);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

#endif
