// SPDX-License-Identifier: Apache-2.0
/* The sid table shared by threads and by processes, some of which are killed in the middle of it.
 */
#include "lb/sidmap.h"

#include "base/rand.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { T0 = 1000000, LIFE = 45000, FULL_LIFE = LIFE + SIDMAP_SLACK_MS, THREADS = 4 };

/* Of 20 bytes for even numbers, much longer for odd ones. */
static struct span sid_of(char room[static SIDMAP_KEY_MAX], unsigned number)
{
    int len = snprintf(room, SIDMAP_KEY_MAX, number % 2 ? "%020u%0100u" : "%020u", number, number);
    return span_of(room, (size_t)len);
}

struct job {
    struct sidmap *map;
    uint64_t seed;
    unsigned sids;
    int steps;
    _Atomic int64_t *clock;
};

/* Everything that workers do, at random. */
static void work(const struct job *job)
{
    struct sid_hold held[8] = {0};
    struct sid_found found;
    char room[SIDMAP_KEY_MAX];
    struct rng rng;

    rng_seed(&rng, job->seed);
    for (int i = 0; job->steps == 0 || i < job->steps; i++) {
        int64_t now = atomic_fetch_add(job->clock, 1);
        struct span sid = sid_of(room, (unsigned)rng_below(&rng, job->sids));
        struct sid_hold *hold = &held[rng_below(&rng, 8)];
        switch (rng_below(&rng, 8)) {
        case 0:
        case 1:
        case 2:
            sidmap_bind(job->map, sid, (int)rng_below(&rng, 5), 1 + (int64_t)rng_below(&rng, 2000),
                        now);
            break;
        case 3:
        case 4:
            sidmap_release(job->map, hold, now);
            if (sidmap_hold(job->map, sid, now, &found, hold))
                (void)found;
            break;
        case 5:
            sidmap_drop(job->map, hold);
            break;
        case 6:
            sidmap_remove(job->map, sid);
            break;
        case 7:
            sidmap_expire(job->map, now, 20);
            break;
        }
    }
    for (int i = 0; i < 8; i++)
        sidmap_release(job->map, &held[i], atomic_load(job->clock));
}

static void *work_thread(void *arg)
{
    work(arg);
    return NULL;
}

static bool count_one(void *ctx, struct span sid, int server_id, int64_t expires_in_ms,
                      unsigned holds, int64_t age_ms)
{
    size_t *counts = ctx;
    (void)sid;
    (void)expires_in_ms;
    (void)age_ms;
    counts[server_id]++;
    counts[15] += holds;
    return true;
}

/* What the counters say is what a walk sees; and it can still be emptied and filled. */
static void check_whole(struct sidmap *map)
{
    size_t counts[16] = {0}, sum = 0;
    char room[SIDMAP_KEY_MAX];

    sidmap_each(map, -1, 0, count_one, counts); // at time 0 nothing has expired
    sidmap_expire(map, 0, 1);                   // brings the counts in order after a repair
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sidmap_sessions(map, i), counts[i]);
        sum += counts[i];
    }
    assert_int_equal(sidmap_used(map), sum);
    assert_true(sum <= sidmap_max(map));

    sidmap_clear(map, -1);
    assert_int_equal(sidmap_used(map), 0);
    size_t max = sidmap_max(map);
    for (unsigned i = 0; i < max; i++)
        assert_int_equal(sidmap_bind(map, sid_of(room, 2 * i), 0, LIFE, T0), SID_BOUND);
    assert_int_equal(sidmap_used(map), max);
    assert_int_equal(sidmap_bind(map, sid_of(room, (unsigned)(2 * max)), 0, LIFE, T0 + 1),
                     SID_BOUND_EVICTED);
    sidmap_clear(map, -1);
}

static void threads_agree(void **state)
{
    (void)state;
    _Atomic int64_t clock = T0;
    struct sidmap *map = sidmap_new("test", 1000);
    struct job jobs[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){map, (uint64_t)i + 1, 3000, 40000, &clock};
        assert_int_equal(pthread_create(&threads[i], NULL, work_thread, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    size_t counts[16] = {0};
    sidmap_each(map, -1, 0, count_one, counts);
    assert_int_equal(counts[15], 0); // every hold was released
    check_whole(map);
    sidmap_free(map);
}

/* A table that is never larger than it may be, also while many bind. */
static void *bind_thread(void *arg)
{
    const struct job *job = arg;
    char room[SIDMAP_KEY_MAX];
    for (int i = 0; i < job->steps; i++) {
        struct span sid = sid_of(room, (unsigned)job->seed * 1000000u + 2 * (unsigned)i);
        enum sid_bind answer = sidmap_bind(job->map, sid, 0, LIFE, atomic_fetch_add(job->clock, 1));
        assert_true(answer == SID_BOUND || answer == SID_BOUND_EVICTED);
        assert_true(sidmap_used(job->map) <= sidmap_max(job->map));
    }
    return NULL;
}

static void the_bound_holds_under_a_flood(void **state)
{
    (void)state;
    _Atomic int64_t clock = T0;
    struct sidmap *map = sidmap_new("test", 2000);
    struct job jobs[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){map, (uint64_t)i + 1, 0, 10000, &clock};
        assert_int_equal(pthread_create(&threads[i], NULL, bind_thread, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sidmap_used(map), 2000);
    assert_int_equal(sidmap_evictions(map), THREADS * 10000 - 2000);
    check_whole(map);
    sidmap_free(map);
}

static bool die(void *ctx, struct span sid, int server_id, int64_t expires_in_ms, unsigned holds,
                int64_t age_ms)
{
    (void)ctx;
    (void)sid;
    (void)server_id;
    (void)expires_in_ms;
    (void)holds;
    (void)age_ms;
    raise(SIGKILL);
    return true;
}

static void a_lock_whose_holder_was_killed_is_repaired(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 2000);
    struct sid_found found;
    struct sid_hold hold;
    char room[SIDMAP_KEY_MAX];
    int status;

    for (unsigned i = 0; i < 900; i++)
        sidmap_bind(map, sid_of(room, i), (int)(i % 5), LIFE, T0);
    assert_true(sidmap_hold(map, sid_of(room, 4), T0, &found, &hold));
    pid_t child = fork();
    if (child == 0) {
        struct sidmap *own = sidmap_attach(sidmap_fd(map));
        sidmap_each(own, -1, T0, die, NULL);
        _exit(1); // never
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    for (unsigned i = 0; i < 900; i++) {
        assert_true(sidmap_peek(map, sid_of(room, i), T0, &found));
        assert_int_equal(found.server_id, i % 5);
    }
    assert_true(
        sidmap_peek(map, sid_of(room, 4), T0 + 10 * FULL_LIFE, &found)); // the living one's hold
    sidmap_release(map, &hold, T0 + 10 * FULL_LIFE);
    assert_false(sidmap_peek(map, sid_of(room, 4), T0 + 20 * FULL_LIFE, &found));
    check_whole(map);
    sidmap_free(map);
}

/* Killed at any moment, again and again, while the others go on. */
static void killed_anywhere(void **state)
{
    (void)state;
    enum { ROUNDS = 60 };
    struct sidmap *map = sidmap_new("test", 600);
    _Atomic int64_t clock = T0;

    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[2];
        for (int i = 0; i < 2; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                _Atomic int64_t own_clock = T0 + round * 1000;
                struct sidmap *own = sidmap_attach(sidmap_fd(map));
                work(&(struct job){own, (uint64_t)(round * 2 + i), 2000, 0, &own_clock});
                _exit(1); // never
            }
        }
        work(&(struct job){map, 1000u + (uint64_t)round, 2000, 1000, &clock});
        nanosleep(&(struct timespec){0, 1000000 + round * 50000}, NULL);
        for (int i = 0; i < 2; i++) {
            int status;
            kill(children[i], SIGKILL);
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(WIFSIGNALED(status));
        }
        work(&(struct job){map, 2000u + (uint64_t)round, 2000, 200, &clock});
    }
    check_whole(map);

    // and the one that comes after all of them
    struct sidmap *heir = sidmap_attach(sidmap_fd(map));
    sidmap_reset(heir, 0, T0);
    assert_non_null(heir);
    check_whole(heir);
    sidmap_free(heir);
    sidmap_free(map);
}

/* Names are agreed on by everybody who asks at the same time. */
static void *name_thread(void *arg)
{
    struct sidmap *map = arg;
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "app%d", i);
        int id = sidmap_server_id(map, span_str(name));
        assert_in_range(id, 0, 199);
        assert_int_equal(sidmap_server_id(map, span_str(name)), id);
    }
    return NULL;
}

static void names_are_made_once(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 16);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, name_thread, map), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sidmap_server_id(map, SPAN("another")), 200);
    sidmap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(the_bound_holds_under_a_flood),
        cmocka_unit_test(a_lock_whose_holder_was_killed_is_repaired),
        cmocka_unit_test(killed_anywhere),
        cmocka_unit_test(names_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
