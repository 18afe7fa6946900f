// SPDX-License-Identifier: Apache-2.0
/*
 * Redis' protocol (RESP2): bytes in, replies out, bounded; commands formatted. hiredis' reader and
 * formatter do the work; what may reach them is limited here first, because the reader believes any
 * length that it is told.
 */
#ifndef LIMPET_BASE_RESP_H
#define LIMPET_BASE_RESP_H

#include "base/span.h"
#include "base/text.h"

enum {
    RESP_LINE_MAX = 4096,         /* bytes of a status, an error, a number */
    RESP_BULK_MAX = 512 * 1024,   /* bytes of one bulk string */
    RESP_ITEMS_MAX = 4096,        /* elements of one array */
    RESP_DEPTH_MAX = 4,           /* arrays in arrays */
    RESP_REPLY_MAX = 2048 * 1024, /* bytes of one reply */
};

enum resp_type { RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_BULK, RESP_NIL, RESP_ARRAY };

struct resp {
    enum resp_type type;
    int64_t integer;     /* RESP_INTEGER */
    struct span text;    /* RESP_STATUS, RESP_ERROR, RESP_BULK */
    size_t count;        /* RESP_ARRAY */
    struct resp **items; /* never NULL inside a reply that was given out */
};

struct resp_reader;

enum resp_next { RESP_WHOLE, RESP_MORE, RESP_BROKEN };

struct resp_reader *resp_reader_new(void); /* NULL: no memory */
void resp_reader_free(struct resp_reader *reader);
/* False: not RESP2, beyond a bound, or no memory; resp_reader_error says which. Replies that were
 * whole before that can still be taken. */
bool resp_reader_feed(struct resp_reader *reader, struct span bytes);
/* RESP_WHOLE: *out is the caller's, for resp_free. */
enum resp_next resp_reader_next(struct resp_reader *reader, struct resp **out);
const char *resp_reader_error(const struct resp_reader *reader); /* a phrase */
void resp_free(struct resp *reply);

/* The i-th element's text; empty when there is none or it is no text. Any reply, also NULL. */
struct span resp_text(const struct resp *array, size_t i);
/* The value behind a name in a flat list name, value, name, value …; empty when it is not there. */
struct span resp_field(const struct resp *list, const char *name);

/* Appends one command. False: no memory. */
bool resp_format(struct text *out, size_t argc, const struct span *argv);

#endif
