// SPDX-License-Identifier: Apache-2.0
/*
 * A tag is a short name made of a longer one: TAG_LEN characters of [A-Za-z0-9_-] (base64url, 36
 * bits) of hash_stable, so everybody who knows the name makes the same tag without talking. Two
 * names may share one: whoever uses tags of several names has to look (for a thousand names the
 * chance is 1 : 130,000).
 */
#ifndef LIMPET_BASE_TAG_H
#define LIMPET_BASE_TAG_H

#include "base/span.h"

enum { TAG_LEN = 6 };

uint64_t tag_of_name(struct span name);
/* The same, for who has hash_stable(name) already. */
static inline uint64_t tag_of_hash(uint64_t hash)
{
    return hash >> (64 - 6 * TAG_LEN);
}

void tag_write(uint64_t tag, char out[static TAG_LEN]);
/* False: these are not exactly TAG_LEN characters of the alphabet. */
bool tag_read(struct span text, uint64_t *tag);

#endif
