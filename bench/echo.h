// SPDX-License-Identifier: Apache-2.0
/* What the echo server's two files share: a caller, and its life after the upgrade. */
#ifndef LIMPET_BENCH_ECHO_H
#define LIMPET_BENCH_ECHO_H

#include "bench/stream.h"

/* One of the servers in this process: a port and the sids that it gave out. */
struct echo_server {
    struct io io;
    struct loop *loop;
    unsigned index;
    unsigned issued; /* sids so far */
};

enum { ECHO_HANDSHAKE = 192, ECHO_SID = 20 }; /* bytes */

struct caller {
    struct stream stream;
    struct grave grave;
    struct echo_server *server;
    bool websocket;
    char *kept; /* an incomplete request or frame */
    size_t kept_len, kept_size;
};

/* A new sid in a handshake's packet: `0{"sid":…}`. Returns its length. */
size_t echo_handshake(struct echo_server *server, char out[static ECHO_HANDSHAKE]);

/* Answers the first whole frame of `bytes`; 0: it is not whole, SIZE_MAX: it ends the stream. */
size_t echo_frame(struct caller *caller, struct span bytes);
void echo_send_text(struct caller *caller, struct span text);

#endif
