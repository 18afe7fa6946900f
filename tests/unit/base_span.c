// SPDX-License-Identifier: Apache-2.0
/* Views of bytes: edges, empties and overflows. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void compares(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN_NONE, SPAN("")));
    assert_true(span_eq(SPAN("a\0b"), SPAN("a\0b")));
    assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
    assert_true(span_eq_nocase(SPAN("KEEP-Alive"), SPAN("keep-aLIVE")));
    assert_false(span_eq_nocase(SPAN("\xc4"), SPAN("\xe4"))); // ASCII only
    assert_false(span_eq_nocase(SPAN("[@"), SPAN("{`")));
    assert_true(span_eq(span_str(NULL), SPAN_NONE));
    assert_true(span_eq(span_str("x"), SPAN("x")));
}

static void starts_and_ends(void **state)
{
    (void)state;
    assert_true(span_starts(SPAN("/socket.io/"), SPAN("/socket.io")));
    assert_true(span_starts(SPAN_NONE, SPAN_NONE));
    assert_false(span_starts(SPAN("ab"), SPAN("abc")));
    assert_true(span_starts_nocase(SPAN("Bearer x"), SPAN("bearer ")));
    assert_true(span_ends(SPAN("a.example"), SPAN(".example")));
    assert_false(span_ends(SPAN("example"), SPAN(".example")));
    assert_true(span_ends_nocase(SPAN("A.EXAMPLE"), SPAN(".example")));
}

static void cuts_parts(void **state)
{
    (void)state;
    assert_true(span_eq(span_from(SPAN("abc"), 1), SPAN("bc")));
    assert_int_equal(span_from(SPAN("abc"), 9).len, 0);
    assert_true(span_eq(span_upto(SPAN("abc"), 2), SPAN("ab")));
    assert_true(span_eq(span_upto(SPAN("abc"), 9), SPAN("abc")));
    assert_true(span_eq(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN(" \t ")).len, 0);
    assert_int_equal(span_from(SPAN_NONE, 0).len, 0);
}

static void searches(void **state)
{
    (void)state;
    assert_int_equal(span_index(SPAN("a:b:c"), ':'), 1);
    assert_int_equal(span_index(SPAN("abc"), ':'), SIZE_MAX);
    assert_int_equal(span_index(SPAN_NONE, ':'), SIZE_MAX);
    assert_int_equal(span_find(SPAN("one two"), SPAN("two")), 4);
    assert_int_equal(span_find(SPAN("one"), SPAN("one two")), SIZE_MAX);
    assert_int_equal(span_find(SPAN("one"), SPAN("")), 0);
}

static void cut_visits_every_piece(void **state)
{
    (void)state;
    static const char *const expected[] = {"a", "", "b", ""};
    struct span rest = SPAN("a,,b,");
    size_t count = 0;
    while (rest.ptr) {
        struct span piece = span_cut(&rest, ',');
        assert_true(count < 4);
        assert_true(span_eq(piece, span_str(expected[count])));
        count++;
    }
    assert_int_equal(count, 4);
    rest = SPAN("");
    assert_int_equal(span_cut(&rest, ',').len, 0);
    assert_null(rest.ptr);
}

static void reads_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(span_to_u64(SPAN("0"), &value) && value == 0);
    assert_true(span_to_u64(SPAN("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_false(span_to_u64(SPAN("18446744073709551616"), &value));
    assert_false(span_to_u64(SPAN("99999999999999999999999"), &value));
    assert_false(span_to_u64(SPAN(""), &value));
    assert_false(span_to_u64(SPAN("+1"), &value));
    assert_false(span_to_u64(SPAN("1 "), &value));
    assert_true(span_hex_to_u64(SPAN("fFffFFFFffffffff"), &value) && value == UINT64_MAX);
    assert_true(span_hex_to_u64(SPAN("00000000000000000001a"), &value) && value == 26);
    assert_false(span_hex_to_u64(SPAN("10000000000000000"), &value));
    assert_false(span_hex_to_u64(SPAN("0x1"), &value));
    assert_false(span_hex_to_u64(SPAN(""), &value));
}

static void check_decoded(struct span from, bool plus, struct span to)
{
    char out[32];
    size_t len;
    assert_true(span_percent_decode(from, plus, out, sizeof(out), &len));
    assert_true(span_eq(span_of(out, len), to));
}

static void decodes_percent(void **state)
{
    (void)state;
    check_decoded(SPAN("a%2Fb%2f"), false, SPAN("a/b/"));
    check_decoded(SPAN("%00"), false, SPAN("\0"));
    check_decoded(SPAN("a+b"), false, SPAN("a+b"));
    check_decoded(SPAN("a+b%2B"), true, SPAN("a b+"));
    check_decoded(SPAN("100%"), false, SPAN("100%"));
    check_decoded(SPAN("%4"), false, SPAN("%4"));
    check_decoded(SPAN("%zz%41"), false, SPAN("%zzA"));
    char out[2];
    size_t len;
    assert_true(span_percent_decode(SPAN("%41%42"), false, out, 2, &len));
    assert_false(span_percent_decode(SPAN("abc"), false, out, 2, &len));
}

static void copies_to_a_string(void **state)
{
    (void)state;
    char out[4];
    assert_string_equal(span_to_str(SPAN("ab"), out, sizeof(out)), "ab");
    assert_string_equal(span_to_str(SPAN("abcdef"), out, sizeof(out)), "abc");
    assert_string_equal(span_to_str(SPAN_NONE, out, sizeof(out)), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(cuts_parts),
        cmocka_unit_test(searches),
        cmocka_unit_test(cut_visits_every_piece),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(decodes_percent),
        cmocka_unit_test(copies_to_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
