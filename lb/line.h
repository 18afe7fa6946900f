// SPDX-License-Identifier: Apache-2.0
/*
 * The line between the master and its serving process: a pair of packet sockets. A message is a
 * word, maybe a text behind it, maybe descriptors. When the serving process reads the end of it,
 * its master is gone.
 */
#ifndef LIMPET_LB_LINE_H
#define LIMPET_LB_LINE_H

#include "base/span.h"

enum line_word {
    LINE_READY = 'Y',  /* to the master: I serve */
    LINE_STOP = 'S',   /* to the serving process: graceful stop; a second one: now */
    LINE_REOPEN = 'L', /* open log files anew */

    LINE_RELOAD = 'R',  /* to the master: somebody asks for a reload */
    LINE_PARCEL = 'C',  /* to the serving process: another configuration (lb/parcel) */
    LINE_FDS = 'F',     /* its descriptors, if there are more than one message takes */
    LINE_DONE = 'D',    /* to the master: it is in force */
    LINE_REFUSED = 'N', /* either way: it is not, and why */

    LINE_STATES =
        'T', /* to the serving process: what is known of servers? and the answer, a memfd */
    LINE_LEAVE = 'U', /* to the serving process: a successor serves; graceful stop */
    LINE_ALIVE = 'W', /* to the master: control and workers turn */
    LINE_ALONE = 'A', /* to the serving process: the predecessor is gone */
};

enum { LINE_TEXT_MAX = 4000, LINE_FDS_MAX = 250 /* the kernel takes 253 */ };

struct line_message {
    enum line_word word;
    char text[LINE_TEXT_MAX + 1];
    size_t len;
    int fds[LINE_FDS_MAX]; /* the receiver's to close */
    size_t fd_count;
};

/* False: errno. Texts are cut at LINE_TEXT_MAX. */
bool line_send(int line, enum line_word word, struct span text, const int *fds, size_t fd_count);
enum line_result { LINE_GOT, LINE_NOTHING, LINE_ENDED };
enum line_result line_receive(int line, struct line_message *out);

#endif
