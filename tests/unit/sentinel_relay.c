// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/relay between real sockets on loopback. */
#include "sentinel-watch/relay.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static struct shelf *shelf;
static struct resolver *resolver;
static struct tally tally;
static struct relay *relay;
static struct config *config;
static struct addr door; /* where the relay listens */

/* A master that accepts, or (frozen) only lets the kernel do so. */
struct master {
    int fd;
    struct addr addr;
    struct place place;
};
static struct master one, two;

static void master_open(struct master *master)
{
    struct addr addr = {.v4 = {.sin_family = AF_INET}, .len = sizeof(addr.v4)};
    addr.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr_set_port(&addr, master->place.port);
    master->fd = net_listen(&addr, 16, false);
    assert_true(master->fd >= 0);
    assert_true(net_local_addr(master->fd, &master->addr));
    strcpy(master->place.host, "127.0.0.1");
    master->place.port = addr_port(&master->addr);
}

static void note_door(void *ctx, const struct addr *addr)
{
    (void)ctx;
    door = *addr;
}

static bool configure(const char *listen, const char *hold_max)
{
    char text[512];
    snprintf(text, sizeof(text),
             "sentinel: {master: m, sentinels: ['127.0.0.1:1'], relay: {listen: [%s]}, hold: "
             "{max: %s}}\n",
             listen, hold_max);
    struct problems problems;
    struct config *next = config_load_sentinel_text("test", span_str(text), &problems);
    if (!next)
        fail_msg("%s", problems.list[0].message);
    problems_free(&problems);
    char *error = NULL;
    bool ok = relay_configure(relay, &next->sentinels[0], &error);
    assert_int_equal(ok, error == NULL);
    free(error);
    config_free(ok ? config : next);
    config = ok ? next : config;
    relay_listeners(relay, note_door, NULL);
    return ok;
}

static int setup(void **state)
{
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    resolver = resolver_new();
    memset(&tally, 0, sizeof(tally));
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    master_open(&one);
    master_open(&two);
    struct world world = {&loop, shelf, resolver, "w1", &tally};
    relay = relay_new(&world);
    config = NULL;
    assert_true(configure("'127.0.0.1:0'", "10s"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    relay_free(relay);
    assert_int_equal(tally.value[TALLY_RELAY_NOW], 0);
    assert_int_equal(tally.value[TALLY_RELAY_HELD_NOW], 0);
    close(one.fd);
    close(two.fd);
    resolver_free(resolver);
    loop_fini(&loop);
    config_free(config);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

/* ---- clients and masters ------------------------------------------------------------------- */

static int64_t give_up_ms;

/* One turn; fails when nothing has come of it for long. */
static void turn(void)
{
    if (clock_mono_ms() > give_up_ms)
        fail_msg("nothing happens any more");
    loop_turn(&loop, 5);
}

static void begin_waiting(void)
{
    give_up_ms = clock_mono_ms() + 20000;
}

static int dial(void)
{
    int fd = net_connect(&door);
    assert_true(fd >= 0);
    return fd;
}

static int take(struct master *master)
{
    begin_waiting();
    for (;;) {
        int fd = accept4(master->fd, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            return fd;
        turn();
    }
}

static void say(int fd, const char *text)
{
    begin_waiting();
    while (write(fd, text, strlen(text)) < 0) {
        assert_true(errno == EAGAIN || errno == ENOTCONN);
        turn();
    }
}

/* Reads exactly this. */
static void hear(int fd, const char *text)
{
    char got[256] = {0};
    size_t len = 0;
    begin_waiting();
    while (len < strlen(text)) {
        ssize_t n = read(fd, got + len, sizeof(got) - 1 - len);
        if (n > 0)
            len += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            fail_msg("the connection ended behind '%s'", got);
        else
            turn();
    }
    assert_string_equal(got, text);
}

/* How the connection ends: 0 for a FIN, else errno. */
static int hear_end(int fd)
{
    char byte;
    begin_waiting();
    for (;;) {
        ssize_t n = read(fd, &byte, 1);
        if (n == 0)
            return 0;
        assert_true(n < 0);
        if (errno != EAGAIN)
            return errno;
        turn();
    }
}

static bool still_open(int fd)
{
    char byte;
    for (int i = 0; i < 10; i++)
        loop_turn(&loop, 2);
    return read(fd, &byte, 1) < 0 && errno == EAGAIN;
}

static void wait_for(const int64_t *value, int64_t wanted)
{
    begin_waiting();
    while (*value != wanted)
        turn();
}

/* ---- tests --------------------------------------------------------------------------------- */

static void carries_bytes_both_ways_and_each_end(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    say(client, "ping");
    hear(master, "ping");
    say(master, "pong");
    hear(client, "pong");
    shutdown(client, SHUT_WR);
    assert_int_equal(hear_end(master), 0);
    say(master, "last words");
    hear(client, "last words");
    close(master);
    assert_int_equal(hear_end(client), 0);
    wait_for(&tally.value[TALLY_RELAY_NOW], 0);
    close(client);
    assert_int_equal(tally.value[TALLY_RELAY_BYTES_IN], 4);
    assert_int_equal(tally.value[TALLY_RELAY_BYTES_OUT], 14);
    assert_int_equal(tally.value[TALLY_RELAY_HELD], 0);
}

static void holds_clients_until_a_master_is_known(void **state)
{
    (void)state;
    int client = dial();
    say(client, "early");
    wait_for(&tally.value[TALLY_RELAY_HELD_NOW], 1);
    assert_true(still_open(client));
    relay_lead(relay, &one.place);
    int master = take(&one);
    hear(master, "early");
    wait_for(&tally.value[TALLY_RELAY_HELD_NOW], 0);
    close(client);
    close(master);
}

static void cuts_what_leads_elsewhere_and_holds_what_comes_meanwhile(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int old_client = dial(), old_master = take(&one);
    relay_hold(relay);
    int client = dial();
    say(client, "for the new one");
    assert_true(still_open(client));
    assert_true(still_open(old_client)); // It may be alive still.
    relay_lead(relay, &two.place);
    assert_int_equal(hear_end(old_client), 0);
    assert_int_equal(hear_end(old_master), ECONNRESET);
    int master = take(&two);
    hear(master, "for the new one");
    assert_int_equal(tally.value[TALLY_RELAY_CUT], 1);
    relay_lead(relay, &two.place); // Nothing changes.
    say(client, "still there");
    hear(master, "still there");
    assert_int_equal(tally.value[TALLY_RELAY_CUT], 1);
    close(old_client);
    close(old_master);
    close(client);
    close(master);
}

static void a_hold_that_is_over_lets_clients_in(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    relay_hold(relay);
    int client = dial();
    assert_true(still_open(client));
    relay_release(relay);
    close(take(&one));
    close(client);
}

static void waits_for_a_master_that_refuses(void **state)
{
    (void)state;
    close(one.fd);
    relay_lead(relay, &one.place);
    int client = dial();
    say(client, "hello");
    begin_waiting();
    while (tally.value[TALLY_RELAY_CONNECT_FAILED] < 3)
        turn();
    master_open(&one);
    int master = take(&one);
    hear(master, "hello");
    close(client);
    close(master);
}

static void nobody_is_held_for_ever(void **state)
{
    (void)state;
    assert_true(configure("'127.0.0.1:0'", "1s"));
    int client = dial();
    assert_int_equal(hear_end(client), 0);
    assert_int_equal(tally.value[TALLY_RELAY_EXPIRED], 1);
    close(client);
}

static void a_master_that_dies_ends_its_clients(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    say(master, "before");
    hear(client, "before");
    struct linger abort_now = {1, 0};
    setsockopt(master, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
    close(master);
    assert_int_equal(hear_end(client), 0);
    close(client);
    wait_for(&tally.value[TALLY_RELAY_NOW], 0);
}

static void a_client_that_dies_ends_its_connection(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    struct linger abort_now = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
    close(client);
    assert_int_equal(hear_end(master), ECONNRESET);
    close(master);
}

/* Writes until the relay takes no more; how much it took. */
static size_t fill(int fd)
{
    static char block[65536];
    size_t total = 0;
    int idle = 0;
    while (idle < 20) {
        ssize_t n = write(fd, block, sizeof(block));
        idle = n > 0 ? 0 : idle + 1;
        total += n > 0 ? (size_t)n : 0;
        loop_turn(&loop, 1);
    }
    return total;
}

static size_t drain(int fd, size_t wanted)
{
    static char block[65536];
    size_t total = 0;
    begin_waiting();
    while (total < wanted) {
        ssize_t n = read(fd, block, sizeof(block));
        total += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            turn();
    }
    return total;
}

static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    struct shelf_stats stats;
    size_t sent = fill(master);
    shelf_stats(shelf, &stats);
    assert_in_range(stats.bytes, 1, 4 * BUF_LARGE);
    assert_int_equal(drain(client, sent), sent);
    sent = fill(client);
    assert_int_equal(drain(master, sent), sent);
    say(client, "and on");
    hear(master, "and on");
    close(client);
    close(master);
}

static void a_cut_client_that_does_not_read_is_ended_in_time(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    fill(master);
    relay_lead(relay, &two.place);
    assert_int_equal(tally.value[TALLY_RELAY_NOW], 1);
    wait_for(&tally.value[TALLY_RELAY_NOW], 0);
    close(client);
    close(master);
}

static void a_reload_keeps_listeners_and_clients(void **state)
{
    (void)state;
    relay_lead(relay, &one.place);
    int client = dial(), master = take(&one);
    struct addr before = door;
    assert_true(configure("'127.0.0.1:0'", "5s"));
    assert_true(addr_eq(&before, &door));
    char taken[64], address[ADDR_TEXT_MAX];
    snprintf(taken, sizeof(taken), "'%s'", addr_format(&two.addr, address));
    assert_false(configure(taken, "5s"));
    assert_true(addr_eq(&before, &door));
    say(client, "there");
    hear(master, "there");
    assert_true(configure("'127.0.0.1:0', '[::1]:0'", "5s"));
    assert_int_equal(door.any.sa_family, AF_INET6);
    int client6 = dial(), master6 = take(&one);
    say(client6, "six");
    hear(master6, "six");
    close(client);
    close(client6);
    close(master);
    close(master6);
}

static void names_are_resolved(void **state)
{
    (void)state;
    struct endpoint any;
    endpoint_parse(SPAN(":0"), true, &any); // A name may mean ::1 or 127.0.0.1.
    struct master both = {.fd = net_listen(&any.addr, 16, false)};
    assert_true(net_local_addr(both.fd, &both.addr));
    struct place place = {"localhost", addr_port(&both.addr)};
    relay_lead(relay, &place);
    int client = dial(), master = take(&both);
    close(both.fd);
    close(client);
    close(master);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(carries_bytes_both_ways_and_each_end),
        TEST(holds_clients_until_a_master_is_known),
        TEST(cuts_what_leads_elsewhere_and_holds_what_comes_meanwhile),
        TEST(a_hold_that_is_over_lets_clients_in),
        TEST(waits_for_a_master_that_refuses),
        TEST(nobody_is_held_for_ever),
        TEST(a_master_that_dies_ends_its_clients),
        TEST(a_client_that_dies_ends_its_connection),
        TEST(a_slow_reader_stops_the_writer),
        TEST(a_cut_client_that_does_not_read_is_ended_in_time),
        TEST(a_reload_keeps_listeners_and_clients),
        TEST(names_are_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
