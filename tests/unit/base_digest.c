// SPDX-License-Identifier: Apache-2.0
/* base/digest against the test cases of RFC 4231. */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check(struct span key, struct span a, struct span b, const char *expected)
{
    char out[DIGEST_HEX_MAX];
    struct span parts[] = {a, b};
    assert_string_equal(digest_hmac_hex(key, parts, 2, out), expected);
}

static void signs_as_the_rfc_says(void **state)
{
    (void)state;
    char long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    check(SPAN("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
          SPAN("Hi There"), SPAN_NONE,
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check(SPAN("Jefe"), SPAN("what do ya want "), SPAN("for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check(span_of(long_key, sizeof(long_key)),
          SPAN("Test Using Larger Than Block-Size Key - Hash Key First"), SPAN_NONE,
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check(SPAN_NONE, SPAN_NONE, SPAN_NONE,
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void compares_bytes(void **state)
{
    (void)state;
    assert_true(digest_equal(SPAN("abc"), SPAN("abc")));
    assert_true(digest_equal(SPAN_NONE, SPAN("")));
    assert_false(digest_equal(SPAN("abc"), SPAN("abd")));
    assert_false(digest_equal(SPAN("abc"), SPAN("abcd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_the_rfc_says),
        cmocka_unit_test(compares_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
