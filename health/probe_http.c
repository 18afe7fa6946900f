// SPDX-License-Identifier: Apache-2.0
/*
 * Healthy is what answers health.http's request, whole and valid, with an expected status. The
 * connection is not kept: whether the server accepts new ones is part of the question.
 */
#include "health/probe.h"

#include <stdio.h>

static bool status_is_expected(const struct backend_options *opt, int status)
{
    for (size_t i = 0; i < opt->health_http_expect_count; i++) {
        const struct status_range *range = &opt->health_http_expect[i];
        if (status >= range->from && status <= range->to)
            return true;
    }
    return false;
}

static void probe_http_done(void *ctx, const struct call_result *call)
{
    struct probe *probe = ctx;
    if (call->end != CALL_DONE) {
        probe_end_failed(probe, call);
        return;
    }
    char detail[32];
    snprintf(detail, sizeof(detail), "HTTP status %d", call->status);
    bool expected = status_is_expected(&probe->config->opt, call->status);
    probe_end(probe, expected ? CHECK_L7OK : CHECK_L7STS, call->status, detail);
}

static const char *method_word(enum probe_method method)
{
    switch (method) {
    case PROBE_GET:
        return "GET";
    case PROBE_HEAD:
        return "HEAD";
    case PROBE_OPTIONS:
        return "OPTIONS";
    }
    return "GET";
}

bool probe_http_start(struct probe *probe)
{
    const struct backend_options *opt = &probe->config->opt;
    char address[ADDR_TEXT_MAX];
    const char *host = opt->health_http_host ? opt->health_http_host : probe_host(probe, address);
    char *text;
    int len = asprintf(&text,
                       "%s %s HTTP/1.1\r\n"
                       "Host: %s\r\n"
                       "User-Agent: limpet/" LIMPET_VERSION "\r\n"
                       "Accept: */*\r\n"
                       "Connection: close\r\n\r\n",
                       method_word(opt->health_http_method), opt->health_http_path, host);
    probe->call = probe_call(probe, len < 0 ? NULL : text, opt->health_http_method == PROBE_HEAD,
                             probe_left_ms(probe), probe_http_done);
    return probe->call != NULL;
}
