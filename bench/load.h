// SPDX-License-Identifier: Apache-2.0
/*
 * The load generator's parts. A mode says what one client does; load.c opens the clients, starts
 * their operations (closed loop: the next when one is done; open loop: by the clock), and measures
 * between two moments.
 *
 *   open every client → each prepares itself → warm-up → [ window ] → report, one line of JSON
 */
#ifndef LIMPET_BENCH_LOAD_H
#define LIMPET_BENCH_LOAD_H

#include "bench/answer.h"
#include "bench/measure.h"
#include "bench/stream.h"

struct load;
struct client;

struct mode {
    const char *name;
    const char *what;                                     /* for --help */
    void (*connected)(struct client *client);             /* says load_prepared in the end */
    void (*begin)(struct client *client);                 /* one operation; NULL: there is none */
    void (*bytes)(struct client *client, struct span in); /* says load_done */
    bool reconnects; /* operations open a connection each; their end is no error */
    bool crowd;      /* memory is measured, not operations: load_crowd.c */
};

enum { SID_MAX = 32 }; /* bytes */

struct client {
    struct stream stream;
    struct load *load;
    unsigned index;
    bool prepared;
    bool busy;         /* an operation runs */
    int64_t due_us;    /* when it began or, in an open loop, should have begun */
    unsigned requests; /* so far */
    struct answer answer;
    char sid[SID_MAX];
    size_t sid_len;
    uint64_t frame_left; /* WebSocket: payload bytes to come */
    uint8_t frame_head[10];
    uint8_t frame_head_len;
};

struct options {
    const struct mode *mode;
    struct addr to;
    unsigned connections, from; /* from: crowds; where the slope begins */
    double seconds;
    uint64_t operations; /* instead of a time; 0: by time */
    double rate;         /* operations per second, open loop; 0: closed */
    size_t size;         /* bytes of a body or a message */
    enum tls_use tls;
    struct measured proxy;
};

struct load {
    struct loop loop;
    struct options options;
    struct tls_client *tls;
    struct client *clients;
    unsigned opened, prepared; /* clients */
    struct timer tick;
    void (*after)(struct load *load); /* what the tick leads to, when due */
    int64_t after_us;
    struct span message; /* what one operation of a tunnel sends */
    bool running, measuring;
    unsigned next; /* open loop: the client whose turn it is */
    uint64_t begun, done, errors;
    int64_t begun_us, begun_cpu_ns;
    uint32_t *latencies; /* µs */
    size_t latency_count;
    int64_t pss[3];    /* crowds: bytes before, at the peak, after */
    unsigned patience; /* samples that a burst's answers may take */
};

extern const struct mode mode_http, mode_new, mode_poll, mode_handshake, mode_websocket;
extern const struct mode mode_idle_websocket, mode_idle_poll, mode_burst;

void load_open(struct client *client);     /* its connection, or an error */
void load_prepared(struct client *client); /* it may begin operations */
void load_done(struct client *client);     /* its operation; may begin the next at once */
void load_error(struct client *client, const char *what); /* counted, shown once; closed */
/* Calls fn this much later. */
void load_after(struct load *load, int64_t us, void (*fn)(struct load *load));
void load_open_more(struct load *load); /* as many clients as are wanted now */

/* HTTP's part that every mode begins with. `prepared` once it has a sid. */
void http_ask_sid(struct client *client);
bool http_take_sid(struct client *client); /* of the answer to it */
void http_send(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* load_crowd.c: what happens once everybody is there. */
void crowd_begin(struct load *load);

#endif
