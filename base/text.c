// SPDX-License-Identifier: Apache-2.0
/* Growing texts: the memory doubles; once an allocation has failed nothing is added any more. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->cap - text->len >= more)
        return true;
    size_t cap = text->cap > 0 ? text->cap : 4096;
    while (cap - text->len < more)
        cap *= 2;
    char *data = realloc(text->data, cap);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->cap = cap;
    return true;
}

void text_add(struct text *text, struct span bytes)
{
    if (bytes.len == 0 || !text_reserve(text, bytes.len))
        return;
    memcpy(text->data + text->len, bytes.ptr, bytes.len);
    text->len += bytes.len;
}

void text_addf(struct text *text, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof(small), format, args);
    if (len > 0 && (size_t)len < sizeof(small)) {
        text_add(text, span_of(small, (size_t)len));
    } else if (len > 0 && text_reserve(text, (size_t)len + 1)) {
        vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}
