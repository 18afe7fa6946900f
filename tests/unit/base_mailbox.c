// SPDX-License-Identifier: Apache-2.0
/* Letters between threads: none is lost, each sender's come in order. Meant for ThreadSanitizer
 * too. */
#include "base/mailbox.h"

#include "base/mem.h"
#include "base/thread.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SENDERS = 4, LETTERS = 20000 };

struct numbered {
    struct letter letter;
    int sender, number;
};

struct tally {
    int next[SENDERS];
    int total;
};

static void deliver(struct letter *letter, void *receiver)
{
    struct numbered *numbered = container_of(letter, struct numbered, letter);
    struct tally *tally = receiver;
    assert_int_equal(numbered->number, tally->next[numbered->sender]);
    tally->next[numbered->sender]++;
    tally->total++;
    free(numbered);
}

static struct mailbox box;
static atomic_int next_sender;

static void *send_all(void *argument)
{
    (void)argument;
    int sender = atomic_fetch_add(&next_sender, 1);
    for (int i = 0; i < LETTERS; i++) {
        struct numbered *numbered = mem_must_alloc(sizeof(*numbered));
        numbered->letter.deliver = deliver;
        numbered->sender = sender;
        numbered->number = i;
        mailbox_post(&box, &numbered->letter);
    }
    return NULL;
}

static void nothing_is_lost_and_each_sender_is_in_order(void **state)
{
    (void)state;
    struct tally tally = {0};
    assert_true(mailbox_init(&box, &tally));
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        assert_true(thread_start(&threads[i], "sender", send_all, NULL));
    struct pollfd waits = {.fd = box.fd, .events = POLLIN};
    while (tally.total < SENDERS * LETTERS) {
        assert_int_equal(poll(&waits, 1, 5000), 1); // A lost wake-up would end here.
        mailbox_deliver(&box);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    mailbox_fini(&box);
    assert_int_equal(tally.total, SENDERS * LETTERS);
}

static void fini_delivers_what_is_left(void **state)
{
    (void)state;
    struct tally tally = {0};
    assert_true(mailbox_init(&box, &tally));
    for (int i = 0; i < 3; i++) {
        struct numbered *numbered = mem_must_alloc(sizeof(*numbered));
        numbered->letter.deliver = deliver;
        numbered->number = i;
        mailbox_post(&box, &numbered->letter);
    }
    mailbox_fini(&box);
    assert_int_equal(tally.total, 3);
}

static int forwards;

static void post_once_more(struct letter *letter, void *receiver)
{
    (void)receiver;
    if (++forwards < 3)
        mailbox_post(&box, letter);
}

static void a_letter_may_be_posted_again_when_it_is_delivered(void **state)
{
    (void)state;
    assert_true(mailbox_init(&box, NULL));
    struct letter letter = {.deliver = post_once_more};
    mailbox_post(&box, &letter);
    mailbox_deliver(&box);
    assert_int_equal(forwards, 1); // The second is the next turn's.
    struct pollfd waits = {.fd = box.fd, .events = POLLIN};
    assert_int_equal(poll(&waits, 1, 0), 1);
    mailbox_deliver(&box);
    mailbox_deliver(&box);
    mailbox_fini(&box);
    assert_int_equal(forwards, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_each_sender_is_in_order),
        cmocka_unit_test(fini_delivers_what_is_left),
        cmocka_unit_test(a_letter_may_be_posted_again_when_it_is_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
