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

#include "proto/scan.h"

#include <assert.h>
#include <string.h>

/* A value as it stands in the query; ptr is NULL when its key is not there. */
struct raw {
    struct span text;
    bool encoded; /* has a '%' or '+' */
};

/* The keys that matter; a query is one value of each. */
enum key {
    KEY_SID,
    KEY_TRANSPORT,
    KEY_EIO,
    KEY_J,     /* JSONP */
    KEY_JSONP, /* Socket.IO 0.9's */
    KEY_I,
    KEYS,
    KEY_MAX = 9, /* bytes: "transport" */
};
static const struct span key_names[KEYS] = {
    {"sid", 3}, {"transport", 9}, {"EIO", 3}, {"j", 1}, {"jsonp", 5}, {"i", 1},
};

/* Where the value of that key goes, or NULL. */
static struct raw *query_slot(struct raw query[static KEYS], struct span name)
{
    for (enum key key = 0; key < KEYS; key++) {
        if (name.len == key_names[key].len && memcmp(name.ptr, key_names[key].ptr, name.len) == 0)
            return &query[key];
    }
    return NULL;
}

/* `raw` as it is when nothing in it is encoded, else decoded into `room`; false: it does not fit. */
static bool decode(struct raw raw, char *room, size_t size, struct span *out)
{
    *out = raw.text;
    if (!raw.encoded)
        return raw.text.len <= size;
    size_t len;
    if (!span_percent_decode(raw.text, true, room, size, &len))
        return false;
    *out = span_of(room, len);
    return true;
}

/* Up to the next '&' or `stop`, or the end. */
static struct raw piece(const char *p, const char *end, char stop)
{
    struct raw raw = {{p, 0}, false};
    for (; p < end; p++) {
        if (!scan_is(*p, SCAN_QUERY))
            continue;
        if (*p == '&' || *p == stop)
            break;
        raw.encoded |= *p != '=';
    }
    raw.text.len = (size_t)(p - raw.text.ptr);
    return raw;
}

static void query_read(struct raw query[static KEYS], struct span text)
{
    const char *p = text.ptr, *end = p + text.len;
    while (p < end) {
        char room[KEY_MAX];
        struct span name;
        struct raw key = piece(p, end, '=');
        p += key.text.len;
        struct raw value = piece(p < end && *p == '=' ? p + 1 : p, end, '&');
        p = value.text.ptr + value.text.len;
        if (p < end)
            p++;
        struct raw *slot = decode(key, room, sizeof(room), &name) ? query_slot(query, name) : NULL;
        if (slot != NULL)
            *slot = value;
    }
}

static bool value_is(struct raw raw, struct span wanted)
{
    char room[16];
    struct span value;
    return raw.text.ptr != NULL && decode(raw, room, sizeof(room), &value) &&
           span_eq(value, wanted);
}

/* As the servers do: decoded, what is not a digit is taken off. */
static uint32_t digits_of(struct span raw)
{
    uint32_t n = 0;
    assert(raw.ptr != NULL || raw.len == 0);
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

static void take_sid(struct eio_request *out, struct raw raw)
{
    struct span sid;
    if (raw.text.len == 0) {
        out->kind = EIO_HANDSHAKE;
        return;
    }
    out->kind = EIO_SESSION;
    out->sid_too_long = !decode(raw, out->sid, EIO_SID_MAX, &sid);
    if (out->sid_too_long)
        return;
    if (sid.ptr != out->sid)
        memcpy(out->sid, sid.ptr, sid.len);
    out->sid_len = (uint16_t)sid.len;
}

static void classify_query(const struct raw query[static KEYS], struct eio_request *out)
{
    out->protocol = value_is(query[KEY_EIO], SPAN("4")) ? 4 : 3;
    out->transport = value_is(query[KEY_TRANSPORT], SPAN("polling"))     ? EIO_POLLING
                     : value_is(query[KEY_TRANSPORT], SPAN("websocket")) ? EIO_WEBSOCKET
                                                                         : EIO_OTHER;
    out->jsonp = query[KEY_J].text.ptr != NULL && out->transport == EIO_POLLING;
    out->jsonp_index = out->jsonp ? digits_of(query[KEY_J].text) : 0;
    take_sid(out, query[KEY_SID]);
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
static void classify_legacy(struct span rest, const struct raw query[static KEYS],
                            struct eio_request *out)
{
    if (!span_eq(span_cut(&rest, '/'), SPAN("1")))
        return;
    if (rest.len == 0) {
        out->kind = EIO_HANDSHAKE;
        out->transport = EIO_POLLING;
        out->jsonp = query[KEY_JSONP].text.ptr != NULL;
        out->jsonp_index = digits_of(query[KEY_JSONP].text);
        return;
    }
    struct span transport = span_cut(&rest, '/');
    struct span sid = span_cut(&rest, '/');
    if (sid.len == 0 || rest.len > 0)
        return;
    out->transport = legacy_transport(transport);
    out->jsonp = span_eq(transport, SPAN("jsonp-polling"));
    out->jsonp_index = out->jsonp ? digits_of(query[KEY_I].text) : 0;
    take_sid(out, (struct raw){sid, .encoded = true});
}

void eio_classify(struct span path, struct span query, const struct span *paths, size_t npaths,
                  struct eio_request *out)
{
    struct raw values[KEYS] = {0};
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
        query_read(values, query);
        if (values[KEY_TRANSPORT].text.ptr != NULL)
            classify_query(values, out);
        else
            classify_legacy(rest, values, out);
        return;
    }
}
