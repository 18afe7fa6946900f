// SPDX-License-Identifier: Apache-2.0
/* What sentinels publish: samples of real ones, and what is not taken. */
#include "sentinel-watch/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RUN_ID "8c4b3e1c1f0a4f6e9d2b7a6c5d4e3f2a1b0c9d8e"

static struct event parse(const char *channel, const char *payload)
{
    struct event event;
    event_parse(span_str(channel), span_str(payload), &event);
    return event;
}

static void expect_place(const struct place *place, const char *host, uint16_t port)
{
    assert_string_equal(place->host, host);
    assert_int_equal(place->port, port);
}

static void test_instances(void **state)
{
    (void)state;
    struct event event = parse("+odown", "master mymaster 127.0.0.1 7301 #quorum 2/2");
    assert_int_equal(event.kind, EVENT_ODOWN);
    assert_int_equal(event.instance, INSTANCE_MASTER);
    assert_string_equal(event.master, "mymaster");
    expect_place(&event.place, "127.0.0.1", 7301);
    event = parse("-role-change",
                  "slave 127.0.0.1:7301 127.0.0.1 7301 @ mymaster 127.0.0.1 7303 new "
                  "reported role is master");
    assert_int_equal(event.kind, EVENT_ROLE_WRONG);
    assert_int_equal(event.instance, INSTANCE_REPLICA);
    assert_string_equal(event.master, "mymaster");
    event = parse("+config-update-from", "sentinel " RUN_ID " ::1 27302 @ m:1 rhost1 7301");
    assert_int_equal(event.kind, EVENT_CONFIG_UPDATE);
    assert_string_equal(event.master, "m:1");
    expect_place(&event.place, "::1", 27302);
}

static void test_others(void **state)
{
    (void)state;
    struct event event = parse("+switch-master", "mymaster rhost1 7301 2001:db8::2 7302");
    assert_int_equal(event.kind, EVENT_SWITCH);
    expect_place(&event.place, "rhost1", 7301);
    expect_place(&event.new_place, "2001:db8::2", 7302);
    event = parse("+vote-for-leader", RUN_ID " 17");
    assert_int_equal(event.kind, EVENT_VOTE);
    assert_int_equal(event.epoch, 17);
    assert_string_equal(event.run_id, RUN_ID);
    event = parse("+new-epoch", "18");
    assert_int_equal(event.epoch, 18);
    assert_string_equal(event.master, "");
    assert_int_equal(parse("+tilt", "#tilt mode entered").kind, EVENT_TILT);
}

static void test_what_is_not_taken(void **state)
{
    (void)state;
    static const struct {
        const char *channel, *payload;
    } cases[] = {
        {"+a-later-event", "master m 127.0.0.1 1"},
        {"switch-master", "m 127.0.0.1 1 127.0.0.1 2"},
        {"+switch-master", "m 127.0.0.1 1 127.0.0.1"},
        {"+switch-master", "m 127.0.0.1 1 127.0.0.1 65536"},
        {"+switch-master", "m 127.0.0.1 0 127.0.0.1 2"},
        {"+switch-master", "m  127.0.0.1 1 127.0.0.1 2"},
        {"+switch-master", ""},
        {"+sdown", "master"},
        {"+sdown", "robot m 127.0.0.1 1"},
        {"+sdown", "slave x 127.0.0.1 1 mymaster"},
        {"+sdown", "master m 127.0\x01.0.1 1"},
        {"+vote-for-leader", "short 1"},
        {"+new-epoch", "-1"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event event = parse(cases[i].channel, cases[i].payload);
        assert_int_equal(event.kind, EVENT_OTHER);
        assert_string_equal(event.master, "");
        assert_int_equal(event.place.port, 0);
    }
}

static void test_places(void **state)
{
    (void)state;
    struct place place;
    char text[PLACE_TEXT_MAX];
    assert_true(place_parse_text(SPAN("[2001:db8::1]:6379"), &place));
    assert_string_equal(place_show(&place, text), "[2001:db8::1]:6379");
    assert_true(place_parse_text(SPAN("2001:db8::1:6379"), &place));
    assert_string_equal(place.host, "2001:db8::1");
    assert_true(place_parse_text(SPAN("Redis-A:1"), &place));
    assert_true(place_eq(&place, &(struct place){"redis-a", 1}));
    assert_false(place_parse_text(SPAN("host"), &place));
    assert_false(place_parse_text(SPAN(":1"), &place));
    assert_false(place_parse_text(SPAN("h:x"), &place));
    assert_false(place_parse_text(SPAN("/run/x.sock:1"), &place));
    assert_false(place_parse_text(SPAN("[]:1"), &place));
    assert_false(place_parse_text(SPAN("a\"b:1"), &place));
    assert_string_equal(place_show(&(struct place){"", 0}, text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instances),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_what_is_not_taken),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
