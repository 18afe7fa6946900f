// SPDX-License-Identifier: Apache-2.0
/*
 * A stack that many push on and one takes whole. Senders push with compare-and-swap; the receiver
 * exchanges the top for NULL, which makes all letters its own, and reverses them, so that each
 * sender's letters are delivered in the order in which they were posted. Nobody pops single
 * letters, so there is no ABA problem.
 *
 * The eventfd is written only by the sender that found the box empty. The receiver reads it before
 * it takes the letters: a letter pushed in between is either taken now or was pushed on an empty
 * box, whose sender wakes the receiver again. The box must outlive every mailbox_post.
 */
#include "base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool mailbox_init(struct mailbox *box, void *receiver)
{
    atomic_init(&box->top, NULL);
    box->receiver = receiver;
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return box->fd >= 0;
}

void mailbox_fini(struct mailbox *box)
{
    while (atomic_load_explicit(&box->top, memory_order_relaxed))
        mailbox_deliver(box);
    close(box->fd);
    box->fd = -1;
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
    int fd = box->fd;
    struct letter *top = atomic_load_explicit(&box->top, memory_order_relaxed);
    do {
        letter->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&box->top, &top, letter, memory_order_release,
                                                    memory_order_relaxed));
    // From here the letter is the receiver's and may be gone.
    if (top)
        return;
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof(one));
    // EAGAIN: the counter is full, so the receiver has been woken.
    assert(written == sizeof(one) || errno == EAGAIN || errno == EINTR);
}

void mailbox_deliver(struct mailbox *box)
{
    uint64_t count;
    ssize_t got = read(box->fd, &count, sizeof(count));
    (void)got; // Nothing there is fine: the letters count.
    struct letter *taken = atomic_exchange_explicit(&box->top, NULL, memory_order_acquire);
    struct letter *first = NULL;
    while (taken) {
        struct letter *next = taken->next;
        taken->next = first;
        first = taken;
        taken = next;
    }
    while (first) {
        struct letter *letter = first;
        first = letter->next;
        letter->deliver(letter, box->receiver);
    }
}
