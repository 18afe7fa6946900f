// SPDX-License-Identifier: Apache-2.0
/* The loop's order, its traps (closed in the same batch, scheduled late), timers, letters,
 * lateness. */
#include "base/loop.h"

#include "base/clock.h"
#include "base/thread.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static char order[64];

static void note(char what)
{
    size_t len = strlen(order);
    if (len + 1 < sizeof(order)) {
        order[len] = what;
        order[len + 1] = '\0';
    }
}

static int set_up(void **state)
{
    (void)state;
    order[0] = '\0';
    return loop_init(&loop, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_fini(&loop);
    return 0;
}

struct end {
    struct io io;
    int peer;
    int runs;
    uint32_t events;
    struct end *victim; /* to be closed by the first run */
    bool again;
    char name; /* noted when it runs */
};

/* Longer than what a lane has of this turn. */
static void dawdle(void)
{
    int64_t start_us = clock_mono_us();
    int64_t light_us = start_us - loop.now_us;
    int64_t end_us = start_us + (light_us > 1000 ? light_us : 1000);
    while (clock_mono_us() < end_us) {
    }
}

static void on_io(struct io *io, uint32_t events)
{
    struct end *end = container_of(io, struct end, io);
    end->runs++;
    end->events = events;
    note(end->name);
    if (io->lane != LANE_LIGHT)
        dawdle();
    if (end->victim)
        loop_close(&loop, &end->victim->io);
    if (end->again)
        loop_again(&loop, io, EPOLLIN);
}

static void end_open(struct end *end)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *end = (struct end){.peer = fds[1], .name = 'i'};
    io_init(&end->io, fds[0], on_io);
    assert_true(loop_add(&loop, &end->io));
    loop_turn(&loop, 0); // The first edge says that it is writable.
    end->runs = 0;
    order[0] = '\0';
}

static void end_close(struct end *end)
{
    loop_close(&loop, &end->io);
    close(end->peer);
}

static void say(struct end *end)
{
    assert_int_equal(write(end->peer, "x", 1), 1);
}

static void edges_come_once(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    say(&end);
    loop_turn(&loop, 100);
    loop_turn(&loop, 0);
    assert_int_equal(end.runs, 1);
    assert_true(end.events & EPOLLIN);
    say(&end);
    loop_turn(&loop, 100);
    assert_int_equal(end.runs, 2);
    end_close(&end);
}

static void levels_come_until_they_are_silenced(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct end end = {.peer = fds[1], .name = 'i'};
    io_init(&end.io, fds[0], on_io);
    assert_true(loop_add_level(&loop, &end.io, EPOLLIN));
    say(&end);
    loop_turn(&loop, 100);
    loop_turn(&loop, 100);
    assert_int_equal(end.runs, 2);
    assert_true(loop_change_level(&loop, &end.io, 0));
    loop_turn(&loop, 0);
    assert_int_equal(end.runs, 2);
    assert_true(loop_change_level(&loop, &end.io, EPOLLIN));
    loop_turn(&loop, 100);
    assert_int_equal(end.runs, 3);
    // Somebody else has the descriptor open too: closing must still end its events.
    int copy = dup(end.io.fd);
    loop_close(&loop, &end.io);
    loop_turn(&loop, 0);
    assert_int_equal(end.runs, 3);
    close(copy);
    close(end.peer);
}

static void a_closed_io_gets_no_event_of_the_same_batch(void **state)
{
    (void)state;
    struct end ends[2];
    end_open(&ends[0]);
    end_open(&ends[1]);
    ends[0].victim = &ends[1];
    ends[1].victim = &ends[0];
    say(&ends[0]);
    say(&ends[1]);
    loop_turn(&loop, 100);
    assert_int_equal(ends[0].runs + ends[1].runs, 1);
    end_close(&ends[0]);
    end_close(&ends[1]);
}

static void a_closed_io_does_not_run_again(void **state)
{
    (void)state;
    struct end ends[2];
    end_open(&ends[0]);
    end_open(&ends[1]);
    loop_again(&loop, &ends[0].io, EPOLLIN);
    loop_again(&loop, &ends[1].io, EPOLLIN);
    ends[0].victim = &ends[1];
    loop_turn(&loop, 100);
    assert_int_equal(ends[0].runs, 1);
    assert_int_equal(ends[1].runs, 0);
    end_close(&ends[0]);
    end_close(&ends[1]);
}

static void again_runs_next_turn_without_waiting(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    end.again = true;
    say(&end);
    loop_turn(&loop, 100);
    assert_int_equal(end.runs, 1);
    int64_t before = clock_mono_ms();
    loop_turn(&loop, 5000);
    loop_turn(&loop, 5000);
    assert_true(clock_mono_ms() - before < 1000);
    assert_int_equal(end.runs, 3);
    assert_int_equal(end.events, EPOLLIN);
    end_close(&end);
}

static void again_and_an_event_are_one_run(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    loop_again(&loop, &end.io, EPOLLPRI);
    loop_again(&loop, &end.io, EPOLLRDHUP);
    say(&end);
    loop_turn(&loop, 100);
    assert_int_equal(end.runs, 1);
    assert_true((end.events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) ==
                (EPOLLIN | EPOLLPRI | EPOLLRDHUP));
    loop_turn(&loop, 0);
    assert_int_equal(end.runs, 1);
    end_close(&end);
}

static void slow_open(struct end *end, char name, enum io_lane lane)
{
    end_open(end);
    end->io.lane = lane;
    end->name = name;
}

static void each_lane_has_its_share_of_every_turn(void **state)
{
    (void)state;
    struct end a, b, c, d, light;
    slow_open(&a, 'a', LANE_BULK);
    slow_open(&b, 'b', LANE_BULK);
    slow_open(&c, 'c', LANE_BULK);
    slow_open(&d, 'd', LANE_HEAVY);
    end_open(&light);
    say(&a);
    say(&b);
    say(&c);
    say(&d);
    a.again = d.again = true;
    for (int i = 0; i < 5; i++) {
        say(&light);
        loop_turn(&loop, 1000);
    }
    // One of each, in order, behind all that are light.
    assert_string_equal(order, "iadibdicdiadiad");
    end_close(&a);
    end_close(&b);
    end_close(&c);
    end_close(&d);
    end_close(&light);
}

static void an_event_does_not_cost_its_place(void **state)
{
    (void)state;
    struct end a, b;
    slow_open(&a, 'a', LANE_BULK);
    slow_open(&b, 'b', LANE_BULK);
    say(&a);
    say(&b);
    loop_turn(&loop, 1000);
    say(&b);
    say(&a);
    loop_turn(&loop, 1000);
    loop_turn(&loop, 1000);
    loop_turn(&loop, 0);
    assert_string_equal(order, "aba"); // b's two events were one run.
    assert_true(b.events & EPOLLIN);
    end_close(&a);
    end_close(&b);
}

static void who_is_closed_in_its_lane_does_not_run(void **state)
{
    (void)state;
    struct end a, b, c;
    slow_open(&a, 'a', LANE_BULK);
    slow_open(&b, 'b', LANE_BULK);
    slow_open(&c, 'c', LANE_BULK);
    a.victim = &b;
    say(&a);
    say(&b);
    say(&c);
    loop_turn(&loop, 1000);
    loop_remove(&loop, &c.io);
    loop_turn(&loop, 0);
    assert_string_equal(order, "a");
    end_close(&a);
    end_close(&b);
    close(c.io.fd);
    close(c.peer);
}

static void removed_is_not_closed(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    loop_again(&loop, &end.io, EPOLLIN);
    loop_remove(&loop, &end.io);
    say(&end);
    loop_turn(&loop, 0);
    assert_int_equal(end.runs, 0);
    char byte;
    assert_int_equal(read(end.io.fd, &byte, 1), 1);
    close(end.io.fd);
    close(end.peer);
}

struct thing {
    struct timer timer;
    struct letter letter;
    struct turn_hook hook;
    struct grave grave;
    int hooks;
};

static void on_timer(struct timer *timer)
{
    (void)timer;
    note('t');
}

static void on_letter(struct letter *letter, void *receiver)
{
    (void)letter;
    (void)receiver;
    note('l');
}

static void on_hook(struct turn_hook *hook)
{
    struct thing *thing = container_of(hook, struct thing, hook);
    note('h');
    if (--thing->hooks > 0)
        loop_at_turn_end(&loop, hook);
}

static void on_grave(struct grave *grave)
{
    (void)grave;
    note('g');
}

static void a_turn_has_its_order(void **state)
{
    (void)state;
    struct end end, again;
    end_open(&end);
    end_open(&again);
    struct thing thing = {.letter.deliver = on_letter, .hook.fn = on_hook, .grave.fn = on_grave};
    timer_init(&thing.timer, on_timer);
    list_init(&thing.hook.node);
    loop_bury(&loop, &thing.grave);
    loop_at_turn_end(&loop, &thing.hook);
    loop_at_turn_end(&loop, &thing.hook);
    loop_again(&loop, &again.io, EPOLLIN);
    say(&end);
    mailbox_post(&loop.mailbox, &thing.letter);
    loop_timer_start(&loop, &thing.timer, 0);
    loop_turn(&loop, 100);
    assert_string_equal(order, "tliihg");
    assert_int_equal(end.runs + again.runs, 2);
    end_close(&end);
    end_close(&again);
}

static void a_hook_that_comes_back_is_not_forgotten(void **state)
{
    (void)state;
    struct thing thing = {.hook.fn = on_hook, .hooks = 3};
    list_init(&thing.hook.node);
    loop_at_turn_end(&loop, &thing.hook);
    for (int i = 0; i < 3; i++)
        loop_turn(&loop, -1); // Would wait for ever if it were.
    assert_string_equal(order, "hhh");
    assert_true(list_single(&thing.hook.node));
}

static void fini_buries_the_last(void **state)
{
    (void)state;
    struct loop own;
    struct thing thing = {.grave.fn = on_grave, .letter.deliver = on_letter};
    assert_true(loop_init(&own, NULL));
    loop_bury(&own, &thing.grave);
    mailbox_post(&own.mailbox, &thing.letter);
    loop_fini(&own);
    assert_string_equal(order, "lg");
}

static void timers_are_not_early_and_hardly_late(void **state)
{
    (void)state;
    struct thing thing;
    timer_init(&thing.timer, on_timer);
    int64_t start_us = loop.now_us;
    loop_timer_start(&loop, &thing.timer, 20);
    int turns = 0;
    while (!order[0]) {
        loop_turn(&loop, -1);
        turns++;
    }
    assert_true(loop.now_us >= start_us / 1000 * 1000 + 20000);
    assert_true(turns <= 4); // Slots of upper levels may come by; nothing spins.
}

static void *post_soon(void *letter)
{
    struct timespec soon = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&soon, NULL);
    mailbox_post(&loop.mailbox, letter);
    return NULL;
}

static void stop_letter(struct letter *letter, void *receiver)
{
    (void)letter;
    (void)receiver;
    loop_stop(&loop);
}

static void a_letter_wakes_and_stops_the_loop(void **state)
{
    (void)state;
    struct letter letter = {.deliver = stop_letter};
    pthread_t thread;
    assert_true(thread_start(&thread, "poster", post_soon, &letter));
    loop_run(&loop);
    pthread_join(thread, NULL);
    assert_true(loop.turns >= 1);
}

static void a_turn_after_a_long_hold_up_is_late(void **state)
{
    (void)state;
    struct thing thing;
    timer_init(&thing.timer, on_timer);
    loop_timer_start(&loop, &thing.timer, 10);
    loop_turn(&loop, 0);
    assert_true(loop.woke_late_ms < 100);
    struct timespec held = {.tv_nsec = 150 * 1000 * 1000};
    nanosleep(&held, NULL); // What a stopped process looks like from inside.
    loop_turn(&loop, -1);
    assert_true(loop.woke_late_ms >= 100);
    assert_string_equal(order, "t");
    loop_turn(&loop, 0);
    assert_true(loop.woke_late_ms < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(edges_come_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(levels_come_until_they_are_silenced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_io_gets_no_event_of_the_same_batch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_closed_io_does_not_run_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(again_runs_next_turn_without_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(again_and_an_event_are_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_lane_has_its_share_of_every_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_does_not_cost_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_closed_in_its_lane_does_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_is_not_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_has_its_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hook_that_comes_back_is_not_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fini_buries_the_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timers_are_not_early_and_hardly_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_letter_wakes_and_stops_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_after_a_long_hold_up_is_late, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
