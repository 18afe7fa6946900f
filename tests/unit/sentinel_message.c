// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/message: the JSON and its signature. */
#include "sentinel-watch/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct failover failover = {
    .id = "mymaster:1:7",
    .master = "mymaster",
    .generation = 1,
    .epoch = 7,
    .old_place = {"127.0.0.1", 6379},
    .new_place = {"::1", 6380},
    .run_id = "0123456789012345678901234567890123456789",
    .reason = "odown by 2 of 3 sentinels",
};

static void writes_a_signal(void **state)
{
    (void)state;
    char out[MESSAGE_MAX];
    struct message message = {&failover, PHASE_SUB, "w1", 1795291200123, 3000, 14000, 2};
    size_t len = message_write(&message, out);
    assert_int_equal(len, strlen(out));
    assert_string_equal(
        out,
        "{\"event\":\"failover\",\"phase\":\"sub\",\"id\":\"mymaster:1:7\",\"master\":\"mymaster\","
        "\"generation\":1,\"epoch\":7,\"watcher\":\"w1\","
        "\"old\":{\"host\":\"127.0.0.1\",\"port\":6379},"
        "\"new\":{\"host\":\"::1\",\"port\":6380,"
        "\"run_id\":\"0123456789012345678901234567890123456789\"},"
        "\"sent_at\":\"2026-11-21T20:00:00.123Z\","
        "\"deadline_ms\":3000,\"hold_max_ms\":14000,\"attempt\":2,"
        "\"reason\":\"odown by 2 of 3 sentinels\"}");
}

static void leaves_out_what_is_not_known(void **state)
{
    (void)state;
    char out[MESSAGE_MAX];
    struct failover hold = failover;
    hold.new_place.port = 0;
    struct message message = {&hold, PHASE_HOLD, "w1", 0};
    message_write(&message, out);
    assert_non_null(
        strstr(out, "\"new\":null,\"sent_at\":\"1970-01-01T00:00:00.000Z\",\"reason\""));
}

static void escapes_and_always_fits(void **state)
{
    (void)state;
    char out[MESSAGE_MAX], watcher[1000];
    struct failover worst = {.generation = UINT64_MAX, .epoch = UINT64_MAX};
    memset(worst.id, '"', sizeof(worst.id) - 1);
    memset(worst.master, '\\', sizeof(worst.master) - 1);
    memset(worst.old_place.host, '"', sizeof(worst.old_place.host) - 1);
    memset(worst.new_place.host, '"', sizeof(worst.new_place.host) - 1);
    memset(worst.run_id, '"', sizeof(worst.run_id) - 1);
    memset(worst.reason, '"', sizeof(worst.reason) - 1);
    memset(watcher, '"', sizeof(watcher) - 1);
    watcher[sizeof(watcher) - 1] = '\0';
    worst.old_place.port = worst.new_place.port = 65535;
    struct message message = {&worst,    PHASE_CANCEL, watcher,   1795291200123,
                              INT64_MAX, INT64_MAX,    UINT32_MAX};
    size_t len = message_write(&message, out);
    assert_in_range(len, 2000, MESSAGE_MAX - 1);
    struct failover odd = failover;
    strcpy(odd.reason, "a\"b\\c\n\xff"
                       "d");
    message.failover = &odd;
    message.watcher = "w";
    message_write(&message, out);
    assert_non_null(strstr(out, "\"reason\":\"a\\\"b\\\\c??d\"}"));
}

static void signs_timestamp_and_body(void **state)
{
    (void)state;
    char out[SIGNATURE_MAX];
    // printf '1795291200.{"a":1}' | openssl dgst -sha256 -hmac secret
    message_sign("secret", 1795291200, SPAN("{\"a\":1}"), out);
    assert_string_equal(out, "v1=e99776ce35fa06a88522d47b22c6b59038f8718a1ffacc7f7741d8fb17b1bf25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_signal),
        cmocka_unit_test(leaves_out_what_is_not_known),
        cmocka_unit_test(escapes_and_always_fits),
        cmocka_unit_test(signs_timestamp_and_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
