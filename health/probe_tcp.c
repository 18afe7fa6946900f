// SPDX-License-Identifier: Apache-2.0
/*
 * Healthy is what accepts a connection (its kernel does, to be exact: a stopped process still
 * passes until its backlog is full). Nothing is sent; the connection is closed at once.
 */
#include "health/probe.h"

#include <string.h>

static void probe_tcp_done(void *ctx, const struct call_result *call)
{
    struct probe *probe = ctx;
    if (call->end == CALL_DONE)
        probe_end(probe, probe->tls ? CHECK_L6OK : CHECK_L4OK, 0,
                  probe->tls ? "connected and secured" : "connected");
    else
        probe_end_failed(probe, call);
}

bool probe_tcp_start(struct probe *probe)
{
    probe->call = probe_call(probe, strdup(""), false, probe_left_ms(probe), probe_tcp_done);
    return probe->call != NULL;
}
