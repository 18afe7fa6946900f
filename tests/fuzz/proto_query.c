// SPDX-License-Identifier: Apache-2.0
/*
 * Queries of Engine.IO requests. The servers split them at '&' and '=', decode every key and value,
 * and let the last one of a name count; that is written here once more, in the plainest way.
 *
 * Checked: both readings are one, for the session, the transport, the protocol and JSONP; a `sid` at
 * the end overrules all before it; other keys around it change nothing, and neither does encoding
 * what could stand plain.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/engineio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span prefix = {"/socket.io/", 11};
static const char *const names[] = {"sid", "transport", "EIO", "j"};
enum { SID, TRANSPORT, EIO, J, NAMES };

/* A value as the server has it; NULL: there is none of that name. */
struct value {
    char *text;
    size_t len;
};

static int hex(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

static struct value decoded(const char *from, const char *end)
{
    struct value value = {malloc((size_t)(end - from) + 1), 0};
    assert(value.text);
    while (from < end) {
        bool escape = end - from > 2 && *from == '%' && hex(from[1]) >= 0 && hex(from[2]) >= 0;
        value.text[value.len++] = escape         ? (char)(hex(from[1]) * 16 + hex(from[2]))
                                  : *from == '+' ? ' '
                                                 : *from;
        from += escape ? 3 : 1;
    }
    return value;
}

static bool is(const struct value *value, const char *text)
{
    return value->text && value->len == strlen(text) && memcmp(value->text, text, value->len) == 0;
}

/* The last value of each name. */
static void read_plainly(struct span query, struct value values[static NAMES])
{
    const char *at = query.ptr, *end = query.ptr + query.len;
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *pair_end = next ? next : end;
        const char *equals = memchr(at, '=', (size_t)(pair_end - at));
        struct value key = decoded(at, equals ? equals : pair_end);
        struct value value = decoded(equals ? equals + 1 : pair_end, pair_end);
        for (size_t i = 0; i < NAMES; i++) {
            if (!is(&key, names[i]))
                continue;
            free(values[i].text);
            values[i] = value;
            value.text = NULL;
        }
        free(key.text);
        free(value.text);
        at = pair_end + 1;
    }
}

static uint32_t digits(const struct value *value)
{
    uint32_t n = 0;
    for (size_t i = 0; i < value->len; i++) {
        if (value->text[i] >= '0' && value->text[i] <= '9')
            n = n * 10 + (uint32_t)(value->text[i] - '0');
    }
    return n;
}

static void check_read(struct span query, const struct eio_request *request)
{
    struct value values[NAMES] = {{NULL, 0}};
    read_plainly(query, values);
    const struct value *sid = &values[SID], *transport = &values[TRANSPORT];
    if (transport->text) {
        bool polling = is(transport, "polling"), websocket = is(transport, "websocket");
        assert((request->kind == EIO_SESSION) == (sid->text && sid->len > 0));
        assert(request->sid_too_long == (sid->len > EIO_SID_MAX));
        assert(request->sid_too_long ||
               span_eq(eio_sid(request), span_of(sid->text, sid->text ? sid->len : 0)));
        assert(request->protocol == (is(&values[EIO], "4") ? 4 : 3));
        assert((request->transport == EIO_POLLING) == polling);
        assert((request->transport == EIO_WEBSOCKET) == websocket);
        assert(request->jsonp == (polling && values[J].text != NULL));
        assert(!request->jsonp || request->jsonp_index == digits(&values[J]));
    }
    for (size_t i = 0; i < NAMES; i++)
        free(values[i].text);
}

static void classify(const char *text, size_t len, struct eio_request *out)
{
    // Of just that size, so that AddressSanitizer sees what is read beyond.
    char *copy = malloc(len + (len == 0));
    assert(copy);
    memcpy(copy, text, len);
    eio_classify(prefix, span_of(copy, len), &prefix, 1, out);
    free(copy);
}

static bool same(const struct eio_request *a, const struct eio_request *b)
{
    return a->kind == b->kind && a->transport == b->transport && a->protocol == b->protocol &&
           a->jsonp == b->jsonp && a->jsonp_index == b->jsonp_index &&
           a->sid_too_long == b->sid_too_long && span_eq(eio_sid(a), eio_sid(b));
}

/* Everything but the separators, and escapes as they are, in %XX. */
static size_t encode(struct span query, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < query.len; i++) {
        if (memchr("&=%+", query.ptr[i], 4))
            out[len++] = query.ptr[i];
        else if (i > 0 && (query.ptr[i - 1] == '%' || (i > 1 && query.ptr[i - 2] == '%')))
            out[len++] = query.ptr[i]; // It may be an escape's digit.
        else
            len += (size_t)sprintf(out + len, "%%%02X", (unsigned char)query.ptr[i]);
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct eio_request request, again;
    struct span query = {(const char *)data, size};
    char *text = malloc(3 * size + 64);
    assert(text);
    classify(query.ptr, query.len, &request);
    check_read(query, &request);

    size_t len = encode(query, text);
    classify(text, len, &again);
    assert(same(&request, &again));

    len = (size_t)sprintf(text, "t=O%%26x&sids=no&");
    memcpy(text + len, data, size);
    memcpy(text + len + size, "&=&x", 4);
    classify(text, len + size + 4, &again);
    assert(same(&request, &again));

    memcpy(text + len + size, "&%73id=%4cast%20one+", 20);
    classify(text, len + size + 20, &again);
    if (request.kind != EIO_NONE && request.protocol != 0)
        assert(again.kind == EIO_SESSION && span_eq(eio_sid(&again), SPAN("Last one ")));
    free(text);
    return 0;
}
