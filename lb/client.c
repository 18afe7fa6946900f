// SPDX-License-Identifier: Apache-2.0
/*
 * X-Forwarded-For is read from its end: every hop appends whom it saw, so the last address that is no
 * trusted proxy's is the client. Anything before it could have been written by the client itself.
 */
#include "lb/client.h"

#include "proto/cookie.h"

#include <string.h>

bool client_trusted(const struct frontend *frontend, const struct addr *peer)
{
    const struct frontend_options *options = &frontend->config->opt;
    for (size_t i = 0; i < options->trusted_proxies_count; i++) {
        if (netmask_matches(&options->trusted_proxies[i], peer))
            return true;
    }
    return false;
}

/* "1.2.3.4", "1.2.3.4:567", "::1", "[::1]:567" */
static bool parse_hop(struct span text, struct addr *out)
{
    char with_port[96];
    struct endpoint endpoint;
    text = span_trim(text);
    if (text.len == 0 || text.len > 64)
        return false;
    size_t colon = span_index(text, ':');
    bool bracketed = text.ptr[0] == '[';
    bool v6 = !bracketed && colon != SIZE_MAX &&
              span_index(span_from(text, colon + 1), ':') != SIZE_MAX;
    bool has_port = bracketed ? text.ptr[text.len - 1] != ']' : !v6 && colon != SIZE_MAX;
    size_t n = 0;
    if (v6)
        with_port[n++] = '[';
    memcpy(with_port + n, text.ptr, text.len);
    n += text.len;
    if (v6)
        with_port[n++] = ']';
    if (!has_port) {
        memcpy(with_port + n, ":0", 2);
        n += 2;
    }
    endpoint_parse(span_of(with_port, n), true, &endpoint);
    if (endpoint.kind != ENDPOINT_ADDR || endpoint.addr.any.sa_family == AF_UNIX)
        return false;
    *out = endpoint.addr;
    return true;
}

void client_of(const struct frontend *frontend, const struct head *head, const char *base,
               const struct addr *peer, struct addr *out)
{
    *out = *peer;
    if (!client_trusted(frontend, peer))
        return;
    /* Several fields are one list; the last field's end is the list's end. */
    for (size_t i = head->nfields; i-- > 0;) {
        if (head->fields[i].id != HEADER_X_FORWARDED_FOR)
            continue;
        struct span hops = slice_of(base, head->fields[i].value);
        while (hops.len > 0) {
            size_t comma = hops.len;
            while (comma > 0 && hops.ptr[comma - 1] != ',')
                comma--;
            struct addr hop;
            if (!parse_hop(span_from(hops, comma), &hop))
                return;
            *out = hop;
            if (!client_trusted(frontend, &hop))
                return;
            hops = span_upto(hops, comma > 0 ? comma - 1 : 0);
        }
    }
}

static struct span query_value(struct span query, struct span name)
{
    while (query.ptr) {
        struct span pair = span_cut(&query, '&');
        struct span key = span_cut(&pair, '=');
        if (span_eq(key, name))
            return pair;
    }
    return SPAN_NONE;
}

struct span client_hash_key(const struct head *head, const char *base, const char *hash_on)
{
    struct span name = span_str(hash_on);
    struct span kind = span_cut(&name, ':');
    if (span_eq(kind, SPAN("path")))
        return slice_of(base, head->path);
    if (span_eq(kind, SPAN("query")))
        return query_value(slice_of(base, head->query), name);
    for (size_t i = 0; i < head->nfields; i++) {
        const struct field *field = &head->fields[i];
        struct span value = slice_of(base, field->value);
        struct span cookie;
        if (span_eq(kind, SPAN("header")) && span_eq_nocase(slice_of(base, field->name), name))
            return value;
        if (span_eq(kind, SPAN("cookie")) && field->id == HEADER_COOKIE &&
            cookie_find(value, name, &cookie))
            return cookie;
    }
    return SPAN_NONE;
}
