// SPDX-License-Identifier: Apache-2.0
/*
 * The strict scan of raw heads.
 *
 * Every byte of a head is looked at once, by one table: a field's name runs while bytes are token
 * characters, its value while they are field-value characters, and what stops them must be ':' and
 * CRLF. Whatever is long is read by words (base/word.h) as far as its usual bytes go.
 *
 * No loop here needs a bound of its own: a head ends with LF, which is in none of the classes, so
 * every run stops at the latest there. Only scan_head_end and scan_bare_cr see bytes that may not
 * end with LF; they use lengths.
 */
#include "proto/scan.h"

#include "base/word.h"

#include <arpa/inet.h>
#include <string.h>

/* One row per 16 byte values; see enum scan_class. */
// clang-format off
const uint8_t scan_classes[256] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x02, 0x0f, 0x06, 0x03, 0x0f, 0x4f, 0x4f, 0x0f, 0x0e, 0x0e, 0x0f, 0x4f, 0x06, 0x0f, 0x0f, 0x06,
    0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x06, 0x0e, 0x06, 0x4e, 0x06, 0x06,
    0x06, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f,
    0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x06, 0x06, 0x06, 0x07, 0x2f,
    0x07, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f,
    0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x06, 0x07, 0x06, 0x0f, 0x00,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
    0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
};
// clang-format on

size_t scan_head_end(struct span bytes, size_t *seen)
{
    size_t at = *seen;
    while (at < bytes.len) {
        const char *lf = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (lf == NULL)
            break;
        at = (size_t)(lf - bytes.ptr);
        if (at < 1 || lf[-1] != '\r')
            return at + 1;
        if (at >= 3 && lf[-2] == '\n')
            return at + 1;
        at++;
    }
    *seen = bytes.len;
    return 0;
}

bool scan_bare_cr(struct span bytes, size_t from)
{
    while (from + 1 < bytes.len) {
        const char *cr = memchr(bytes.ptr + from, '\r', bytes.len - 1 - from);
        if (cr == NULL)
            return false;
        if (cr[1] != '\n')
            return true;
        from = (size_t)(cr - bytes.ptr) + 2;
    }
    return false;
}

static const char *name_fault(const char *begin, const char *p)
{
    if (p == begin && (*p == ' ' || *p == '\t'))
        return "field line begins with white space (obs-fold)";
    if (p == begin && *p == ':')
        return "empty field name";
    if (*p == ' ' || *p == '\t')
        return "white space before the colon";
    if (*p == '\r' || *p == '\n')
        return "field line without a colon";
    return "character not allowed in a field name";
}

static const char *value_fault(const char *p)
{
    if (*p == '\r')
        return "CR without LF";
    if (*p == '\n')
        return "LF without CR";
    return "control character in a field value";
}

/* The first byte from p on that may not stand in a field value. */
static const char *value_end(const char *p, const char *end)
{
    while (end - p >= WORD) {
        struct word word = word_load(p);
        uint64_t odd = word_below(word, 0x20) | word_equal(word, 0x7f);
        if (odd == 0) {
            p += WORD;
            continue;
        }
        p += word_first(odd);
        if (*p != '\t')
            return p;
        p++;
    }
    while (scan_is(*p, SCAN_VALUE))
        p++;
    return p;
}

const char *scan_target_end(const char *p, const char *end)
{
    while (end - p >= WORD) {
        struct word word = word_load(p);
        uint64_t odd = word_below(word, 0x21) | word_equal(word, 0x7f) | word_equal(word, '#') |
                       word_tops(word);
        if (odd != 0)
            return p + word_first(odd);
        p += WORD;
    }
    while (scan_is(*p, SCAN_TARGET))
        p++;
    return p;
}

/* The first byte from p on that is neither a letter nor '-', of which most names are; or near there. */
static const char *letters_end(const char *p, const char *end)
{
    while (end - p >= WORD) {
        uint64_t odd = word_no_letter(word_load(p));
        if (odd != 0)
            return p + word_first(odd);
        p += WORD;
    }
    return p;
}

const char *scan_field(struct span head, size_t *at, struct scan_line *line)
{
    const char *begin = head.ptr + *at;
    const char *p = letters_end(begin, head.ptr + head.len);
    uint8_t class, classes = 0;
    while ((class = scan_classes[(unsigned char)*p]) & SCAN_TOKEN) {
        classes |= class;
        p++;
    }
    if (*p != ':' || p == begin) {
        *at = (size_t)(p - head.ptr);
        return name_fault(begin, p);
    }
    line->underscore = (classes & SCAN_UNDERSCORE) != 0;
    line->name_at = (uint32_t)*at;
    line->name_len = (uint32_t)(p - begin);

    const char *space = ++p;
    while (*p == ' ' || *p == '\t')
        p++;
    const char *value = p;
    p = value_end(p, head.ptr + head.len);
    if (p[0] != '\r' || p[1] != '\n') {
        *at = (size_t)(p - head.ptr);
        return value_fault(p);
    }
    const char *last = p;
    while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    line->value_at = (uint32_t)(value - head.ptr);
    line->value_len = (uint32_t)(last - value);
    line->plain = *space == ' ' && value == space + 1 && last == p;
    *at = (size_t)(p - head.ptr) + 2;
    return NULL;
}

static bool all_of(struct span s, enum scan_class class)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!scan_is(s.ptr[i], class))
            return false;
    }
    return s.len > 0;
}

bool scan_is_token(struct span s)
{
    return all_of(s, SCAN_TOKEN);
}

bool scan_is_target(struct span s)
{
    return all_of(s, SCAN_TARGET);
}

/* ":" *DIGIT, or nothing. */
static bool is_port(struct span s)
{
    uint64_t port = 0;
    if (s.len == 0)
        return true;
    if (s.ptr[0] != ':')
        return false;
    return s.len == 1 || (s.len <= 6 && span_to_u64(span_from(s, 1), &port) && port <= 65535);
}

static bool is_ipv6(struct span s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    return inet_pton(AF_INET6, span_to_str(s, text, sizeof(text)), &address) == 1;
}

bool scan_is_host(struct span s)
{
    enum { REG_NAME_MAX = 255 };
    size_t i = 0;
    if (s.len > 0 && s.ptr[0] == '[') {
        size_t close = span_index(s, ']');
        if (close == SIZE_MAX)
            return false;
        return is_ipv6(span_of(s.ptr + 1, close - 1)) && is_port(span_from(s, close + 1));
    }
    for (; i < s.len && scan_is(s.ptr[i], SCAN_REG_NAME); i++) {
        if (s.ptr[i] != '%')
            continue;
        if (s.len - i < 3 || !scan_is(s.ptr[i + 1], SCAN_HEX) || !scan_is(s.ptr[i + 2], SCAN_HEX))
            return false;
    }
    return i > 0 && i <= REG_NAME_MAX && is_port(span_from(s, i));
}
