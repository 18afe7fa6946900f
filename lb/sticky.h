// SPDX-License-Identifier: Apache-2.0
/*
 * Who owns a request (INTERFACE §3.2–3.6), and what its answer teaches. sid beats cookie beats source, in the configured order; an
 * owner that is down or gone is an answer of its own. Knows heads and tables, no sockets.
 */
#ifndef LIMPET_LB_STICKY_H
#define LIMPET_LB_STICKY_H

#include "lb/server.h"
#include "proto/engineio.h"
#include "proto/headers.h"

enum sticky_answer {
    STICKY_NOBODY, /* balance chooses */
    STICKY_OWNER,  /* this server, even when it drains or is full */
    STICKY_DEAD, /* its sid's owner is down or gone: answer "Session ID unknown" at once. A dead cookie's or source's owner is STICKY_NOBODY */
};

struct sticky_owner {
    enum sticky_answer answer;
    enum sticky_kind by;   /* with STICKY_OWNER and STICKY_DEAD */
    struct server *server; /* STICKY_OWNER; STICKY_DEAD: the server, or NULL when it is gone */
    struct sid_hold
        hold; /* by sid: release it (sidmap_release on backend->sids) when the exchange or tunnel ends */
    int64_t lifetime_ms; /* of the sid; 0 without */
    int64_t created_ms;
    bool kick;
    bool sid_missed;   /* the request has a sid of which nobody knows whose it is */
    bool sid_unproven; /* it has one that the table does not know, whoever it names */
};

/* head and base are the request's; client_ip are the bytes of the client's address. */
void sticky_find(struct backend *backend, const struct eio_request *eio, const struct head *head,
                 const char *base, struct span client_ip, int64_t now_ms, struct sticky_owner *out);

/* What the request to `server` needs done to its cookies (insert: ours is removed; prefix: our prefix is taken off). */
void sticky_edit_request(const struct backend *backend, struct cookie_edit *edit);

/* sid.mode tag: takes the tag off the request's sid, and off its cookie when that has one; after sticky_edit_request. */
void sticky_untag_request(const struct backend *backend, const struct eio_request *eio,
                          const struct head *head, const char *base, struct request_edit *edit);

/*
 * What the response from `server` needs done to its cookies, and what it teaches: with mode learn every Set-Cookie of that name is bound.
 * text is scratch of at least 512 bytes for an inserted cookie. client_had: the server that the request's own cookie named (insert adds none then), or NULL.
 */
void sticky_edit_response(struct backend *backend, struct server *server,
                          const struct server *client_had, const struct head *head,
                          const char *base, int64_t now_ms, struct response_edit *edit, char *text,
                          size_t size);

/* The server that the request's cookie names (any mode), dead or alive; NULL: none. */
struct server *sticky_cookie_server(struct backend *backend, const struct head *head,
                                    const char *base, int64_t now_ms);

#endif
