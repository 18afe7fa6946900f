// SPDX-License-Identifier: Apache-2.0
/* What keeps sentinels from being made to forget, and what they may forget. */
#include "sentinel-watch/prune_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };

static const struct prune_bounds bounds = {.after_ms = 10 * MINUTE_MS, .quiet_ms = 10 * MINUTE_MS};

static struct place place(uint16_t port)
{
    struct place out = {.port = port};
    strcpy(out.host, "10.0.0.1");
    return out;
}

/* Three sentinels, two replicas (6380 online, 6381 gone for an hour), nothing in doubt. */
static struct prune_view *view_new(void)
{
    struct prune_view *view = calloc(1, sizeof(*view));
    *view = (struct prune_view){.witness_count = 3,
                                .configured = 3,
                                .master_answered = true,
                                .is_master = true,
                                .master = place(6379),
                                .online_count = 1,
                                .calm = true,
                                .quiet_ms = HOUR_MS};
    view->online[0] = place(6380);
    for (size_t i = 0; i < 3; i++) {
        struct prune_witness *w = &view->witnesses[i];
        snprintf(w->name, sizeof(w->name), "s%zu", i + 1);
        snprintf(w->run_id, sizeof(w->run_id), "id%zu", i + 1);
        w->answered = PRUNE_ANSWERS;
        w->master = place(6379);
        w->epoch = 4;
        w->quorum = true;
        w->failover_timeout_ms = MINUTE_MS;
        w->replica_count = 2;
        w->replicas[0].place = place(6380);
        w->replicas[1].place = place(6381);
        w->replicas[1].down_ms = HOUR_MS;
        for (size_t k = 0; k < 3; k++) {
            if (k == i)
                continue;
            struct prune_member *other = &w->sentinels[w->sentinel_count++];
            other->place = place((uint16_t)(26379 + k));
            snprintf(other->run_id, sizeof(other->run_id), "id%zu", k + 1);
        }
    }
    return view;
}

static void check(struct prune_view *view, const char *doubt)
{
    struct prune_plan plan;
    prune_plan(view, &bounds, &plan);
    assert_string_equal(plan.doubt, doubt);
    if (doubt[0] != '\0')
        assert_int_equal(plan.replica_count + plan.sentinel_count, 0);
    free(view);
}

static void what_is_gone_may_be_forgotten(void **state)
{
    (void)state;
    struct prune_view *view = view_new();
    struct prune_plan plan;
    prune_plan(view, &bounds, &plan);
    assert_string_equal(plan.doubt, "");
    assert_int_equal(plan.replica_count, 1);
    assert_int_equal(plan.replicas[0].place.port, 6381);
    assert_int_equal(plan.sentinel_count, 0);

    struct prune_member *gone = &view->witnesses[1].sentinels[view->witnesses[1].sentinel_count++];
    gone->place = place(26999);
    strcpy(gone->run_id, "idgone");
    gone->down_ms = HOUR_MS;
    prune_plan(view, &bounds, &plan);
    assert_string_equal(plan.doubt, "");
    assert_int_equal(plan.sentinel_count, 1);
    assert_string_equal(plan.sentinels[0].run_id, "idgone");
    free(view);
}

static void who_does_not_answer_is_a_doubt(void **state)
{
    (void)state;
    struct prune_view *v = view_new();
    v->configured = 4;
    check(v, "only 3 of 4 sentinels are known");
    v = view_new();
    v->witnesses[1].answered--;
    check(v, "the sentinel s2 does not answer");
    v = view_new();
    v->witnesses[1].refused = true;
    strcpy(v->witnesses[1].trouble, "NOPERM");
    check(v, "the sentinel s2 refuses: NOPERM");
}

static void a_failover_is_a_doubt(void **state)
{
    (void)state;
    struct prune_view *v = view_new();
    v->calm = false;
    check(v, "a failover is under way, or the master is in doubt");
    v = view_new();
    v->quiet_ms = 5 * MINUTE_MS;
    check(v, "it has been quiet for 300 s only, 600 s are wanted");
    v = view_new();
    v->quiet_ms = 15 * MINUTE_MS;
    v->witnesses[2].failover_timeout_ms = 10 * MINUTE_MS;
    check(v, "it has been quiet for 900 s only, 1200 s are wanted");
    v = view_new();
    v->witnesses[2].master = place(6381);
    check(v, "the sentinel s3 has another master, 10.0.0.1:6381");
    v = view_new();
    v->witnesses[2].epoch = 5;
    check(v, "the sentinel s3 has another epoch");
    v = view_new();
    v->witnesses[0].flagged = true;
    check(v, "the sentinel s1 thinks that the master is down, or replaces it");
    v = view_new();
    v->witnesses[0].tilted = true;
    check(v, "the sentinel s1 is in tilt");
    v = view_new();
    v->witnesses[0].quorum = false;
    strcpy(v->witnesses[0].trouble, "NOQUORUM 1 usable Sentinels");
    check(v, "the sentinel s1 sees no quorum: NOQUORUM 1 usable Sentinels");
    v = view_new();
    v->master = place(6380);
    check(v, "the sentinel s1 has another master than we follow, 10.0.0.1:6379");
    v = view_new();
    v->witnesses[0].sentinels[v->witnesses[0].sentinel_count] = (struct prune_member){
        .place = place(26390), .run_id = "id4"};
    v->witnesses[0].sentinel_count++;
    check(v, "the sentinel 10.0.0.1:26390 is alive for s1, and cannot be asked from here");
    v = view_new();
    v->witnesses[0].sentinel_count = 1;
    check(v, "the sentinel s1 does not hear s3");
    v = view_new();
    v->witnesses[0].sentinels[0].down_ms = HOUR_MS;
    check(v, "the sentinel s1 does not hear s2");
}

static void what_is_down_for_some_is_a_doubt(void **state)
{
    (void)state;
    struct prune_view *v = view_new();
    v->master_answered = false;
    check(v, "the master does not answer");
    v = view_new();
    v->is_master = false;
    check(v, "the master says that it is none");
    v = view_new();
    v->online_count = 0;
    check(v, "the master has no replica that is online");
    v = view_new();
    v->witnesses[1].replicas[1].down_ms = MINUTE_MS;
    check(v, "10.0.0.1:6381 is down for 60 s only");
    v = view_new();
    v->witnesses[1].replicas[1].down_ms = 0;
    check(v, "10.0.0.1:6381 is down for s1, not for s2");
    v = view_new();
    v->online[v->online_count++] = place(6381);
    check(v, "10.0.0.1:6381 is online for the master, and down for the sentinel s1");
    v = view_new();
    v->online[0] = place(6390);
    check(v, "the sentinel s1 does not know the replica 10.0.0.1:6390");
    v = view_new();
    v->witnesses[1].replica_count = 0;
    check(v, "the sentinel s2 does not know the replica 10.0.0.1:6380");
    v = view_new();
    for (size_t i = 0; i < 3; i++) {
        v->witnesses[i].replicas[2].place = place(6382);
        v->witnesses[i].replica_count++;
    }
    check(v, "10.0.0.1:6382 is not online for the master, and not down for the sentinel s1");
}

static void a_sentinel_that_was_reset_has_learned_all_again(void **state)
{
    (void)state;
    struct prune_view *view = view_new();
    struct prune_plan plan;
    prune_plan(view, &bounds, &plan);
    struct prune_witness before = view->witnesses[0], now = before;
    assert_string_equal(prune_relearned(view, &before, &now, &plan),
                        "what is gone was told to it again");
    now.replica_count = 1;
    assert_null(prune_relearned(view, &before, &now, &plan));
    now.replica_count = 0;
    assert_string_equal(prune_relearned(view, &before, &now, &plan),
                        "it does not know all replicas again");
    now = before;
    now.replica_count = 1;
    now.sentinel_count = 1;
    assert_string_equal(prune_relearned(view, &before, &now, &plan),
                        "it does not know all sentinels again");
    struct prune_witness empty = before;
    empty.replica_count = 0;
    now = empty;
    assert_string_equal(prune_relearned(view, &empty, &now, &plan),
                        "it does not know all replicas again");
    now = before;
    now.quorum = false;
    assert_string_equal(prune_relearned(view, &before, &now, &plan), "it sees no quorum");
    now = before;
    now.master = place(6380);
    assert_string_equal(prune_relearned(view, &before, &now, &plan), "it has another master");
    now = before;
    now.answered = 0;
    assert_string_equal(prune_relearned(view, &before, &now, &plan), "it does not answer");
    free(view);
}

/* ---- answers ---- */

static struct resp *read_resp(const char *text)
{
    struct resp_reader *reader = resp_reader_new();
    struct resp *out = NULL;
    assert_true(resp_reader_feed(reader, span_str(text)));
    assert_int_equal(resp_reader_next(reader, &out), RESP_WHOLE);
    resp_reader_free(reader);
    return out;
}

static void hear(struct prune_witness *witness, enum prune_question question, const char *text)
{
    struct resp *answer = read_resp(text);
    prune_hear(witness, question, answer);
    resp_free(answer);
}

static void answers_are_understood(void **state)
{
    (void)state;
    struct prune_witness w = {0};
    hear(&w, PRUNE_ADDR, "*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n");
    hear(&w, PRUNE_MASTER,
         "*6\r\n$5\r\nflags\r\n$13\r\nmaster,o_down\r\n$12\r\nconfig-epoch\r\n$1\r\n7\r\n"
         "$16\r\nfailover-timeout\r\n$5\r\n10000\r\n");
    hear(&w, PRUNE_REPLICAS,
         "*1\r\n*8\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$4\r\nport\r\n$4\r\n6381\r\n"
         "$5\r\nflags\r\n$25\r\ns_down,slave,disconnected\r\n$11\r\ns-down-time\r\n"
         "$5\r\n70000\r\n");
    hear(&w, PRUNE_SENTINELS,
         "*1\r\n*8\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$4\r\nport\r\n$5\r\n26380\r\n"
         "$5\r\nrunid\r\n$3\r\nid2\r\n$5\r\nflags\r\n$8\r\nsentinel\r\n");
    hear(&w, PRUNE_QUORUM, "-NOQUORUM 1 usable Sentinels\r\n");
    hear(&w, PRUNE_MYID, "$3\r\nid1\r\n");
    hear(&w, PRUNE_INFO, "$15\r\nsentinel_tilt:1\r\n");
    assert_int_equal(w.answered, PRUNE_ANSWERS);
    assert_false(w.refused);
    assert_int_equal(w.master.port, 6379);
    assert_int_equal(w.epoch, 7);
    assert_int_equal(w.failover_timeout_ms, 10000);
    assert_true(w.flagged && w.tilted && !w.quorum);
    assert_int_equal(w.replicas[0].down_ms, 70000);
    assert_string_equal(w.sentinels[0].run_id, "id2");
    assert_int_equal(w.sentinels[0].down_ms, 0);
    assert_string_equal(w.trouble, "NOQUORUM 1 usable Sentinels");
    hear(&w, PRUNE_REPLICAS, "$3\r\nfoo\r\n");
    assert_true(w.refused);

    struct prune_view *view = calloc(1, sizeof(*view));
    struct resp *role = read_resp("*1\r\n$6\r\nmaster\r\n");
    char text[256];
    const char *replication = "role:master\r\nconnected_slaves:2\r\n"
                              "slave0:ip=10.0.0.1,port=6380,state=online,offset=1,lag=0\r\n"
                              "slave1:ip=10.0.0.1,port=6381,state=wait_bgsave,offset=0,lag=0\r\n";
    snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(replication), replication);
    struct resp *info = read_resp(text);
    prune_hear_role(view, role);
    prune_hear_replication(view, info);
    assert_true(view->is_master);
    assert_int_equal(view->online_count, 1);
    assert_int_equal(view->online[0].port, 6380);
    resp_free(role);
    resp_free(info);
    free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_gone_may_be_forgotten),
        cmocka_unit_test(who_does_not_answer_is_a_doubt),
        cmocka_unit_test(a_failover_is_a_doubt),
        cmocka_unit_test(what_is_down_for_some_is_a_doubt),
        cmocka_unit_test(a_sentinel_that_was_reset_has_learned_all_again),
        cmocka_unit_test(answers_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
