// SPDX-License-Identifier: Apache-2.0
/* Listeners and workers: who is admitted, who waits, who is sent away, and how a worker stops. */
#include "lb/worker.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/lb_serving.h"

#define BACKEND "backends: {b: {servers: [\"127.0.0.1:1\"], health: {tcp: false}}}\n"
#define PLAIN   "frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n" BACKEND

static int64_t connections(struct fixture *f)
{
    return atomic_load(&f->serving.client_connections);
}

/* Has the other side closed this connection? */
static bool closed(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&poller, 1, 0) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void a_connection_is_counted_until_it_closes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PLAIN, 1);
    struct frontend *frontend = &f.serving.snapshot->frontends[0];
    int client = fixture_connect(&f);
    fixture_turns(f.serving.workers, 3);
    assert_int_equal(connections(&f), 1);
    assert_int_equal(atomic_load(&frontend->home->connections), 1);
    assert_int_equal(atomic_load(&f.serving.workers[0].flows_now), 1);
    close(client);
    fixture_turns(f.serving.workers, 3);
    assert_int_equal(connections(&f), 0);
    assert_int_equal(atomic_load(&frontend->home->connections), 0);
    assert_int_equal(atomic_load(&frontend->home->connections_max), 1);
    assert_int_equal(atomic_load(&f.serving.client_connections_max), 1);
    assert_int_equal(atomic_load(&f.serving.total_connections), 1);
    fixture_close(&f);
}

static void a_full_process_lets_them_wait(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PLAIN, 1);
    struct worker *worker = f.serving.workers;
    f.serving.max_connections = 2;
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = fixture_connect(&f);
    fixture_turns(worker, 5);
    assert_int_equal(connections(&f), 2);
    assert_int_equal(worker->listeners_paused, 1);
    assert_false(closed(clients[2]));
    // A pause is silence: no turn comes by itself before the retry.
    uint64_t turns = worker->loop.turns;
    loop_turn(&worker->loop, 20);
    loop_turn(&worker->loop, 20);
    assert_int_equal(worker->loop.turns, turns + 2);

    close(clients[0]);
    fixture_turns(worker, 3);
    assert_int_equal(connections(&f), 2);
    assert_int_equal(atomic_load(&f.serving.total_connections), 3);
    close(clients[1]);
    close(clients[2]);
    fixture_turns(worker, 3);
    assert_int_equal(connections(&f), 0);
    assert_int_equal(worker->listeners_paused, 0);
    fixture_close(&f);
}

static void another_workers_place_is_found_by_the_retry(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PLAIN, 1);
    struct worker *worker = f.serving.workers;
    f.serving.max_connections = 1;
    atomic_store(&f.serving.client_connections, 1); // Another worker's.
    int client = fixture_connect(&f);
    fixture_turns(worker, 3);
    assert_int_equal(worker->listeners_paused, 1);
    atomic_store(&f.serving.client_connections, 0);
    int64_t until = clock_mono_ms() + 2000;
    while (atomic_load(&f.serving.total_connections) == 0 && clock_mono_ms() < until)
        loop_turn(&worker->loop, 50);
    assert_int_equal(connections(&f), 1);
    close(client);
    fixture_close(&f);
}

static void a_full_frontend_sends_them_away(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(
        &f, "frontends: {f: {listen: \"127.0.0.1:0\", max_connections: 1, backend: b}}\n" BACKEND,
        1);
    struct worker *worker = f.serving.workers;
    struct frontend *frontend = &f.serving.snapshot->frontends[0];
    int first = fixture_connect(&f);
    int second = fixture_connect(&f);
    fixture_turns(worker, 3);
    assert_int_equal(connections(&f), 1);
    assert_false(closed(first));
    assert_true(closed(second));
    assert_int_equal(counter_get(worker_stats(worker, frontend->stat_id), COUNTER_CONNS_DENIED), 1);
    assert_int_equal(atomic_load(&frontend->home->connections), 1);
    close(first);
    close(second);
    fixture_close(&f);
}

static void an_address_with_too_many_is_sent_away(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f,
                 "frontends: {f: {listen: \"127.0.0.1:0\", backend: b,\n"
                 "  rate_limit: {connections_per_ip: 1}}}\n" BACKEND,
                 1);
    struct worker *worker = f.serving.workers;
    int first = fixture_connect(&f);
    int second = fixture_connect(&f);
    fixture_turns(worker, 3);
    assert_int_equal(connections(&f), 1);
    assert_true(closed(second));
    close(first);
    fixture_turns(worker, 3);
    int third = fixture_connect(&f);
    fixture_turns(worker, 3);
    assert_false(closed(third));
    close(second);
    close(third);
    fixture_close(&f);
}

/* Lowers the limit on descriptors so that the next one fails; returns what it was. */
static rlim_t no_more_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void without_descriptors_it_pauses_and_tries_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PLAIN, 1);
    struct worker *worker = f.serving.workers;
    int client = fixture_connect(&f);
    rlim_t before = no_more_descriptors();
    fixture_turns(worker, 3);
    assert_int_equal(connections(&f), 0);
    assert_int_equal(worker->listeners_paused, 1);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
    int64_t until = clock_mono_ms() + 2000;
    while (connections(&f) == 0 && clock_mono_ms() < until)
        loop_turn(&worker->loop, 50);
    assert_int_equal(connections(&f), 1);
    close(client);
    fixture_close(&f);
}

static void a_stop_accepts_who_waits_and_closes_the_door(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PLAIN, 1);
    struct worker *worker = f.serving.workers;
    int client = fixture_connect(&f);
    worker_order(worker, ORDER_STOP, 0);
    fixture_turns(worker, 3);
    assert_true(atomic_load(&worker->stop_begun));
    assert_true(worker->stopping);
    assert_int_equal(atomic_load(&f.serving.total_connections), 1);
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct addr *addr = &f.bindings.list[0].addr;
    assert_int_equal(connect(late, &addr->any, addr->len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(late);
    close(client);
    fixture_close(&f);
}

static void workers_start_and_quit(void **state)
{
    (void)state;
    enum { WORKERS = 4 };
    struct fixture f;
    fixture_open(&f, PLAIN, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        assert_true(worker_start(&f.serving.workers[i]));
    int clients[16];
    for (size_t i = 0; i < array_len(clients); i++)
        clients[i] = fixture_connect(&f);
    int64_t until = clock_mono_ms() + 5000;
    while (connections(&f) < (int64_t)array_len(clients) && clock_mono_ms() < until)
        usleep(1000);
    assert_int_equal(connections(&f), array_len(clients));
    for (int i = 0; i < WORKERS; i++)
        worker_order(&f.serving.workers[i], ORDER_QUIT, 0);
    for (int i = 0; i < WORKERS; i++)
        worker_join(&f.serving.workers[i]);
    assert_int_equal(connections(&f), 0);
    for (size_t i = 0; i < array_len(clients); i++)
        close(clients[i]);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_counted_until_it_closes),
        cmocka_unit_test(a_full_process_lets_them_wait),
        cmocka_unit_test(another_workers_place_is_found_by_the_retry),
        cmocka_unit_test(a_full_frontend_sends_them_away),
        cmocka_unit_test(an_address_with_too_many_is_sent_away),
        cmocka_unit_test(without_descriptors_it_pauses_and_tries_again),
        cmocka_unit_test(a_stop_accepts_who_waits_and_closes_the_door),
        cmocka_unit_test(workers_start_and_quit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
