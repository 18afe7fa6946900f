// SPDX-License-Identifier: Apache-2.0
/*
 * The last malformed head of a frontend (requests) or backend (responses), kept for `show errors`.
 * Written by any worker, read by control; at most CAPTURE_BYTES of it.
 */
#ifndef LIMPET_LB_CAPTURE_H
#define LIMPET_LB_CAPTURE_H

#include "base/net.h"

#include <pthread.h>

enum { CAPTURE_BYTES = 2048 };

/* What was wrong, and whose it was. */
struct capture_what {
    uint64_t number;               /* of the event, from 0 on */
    int64_t wall_ms;               /* when */
    const char *reason;            /* of the parser: static */
    struct addr client;            /* of the connection */
    size_t total;                  /* bytes that had come */
    size_t at;                     /* the offending byte */
    char frontend[64], server[64]; /* names, cut; of a response */
};

struct capture {
    pthread_mutex_t lock;
    bool any;
    struct capture_what what;
    size_t len; /* of bytes */
    char bytes[CAPTURE_BYTES];
};

struct capture *capture_new(void); /* aborts without memory */
void capture_free(struct capture *capture);
/* Never waits: while somebody else reads or writes it, this one is not kept. */
void capture_take(struct capture *capture, const struct capture_what *what, struct span bytes);
/* A copy (its lock is of no use); false: there is nothing. */
bool capture_copy(struct capture *capture, struct capture *out);

#endif
