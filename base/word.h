// SPDX-License-Identifier: Apache-2.0
/*
 * Eight bytes at a time: marks (top bits) of the bytes in a word that are looked for. A borrow can
 * make word_below and word_equal mark too much, but only bytes behind the first that they mark
 * rightly: so the place of the first one is right, and that is all that may be asked of them.
 * Marks may be joined with |, not with & or ~.
 */
#ifndef LIMPET_BASE_WORD_H
#define LIMPET_BASE_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORD = 8 }; /* bytes */
#define WORD_ONES UINT64_C(0x0101010101010101)
#define WORD_TOPS UINT64_C(0x8080808080808080)

/* The first byte in memory is the lowest. */
static inline uint64_t word_load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/* Every byte less than `low`, which is at most 0x80. */
static inline uint64_t word_below(uint64_t word, uint8_t low)
{
    return (word - WORD_ONES * low) & ~word & WORD_TOPS;
}

static inline uint64_t word_equal(uint64_t word, uint8_t c)
{
    return word_below(word ^ (WORD_ONES * c), 1);
}

/* Every byte that is neither a letter nor '-'. Exact: no byte's sum reaches into the next. */
static inline uint64_t word_no_letter(uint64_t word)
{
    uint64_t lower = (word | WORD_ONES * 0x20) & ~WORD_TOPS;
    uint64_t from_a = lower + WORD_ONES * (0x80 - 'a');
    uint64_t beyond_z = lower + WORD_ONES * (0x7f - 'z');
    // Not of `lower`: CR there is a '-', too.
    uint64_t no_dash = ((word & ~WORD_TOPS) ^ (WORD_ONES * '-')) + WORD_ONES * 0x7f;
    return (((beyond_z | ~from_a) & no_dash) | word) & WORD_TOPS;
}

/* Where the first mark is; there is one. */
static inline size_t word_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

#endif
