// SPDX-License-Identifier: Apache-2.0
/*
 * Whose word counts:
 *   - those of the configuration, from the start, heard or not: silence must not make a majority;
 *   - others that sentinels tell of, once they answer, and are told of by two (by one, where only one
 *     can be heard), so that one liar cannot bring a majority of its own along.
 * A sentinel may be known by a name here and by an address there: its run id decides. Who is neither
 * heard nor told of for a while, and not in the file, is forgotten.
 */
#include "sentinel-watch/roster.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MS = 60000 };

struct seat {
    struct sentinel *sentinel;
    bool heard;
    int64_t listed_ms[VOTERS_MAX]; /* by whom of the others it was told of, when; 0: never */
};

struct roster {
    struct link_world *world;
    const struct config_sentinel *config;
    const struct roster_owner *owner;
    void *ctx;
    struct seat seats[VOTERS_MAX];
    size_t count;
    struct grave grave;
};

void place_map(const struct config_sentinel *config, const struct place *place, struct place *out)
{
    *out = *place;
    for (size_t i = 0; i < config->opt.address_map_count; i++) {
        struct place from, to;
        const struct pair *pair = &config->opt.address_map[i];
        if (place_parse_text(span_str(pair->from), &from) && place_eq(&from, place) &&
            place_parse_text(span_str(pair->to), &to)) {
            *out = to;
            return;
        }
    }
}

/* ---- seats ---- */

static size_t seat_index(const struct roster *r, const struct sentinel *sentinel)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->seats[i].sentinel == sentinel)
            return i;
    abort();
}

static const char *source_of(const struct sentinel *sentinel, char out[static PLACE_TEXT_MAX])
{
    struct sentinel_info info;
    sentinel_info(sentinel, &info);
    return place_show(&info.place, out);
}

static void note(struct roster *r, const struct sentinel *sentinel, bool warning, const char *text)
{
    char source[PLACE_TEXT_MAX];
    r->owner->note(r->ctx, source_of(sentinel, source), warning, text);
}

static size_t listed_by(const struct roster *r, const struct seat *seat)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += seat->listed_ms[i] != 0 && r->world->loop->now_ms - seat->listed_ms[i] < LISTED_MS;
    return count;
}

static size_t voters(const struct roster *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += sentinel_voter(r->seats[i].sentinel) >= 0;
    return count;
}

static const struct sentinel_owner sentinel_owner;

/* NULL: there is no room. */
static struct seat *add_seat(struct roster *r, const struct place *place, bool configured)
{
    if (r->count == VOTERS_MAX)
        return NULL;
    const struct sentinel_options *opt = &r->config->opt;
    struct sentinel_setup setup = {
        .master = opt->master,
        .username = opt->username,
        .password = opt->password,
        .configured = configured,
    };
    place_map(r->config, place, &setup.place);
    struct seat *seat = &r->seats[r->count++];
    *seat = (struct seat){.sentinel = sentinel_new(r->world, &setup, &sentinel_owner, r)};
    return seat;
}

static void remove_seat(struct roster *r, size_t at)
{
    struct seat *seat = &r->seats[at];
    int voter = sentinel_voter(seat->sentinel);
    sentinel_free(seat->sentinel);
    r->count--;
    memmove(seat, seat + 1, (r->count - at) * sizeof(*seat));
    for (size_t i = 0; i < r->count; i++) { // Who told of whom goes by position.
        int64_t *listed = r->seats[i].listed_ms;
        memmove(&listed[at], &listed[at + 1], (VOTERS_MAX - 1 - at) * sizeof(*listed));
        listed[VOTERS_MAX - 1] = 0;
    }
    if (voter >= 0)
        r->owner->leave(r->ctx, voter);
}

/* The sentinel that another one tells of, NULL: a new one. */
static struct seat *find_seat(struct roster *r, const struct place *place, struct span run_id)
{
    struct place there;
    struct endpoint endpoint;
    char text[PLACE_TEXT_MAX];
    place_map(r->config, place, &there);
    endpoint_parse(span_str(place_show(&there, text)), false, &endpoint);
    for (size_t i = 0; i < r->count; i++) {
        struct sentinel_info info;
        sentinel_info(r->seats[i].sentinel, &info);
        bool named = info.run_id[0] && span_eq(span_str(info.run_id), run_id);
        bool same_addr = endpoint.kind == ENDPOINT_ADDR && info.addr->len > 0 &&
                         addr_eq(info.addr, &endpoint.addr);
        if (named || same_addr || place_eq(&info.place, &there))
            return &r->seats[i];
    }
    return NULL;
}

static void forget_unlisted(struct roster *r)
{
    for (size_t i = r->count; i-- > 0;) {
        struct sentinel_info info;
        sentinel_info(r->seats[i].sentinel, &info);
        if (info.configured || info.up || listed_by(r, &r->seats[i]) > 0)
            continue;
        note(r, r->seats[i].sentinel, false, "nobody tells of this sentinel any more");
        remove_seat(r, i);
    }
}

/* ---- what sentinels say ---- */

static void on_report(void *ctx, struct sentinel *sentinel, const struct report *report)
{
    struct roster *r = ctx;
    struct seat *seat = &r->seats[seat_index(r, sentinel)];
    if (sentinel_voter(sentinel) < 0 && listed_by(r, seat) >= (voters(r) > 1 ? 2u : 1u))
        sentinel_set_voter(sentinel, r->owner->join(r->ctx));
    int voter = sentinel_voter(sentinel);
    if (voter < 0)
        return;
    if (!seat->heard)
        note(r, sentinel, false, "the sentinel is heard");
    seat->heard = true;
    r->owner->report(r->ctx, voter, report);
}

static void on_lost(void *ctx, struct sentinel *sentinel)
{
    struct roster *r = ctx;
    struct seat *seat = &r->seats[seat_index(r, sentinel)];
    int voter = sentinel_voter(sentinel);
    if (voter < 0)
        return;
    if (seat->heard) {
        struct sentinel_info info;
        char text[256];
        sentinel_info(sentinel, &info);
        snprintf(text, sizeof(text), "the sentinel is not heard any more: %s", info.trouble);
        note(r, sentinel, true, text);
    }
    seat->heard = false;
    r->owner->lost(r->ctx, voter);
}

static void on_event(void *ctx, struct sentinel *sentinel, struct span channel, struct span payload)
{
    struct roster *r = ctx;
    char source[PLACE_TEXT_MAX];
    struct event event;
    if (span_eq(channel, SPAN("__sentinel__:hello")))
        return;
    event_parse(channel, payload, &event);
    if (event.master[0] && strcmp(event.master, r->config->opt.master) != 0)
        return; // Another master's.
    r->owner->published(r->ctx, source_of(sentinel, source), channel, payload);
    if (event.kind == EVENT_MEMBER || event.kind == EVENT_RESET || event.kind == EVENT_SWITCH)
        sentinel_ask_members(sentinel);
    if (r->owner->event(r->ctx, sentinel_voter(sentinel), &event))
        sentinel_poll(sentinel);
}

/* Two that turn out to be the same: the one that was found goes, or the earlier of two. */
static void on_named(void *ctx, struct sentinel *sentinel)
{
    struct roster *r = ctx;
    struct sentinel_info info, other;
    sentinel_info(sentinel, &info);
    for (size_t i = 0; i < r->count; i++) {
        sentinel_info(r->seats[i].sentinel, &other);
        if (r->seats[i].sentinel == sentinel || strcmp(other.run_id, info.run_id) != 0)
            continue;
        note(r, sentinel, info.configured && other.configured,
             "it is a sentinel that is known by another address already");
        remove_seat(r, info.configured ? i : seat_index(r, sentinel));
        return;
    }
}

static void on_sentinels(void *ctx, struct sentinel *sentinel, const struct resp *list)
{
    struct roster *r = ctx;
    size_t from = seat_index(r, sentinel);
    for (size_t i = 0; i < list->count && i < VOTERS_MAX; i++) {
        const struct resp *fields = list->items[i];
        struct place place;
        if (!place_parse(resp_field(fields, "ip"), resp_field(fields, "port"), &place))
            continue;
        struct seat *seat = find_seat(r, &place, resp_field(fields, "runid"));
        if (!seat)
            seat = add_seat(r, &place, false);
        if (seat)
            seat->listed_ms[from] = r->world->loop->now_ms;
    }
    forget_unlisted(r);
}

static void on_replicas(void *ctx, struct sentinel *sentinel, const struct resp *list)
{
    struct roster *r = ctx;
    (void)sentinel;
    r->owner->replicas(r->ctx, list);
}

static int64_t on_poll_ms(void *ctx)
{
    struct roster *r = ctx;
    return r->owner->poll_ms(r->ctx);
}

static const struct sentinel_owner sentinel_owner = {
    .report = on_report,
    .lost = on_lost,
    .event = on_event,
    .named = on_named,
    .sentinels = on_sentinels,
    .replicas = on_replicas,
    .poll_ms = on_poll_ms,
};

/* ---- public ---- */

struct roster *roster_new(struct link_world *world, const struct config_sentinel *config,
                          const struct roster_owner *owner, void *ctx)
{
    struct roster *r = mem_must_alloc(sizeof(*r));
    r->world = world;
    r->config = config;
    r->owner = owner;
    r->ctx = ctx;
    for (size_t i = 0; i < config->opt.sentinels_count; i++) {
        struct place place;
        bool good = place_parse_text(span_str(config->opt.sentinels[i]), &place);
        assert(good); // The configuration has been checked.
        struct seat *seat = add_seat(r, &place, true);
        assert(seat); // Nor are there more of them than votes.
        sentinel_set_voter(seat->sentinel, owner->join(ctx));
    }
    return r;
}

static void roster_bury(struct grave *grave)
{
    free(container_of(grave, struct roster, grave));
}

void roster_free(struct roster *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        sentinel_free(r->seats[i].sentinel);
    r->grave.fn = roster_bury;
    loop_bury(r->world->loop, &r->grave);
}

void roster_poll(struct roster *r)
{
    for (size_t i = 0; i < r->count; i++)
        sentinel_poll(r->seats[i].sentinel);
}

size_t roster_count(const struct roster *r)
{
    return r->count;
}

struct sentinel *roster_at(const struct roster *r, size_t i)
{
    return r->seats[i].sentinel;
}
