// SPDX-License-Identifier: Apache-2.0
/*
 * Questions that only workers can answer: which flows there are, and to end one of them. Asked by
 * letter, a few hundred flows per turn, so that no worker stands still; answered on control's
 * thread when the last worker has.
 */
#ifndef LIMPET_LB_INQUIRY_H
#define LIMPET_LB_INQUIRY_H

#include "lb/stats.h"

enum inquiry_kind {
    INQUIRY_SESSIONS, /* a line per flow */
    INQUIRY_SESSION,  /* all about one flow */
    INQUIRY_ALL,      /* the same about all */
    INQUIRY_SHUTDOWN, /* ends one */
};

struct inquiry;
/* found: did the session exist that was asked for? The text is the callee's to take from. */
typedef void inquiry_done_fn(void *ctx, struct text *answer, bool found);

/* `id` as shown by INQUIRY_SESSIONS. NULL: no memory. */
struct inquiry *inquiry_ask(struct serving *serving, struct loop *loop, enum inquiry_kind kind,
                            uint64_t id);
enum inquiry_kind inquiry_kind(const struct inquiry *inquiry);
/* Who is told, once; it is freed afterwards. Not called before loop's next turn. */
void inquiry_await(struct inquiry *inquiry, inquiry_done_fn *done, void *ctx);
/* Nobody wants the answer any more. */
void inquiry_forget(struct inquiry *inquiry);

#endif
