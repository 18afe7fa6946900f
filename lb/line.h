// SPDX-License-Identifier: Apache-2.0
/*
 * The line between the master and its serving process: a pair of packet sockets, one byte per
 * message. When the serving process reads the end of it, its master is gone.
 */
#ifndef LIMPET_LB_LINE_H
#define LIMPET_LB_LINE_H

enum line_word {
    LINE_READY = 'Y',  /* to the master: I serve */
    LINE_STOP = 'S',   /* to the serving process: graceful stop; a second one: now */
    LINE_REOPEN = 'L', /* open log files anew */
};

#endif
