// SPDX-License-Identifier: Apache-2.0
/*
 * Start lines, strictly: one SP between the parts, CRLF at the end, HTTP/1.0 or 1.1 (RFC 9112 §3,
 * §4).
 *
 * A target is origin-form ("/path?query"), "*" with OPTIONS, or absolute-form, whose authority
 * becomes the host and whose rest the target. Method, target and reason run while their bytes are
 * of the right class; the LF at the end of the head is of none, so that no loop here needs a bound.
 */
#include "proto/parse.h"
#include "proto/scan.h"

enum { METHOD_MAX = 64 }; /* bytes */

static enum http_method method_lookup(struct span s)
{
    static const struct {
        struct span name;
        enum http_method method;
    } methods[] = {
        {{"GET", 3}, METHOD_GET},         {{"POST", 4}, METHOD_POST},
        {{"OPTIONS", 7}, METHOD_OPTIONS}, {{"HEAD", 4}, METHOD_HEAD},
        {{"PUT", 3}, METHOD_PUT},         {{"DELETE", 6}, METHOD_DELETE},
        {{"PATCH", 5}, METHOD_PATCH},     {{"TRACE", 5}, METHOD_TRACE},
        {{"CONNECT", 7}, METHOD_CONNECT},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (s.len == methods[i].name.len && memcmp(s.ptr, methods[i].name.ptr, s.len) == 0)
            return methods[i].method;
    }
    return METHOD_OTHER;
}

static bool parse_method(struct parse *parse)
{
    struct head *head = parse->head;
    const char *base = parse->bytes.ptr;
    size_t at = parse->at;
    while (scan_is(base[at], SCAN_TOKEN))
        at++;
    if (base[at] != ' ')
        return refuse(parse, 400, "malformed method", at);
    head->method_text = slice_at(parse->at, at - parse->at);
    if (head->method_text.len > METHOD_MAX)
        return refuse(parse, 501, "method too long", parse->at);
    head->method = method_lookup(slice_of(base, head->method_text));
    if (head->method == METHOD_CONNECT)
        return refuse(parse, 501, "CONNECT", parse->at);
    parse->at = at + 1;
    return true;
}

/* http://host[:port][/path][?query]: the authority is the host, what follows it the target. */
static bool parse_absolute(struct parse *parse, struct span target)
{
    struct head *head = parse->head;
    size_t scheme = span_starts_nocase(target, SPAN("http://"))    ? 7
                    : span_starts_nocase(target, SPAN("https://")) ? 8
                                                                   : 0;
    if (scheme == 0)
        return refuse(parse, 400, "target neither begins with / nor is an http URL", parse->at);
    size_t end = scheme;
    while (end < target.len && target.ptr[end] != '/' && target.ptr[end] != '?')
        end++;
    if (!scan_is_host(span_of(target.ptr + scheme, end - scheme)))
        return refuse(parse, 400, "bad authority in the target", parse->at + scheme);
    head->absolute_form = true;
    head->host = slice_at(parse->at + scheme, end - scheme);
    head->target = slice_at(parse->at + end, target.len - end);
    head->target_is_root = head->target.len == 0 || target.ptr[end] == '?';
    return true;
}

static bool parse_target(struct parse *parse)
{
    struct head *head = parse->head;
    const char *base = parse->bytes.ptr;
    const char *end = base + parse->bytes.len;
    size_t at = (size_t)(scan_target_end(base + parse->at, end) - base);
    struct span target = span_of(base + parse->at, at - parse->at);
    if (target.len > parse->limits->target)
        return refuse(parse, 414, "target too long", parse->at);
    if (target.len == 0)
        return refuse(parse, 400, "no target", at);
    if (base[at] != ' ')
        return refuse(parse, 400,
                      base[at] == '\r' ? "no HTTP version" : "character not allowed in the target",
                      at);

    if (target.ptr[0] == '/' ||
        (target.len == 1 && *target.ptr == '*' && head->method == METHOD_OPTIONS))
        head->target = slice_at(parse->at, target.len);
    else if (!parse_absolute(parse, target))
        return false;

    target = slice_of(base, head->target);
    size_t mark = span_index(target, '?');
    if (mark == SIZE_MAX)
        mark = target.len;
    head->path = slice_at(head->target.at, mark);
    if (mark < target.len)
        head->query = slice_at(head->target.at + mark + 1, target.len - mark - 1);
    parse->at = at + 1;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" or "HTTP/1.1" */
static bool parse_version(struct parse *parse)
{
    struct span rest = span_from(parse->bytes, parse->at);
    if (rest.len < 10 || memcmp(rest.ptr, "HTTP/", 5) != 0 || !is_digit(rest.ptr[5]) ||
        rest.ptr[6] != '.' || !is_digit(rest.ptr[7]))
        return refuse(parse, 400, "malformed HTTP version", parse->at);
    parse->head->minor = (uint8_t)(rest.ptr[7] - '0');
    if (rest.ptr[5] != '1' || parse->head->minor > 1)
        return refuse(parse, 505, "HTTP version neither 1.0 nor 1.1", parse->at);
    parse->at += 8;
    return true;
}

static bool parse_line_end(struct parse *parse)
{
    if (!at_line_end(parse))
        return refuse(parse, 400, "start line does not end with CRLF", parse->at);
    parse->at += 2;
    return true;
}

bool parse_request_line(struct parse *parse)
{
    return parse_method(parse) && parse_target(parse) && parse_version(parse) &&
           parse_line_end(parse);
}

/* SP 3DIGIT [SP reason]. The last SP is often missing when there is no reason. */
static bool parse_status(struct parse *parse)
{
    struct head *head = parse->head;
    const char *p = parse->bytes.ptr + parse->at;
    if (span_from(parse->bytes, parse->at).len < 6 || p[0] != ' ' || !is_digit(p[1]) ||
        !is_digit(p[2]) || !is_digit(p[3]) || (p[4] != ' ' && p[4] != '\r'))
        return refuse(parse, 502, "malformed status", parse->at);
    head->status = (uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
    if (head->status < 100 || head->status > 599)
        return refuse(parse, 502, "status out of range", parse->at);
    parse->at += 4;
    if (p[4] != ' ')
        return true;
    size_t at = parse->at + 1;
    while (scan_is(parse->bytes.ptr[at], SCAN_VALUE))
        at++;
    head->reason = slice_at(parse->at + 1, at - parse->at - 1);
    parse->at = at;
    return true;
}

bool parse_status_line(struct parse *parse)
{
    return parse_version(parse) && parse_status(parse) && parse_line_end(parse);
}
