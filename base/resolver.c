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

bool resolve_now(const char *host, uint16_t port, struct addr *out, char error[static 128])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0) {
        const char *why = result == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(result);
        snprintf(error, 128, "%s", why);
        return false;
    }
    memset(out, 0, sizeof(*out));
    if (found->ai_addrlen <= sizeof(out->un)) {
        memcpy(&out->any, found->ai_addr, found->ai_addrlen);
        out->len = found->ai_addrlen;
        addr_set_port(out, port);
    }
    freeaddrinfo(found);
    return out->len > 0;
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
        ask->ok = resolve_now(ask->host, ask->port, &ask->addr, ask->error);
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
