// SPDX-License-Identifier: Apache-2.0
/* The tables of counters and end reasons: complete, and nothing twice. */
#include "lb/counters.h"
#include "lb/reasons.h"
#include "lb/reply.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void counters(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTERS; i++) {
        const struct counter_info *info = &counter_table[i];
        assert_non_null(info->name);
        assert_true(strlen(info->help) > 0);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(info->name, counter_table[k].name);
            if (info->csv[0] != '\0')
                assert_string_not_equal(info->csv, counter_table[k].csv);
        }
    }
    assert_string_equal(counter_table[COUNTER_SIO_UPGRADES].name, "SIO_UPGRADES");
    assert_int_equal(counter_table[COUNTER_CONNS_NOW].kind, COUNTER_GAUGE_KIND);
    assert_int_equal(counter_table[COUNTER_CONNS].kind, COUNTER_TOTAL_KIND);

    struct counter_block block = {0};
    counter_add(&block, COUNTER_BYTES_IN, 5);
    counter_add(&block, COUNTER_BYTES_IN, 6);
    counter_add(&block, COUNTER_CONNS_NOW, -1);
    assert_int_equal(counter_get(&block, COUNTER_BYTES_IN), 11);
    assert_int_equal(counter_get(&block, COUNTER_CONNS_NOW), -1);
}

static void reasons(void **state)
{
    (void)state;
    for (int i = 0; i < END_REASONS; i++) {
        const struct end_info *info = &end_table[i];
        assert_true(strlen(info->word) > 0);
        assert_int_equal(strlen(info->flags), 2);
        assert_true(info->status == 0 || (info->status >= 300 && info->status < 600));
        if (info->status)
            assert_true(strlen(reply_phrase(info->status)) > 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(info->word, end_table[k].word);
        for (const char *c = info->word; *c; c++)
            assert_true(islower((unsigned char)*c) || *c == '-');
    }
    assert_string_equal(end_table[END_QUEUE_TIMEOUT].flags, "sQ");
    assert_int_equal(end_table[END_RESPONSE_TIMEOUT].status, 504);
    assert_int_equal(end_table[END_REQUEST_BAD].fault, FAULT_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
