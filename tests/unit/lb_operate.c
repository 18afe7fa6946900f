// SPDX-License-Identifier: Apache-2.0
/*
 * What an operator's changes do to workers: listeners that stop and start, flows that are counted
 * and ended. Two workers whose loops the test turns, real sockets, no control thread.
 */
#include "lb/operate.h"

#include "lb/control.h"
#include "lb/events.h"
#include "lb/inquiry.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/lb_serving.h"

static struct watch *the_watch;

/* In the place of lb/control's. */
struct watch *control_watch(struct control *control)
{
    (void)control;
    return the_watch;
}

struct moves *control_moves(struct control *control)
{
    (void)control;
    return NULL;
}

struct desk {
    struct fixture f;
    struct loop loop; /* control's */
    struct shelf *shelf;
    int door; /* the server */
    char *answer;
    bool answered, found;
};

static int desk_open(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    struct endpoint any;
    struct addr addr;
    char text[512];
    endpoint_parse(SPAN("127.0.0.1:0"), true, &any);
    desk->door = net_listen(&any.addr, 64, false);
    assert_true(net_local_addr(desk->door, &addr));
    snprintf(text, sizeof(text),
             "frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n"
             "backends: {b: {servers: {a: \"127.0.0.1:%u\"}, slow_start: 0s,\n"
             "  health: {tcp: false}}}\n",
             addr_port(&addr));
    fixture_open(&desk->f, text, 2);
    assert_true(loop_init(&desk->loop, desk));
    desk->shelf = shelf_new();
    the_watch = watch_new(&desk->f.serving, &desk->loop, desk->shelf);
    assert_non_null(the_watch);
    watch_tell_workers(the_watch);
    *state = desk;
    return 0;
}

static int desk_close(void **state)
{
    struct desk *desk = *state;
    watch_stop(the_watch);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < desk->f.serving.worker_count; i++)
            worker_settle(&desk->f.serving.workers[i]);
    }
    loop_fini(&desk->loop);
    watch_free(the_watch);
    shelf_free(desk->shelf);
    events_fini(&desk->f.serving);
    fixture_close(&desk->f);
    close(desk->door);
    free(desk->answer);
    free(desk);
    return 0;
}

static void turn(struct desk *desk)
{
    for (int i = 0; i < 10; i++) {
        for (unsigned k = 0; k < desk->f.serving.worker_count; k++)
            loop_turn(&desk->f.serving.workers[k].loop, 1);
        loop_turn(&desk->loop, 1);
    }
}

static struct server *server_of(struct desk *desk)
{
    return desk->f.serving.snapshot->backends[0]->servers[0];
}

/* -1: refused. */
static int try_connect(struct desk *desk)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct addr *addr = &desk->f.bindings.list[0].addr;
    if (connect(fd, &addr->any, addr->len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void frontends_stop_listening(void **state)
{
    struct desk *desk = *state;
    struct serving *serving = &desk->f.serving;
    struct frontend *frontend = &serving->snapshot->frontends[0];
    int before[4];
    for (size_t i = 0; i < 4; i++)
        before[i] = fixture_connect(&desk->f); // The last ones wait in the backlog.
    assert_null(operate_frontend_enabled(serving, frontend, false, "test"));
    assert_non_null(operate_frontend_enabled(serving, frontend, false, "test"));
    turn(desk);
    assert_int_equal(frontend->home->connections, 4);
    assert_int_equal(try_connect(desk), -1);
    assert_int_equal(errno, ECONNREFUSED);
    uint64_t turns = serving->workers[0].loop.turns;
    loop_turn(&serving->workers[0].loop, 50); // Nothing is to be done: it waits.
    assert_true(serving->workers[0].loop.turns - turns <= 1);

    assert_null(operate_frontend_enabled(serving, frontend, true, "test"));
    turn(desk);
    int after[8];
    for (size_t i = 0; i < 8; i++) {
        after[i] = try_connect(desk);
        assert_true(after[i] >= 0);
    }
    turn(desk);
    assert_int_equal(frontend->home->connections, 12);
    for (size_t i = 0; i < 8; i++)
        close(after[i]);
    for (size_t i = 0; i < 4; i++)
        close(before[i]);
    turn(desk);
    assert_int_equal(frontend->home->connections, 0);
}

static void limits_admit(void **state)
{
    struct desk *desk = *state;
    struct serving *serving = &desk->f.serving;
    struct frontend *frontend = &serving->snapshot->frontends[0];
    assert_null(operate_frontend_max_connections(serving, frontend, 1, "test"));
    int first = fixture_connect(&desk->f);
    turn(desk);
    int second = fixture_connect(&desk->f);
    turn(desk);
    char byte;
    assert_int_equal(recv(second, &byte, 1, 0), 0); // Closed at once.
    assert_int_equal(frontend->home->connections, 1);
    close(first);
    close(second);
    turn(desk);
}

/* ---- flows ---- */

static void note_answer(void *ctx, struct text *answer, bool found)
{
    struct desk *desk = ctx;
    free(desk->answer);
    desk->answer = calloc(1, answer->len + 1);
    if (answer->len > 0)
        memcpy(desk->answer, answer->data, answer->len);
    desk->answered = true;
    desk->found = found;
}

static const char *ask(struct desk *desk, enum inquiry_kind kind, uint64_t id)
{
    struct inquiry *inquiry = inquiry_ask(&desk->f.serving, &desk->loop, kind, id);
    inquiry_await(inquiry, note_answer, desk);
    desk->answered = false;
    for (int i = 0; i < 200 && !desk->answered; i++)
        turn(desk);
    assert_true(desk->answered);
    return desk->answer;
}

static size_t lines_of(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void flows_are_listed_and_ended(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, INQUIRY_SESSIONS, 0), "");
    int fds[300]; // More than a worker looks at in one turn.
    for (size_t i = 0; i < array_len(fds); i++) {
        fds[i] = fixture_connect(&desk->f);
        if (i % 50 == 0)
            turn(desk);
    }
    turn(desk);
    ask(desk, INQUIRY_SESSIONS, 0);
    assert_int_equal(lines_of(desk->answer), array_len(fds));
    unsigned long long id;
    assert_int_equal(sscanf(desk->answer, "0x%llx: proto=tcpv4 src=127.0.0.1:", &id), 1);
    assert_non_null(strstr(desk->answer, " fe=f be=<NONE> srv=<none> ts=00 "));
    ask(desk, INQUIRY_SESSION, id);
    assert_true(desk->found);
    assert_int_equal(lines_of(desk->answer), 2);
    ask(desk, INQUIRY_SHUTDOWN, id);
    assert_true(desk->found);
    ask(desk, INQUIRY_SHUTDOWN, id);
    assert_false(desk->found);
    ask(desk, INQUIRY_ALL, 0);
    assert_int_equal(lines_of(desk->answer), 2 * (array_len(fds) - 1));
    for (size_t i = 0; i < array_len(fds); i++)
        close(fds[i]);
    turn(desk);
}

/* Who asked is gone: nobody is told, and nothing leaks, even when a worker ends meanwhile. */
static void inquiries_are_forgotten(void **state)
{
    struct desk *desk = *state;
    int fd = fixture_connect(&desk->f);
    turn(desk);
    desk->answered = false;
    for (int i = 0; i < 3; i++) {
        struct inquiry *inquiry = inquiry_ask(&desk->f.serving, &desk->loop, INQUIRY_SESSIONS, 0);
        inquiry_await(inquiry, note_answer, desk);
        inquiry_forget(inquiry);
    }
    turn(desk);
    assert_false(desk->answered);
    worker_order(&desk->f.serving.workers[0], ORDER_QUIT, 0);
    inquiry_ask(&desk->f.serving, &desk->loop, INQUIRY_SESSIONS, 0);
    close(fd);
}

/* ---- servers ---- */

/* A request is sent on; the server's end of it. */
static int request_through(struct desk *desk, int client, const char *target)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);
    assert_int_equal(send(client, text, (size_t)len, 0), len);
    fcntl(desk->door, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100; i++) {
        turn(desk);
        int fd = accept(desk->door, NULL, NULL);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

static void maintenance_ends_held_polls(void **state)
{
    struct desk *desk = *state;
    struct serving *serving = &desk->f.serving;
    struct server *a = server_of(desk);
    struct backend *backend = serving->snapshot->backends[0];
    sidmap_bind(backend->sids, SPAN("abc"), a->sid_id, 60000, clock_mono_ms());
    int poll = fixture_connect(&desk->f), plain = fixture_connect(&desk->f);
    int held = request_through(desk, poll, "/socket.io/?EIO=4&transport=polling&sid=abc");
    int busy = request_through(desk, plain, "/slow");
    assert_true(held >= 0 && busy >= 0);

    operate_server_admin(serving, a, SERVER_DRAIN, "test");
    turn(desk);
    char text[1024] = "";
    assert_int_equal(recv(poll, text, sizeof(text) - 1, MSG_DONTWAIT), -1);
    operate_server_admin(serving, a, SERVER_MAINT, "test");
    turn(desk);
    assert_true(recv(poll, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    assert_true(strncmp(text, "HTTP/1.1 400 ", 13) == 0);
    assert_non_null(strstr(text, "Session ID unknown"));

    // What does not belong to a session may finish.
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    turn(desk);
    assert_int_equal(send(busy, answer, sizeof(answer) - 1, 0), sizeof(answer) - 1);
    turn(desk);
    memset(text, 0, sizeof(text));
    assert_true(recv(plain, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    assert_true(strncmp(text, "HTTP/1.1 200 ", 13) == 0);
    assert_int_equal(a->inflight, 0);
    close(poll);
    close(plain);
    close(held);
    close(busy);
    turn(desk);
}

static void sessions_of_a_server_end(void **state)
{
    struct desk *desk = *state;
    struct server *a = server_of(desk);
    int plain = fixture_connect(&desk->f);
    int busy = request_through(desk, plain, "/slow");
    assert_true(busy >= 0);
    operate_server_shutdown_sessions(&desk->f.serving, a, "test");
    turn(desk);
    char byte;
    assert_int_equal(recv(plain, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(a->inflight, 0);
    close(plain);
    close(busy);
    turn(desk);
}

static void counters_are_cleared(void **state)
{
    struct desk *desk = *state;
    struct serving *serving = &desk->f.serving;
    uint16_t stat_id = serving->snapshot->frontends[0].stat_id;
    int fd = fixture_connect(&desk->f);
    turn(desk);
    assert_int_equal(stats_sum(serving, stat_id, COUNTER_CONNS), 1);
    stats_clear(serving, false);
    turn(desk);
    assert_int_equal(stats_sum(serving, stat_id, COUNTER_CONNS), 1);
    stats_clear(serving, true);
    turn(desk);
    assert_int_equal(stats_sum(serving, stat_id, COUNTER_CONNS), 0);
    assert_int_equal(stats_sum(serving, stat_id, COUNTER_CONNS_NOW), 1);
    close(fd);
    turn(desk);
}

static void events_are_bounded(void **state)
{
    struct desk *desk = *state;
    struct serving *serving = &desk->f.serving;
    assert_int_equal(events_count(serving), 0);
    assert_int_equal(events_last_id(serving), 0);
    for (int i = 1; i <= EVENTS_MAX + 50; i++)
        events_add(serving, EVENT_STATE, "number %d\n", i);
    assert_int_equal(events_count(serving), EVENTS_MAX);
    assert_int_equal(events_last_id(serving), EVENTS_MAX + 50);
    assert_int_equal(events_at(serving, 0)->id, 51);
    assert_string_equal(events_at(serving, 0)->text, "number 51?");
    assert_int_equal(events_at(serving, EVENTS_MAX - 1)->id, EVENTS_MAX + 50);
}

#define desk_test(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        desk_test(frontends_stop_listening),    desk_test(limits_admit),
        desk_test(flows_are_listed_and_ended),  desk_test(inquiries_are_forgotten),
        desk_test(maintenance_ends_held_polls), desk_test(sessions_of_a_server_end),
        desk_test(counters_are_cleared),        desk_test(events_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
