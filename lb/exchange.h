// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of floor 4 share: struct flow (a client connection), struct exchange (one request
 * and its response), struct tunnel (what is left of a flow after 101), and the few functions by
 * which flow.c, request.c, response.c and tunnel.c hand over to one another.
 *
 *   flow_proxy.c the PROXY header before everything, and the one towards servers
 *   flow_tls.c   the TLS handshake before the first request
 *   flow.c       states, deadlines, the client connection's events, the end of everything
 *   request.c    head → route → body gathered → owner or balance → queue → server connection →
 * request sent response.c   response head → what it teaches → body relayed → exchange complete
 *   sids.c       handshakes that get a tag, sessions that other balancers opened
 *   tunnel.c     after 101
 *
 * A flow has an exchange from a request's first complete head until its response is handed over, a
 * tunnel after 101, neither while idle.
 */
#ifndef LIMPET_LB_EXCHANGE_H
#define LIMPET_LB_EXCHANGE_H

#include "lb/balance.h"
#include "lb/edition.h"
#include "lb/flow.h"
#include "lb/sticky.h"
#include "lb/upstream.h"
#include "proto/chunked.h"
#include "proto/wsframe.h"

enum flow_state {
    FLOW_PROXY,     /* a PROXY header comes first */
    FLOW_HANDSHAKE, /* TLS is being agreed on */
    FLOW_IDLE,      /* between requests */
    FLOW_HEAD,      /* a request has begun */
    FLOW_GATHER,    /* its body (up to 64 KiB) comes in before a server is chosen */
    FLOW_QUEUE,     /* all servers are full */
    FLOW_CONNECT,   /* a server connection is being made */
    FLOW_RELAY,     /* the request is on its way, or its answer is */
    FLOW_TUNNEL,    /* after 101 */
    FLOW_CLOSING,   /* the last answer drains, what the client still sends is thrown away */
    FLOW_ENDED,
    FLOW_STATES
};

enum {
    GATHER_MAX = 64 * 1024, /* body bytes held back before a server is chosen */
    INTERIM_MAX = 10,       /* 1xx answers per exchange */
    NOTE_MAX = 88,       /* bytes of what only some exchanges need: a short request line, for one */
    LINE_LONG = 1024,    /* of a long one */
    WATCH_MAX = 256,     /* bytes of an error answer looked at for `Session ID unknown` */
    LAST_FIRST_MS = 500, /* for a connection's first request, once it is to end */
    LINGER_MS = 2000,    /* reading on after the last answer */
    LINGER_BYTES = 16 * 1024 * 1024,
};

/* How one direction's body is read. */
struct body {
    union {
        uint64_t left;          /* FRAMING_LENGTH: bytes to come */
        struct chunked chunked; /* FRAMING_CHUNKED */
    };
    enum framing framing : 8;
    bool done;
};

/* What is looked for in a response's body as it passes. */
enum watch {
    WATCH_NOTHING,
    WATCH_HANDSHAKE, /* the sid and its lifetime */
    WATCH_UNKNOWN,   /* `Session ID unknown`: the entry goes */
    WATCH_CLOSE,     /* a poll answered with nothing but the close packet: the entry goes */
};

/* A client's address without the room that a unix path takes. */
union peer {
    struct sockaddr any; /* AF_UNIX: nothing but the family */
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
void peer_to_addr(const union peer *peer, struct addr *out);
void peer_from_addr(union peer *peer, const struct addr *addr);

/* Ordered by size, so that nothing is lost between fields: there is one for each poll that hangs. */
struct exchange {
    struct flow *flow;
    struct edition
        *edition; /* held: the snapshot that it began with, where the two below are from */
    struct frontend *frontend;
    struct backend *backend;   /* NULL until routed */
    const struct rules *rules; /* of its route, with the edition; NULL: none */
    struct server *server;     /* holds a place there (server_take) while not NULL */
    struct server_conn *up;
    struct sid_hold hold;
    struct list queue_node;      /* single unless it waits for a place */
    struct held_session session; /* listed while it is a held poll */
    struct body request, response;
    struct buf watched;     /* body bytes of the response so far, while watching or held back */
    union peer *spoken_for; /* whom a trusted proxy speaks for, if it does; ask exchange_client */
    uint16_t *tried; /* sid_ids of servers that failed: BALANCE_TRIED_MAX places, once one did */
    const struct server *cookie_server; /* that the request's cookie named */
    char *sid;                          /* while the table does not know it: LINE_LONG bytes */
    char *line;                         /* request line for the log; NULL: none is kept */
    uint64_t id;                        /* X-Request-ID */
    uint64_t request_received, rate_received; /* body bytes, all and since rate_since_us */
    uint64_t sent_before;                     /* client.sent when it began */

    /* CLOCK_MONOTONIC µs; 0 = not reached. It began at flow->began_us. */
    int64_t head_us, queued_us, connect_us, response_us, rate_since_us;

    uint32_t head_bytes;  /* of the head at the front of the client's `in`, while it is kept */
    uint32_t body_bytes;  /* of the gathered body right behind it */
    uint32_t seen;        /* how far the response head was searched for its end */
    uint32_t tag_head;    /* held back: bytes of the head before the body's in `watched` */
    uint32_t lifetime_ms; /* of the sid, with slack */
    uint32_t jsonp_index;
    char sid_short[12];
    uint16_t status;
    uint16_t sid_len;
    uint16_t line_len;
    uint8_t protocol; /* Engine.IO's, 0 for Socket.IO 0.9 and anything else */
    uint8_t tries;    /* servers or connections tried so far */
    uint8_t tried_count;
    uint8_t interim; /* 1xx answers so far */
    enum http_method method : 8;
    enum end_reason failure : 8; /* of the last try, if another one followed */
    enum watch watch : 8;        /* in the response */

    /* the request */
    bool minor_0 : 1;      /* client speaks HTTP/1.0 */
    bool client_keeps : 1; /* the request allows another one after it */
    bool has_sid : 1;
    bool handshake : 1; /* opens an Engine.IO session */
    bool polling : 1;   /* transport=polling */
    bool legacy : 1;    /* Socket.IO 0.9 */
    bool jsonp : 1;
    bool upgrade : 1;    /* asked for a WebSocket */
    bool waited : 1;     /* for a place, in the queue */
    bool held_poll : 1;  /* GET of a session's poll: may hang for its whole lifetime */
    bool closes_sid : 1; /* carries the close packet */
    bool head_kept : 1;  /* head (and body) still lie in the client's `in` */
    bool repeatable : 1; /* GET, HEAD, OPTIONS without sid and body */
    bool sent : 1;       /* some byte of it is with a server's kernel */
    bool fresh : 1;      /* the next try needs a connection that nobody used before */
    bool loose : 1;      /* counted in server->loose */
    bool continued : 1;  /* 100 Continue was sent */
    bool balanced : 1;   /* its server was chosen by balance */
    bool redispatched : 1;
    bool owned : 1;        /* its server is its sid's owner */
    bool unproven : 1;     /* its sid may be nobody's; if so, that is counted against its client */
    bool counted_poll : 1; /* in the gauges of held polls */
    bool request_broken : 1; /* the server takes no more of the body: its answer, if any, is awaited
                              */
    bool long_line : 1;      /* `line` has LINE_LONG bytes, else NOTE_MAX */

    /* the response */
    bool answered : 1;  /* a final response head was written to the client */
    bool held_back : 1; /* head and body so far lie in `watched`: its sid gets a tag */
    bool server_keeps : 1;
    bool response_chunked : 1; /* towards the client */
};

/* After 101: two connections and little else. */
struct tunnel {
    struct flow *flow;
    struct server_conn *up;
    struct edition *edition; /* held when the current snapshot lacks its server; else NULL */
    struct server *server;
    struct sid_hold hold;
    struct held_session session;
    struct wsframe frames; /* server → client */
    bool upgraded : 1;     /* its session began with polling */
    bool loose : 1;        /* counted in server->loose: opened without a sid */
    bool client_eof : 1, server_eof : 1;
    bool kick : 1;   /* a Close frame goes in at the next frame boundary */
    bool kicked : 1; /* it has; the server's bytes are thrown away now */
};

/* What a PROXY header said, beside the client's address. */
struct proxied {
    union peer local; /* where the client connected to */
    bool tls;         /* it came there with TLS */
};

struct flow {
    struct conn client;
    union {
        struct list node;   /* in worker->flow_list */
        struct grave grave; /* once it has ended */
    };
    struct timer timer;
    struct worker *worker;
    struct listener *listener;
    struct exchange *exchange;
    struct tunnel *tunnel;
    union peer peer;         /* the client; behind a PROXY header whom that names */
    uint32_t number;         /* unique in its worker: for `show sess` */
    struct proxied *proxied; /* owned; NULL: came directly */
    uint32_t seen;           /* how far the head was searched for its end */
    uint32_t accepted_s;     /* CLOCK_MONOTONIC */
    int64_t began_us; /* first byte of the request that is coming in, or when the tunnel began */
    /* conn_taken when the deadline was set (its lower half): did the client take anything since?
     * While a closing one is read on: client.received when that began. */
    uint32_t progress;
    enum flow_state state : 8;
    enum end_reason on_deadline : 8;
    bool first : 1; /* no request yet */
    bool client_eof : 1;
    bool counted_limit : 1; /* in the per-address table */
    bool running : 1;       /* inside its own processing: do not recurse */
};

/* What an idle WebSocket and a hanging poll are made of: not to grow unnoticed (docs/performance.md). */
#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct flow) <= 272 && sizeof(struct tunnel) <= 104 &&
                   sizeof(struct exchange) <= 360 && sizeof(struct server_conn) <= 160,
               "idle connections have become larger");
#endif

/* The request's bytes: head, gathered body, and what follows. While head_kept. */
static inline struct span exchange_text(const struct exchange *x)
{
    return buf_bytes(&x->flow->client.in);
}

/* Who asks, by what we believe. */
static inline const union peer *exchange_client(const struct exchange *x)
{
    return x->spoken_for ? x->spoken_for : &x->flow->peer;
}

/* Is this connection to end with its next answer? */
static inline bool flow_leaves(const struct flow *flow)
{
    return flow->worker->stopping || flow->listener->gone;
}

/* ---- flow.c ---- */
extern const struct conn_owner flow_client_owner;
void flow_enter(struct flow *flow,
                enum flow_state state); /* the only place that writes flow->state */
/* The only way out of an exchange's or flow's life before its time: answers when it still can, else
 * closes; counts, logs. */
void flow_end(struct flow *flow, enum end_reason reason);
/* The same with the status and a phrase that a parser named. */
void flow_end_status(struct flow *flow, enum end_reason reason, uint16_t status,
                     const char *phrase);
/* Closes now; `reset`: visibly (RST), because an answer was cut short. */
void flow_close(struct flow *flow, bool reset);
/* No further request: what waits goes out, what still comes is thrown away, then it closes. */
void flow_finish(struct flow *flow);
/* The response was handed over: on to the next request, or to CLOSING. */
void flow_next(struct flow *flow);
void flow_deadline(struct flow *flow, int64_t ms, enum end_reason reason);
/* A session's poll is answered with Engine.IO's close packet, and its server told; its entry goes. */
void flow_kick_poll(struct flow *flow, enum move_reason why);
/* Counts for the frontend, and the backend and server if known. */
void flow_count(struct flow *flow, enum counter id, int64_t n);
void flow_count_all(struct flow *flow, const struct counted *counted, size_t n);
void flow_count_move(struct flow *flow, enum move_reason why);

/* ---- flow_proxy.c ---- */
void flow_await_proxy(struct flow *flow); /* a new flow: a PROXY header comes first */
void flow_proxy_bytes(struct flow *flow);
/* Where the client connected to; len 0: not known. */
void flow_local_addr(const struct flow *flow, struct addr *out);
bool flow_came_with_tls(const struct flow *flow); /* to us, or to the proxy before us */
/* Towards the server, on a connection that was opened just now. False: no memory. */
bool exchange_introduce(struct exchange *x);

/* ---- flow_tls.c ---- */
void flow_secure(struct flow *flow); /* a new flow: TLS comes first */
void flow_handshake_done(struct flow *flow);
void flow_handshake_failed(struct flow *flow);
/* The request (in worker->head) has to come again by https. */
bool flow_wants_https(const struct exchange *x);
enum { FLOW_LOCATION_MAX = 320 };
struct reply;
void flow_https_location(const struct exchange *x, struct reply *reply,
                         char text[static FLOW_LOCATION_MAX]);

/* ---- exchange.c ---- */
struct exchange *exchange_new(struct flow *flow);              /* NULL: no memory */
const char *exchange_server_address(const struct exchange *x); /* as configured */
void exchange_note_line(struct exchange *x, const struct head *head, const char *base);
/* This server, in which it holds a place already. */
void exchange_join(struct exchange *x, struct server *server);
/* Its sid is in the table now: it counts there, no longer as loose. */
void exchange_tighten(struct exchange *x);
/* Leaves its server, and the connection to it (closed unless `reuse`): for another try, or at the
 * end. */
void exchange_leave(struct exchange *x, bool reuse);
/* Its server gave trouble: health may want to look. */
void exchange_report(struct exchange *x, enum health_event event);
/* A malformed head, for `show errors`; server: whose answer it is, NULL for a request. */
void exchange_capture(const struct flow *flow, struct capture *capture, struct span bytes,
                      const struct head_error *error, const struct server *server);
/* Counts and writes the access line; everything that it holds stays. */
void exchange_record(struct exchange *x, enum end_reason reason);
/* Can the client still say something after this request? Not after its end of stream, unless it sent more requests before. */
bool exchange_more_may_follow(const struct exchange *x);
void exchange_free(struct exchange *x); /* what it still holds is the caller's or gone */
/* Record, leave, free; lets go of its sid. */
void exchange_end(struct exchange *x, enum end_reason reason, bool reuse);

/* ---- request.c ---- */
void request_read(struct flow *flow);    /* bytes came in IDLE or HEAD */
void request_choose(struct exchange *x); /* owner or balance; then connect, or wait */
/* A place may be free for this one that waits. False: it stays in the queue. */
bool request_leave_queue(struct exchange *x);
/* Waits for some places only, not for those of a server that it failed at or does not know. */
bool request_is_picky(const struct exchange *x);
/* The try failed; another one if that can lose nothing, else the end. */
void request_failed(struct exchange *x, enum end_reason reason);
/* Fills worker->head and worker->eio again from the head that is kept. */
bool request_parse_again(struct exchange *x);
void request_forget_head(struct exchange *x); /* no further try: the client's buffer goes back */

/* ---- request_body.c ---- */
void request_body(struct exchange *x);  /* a body is announced: gather it, or stream */
void request_gather(struct flow *flow); /* bytes came in GATHER */
void request_relay(struct exchange *x); /* bytes of a streamed body came, or the server drained */
/* The request is out: sets the deadline for the answer (a held poll's is its session's lifetime). */
void request_await_response(struct exchange *x);

/* ---- request_send.c ---- */
void request_send(struct exchange *x); /* the connection stands; worker->head is this request's */
void request_connected(struct exchange *x); /* the same in a later turn */

/* ---- response.c ---- */
extern const struct conn_owner exchange_server_owner;
void response_drained(struct exchange *x); /* the client took what was waiting */

/* The head (in worker->head, bytes at base) goes into the client's out buffer, its length longer by
 * `grown`. False: no memory. */
bool response_write_head(struct exchange *x, const char *base, size_t grown);
/* The next bytes of the body. False: the client is gone, or no memory. */
bool response_send(struct exchange *x, const struct span *parts, size_t count);

/* ---- sids.c ---- */
/* The table does not know its sid; worker->eio is this request's. */
void sids_note(struct exchange *x);
/* The same sid: may its client bring one that may be nobody's? */
bool sids_may_miss(struct exchange *x);
void sids_settle(struct exchange *x); /* the end: if nobody's it was, that is counted */
void sids_confirm(struct exchange *x, uint16_t status); /* a final head, or 101, came */
void sids_learn(struct exchange *x, const struct eio_handshake *handshake);
/* A final head came (in worker->head, bytes at base). True: it was kept, every piece of the body
 * goes to sids_take, and sids_release follows if it is still held back at the body's end. */
bool sids_hold_back(struct exchange *x, const char *base);
bool sids_take(struct exchange *x, struct span piece); /* false: as response_send */
bool sids_release(struct exchange *x);                 /* as it came; false: the same */

/* ---- tunnel.c ---- */
/* The response head (101) is in worker->head; takes over the exchange's connection, hold and place.
 */
void tunnel_start(struct exchange *x);
void tunnel_end(struct tunnel *tunnel, enum end_reason reason);
/* The worker's snapshot changed from this edition's: its server may be gone. */
void tunnel_outlive(struct tunnel *tunnel, struct edition *before);
/* The newest view of its backend, the last one when that is gone. */
struct backend *tunnel_backend(const struct tunnel *tunnel);
void tunnel_client_bytes(struct tunnel *tunnel);
void tunnel_client_drained(struct tunnel *tunnel);
void tunnel_client_eof(struct tunnel *tunnel);
void tunnel_client_failed(struct tunnel *tunnel);
/* Close 1012 on the next frame boundary; its session no longer counts as the server's. */
void tunnel_kick(struct tunnel *tunnel, enum move_reason why);

#endif
