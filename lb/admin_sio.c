// SPDX-License-Identifier: Apache-2.0
/*
 * Our own commands, about Engine.IO sessions: which there are, where one of them lives, and by
 * which transports they are used. Session ids are credentials, so they are for operators.
 */
#include "base/clock.h"
#include "lb/admin_command.h"
#include "lb/sidname.h"

#define SIDS_HEAD "# sid backend/server age_s expires_s open\n"

struct sids_walk {
    struct backend *backend;
    struct text *out;
};

static bool add_sid(void *ctx, struct span sid, int server_id, int64_t expires_in_ms,
                    unsigned holds, int64_t age_ms)
{
    const struct sids_walk *walk = ctx;
    const struct server *owner = backend_server_by_sid_id(walk->backend, server_id);
    stats_add_key(walk->out, sid);
    text_addf(walk->out, " %s/%s %lld %lld %u\n", walk->backend->name, owner ? owner->name : "-",
              (long long)(age_ms / 1000), (long long)(expires_in_ms > 0 ? expires_in_ms / 1000 : 0),
              holds);
    return !walk->out->failed;
}

void admin_sio_sids(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct snapshot *snapshot = caller->serving->snapshot;
    struct backend *only = NULL;
    if (admin_unexpected(caller, args, count, 1))
        return;
    if (count == 1) {
        only = admin_backend(caller, args[0]);
        if (!only)
            return;
    }
    text_add(&caller->answer, SPAN(SIDS_HEAD));
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct sids_walk walk = {snapshot->backends[i], &caller->answer};
        if (!only || only == walk.backend)
            sidmap_each(walk.backend->sids, -1, clock_mono_ms(), add_sid, &walk);
    }
}

/* In which table it is. */
static struct backend *sid_backend(struct snapshot *snapshot, struct span sid, int64_t now_ms,
                                   struct sid_found *found)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (sidmap_peek(snapshot->backends[i]->sids, sid, now_ms, found))
            return snapshot->backends[i];
    }
    return NULL;
}

static const char *state_word(const struct server *owner)
{
    return !owner ? "gone" : server_alive(owner) ? "alive" : "dead";
}

/* The sid itself says whose it is (sid.mode tag, prefix); nobody here has seen it. */
static bool say_named(struct admin_caller *caller, struct span sid)
{
    const struct snapshot *snapshot = caller->serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        struct server *owner = NULL;
        if (sidname_owner(backend, sid, &owner) == SIDNAME_NOTHING)
            continue;
        text_addf(&caller->answer, "%s/%s %s by=sid\n", backend->name, owner ? owner->name : "-",
                  state_word(owner));
        return true;
    }
    return false;
}

void admin_sio_where(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct sid_found found;
    int64_t now_ms = clock_mono_ms();
    if (count == 0) {
        admin_say(caller, SEVERITY_ERROR, "A session id is expected.");
        return;
    }
    if (admin_unexpected(caller, args, count, 1))
        return;
    struct backend *backend = sid_backend(caller->serving->snapshot, args[0], now_ms, &found);
    if (!backend) {
        if (!say_named(caller, args[0]))
            admin_say(caller, SEVERITY_ERROR, "No such session.");
        return;
    }
    const struct server *owner = backend_server_by_sid_id(backend, found.server_id);
    text_addf(&caller->answer, "%s/%s %s age=%llds lifetime=%llds\n", backend->name,
              owner ? owner->name : "-", state_word(owner),
              (long long)((now_ms - found.created_ms) / 1000),
              (long long)(found.lifetime_ms / 1000));
}

static void add_transports(struct serving *serving, const char *backend, const char *name,
                           uint16_t stat_id, int64_t sids, struct text *out)
{
    text_addf(out, "%s/%s %lld %lld %lld %lld %lld\n", backend, name, (long long)sids,
              (long long)stats_sum(serving, stat_id, COUNTER_SIO_POLLING_NOW),
              (long long)stats_sum(serving, stat_id, COUNTER_SIO_WEBSOCKET_NOW),
              (long long)stats_sum(serving, stat_id, COUNTER_SIO_HANDSHAKES),
              (long long)stats_sum(serving, stat_id, COUNTER_SIO_UPGRADES));
}

void admin_sio_transports(struct admin_caller *caller, const struct span *args, size_t count)
{
    struct serving *serving = caller->serving;
    const struct snapshot *snapshot = serving->snapshot;
    struct text *out = &caller->answer;
    if (admin_unexpected(caller, args, count, 0))
        return;
    text_add(out, SPAN("# backend/server sids polling websocket handshakes upgrades\n"));
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count; k++) {
            const struct server *server = backend->servers[k];
            add_transports(serving, backend->name, server->name, server->stat_id,
                           sidmap_sessions(backend->sids, server->sid_id), out);
        }
        add_transports(serving, backend->name, "BACKEND", backend->stat_id,
                       (int64_t)sidmap_used(backend->sids), out);
    }
}
