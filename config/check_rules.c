// SPDX-License-Identifier: Apache-2.0
/*
 * Checks of what a route's rules say: texts that end up in heads, or are compared with them. What a
 * header field must not be is decided here, so that the balancer can write these as they are.
 */
#include "config/check.h"

#include "base/mem.h"

#include <string.h>

enum { FIELDS_BYTES_MAX = 4096 };

/* Written by limpet itself, from what was decided, or needed by it. */
static const char *const own_fields[] = {
    "Accept-Encoding",
    "Connection",
    "Content-Length",
    "Cookie",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Connection",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-ID",
};

static bool is_own(struct span name)
{
    for (size_t i = 0; i < array_len(own_fields); i++) {
        if (span_eq_nocase(name, span_str(own_fields[i])))
            return true;
    }
    return span_starts_nocase(name, SPAN("Sec-WebSocket-")) ||
           span_starts_nocase(name, SPAN("X-SSL-Client-"));
}

static void check_field_name(const struct object *object, const char *option, const char *text,
                             const struct node *node)
{
    struct span name = span_str(text);
    if (!check_is_token(name))
        diag_at(object->diag, node, "'%s' must name a header field, not '%.*s'", option,
                SPAN_ARG(diag_quote(name)));
    else if (is_own(name))
        diag_at(object->diag, node, "'%s' cannot change '%s', which limpet writes or needs itself",
                option, text);
}

static bool is_field_value(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.ptr[i] < ' ' && text.ptr[i] != '\t') || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len > 0 && span_trim(text).len == text.len;
}

static void check_set(const struct object *object, const char *option, const struct pair *set,
                      size_t count)
{
    const struct node *node = object_from(object, option);
    size_t bytes = 0;
    for (size_t i = 0; node && i < count; i++) {
        check_field_name(object, option, set[i].from, node);
        if (!is_field_value(span_str(set[i].to)))
            diag_at(object->diag, node,
                    "'%s': the value of '%s' must be one line of text without spaces around it",
                    option, set[i].from);
        bytes += strlen(set[i].from) + strlen(set[i].to) + 4;
    }
    if (node && bytes > FIELDS_BYTES_MAX)
        diag_at(object->diag, node, "'%s' is longer than %d bytes", option, (int)FIELDS_BYTES_MAX);
}

/* The node of item i, or of the whole list where they do not correspond. */
static const struct node *item(const struct node *node, size_t i, size_t count)
{
    return node && node->kind == NODE_LIST && node->count == count ? node->items[i] : node;
}

static void check_remove(const struct object *object, const char *option, char *const *names,
                         size_t count)
{
    const struct node *node = object_from(object, option);
    for (size_t i = 0; node && i < count; i++)
        check_field_name(object, option, names[i], item(node, i, count));
}

// scheme://host or scheme://*.domain, perhaps :port; or null, as browsers call a page of nobody.
static bool is_origin(struct span text)
{
    if (span_eq(text, SPAN("null")))
        return true;
    size_t end = span_find(text, SPAN("://"));
    if (end == SIZE_MAX || end == 0)
        return false;
    struct span host = span_from(text, end + 3);
    if (span_starts(host, SPAN("*.")))
        host = span_from(host, 2);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c <= ' ' || c > '~' || c == '/' || c == '*' || c == '@' || c == '?' || c == '#')
            return false;
    }
    return host.len > 0;
}

void check_rules(const struct object *object, const struct route_options *opt)
{
    const struct node *node = object_from(object, "deny_paths");
    for (size_t i = 0; node && i < opt->deny_paths_count; i++)
        check_url_path(object, "deny_paths", opt->deny_paths[i],
                       item(node, i, opt->deny_paths_count));
    node = object_from(object, "methods");
    for (size_t i = 0; node && i < opt->methods_count; i++) {
        if (!check_is_token(span_str(opt->methods[i])))
            diag_at(object->diag, item(node, i, opt->methods_count),
                    "'methods' must name methods, e.g. GET");
    }
    node = object_from(object, "origins");
    for (size_t i = 0; node && i < opt->origins_count; i++) {
        if (!is_origin(span_str(opt->origins[i])))
            diag_at(object->diag, item(node, i, opt->origins_count),
                    "'origins' must be scheme://host, scheme://*.domain or null, without a path");
    }
    check_set(object, "request_headers.set", opt->request_set, opt->request_set_count);
    check_set(object, "response_headers.set", opt->response_set, opt->response_set_count);
    check_remove(object, "request_headers.remove", opt->request_remove, opt->request_remove_count);
    check_remove(object, "response_headers.remove", opt->response_remove,
                 opt->response_remove_count);
}
