// SPDX-License-Identifier: Apache-2.0
/*
 * What the kinds of check share: which one runs, how long it may take, and what a call that came to
 * no answer says about the server. Every end of a check goes through probe_finish.
 */
#include "health/probe.h"

#include "proto/proxyproto.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void probe_init(struct probe *probe, struct loop *loop, struct shelf *shelf,
                const struct config_backend *config, const struct config_server *server,
                probe_done_fn *done, void *ctx)
{
    *probe = (struct probe){
        .loop = loop,
        .shelf = shelf,
        .config = config,
        .server = server,
        .done = done,
        .ctx = ctx,
        .eio_protocol = 4,
    };
}

static const char *error_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}

static void probe_finish(struct probe *probe, struct probe_result result)
{
    probe->call = NULL;
    result.good = result.status == CHECK_L4OK || result.status == CHECK_L6OK ||
                  result.status == CHECK_L7OK;
    result.duration_ms = probe->loop->now_ms - probe->began_ms;
    probe->done(probe->ctx, &result);
}

void probe_end(struct probe *probe, enum check_status status, int code, const char *detail)
{
    probe_finish(probe, (struct probe_result){.status = status, .code = code, .detail = detail});
}

static bool error_is_refusal(int error)
{
    return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == EHOSTDOWN;
}

void probe_end_failed(struct probe *probe, const struct call_result *call)
{
    struct probe_result result = {0};
    switch (call->end) {
    case CALL_DONE:
        assert(false);
        break;
    case CALL_CONNECT_FAILED:
        result.status = CHECK_L4CON;
        result.refused = error_is_refusal(call->error);
        result.detail = error_text(call->error);
        break;
    case CALL_CONNECT_TIMEOUT:
        result.status = CHECK_L4TOUT;
        result.late = call->loop_was_late;
        result.detail = "no connection in time";
        break;
    case CALL_TLS_FAILED:
        result.status = CHECK_L6RSP;
        result.detail = call->tls_error;
        break;
    case CALL_TLS_TIMEOUT:
        result.status = CHECK_L6TOUT;
        result.late = call->loop_was_late;
        result.detail = "no TLS handshake in time";
        break;
    case CALL_TIMEOUT:
        result.status = CHECK_L7TOUT;
        result.late = call->loop_was_late;
        result.detail = "no whole answer in time";
        break;
    case CALL_CLOSED:
        result.status = CHECK_L7RSP;
        result.detail = call->error ? error_text(call->error) : "closed before a whole answer";
        break;
    case CALL_BAD_ANSWER:
        result.status = CHECK_L7RSP;
        result.detail = "the answer is not valid HTTP";
        break;
    }
    if (net_error_is_ours(call->error))
        result.status = CHECK_SOCKERR;
    probe_finish(probe, result);
}

const char *probe_host(const struct probe *probe, char out[static ADDR_TEXT_MAX])
{
    const struct endpoint *endpoint = &probe->server->endpoint;
    if (probe->addr.any.sa_family == AF_UNIX)
        return "localhost";
    if (endpoint->kind == ENDPOINT_NAME && endpoint->port == addr_port(&probe->addr))
        return probe->server->opt.address;
    return addr_format(&probe->addr, out);
}

int64_t probe_left_ms(const struct probe *probe)
{
    int64_t used_ms = probe->loop->now_ms - probe->began_ms;
    return probe->config->opt.health_timeout_ms - used_ms;
}

/* A server that expects PROXY headers gets one of ours, which speaks for nobody else. */
static size_t write_preface(const struct probe *probe, char out[static PROXY_WRITE_MAX])
{
    switch (probe->config->opt.send_proxy) {
    case SEND_PROXY_OFF:
        return 0;
    case SEND_PROXY_V1:
        return proxy_write_v1(NULL, NULL, out);
    case SEND_PROXY_V2:
        return proxy_write_v2(NULL, NULL, NULL, out);
    }
    return 0;
}

struct call *probe_call(struct probe *probe, char *text, bool is_head, int64_t timeout_ms,
                        call_done_fn *done)
{
    if (!text) {
        errno = ENOMEM;
        return NULL;
    }
    char preface[PROXY_WRITE_MAX];
    char name[ADDR_TEXT_MAX];
    struct call_request request = {
        .addr = probe->addr,
        .preface = span_of(preface, write_preface(probe, preface)),
        .head_and_body = span_str(text),
        .is_head = is_head,
        .timeout_ms = timeout_ms,
        .connect_only = *text == '\0',
        .tls = probe->tls,
        .tls_name = config_tls_name(probe->config, probe->server, &probe->addr, name),
        .tls_session = &probe->tls_session,
    };
    struct call *call = call_start(probe->loop, probe->shelf, &request, done, probe);
    int error = errno;
    free(text);
    errno = error;
    return call;
}

bool probe_start(struct probe *probe)
{
    assert(!probe->call && probe->addr.len > 0);
    probe->began_ms = probe->loop->now_ms;
    switch (probe->config->health_kind) {
    case HEALTH_NONE:
        break;
    case HEALTH_TCP:
        return probe_tcp_start(probe);
    case HEALTH_HTTP:
        return probe_http_start(probe);
    case HEALTH_ENGINEIO:
        return probe_engineio_start(probe);
    }
    assert(false);
    return false;
}

void probe_stop(struct probe *probe)
{
    if (probe->call)
        call_cancel(probe->call);
    if (probe->farewell)
        call_cancel(probe->farewell);
    probe->call = probe->farewell = NULL;
}
