// SPDX-License-Identifier: Apache-2.0
/*
 * hiredis' reader behind a guard.
 *
 *     bytes ──► guard: types, lengths, depth ──► redisReader ──► struct resp
 *
 * hiredis 0.14 allocates what a length says before anything of it has come ("*2000000000"), and
 * waits for ever for a bulk string of a gigabyte. So every byte passes the guard first. It knows
 * just enough of RESP2 to find every length line and where a reply ends, and it is strict: a byte
 * that hiredis would read differently (a bare CR or LF in a line, a bulk string that CRLF does not
 * follow) ends the connection. What the guard let pass needs at most RESP_REPLY_MAX bytes and as
 * many elements as the arrays' lines allow together, which the guard counts too.
 *
 * Replies are built by our own object functions, so that nobody else needs hiredis' types.
 */
#include "base/resp.h"

#include "base/mem.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

/* One array's count of elements in a type of its own before hiredis 1.0. */
#if HIREDIS_MAJOR >= 1
#define ARRAY_COUNT size_t
#else
#define ARRAY_COUNT int
#endif

enum { DIGITS_MAX = 20 };

struct guard {
    char type;                   /* of the line that is being read; 0: at an element's first byte */
    bool cr;                     /* the last byte of the line was CR */
    bool negative;               /* the number of a length line */
    size_t line;                 /* bytes of the line so far */
    uint64_t number;             /* of a length line, so far */
    size_t bulk;                 /* bytes of a bulk string yet to come */
    int bulk_end;                /* 2, 1: its CR, its LF yet to come */
    size_t depth;                /* open arrays */
    size_t left[RESP_DEPTH_MAX]; /* elements that each still waits for */
    size_t bytes, elements;      /* of the reply so far */
};

struct resp_reader {
    redisReader *hiredis;
    struct guard guard;
    const char *error; /* NULL: none */
};

/* ---- replies ---- */

/* What stands between a string's struct and its bytes: nothing, it is one block. */
static struct resp *resp_new(const redisReadTask *task, enum resp_type type, size_t room)
{
    struct resp *reply = calloc(1, sizeof(*reply) + room);
    if (!reply)
        return NULL;
    reply->type = type;
    if (task->parent) {
        struct resp *parent = task->parent->obj;
        parent->items[task->idx] = reply;
    }
    return reply;
}

static void *make_string(const redisReadTask *task, char *bytes, size_t len)
{
    enum resp_type type = task->type == REDIS_REPLY_STATUS  ? RESP_STATUS
                          : task->type == REDIS_REPLY_ERROR ? RESP_ERROR
                                                            : RESP_BULK;
    struct resp *reply = resp_new(task, type, len);
    if (!reply)
        return NULL;
    char *copy = (char *)(reply + 1);
    if (len > 0)
        memcpy(copy, bytes, len);
    reply->text = span_of(copy, len);
    return reply;
}

static void *make_array(const redisReadTask *task, ARRAY_COUNT count)
{
    struct resp *reply = resp_new(task, RESP_ARRAY, (size_t)count * sizeof(struct resp *));
    if (!reply)
        return NULL;
    reply->count = (size_t)count;
    reply->items = (struct resp **)(void *)(reply + 1);
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    struct resp *reply = resp_new(task, RESP_INTEGER, 0);
    if (reply)
        reply->integer = value;
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return resp_new(task, RESP_NIL, 0);
}

void resp_free(struct resp *reply)
{
    if (!reply)
        return;
    for (size_t i = 0; i < reply->count; i++)
        resp_free(reply->items[i]);
    free(reply);
}

static void free_reply(void *reply)
{
    resp_free(reply);
}

static redisReplyObjectFunctions reply_functions = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
    .freeObject = free_reply,
};

struct span resp_text(const struct resp *array, size_t i)
{
    return array && i < array->count ? array->items[i]->text : SPAN_NONE;
}

struct span resp_field(const struct resp *list, const char *name)
{
    for (size_t i = 0; list && i + 1 < list->count; i += 2)
        if (span_eq(resp_text(list, i), span_str(name)))
            return resp_text(list, i + 1);
    return SPAN_NONE;
}

/* ---- the guard ---- */

/* An element is complete; so may be the arrays that it was the last of. */
static void guard_element_done(struct guard *guard)
{
    guard->type = '\0';
    while (guard->depth > 0 && --guard->left[guard->depth - 1] == 0)
        guard->depth--;
    if (guard->depth == 0)
        guard->bytes = guard->elements = 0;
}

static const char *guard_array(struct guard *guard)
{
    if (guard->number > RESP_ITEMS_MAX ||
        guard->elements + guard->number > (size_t)4 * RESP_ITEMS_MAX)
        return "an array of too many elements";
    if (guard->number == 0 || guard->negative) {
        guard_element_done(guard);
        return NULL;
    }
    if (guard->depth == RESP_DEPTH_MAX)
        return "arrays nested too deeply";
    guard->elements += guard->number;
    guard->left[guard->depth++] = guard->number;
    guard->type = '\0';
    return NULL;
}

/* The line is complete. */
static const char *guard_line_done(struct guard *guard)
{
    bool length = guard->type == '$' || guard->type == '*';
    bool empty = length && guard->line == (guard->negative ? 1 : 0);
    if (empty || (guard->negative && guard->number != 1))
        return "a bad length";
    if (guard->type == '*')
        return guard_array(guard);
    if (guard->type == '$' && !guard->negative) {
        if (guard->number > RESP_BULK_MAX)
            return "too long a string";
        guard->bulk = guard->number;
        guard->bulk_end = 2;
        return NULL;
    }
    guard_element_done(guard);
    return NULL;
}

static const char *guard_line_byte(struct guard *guard, char c)
{
    if (guard->cr)
        return c == '\n' ? guard_line_done(guard) : "a bare CR in a line";
    guard->cr = c == '\r';
    if (guard->cr)
        return NULL;
    bool number = guard->type == ':';
    bool length = guard->type == '$' || guard->type == '*';
    if (c == '\n')
        return "a bare LF in a line";
    if (guard->line == RESP_LINE_MAX || ((length || number) && guard->line == DIGITS_MAX))
        return "too long a line";
    if ((length || number) && !(c >= '0' && c <= '9') && !(c == '-' && guard->line == 0))
        return "a bad number";
    if (length && c == '-')
        guard->negative = true;
    else if (length)
        guard->number = guard->number > RESP_REPLY_MAX ? guard->number
                                                       : guard->number * 10 + (uint64_t)(c - '0');
    guard->line++;
    return NULL;
}

static const char *guard_first_byte(struct guard *guard, char c)
{
    if (c == '\0' || !strchr("+-:$*", c))
        return "not Redis' protocol";
    guard->type = c;
    guard->cr = guard->negative = false;
    guard->line = 0;
    guard->number = 0;
    return NULL;
}

static const char *guard_byte(struct guard *guard, char c)
{
    if (guard->bulk_end == 0)
        return guard->type ? guard_line_byte(guard, c) : guard_first_byte(guard, c);
    if (c != (guard->bulk_end == 2 ? '\r' : '\n'))
        return "a string that is longer than it says";
    if (--guard->bulk_end == 0)
        guard_element_done(guard);
    return NULL;
}

/* How many bytes are fine; fewer than there are: *error says why. */
static size_t guard_pass(struct guard *guard, struct span bytes, const char **error)
{
    size_t at = 0;
    while (at < bytes.len && !*error) {
        size_t step = 1;
        if (guard->bulk > 0) {
            step = guard->bulk < bytes.len - at ? guard->bulk : bytes.len - at;
            guard->bulk -= step;
        } else {
            *error = guard_byte(guard, bytes.ptr[at]);
        }
        guard->bytes += step;
        if (!*error && guard->bytes > RESP_REPLY_MAX)
            *error = "too long a reply";
        if (!*error)
            at += step;
    }
    return at;
}

/* ---- the reader ---- */

struct resp_reader *resp_reader_new(void)
{
    struct resp_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->hiredis = redisReaderCreateWithFunctions(&reply_functions);
    if (reader->hiredis)
        return reader;
    free(reader);
    return NULL;
}

void resp_reader_free(struct resp_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->hiredis);
    free(reader);
}

bool resp_reader_feed(struct resp_reader *reader, struct span bytes)
{
    if (reader->error)
        return false;
    size_t good = guard_pass(&reader->guard, bytes, &reader->error);
    if (good > 0 && redisReaderFeed(reader->hiredis, bytes.ptr, good) != REDIS_OK)
        reader->error = "out of memory";
    return !reader->error;
}

enum resp_next resp_reader_next(struct resp_reader *reader, struct resp **out)
{
    void *reply = NULL;
    if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK) {
        if (!reader->error)
            reader->error = "not Redis' protocol, or out of memory";
        return RESP_BROKEN;
    }
    *out = reply;
    if (reply)
        return RESP_WHOLE;
    return reader->error ? RESP_BROKEN : RESP_MORE;
}

const char *resp_reader_error(const struct resp_reader *reader)
{
    return reader->error ? reader->error : "";
}

/* ---- commands ---- */

bool resp_format(struct text *out, size_t argc, const struct span *argv)
{
    enum { ARGS_MAX = 16 };
    const char *words[ARGS_MAX];
    size_t lengths[ARGS_MAX];
    if (argc > ARGS_MAX)
        return false;
    for (size_t i = 0; i < argc; i++) {
        words[i] = argv[i].ptr ? argv[i].ptr : "";
        lengths[i] = argv[i].len;
    }
    char *command = NULL;
    long long len = redisFormatCommandArgv(&command, (int)argc, words, lengths);
    if (len <= 0 || !command)
        return false;
    text_add(out, span_of(command, (size_t)len));
    redisFreeCommand(command);
    return !out->failed;
}
