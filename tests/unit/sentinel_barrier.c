// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/barrier: who is asked for what, and when; time is passed in. */
#include "sentinel-watch/barrier.h"

#include "base/mem.h"
#include "sentinel-watch/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 3, DEADLINE = 3000, HOLD_MAX = 15000 };
#define RUN_ID "0123456789012345678901234567890123456789"

static struct barrier barrier;
static struct barrier_node nodes[NODES];
static int64_t now_ms;

/* What was told: phases as letters, "late" and "outdated" nodes counted. */
static char told[64];
static int late_count, outdated_count;
static uint64_t outdated_epoch;

static void on_phase(void *ctx, const struct failover *failover, enum phase phase)
{
    assert_ptr_equal(ctx, &barrier);
    assert_non_null(failover);
    size_t len = strlen(told);
    snprintf(told + len, sizeof(told) - len, "%s%s", len > 0 ? " " : "", phase_word(phase));
}

static void on_late(void *ctx, struct barrier_node *node, const struct failover *failover)
{
    (void)ctx;
    (void)failover;
    assert_true(node->stale);
    late_count++;
}

static void on_outdated(void *ctx, struct barrier_node *node, uint64_t generation, uint64_t epoch)
{
    (void)ctx;
    (void)node;
    (void)generation;
    outdated_count++;
    outdated_epoch = epoch;
}

static const struct barrier_owner owner = {on_phase, on_late, on_outdated};

static int setup(void **state)
{
    (void)state;
    static const struct barrier_times times = {DEADLINE, HOLD_MAX};
    barrier_init(&barrier, &times, 1, &owner, &barrier);
    for (int i = 0; i < NODES; i++)
        barrier_join(&barrier, &nodes[i]);
    now_ms = 1000;
    told[0] = '\0';
    late_count = outdated_count = 0;
    return 0;
}

static struct failover failover_to(uint64_t generation, uint64_t epoch, uint16_t port)
{
    struct failover failover = {
        .master = "m",
        .generation = generation,
        .epoch = epoch,
        .old_place = {"10.0.0.1", 6379},
        .new_place = {"10.0.0.1", port},
        .run_id = RUN_ID,
        .reason = "a test",
    };
    snprintf(failover.id, sizeof(failover.id), "m:%d:%d", (int)generation, (int)epoch);
    return failover;
}

static void say_baseline(uint64_t epoch)
{
    struct failover failover = failover_to(1, epoch, 6379);
    barrier_baseline(&barrier, &failover, now_ms);
}

static void say_hold(uint64_t epoch)
{
    struct failover failover = failover_to(1, epoch, 0);
    barrier_hold(&barrier, &failover, now_ms);
}

static void say_switch(uint64_t epoch, uint16_t port)
{
    struct failover failover = failover_to(1, epoch, port);
    barrier_switch(&barrier, &failover, now_ms);
}

static void say_cancel(uint64_t epoch)
{
    struct failover failover = failover_to(1, epoch, 0);
    barrier_cancel(&barrier, &failover, now_ms);
}

/* Sends what this node is to be asked; NONE: nothing. */
static enum phase ask(int i)
{
    struct order order;
    if (!barrier_order(&barrier, &nodes[i], now_ms, &order))
        return PHASE_NONE;
    barrier_sent(&barrier, &nodes[i], &order);
    return order.phase;
}

static struct ack right_ack(enum phase phase)
{
    struct ack ack = {
        .master = "m",
        .generation = barrier.now.generation,
        .epoch = barrier.now.epoch,
        .phase = phase,
        .role = "master",
        .run_id = RUN_ID,
    };
    place_show(&barrier.now.new_place, ack.connected_to);
    return ack;
}

static void answer_with(int i, enum outcome_kind kind, const struct ack *ack)
{
    struct outcome outcome = {kind, ack, "a test's trouble"};
    barrier_answer(&barrier, &nodes[i], &outcome, now_ms);
}

static void acknowledge(int i)
{
    struct ack ack = right_ack(nodes[i].asked);
    answer_with(i, OUTCOME_ACK, &ack);
}

/* Node i is asked for exactly this, and acknowledges it. */
static void pass(int i, enum phase phase)
{
    assert_int_equal(ask(i), phase);
    acknowledge(i);
}

static void pass_all(enum phase phase)
{
    for (int i = 0; i < NODES; i++)
        assert_int_equal(ask(i), phase);
    for (int i = 0; i < NODES; i++)
        acknowledge(i);
}

static void none_is_asked(void)
{
    for (int i = 0; i < NODES; i++)
        assert_int_equal(ask(i), PHASE_NONE);
}

/* All are home at epoch 5. */
static void begin_calm(void)
{
    say_baseline(5);
    for (int i = 0; i < NODES; i++) {
        pass(i, PHASE_HOLD);
        pass(i, PHASE_SUB);
        pass(i, PHASE_PUB);
        assert_true(nodes[i].home);
    }
    assert_string_equal(told, "calm");
    none_is_asked();
    told[0] = '\0';
}

static void asks_nobody_before_anything_is_known(void **state)
{
    (void)state;
    none_is_asked();
    assert_int_equal(barrier_run(&barrier, now_ms), -1);
    begin_calm();
}

static void nobody_subscribes_before_all_hold_nor_publishes_before_all_subscribed(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    pass(0, PHASE_HOLD);
    pass(1, PHASE_HOLD);
    say_switch(6, 6380);
    assert_int_equal(ask(0), PHASE_NONE);
    pass(2, PHASE_HOLD);
    pass(0, PHASE_SUB);
    pass(2, PHASE_SUB);
    assert_int_equal(ask(0), PHASE_NONE);
    assert_int_equal(ask(2), PHASE_NONE);
    pass(1, PHASE_SUB);
    pass_all(PHASE_PUB);
    none_is_asked();
    assert_string_equal(told, "hold sub pub calm");
    assert_int_equal(nodes[1].epoch, 6);
}

static void a_switch_without_hold_holds_first(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    pass_all(PHASE_SUB);
    pass_all(PHASE_PUB);
    assert_string_equal(told, "hold sub pub calm");
}

static void who_holds_for_the_expected_epoch_holds_for_the_real_one(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    pass_all(PHASE_HOLD);
    say_switch(9, 6380);
    pass_all(PHASE_SUB);
    assert_int_equal(nodes[0].epoch, 9);
}

static void a_slow_node_delays_the_others_to_the_deadline_at_most(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass(0, PHASE_HOLD);
    pass(1, PHASE_HOLD);
    assert_int_equal(ask(2), PHASE_HOLD); // and never answers
    assert_int_equal(barrier_run(&barrier, now_ms), now_ms + DEADLINE / 2);
    now_ms += DEADLINE / 2;
    barrier_run(&barrier, now_ms);
    pass(0, PHASE_SUB);
    pass(1, PHASE_SUB);
    assert_int_equal(ask(0), PHASE_NONE);
    assert_int_equal(barrier_run(&barrier, now_ms), now_ms + DEADLINE / 2);
    now_ms += DEADLINE / 2;
    barrier_run(&barrier, now_ms);
    assert_int_equal(late_count, 1);
    assert_true(nodes[2].stale);
    assert_false(nodes[0].stale);
    pass(0, PHASE_PUB);
    pass(1, PHASE_PUB);
    // It takes the same steps alone.
    acknowledge(2);
    pass(2, PHASE_SUB);
    assert_false(nodes[2].stale);
    pass(2, PHASE_PUB);
    none_is_asked();
    assert_string_equal(told, "hold sub pub calm");
}

static void nobody_waits_for_a_node_that_is_down_and_it_is_led_there_when_it_returns(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    struct order order;
    assert_true(barrier_order(&barrier, &nodes[1], now_ms, &order));
    answer_with(1, OUTCOME_UNREACHED, NULL);
    pass(0, PHASE_HOLD);
    pass(2, PHASE_HOLD);
    pass(0, PHASE_SUB);
    pass(2, PHASE_SUB);
    assert_int_equal(late_count, 1);
    pass(0, PHASE_PUB);
    pass(2, PHASE_PUB);
    assert_string_equal(told, "hold sub pub calm");
    assert_true(nodes[1].stale && nodes[1].down);
    now_ms += 60000;
    pass(1, PHASE_HOLD);
    pass(1, PHASE_SUB);
    pass(1, PHASE_PUB);
    assert_false(nodes[1].stale || nodes[1].down);
}

static void a_process_that_went_away_counts_anew(void **state)
{
    (void)state;
    begin_calm();
    barrier_lost(&barrier, &nodes[0], now_ms);
    assert_true(nodes[0].stale && nodes[0].down);
    assert_int_equal(ask(0), PHASE_NONE);
    now_ms += 100;
    pass(0, PHASE_HOLD);
    pass(0, PHASE_SUB);
    assert_false(nodes[0].stale);
    pass(0, PHASE_PUB);
    none_is_asked();
}

static void tries_again_with_growing_pauses(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    int64_t waits[10];
    for (size_t i = 0; i < array_len(waits); i++) {
        struct order order;
        assert_true(barrier_order(&barrier, &nodes[0], now_ms, &order));
        assert_int_equal(order.attempt, i + 1);
        barrier_sent(&barrier, &nodes[0], &order);
        assert_false(barrier_order(&barrier, &nodes[0], now_ms, &order));
        answer_with(0, OUTCOME_NONE, NULL);
        assert_string_equal(nodes[0].trouble, "a test's trouble");
        waits[i] = nodes[0].next_ms - now_ms;
        now_ms = nodes[0].next_ms - 1;
        assert_false(barrier_order(&barrier, &nodes[0], now_ms, &order));
        now_ms++;
        if (now_ms - 1000 > HOLD_MAX / 2)
            barrier.held_ms = now_ms;
    }
    assert_in_range(waits[0], 37, 63);
    assert_in_range(waits[1], 75, 125);
    assert_in_range(waits[5], 1200, 2000);
    assert_in_range(waits[9], 1500, 2500);
    pass(0, PHASE_HOLD);
    assert_null(nodes[0].trouble);
    assert_int_equal(nodes[0].attempt, 0);
}

static void what_is_nobodys_fault_is_sent_again_at_once(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    assert_int_equal(ask(0), PHASE_HOLD);
    answer_with(0, OUTCOME_AGAIN, NULL);
    pass(0, PHASE_HOLD);
}

/* An answer to `sub` that must not count. */
static void doubts(struct ack ack)
{
    assert_int_equal(ask(0), PHASE_SUB);
    answer_with(0, OUTCOME_ACK, &ack);
    assert_int_equal(nodes[0].done, PHASE_HOLD);
    assert_non_null(nodes[0].trouble);
    now_ms = nodes[0].next_ms;
}

static void believes_only_the_right_master(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    barrier.decided_ms = now_ms + 100000; // No deadline in this test.
    struct ack right = right_ack(PHASE_SUB), ack = right;
    strcpy(ack.role, "slave");
    doubts(ack);
    ack = right;
    ack.role[0] = '\0';
    doubts(ack);
    ack = right;
    ack.run_id[0] = 'f';
    doubts(ack);
    ack = right;
    ack.run_id[0] = '\0';
    strcpy(ack.connected_to, "10.0.0.1:6379");
    doubts(ack);
    ack = right;
    ack.phase = PHASE_PUB;
    doubts(ack);
    ack = right;
    ack.epoch = 7;
    doubts(ack);
    ack = right;
    ack.master[0] = 'n';
    doubts(ack);
    // Through a relay or another name, but the right run id.
    ack = right;
    strcpy(ack.connected_to, "127.0.0.1:1");
    assert_int_equal(ask(0), PHASE_SUB);
    answer_with(0, OUTCOME_ACK, &ack);
    assert_int_equal(nodes[0].done, PHASE_SUB);
    // No right to read the run id, but the right address.
    ack = right;
    ack.run_id[0] = '\0';
    assert_int_equal(ask(1), PHASE_SUB);
    answer_with(1, OUTCOME_ACK, &ack);
    assert_int_equal(nodes[1].done, PHASE_SUB);
}

static void cancel_goes_to_those_that_may_hold(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    pass(0, PHASE_HOLD);
    assert_int_equal(ask(1), PHASE_HOLD); // In flight: it may have arrived.
    say_cancel(6);
    assert_true(barrier_superseded(&barrier, &nodes[1]));
    answer_with(1, OUTCOME_AGAIN, NULL);
    pass(0, PHASE_CANCEL);
    pass(1, PHASE_CANCEL);
    none_is_asked();
    assert_string_equal(told, "hold cancel calm");
    assert_true(nodes[0].home && nodes[1].home && nodes[2].home);
    // The same epoch may come again.
    told[0] = '\0';
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    pass_all(PHASE_SUB);
    pass_all(PHASE_PUB);
    assert_string_equal(told, "hold sub pub calm");
}

static void a_hold_ends_by_itself(void **state)
{
    (void)state;
    begin_calm();
    say_hold(6);
    pass_all(PHASE_HOLD);
    assert_int_equal(barrier_run(&barrier, now_ms), now_ms + HOLD_MAX);
    now_ms += HOLD_MAX - 1;
    say_hold(6); // Renews nothing.
    none_is_asked();
    now_ms++;
    barrier_run(&barrier, now_ms);
    pass(0, PHASE_CANCEL);
    pass(1, PHASE_CANCEL);
    assert_int_equal(ask(2), PHASE_CANCEL); // and never answers
    assert_int_equal(barrier_run(&barrier, now_ms), now_ms + DEADLINE);
    now_ms += DEADLINE;
    barrier_run(&barrier, now_ms);
    assert_string_equal(told, "hold cancel calm"); // It has let go by itself.
    answer_with(2, OUTCOME_AGAIN, NULL);
    none_is_asked();
    say_hold(6);
    pass_all(PHASE_HOLD);
}

static void a_newer_failover_overtakes_a_running_one(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    pass(0, PHASE_SUB);
    assert_int_equal(ask(1), PHASE_SUB);
    say_switch(7, 6381);
    assert_true(barrier_superseded(&barrier, &nodes[1]));
    assert_false(barrier_superseded(&barrier, &nodes[0]));
    acknowledge(1); // Too late: of the older one.
    assert_int_equal(nodes[1].done, PHASE_HOLD);
    pass_all(PHASE_SUB); // They hold still.
    assert_int_equal(nodes[2].epoch, 7);
    pass_all(PHASE_PUB);
    assert_string_equal(told, "hold sub hold sub pub calm");
}

static void who_may_have_been_released_holds_again(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    pass_all(PHASE_SUB);
    pass(0, PHASE_PUB);
    assert_int_equal(ask(1), PHASE_PUB);
    say_switch(7, 6381);
    answer_with(1, OUTCOME_AGAIN, NULL);
    pass(0, PHASE_HOLD);
    assert_int_equal(ask(2), PHASE_NONE); // It was never told to publish: it holds.
    pass(1, PHASE_HOLD);
    pass_all(PHASE_SUB);
    pass_all(PHASE_PUB);
}

static void a_hold_that_is_called_off_lets_the_switch_before_go_on(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    pass_all(PHASE_HOLD);
    pass(0, PHASE_SUB);
    say_hold(7);
    pass_all(PHASE_HOLD);
    say_cancel(7);
    pass_all(PHASE_CANCEL);
    pass_all(PHASE_HOLD);
    assert_int_equal(barrier.now.epoch, 6);
    pass_all(PHASE_SUB);
    pass_all(PHASE_PUB);
    assert_true(nodes[0].home);
    assert_string_equal(told, "hold sub hold cancel calm hold sub pub calm");
}

static void what_is_not_newer_is_ignored(void **state)
{
    (void)state;
    begin_calm();
    say_switch(5, 6380);
    say_switch(4, 6380);
    say_hold(5);
    say_cancel(5);
    say_baseline(5);
    none_is_asked();
    assert_string_equal(told, "");
    struct failover failover = failover_to(2, 1, 6379); // Wiped sentinels count from 0 again.
    barrier_baseline(&barrier, &failover, now_ms);
    pass(0, PHASE_HOLD);
    pass(0, PHASE_SUB);
    assert_int_equal(nodes[0].generation, 2);
}

static void a_baseline_elsewhere_is_a_switch(void **state)
{
    (void)state;
    begin_calm();
    struct failover failover = failover_to(2, 0, 6380);
    barrier_baseline(&barrier, &failover, now_ms);
    assert_int_equal(ask(0), PHASE_HOLD);
    pass(1, PHASE_HOLD);
    assert_int_equal(ask(1), PHASE_NONE);
    assert_string_equal(told, "hold");
}

static void fence_goes_to_those_that_are_home(void **state)
{
    (void)state;
    begin_calm();
    struct failover failover = failover_to(1, 5, 6379);
    strcpy(failover.old_place.host, "10.0.0.2");
    barrier_lost(&barrier, &nodes[2], now_ms);
    barrier_fence(&barrier, &failover, now_ms);
    assert_int_equal(ask(0), PHASE_FENCE);
    struct ack ack = right_ack(PHASE_FENCE);
    strcpy(ack.connected_to, "10.0.0.2:6379");
    answer_with(0, OUTCOME_ACK, &ack);
    assert_non_null(nodes[0].trouble);
    now_ms += 1000;
    pass(0, PHASE_FENCE);
    pass(1, PHASE_FENCE);
    pass(2, PHASE_HOLD);
    pass(2, PHASE_SUB);
    pass(2, PHASE_PUB);
    none_is_asked();
    barrier_fence(&barrier, &failover, now_ms); // It came back once more.
    pass_all(PHASE_FENCE);
    failover.epoch = 4;
    barrier_fence(&barrier, &failover, now_ms);
    none_is_asked();
}

/* A 409 from node 0 to what it is asked. */
static void refuses(uint64_t epoch, enum phase phase)
{
    struct ack ack = right_ack(phase);
    ack.epoch = epoch;
    answer_with(0, OUTCOME_STALE, &ack);
}

static void a_node_that_another_watcher_brought_there_is_there(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    assert_int_equal(ask(0), PHASE_HOLD);
    refuses(6, PHASE_PUB);
    assert_true(nodes[0].home);
    assert_int_equal(ask(0), PHASE_NONE);
    assert_int_equal(outdated_count, 0);
    for (int i = 1; i < NODES; i++)
        pass(i, PHASE_HOLD);
    for (int i = 1; i < NODES; i++)
        pass(i, PHASE_SUB);
    for (int i = 1; i < NODES; i++)
        pass(i, PHASE_PUB);
    none_is_asked();
}

static void a_409_is_not_believed_blindly(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    assert_int_equal(ask(0), PHASE_HOLD);
    struct ack ack = right_ack(PHASE_PUB);
    ack.run_id[0] = 'f';
    answer_with(0, OUTCOME_STALE, &ack);
    assert_false(nodes[0].home);
    now_ms = nodes[0].next_ms;
    assert_int_equal(ask(0), PHASE_HOLD);
    refuses(5, PHASE_PUB); // Older than what it refuses.
    assert_int_equal(nodes[0].done, PHASE_NONE);
    now_ms = nodes[0].next_ms;
    assert_int_equal(ask(0), PHASE_HOLD);
    refuses(6, PHASE_CANCEL);
    assert_int_equal(nodes[0].done, PHASE_NONE);
}

static void a_node_that_is_ahead_is_said_and_not_waited_for(void **state)
{
    (void)state;
    begin_calm();
    say_switch(6, 6380);
    assert_int_equal(ask(0), PHASE_HOLD);
    refuses(8, PHASE_SUB);
    assert_int_equal(outdated_count, 1);
    assert_int_equal(outdated_epoch, 8);
    pass(1, PHASE_HOLD);
    pass(2, PHASE_HOLD);
    pass(1, PHASE_SUB);
    pass(2, PHASE_SUB);
    assert_int_equal(late_count, 0);
    assert_false(nodes[0].stale);
    now_ms += 500;
    assert_int_equal(ask(0), PHASE_NONE);
    say_switch(8, 6381); // We have learned of it.
    pass(0, PHASE_HOLD);
    pass_all(PHASE_SUB);
}

static void tells_how_long_there_is(void **state)
{
    (void)state;
    begin_calm();
    struct order order;
    say_hold(6);
    now_ms += 5000;
    assert_true(barrier_order(&barrier, &nodes[0], now_ms, &order));
    assert_int_equal(order.deadline_ms, DEADLINE);
    assert_int_equal(order.hold_max_ms, HOLD_MAX - 5000);
    say_switch(6, 6380);
    now_ms += 1000;
    assert_true(barrier_order(&barrier, &nodes[0], now_ms, &order));
    assert_int_equal(order.deadline_ms, DEADLINE - 1000);
    assert_int_equal(order.hold_max_ms, HOLD_MAX - 6000);
    now_ms += 8900;
    assert_true(barrier_order(&barrier, &nodes[0], now_ms, &order));
    assert_int_equal(order.deadline_ms, 50);
    assert_int_equal(order.hold_max_ms, DEADLINE);
}

static void without_nodes_it_passes_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++)
        barrier_leave(&nodes[i]);
    say_baseline(5);
    barrier_run(&barrier, now_ms);
    say_hold(6);
    say_switch(6, 6380);
    assert_string_equal(told, "calm hold sub pub calm");
}

static void a_node_that_joins_late_is_led_there(void **state)
{
    (void)state;
    begin_calm();
    barrier_leave(&nodes[1]);
    barrier_join(&barrier, &nodes[1]);
    assert_false(nodes[1].stale);
    pass(1, PHASE_HOLD);
    pass(1, PHASE_SUB);
    pass(1, PHASE_PUB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(asks_nobody_before_anything_is_known, setup),
        cmocka_unit_test_setup(
            nobody_subscribes_before_all_hold_nor_publishes_before_all_subscribed, setup),
        cmocka_unit_test_setup(a_switch_without_hold_holds_first, setup),
        cmocka_unit_test_setup(who_holds_for_the_expected_epoch_holds_for_the_real_one, setup),
        cmocka_unit_test_setup(a_slow_node_delays_the_others_to_the_deadline_at_most, setup),
        cmocka_unit_test_setup(
            nobody_waits_for_a_node_that_is_down_and_it_is_led_there_when_it_returns, setup),
        cmocka_unit_test_setup(a_process_that_went_away_counts_anew, setup),
        cmocka_unit_test_setup(tries_again_with_growing_pauses, setup),
        cmocka_unit_test_setup(what_is_nobodys_fault_is_sent_again_at_once, setup),
        cmocka_unit_test_setup(believes_only_the_right_master, setup),
        cmocka_unit_test_setup(cancel_goes_to_those_that_may_hold, setup),
        cmocka_unit_test_setup(a_hold_ends_by_itself, setup),
        cmocka_unit_test_setup(a_newer_failover_overtakes_a_running_one, setup),
        cmocka_unit_test_setup(who_may_have_been_released_holds_again, setup),
        cmocka_unit_test_setup(a_hold_that_is_called_off_lets_the_switch_before_go_on, setup),
        cmocka_unit_test_setup(what_is_not_newer_is_ignored, setup),
        cmocka_unit_test_setup(a_baseline_elsewhere_is_a_switch, setup),
        cmocka_unit_test_setup(fence_goes_to_those_that_are_home, setup),
        cmocka_unit_test_setup(a_node_that_another_watcher_brought_there_is_there, setup),
        cmocka_unit_test_setup(a_409_is_not_believed_blindly, setup),
        cmocka_unit_test_setup(a_node_that_is_ahead_is_said_and_not_waited_for, setup),
        cmocka_unit_test_setup(tells_how_long_there_is, setup),
        cmocka_unit_test_setup(without_nodes_it_passes_at_once, setup),
        cmocka_unit_test_setup(a_node_that_joins_late_is_led_there, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
