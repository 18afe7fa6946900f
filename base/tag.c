// SPDX-License-Identifier: Apache-2.0
/* Six bits per character, the highest first, in the alphabet of RFC 4648 §5. */
#include "base/tag.h"

#include "base/rand.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t tag_of_name(struct span name)
{
    return tag_of_hash(hash_stable(name));
}

void tag_write(uint64_t tag, char out[static TAG_LEN])
{
    for (size_t i = TAG_LEN; i-- > 0; tag >>= 6)
        out[i] = alphabet[tag & 63];
}

bool tag_read(struct span text, uint64_t *tag)
{
    if (text.len != TAG_LEN)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < TAG_LEN; i++) {
        size_t digit = span_index(span_of(alphabet, 64), text.ptr[i]);
        if (digit == SIZE_MAX)
            return false;
        value = value << 6 | digit;
    }
    *tag = value;
    return true;
}
