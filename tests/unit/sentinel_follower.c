// SPDX-License-Identifier: Apache-2.0
/*
 * The state machine, fed by hand: three sentinels (or another number), two Redis nodes A and B, time
 * as a number. What it gave out is written down in short words and compared.
 */
#include "sentinel-watch/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct follower f;
static int64_t now;
static char out[512]; /* "baseline 0 A; hold 1; switch 1 B; " … */
static int notes;

static const struct place A = {"10.0.0.1", 6379}, B = {"10.0.0.2", 6379}, C = {"10.0.0.3", 6379};

/* ---- what comes out ---- */

static char letter(const struct place *place)
{
    return place_eq(place, &A) ? 'A' : place_eq(place, &B) ? 'B' : place_eq(place, &C) ? 'C' : '-';
}

static void write_down(const char *what, const struct failover *failover)
{
    size_t len = strlen(out);
    snprintf(out + len, sizeof(out) - len, "%s %llu:%llu %c%c; ", what,
             (unsigned long long)failover->generation, (unsigned long long)failover->epoch,
             letter(&failover->old_place), letter(&failover->new_place));
}

static void on_baseline(void *ctx, const struct failover *failover)
{
    (void)ctx;
    write_down("baseline", failover);
}
static void on_hold(void *ctx, const struct failover *failover)
{
    (void)ctx;
    write_down("hold", failover);
}
static void on_switched(void *ctx, const struct failover *failover)
{
    (void)ctx;
    write_down("switch", failover);
}
static void on_cancel(void *ctx, const struct failover *failover)
{
    (void)ctx;
    write_down("cancel", failover);
}
static void on_fence(void *ctx, const struct failover *failover)
{
    (void)ctx;
    write_down("fence", failover);
}
static void on_note(void *ctx, enum follower_weight weight, const char *text)
{
    (void)ctx;
    (void)weight;
    assert_true(*text);
    notes++;
}

static const struct follower_owner owner = {on_baseline, on_hold,  on_switched,
                                            on_cancel,   on_fence, on_note};

/* What came out since the last time. */
static void expect(const char *what)
{
    assert_string_equal(out, what);
    out[0] = '\0';
}

/* ---- what goes in ---- */

/* Sentinels say who is the master; the flags are those of `kind`: 's'down, 'o'down, 'f'ailing over,
 * 't'ilt. */
static void says(int voter, const struct place *place, uint64_t epoch, const char *flags)
{
    struct report report = {
        .place = *place,
        .flags_place = *place,
        .epoch = epoch,
        .sdown = strchr(flags, 's') != NULL,
        .odown = strchr(flags, 'o') != NULL,
        .failing_over = strchr(flags, 'f') != NULL,
        .tilted = strchr(flags, 't') != NULL,
        .quorum = 2,
        .sentinels = 2,
    };
    follower_report(&f, voter, &report, now);
}

static void all_say(int voters, const struct place *place, uint64_t epoch, const char *flags)
{
    for (int i = 0; i < voters; i++)
        says(i, place, epoch, flags);
}

static void publishes(int voter, const char *channel, const char *payload)
{
    struct event event;
    event_parse(span_str(channel), span_str(payload), &event);
    assert_true(event.kind != EVENT_OTHER);
    follower_event(&f, voter, &event, now);
}

static void role(const struct place *place, enum role r)
{
    follower_role(&f, place, r, r == ROLE_MASTER ? "0123456789012345678901234567890123456789" : "",
                  now);
}

/* Time passes, and what is polled is answered like the last time. */
static void wait_ms(int64_t ms, int voters, const struct place *place, uint64_t epoch,
                    const char *flags)
{
    for (int64_t end = now + ms; now < end;) {
        now += 100;
        all_say(voters, place, epoch, flags);
        follower_tick(&f, now);
    }
}

static void begin_with(int voters, bool fast_path, bool hold)
{
    struct follower_options options = {
        .master = "m", .hold_at_odown = hold, .hold_max_ms = 15000, .fast_path = fast_path};
    now = 100000;
    out[0] = '\0';
    notes = 0;
    follower_init(&f, &options, &owner, NULL);
    for (int i = 0; i < voters; i++)
        assert_int_equal(follower_add_sentinel(&f), i);
    all_say(voters, &A, 4, "");
    role(&A, ROLE_MASTER);
    expect("baseline 1:4 -A; ");
    assert_int_equal(f.state, FOLLOWER_CALM);
}

static void begin(void)
{
    begin_with(3, false, true);
}

/* The quorum finds the master down: up to the hold. */
static void kill_master(void)
{
    now += 1000;
    publishes(0, "+sdown", "master m 10.0.0.1 6379");
    assert_int_equal(f.state, FOLLOWER_SUSPECT);
    publishes(1, "+sdown", "master m 10.0.0.1 6379");
    publishes(1, "+odown", "master m 10.0.0.1 6379 #quorum 2/2");
    expect("hold 1:5 A-; ");
    assert_int_equal(f.state, FOLLOWER_HOLD);
}

/* ---- tests ---- */

static void test_a_failover(void **state)
{
    (void)state;
    begin();
    assert_int_equal(follower_poll_ms(&f), 1000);
    kill_master();
    assert_int_equal(follower_poll_ms(&f), 100);
    publishes(1, "+try-failover", "master m 10.0.0.1 6379");
    publishes(1, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    assert_int_equal(f.state, FOLLOWER_PROBE);
    assert_true(place_eq(&follower_ask(&f, ASK_CANDIDATE)->place, &B));
    role(&B, ROLE_REPLICA);
    now += 200;
    role(&B, ROLE_MASTER); // Not enough without the fast path.
    says(1, &B, 5, "f");
    expect("");
    says(0, &B, 5, "");
    expect("switch 1:5 AB; ");
    assert_int_equal(f.state, FOLLOWER_SWITCH);
    assert_string_equal(f.failover.id, "m:1:5");
    assert_string_equal(f.failover.run_id, "0123456789012345678901234567890123456789");
    follower_told(&f, now);
    assert_int_equal(f.state, FOLLOWER_SETTLE);
    // The leader's own late event, and its flags about the old master, do nothing.
    publishes(1, "+failover-end", "master m 10.0.0.1 6379");
    publishes(1, "+switch-master", "m 10.0.0.1 6379 10.0.0.2 6379");
    wait_ms(500, 3, &B, 5, "");
    assert_int_equal(f.state, FOLLOWER_CALM);
    expect("");
}

static void test_role_comes_after_the_majority(void **state)
{
    (void)state;
    begin();
    kill_master();
    says(0, &B, 5, "");
    says(2, &B, 5, "");
    assert_int_equal(f.state, FOLLOWER_PROBE);
    role(&B, ROLE_REPLICA);
    role(&B, ROLE_UNREACHABLE);
    expect("");
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
}

static void test_events_that_were_missed(void **state)
{
    (void)state;
    begin();
    now += 1000;
    says(0, &B, 9, "");
    assert_int_equal(f.state, FOLLOWER_CALM);
    says(1, &B, 9, "");
    expect("hold 1:9 A-; ");
    role(&B, ROLE_MASTER);
    expect("switch 1:9 AB; ");
}

static void test_the_master_comes_back(void **state)
{
    (void)state;
    begin();
    kill_master();
    publishes(0, "-sdown", "master m 10.0.0.1 6379");
    publishes(1, "-odown", "master m 10.0.0.1 6379");
    publishes(1, "-sdown", "master m 10.0.0.1 6379");
    expect(""); // Not at once: it may be part of a failover.
    wait_ms(500, 3, &A, 4, "");
    expect("cancel 1:5 A-; ");
    wait_ms(500, 3, &A, 4, "");
    assert_int_equal(f.state, FOLLOWER_CALM);
    kill_master(); // The next outage holds again.
}

static void test_an_aborted_failover(void **state)
{
    (void)state;
    begin();
    kill_master();
    publishes(1, "+try-failover", "master m 10.0.0.1 6379");
    publishes(1, "-failover-abort-no-good-slave", "master m 10.0.0.1 6379");
    wait_ms(1000, 3, &A, 4, "so");
    expect("");
    wait_ms(2000, 3, &A, 4, "so");
    expect("cancel 1:5 A-; ");
    wait_ms(5000, 3, &A, 4, "so"); // The same outage does not hold again …
    expect("");
    publishes(2, "+try-failover", "master m 10.0.0.1 6379"); // … but another try does.
    expect("hold 1:5 A-; ");
}

static void test_a_try_that_was_lost_is_followed_by_another(void **state)
{
    (void)state;
    begin();
    kill_master();
    publishes(1, "+try-failover", "master m 10.0.0.1 6379");
    publishes(1, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    publishes(1, "-failover-abort-not-elected", "master m 10.0.0.1 6379");
    assert_int_equal(follower_ask(&f, ASK_CANDIDATE)->place.port, 0);
    wait_ms(10000, 3, &A, 4, "so"); // The master is still down: nothing is released into nowhere.
    expect("");
    all_say(3, &B, 7, "");
    role(&B, ROLE_MASTER);
    expect("switch 1:7 AB; ");
}

static void test_a_hold_is_bounded(void **state)
{
    (void)state;
    begin();
    kill_master();
    wait_ms(14000, 3, &A, 4, "sof");
    expect("");
    wait_ms(1500, 3, &A, 4, "sof");
    expect("cancel 1:5 A-; ");
    wait_ms(60000, 3, &A, 4, "sof");
    expect("");
    // The switch comes all the same, when it comes.
    all_say(3, &B, 7, "");
    role(&B, ROLE_MASTER);
    expect("hold 1:7 A-; switch 1:7 AB; ");
}

static void test_one_sentinel_lies(void **state)
{
    (void)state;
    begin();
    now += 100;
    publishes(2, "+sdown", "master m 10.0.0.1 6379");
    publishes(2, "+odown", "master m 10.0.0.1 6379 #quorum 2/2");
    publishes(2, "+try-failover", "master m 10.0.0.1 6379");
    publishes(2, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    publishes(2, "+failover-state-wait-promotion",
              "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    publishes(2, "+switch-master", "m 10.0.0.1 6379 10.0.0.2 6379");
    says(2, &B, 1000000, "sof");
    role(&B, ROLE_MASTER); // Of another set: it was never a replica.
    follower_tick(&f, now);
    expect("");
    assert_true(f.state != FOLLOWER_HOLD && f.state != FOLLOWER_SWITCH);
    // The fast path does not believe it either.
    begin_with(3, true, true);
    publishes(2, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    role(&B, ROLE_MASTER);
    expect("");
}

static void test_without_a_majority_nothing_is_done(void **state)
{
    (void)state;
    begin();
    follower_lost_sentinel(&f, 0, now);
    follower_lost_sentinel(&f, 1, now);
    assert_true(f.opinion.blind);
    says(2, &B, 5, "so");
    role(&B, ROLE_MASTER);
    expect("");
    says(0, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("hold 1:5 A-; switch 1:5 AB; ");
}

static void test_stale_votes_do_not_count(void **state)
{
    (void)state;
    begin();
    says(0, &B, 5, "");
    now += VOTE_FRESH_MS + 1;
    says(1, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("");
}

static void test_tilt_of_a_majority(void **state)
{
    (void)state;
    begin();
    publishes(0, "+tilt", "#tilt mode entered");
    all_say(3, &B, 5, "t");
    role(&B, ROLE_MASTER);
    expect("");
    says(0, &B, 5, "");
    says(1, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("hold 1:5 A-; switch 1:5 AB; ");
}

static void test_one_sentinel_only(void **state)
{
    (void)state;
    begin_with(1, false, true);
    assert_true(f.opinion.degraded);
    says(0, &A, 4, "so");
    expect("hold 1:5 A-; ");
    says(0, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
}

static void test_even_sentinels_do_not_agree(void **state)
{
    (void)state;
    begin_with(4, false, true);
    says(0, &B, 5, "");
    says(1, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("");
    says(2, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("hold 1:5 A-; switch 1:5 AB; ");
}

static void test_epochs_do_not_go_back(void **state)
{
    (void)state;
    begin();
    all_say(3, &B, 5, "");
    role(&B, ROLE_MASTER);
    follower_told(&f, now);
    expect("hold 1:5 A-; switch 1:5 AB; ");
    now += 100;
    says(0, &A, 4, ""); // One that slept.
    role(&A, ROLE_MASTER);
    follower_tick(&f, now);
    expect("fence 1:5 AB; ");
}

static void test_wiped_sentinels(void **state)
{
    (void)state;
    begin();
    wait_ms(2000, 3, &A, 0, "");
    role(&A, ROLE_MASTER);
    expect("");
    wait_ms(1000, 3, &A, 0, "");
    role(&A, ROLE_MASTER);
    wait_ms(100, 3, &A, 0, "");
    expect("baseline 2:0 AA; ");
    all_say(3, &B, 1, "");
    role(&B, ROLE_MASTER);
    expect("hold 2:1 A-; switch 2:1 AB; ");
}

static void test_sentinels_pointed_elsewhere(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 60; i++) {
        wait_ms(100, 3, &C, 0, "");
        role(&C, ROLE_MASTER);
        role(&A, ROLE_UNREACHABLE);
    }
    expect("switch 2:0 AC; ");
}

static void test_a_second_failover_overtakes(void **state)
{
    (void)state;
    begin();
    all_say(3, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("hold 1:5 A-; switch 1:5 AB; ");
    now += 1000; // Servers are still being told.
    all_say(2, &C, 6, "");
    role(&C, ROLE_MASTER);
    expect("hold 1:6 B-; switch 1:6 BC; ");
    follower_told(&f, now);
    wait_ms(1000, 3, &C, 6, "");
    assert_int_equal(f.state, FOLLOWER_CALM);
    all_say(3, &B, 7, ""); // And back: A → B → C → B.
    role(&B, ROLE_MASTER);
    expect("hold 1:7 C-; switch 1:7 CB; ");
}

static void test_a_failover_by_hand(void **state)
{
    (void)state;
    begin();
    publishes(0, "+try-failover", "master m 10.0.0.1 6379");
    expect(""); // One sentinel alone.
    publishes(0, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    role(&B, ROLE_REPLICA);
    expect("");
    now += 100;
    role(&B, ROLE_MASTER); // It changed before our eyes.
    expect("hold 1:5 A-; ");
    now += 900;
    role(&A, ROLE_MASTER);
    role(&B, ROLE_MASTER);
    says(0, &B, 5, "f");
    says(1, &B, 5, "");
    expect("switch 1:5 AB; ");
    role(&A, ROLE_MASTER); // It is not told to go for ten seconds.
    follower_told(&f, now);
    expect(""); // Not while the leader is at it.
    publishes(0, "+failover-end", "master m 10.0.0.1 6379");
    expect("fence 1:5 AB; ");
    role(&A, ROLE_MASTER);
    expect("");
    role(&A, ROLE_REPLICA);
    role(&A, ROLE_MASTER);
    expect("fence 1:5 AB; ");
}

static void test_an_old_master_comes_back_much_later(void **state)
{
    (void)state;
    begin();
    all_say(3, &B, 5, "");
    role(&B, ROLE_MASTER);
    follower_told(&f, now);
    expect("hold 1:5 A-; switch 1:5 AB; ");
    wait_ms(3600000, 3, &B, 5, "");
    assert_int_equal(follower_ask(&f, ASK_FORMER)->place.port, 0); // Nobody asks it any more.
    publishes(0, "-role-change",
              "slave 10.0.0.3:6379 10.0.0.3 6379 @ m 10.0.0.2 6379 new reported "
              "role is master"); // Never a master of ours: a promotion begins.
    assert_int_equal(follower_ask(&f, ASK_FORMER)->place.port, 0);
    publishes(0, "-role-change",
              "slave 10.0.0.1:6379 10.0.0.1 6379 @ m 10.0.0.2 6379 new reported "
              "role is master");
    expect(""); // A sentinel says so; we ask.
    assert_true(place_eq(&follower_ask(&f, ASK_FORMER)->place, &A));
    role(&A, ROLE_MASTER);
    expect("fence 1:5 AB; ");
}

static void test_the_fast_path(void **state)
{
    (void)state;
    begin_with(3, true, true);
    kill_master();
    publishes(1, "+try-failover", "master m 10.0.0.1 6379");
    for (int i = 0; i < 3; i++)
        publishes(i, "+vote-for-leader", "0123456789012345678901234567890123456789 8");
    publishes(1, "+failover-state-wait-promotion",
              "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    role(&B, ROLE_MASTER);
    expect("switch 1:8 AB; ");
    assert_true(f.unconfirmed);
    follower_told(&f, now);
    wait_ms(1000, 3, &A, 4, "sof"); // The sentinels need a second.
    expect("");
    wait_ms(1000, 3, &B, 8, "");
    expect("");
    assert_false(f.unconfirmed);
    assert_int_equal(f.state, FOLLOWER_CALM);
}

static void test_the_fast_path_may_guess_the_epoch_too_low(void **state)
{
    (void)state;
    begin_with(3, true, true);
    publishes(1, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    role(&B, ROLE_REPLICA);
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
    follower_told(&f, now);
    wait_ms(1000, 3, &B, 9, "");
    expect("");
    assert_int_equal(f.epoch, 9);
}

static void test_a_promotion_that_sentinels_undo(void **state)
{
    (void)state;
    begin_with(3, true, true);
    publishes(1, "+selected-slave", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
    role(&B, ROLE_REPLICA);
    role(&B, ROLE_MASTER);
    follower_told(&f, now);
    expect("switch 1:5 AB; ");
    follower_lost_sentinel(&f, 1, now); // The leader froze; the others never heard of it.
    for (int i = 0; i < 60; i++) {
        now += 100;
        says(0, &A, 4, "");
        says(2, &A, 4, "");
        role(&B, ROLE_REPLICA);
        role(&A, ROLE_MASTER);
    }
    expect("fence 1:5 AB; switch 2:4 BA; ");
}

static void test_hold_never(void **state)
{
    (void)state;
    begin_with(3, false, false);
    all_say(3, &A, 4, "sof");
    expect("");
    all_say(3, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
}

static void test_another_watcher_knows_more(void **state)
{
    (void)state;
    begin();
    follower_outdated(&f, 3, 9, now);
    for (int i = 0; i < 40; i++) {
        wait_ms(100, 3, &A, 4, "");
        role(&A, ROLE_MASTER);
    }
    expect("baseline 4:4 AA; ");
    follower_outdated(&f, 6, 4, now);
    expect("baseline 6:4 AA; ");
    follower_outdated(&f, UINT64_MAX, 0, now); // Nonsense.
    follower_outdated(&f, 1, 99, now);         // An older generation.
    wait_ms(10000, 3, &A, 4, "");
    expect("");
}

static void test_a_master_that_was_down_from_the_start(void **state)
{
    (void)state;
    struct follower_options options = {.master = "m", .hold_at_odown = true, .hold_max_ms = 15000};
    now = 1000;
    follower_init(&f, &options, &owner, NULL);
    for (int i = 0; i < 3; i++)
        follower_add_sentinel(&f);
    all_say(3, &A, 4, "so");
    role(&A, ROLE_UNREACHABLE);
    expect("hold 1:5 A-; ");
    all_say(3, &B, 5, "");
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
}

static void test_refused_roles_switch_nothing(void **state)
{
    (void)state;
    begin();
    all_say(3, &B, 5, "");
    for (int i = 0; i < 200; i++) {
        wait_ms(100, 3, &B, 5, "");
        role(&B, ROLE_REFUSED);
    }
    expect("hold 1:5 A-; cancel 1:5 A-; ");
    assert_int_equal(f.state, FOLLOWER_PROBE);
    role(&B, ROLE_MASTER);
    expect("switch 1:5 AB; ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failover),
        cmocka_unit_test(test_role_comes_after_the_majority),
        cmocka_unit_test(test_events_that_were_missed),
        cmocka_unit_test(test_the_master_comes_back),
        cmocka_unit_test(test_an_aborted_failover),
        cmocka_unit_test(test_a_try_that_was_lost_is_followed_by_another),
        cmocka_unit_test(test_a_hold_is_bounded),
        cmocka_unit_test(test_one_sentinel_lies),
        cmocka_unit_test(test_without_a_majority_nothing_is_done),
        cmocka_unit_test(test_stale_votes_do_not_count),
        cmocka_unit_test(test_tilt_of_a_majority),
        cmocka_unit_test(test_one_sentinel_only),
        cmocka_unit_test(test_even_sentinels_do_not_agree),
        cmocka_unit_test(test_epochs_do_not_go_back),
        cmocka_unit_test(test_wiped_sentinels),
        cmocka_unit_test(test_sentinels_pointed_elsewhere),
        cmocka_unit_test(test_a_second_failover_overtakes),
        cmocka_unit_test(test_a_failover_by_hand),
        cmocka_unit_test(test_an_old_master_comes_back_much_later),
        cmocka_unit_test(test_the_fast_path),
        cmocka_unit_test(test_the_fast_path_may_guess_the_epoch_too_low),
        cmocka_unit_test(test_a_promotion_that_sentinels_undo),
        cmocka_unit_test(test_hold_never),
        cmocka_unit_test(test_another_watcher_knows_more),
        cmocka_unit_test(test_a_master_that_was_down_from_the_start),
        cmocka_unit_test(test_refused_roles_switch_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
