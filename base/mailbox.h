// SPDX-License-Identifier: Apache-2.0
/*
 * Messages between threads: many senders, one receiver. A letter is embedded in what it carries; it
 * belongs to the receiver from mailbox_post until its `deliver` has returned (which may free it).
 * Letters of one sender arrive in order. Lock-free; the receiver's eventfd is written only when the
 * box was empty.
 */
#ifndef LIMPET_BASE_MAILBOX_H
#define LIMPET_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

struct letter {
    struct letter *next;
    void (*deliver)(struct letter *letter, void *receiver); /* on the receiver's thread */
};

struct mailbox {
    _Atomic(struct letter *) top;
    int fd;         /* eventfd: readable when letters wait */
    void *receiver; /* given to deliver */
};

bool mailbox_init(struct mailbox *box, void *receiver); /* false: errno */
void mailbox_fini(struct mailbox *box);                 /* delivers what is left first */
void mailbox_post(struct mailbox *box, struct letter *letter);
void mailbox_deliver(struct mailbox *box); /* all that is in it; by the receiver */

#endif
