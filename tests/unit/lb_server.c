// SPDX-License-Identifier: Apache-2.0
/* Servers and backends: places, load, ids, what survives. */
#include "lb_backend.h"

#include "base/clock.h"
#include "base/rand.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void begins_usable(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    f.servers[1].opt.weight = 4;
    f.servers[1].opt.max_connections = 7;
    f.servers[2].opt.weight = 0;
    fixture_open(&f);
    assert_non_null(f.backend);
    assert_int_equal(f.backend->server_count, 3);
    struct server *server = f.backend->servers[1];
    assert_string_equal(server->name, "app1");
    assert_int_equal(server->index, 1);
    assert_int_equal(server->stat_id, 12); // the backend has 10, its servers follow
    assert_int_equal(server->weight_now, 4 * SERVER_WEIGHT_SCALE);
    assert_int_equal(server->max_connections, 7);
    assert_true(server->name_hash == hash_stable(SPAN("app1")));
    assert_true(server_usable(server));
    assert_true(server_alive(f.backend->servers[2]));
    assert_false(server_usable(f.backend->servers[2])); // weight 0
    atomic_store(&server->admin, SERVER_DRAIN);
    assert_true(server_alive(server) && !server_usable(server));
    atomic_store(&server->admin, SERVER_MAINT);
    assert_false(server_alive(server));
    atomic_store(&server->admin, SERVER_READY);
    atomic_store(&server->health, SERVER_DOWN);
    assert_false(server_alive(server));
    fixture_close(&f);

    fixture_init(&f, 1);
    f.config.health_kind = HEALTH_NONE;
    fixture_open(&f);
    assert_int_equal(f.backend->servers[0]->health, SERVER_UNCHECKED);
    assert_true(server_usable(f.backend->servers[0]));
    fixture_close(&f);
}

/* A quarter of a second's worth at once, then at the rate, whoever asks. */
static void handshakes_keep_their_rate(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1);
    f.config.opt.handshake_rate = 20;
    fixture_open(&f);
    int64_t now_us = 5000000;
    int admitted = 0;
    for (int i = 0; i < 50; i++)
        admitted += backend_handshake(f.backend, now_us);
    assert_int_equal(admitted, 5);
    for (; now_us < 5000000 + 2000000; now_us += 1000)
        admitted += backend_handshake(f.backend, now_us);
    assert_in_range(admitted, 5 + 39, 5 + 40);
    f.config.opt.handshake_rate = 1;
    now_us += 60000000;
    assert_true(backend_handshake(f.backend, now_us));
    assert_false(backend_handshake(f.backend, now_us + 999999));
    assert_true(backend_handshake(f.backend, now_us + 1000000));
    f.config.opt.handshake_rate = 0;
    assert_true(backend_handshake(f.backend, now_us));
    fixture_close(&f);
}

static void places_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1);
    f.servers[0].opt.max_connections = 2;
    fixture_open(&f);
    struct server *server = f.backend->servers[0];

    assert_true(server_take(server));
    assert_true(server_take(server));
    assert_true(server_full(server));
    assert_false(server_take(server));
    server_take_over(server); // a known session comes in anyhow
    assert_int_equal(server->inflight, 3);
    assert_int_equal(server->inflight_max, 3);
    server_leave(server);
    assert_true(server_full(server));
    server_leave(server);
    assert_true(server_take(server));
    server_leave(server);
    server_leave(server);
    assert_int_equal(server->inflight, 0);
    assert_int_equal(server->inflight_max, 3);
    atomic_store(&server->max_connections, 0);
    for (int i = 0; i < 100; i++)
        assert_true(server_take(server));
    assert_false(server_full(server));
    fixture_close(&f);
}

static void *take_and_leave(void *arg)
{
    struct server *server = arg;
    for (int i = 0; i < 50000; i++) {
        if (!server_take(server))
            continue;
        assert_true(atomic_load(&server->inflight) <= 3);
        server_leave(server);
    }
    return NULL;
}

static void the_limit_holds_between_threads(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t threads[4];
    fixture_init(&f, 1);
    f.servers[0].opt.max_connections = 3;
    fixture_open(&f);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_leave, f.backend->servers[0]),
                         0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(f.backend->servers[0]->inflight, 0);
    assert_in_range(f.backend->servers[0]->inflight_max, 1, 3);
    fixture_close(&f);
}

static void load_is_sessions_and_the_rest(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2);
    fixture_open(&f);
    struct server *server = f.backend->servers[1];

    sidmap_bind(f.backend->sids, SPAN("one"), server->sid_id, 1000, 0);
    sidmap_bind(f.backend->sids, SPAN("two"), server->sid_id, 1000, 0);
    atomic_store(&server->loose, 3);
    assert_int_equal(server_load(server), 5);
    assert_int_equal(server_load(f.backend->servers[0]), 0);
    fixture_close(&f);
}

static void servers_are_found(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    fixture_open(&f);
    for (size_t i = 0; i < 3; i++) {
        struct server *server = f.backend->servers[i];
        assert_ptr_equal(backend_server(f.backend, span_str(f.names[i])), server);
        assert_ptr_equal(backend_server_by_sid_id(f.backend, server->sid_id), server);
        assert_ptr_equal(backend_server_by_cookie_id(f.backend, server->cookie_id), server);
    }
    assert_null(backend_server(f.backend, SPAN("app")));
    assert_null(backend_server(f.backend, SPAN("app00")));
    assert_null(backend_server_by_sid_id(f.backend, 3));
    assert_null(backend_server_by_sid_id(f.backend, -1));
    assert_null(backend_server_by_sid_id(f.backend, SIDMAP_SERVERS_MAX));
    fixture_close(&f);
}

static void cookies_are_kept_only_when_learned(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1);
    f.config.opt.cookie_mode = COOKIE_INSERT;
    fixture_open(&f);
    assert_null(f.backend->cookies);
    assert_null(backend_server_by_cookie_id(f.backend, f.backend->servers[0]->cookie_id));
    fixture_close(&f);
    fixture_init(&f, 1);
    f.sticky[1] = STICKY_SOURCE;
    fixture_open(&f);
    assert_null(f.backend->cookies);
    fixture_close(&f);
}

/* The serving process crashed, another starts with a changed configuration: ids stay what they
 * were. */
static void tables_survive(void **state)
{
    (void)state;
    struct fixture old, new;
    struct sid_found found;
    fixture_init(&old, 3);
    fixture_open(&old);
    sidmap_bind(old.backend->sids, SPAN("abc"), old.backend->servers[2]->sid_id, 45000, 1000);
    sidmap_bind(old.backend->sids, SPAN("def"), old.backend->servers[0]->sid_id, 45000, 1000);

    fixture_init(&new, 2); // without app0, and in another order
    snprintf(new.names[0], sizeof(new.names[0]), "app2");
    snprintf(new.names[1], sizeof(new.names[1]), "app9");
    new.backend = backend_new(&new.config, 0, 0, sidmap_fd(old.backend->sids),
                              sidmap_fd(old.backend->cookies), 2000);
    assert_non_null(new.backend);
    fixture_close(&old);
    assert_true(sidmap_peek(new.backend->sids, SPAN("abc"), 2000, &found));
    assert_ptr_equal(backend_server_by_sid_id(new.backend, found.server_id),
                     new.backend->servers[0]);
    assert_int_equal(server_load(new.backend->servers[0]), 1);
    assert_true(sidmap_peek(new.backend->sids, SPAN("def"), 2000, &found));
    assert_null(backend_server_by_sid_id(new.backend, found.server_id)); // gone
    assert_int_equal(server_load(new.backend->servers[1]), 0);
    fixture_close(&new);
}

static void what_is_no_table_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fixture_init(&f, 1);
    f.backend = backend_new(&f.config, 0, 0, fds[0], -1, 0);
    assert_non_null(f.backend);
    assert_int_equal(sidmap_bind(f.backend->sids, SPAN("abc"), 0, 1000, 0), SID_BOUND);
    fixture_close(&f);
    close(fds[0]);
    close(fds[1]);
}

static void names_that_fit_no_table_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    char name[400];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    fixture_init(&f, 2);
    f.servers[1].name = name;
    errno = 0;
    fixture_open(&f);
    assert_null(f.backend);
    assert_int_equal(errno, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_usable),
        cmocka_unit_test(handshakes_keep_their_rate),
        cmocka_unit_test(places_are_counted),
        cmocka_unit_test(the_limit_holds_between_threads),
        cmocka_unit_test(load_is_sessions_and_the_rest),
        cmocka_unit_test(servers_are_found),
        cmocka_unit_test(cookies_are_kept_only_when_learned),
        cmocka_unit_test(tables_survive),
        cmocka_unit_test(what_is_no_table_is_replaced),
        cmocka_unit_test(names_that_fit_no_table_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
