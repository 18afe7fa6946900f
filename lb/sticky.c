// SPDX-License-Identifier: Apache-2.0
/*
 * Who owns a request, and what its answer teaches.
 *
 *   sid      asked first wherever it stands in `sticky`: a sid belongs to one tab, a cookie to a
 * whole browser cookie   insert, rewrite: its value is a server's name · prefix: it begins with one
 * · learn: the table of values that servers set, and, because old servers' `io` cookie is the sid
 * itself, the table of sids source   rendezvous among the servers that take new sessions
 *
 * Only a sid can have a dead owner: its session is lost with the server. A cookie or an address
 * whose server is down is simply given a new one. A sid that nobody knows goes on to the next way
 * (its cookie may still know the server after our own table was lost); nothing is stored for it.
 *
 * Learned cookies live for COOKIE_LIFETIME_MS after their last use.
 */
#include "lb/sticky.h"

#include "base/rand.h"
#include "lb/balance.h"
#include "lb/sidname.h"

#include <stdio.h>
#include <string.h>

enum {
    COOKIE_LIFETIME_MS = 3600000, /* one hour */
    DIGEST_SIZE = 16,
};

static bool uses(const struct backend *backend, enum sticky_kind kind)
{
    const struct backend_options *opt = &backend->config->opt;
    for (size_t i = 0; i < opt->sticky_count; i++)
        if (opt->sticky[i] == kind)
            return true;
    return false;
}

/* The key of a learned cookie: its value, or a digest of one that is too long for the table. */
static struct span learn_key(struct span value, char digest[static DIGEST_SIZE])
{
    if (value.len <= SIDMAP_KEY_MAX)
        return value;
    uint64_t halves[2] = {hash_stable(value), hash_stable(span_from(value, value.len / 2))};
    memcpy(digest, halves, DIGEST_SIZE);
    return span_of(digest, DIGEST_SIZE);
}

/* Whose sid is this cookie's value? It stands there URL-encoded. */
static struct server *sid_cookie_owner(struct backend *backend, struct span value, int64_t now_ms)
{
    char sid[SIDMAP_KEY_MAX];
    size_t len;
    struct sid_found found;
    struct server *named;

    if (sidname_owner(backend, value, &named) == SIDNAME_SERVER)
        return named;
    if (!span_percent_decode(value, false, sid, sizeof(sid), &len))
        return NULL;
    if (sidname_owner(backend, span_of(sid, len), &named) == SIDNAME_SERVER)
        return named;
    if (!sidmap_peek(backend->sids, span_of(sid, len), now_ms, &found))
        return NULL;
    return backend_server_by_sid_id(backend, found.server_id);
}

/* Who set this cookie? Being asked for renews the memory of it. */
static struct server *learned_owner(struct backend *backend, struct span value, int64_t now_ms)
{
    char digest[DIGEST_SIZE];
    struct sid_found found;
    struct sid_hold hold;

    if (backend->cookies &&
        sidmap_hold(backend->cookies, learn_key(value, digest), now_ms, &found, &hold)) {
        sidmap_release(backend->cookies, &hold, now_ms);
        struct server *server = backend_server_by_cookie_id(backend, found.server_id);
        if (server)
            return server;
    }
    return sid_cookie_owner(backend, value, now_ms);
}

/* May a cookie lead this request there? A new session does not go where sessions are moved away, or
 * where Redis was not followed. */
static bool cookie_owner_takes(const struct backend *backend, const struct server *server,
                               const struct eio_request *eio)
{
    return server_alive(server) &&
           (eio->kind != EIO_HANDSHAKE ||
            (server_moving(server) == MOVE_NONE && !server_held(backend, server)));
}

static struct server *value_owner(struct backend *backend, struct span value, int64_t now_ms)
{
    struct span prefix, rest;

    switch (backend->config->opt.cookie_mode) {
    case COOKIE_INSERT:
    case COOKIE_REWRITE:
        return backend_server(backend, value);
    case COOKIE_PREFIX:
        return cookie_split_prefix(value, &prefix, &rest) ? backend_server(backend, prefix) : NULL;
    case COOKIE_LEARN:
        return learned_owner(backend, value, now_ms);
    }
    return NULL;
}

/* The value of the request's cookie of that name; false: none, or it is empty. */
static bool find_cookie(const struct head *head, const char *base, struct span name,
                        struct span *value)
{
    if (!head_field(head, HEADER_COOKIE) || name.len == 0)
        return false;
    for (size_t i = head->first[HEADER_COOKIE] - 1u; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        if (field->id == HEADER_COOKIE && cookie_find(slice_of(base, field->value), name, value))
            return value->len > 0;
    }
    return false;
}

struct server *sticky_cookie_server(struct backend *backend, const struct head *head,
                                    const char *base, int64_t now_ms)
{
    struct span value;

    if (!find_cookie(head, base, span_str(backend->config->opt.cookie_name), &value))
        return NULL;
    return value_owner(backend, value, now_ms);
}

/* The table knows the sid, and holds its entry now. */
static void take_found(struct backend *backend, const struct sid_found *found,
                       struct sticky_owner *out)
{
    out->server = backend_server_by_sid_id(backend, found->server_id);
    out->lifetime_ms = found->lifetime_ms;
    out->created_ms = found->created_ms;
    out->kick = found->kick;
}

/* Nobody here saw its handshake: it lives about as long as others of its server. */
static int64_t guess_lifetime(const struct server *server)
{
    int64_t ms = atomic_load_explicit(&server->sid_lifetime_ms, memory_order_relaxed);
    return (ms > 0 ? ms : SIDMAP_DEFAULT_LIFETIME_MS) + SIDMAP_SLACK_MS;
}

/*
 * True when the sid decides. What it says itself comes before the table; the table then only counts
 * and remembers its lifetime.
 */
static bool find_by_sid(struct backend *backend, const struct eio_request *eio, int64_t now_ms,
                        struct sticky_owner *out)
{
    struct sid_found found;
    struct server *named = NULL;

    if (eio->kind != EIO_SESSION)
        return false;
    bool known = !eio->sid_too_long &&
                 sidmap_hold(backend->sids, eio_sid(eio), now_ms, &found, &out->hold);
    enum sidname_answer said = sidname_owner(backend, eio_sid(eio), &named);
    out->sid_unproven = !known;
    if (!known && said == SIDNAME_NOTHING) {
        out->sid_missed = true;
        return false;
    }
    out->by = STICKY_SID;
    if (known)
        take_found(backend, &found, out);
    if (named) {
        out->server = named;
        out->lifetime_ms = known ? out->lifetime_ms : guess_lifetime(named);
    }
    out->answer = out->server && server_alive(out->server) ? STICKY_OWNER : STICKY_DEAD;
    if (out->answer == STICKY_DEAD)
        sidmap_release(backend->sids, &out->hold, now_ms);
    return true;
}

static void owner_set(struct sticky_owner *out, enum sticky_kind by, struct server *server)
{
    out->answer = STICKY_OWNER;
    out->by = by;
    out->server = server;
}

void sticky_find(struct backend *backend, const struct eio_request *eio, const struct head *head,
                 const char *base, struct span client_ip, int64_t now_ms, struct sticky_owner *out)
{
    const struct backend_options *opt = &backend->config->opt;
    struct server *server;

    *out = (struct sticky_owner){.answer = STICKY_NOBODY};
    if (uses(backend, STICKY_SID) && find_by_sid(backend, eio, now_ms, out))
        return;
    for (size_t i = 0; i < opt->sticky_count && out->answer == STICKY_NOBODY; i++) {
        switch (opt->sticky[i]) {
        case STICKY_SID:
            break;
        case STICKY_COOKIE:
            server = sticky_cookie_server(backend, head, base, now_ms);
            if (server && cookie_owner_takes(backend, server, eio))
                owner_set(out, STICKY_COOKIE, server);
            break;
        case STICKY_SOURCE:
            server = balance_rendezvous(backend, hash_stable(client_ip), NULL);
            if (server)
                owner_set(out, STICKY_SOURCE, server);
            break;
        }
    }
}

void sticky_edit_request(const struct backend *backend, struct cookie_edit *edit)
{
    *edit = (struct cookie_edit){.change = COOKIE_KEEP};
    if (!uses(backend, STICKY_COOKIE))
        return;
    edit->name = span_str(backend->config->opt.cookie_name);
    switch (backend->config->opt.cookie_mode) {
    case COOKIE_INSERT:
        edit->change = COOKIE_REMOVE;
        break;
    case COOKIE_PREFIX:
        edit->change = COOKIE_STRIP_PREFIX;
        break;
    case COOKIE_LEARN:
    case COOKIE_REWRITE:
        break;
    }
}

void sticky_untag_request(const struct backend *backend, const struct eio_request *eio,
                          const struct head *head, const char *base, struct request_edit *edit)
{
    struct span value, rest;
    uint64_t tag;

    if (!sidname_tags(backend))
        return;
    edit->untag = eio_sid_place(eio);
    if (edit->cookie.change == COOKIE_KEEP && edit->cookie.name.len > 0 &&
        find_cookie(head, base, edit->cookie.name, &value) && eio_tag_split(value, &tag, &rest))
        edit->cookie.change = COOKIE_STRIP_PREFIX; /* a tag has the form of one */
}

/* Every Set-Cookie of our name says: whoever brings this value belongs to `server`. */
static void learn_cookies(struct backend *backend, const struct server *server,
                          const struct head *head, const char *base, int64_t now_ms)
{
    struct span wanted = span_str(backend->config->opt.cookie_name);
    struct span name, value;
    char digest[DIGEST_SIZE];

    if (!backend->cookies || !head_field(head, HEADER_SET_COOKIE))
        return;
    for (size_t i = head->first[HEADER_SET_COOKIE] - 1u; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        if (field->id != HEADER_SET_COOKIE ||
            !set_cookie_parse(slice_of(base, field->value), &name, &value) ||
            !span_eq(name, wanted) || value.len == 0)
            continue;
        (void)sidmap_bind(backend->cookies, learn_key(value, digest), server->cookie_id,
                          COOKIE_LIFETIME_MS, now_ms);
    }
}

/* Our own cookie, unless the client has one that still leads somewhere. */
static void insert_cookie(const struct backend *backend, const struct server *server,
                          const struct server *client_had, struct response_edit *edit, char *text,
                          size_t size)
{
    if (client_had && (client_had == server ||
                       (server_alive(client_had) && server_moving(client_had) == MOVE_NONE)))
        return;
    int len = snprintf(text, size, "%s=%s; Path=/; HttpOnly; SameSite=Lax",
                       backend->config->opt.cookie_name, server->name);
    if (len > 0 && (size_t)len < size)
        edit->add_set_cookie = span_of(text, (size_t)len);
}

void sticky_edit_response(struct backend *backend, struct server *server,
                          const struct server *client_had, const struct head *head,
                          const char *base, int64_t now_ms, struct response_edit *edit, char *text,
                          size_t size)
{
    edit->set_cookie = (struct set_cookie_edit){.change = SET_COOKIE_KEEP};
    edit->add_set_cookie = SPAN_NONE;
    if (!uses(backend, STICKY_COOKIE))
        return;
    edit->set_cookie.name = span_str(backend->config->opt.cookie_name);
    edit->set_cookie.server = span_str(server->name);
    switch (backend->config->opt.cookie_mode) {
    case COOKIE_INSERT:
        insert_cookie(backend, server, client_had, edit, text, size);
        break;
    case COOKIE_PREFIX:
        edit->set_cookie.change = SET_COOKIE_PREFIX;
        break;
    case COOKIE_REWRITE:
        edit->set_cookie.change = SET_COOKIE_REPLACE;
        break;
    case COOKIE_LEARN:
        if (sidname_tags(backend)) {
            /* What is remembered here would be unknown at the next balancer: tagged as a sid is. */
            tag_write(tag_of_hash(server->name_hash), text);
            edit->set_cookie.change = SET_COOKIE_PREFIX;
            edit->set_cookie.server = span_of(text, TAG_LEN);
        } else {
            learn_cookies(backend, server, head, base, now_ms);
        }
        break;
    }
}
