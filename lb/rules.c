// SPDX-License-Identifier: Apache-2.0
/*
 * Rules of a route, in the order of their cost: address, method, origin, path.
 *
 * - An address in `deny` is refused; with `allow`, so is every one that is not in it.
 * - A path is compared as the most lenient server might read it: percent-decoded, in lower case, with
 *   backslashes for slashes, slashes once, dot segments gone. Routes themselves compare bytes; a rule that
 *   shall keep somebody out must not be got round by spelling.
 * - Origins concern upgrades to WebSocket only. A browser sends cookies along whichever page asks, and
 *   its same-origin policy does not cover WebSockets; but it says which page that was. Who sends no
 *   Origin is no browser, and could send any.
 */
#include "lb/rules.h"

#include "base/mem.h"

#include <stdlib.h>

enum { PATH_MOST = 32768 }; /* bytes of a request target, limits.target's upper bound */

struct rules {
    const struct route_options *options;
    struct span *deny_paths; /* of options->deny_paths, as plain_path writes them; owned */
    struct header_edit request, response;
    struct header_line *lines; /* of both; owned */
    struct span *dropped;      /* likewise */
};

/* ---- paths ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next character, decoded, folded. */
static char next_plain(struct span path, size_t *at)
{
    char c = path.ptr[(*at)++];
    if (c == '%' && *at + 2 <= path.len && hex_value(path.ptr[*at]) >= 0 &&
        hex_value(path.ptr[*at + 1]) >= 0) {
        c = (char)(hex_value(path.ptr[*at]) * 16 + hex_value(path.ptr[*at + 1]));
        *at += 2;
    }
    if (c == '\\')
        return '/';
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* A segment ended: "." and ".." go, the latter with the segment before it. Returns the new length,
 * behind a slash. */
static size_t segment_end(const char *out, size_t from, size_t len)
{
    struct span segment = span_of(out + from, len - from);
    if (span_eq(segment, SPAN(".")))
        return from;
    if (!span_eq(segment, SPAN("..")))
        return len;
    size_t at = from > 1 ? from - 1 : from; // Before the slash in front of it.
    while (at > 1 && out[at - 1] != '/')
        at--;
    return at;
}

/* Writes at most path.len + 1 bytes. */
static size_t plain_path(struct span path, char *out)
{
    size_t len = 0, from = 1; // Of the segment: behind the last slash.
    out[len++] = '/';
    for (size_t at = 0; at < path.len;) {
        char c = next_plain(path, &at);
        if (c != '/') {
            out[len++] = c;
            continue;
        }
        len = segment_end(out, from, len);
        if (out[len - 1] != '/')
            out[len++] = '/';
        from = len;
    }
    return segment_end(out, from, len);
}

static bool path_denied(const struct rules *rules, struct span path)
{
    char plain[PATH_MOST + 1];
    if (rules->options->deny_paths_count == 0)
        return false;
    struct span text = span_of(plain, plain_path(span_upto(path, PATH_MOST), plain));
    for (size_t i = 0; i < rules->options->deny_paths_count; i++) {
        if (span_starts(text, rules->deny_paths[i]))
            return true;
    }
    return false;
}

/* ---- addresses, methods, origins ---- */

static bool address_among(const struct netmask *masks, size_t count, const struct addr *client)
{
    for (size_t i = 0; i < count; i++) {
        if (netmask_matches(&masks[i], client))
            return true;
    }
    return false;
}

static bool address_denied(const struct route_options *options, const struct addr *client)
{
    return address_among(options->deny, options->deny_count, client) ||
           (options->allow_count > 0 &&
            !address_among(options->allow, options->allow_count, client));
}

static bool method_denied(const struct route_options *options, struct span method)
{
    for (size_t i = 0; i < options->methods_count; i++) {
        if (span_eq(method, span_str(options->methods[i])))
            return false;
    }
    return options->methods_count > 0;
}

/* Could it be what `*` stands for in front of a domain? */
static bool is_host_part(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_';
        if (!ok)
            return false;
    }
    return text.len > 0;
}

/* The pattern is an origin, or has `*.` in place of the first labels of its host. */
static bool origin_matches(struct span origin, struct span pattern)
{
    size_t star = span_index(pattern, '*');
    if (star == SIZE_MAX)
        return span_eq_nocase(origin, pattern);
    struct span scheme = span_upto(pattern, star), domain = span_from(pattern, star + 1);
    if (origin.len <= scheme.len + domain.len || !span_starts_nocase(origin, scheme) ||
        !span_ends_nocase(origin, domain))
        return false;
    return is_host_part(span_of(origin.ptr + scheme.len, origin.len - scheme.len - domain.len));
}

static bool origin_denied(const struct route_options *options, const struct head *head,
                          const char *base)
{
    for (size_t i = 0; i < head->nfields; i++) {
        bool listed = head->fields[i].id != HEADER_ORIGIN;
        for (size_t k = 0; !listed && k < options->origins_count; k++)
            listed = origin_matches(slice_of(base, head->fields[i].value),
                                    span_str(options->origins[k]));
        if (!listed)
            return true;
    }
    return false;
}

const char *rules_refuse(const struct rules *rules, const struct addr *client,
                         const struct head *head, const char *base, struct span path)
{
    const struct route_options *options = rules->options;
    if (address_denied(options, client))
        return "This address is not allowed here.";
    if (method_denied(options, slice_of(base, head->method_text)))
        return "This method is not allowed here.";
    if (head->upgrade_websocket && options->origins_count > 0 && origin_denied(options, head, base))
        return "Pages of this origin may not connect here.";
    if (path_denied(rules, path))
        return "This path is not allowed here.";
    return NULL;
}

/* ---- heads ---- */

const struct header_edit *rules_request_fields(const struct rules *rules)
{
    return rules && rules->request.drop_count > 0 ? &rules->request : NULL;
}

const struct header_edit *rules_response_fields(const struct rules *rules)
{
    return rules && rules->response.drop_count > 0 ? &rules->response : NULL;
}

/* What is set is dropped, too, so that it is there once. Uses up places of `lines` and `dropped`. */
static void make_edit(struct header_edit *edit, const struct pair *set, size_t set_count,
                      char *const *remove, size_t remove_count, struct header_line **lines,
                      struct span **dropped)
{
    *edit = (struct header_edit){.set = *lines, .drop = *dropped};
    for (size_t i = 0; i < set_count; i++) {
        struct span name = span_str(set[i].from), value = span_str(set[i].to);
        edit->bytes += name.len + value.len + 4;
        *(*lines)++ = (struct header_line){name, value};
        *(*dropped)++ = name;
    }
    for (size_t i = 0; i < remove_count; i++)
        *(*dropped)++ = span_str(remove[i]);
    edit->set_count = set_count;
    edit->drop_count = set_count + remove_count;
}

static bool has_rules(const struct route_options *options)
{
    return options->allow_count + options->deny_count + options->methods_count +
               options->deny_paths_count + options->origins_count + options->request_set_count +
               options->request_remove_count + options->response_set_count +
               options->response_remove_count >
           0;
}

struct rules *rules_new(const struct route_options *options)
{
    if (!has_rules(options))
        return NULL;
    struct rules *rules = mem_must_alloc(sizeof(*rules));
    size_t lines = options->request_set_count + options->response_set_count;
    size_t drops = lines + options->request_remove_count + options->response_remove_count;
    rules->options = options;
    rules->lines = mem_must_alloc((lines + 1) * sizeof(*rules->lines));
    rules->dropped = mem_must_alloc((drops + 1) * sizeof(*rules->dropped));
    struct header_line *line = rules->lines;
    struct span *dropped = rules->dropped;
    make_edit(&rules->request, options->request_set, options->request_set_count,
              options->request_remove, options->request_remove_count, &line, &dropped);
    make_edit(&rules->response, options->response_set, options->response_set_count,
              options->response_remove, options->response_remove_count, &line, &dropped);
    rules->deny_paths = mem_must_alloc((options->deny_paths_count + 1) * sizeof(struct span));
    for (size_t i = 0; i < options->deny_paths_count; i++) {
        struct span path = span_str(options->deny_paths[i]);
        char *plain = mem_must_alloc(path.len + 1);
        rules->deny_paths[i] = span_of(plain, plain_path(path, plain));
    }
    return rules;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->options->deny_paths_count; i++)
        free((char *)(uintptr_t)rules->deny_paths[i].ptr);
    free(rules->deny_paths);
    free(rules->lines);
    free(rules->dropped);
    free(rules);
}
