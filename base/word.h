// SPDX-License-Identifier: Apache-2.0
/*
 * Several bytes at a time: marks of the bytes in a word that are looked for. With SSE2, which every
 * x86-64 has, a word is 16 bytes and has a bit for each; elsewhere it is eight, and the top bits of
 * the bytes are the marks. There a borrow can make word_below and word_equal mark too much, but only
 * bytes behind the first that they mark rightly: so the place of the first one is right, and that is
 * all that may be asked of marks. They may be joined with |, not with & or ~.
 */
#ifndef LIMPET_BASE_WORD_H
#define LIMPET_BASE_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__

#include <emmintrin.h>

enum { WORD = 16 }; /* bytes */

struct word {
    __m128i bytes;
};

static inline struct word word_load(const char *p)
{
    return (struct word){_mm_loadu_si128((const __m128i *)(const void *)p)};
}

static inline __m128i word_all(uint8_t c)
{
    return _mm_set1_epi8((char)c);
}

static inline uint64_t word_marks(__m128i bytes)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(bytes);
}

static inline __m128i word_at_most(__m128i bytes, uint8_t high)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, word_all(high)), bytes);
}

/* Every byte less than `low`, which is 1 to 0x80. */
static inline uint64_t word_below(struct word word, uint8_t low)
{
    return word_marks(word_at_most(word.bytes, (uint8_t)(low - 1)));
}

static inline uint64_t word_equal(struct word word, uint8_t c)
{
    return word_marks(_mm_cmpeq_epi8(word.bytes, word_all(c)));
}

/* Every byte from 0x80 on. */
static inline uint64_t word_tops(struct word word)
{
    return word_marks(word.bytes);
}

/* Every byte that is neither a letter nor '-'. */
static inline uint64_t word_no_letter(struct word word)
{
    __m128i from_a = _mm_sub_epi8(_mm_or_si128(word.bytes, word_all(0x20)), word_all('a'));
    __m128i usual = _mm_or_si128(word_at_most(from_a, 'z' - 'a'),
                                 _mm_cmpeq_epi8(word.bytes, word_all('-')));
    return word_marks(usual) ^ 0xffff;
}

/* Where the first mark is; there is one. */
static inline size_t word_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks);
}

#else

enum { WORD = 8 };
#define WORD_ONES UINT64_C(0x0101010101010101)
#define WORD_TOPS UINT64_C(0x8080808080808080)

struct word {
    uint64_t bytes; /* the first one in memory is the lowest */
};

static inline struct word word_load(const char *p)
{
    uint64_t bytes;
    memcpy(&bytes, p, sizeof(bytes));
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return (struct word){little ? bytes : __builtin_bswap64(bytes)};
}

static inline uint64_t word_below(struct word word, uint8_t low)
{
    return (word.bytes - WORD_ONES * low) & ~word.bytes & WORD_TOPS;
}

static inline uint64_t word_equal(struct word word, uint8_t c)
{
    return word_below((struct word){word.bytes ^ (WORD_ONES * c)}, 1);
}

static inline uint64_t word_tops(struct word word)
{
    return word.bytes & WORD_TOPS;
}

/* Exact: no byte's sum reaches into the next. */
static inline uint64_t word_no_letter(struct word word)
{
    uint64_t lower = (word.bytes | WORD_ONES * 0x20) & ~WORD_TOPS;
    uint64_t from_a = lower + WORD_ONES * (0x80 - 'a');
    uint64_t beyond_z = lower + WORD_ONES * (0x7f - 'z');
    // Not of `lower`: CR there is a '-', too.
    uint64_t no_dash = ((word.bytes & ~WORD_TOPS) ^ (WORD_ONES * '-')) + WORD_ONES * 0x7f;
    return (((beyond_z | ~from_a) & no_dash) | word.bytes) & WORD_TOPS;
}

static inline size_t word_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

#endif

#endif
