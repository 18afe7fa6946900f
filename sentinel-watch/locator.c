// SPDX-License-Identifier: Apache-2.0
/*
 * The question belongs to the resolver until its letter is delivered. So whoever asks anew, or is
 * freed, meanwhile only leaves a note: `again` and `forgotten`.
 */
#include "sentinel-watch/locator.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct locator {
    struct loop *loop;
    struct resolver *resolver;
    located_fn *located;
    void *ctx;
    struct resolve ask; /* the resolver's while `asking` */
    bool asking, again, forgotten;
    char host[256]; /* of the newest question */
    uint16_t port;
    struct addr prefer;
};

static void put_question(struct locator *locator)
{
    struct resolve *ask = &locator->ask;
    snprintf(ask->host, sizeof(ask->host), "%s", locator->host);
    ask->port = locator->port;
    ask->prefer = locator->prefer;
    locator->asking = true;
    locator->again = false;
    resolver_ask(locator->resolver, ask);
}

static void on_letter(struct letter *letter, void *receiver)
{
    struct locator *locator = container_of(letter, struct locator, ask.letter);
    (void)receiver;
    locator->asking = false;
    if (locator->forgotten)
        free(locator);
    else if (locator->again)
        put_question(locator);
    else if (locator->host[0] != '\0')
        locator->located(locator->ctx, locator->ask.ok ? &locator->ask.addr : NULL,
                         locator->ask.error);
}

struct locator *locator_new(struct loop *loop, struct resolver *resolver, located_fn *located,
                            void *ctx)
{
    struct locator *locator = mem_must_alloc(sizeof(*locator));
    locator->loop = loop;
    locator->resolver = resolver;
    locator->located = located;
    locator->ctx = ctx;
    locator->ask.letter.deliver = on_letter;
    locator->ask.reply_to = &loop->mailbox;
    return locator;
}

void locator_free(struct locator *locator)
{
    if (!locator)
        return;
    locator->forgotten = true;
    if (!locator->asking)
        free(locator);
}

/* As an endpoint's text, an IPv6 address stands in brackets. */
static void parse_host(const char *host, uint16_t port, struct endpoint *out)
{
    char text[300];
    bool v6 = strchr(host, ':') != NULL;
    int len = snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    endpoint_parse(span_of(text, (size_t)len < sizeof(text) ? (size_t)len : 0), false, out);
}

bool locator_ask(struct locator *locator, const char *host, uint16_t port,
                 const struct addr *prefer, struct addr *out)
{
    struct endpoint endpoint;
    parse_host(host, port, &endpoint);
    locator->host[0] = '\0'; // An answer that is still to come is of no interest.
    locator->again = false;
    if (endpoint.kind == ENDPOINT_ADDR) {
        *out = endpoint.addr;
        return true;
    }
    snprintf(locator->host, sizeof(locator->host), "%s", host);
    locator->port = port;
    locator->prefer = *prefer;
    if (locator->asking)
        locator->again = true;
    else
        put_question(locator);
    return false;
}
