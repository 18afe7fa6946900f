// SPDX-License-Identifier: Apache-2.0
/*
 * Healthy is what opens an Engine.IO session: the very thing that clients ask of it.
 *
 *     GET  PATH?EIO=4&transport=polling            ──► 200 0{"sid":…}        healthy
 *                                                  ──► 400 {"code":5,…}      again with EIO=3
 *     POST PATH?EIO=…&transport=polling&sid=…  `1` ──► so that no session stays behind
 *
 * The verdict is the handshake's; the farewell runs behind it and nobody waits for it. A server
 * that got none drops the session after its ping timeout. Which protocol the server speaks is
 * remembered, so that only its first check costs two requests. Servers of the 1.x and 2.x lines
 * take any EIO and answer in protocol 3, so the form of the answer says in which form to close.
 */
#include "health/probe.h"

#include "proto/engineio.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The sid may be any string (generateId): everything but unreserved characters is encoded. */
static void sid_encode(const struct eio_handshake *handshake, char out[static EIO_SID_MAX * 3 + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < handshake->sid_len; i++) {
        unsigned char c = (unsigned char)handshake->sid[i];
        if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
            out[len++] = (char)c;
        else
            len += (size_t)snprintf(out + len, 4, "%%%02X", c);
    }
    out[len] = '\0';
}

/* sid: the query's part for it, or "". rest: from behind the last common field on. NULL: no memory.
 */
static char *request_text(const struct probe *probe, const char *method, const char *sid,
                          const char *rest)
{
    char *text;
    char address[ADDR_TEXT_MAX];
    int len = asprintf(&text,
                       "%s %s?EIO=%d&transport=polling%s HTTP/1.1\r\n"
                       "Host: %s\r\n"
                       "User-Agent: limpet/" LIMPET_VERSION "\r\n"
                       "Accept: */*\r\n"
                       "Connection: close\r\n%s",
                       method, probe->config->opt.health_engineio_path, probe->eio_protocol, sid,
                       probe_host(probe, address), rest);
    return len < 0 ? NULL : text;
}

static void farewell_done(void *ctx, const struct call_result *call)
{
    struct probe *probe = ctx;
    (void)call;
    probe->farewell = NULL;
}

/* Closes the session. That it cannot be is no reason to call the server ill. */
static void farewell_start(struct probe *probe, const struct eio_handshake *handshake)
{
    if (probe->farewell)
        call_cancel(probe->farewell);
    char sid[sizeof("&sid=") + (size_t)EIO_SID_MAX * 3] = "&sid=";
    sid_encode(handshake, sid + strlen(sid));
    const char *rest = probe->eio_protocol == 4 ? "Content-Type: text/plain;charset=UTF-8\r\n"
                                                  "Content-Length: 1\r\n\r\n1"
                                                : "Content-Type: text/plain;charset=UTF-8\r\n"
                                                  "Content-Length: 3\r\n\r\n1:1";
    probe->farewell = probe_call(probe, request_text(probe, "POST", sid, rest), false,
                                 probe->config->opt.health_timeout_ms, farewell_done);
}

static call_done_fn handshake_done;

static bool handshake_start(struct probe *probe)
{
    probe->call = probe_call(probe, request_text(probe, "GET", "", "\r\n"), false,
                             probe_left_ms(probe), handshake_done);
    return probe->call != NULL;
}

/* `{"code":5,"message":"Unsupported protocol version"}` */
static bool says_other_protocol(const struct call_result *call)
{
    return call->status == 400 && span_find(call->body, SPAN("Unsupported protocol")) != SIZE_MAX;
}

static void handshake_done(void *ctx, const struct call_result *call)
{
    struct probe *probe = ctx;
    if (call->end != CALL_DONE) {
        probe_end_failed(probe, call);
        return;
    }
    if (says_other_protocol(call) && !probe->eio_fell_back) {
        probe->eio_fell_back = true;
        probe->eio_protocol = probe->eio_protocol == 4 ? 3 : 4;
        if (!handshake_start(probe))
            probe_end(probe, CHECK_SOCKERR, 0, "no memory or descriptors for a check");
        return;
    }
    char detail[64];
    struct eio_handshake handshake;
    if (call->status != 200) {
        snprintf(detail, sizeof(detail), "HTTP status %d to the handshake", call->status);
        probe_end(probe, CHECK_L7STS, call->status, detail);
    } else if (eio_parse_handshake(call->body, false, &handshake) != EIO_PARSE_FOUND) {
        probe_end(probe, CHECK_L7RSP, call->status, "the answer is no Engine.IO handshake");
    } else {
        probe->eio_protocol = call->body.ptr[0] == '0' ? 4 : 3;
        farewell_start(probe, &handshake);
        snprintf(detail, sizeof(detail), "Engine.IO %d session opened", probe->eio_protocol);
        probe_end(probe, CHECK_L7OK, call->status, detail);
    }
}

bool probe_engineio_start(struct probe *probe)
{
    probe->eio_fell_back = false;
    return handshake_start(probe);
}
