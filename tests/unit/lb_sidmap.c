// SPDX-License-Identifier: Apache-2.0
/* The sid table in one thread: lifetimes, holds, the bound, long sids, attaching. Time is passed
 * in. */
#include "lb/sidmap.h"

#include "base/mem.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { T0 = 1000000, LIFE = 45000, FULL_LIFE = LIFE + SIDMAP_SLACK_MS };

/* A sid of its own for every number. */
static struct span sid_of(char room[static 64], unsigned number)
{
    int len = snprintf(room, 64, "sid-%016x", number);
    return span_of(room, (size_t)len);
}

static enum sid_bind bind_number(struct sidmap *map, unsigned number, int64_t lifetime_ms,
                                 int64_t now_ms)
{
    char room[64];
    return sidmap_bind(map, sid_of(room, number), 0, lifetime_ms, now_ms);
}

static bool has_number(struct sidmap *map, unsigned number, int64_t now_ms)
{
    char room[64];
    struct sid_found found;
    return sidmap_peek(map, sid_of(room, number), now_ms, &found);
}

static void binds_and_finds(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold hold;
    int a = sidmap_server_id(map, SPAN("app01")), b = sidmap_server_id(map, SPAN("app02"));

    assert_int_equal(a, 0);
    assert_int_equal(b, 1);
    assert_int_equal(sidmap_server_id(map, SPAN("app01")), a);
    assert_int_equal(sidmap_bind(map, SPAN("abc"), b, LIFE, T0), SID_BOUND);
    assert_true(sidmap_peek(map, SPAN("abc"), T0, &found));
    assert_int_equal(found.server_id, b);
    assert_int_equal(found.lifetime_ms, FULL_LIFE);
    assert_in_range(T0 - found.created_ms, 0, 125);
    assert_false(found.kick);
    assert_false(sidmap_hold(map, SPAN("abd"), T0, &found, &hold));
    assert_false(hold.held);
    sidmap_release(map, &hold, T0);
    assert_int_equal(sidmap_used(map), 1);
    assert_int_equal(sidmap_sessions(map, b), 1);
    assert_int_equal(sidmap_sessions(map, a), 0);

    // binding anew moves it
    assert_int_equal(sidmap_bind(map, SPAN("abc"), a, LIFE, T0), SID_BOUND);
    assert_int_equal(sidmap_used(map), 1);
    assert_int_equal(sidmap_sessions(map, b), 0);
    assert_int_equal(sidmap_sessions(map, a), 1);

    assert_true(sidmap_remove(map, SPAN("abc")));
    assert_false(sidmap_remove(map, SPAN("abc")));
    assert_false(sidmap_peek(map, SPAN("abc"), T0, &found));
    assert_int_equal(sidmap_used(map), 0);
    assert_int_equal(sidmap_sessions(map, a), 0);
    sidmap_free(map);
}

static void refuses_what_is_no_sid(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 16);
    char longest[SIDMAP_KEY_MAX + 1];
    struct sid_found found;
    struct sid_hold hold;

    memset(longest, 'x', sizeof(longest));
    assert_int_equal(sidmap_bind(map, SPAN(""), 0, LIFE, T0), SID_REFUSED);
    assert_int_equal(sidmap_bind(map, span_of(longest, sizeof(longest)), 0, LIFE, T0), SID_REFUSED);
    assert_int_equal(sidmap_bind(map, SPAN("a"), -1, LIFE, T0), SID_REFUSED);
    assert_int_equal(sidmap_bind(map, SPAN("a"), SIDMAP_SERVERS_MAX, LIFE, T0), SID_REFUSED);
    assert_false(sidmap_hold(map, SPAN(""), T0, &found, &hold));
    assert_false(sidmap_hold(map, span_of(longest, sizeof(longest)), T0, &found, &hold));
    assert_false(sidmap_remove(map, SPAN("")));
    assert_int_equal(sidmap_server_id(map, SPAN("")), -1);
    assert_int_equal(sidmap_used(map), 0);
    sidmap_free(map);
}

static void lifetime_ends_exactly(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);

    bind_number(map, 1, LIFE, T0);
    assert_true(has_number(map, 1, T0 + FULL_LIFE - 1));
    assert_false(has_number(map, 1, T0 + FULL_LIFE));
    assert_int_equal(sidmap_expire(map, T0 + FULL_LIFE - 1, 100), 0);
    assert_int_equal(sidmap_used(map), 1);
    assert_int_equal(sidmap_expire(map, T0 + FULL_LIFE, 100), 1);
    assert_int_equal(sidmap_used(map), 0);
    assert_int_equal(sidmap_sessions(map, 0), 0);
    // a handshake that states none gets the default
    bind_number(map, 2, 0, T0);
    assert_true(has_number(map, 2, T0 + SIDMAP_DEFAULT_LIFETIME_MS + SIDMAP_SLACK_MS - 1));
    assert_false(has_number(map, 2, T0 + SIDMAP_DEFAULT_LIFETIME_MS + SIDMAP_SLACK_MS));
    sidmap_free(map);
}

static void requests_renew_it(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold hold;
    char room[64];
    int64_t now = T0;

    bind_number(map, 1, LIFE, now);
    for (int i = 0; i < 100; i++) {
        now += FULL_LIFE - 1;
        assert_true(sidmap_hold(map, sid_of(room, 1), now, &found, &hold));
        sidmap_release(map, &hold, now);
        assert_int_equal(sidmap_expire(map, now, 100), 0);
    }
    assert_int_equal(sidmap_expire(map, now + FULL_LIFE, 100), 1);
    sidmap_free(map);
}

static void held_entries_stay(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold one, two;
    char room[64];

    bind_number(map, 1, LIFE, T0);
    assert_true(sidmap_hold(map, sid_of(room, 1), T0, &found, &one));
    assert_true(sidmap_hold(map, sid_of(room, 1), T0, &found, &two));
    assert_int_equal(sidmap_expire(map, T0 + 10 * FULL_LIFE, 100), 0);
    assert_true(has_number(map, 1, T0 + 10 * FULL_LIFE));
    sidmap_release(map, &one, T0 + 10 * FULL_LIFE);
    sidmap_release(map, &one, T0 + 10 * FULL_LIFE); // harmless
    assert_true(has_number(map, 1, T0 + 20 * FULL_LIFE));
    // the last one to let go starts the lifetime
    sidmap_release(map, &two, T0 + 20 * FULL_LIFE);
    assert_true(has_number(map, 1, T0 + 21 * FULL_LIFE - 1));
    assert_false(has_number(map, 1, T0 + 21 * FULL_LIFE));
    assert_int_equal(sidmap_expire(map, T0 + 21 * FULL_LIFE, 100), 1);
    sidmap_free(map);
}

static void a_stale_hold_is_harmless(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 16);
    struct sid_found found;
    struct sid_hold old, now;
    char room[64];

    bind_number(map, 1, LIFE, T0);
    assert_true(sidmap_hold(map, sid_of(room, 1), T0, &found, &old));
    assert_true(sidmap_remove(map, sid_of(room, 1))); // held or not
    bind_number(map, 2, LIFE, T0);                    // takes the same slot
    assert_true(sidmap_hold(map, sid_of(room, 2), T0, &found, &now));
    assert_int_equal(now.slot, old.slot);
    struct sid_hold copy = old;
    sidmap_release(map, &old, T0);
    sidmap_drop(map, &copy);
    assert_true(has_number(map, 2, T0 + 10 * FULL_LIFE)); // still held
    sidmap_drop(map, &now);
    assert_false(now.held);
    assert_false(has_number(map, 2, T0));
    assert_int_equal(sidmap_used(map), 0);
    sidmap_free(map);
}

static void a_shorter_lifetime_counts(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 100);

    bind_number(map, 1, 1000000, T0);
    bind_number(map, 2, 500000, T0);
    bind_number(map, 1, 1000, T0);
    assert_int_equal(sidmap_expire(map, T0 + 1000 + SIDMAP_SLACK_MS, 100), 1);
    assert_false(has_number(map, 1, T0));
    assert_true(has_number(map, 2, T0));
    sidmap_free(map);
}

static void unknown_sids_create_nothing(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold hold;
    char room[64];

    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(bind_number(map, i, LIFE, T0), SID_BOUND);
    for (unsigned i = 0; i < 100000; i++) {
        assert_false(sidmap_hold(map, sid_of(room, 1000 + i), T0, &found, &hold));
        assert_false(sidmap_remove(map, sid_of(room, 1000 + i)));
    }
    assert_int_equal(sidmap_used(map), 1000);
    assert_int_equal(sidmap_evictions(map), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(has_number(map, i, T0));
    sidmap_free(map);
}

/* The whole table gives up who expires first, across its shards. */
static void a_full_table_gives_up_the_soonest(void **state)
{
    (void)state;
    enum { MAX = 20000 };
    struct sidmap *map = sidmap_new("test", MAX);

    for (unsigned i = 0; i < MAX; i++) // in an order that is not that of their ends
        assert_int_equal(bind_number(map, (i * 7919u) % MAX, 100000 + (i * 7919u) % MAX, T0),
                         SID_BOUND);
    assert_int_equal(sidmap_used(map), MAX);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(bind_number(map, MAX + i, 1000000, T0), SID_BOUND_EVICTED);
        assert_false(has_number(map, i, T0));
        assert_true(has_number(map, i + 1, T0));
    }
    assert_int_equal(sidmap_used(map), MAX);
    assert_int_equal(sidmap_evictions(map), 500);
    // an expired one goes uncounted
    assert_int_equal(bind_number(map, 2 * MAX, 1000000, T0 + 200000), SID_BOUND);
    assert_int_equal(sidmap_evictions(map), 500);
    sidmap_free(map);
}

static void renewed_and_held_ones_are_not_given_up(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 4);
    struct sid_found found;
    struct sid_hold held, renewed;
    char room[64];

    for (unsigned i = 0; i < 4; i++)
        bind_number(map, i, LIFE + i, T0);
    assert_true(sidmap_hold(map, sid_of(room, 0), T0, &found, &held));
    assert_true(sidmap_hold(map, sid_of(room, 1), T0 + 100, &found, &renewed));
    sidmap_release(map, &renewed, T0 + 100);
    assert_int_equal(bind_number(map, 10, LIFE, T0 + 200), SID_BOUND_EVICTED);
    assert_false(has_number(map, 2, T0 + 200));
    assert_int_equal(bind_number(map, 11, LIFE, T0 + 200), SID_BOUND_EVICTED);
    assert_false(has_number(map, 3, T0 + 200));
    assert_int_equal(bind_number(map, 12, LIFE, T0 + 200), SID_BOUND_EVICTED);
    assert_false(has_number(map, 1, T0 + 200));
    assert_true(has_number(map, 0, T0 + 200));
    sidmap_free(map);
}

static void all_held_is_full(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 3);
    struct sid_found found;
    struct sid_hold holds[3];
    char room[64];

    for (unsigned i = 0; i < 3; i++) {
        bind_number(map, i, LIFE, T0);
        assert_true(sidmap_hold(map, sid_of(room, i), T0, &found, &holds[i]));
    }
    assert_int_equal(bind_number(map, 3, LIFE, T0), SID_FULL);
    assert_int_equal(sidmap_used(map), 3);
    assert_int_equal(bind_number(map, 2, LIFE, T0), SID_BOUND); // known ones can be bound anew
    sidmap_release(map, &holds[1], T0);
    assert_int_equal(bind_number(map, 3, LIFE, T0), SID_BOUND_EVICTED);
    assert_false(has_number(map, 1, T0));
    sidmap_free(map);
}

static void takes_all_that_it_promises(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 17, 255, 1000, 16384, 100000};

    for (size_t i = 0; i < array_len(sizes); i++) {
        struct sidmap *map = sidmap_new("test", sizes[i]);
        for (unsigned n = 0; n < sizes[i]; n++)
            assert_int_equal(bind_number(map, n, LIFE, T0), SID_BOUND);
        assert_int_equal(sidmap_used(map), sizes[i]);
        assert_int_equal(sidmap_max(map), sizes[i]);
        assert_int_equal(sidmap_evictions(map), 0);
        sidmap_free(map);
    }
}

/* Pages of the table that have memory. */
static long pages_touched(const struct sidmap *map)
{
    off_t bytes = lseek(sidmap_fd(map), 0, SEEK_END);
    unsigned char *touched = malloc((size_t)bytes / 4096 + 1);
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, sidmap_fd(map), 0);
    long pages = 0;

    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mincore(memory, (size_t)bytes, touched), 0);
    for (off_t i = 0; i < bytes / 4096; i++)
        pages += touched[i] & 1;
    munmap(memory, (size_t)bytes);
    free(touched);
    return pages;
}

static void is_small(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000000);

    assert_true(sidmap_bytes(map) <= 64 * 1000000);
    assert_in_range(pages_touched(map), 1, 32);
    for (unsigned i = 0; i < 100000; i++)
        bind_number(map, i, LIFE, T0);
    // the index is touched everywhere, slots and heap only as far as they are used
    assert_in_range(pages_touched(map), 1, (100000 * 60 + 750000 * 4) / 4096 + 300);
    sidmap_free(map);
}

static struct span long_sid(char room[static SIDMAP_KEY_MAX], unsigned number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        room[i] = (char)('A' + (number * 31 + i * 7 + len) % 57);
    memcpy(room, &number, len < sizeof(number) ? len : sizeof(number));
    return span_of(room, len);
}

static void long_sids_are_whole(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    char room[SIDMAP_KEY_MAX];
    struct sid_found found;

    for (int round = 0; round < 3; round++) {
        for (unsigned len = 4; len <= SIDMAP_KEY_MAX; len++)
            assert_int_equal(sidmap_bind(map, long_sid(room, len, len), (int)len % 3, LIFE, T0),
                             SID_BOUND);
        for (unsigned len = 4; len <= SIDMAP_KEY_MAX; len++) {
            assert_true(sidmap_peek(map, long_sid(room, len, len), T0, &found));
            assert_int_equal(found.server_id, len % 3);
            room[len - 1] ^= 1; // one bit off, in the last byte
            assert_false(sidmap_peek(map, span_of(room, len), T0, &found));
        }
        assert_int_equal(sidmap_used(map), SIDMAP_KEY_MAX - 3);
        for (unsigned len = 4; len <= SIDMAP_KEY_MAX; len++)
            assert_true(sidmap_remove(map, long_sid(room, len, len)));
        assert_int_equal(sidmap_used(map), 0);
    }
    sidmap_free(map);
}

static void long_sids_are_bounded_too(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    char room[SIDMAP_KEY_MAX];
    size_t evicted = 0;

    for (unsigned i = 0; i < 5000; i++) {
        enum sid_bind answer = sidmap_bind(map, long_sid(room, i, SIDMAP_KEY_MAX), 0, LIFE, T0 + i);
        assert_true(answer == SID_BOUND || answer == SID_BOUND_EVICTED);
        evicted += answer == SID_BOUND_EVICTED;
    }
    assert_true(sidmap_used(map) > 200);
    assert_true(sidmap_used(map) <= 1000);
    assert_true(evicted > 3000);
    sidmap_clear(map, -1);
    assert_int_equal(sidmap_used(map), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(bind_number(map, i, LIFE, T0), SID_BOUND);
    sidmap_free(map);
}

struct walk {
    size_t count, stop_at;
    unsigned holds;
    int64_t least, age;
};

static bool count_entry(void *ctx, struct span sid, int server_id, int64_t expires_in_ms,
                        unsigned holds, int64_t age_ms)
{
    struct walk *walk = ctx;
    assert_true(sid.len > 0 && server_id >= 0);
    walk->count++;
    walk->holds += holds;
    walk->age = age_ms;
    if (expires_in_ms < walk->least)
        walk->least = expires_in_ms;
    return walk->count != walk->stop_at;
}

static void can_be_walked_and_cleared(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 20000);
    struct sid_found found;
    struct sid_hold hold;
    char room[64];

    for (unsigned i = 0; i < 3000; i++)
        sidmap_bind(map, sid_of(room, i), (int)(i % 3), LIFE, T0);
    sidmap_bind(map, SPAN("gone"), 1, 1000, T0);
    sidmap_hold(map, sid_of(room, 4), T0, &found, &hold);
    struct walk all = {.least = INT64_MAX}, one = {.least = INT64_MAX}, some = {.stop_at = 10};
    sidmap_each(map, -1, T0 + 20000, count_entry, &all);
    assert_int_equal(all.count, 3000);
    assert_int_equal(all.holds, 1);
    assert_int_equal(all.least, FULL_LIFE - 20000);
    assert_in_range(all.age, 20000, 20125);
    sidmap_each(map, 1, T0 + 20000, count_entry, &one);
    assert_int_equal(one.count, 1000);
    sidmap_each(map, -1, T0, count_entry, &some);
    assert_int_equal(some.count, 10);

    sidmap_clear(map, 1);
    assert_int_equal(sidmap_used(map), 2000);
    assert_int_equal(sidmap_sessions(map, 1), 0);
    assert_int_equal(sidmap_sessions(map, 2), 1000);
    sidmap_release(map, &hold, T0); // its entry is gone
    sidmap_clear(map, -1);
    assert_int_equal(sidmap_used(map), 0);
    sidmap_free(map);
}

static void can_be_marked(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 16);
    struct sid_found found;

    assert_false(sidmap_mark_kick(map, SPAN("abc")));
    sidmap_bind(map, SPAN("abc"), 0, LIFE, T0);
    assert_true(sidmap_mark_kick(map, SPAN("abc")));
    assert_true(sidmap_peek(map, SPAN("abc"), T0, &found));
    assert_true(found.kick);
    sidmap_free(map);
}

static void expiry_keeps_to_its_budget(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 20000);
    size_t gone = 0;
    int calls = 0;

    for (unsigned i = 0; i < 20000; i++)
        bind_number(map, i, LIFE, T0);
    while (sidmap_used(map) > 0) {
        size_t now = sidmap_expire(map, T0 + FULL_LIFE, 1000);
        assert_in_range(now, 1, 1000);
        gone += now;
        assert_true(++calls < 100);
    }
    assert_int_equal(gone, 20000);
    assert_int_equal(sidmap_expire(map, T0 + FULL_LIFE, 1000), 0);
    sidmap_free(map);
}

static void attaching_sees_the_same(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold hold;

    sidmap_bind(map, SPAN("abc"), sidmap_server_id(map, SPAN("app07")), LIFE, T0);
    struct sidmap *other = sidmap_attach(sidmap_fd(map));
    assert_non_null(other);
    assert_int_not_equal(sidmap_fd(map), sidmap_fd(other));
    assert_int_equal(sidmap_server_id(other, SPAN("app07")), 0);
    assert_true(sidmap_hold(other, SPAN("abc"), T0, &found, &hold));
    assert_true(sidmap_peek(map, SPAN("abc"), T0 + 10 * FULL_LIFE, &found));
    sidmap_free(map);
    sidmap_release(other, &hold, T0);
    assert_true(sidmap_remove(other, SPAN("abc")));
    sidmap_free(other);
}

static void attaching_after_a_crash_drops_holds(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 1000);
    struct sid_found found;
    struct sid_hold hold;
    char room[SIDMAP_KEY_MAX];

    for (unsigned i = 0; i < 500; i++)
        sidmap_bind(map, long_sid(room, i, 10 + i % 100), (int)(i % 4), LIFE, T0);
    for (unsigned i = 0; i < 100; i++)
        assert_true(sidmap_hold(map, long_sid(room, i, 10 + i % 100), T0, &found, &hold));
    int64_t later = T0 + 100 * (int64_t)FULL_LIFE;
    struct sidmap *other = sidmap_attach(sidmap_fd(map));
    sidmap_reset(other, 0, later);
    assert_non_null(other);
    assert_int_equal(sidmap_used(other), 500);
    assert_int_equal(sidmap_sessions(other, 3), 125);
    assert_true(sidmap_peek(other, long_sid(room, 7, 17), later + FULL_LIFE - 1, &found));
    assert_int_equal(found.server_id, 7 % 4);
    assert_false(sidmap_peek(other, long_sid(room, 7, 17), later + FULL_LIFE, &found));
    assert_false(sidmap_peek(other, long_sid(room, 200, 10), later, &found)); // was not held
    assert_int_equal(sidmap_expire(other, later, 10000), 400);
    assert_int_equal(sidmap_expire(other, later + FULL_LIFE, 10000), 100);
    assert_int_equal(sidmap_used(other), 0);
    sidmap_free(other);
    sidmap_free(map);
}

static void other_memory_is_refused(void **state)
{
    (void)state;
    int fd = memfd_create("other", MFD_CLOEXEC);
    assert_null(sidmap_attach(fd));
    assert_int_equal(ftruncate(fd, 10 << 20), 0);
    assert_null(sidmap_attach(fd));
    close(fd);
    assert_null(sidmap_attach(fd));

    struct sidmap *map = sidmap_new("test", 1000);
    assert_int_equal(ftruncate(sidmap_fd(map), 0), -1); // sealed
    sidmap_free(map);
}

static void server_ids_are_bounded(void **state)
{
    (void)state;
    struct sidmap *map = sidmap_new("test", 16);
    char name[300];

    for (int i = 0; i < SIDMAP_SERVERS_MAX; i++) {
        snprintf(name, sizeof(name), "server-%d", i);
        assert_int_equal(sidmap_server_id(map, span_str(name)), i);
    }
    assert_int_equal(sidmap_server_id(map, SPAN("one-more")), -1);
    assert_int_equal(sidmap_server_id(map, SPAN("server-1023")), 1023);
    memset(name, 'x', sizeof(name));
    assert_int_equal(sidmap_server_id(map, span_of(name, 256)), -1);
    assert_int_equal(sidmap_bind(map, SPAN("last"), 1023, LIFE, T0), SID_BOUND);
    assert_int_equal(sidmap_sessions(map, 1023), 1);
    sidmap_free(map);
}

/* A plain model beside it: what the table says must be what the model says, whatever the order of
 * events. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    enum { SIDS = 300, STEPS = 60000 };
    struct {
        bool bound;
        int64_t expires, life;
        struct sid_hold hold;
    } model[SIDS] = {0};
    struct sidmap *map = sidmap_new("test", 4096);
    struct sid_found found;
    struct rng rng;
    char room[64];
    int64_t now = T0;

    rng_seed(&rng, 7);
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rng_below(&rng, SIDS);
        struct span sid = sid_of(room, i);
        now += (int64_t)rng_below(&rng, 40);
        bool held = model[i].hold.held;
        bool alive = model[i].bound && (held || model[i].expires > now);
        switch (rng_below(&rng, 6)) {
        case 0:
            model[i].life = 1 + (int64_t)rng_below(&rng, 5000) + SIDMAP_SLACK_MS;
            sidmap_bind(map, sid, 1, model[i].life - SIDMAP_SLACK_MS, now);
            model[i].bound = true;
            model[i].expires = now + model[i].life;
            break;
        case 1:
            assert_int_equal(sidmap_remove(map, sid) || !alive, true);
            model[i].bound = false;
            break;
        case 2:
            if (held)
                break;
            assert_int_equal(sidmap_hold(map, sid, now, &found, &model[i].hold), alive);
            break;
        case 3:
            if (held && model[i].bound)
                model[i].expires = now + model[i].life;
            sidmap_release(map, &model[i].hold, now);
            break;
        case 4:
            sidmap_expire(map, now, 5);
            break;
        case 5:
            assert_int_equal(sidmap_peek(map, sid, now, &found), alive);
            break;
        }
        // a hold of an entry that was removed holds nothing
        if (model[i].hold.held && !model[i].bound)
            sidmap_release(map, &model[i].hold, now);
    }
    for (unsigned i = 0; i < SIDS; i++)
        sidmap_release(map, &model[i].hold, now);
    sidmap_expire(map, now + 1000000, SIZE_MAX);
    assert_int_equal(sidmap_used(map), 0);
    assert_int_equal(sidmap_sessions(map, 1), 0);
    sidmap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_and_finds),
        cmocka_unit_test(refuses_what_is_no_sid),
        cmocka_unit_test(lifetime_ends_exactly),
        cmocka_unit_test(requests_renew_it),
        cmocka_unit_test(held_entries_stay),
        cmocka_unit_test(a_stale_hold_is_harmless),
        cmocka_unit_test(a_shorter_lifetime_counts),
        cmocka_unit_test(unknown_sids_create_nothing),
        cmocka_unit_test(a_full_table_gives_up_the_soonest),
        cmocka_unit_test(renewed_and_held_ones_are_not_given_up),
        cmocka_unit_test(all_held_is_full),
        cmocka_unit_test(takes_all_that_it_promises),
        cmocka_unit_test(is_small),
        cmocka_unit_test(long_sids_are_whole),
        cmocka_unit_test(long_sids_are_bounded_too),
        cmocka_unit_test(can_be_walked_and_cleared),
        cmocka_unit_test(can_be_marked),
        cmocka_unit_test(expiry_keeps_to_its_budget),
        cmocka_unit_test(attaching_sees_the_same),
        cmocka_unit_test(attaching_after_a_crash_drops_holds),
        cmocka_unit_test(other_memory_is_refused),
        cmocka_unit_test(server_ids_are_bounded),
        cmocka_unit_test(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
