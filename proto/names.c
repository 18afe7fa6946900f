// SPDX-License-Identifier: Apache-2.0
/*
 * Field names that somebody asks for by name (enum header_id), found by length and then by
 * comparing.
 *
 * Names are token characters and ours are letters and '-', so setting the bit 0x20 folds case: the
 * only other byte that would become '-' is CR, which no token has. No length has more than four
 * names, and those differ early.
 */
#include "proto/head.h"

#include <string.h>

enum { LENGTH_MAX = 29, PER_LENGTH = 4 };

static const char *const names[HEADER_IDS] = {
    [HEADER_HOST] = "host",
    [HEADER_CONNECTION] = "connection",
    [HEADER_CONTENT_LENGTH] = "content-length",
    [HEADER_TRANSFER_ENCODING] = "transfer-encoding",
    [HEADER_TRAILER] = "trailer",
    [HEADER_TE] = "te",
    [HEADER_UPGRADE] = "upgrade",
    [HEADER_KEEP_ALIVE] = "keep-alive",
    [HEADER_PROXY_CONNECTION] = "proxy-connection",
    [HEADER_PROXY_AUTHORIZATION] = "proxy-authorization",
    [HEADER_PROXY_AUTHENTICATE] = "proxy-authenticate",
    [HEADER_EXPECT] = "expect",
    [HEADER_COOKIE] = "cookie",
    [HEADER_SET_COOKIE] = "set-cookie",
    [HEADER_ORIGIN] = "origin",
    [HEADER_ACCEPT_ENCODING] = "accept-encoding",
    [HEADER_CONTENT_TYPE] = "content-type",
    [HEADER_CONTENT_ENCODING] = "content-encoding",
    [HEADER_SEC_WEBSOCKET_KEY] = "sec-websocket-key",
    [HEADER_SEC_WEBSOCKET_VERSION] = "sec-websocket-version",
    [HEADER_SEC_WEBSOCKET_ACCEPT] = "sec-websocket-accept",
    [HEADER_SEC_WEBSOCKET_EXTENSIONS] = "sec-websocket-extensions",
    [HEADER_X_FORWARDED_FOR] = "x-forwarded-for",
    [HEADER_X_FORWARDED_PROTO] = "x-forwarded-proto",
    [HEADER_X_FORWARDED_HOST] = "x-forwarded-host",
    [HEADER_X_FORWARDED_PORT] = "x-forwarded-port",
    [HEADER_X_REAL_IP] = "x-real-ip",
    [HEADER_X_REQUEST_ID] = "x-request-id",
    [HEADER_FORWARDED] = "forwarded",
    [HEADER_ACCESS_CONTROL_REQUEST_METHOD] = "access-control-request-method",
    [HEADER_SERVER] = "server",
    [HEADER_DATE] = "date",
    [HEADER_STRICT_TRANSPORT_SECURITY] = "strict-transport-security",
};

static const uint8_t by_length[LENGTH_MAX + 1][PER_LENGTH] = {
    [2] = {HEADER_TE},
    [4] = {HEADER_HOST, HEADER_DATE},
    [6] = {HEADER_COOKIE, HEADER_ORIGIN, HEADER_EXPECT, HEADER_SERVER},
    [7] = {HEADER_UPGRADE, HEADER_TRAILER},
    [9] = {HEADER_X_REAL_IP, HEADER_FORWARDED},
    [10] = {HEADER_CONNECTION, HEADER_SET_COOKIE, HEADER_KEEP_ALIVE},
    [12] = {HEADER_CONTENT_TYPE, HEADER_X_REQUEST_ID},
    [14] = {HEADER_CONTENT_LENGTH},
    [15] = {HEADER_ACCEPT_ENCODING, HEADER_X_FORWARDED_FOR},
    [16] = {HEADER_X_FORWARDED_HOST, HEADER_X_FORWARDED_PORT, HEADER_CONTENT_ENCODING,
            HEADER_PROXY_CONNECTION},
    [17] = {HEADER_TRANSFER_ENCODING, HEADER_X_FORWARDED_PROTO, HEADER_SEC_WEBSOCKET_KEY},
    [18] = {HEADER_PROXY_AUTHENTICATE},
    [19] = {HEADER_PROXY_AUTHORIZATION},
    [20] = {HEADER_SEC_WEBSOCKET_ACCEPT},
    [21] = {HEADER_SEC_WEBSOCKET_VERSION},
    [24] = {HEADER_SEC_WEBSOCKET_EXTENSIONS},
    [25] = {HEADER_STRICT_TRANSPORT_SECURITY},
    [29] = {HEADER_ACCESS_CONTROL_REQUEST_METHOD},
};

/* Eight bytes at a time, the last eight again for what is left over. */
static bool same(const char *name, const char *lower, size_t len)
{
    const uint64_t fold = UINT64_C(0x2020202020202020);
    uint64_t a, b;
    if (len < sizeof(a)) {
        for (size_t i = 0; i < len; i++) {
            if ((name[i] | 0x20) != lower[i])
                return false;
        }
        return true;
    }
    for (size_t at = 0; at < len; at += sizeof(a)) {
        if (at + sizeof(a) > len)
            at = len - sizeof(a);
        memcpy(&a, name + at, sizeof(a));
        memcpy(&b, lower + at, sizeof(b));
        if ((a | fold) != b)
            return false;
    }
    return true;
}

enum header_id header_lookup(struct span name)
{
    if (name.len > LENGTH_MAX)
        return HEADER_OTHER;
    const uint8_t *candidates = by_length[name.len];
    for (size_t i = 0; i < PER_LENGTH && candidates[i] != HEADER_OTHER; i++) {
        const char *lower = names[candidates[i]];
        if ((*name.ptr | 0x20) == *lower && same(name.ptr, lower, name.len))
            return (enum header_id)candidates[i];
    }
    return HEADER_OTHER;
}
