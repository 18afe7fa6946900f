// SPDX-License-Identifier: Apache-2.0
/*
 * Engine.IO requests: which are they, and whose session do they carry.
 *
 * This must read a URL exactly as the servers do, or a request ends up at a process that does not
 * know its session: the path is compared raw and by prefix; keys and values are percent-decoded
 * with '+' as space (they use URLSearchParams or querystring); of several values of one key the
 * last counts; keys are case-sensitive and ';' does not separate. Socket.IO 0.9 has its session id
 * in the path instead: PREFIX 1/TRANSPORT/SID.
 *
 * The bodies are in engineio_body.c.
 */
#include "proto/engineio.h"

/* The raw values of the keys that matter; ptr is NULL for those that are not there. */
struct query {
    struct span transport, sid, eio, j; /* Engine.IO */
    struct span jsonp, i;               /* Socket.IO 0.9 */
};

enum { KEY_MAX = 9 }; /* "transport" */

/* Where the value of that key goes, or NULL. */
static struct span *query_slot(struct query *query, struct span key)
{
    const struct {
        struct span name;
        struct span *slot;
    } slots[] = {
        {SPAN("sid"), &query->sid},     {SPAN("transport"), &query->transport},
        {SPAN("EIO"), &query->eio},     {SPAN("j"), &query->j},
        {SPAN("jsonp"), &query->jsonp}, {SPAN("i"), &query->i},
    };
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (span_eq(key, slots[i].name))
            return slots[i].slot;
    }
    return NULL;
}

/* `text` itself when nothing in it is encoded, else decoded into `room`; false: it does not fit. */
static bool decode(struct span text, char *room, size_t size, struct span *out)
{
    *out = text;
    if (span_index(text, '%') == SIZE_MAX && span_index(text, '+') == SIZE_MAX)
        return text.len <= size;
    size_t len;
    if (!span_percent_decode(text, true, room, size, &len))
        return false;
    *out = span_of(room, len);
    return true;
}

static void query_read(struct query *query, struct span text)
{
    while (text.ptr != NULL) {
        char room[KEY_MAX];
        struct span pair = span_cut(&text, '&'), key;
        size_t equals = span_index(pair, '=');
        if (pair.len == 0 || !decode(span_upto(pair, equals), room, sizeof(room), &key))
            continue;
        struct span *slot = query_slot(query, key);
        if (slot != NULL)
            *slot = equals == SIZE_MAX ? span_of(pair.ptr, 0) : span_from(pair, equals + 1);
    }
}

static bool value_is(struct span raw, struct span wanted)
{
    char room[16];
    struct span value;
    return raw.ptr != NULL && decode(raw, room, sizeof(room), &value) && span_eq(value, wanted);
}

/* As the servers do: decoded, what is not a digit is taken off. */
static uint32_t digits_of(struct span raw)
{
    uint32_t n = 0;
    while (raw.len > 0) {
        char c = raw.ptr[0];
        size_t len;
        // Three bytes fit into one only if they are an escape.
        bool escape = raw.len >= 3 && span_percent_decode(span_upto(raw, 3), true, &c, 1, &len);
        c = escape ? c : raw.ptr[0];
        if (c >= '0' && c <= '9')
            n = n * 10 + (uint32_t)(c - '0');
        raw = span_from(raw, escape ? 3 : 1);
    }
    return n;
}

static void take_sid(struct eio_request *out, struct span raw)
{
    size_t len = 0;
    if (raw.len == 0) {
        out->kind = EIO_HANDSHAKE;
        return;
    }
    out->kind = EIO_SESSION;
    out->sid_too_long = !span_percent_decode(raw, true, out->sid, EIO_SID_MAX, &len);
    out->sid_len = out->sid_too_long ? 0 : (uint16_t)len;
}

static void classify_query(const struct query *query, struct eio_request *out)
{
    out->protocol = value_is(query->eio, SPAN("4")) ? 4 : 3;
    out->transport = value_is(query->transport, SPAN("polling"))     ? EIO_POLLING
                     : value_is(query->transport, SPAN("websocket")) ? EIO_WEBSOCKET
                                                                     : EIO_OTHER;
    out->jsonp = query->j.ptr != NULL && out->transport == EIO_POLLING;
    out->jsonp_index = out->jsonp ? digits_of(query->j) : 0;
    take_sid(out, query->sid);
}

static enum eio_transport legacy_transport(struct span name)
{
    if (span_eq(name, SPAN("websocket")) || span_eq(name, SPAN("flashsocket")))
        return EIO_WEBSOCKET;
    if (span_eq(name, SPAN("xhr-polling")) || span_eq(name, SPAN("jsonp-polling")) ||
        span_eq(name, SPAN("htmlfile")))
        return EIO_POLLING;
    return EIO_OTHER;
}

/* "1", "1/" open a session; "1/TRANSPORT/SID", "1/TRANSPORT/SID/" belong to one. */
static void classify_legacy(struct span rest, const struct query *query, struct eio_request *out)
{
    if (!span_eq(span_cut(&rest, '/'), SPAN("1")))
        return;
    if (rest.len == 0) {
        out->kind = EIO_HANDSHAKE;
        out->transport = EIO_POLLING;
        out->jsonp = query->jsonp.ptr != NULL;
        out->jsonp_index = digits_of(query->jsonp);
        return;
    }
    struct span transport = span_cut(&rest, '/');
    struct span sid = span_cut(&rest, '/');
    if (sid.len == 0 || rest.len > 0)
        return;
    out->transport = legacy_transport(transport);
    out->jsonp = span_eq(transport, SPAN("jsonp-polling"));
    out->jsonp_index = out->jsonp ? digits_of(query->i) : 0;
    take_sid(out, sid);
}

void eio_classify(struct span path, struct span query, const struct span *paths, size_t npaths,
                  struct eio_request *out)
{
    struct query keys = {0};
    out->kind = EIO_NONE;
    out->transport = EIO_OTHER;
    out->protocol = 0;
    out->jsonp = false;
    out->jsonp_index = 0;
    out->sid_too_long = false;
    out->sid_len = 0;
    for (size_t i = 0; i < npaths; i++) {
        if (!span_starts(path, paths[i]))
            continue;
        struct span rest = span_from(path, paths[i].len);
        if (!span_ends(paths[i], SPAN("/")) && span_starts(rest, SPAN("/")))
            rest = span_from(rest, 1);
        query_read(&keys, query);
        if (keys.transport.ptr != NULL)
            classify_query(&keys, out);
        else
            classify_legacy(rest, &keys, out);
        return;
    }
}
