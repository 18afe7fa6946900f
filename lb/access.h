// SPDX-License-Identifier: Apache-2.0
/*
 * The access log: one line per exchange, one more at a tunnel's end. Lines of a turn are gathered
 * and given to the log writer together. Formats: HAProxy's httplog (with `host limpet[pid]:` in
 * front, as halog and lnav expect) and JSON.
 */
#ifndef LIMPET_LB_ACCESS_H
#define LIMPET_LB_ACCESS_H

#include "base/loop.h"
#include "base/net.h"
#include "config/config.h"
#include "lb/reasons.h"

struct worker;

struct access_record {
    struct addr client;
    const char *frontend, *backend,
        *server;              /* backend NULL: none ("web/<NOSRV>"); server NULL: "<NOSRV>" */
    struct span request_line; /* method, target and version as received, or "<BADREQ>", "<TUNNEL>";
                                 escaped and cut by access */
    struct span method, target; /* JSON; may be empty */
    struct span sid; /* shortened in the log, in the request line and target too; may be empty */
    struct span request_id;
    const char *transport;    /* "polling", "websocket" or NULL */
    int64_t accepted_wall_ms; /* when the request began */
    /* HAProxy's timers in ms, -1 = not reached: request received, queue, connect, response head,
     * total */
    int64_t time_request, time_queue, time_connect, time_response, time_total;
    uint16_t status; /* 0: none */
    uint64_t bytes;  /* sent to the client in this exchange or tunnel */
    enum end_reason reason;
    int process_connections, frontend_connections, backend_connections, server_connections;
    int retries;
    bool redispatched;
    int server_queue, backend_queue;
    char cookie_state[2]; /* HAProxy's third and fourth termination character, e.g. "--", "VN" */
};

enum { ACCESS_LINE_MAX = 4096 }; /* with its line feed; what is longer is cut */

/* The texts of one quarter of an hour, which all its seconds share but for minute and second. */
struct access_quarter {
    int64_t number;      /* wall seconds / 900; -1: none yet */
    char time_text[24];  /* "21/Nov/2026:19:", local time */
    char stamp_text[16]; /* "Nov 21 19:", local time */
    char utc_text[24];   /* "2026-11-21T19:" */
    int minute;          /* of the hour, local, when the quarter begins */
    int utc_minute;
};

/* The text of a second. */
struct access_second {
    int64_t second; /* wall seconds; -1: none yet */
    char text[32];
};

/* What a worker gathers in one turn. */
struct access_batch {
    enum access_format format;
    char *text;
    size_t len, cap;
    struct turn_hook flush;
    struct worker *worker;
    struct access_quarter quarters[2]; /* now's, and that of a request that began earlier */
    struct access_second stamp, time, utc;
    char host[65];
    int pid;
};

bool access_init(struct access_batch *batch, struct worker *worker); /* false: no memory */
void access_fini(struct access_batch *batch); /* gives the last lines to the writer */
void access_write(struct worker *worker, const struct access_record *record);
/* Is anybody interested? */
bool access_on(const struct worker *worker);

/*
 * One line without the batch, for tests: returns the length, at most size. stamp is "Nov 21
 * 19:46:08", time "21/Nov/2026:19:46:08" (JSON: "2026-11-21T19:46:08", UTC), without the
 * milliseconds.
 */
size_t access_format_haproxy(const struct access_record *record, const char *stamp,
                             const char *host, int pid, const char *time, char *out, size_t size);
size_t access_format_json(const struct access_record *record, const char *time, char *out,
                          size_t size);

#endif
