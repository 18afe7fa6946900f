// SPDX-License-Identifier: Apache-2.0
/*
 * Backends and servers as pages, JSON and metrics show them, from the same atomics as `show stat`.
 *
 * A session is a live sid, or a tunnel opened without one. Those on WebSocket are the tunnels; of
 * the sids, those that no tunnel holds are polling. Where sids are in no table (sid.mode tag and
 * prefix), polling sessions are those whose poll is held at the moment.
 */
#include "lb/control.h"
#include "lb/reload.h"
#include "lb/stats_row.h"
#include "lb/web_parts.h"

const char *web_state_word(enum web_state state)
{
    static const char *const words[WEB_STATES] = {
        [WEB_UP] = "up",     [WEB_WAVERING] = "wavering", [WEB_UNCHECKED] = "unchecked",
        [WEB_NOLB] = "nolb", [WEB_DRAIN] = "drain",       [WEB_MAINT] = "maint",
        [WEB_DOWN] = "down",
    };
    return words[state];
}

/* As `show stat` decides: maintenance hides a failure, a failure hides a drain. */
static enum web_state state_of(const struct server *server, const struct health_status *health)
{
    int admin = atomic_load(&server->admin);
    int verdict = atomic_load(&server->health);
    if (admin == SERVER_MAINT)
        return WEB_MAINT;
    if (verdict == SERVER_DOWN)
        return health != NULL && health->good > 0 ? WEB_WAVERING : WEB_DOWN;
    if (admin == SERVER_DRAIN || atomic_load(&server->weight) == 0 || server->config == NULL)
        return WEB_DRAIN;
    if (!server_takes_sessions(server->backend, server))
        return WEB_NOLB;
    if (verdict == SERVER_UNCHECKED)
        return WEB_UNCHECKED;
    return health != NULL && health->bad > 0 ? WEB_WAVERING : WEB_UP;
}

static void sessions_of(struct serving *serving, uint16_t stat_id, int64_t sids, int64_t *polling,
                        int64_t *websocket)
{
    int64_t without_tunnel = sids - stats_sum(serving, stat_id, COUNTER_SIO_UPGRADED_NOW);
    int64_t polls = stats_sum(serving, stat_id, COUNTER_SIO_POLLING_NOW);
    *websocket = stats_sum(serving, stat_id, COUNTER_SIO_WEBSOCKET_NOW);
    *polling = without_tunnel > polls ? without_tunnel : polls;
}

void web_sessions_of(struct serving *serving, const struct backend *backend, int64_t *polling,
                     int64_t *websocket)
{
    int64_t sids = backend->sids != NULL ? (int64_t)sidmap_used(backend->sids) : 0;
    sessions_of(serving, backend->stat_id, sids, polling, websocket);
}

void web_server_of(struct serving *serving, const struct server *server, struct web_server *out)
{
    const struct backend *backend = server->backend;
    const struct stats_samples *samples = serving->samples;
    *out = (struct web_server){.server = server};
    if (backend->config->health_kind != HEALTH_NONE && server->config != NULL)
        out->health = control_health(serving->control, server);
    out->state = state_of(server, out->health);
    out->alive = server_alive(server);
    out->usable = server_takes_sessions(backend, server) && server->config != NULL;
    out->weight = (atomic_load(&server->weight_now) + SERVER_WEIGHT_SCALE - 1) /
                  SERVER_WEIGHT_SCALE;
    out->weight_configured = server->config != NULL ? server->config->opt.weight : 0;
    out->inflight = atomic_load(&server->inflight);
    out->limit = atomic_load(&server->max_connections);
    out->changed_wall_ms = atomic_load(&server->changed_ms);
    if (samples != NULL && server->stat_id < samples->count)
        out->rate = samples->blocks[server->stat_id].rate;
    int64_t sids = backend->sids != NULL ? sidmap_sessions(backend->sids, server->sid_id) : 0;
    sessions_of(serving, server->stat_id, sids, &out->polling, &out->websocket);
    out->sessions = out->polling + out->websocket;
}

const struct reload_status *web_reload_status(const struct serving *serving)
{
    return serving->reload != NULL ? reload_status(serving->reload) : NULL;
}
