// SPDX-License-Identifier: Apache-2.0
/* health/words: HAProxy's words for checks, and durations as an operator reads them. */
#include "health/words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void checks_have_haproxys_words(void **state)
{
    (void)state;
    assert_string_equal(check_status_word(CHECK_UNK), "UNK");
    assert_string_equal(check_status_word(CHECK_INI), "INI");
    assert_string_equal(check_status_word(CHECK_L4OK), "L4OK");
    assert_string_equal(check_status_word(CHECK_L4TOUT), "L4TOUT");
    assert_string_equal(check_status_word(CHECK_L4CON), "L4CON");
    assert_string_equal(check_status_word(CHECK_L7OK), "L7OK");
    assert_string_equal(check_status_word(CHECK_L7TOUT), "L7TOUT");
    assert_string_equal(check_status_word(CHECK_L7RSP), "L7RSP");
    assert_string_equal(check_status_word(CHECK_L7STS), "L7STS");
    assert_string_equal(check_status_word(CHECK_SOCKERR), "SOCKERR");
    assert_string_equal(check_status_text(CHECK_L4OK), "Layer4 check passed");
    assert_string_equal(check_status_text(CHECK_L7STS), "Layer7 wrong status");
    assert_string_equal(check_status_text(CHECK_SOCKERR), "Socket error");
}

static void durations_have_two_parts_at_most(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},         {999, "999ms"},      {1000, "1s"},      {59999, "59s"},
        {60000, "1m0s"},    {123000, "2m3s"},    {3600000, "1h0m"}, {18600000, "5h10m"},
        {86400000, "1d0h"}, {273600000, "3d4h"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];
        duration_format(rows[i].ms, text, sizeof(text));
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_have_haproxys_words),
        cmocka_unit_test(durations_have_two_parts_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
