// SPDX-License-Identifier: Apache-2.0
/*
 * Routes by host and path.
 *
 * Rules keep their index, and the lowest index that matches wins. They are sorted into chains by
 * what they ask of the host:
 *
 *   exact   "chat.example.com"    one chain per name, found by hash
 *   suffix  "*.example.com"       one chain per suffix, stored as ".example.com", found by hash for
 * every dot of the request's host any     no host               one chain
 *
 * so a lookup walks only rules whose host matches already: chains are in the order of the file, and
 * each walk ends at the best index that was found so far. Hosts and paths are the configuration's
 * own strings: the table must go before its snapshot.
 */
#include "lb/route.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

enum { HOST_MAX = 255 }; /* RFC 1035 §2.3.4 */

static const uint32_t END = UINT32_MAX;

struct rule {
    struct span path;    /* prefix; empty: any */
    ptrdiff_t backend;   /* index in config.backends */
    uint32_t next;       /* in its chain */
    struct rules *rules; /* owned; NULL: none */
};

/* The rules of one host pattern. */
struct chain {
    char *host; /* in lower case; suffixes begin with '.'; owned */
    struct span name;
    uint32_t first, last;
};

struct route_table {
    struct rule *rules; /* in the order of the file */
    size_t rule_count;
    struct chain *chains;
    size_t chain_count;
    uint32_t *buckets;   /* hash of host → index in chains, END: empty; open addressing */
    size_t bucket_count; /* power of two, at least twice the chains */
    struct chain any;
    ptrdiff_t fallback;
};

/* The host without port and without a final dot, in lower case; empty when it is longer than a host
 * can be. */
static struct span host_fold(struct span host, char out[static HOST_MAX + 1])
{
    size_t colon = SIZE_MAX;
    for (size_t i = host.len; i-- > 0 && host.ptr[i] != ']';)
        if (host.ptr[i] == ':')
            colon = i;
    host = span_upto(host, colon);
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len > HOST_MAX)
        return SPAN_NONE;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return span_of(out, host.len);
}

/* Where the chain of that name is, or would be. */
static uint32_t *bucket_of(const struct route_table *table, struct span name)
{
    size_t at = (size_t)hash_stable(name) & (table->bucket_count - 1);
    while (table->buckets[at] != END && !span_eq(table->chains[table->buckets[at]].name, name))
        at = (at + 1) & (table->bucket_count - 1);
    return &table->buckets[at];
}

/* The chain for a route's host, made when it is new. */
static struct chain *chain_for(struct route_table *table, const char *host)
{
    char folded[HOST_MAX + 1];
    struct span text = span_str(host);
    bool suffix = span_starts(text, SPAN("*."));
    struct span name = host_fold(span_from(text, suffix ? 1 : 0), folded);
    uint32_t *bucket = bucket_of(table, name);

    if (*bucket == END) {
        struct chain *chain = &table->chains[table->chain_count];
        chain->host = mem_must_alloc(name.len + 1);
        span_to_str(name, chain->host, name.len + 1);
        chain->name = span_of(chain->host, name.len);
        chain->first = chain->last = END;
        *bucket = (uint32_t)table->chain_count++;
    }
    return &table->chains[*bucket];
}

static void chain_append(struct route_table *table, struct chain *chain, uint32_t rule)
{
    if (chain->first == END)
        chain->first = rule;
    else
        table->rules[chain->last].next = rule;
    chain->last = rule;
}

struct route_table *route_table_new(const struct config_frontend *frontend)
{
    struct route_table *table = mem_must_alloc(sizeof(*table));

    table->rule_count = frontend->route_count;
    table->fallback = frontend->backend;
    table->any.first = table->any.last = END;
    table->rules = mem_must_alloc((frontend->route_count + 1) * sizeof(*table->rules));
    table->chains = mem_must_alloc((frontend->route_count + 1) * sizeof(*table->chains));
    table->bucket_count = 2;
    while (table->bucket_count < 2 * frontend->route_count)
        table->bucket_count *= 2;
    table->buckets = mem_must_alloc(table->bucket_count * sizeof(*table->buckets));
    for (size_t i = 0; i < table->bucket_count; i++)
        table->buckets[i] = END;

    for (size_t i = 0; i < frontend->route_count; i++) {
        const struct config_route *route = &frontend->routes[i];
        const char *host = route->opt.host;
        bool any = !host || host[0] == '\0' || span_eq(span_str(host), SPAN("*"));

        table->rules[i].path = span_str(route->opt.path);
        table->rules[i].backend = (ptrdiff_t)route->backend;
        table->rules[i].next = END;
        table->rules[i].rules = rules_new(&route->opt);
        chain_append(table, any ? &table->any : chain_for(table, host), (uint32_t)i);
    }
    return table;
}

void route_table_free(struct route_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->chain_count; i++)
        free(table->chains[i].host);
    for (size_t i = 0; i < table->rule_count; i++)
        rules_free(table->rules[i].rules);
    free(table->chains);
    free(table->rules);
    free(table->buckets);
    free(table);
}

/* The first rule of the chain, before `best`, whose path matches; else best. */
static uint32_t chain_find(const struct route_table *table, const struct chain *chain,
                           struct span path, uint32_t best)
{
    for (uint32_t i = chain->first; i < best; i = table->rules[i].next)
        if (span_starts(path, table->rules[i].path))
            return i;
    return best;
}

static uint32_t name_find(const struct route_table *table, struct span name, struct span path,
                          uint32_t best)
{
    uint32_t chain = *bucket_of(table, name);
    return chain == END ? best : chain_find(table, &table->chains[chain], path, best);
}

ptrdiff_t route_find(const struct route_table *table, struct span host, struct span path,
                     const struct rules **rules)
{
    char folded[HOST_MAX + 1];
    uint32_t best = chain_find(table, &table->any, path, END);

    if (table->chain_count > 0) {
        struct span name = host_fold(host, folded);
        if (name.len > 0 && name.ptr[0] != '.')
            best = name_find(table, name, path, best);
        for (size_t i = 1; i < name.len; i++) // not from 0: "*.x" does not match ".x"
            if (name.ptr[i] == '.')
                best = name_find(table, span_from(name, i), path, best);
    }
    *rules = best == END ? NULL : table->rules[best].rules;
    return best == END ? table->fallback : table->rules[best].backend;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next character as a lenient server reads it: decoded, in lower case, slashes once; '\0' at the
 * end, of which a slash is a part. */
static char next_lenient(struct span path, size_t *at, char before)
{
    while (*at < path.len) {
        char c = path.ptr[*at];
        *at += 1;
        if (c == '%' && *at + 2 <= path.len && hex_value(path.ptr[*at]) >= 0 &&
            hex_value(path.ptr[*at + 1]) >= 0) {
            c = (char)(hex_value(path.ptr[*at]) * 16 + hex_value(path.ptr[*at + 1]));
            *at += 2;
        }
        if (c == '/' && before == '/')
            continue;
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return '\0';
}

static bool same_path(struct span a, struct span b)
{
    size_t at_a = 0, at_b = 0;
    char c = '\0', d = '\0';
    do {
        c = next_lenient(a, &at_a, c);
        d = next_lenient(b, &at_b, d);
    } while (c == d && c != '\0');
    if (c == '/' && d == '\0')
        c = next_lenient(a, &at_a, c);
    else if (d == '/' && c == '\0')
        d = next_lenient(b, &at_b, d);
    return c == d;
}

bool route_is_signal(const struct config *config, struct span path)
{
    for (size_t i = 0; i < config->sentinel_count; i++) {
        const struct sentinel_options *options = &config->sentinels[i].opt;
        if (options->notify_backends_count > 0 && same_path(path, span_str(options->notify_path)))
            return true;
    }
    return false;
}
