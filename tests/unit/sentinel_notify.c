// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/notify against real HTTP servers on loopback: what they get, and what their answers
 * (and their silence) lead to. */
#include "sentinel-watch/notify.h"

#include "base/clock.h"
#include "base/digest.h"
#include "toy_server.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TOYS = 3 };
#define RUN_ID "0123456789012345678901234567890123456789"

static struct loop loop;
static struct shelf *shelf;
static struct resolver *resolver;
static struct tally tally;
static struct toy toys[TOYS];
static struct notify *notify;
static struct config *config;
static char told[128];
static int changes;
static uint64_t outdated_epoch;

/* ---- receivers ----------------------------------------------------------------------------- */

/* Copies the value of a string member of the request's JSON. */
static void member(const char *request, const char *name, char *out, size_t size)
{
    char key[32];
    snprintf(key, sizeof(key), "\"%s\":\"", name);
    const char *at = strstr(request, key);
    out[0] = '\0';
    if (at)
        snprintf(out, size, "%.*s", (int)strcspn(at + strlen(key), "\""), at + strlen(key));
}

static const char *respond(struct toy *toy, int status, const char *body)
{
    static char texts[TOYS][1024];
    char *text = texts[toy - toys];
    snprintf(text, sizeof(texts[0]), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    return text;
}

/* Acknowledges everything. */
static const char *good(struct toy *toy, const char *request)
{
    char id[64], phase[16], body[512];
    member(request, "id", id, sizeof(id));
    member(request, "phase", phase, sizeof(phase));
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"phase\":\"%s\",\"role\":\"master\",\"run_id\":\"" RUN_ID
             "\",\"connected_to\":\"127.0.0.1:1\",\"queued\":3}",
             id, phase);
    return respond(toy, 200, body);
}

static const char *broken(struct toy *toy, const char *request)
{
    (void)request;
    return respond(toy, 500, "");
}

static const char *garbage(struct toy *toy, const char *request)
{
    (void)request;
    return respond(toy, 200, "ok");
}

static const char *not_http(struct toy *toy, const char *request)
{
    (void)toy;
    (void)request;
    return "-ERR unknown command 'POST'\r\n";
}

static const char *endless(struct toy *toy, const char *request)
{
    static char body[TOY_TEXT * 8];
    (void)toy;
    (void)request;
    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{", 46);
    return body;
}

static const char *ahead(struct toy *toy, const char *request)
{
    (void)request;
    return respond(toy, 409, "{\"id\":\"m:1:99\",\"phase\":\"sub\"}");
}

/* Accepts only what the secret "new" signs. */
static const char *has_the_new_secret(struct toy *toy, const char *request)
{
    char expected[128];
    const char *at = strstr(request, "X-Limpet-Timestamp: ");
    const char *body = strstr(request, "\r\n\r\n") + 4;
    assert_non_null(at);
    struct span parts[] = {{at + 20, strcspn(at + 20, "\r")}, SPAN("."), span_str(body)};
    strcpy(expected, "X-Limpet-Signature: v1=");
    char hex[65];

    digest_hmac_hex(SPAN("new"), parts, 3, hex);
    strcat(expected, hex);
    return strstr(request, expected) ? good(toy, request) : respond(toy, 401, "");
}

/* ---- the test's side ----------------------------------------------------------------------- */

static void on_phase(void *ctx, const struct failover *failover, enum phase phase)
{
    (void)ctx;
    (void)failover;
    size_t len = strlen(told);
    snprintf(told + len, sizeof(told) - len, "%s%s", len > 0 ? " " : "", phase_word(phase));
}

static void on_outdated(void *ctx, const char *master, uint64_t generation, uint64_t epoch)
{
    (void)ctx;
    assert_string_equal(master, "m");
    assert_int_equal(generation, 1);
    outdated_epoch = epoch;
}

static void on_changed(void *ctx)
{
    (void)ctx;
    changes++;
}

static const struct notify_owner owner = {on_phase, on_outdated, on_changed};

static void configure(const char *secrets, const char *deadline)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "backends:\n  chat:\n    servers: {a: '127.0.0.1:%u', b: '127.0.0.1:%u', c: "
             "'127.0.0.1:%u'}\n"
             "sentinel:\n  master: m\n  sentinels: ['127.0.0.1:1']\n"
             "  notify: {backends: [chat], secrets: %s, deadline: %s}\n",
             addr_port(&toys[0].addr), addr_port(&toys[1].addr), addr_port(&toys[2].addr), secrets,
             deadline);
    struct problems problems;
    struct config *next = config_load_sentinel_text("test", span_str(text), &problems);
    if (!next)
        fail_msg("%s", problems.list[0].message);
    problems_free(&problems);
    char *error = NULL;
    assert_true(notify_prepare(notify, next, &next->sentinels[0], &error));
    notify_configure(notify, next, &next->sentinels[0]);
    config_free(config);
    config = next;
}

static int setup(void **state)
{
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    resolver = resolver_new();
    memset(&tally, 0, sizeof(tally));
    for (int i = 0; i < TOYS; i++) {
        toy_init(&toys[i], &loop, shelf);
        toys[i].answer = good;
        toys[i].keep_open = true;
    }
    told[0] = '\0';
    changes = 0;
    outdated_epoch = 0;
    config = NULL;
    struct world world = {&loop, shelf, resolver, "w1", &tally};
    notify = notify_new(&world, &owner, NULL);
    configure("[one]", "10s");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notify_free(notify);
    for (int i = 0; i < TOYS; i++)
        toy_close(&toys[i]);
    resolver_free(resolver);
    loop_fini(&loop);
    config_free(config);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert_int_equal(stats.lent, 0);
    shelf_free(shelf);
    return 0;
}

static void run_until(bool (*condition)(void))
{
    int64_t give_up_ms = clock_mono_ms() + 20000;
    while (!condition()) {
        if (clock_mono_ms() > give_up_ms) {
            struct text text = {0};
            notify_show(notify, &text);
            fail_msg("nothing happens: told '%s' %.*s", told, (int)text.len, text.data);
        }
        loop_turn(&loop, 20);
    }
}

static struct failover make_failover(uint64_t epoch)
{
    struct failover failover = {
        .master = "m",
        .generation = 1,
        .epoch = epoch,
        .old_place = {"127.0.0.1", 2},
        .new_place = {"127.0.0.1", 1},
        .run_id = RUN_ID,
    };
    snprintf(failover.id, sizeof(failover.id), "m:1:%" PRIu64, epoch);
    return failover;
}

static void do_switch(uint64_t epoch)
{
    struct failover failover = make_failover(epoch);
    barrier_switch(notify_barrier(notify), &failover, loop.now_ms);
    notify_go(notify);
}

static bool connected(void)
{
    return toys[0].accepted > 0 && toys[1].accepted > 0 && toys[2].accepted > 0;
}

static bool over(void)
{
    return strstr(told, "calm") != NULL;
}

static bool published(void)
{
    return strstr(told, "pub") != NULL;
}

static int seen_by(int i, const char *text)
{
    int count = 0;
    for (int n = 0; n < toys[i].answered && n < 8; n++)
        count += strstr(toys[i].requests[n], text) != NULL;
    return count;
}

/* Lets a switch happen while server 0 misbehaves; the others go on, and it is led there later. */
static void survives(const char *(*answer)(struct toy *, const char *), enum tally_id counted)
{
    configure("[one]", "400ms");
    toys[0].answer = answer;
    do_switch(1);
    run_until(published);
    assert_true(tally.value[TALLY_NOTIFY_LATE] > 0); // It, and on a busy machine perhaps others.
    toys[0].answer = good;
    run_until(over);
    assert_true(tally.value[counted] > 0);
    assert_string_equal(told, "hold sub pub calm");
}

static void connections_are_open_in_advance_and_kept(void **state)
{
    (void)state;
    run_until(connected);
    do_switch(1);
    run_until(over);
    assert_string_equal(told, "hold sub pub calm");
    for (int i = 0; i < TOYS; i++) {
        assert_int_equal(toys[i].accepted, 1);
        assert_int_equal(toys[i].answered, 3);
        assert_non_null(strstr(toys[i].requests[0], "POST /limpet/redis-failover HTTP/1.1\r\n"));
        assert_non_null(strstr(toys[i].requests[0], "\"phase\":\"hold\""));
        assert_non_null(strstr(toys[i].requests[1], "\"phase\":\"sub\""));
        assert_non_null(strstr(toys[i].requests[2], "\"phase\":\"pub\""));
        assert_non_null(strstr(toys[i].requests[2], "\"attempt\":1,"));
    }
    assert_int_equal(tally.value[TALLY_NOTIFY_ACK], 9);
    assert_true(changes >= 1);
}

static void a_server_that_closes_after_each_answer_is_served_too(void **state)
{
    (void)state;
    for (int i = 0; i < TOYS; i++)
        toys[i].keep_open = false;
    do_switch(1);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_LATE], 0);
    assert_true(toys[1].accepted >= 3);
}

static void errors_are_survived(void **state)
{
    (void)state;
    survives(broken, TALLY_NOTIFY_STATUS);
}

static void garbage_is_survived(void **state)
{
    (void)state;
    survives(garbage, TALLY_NOTIFY_GARBAGE);
}

static void another_protocol_is_survived(void **state)
{
    (void)state;
    survives(not_http, TALLY_NOTIFY_GARBAGE);
}

static void giant_answers_are_survived(void **state)
{
    (void)state;
    survives(endless, TALLY_NOTIFY_GARBAGE);
}

static void silence_is_survived(void **state)
{
    (void)state;
    survives(toy_is_silent, TALLY_NOTIFY_SILENT);
}

static void a_server_that_is_ahead_is_said(void **state)
{
    (void)state;
    toys[0].answer = ahead;
    do_switch(1);
    run_until(published);
    assert_int_equal(outdated_epoch, 99);
    assert_int_equal(tally.value[TALLY_NOTIFY_LATE], 0);
}

static bool first_is_home(void)
{
    struct barrier_node *node = container_of(notify_barrier(notify)->nodes.next,
                                             struct barrier_node, node);
    return node->home;
}

static void a_server_that_was_down_is_led_there_when_it_returns(void **state)
{
    (void)state;
    toy_close(&toys[0]);
    do_switch(1);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_LATE], 1);
    assert_true(tally.value[TALLY_NOTIFY_UNREACHED] > 0);
    assert_false(first_is_home());
    toy_open(&toys[0]);
    run_until(first_is_home);
    assert_int_equal(seen_by(0, "\"phase\":\"hold\""), 1);
    assert_int_equal(seen_by(0, "\"phase\":\"sub\""), 1);
}

static bool first_is_stale(void)
{
    struct barrier_node *node = container_of(notify_barrier(notify)->nodes.next,
                                             struct barrier_node, node);
    return node->stale;
}

static void a_server_that_goes_away_in_calm_counts_anew(void **state)
{
    (void)state;
    do_switch(1);
    run_until(over);
    toy_close(&toys[0]);
    run_until(first_is_stale);
    toy_open(&toys[0]);
    run_until(first_is_home);
    assert_int_equal(seen_by(0, "\"phase\":\"sub\""), 2);
}

static void an_idle_connection_that_is_closed_is_opened_again(void **state)
{
    (void)state;
    do_switch(1);
    run_until(over);
    for (int i = 0; i < TOY_CONNS; i++)
        conn_close(&toys[0].conns[i].conn);
    toys[0].accepted = 0;
    run_until(connected);
    assert_true(first_is_home());
    assert_false(first_is_stale());
}

static void secrets_change_in_any_order(void **state)
{
    (void)state;
    toys[0].answer = has_the_new_secret; // The others take anything.
    configure("[old, new]", "10s");
    do_switch(1);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_REFUSED], 1); // It remembers.
    assert_int_equal(tally.value[TALLY_NOTIFY_LATE], 0);
    configure("[new, old]", "10s");
    told[0] = '\0';
    do_switch(2);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_REFUSED], 1);
    configure("[new]", "10s");
    told[0] = '\0';
    do_switch(3);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_REFUSED], 1);
}

static void a_wrong_secret_is_said_and_not_hammered(void **state)
{
    (void)state;
    toys[0].answer = has_the_new_secret;
    configure("[old, older]", "400ms");
    do_switch(1);
    run_until(published);
    assert_in_range(tally.value[TALLY_NOTIFY_REFUSED], 2, 24);
    assert_true(first_is_stale());
}

static void a_newer_failover_gives_up_what_is_in_flight(void **state)
{
    (void)state;
    toys[0].answer = toy_is_silent;
    do_switch(1);
    run_until(connected);
    while (toys[0].answered == 0)
        loop_turn(&loop, 20);
    toys[0].answer = good;
    do_switch(2);
    run_until(over);
    assert_int_equal(tally.value[TALLY_NOTIFY_SUPERSEDED], 1);
    assert_true(seen_by(0, "\"id\":\"m:1:2\"") >= 3);
    assert_int_equal(tally.value[TALLY_NOTIFY_LATE], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(connections_are_open_in_advance_and_kept),
        TEST(a_server_that_closes_after_each_answer_is_served_too),
        TEST(errors_are_survived),
        TEST(garbage_is_survived),
        TEST(another_protocol_is_survived),
        TEST(giant_answers_are_survived),
        TEST(silence_is_survived),
        TEST(a_server_that_is_ahead_is_said),
        TEST(a_server_that_was_down_is_led_there_when_it_returns),
        TEST(a_server_that_goes_away_in_calm_counts_anew),
        TEST(an_idle_connection_that_is_closed_is_opened_again),
        TEST(secrets_change_in_any_order),
        TEST(a_wrong_secret_is_said_and_not_hammered),
        TEST(a_newer_failover_gives_up_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
