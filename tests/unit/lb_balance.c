// SPDX-License-Identifier: Apache-2.0
/* Who gets a request without an owner. */
#include "lb/balance.h"
#include "lb_backend.h"

#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A backend with one worker's view of it. */
struct table {
    struct fixture f;
    struct rng rng;
    struct balance_state state;
    struct balance_input input;
};

static void table_open(struct table *t, enum balance_kind kind)
{
    t->f.config.opt.balance = kind;
    fixture_open(&t->f);
    rng_seed(&t->rng, 42);
    assert_true(balance_state_init(&t->state, t->f.backend, &t->rng));
    t->input = (struct balance_input){.rng = &t->rng, .state = &t->state};
}

static void table_close(struct table *t)
{
    balance_state_fini(&t->state);
    fixture_close(&t->f);
}

/* The index of the one chosen, -1 full, -2 none. */
static int choose(struct table *t)
{
    struct server *server;
    switch (balance_choose(t->f.backend, &t->input, &server)) {
    case BALANCE_CHOSEN:
        return server->index;
    case BALANCE_FULL:
        assert_null(server);
        return -1;
    case BALANCE_NONE:
        assert_null(server);
        return -2;
    }
    return -3;
}

/* One that is chosen and stays, as a session would. */
static int choose_and_load(struct table *t)
{
    int index = choose(t);
    if (index >= 0)
        atomic_fetch_add(&t->f.backend->servers[index]->loose, 1);
    return index;
}

static void down(struct table *t, int index)
{
    atomic_store(&t->f.backend->servers[index]->health, SERVER_DOWN);
}

static void leastconn_levels(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 3);
    t.f.servers[1].opt.weight = 2;
    table_open(&t, BALANCE_LEASTCONN);
    for (int i = 0; i < 400; i++)
        assert_true(choose_and_load(&t) >= 0);
    assert_in_range(t.f.backend->servers[0]->loose, 99, 101);
    assert_in_range(t.f.backend->servers[1]->loose, 199, 201);
    assert_in_range(t.f.backend->servers[2]->loose, 99, 101);
    assert_int_equal(t.f.backend->servers[0]->inflight, t.f.backend->servers[0]->loose); // taken
    // one that comes back empty gets all until it is level
    atomic_store(&t.f.backend->servers[2]->loose, 0);
    for (int i = 0; i < 90; i++)
        assert_int_equal(choose_and_load(&t), 2);
    table_close(&t);
}

static void leastconn_spreads_ties(void **state)
{
    (void)state;
    struct table t;
    int counts[4] = {0};
    fixture_init(&t.f, 4);
    table_open(&t, BALANCE_LEASTCONN);
    for (int i = 0; i < 400; i++)
        counts[choose(&t)]++; // nobody's load changes
    for (int i = 0; i < 4; i++)
        assert_int_equal(counts[i], 100);
    table_close(&t);
}

static void leastconn_counts_live_sids(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 2);
    table_open(&t, BALANCE_LEASTCONN);
    sidmap_bind(t.f.backend->sids, SPAN("a"), t.f.backend->servers[0]->sid_id, 1000, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(choose(&t), 1);
    sidmap_expire(t.f.backend->sids, 100000, 10);
    assert_true(choose(&t) != choose(&t));
    table_close(&t);
}

static void roundrobin_is_smooth(void **state)
{
    (void)state;
    struct table t;
    int counts[3] = {0}, run = 0, last = -1, longest = 0;
    fixture_init(&t.f, 3);
    t.f.servers[0].opt.weight = 5;
    table_open(&t, BALANCE_ROUNDROBIN);
    for (int i = 0; i < 700; i++) {
        int index = choose(&t);
        counts[index]++;
        run = index == last ? run + 1 : 1;
        last = index;
        longest = run > longest ? run : longest;
    }
    assert_int_equal(counts[0], 500);
    assert_int_equal(counts[1], 100);
    assert_int_equal(counts[2], 100);
    assert_in_range(longest, 1, 4); // not 5 in a row, then one each
    down(&t, 0);
    int first = choose(&t);
    for (int i = 0; i < 10; i++)
        assert_int_equal(choose(&t), i % 2 ? first : 3 - first);
    table_close(&t);
}

static void random_takes_the_better_of_two(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 8);
    table_open(&t, BALANCE_RANDOM);
    for (int i = 0; i < 8000; i++)
        assert_true(choose_and_load(&t) >= 0);
    for (int i = 0; i < 8; i++)
        assert_in_range(t.f.backend->servers[i]->loose, 980, 1020);
    // the most loaded of all is never the better of two
    atomic_fetch_add(&t.f.backend->servers[3]->loose, 1000);
    for (int i = 0; i < 500; i++)
        assert_int_not_equal(choose(&t), 3);
    table_close(&t);
}

static void random_heeds_weights(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 3);
    t.f.servers[2].opt.weight = 4;
    table_open(&t, BALANCE_RANDOM);
    for (int i = 0; i < 6000; i++)
        assert_true(choose_and_load(&t) >= 0);
    assert_in_range(t.f.backend->servers[2]->loose, 3800, 4200);
    table_close(&t);
}

static uint64_t key(unsigned number)
{
    return hash_stable(span_of((const char *)&number, sizeof(number)));
}

static void hash_moves_only_who_must(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    static int8_t before[KEYS];
    struct table t;
    int counts[5] = {0};
    fixture_init(&t.f, 5);
    t.f.servers[4].opt.weight = 2;
    table_open(&t, BALANCE_HASH);
    for (unsigned i = 0; i < KEYS; i++) {
        t.input.key_hash = key(i);
        before[i] = (int8_t)choose(&t);
        assert_int_equal(choose(&t), before[i]); // always the same
        counts[before[i]]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(counts[i], KEYS / 6 - 300, KEYS / 6 + 300);
    assert_in_range(counts[4], KEYS / 3 - 400, KEYS / 3 + 400);

    down(&t, 2);
    for (unsigned i = 0; i < KEYS; i++) {
        t.input.key_hash = key(i);
        int now = choose(&t);
        if (before[i] != 2)
            assert_int_equal(now, before[i]);
        else
            assert_true(now >= 0 && now != 2);
    }
    table_close(&t);
}

/* The order in the file, and other names that come and go, change nothing: balancers agree without
 * talking. */
static void hash_depends_on_names_only(void **state)
{
    (void)state;
    struct table a, b;
    fixture_init(&a.f, 4);
    fixture_init(&b.f, 4);
    for (size_t i = 0; i < 4; i++)
        snprintf(b.f.names[i], sizeof(b.f.names[i]), "app%u", (unsigned)(3 - i));
    table_open(&a, BALANCE_SOURCE);
    table_open(&b, BALANCE_SOURCE);
    for (unsigned i = 0; i < 1000; i++) {
        a.input.source_hash = b.input.source_hash = key(i);
        assert_int_equal(choose(&a), 3 - choose(&b));
    }
    table_close(&a);
    table_close(&b);
}

static void hash_goes_on_when_full(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 3);
    for (int i = 0; i < 3; i++)
        t.f.servers[i].opt.max_connections = 2;
    table_open(&t, BALANCE_SOURCE);
    t.input.source_hash = key(1);
    int seen[6];
    for (int i = 0; i < 6; i++)
        seen[i] = choose(&t);
    assert_int_equal(seen[0], seen[1]);
    assert_int_equal(seen[2], seen[3]);
    assert_int_equal(seen[4], seen[5]);
    assert_true(seen[0] != seen[2] && seen[2] != seen[4] && seen[0] != seen[4]);
    assert_int_equal(choose(&t), -1);
    server_leave(t.f.backend->servers[seen[4]]);
    assert_int_equal(choose(&t), seen[4]);
    table_close(&t);
}

static const enum balance_kind kinds[] = {BALANCE_LEASTCONN, BALANCE_ROUNDROBIN, BALANCE_RANDOM,
                                          BALANCE_SOURCE, BALANCE_HASH};

static void only_who_may(void **state)
{
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct table t;
        fixture_init(&t.f, 6);
        t.f.servers[3].opt.weight = 0;
        table_open(&t, kinds[k]);
        down(&t, 0);
        atomic_store(&t.f.backend->servers[1]->admin, SERVER_DRAIN);
        atomic_store(&t.f.backend->servers[2]->admin, SERVER_MAINT);
        t.input.tried[t.input.tried_count++] = t.f.backend->servers[4];
        for (unsigned i = 0; i < 50; i++) {
            t.input.key_hash = t.input.source_hash = key(i);
            assert_int_equal(choose(&t), 5);
        }
        t.input.tried[t.input.tried_count++] = t.f.backend->servers[5];
        assert_int_equal(choose(&t), -2);
        table_close(&t);
    }
}

static void backups_only_when_no_other(void **state)
{
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct table t;
        fixture_init(&t.f, 4);
        t.f.servers[0].opt.backup = true;
        t.f.servers[3].opt.backup = true;
        t.f.servers[1].opt.max_connections = 10;
        table_open(&t, kinds[k]);
        down(&t, 2);
        for (unsigned i = 0; i < 10; i++) {
            t.input.key_hash = t.input.source_hash = key(i);
            assert_int_equal(choose(&t), 1);
        }
        assert_int_equal(choose(&t), -1); // full is not down
        t.input.tried[t.input.tried_count++] = t.f.backend->servers[1];
        int index = choose(&t); // but one that failed for this request is no choice
        assert_true(index == 0 || index == 3);
        t.input.tried_count = 0;
        down(&t, 1);
        index = choose(&t);
        assert_true(index == 0 || index == 3);
        down(&t, 0);
        down(&t, 3);
        assert_int_equal(choose(&t), -2);
        table_close(&t);
    }
}

static void who_missed_a_redis_failover_waits(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 3);
    t.f.servers[2].opt.backup = true;
    t.f.servers[1].opt.max_connections = 1;
    table_open(&t, BALANCE_ROUNDROBIN);
    struct server **servers = t.f.backend->servers;
    atomic_store(&servers[0]->stale, true);
    assert_true(server_held(t.f.backend, servers[0]));
    assert_int_equal(choose(&t), 1);
    assert_int_equal(choose(&t), -1); // full: it is waited for
    down(&t, 1);
    assert_int_equal(choose(&t), 2); // a backup that has followed
    atomic_store(&servers[2]->stale, true);
    assert_false(server_held(t.f.backend, servers[0]));
    assert_int_equal(choose(&t), 0); // all have missed it
    table_close(&t);
}

static void no_servers_at_all(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 0);
    table_open(&t, BALANCE_LEASTCONN);
    assert_int_equal(choose(&t), -2);
    assert_null(balance_rendezvous(t.f.backend, 1, NULL));
    table_close(&t);
}

static void rendezvous_takes_nothing(void **state)
{
    (void)state;
    struct table t;
    fixture_init(&t.f, 3);
    for (int i = 0; i < 3; i++)
        t.f.servers[i].opt.max_connections = 1;
    table_open(&t, BALANCE_SOURCE);
    struct server *server = balance_rendezvous(t.f.backend, key(5), NULL);
    assert_non_null(server);
    assert_int_equal(server->inflight, 0);
    t.input.source_hash = key(5);
    assert_int_equal(choose(&t), server->index);
    assert_ptr_equal(balance_rendezvous(t.f.backend, key(5), NULL), server); // full or not
    t.input.tried[t.input.tried_count++] = server;
    assert_true(balance_rendezvous(t.f.backend, key(5), &t.input) != server);
    atomic_store(&server->admin, SERVER_DRAIN);
    assert_true(balance_rendezvous(t.f.backend, key(5), NULL) != server);
    table_close(&t);
}

struct racer {
    struct backend *backend;
    _Atomic int *chosen;
    uint64_t seed;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    struct rng rng;
    struct balance_state state;
    struct server *server;
    rng_seed(&rng, racer->seed);
    assert_true(balance_state_init(&state, racer->backend, &rng));
    struct balance_input input = {.rng = &rng, .state = &state};
    while (balance_choose(racer->backend, &input, &server) == BALANCE_CHOSEN)
        atomic_fetch_add(racer->chosen, 1);
    balance_state_fini(&state);
    return NULL;
}

/* Many workers fill all places, and not one more. */
static void places_are_given_once(void **state)
{
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct fixture f;
        _Atomic int chosen = 0;
        struct racer racers[4];
        pthread_t threads[4];
        fixture_init(&f, 4);
        f.config.opt.balance = kinds[k];
        for (int i = 0; i < 4; i++)
            f.servers[i].opt.max_connections = 2000;
        fixture_open(&f);
        for (int i = 0; i < 4; i++) {
            racers[i] = (struct racer){f.backend, &chosen, (uint64_t)i};
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(chosen, 8000);
        for (int i = 0; i < 4; i++)
            assert_int_equal(f.backend->servers[i]->inflight, 2000);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leastconn_levels),
        cmocka_unit_test(leastconn_spreads_ties),
        cmocka_unit_test(leastconn_counts_live_sids),
        cmocka_unit_test(roundrobin_is_smooth),
        cmocka_unit_test(random_takes_the_better_of_two),
        cmocka_unit_test(random_heeds_weights),
        cmocka_unit_test(hash_moves_only_who_must),
        cmocka_unit_test(hash_depends_on_names_only),
        cmocka_unit_test(hash_goes_on_when_full),
        cmocka_unit_test(only_who_may),
        cmocka_unit_test(backups_only_when_no_other),
        cmocka_unit_test(who_missed_a_redis_failover_waits),
        cmocka_unit_test(no_servers_at_all),
        cmocka_unit_test(rendezvous_takes_nothing),
        cmocka_unit_test(places_are_given_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
