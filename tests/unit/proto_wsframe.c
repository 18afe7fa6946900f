// SPDX-License-Identifier: Apache-2.0
/* WebSocket frame boundaries, in any pieces. */
#include "proto/wsframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void boundaries_are_found(void **state)
{
    (void)state;
    struct wsframe frame;
    wsframe_init(&frame);
    assert_true(wsframe_at_boundary(&frame));
    assert_int_equal(wsframe_to_boundary(&frame, SPAN("\x81\x02hi")), 0);
    wsframe_feed(&frame, SPAN("\x81"));
    assert_false(wsframe_at_boundary(&frame));
    assert_true(wsframe_to_boundary(&frame, SPAN("\x02h")) == SIZE_MAX);
    assert_int_equal(wsframe_to_boundary(&frame, SPAN("\x02hi\x81\x02yo")), 3);
    wsframe_feed(&frame, SPAN("\x02hi"));
    assert_true(wsframe_at_boundary(&frame));
    wsframe_feed(&frame, SPAN("\x89\x00"));
    assert_true(wsframe_at_boundary(&frame));
    assert_false(frame.saw_close);
    wsframe_feed(&frame, SPAN_NONE);
    assert_true(wsframe_at_boundary(&frame));
}

static void lengths_of_every_form(void **state)
{
    (void)state;
    struct wsframe frame;
    wsframe_init(&frame);
    wsframe_feed(&frame, SPAN("\x82\x7e\x01\x00"));
    assert_int_equal(frame.left, 256);
    wsframe_init(&frame);
    wsframe_feed(&frame, SPAN("\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x02"));
    assert_true(frame.left == 0x100000002);
    wsframe_init(&frame);
    wsframe_feed(&frame, SPAN("\x02\xff\x00\x00\x00\x00\x00\x00\x00\x05maskhello"));
    assert_true(wsframe_at_boundary(&frame));
    wsframe_feed(&frame, SPAN("\x80\x80mas"));
    assert_false(wsframe_at_boundary(&frame));
    wsframe_feed(&frame, SPAN("k"));
    assert_true(wsframe_at_boundary(&frame));
}

static void any_pieces_give_the_same(void **state)
{
    (void)state;
    static const char stream[] = "\x01\x03"
                                 "abc"
                                 "\x89\x00"
                                 "\x80\x7e\x00\x02"
                                 "de"
                                 "\x88\x82"
                                 "mask"
                                 "xy"
                                 "\x81\x01z";
    const size_t len = sizeof(stream) - 1;
    struct wsframe whole;
    wsframe_init(&whole);
    wsframe_feed(&whole, span_of(stream, len));
    assert_true(whole.saw_close);
    for (size_t cut = 0; cut <= len; cut++) {
        struct wsframe frame;
        wsframe_init(&frame);
        wsframe_feed(&frame, span_of(stream, cut));
        size_t step = wsframe_to_boundary(&frame, span_of(stream + cut, len - cut));
        assert_true(step <= len - cut);
        struct wsframe stepped = frame;
        wsframe_feed(&stepped, span_of(stream + cut, step));
        assert_true(wsframe_at_boundary(&stepped));
        wsframe_feed(&frame, span_of(stream + cut, len - cut));
        assert_true(wsframe_at_boundary(&frame) && frame.saw_close);
    }
}

static void breaks(struct span bytes)
{
    struct wsframe frame;
    wsframe_init(&frame);
    assert_true(wsframe_to_boundary(&frame, SPAN_NONE) == 0);
    wsframe_feed(&frame, bytes);
    assert_true(frame.broken);
    assert_false(wsframe_at_boundary(&frame));
    wsframe_feed(&frame, SPAN("\x81\x00"));
    assert_false(wsframe_at_boundary(&frame));
    assert_true(wsframe_to_boundary(&frame, SPAN("\x81\x00")) == SIZE_MAX);
}

static void what_breaks_a_stream(void **state)
{
    (void)state;
    breaks(SPAN("\x83\x00"));
    breaks(SPAN("\x87\x00"));
    breaks(SPAN("\x8b\x00"));
    breaks(SPAN("\x09\x00"));
    breaks(SPAN("\x88\x7e\x00\x7e"));
    breaks(SPAN("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"));
}

static void a_close_is_seen_when_it_is_whole(void **state)
{
    (void)state;
    struct wsframe frame;
    wsframe_init(&frame);
    wsframe_feed(&frame, SPAN("\x88\x02\x03"));
    assert_false(frame.saw_close);
    wsframe_feed(&frame, SPAN("\xe8"));
    assert_true(frame.saw_close);
    wsframe_init(&frame);
    wsframe_feed(&frame, SPAN("\x88\x00"));
    assert_true(frame.saw_close);
}

static void closes_are_written(void **state)
{
    (void)state;
    char out[2 + 125];
    assert_int_equal(wsframe_write_close(1001, SPAN("bye"), out), 7);
    assert_memory_equal(out,
                        "\x88\x05\x03\xe9"
                        "bye",
                        7);
    struct wsframe frame;
    wsframe_init(&frame);
    wsframe_feed(&frame, span_of(out, 7));
    assert_true(frame.saw_close && wsframe_at_boundary(&frame));
    char reason[130];
    memset(reason, 'a', sizeof(reason));
    assert_int_equal(wsframe_write_close(1001, span_of(reason, 130), out), 127);
    memcpy(reason + 122, "\xc3\xa4", 2);
    assert_int_equal(wsframe_write_close(1001, span_of(reason, 130), out), 126);
    assert_int_equal(wsframe_write_close(1000, SPAN_NONE, out), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_found),
        cmocka_unit_test(lengths_of_every_form),
        cmocka_unit_test(any_pieces_give_the_same),
        cmocka_unit_test(what_breaks_a_stream),
        cmocka_unit_test(a_close_is_seen_when_it_is_whole),
        cmocka_unit_test(closes_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
