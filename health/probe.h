// SPDX-License-Identifier: Apache-2.0
/*
 * One check of one server: starts, ends once with a result, or is stopped. The kinds (probe_tcp,
 * probe_http, probe_engineio) differ in what they send and what they take for healthy; none of them
 * counts, waits or decides.
 */
#ifndef LIMPET_HEALTH_PROBE_H
#define LIMPET_HEALTH_PROBE_H

#include "base/tls.h"
#include "health/health.h"
#include "proto/call.h"

struct probe_result {
    enum check_status
        status; /* CHECK_SOCKERR: we could not even try; says nothing about the server */
    bool good;
    bool refused; /* nobody listens there: refused, no such socket, unreachable */
    bool late;    /* it expired, and our own loop was held up meanwhile */
    int code;     /* HTTP status, 0 = none */
    int64_t duration_ms;
    const char *detail; /* lives for the callback; no comma, quote or control character */
};
typedef void probe_done_fn(void *ctx, const struct probe_result *result);

struct probe {
    struct loop *loop;
    struct shelf *shelf;
    const struct config_backend *config;
    const struct config_server *server;
    struct addr addr;
    struct tls_context *tls;        /* health's; NULL: without */
    struct tls_session tls_session; /* what the next check goes on with */
    probe_done_fn *done; /* once per probe_start, from the loop; the next may be started in it */
    void *ctx;

    struct call *call;     /* under way, or NULL */
    struct call *farewell; /* Engine.IO: closes the session that the last check opened */
    int64_t began_ms;
    int eio_protocol;   /* what the server spoke last: 4 (also at first) or 3 */
    bool eio_fell_back; /* this check already tried the other protocol */
};

void probe_init(struct probe *probe, struct loop *loop, struct shelf *shelf,
                const struct config_backend *config, const struct config_server *server,
                probe_done_fn *done, void *ctx);
/*
 * A check of config->health_kind begins; `done` follows, never from inside. False: this process or
 * host could not even try (errno), and `done` does not follow.
 */
bool probe_start(struct probe *probe);
static inline bool probe_running(const struct probe *probe)
{
    return probe->call != NULL;
}
/* `done` is not called. Also for the end; harmless when none runs. */
void probe_stop(struct probe *probe);

/* ---- for the kinds ---- */

/* Each begins its check; false: errno, and nothing was begun. */
bool probe_tcp_start(struct probe *probe);
bool probe_http_start(struct probe *probe);
bool probe_engineio_start(struct probe *probe);

/* The Host that a check sends: the name in the configuration, or the address. */
const char *probe_host(const struct probe *probe, char out[static ADDR_TEXT_MAX]);
/* Starts a call to the server, with the probe as context. `text` is the request, malloc'ed, and
 * freed here (NULL: no memory); "" only connects. NULL: errno. */
struct call *probe_call(struct probe *probe, char *text, bool is_head, int64_t timeout_ms,
                        call_done_fn *done);
int64_t probe_left_ms(const struct probe *probe); /* of the check's time */
/* Ends the check as the call's end says; for CALL_DONE the kind says what it means. */
void probe_end_failed(struct probe *probe, const struct call_result *call);
void probe_end(struct probe *probe, enum check_status status, int code, const char *detail);

#endif
