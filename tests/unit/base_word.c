// SPDX-License-Identifier: Apache-2.0
/* Several bytes at a time: each byte value in each place, compared with one byte at a time. */
#include "base/word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

/* The place of the first mark; WORD: there is none. */
static size_t first(uint64_t marks)
{
    return marks != 0 ? word_first(marks) : WORD;
}

static bool no_letter(int c)
{
    return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-');
}

/* Every value in every place, the first of its kind and the second. */
static void marks_are_those_of_single_bytes(void **state)
{
    (void)state;
    static const char *const around[] = {"aaaaaaaaaaaaaaaa", "-Z-z-A-a-Z-z-A-a",
                                         "~~~~~~~~~~~~~~~~"};
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        for (size_t at = 0; at < WORD; at++) {
            for (int c = 0; c < 256; c++) {
                char text[WORD];
                memcpy(text, around[i], sizeof(text));
                text[at] = (char)c;
                struct word word = word_load(text);
                size_t letters = 0, below = 0, equal = 0, tops = 0;
                while (letters < WORD && !no_letter((unsigned char)text[letters]))
                    letters++;
                while (below < WORD && (unsigned char)text[below] >= 0x20)
                    below++;
                while (equal < WORD && text[equal] != 0x7f)
                    equal++;
                while (tops < WORD && (unsigned char)text[tops] < 0x80)
                    tops++;
                assert_int_equal(first(word_tops(word)), tops);
                assert_int_equal(first(word_no_letter(word)), letters);
                assert_int_equal(first(word_below(word, 0x20)), below);
                assert_int_equal(first(word_equal(word, 0x7f)), equal);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_those_of_single_bytes),
    };
    return cmocka_run_group_tests_name("base_word", tests, NULL, NULL);
}
