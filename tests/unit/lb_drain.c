// SPDX-License-Identifier: Apache-2.0
/* The pacing of a graceful stop: workers that only count what they are told. */
#include "lb/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

enum { WORKERS = 2 };

struct stage {
    struct serving serving;
    struct worker workers[WORKERS];
    struct loop loop;
    struct drain *drain;
    size_t kicked[WORKERS];
    unsigned told[WORKERS];
    bool done;
};

static void obey(struct letter *letter, void *receiver)
{
    (void)letter;
    (void)receiver;
}

static void stage_done(void *ctx)
{
    struct stage *stage = ctx;
    stage->done = true;
}

static void stage_open(struct stage *stage, int64_t tunnels, int64_t polls)
{
    memset((void *)stage, 0, sizeof(*stage));
    stage->serving.workers = stage->workers;
    stage->serving.worker_count = WORKERS;
    assert_true(loop_init(&stage->loop, stage));
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &stage->workers[i];
        assert_true(mailbox_init(&worker->loop.mailbox, worker));
        worker->orders.letter.deliver = obey;
        atomic_store(&worker->tunnels_now, tunnels);
        atomic_store(&worker->polls_now, polls);
        atomic_store(&worker->flows_now, tunnels + polls);
    }
    stage->drain = drain_new(&stage->serving, &stage->loop, stage_done, stage);
}

static void stage_close(struct stage *stage)
{
    drain_free(stage->drain);
    for (int i = 0; i < WORKERS; i++)
        mailbox_fini(&stage->workers[i].loop.mailbox);
    loop_fini(&stage->loop);
}

/* Does what a worker does with its orders: the first kicks end polls, the others tunnels. */
static void stage_obey(struct stage *stage)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &stage->workers[i];
        unsigned what = atomic_exchange(&worker->orders.what, 0);
        size_t kicks = atomic_exchange(&worker->orders.kicks, 0);
        mailbox_deliver(&worker->loop.mailbox);
        stage->told[i] |= what;
        stage->kicked[i] += kicks;
        if (what & ORDER_STOP)
            atomic_store(&worker->stop_begun, true);
        for (; kicks > 0; kicks--) {
            bool poll = atomic_load(&worker->polls_now) > 0;
            atomic_fetch_sub(poll ? &worker->polls_now : &worker->tunnels_now, 1);
            atomic_fetch_sub(&worker->flows_now, 1);
        }
        if (what & ORDER_END)
            atomic_store(&worker->flows_now, 0);
    }
}

static void stage_run(struct stage *stage, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    while (!stage->done && clock_mono_ms() < until) {
        loop_turn(&stage->loop, 5);
        stage_obey(stage);
    }
}

static void nobody_there_is_over_at_once(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 0, 0);
    assert_false(drain_begun(stage.drain));
    drain_begin(stage.drain, 30000);
    assert_true(drain_begun(stage.drain));
    assert_true(atomic_load(&stage.serving.stopping));
    stage_run(&stage, 2000);
    assert_true(stage.done);
    assert_int_equal(stage.told[0], ORDER_STOP);
    stage_close(&stage);
}

static void it_waits_until_listeners_are_closed(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 0, 0);
    drain_begin(stage.drain, 30000);
    for (int i = 0; i < 20; i++)
        loop_turn(&stage.loop, 5); // Nobody obeys.
    assert_false(stage.done);
    stage_run(&stage, 2000);
    assert_true(stage.done);
    stage_close(&stage);
}

static void sessions_go_evenly_over_half_of_the_grace(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 60, 40);
    drain_begin(stage.drain, 2000);
    stage_run(&stage, 500);
    // Half of the time in which all go: about half of them, from both workers.
    for (int i = 0; i < WORKERS; i++)
        assert_in_range(stage.kicked[i], 25, 75);
    stage_run(&stage, 5000);
    assert_true(stage.done);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(stage.kicked[i], 100);
        assert_int_equal(stage.told[i] & ORDER_END, 0);
    }
    stage_close(&stage);
}

static void few_sessions_are_gone_soon(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 2, 1);
    int64_t began = clock_mono_ms();
    drain_begin(stage.drain, 60000);
    stage_run(&stage, 10000);
    assert_true(stage.done);
    assert_true(clock_mono_ms() - began < 5000);
    stage_close(&stage);
}

static void what_does_not_end_is_ended_after_grace(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 0, 0);
    atomic_store(&stage.workers[1].flows_now, 1); // An exchange that takes its time.
    drain_begin(stage.drain, 200);
    stage_run(&stage, 100);
    assert_false(stage.done);
    stage_run(&stage, 2000);
    assert_true(stage.done);
    assert_true(stage.told[1] & ORDER_END);
    stage_close(&stage);
}

static void it_can_be_cut_short(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1000, 0);
    drain_begin(stage.drain, 60000);
    stage_run(&stage, 50);
    drain_cut(stage.drain);
    stage_run(&stage, 2000);
    assert_true(stage.done);
    assert_true(stage.told[0] & ORDER_END);
    stage_close(&stage);
}

static void it_leaves_even_if_something_stays(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, 0);
    drain_begin(stage.drain, 0);
    int64_t until = clock_mono_ms() + 5000;
    while (!stage.done && clock_mono_ms() < until)
        loop_turn(&stage.loop, 50); // Nobody obeys.
    assert_true(stage.done);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_there_is_over_at_once),
        cmocka_unit_test(it_waits_until_listeners_are_closed),
        cmocka_unit_test(sessions_go_evenly_over_half_of_the_grace),
        cmocka_unit_test(few_sessions_are_gone_soon),
        cmocka_unit_test(what_does_not_end_is_ended_after_grace),
        cmocka_unit_test(it_can_be_cut_short),
        cmocka_unit_test(it_leaves_even_if_something_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
