// SPDX-License-Identifier: Apache-2.0
/*
 * getaddrinfo on a thread of its own, since it may block for many seconds. Questions wait in one
 * list under a mutex; the thread takes the first, asks the system without the lock, and posts the
 * answer.
 */
#include "base/mem.h"
#include "base/net.h"
#include "base/thread.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct resolve *first, **last; /* under lock, as is `stopping` */
    bool stopping;
};

/* One of the answers as an address; len 0: of a kind that we do not know. */
static struct addr answer_addr(const struct addrinfo *answer, uint16_t port)
{
    struct addr addr = {0};
    if (answer->ai_addrlen <= sizeof(addr.un)) {
        memcpy(&addr.any, answer->ai_addr, answer->ai_addrlen);
        addr.len = answer->ai_addrlen;
        addr_set_port(&addr, port);
    }
    return addr;
}

/* Name servers turn their lists round with every answer; who has an address wants to keep it. */
static bool resolve(const char *host, uint16_t port, const struct addr *prefer, struct addr *out,
                    char error[static 128])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) {
        const char *why = result == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(result);
        snprintf(error, 128, "%s", why);
        return false;
    }
    *out = answer_addr(found, port);
    for (const struct addrinfo *answer = found; prefer && answer; answer = answer->ai_next) {
        struct addr addr = answer_addr(answer, port);
        if (addr_eq(&addr, prefer))
            *out = addr;
    }
    freeaddrinfo(found);
    if (out->len == 0)
        snprintf(error, 128, "the address is of an unknown kind");
    return out->len > 0;
}

bool resolve_now(const char *host, uint16_t port, struct addr *out, char error[static 128])
{
    return resolve(host, port, NULL, out, error);
}

/* The next question; NULL when the resolver stops. */
static struct resolve *resolver_wait(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->first && !resolver->stopping)
        pthread_cond_wait(&resolver->asked, &resolver->lock);
    struct resolve *ask = resolver->stopping ? NULL : resolver->first;
    if (ask) {
        resolver->first = ask->next;
        if (!resolver->first)
            resolver->last = &resolver->first;
    }
    pthread_mutex_unlock(&resolver->lock);
    return ask;
}

static void *resolver_run(void *argument)
{
    struct resolver *resolver = argument;
    struct resolve *ask;
    for (ask = resolver_wait(resolver); ask; ask = resolver_wait(resolver)) {
        const struct addr *prefer = ask->prefer.len > 0 ? &ask->prefer : NULL;
        ask->ok = resolve(ask->host, ask->port, prefer, &ask->addr, ask->error);
        mailbox_post(ask->reply_to, &ask->letter);
    }
    return NULL;
}

struct resolver *resolver_new(void)
{
    struct resolver *resolver = mem_must_alloc(sizeof(*resolver));
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->asked, NULL);
    resolver->last = &resolver->first;
    if (!thread_start(&resolver->thread, "resolver", resolver_run, resolver)) {
        pthread_cond_destroy(&resolver->asked);
        pthread_mutex_destroy(&resolver->lock);
        free(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->stopping = true;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
    pthread_join(resolver->thread, NULL);
    while (resolver->first) {
        struct resolve *ask = resolver->first;
        resolver->first = ask->next;
        ask->ok = false;
        snprintf(ask->error, sizeof(ask->error), "the resolver was stopped");
        mailbox_post(ask->reply_to, &ask->letter);
    }
    pthread_cond_destroy(&resolver->asked);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

void resolver_ask(struct resolver *resolver, struct resolve *ask)
{
    ask->next = NULL;
    pthread_mutex_lock(&resolver->lock);
    *resolver->last = ask;
    resolver->last = &ask->next;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
}
