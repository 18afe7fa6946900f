// SPDX-License-Identifier: Apache-2.0
/*
 * Sids that name their server.
 *
 *   tag      TAG~SID: the tag is made of the server's name, which the whole hash of it, kept in every
 *            server, begins with. Names whose tags are the same are refused with the configuration.
 *   prefix   NAME.SID, NAME~SID: the longest name that matches, since a '.' may be part of one.
 *
 * Leaving servers (no longer configured, but with sessions left) are asked for as well. A sid that
 * has the form but nobody's tag or name belonged to a server that is gone for good.
 */
#include "lb/sidname.h"

#include "proto/engineio_tag.h"

static bool sids_route(const struct backend_options *opt)
{
    for (size_t i = 0; i < opt->sticky_count; i++)
        if (opt->sticky[i] == STICKY_SID)
            return true;
    return false;
}

bool sidname_used(const struct backend *backend)
{
    const struct backend_options *opt = &backend->config->opt;
    return opt->sid_mode != SID_LEARN && sids_route(opt);
}

bool sidname_tags(const struct backend *backend)
{
    const struct backend_options *opt = &backend->config->opt;
    return opt->sid_mode == SID_TAG && sids_route(opt);
}

static enum sidname_answer by_tag(const struct backend *backend, struct span sid,
                                  struct server **server)
{
    uint64_t tag;
    struct span rest;
    if (!eio_tag_split(sid, &tag, &rest))
        return SIDNAME_NOTHING;
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++) {
        if (tag_of_hash(backend->servers[i]->name_hash) != tag)
            continue;
        *server = backend->servers[i];
        return SIDNAME_SERVER;
    }
    return SIDNAME_GONE;
}

static enum sidname_answer by_prefix(const struct backend *backend, struct span sid,
                                     struct server **server)
{
    size_t longest = 0;
    for (size_t i = 0; i < backend->server_count + backend->leaving_count; i++) {
        struct span name = span_str(backend->servers[i]->name);
        if (name.len <= longest || !eio_sid_is_of(sid, name))
            continue;
        *server = backend->servers[i];
        longest = name.len;
    }
    if (longest > 0)
        return SIDNAME_SERVER;
    return eio_sid_has_name(sid) ? SIDNAME_GONE : SIDNAME_NOTHING;
}

enum sidname_answer sidname_owner(const struct backend *backend, struct span sid,
                                  struct server **server)
{
    *server = NULL;
    if (!sids_route(&backend->config->opt))
        return SIDNAME_NOTHING;
    switch (backend->config->opt.sid_mode) {
    case SID_LEARN:
        return SIDNAME_NOTHING;
    case SID_TAG:
        return by_tag(backend, sid, server);
    case SID_PREFIX:
        return by_prefix(backend, sid, server);
    }
    return SIDNAME_NOTHING;
}

bool sidname_is_named(const struct server *server, struct span sid)
{
    return eio_sid_is_of(sid, span_str(server->name));
}
