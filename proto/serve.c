// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a connection:
 *
 *     WAITING ──► READING ──► ANSWERING ──► WAITING …          one request after the other
 *        ▲ first byte             │ └─────► STREAMING          events until somebody goes
 *        └── keep-alive ──────────┘ └─────► LINGERING          FIN sent; the peer's end is awaited
 *
 * - An answer's bytes lie in one block that is counted, never copied: fifty streams share an event.
 *   They go to conn in pieces, so that a connection holds one piece in its buffer at most.
 * - Requests sent together wait in conn->in, whose size is bounded, and are answered in order.
 * - One timer per connection. What it means depends on the state; while answering it also asks
 *   whether anything moved since it was set.
 * - All connections used up: the one that waits longest for a next request is closed for a new one.
 *   Only if all of them are busy do new ones wait in the kernel, and they cannot be busy for long.
 */
#include "proto/serve.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE = 32 * 1024, /* of an answer, given to conn at a time */
    LINGER_MS = 1000,
    RETRY_MS = 1000,          /* accepts again after EMFILE */
    SEND_BUFFER = 128 * 1024, /* the kernel's, so that slow readers cost no megabytes there */
    OWN_HEAD_MAX = 512,       /* what we write into an answer's head besides `headers` */
};

/* Bytes that answers share. */
struct serve_block {
    unsigned refs;
    struct span bytes;
    char *owned; /* NULL: lives as long as the program */
    struct serve *serve;
};

enum client_state {
    CLIENT_WAITING,
    CLIENT_READING,
    CLIENT_ANSWERING,
    CLIENT_STREAMING,
    CLIENT_LINGERING
};

struct serve {
    struct loop *loop;
    struct shelf *shelf;
    struct io listener;
    struct timer retry;
    struct serve_limits limits;
    const char *name;
    serve_answer_fn *answer;
    void *ctx;
    struct list clients; /* those that wait longest first */
    size_t count, streams;
    size_t waiting;   /* bytes of owned blocks */
    bool paused;      /* accepts nothing */
    struct head head; /* scratch */
};

struct client {
    struct list node;
    struct serve *serve;
    struct conn conn;
    struct timer timer;
    struct grave grave;
    enum client_state state;
    struct serve_block *block; /* what is being sent */
    size_t sent;               /* of it */
    size_t seen;               /* of the head, for head_parse_request */
    uint64_t moved;            /* conn.sent when the timer was set */
    int64_t began_ms;          /* the answer, or the event */
    bool keep;                 /* another request may follow */
    bool stream;               /* streaming follows */
    bool behind;               /* a stream that missed events */
    bool continued;            /* 100 Continue was sent */
    bool consumed;             /* input was taken: reading may go on */
    bool eof;
};

/* ---- blocks ---- */

static struct serve_block *block_new(struct serve *serve, char *owned, struct span bytes)
{
    struct serve_block *block = calloc(1, sizeof(*block));
    if (block == NULL) {
        free(owned);
        return NULL;
    }
    *block = (struct serve_block){.refs = 1, .bytes = bytes, .owned = owned, .serve = serve};
    if (owned != NULL)
        serve->waiting += bytes.len;
    return block;
}

static struct serve_block *block_copy(struct serve *serve, struct span bytes)
{
    char *owned = malloc(bytes.len + 1);
    if (owned == NULL)
        return NULL;
    memcpy(owned, bytes.ptr, bytes.len);
    return block_new(serve, owned, span_of(owned, bytes.len));
}

static void block_unref(struct serve_block *block)
{
    if (block == NULL || --block->refs > 0)
        return;
    if (block->owned != NULL)
        block->serve->waiting -= block->bytes.len;
    free(block->owned);
    free(block);
}

/* ---- a client's end ---- */

static void serve_pause(struct serve *serve, bool paused)
{
    if (serve->paused == paused)
        return;
    serve->paused = paused;
    loop_change_level(serve->loop, &serve->listener, paused ? 0 : EPOLLIN);
}

static void client_bury(struct grave *grave)
{
    free(container_of(grave, struct client, grave));
}

static void client_end(struct client *client)
{
    struct serve *serve = client->serve;
    loop_timer_stop(serve->loop, &client->timer);
    conn_close(&client->conn);
    block_unref(client->block);
    client->block = NULL;
    list_remove(&client->node);
    serve->count--;
    serve->streams -= client->stream;
    if (!timer_running(&serve->retry))
        serve_pause(serve, false);
    loop_bury(serve->loop, &client->grave);
}

static void client_wait(struct client *client, int64_t ms)
{
    client->moved = client->conn.sent;
    loop_timer_start(client->serve->loop, &client->timer, ms);
}

static void client_linger(struct client *client)
{
    client->state = CLIENT_LINGERING;
    if (client->eof) {
        client_end(client);
        return;
    }
    conn_close_write(&client->conn);
    conn_consume(&client->conn, buf_len(&client->conn.in));
    conn_resume(&client->conn);
    client_wait(client, LINGER_MS);
}

/* Between two requests; at the end of the list, so that the first waits longest. */
static void client_await(struct client *client)
{
    client->state = CLIENT_WAITING;
    client->continued = false;
    client->seen = 0;
    list_remove(&client->node);
    list_push_back(&client->serve->clients, &client->node);
    client_wait(client, client->serve->limits.idle_ms);
}

/* ---- writing ---- */

enum written { WRITTEN_ALL, WRITTEN_SOME, WRITTEN_FAILED };

static enum written client_write(struct client *client)
{
    struct serve_block *block = client->block;
    while (block != NULL && client->sent < block->bytes.len) {
        struct span piece = span_upto(span_from(block->bytes, client->sent), PIECE);
        enum io_result result = conn_write(&client->conn, &piece, 1);
        if (result == IO_FAILED)
            return WRITTEN_FAILED;
        client->sent += piece.len;
        if (result == IO_WANT_WRITE)
            return WRITTEN_SOME;
    }
    // A head without a body has gone nowhere yet.
    if (buf_len(&client->conn.out) > 0 && conn_flush(&client->conn) == IO_FAILED)
        return WRITTEN_FAILED;
    if (buf_len(&client->conn.out) > 0)
        return WRITTEN_SOME;
    block_unref(block);
    client->block = NULL;
    client->sent = 0;
    return WRITTEN_ALL;
}

static void client_send(struct client *client, struct serve_block *block)
{
    block_unref(client->block);
    client->block = block;
    client->sent = 0;
    client->began_ms = client->serve->loop->now_ms;
    client_wait(client, client->serve->limits.stall_ms);
}

static const char *status_phrase(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {303, "See Other"},
                   {400, "Bad Request"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {411, "Length Required"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {417, "Expectation Failed"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < array_len(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Answer";
}

/* The answer's head, into conn's buffer: client_write flushes it with the body's first piece. */
static bool client_write_head(struct client *client, const struct serve_answer *answer, size_t len)
{
    struct conn *conn = &client->conn;
    const char *headers = answer->headers != NULL ? answer->headers : "";
    size_t size = OWN_HEAD_MAX + strlen(headers);
    if (!buf_reserve(conn->loop->shelf, &conn->out, size))
        return false;
    char date[64], length[64];
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm utc;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
    int n = snprintf(conn->out.data + conn->out.end, buf_space(&conn->out),
                     "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\n%s%s%s\r\n",
                     (unsigned)answer->status, status_phrase(answer->status), date,
                     answer->type != NULL ? answer->type : "text/plain; charset=utf-8",
                     client->stream ? "" : length, headers,
                     client->keep ? "" : "Connection: close\r\n");
    if (n < 0 || (size_t)n >= buf_space(&conn->out))
        return false;
    conn->out.end += (uint32_t)n;
    return true;
}

/* Hands an answer over. The rest is client_go_on's. */
static void client_answer(struct client *client, struct serve_answer *answer, bool head_only)
{
    struct serve *serve = client->serve;
    struct span body = answer->text != NULL ? span_of(answer->text, answer->text_len)
                                            : answer->fixed;
    if (answer->status == 0)
        answer->status = 200;
    client->state = CLIENT_ANSWERING;
    client->stream = answer->stream && !head_only;
    serve->streams += client->stream;
    client->keep = client->keep && !client->stream; // Its end is the connection's.
    struct serve_block *block = block_new(serve, answer->text, body);
    bool good = block != NULL && client_write_head(client, answer, body.len);
    if (good && !head_only) {
        client_send(client, block);
    } else {
        block_unref(block);
        client_send(client, NULL);
    }
    if (!good) {
        conn_close(&client->conn);
        client->keep = false;
    }
}

static void client_refuse(struct client *client, uint16_t status, const char *headers,
                          struct span why)
{
    struct serve_answer answer = {.status = status, .headers = headers, .fixed = why};
    client->keep = false;
    client_answer(client, &answer, false);
}

/* ---- requests ---- */

/* The value of a field that has no id of its own. */
static struct span named_value(const struct head *head, const char *base, struct span name)
{
    for (size_t i = 0; i < head->nfields; i++)
        if (span_eq_nocase(slice_of(base, head->fields[i].name), name))
            return slice_of(base, head->fields[i].value);
    return SPAN_NONE;
}

/* Asks whoever serves, within the bounds. */
static void client_ask(struct client *client, const struct head *head, struct span text)
{
    struct serve *serve = client->serve;
    const char *base = text.ptr;
    struct serve_request request = {
        .is_post = head->method == METHOD_POST,
        .path = head->target_is_root ? SPAN("/") : slice_of(base, head->path),
        .query = slice_of(base, head->query),
        .host = slice_of(base, head->host),
        .origin = head_value(head, base, HEADER_ORIGIN),
        .content_type = head_value(head, base, HEADER_CONTENT_TYPE),
        .last_event_id = named_value(head, base, SPAN("Last-Event-ID")),
        .body = span_from(text, head->bytes),
    };
    struct serve_answer answer = {0};
    client->keep = head->keep_alive && head->minor >= 1;
    if (serve->waiting > serve->limits.waiting) {
        client_refuse(client, 503, "Retry-After: 5\r\n", SPAN("Too much is waiting to be read.\n"));
        return;
    }
    serve->answer(serve->ctx, &request, &answer);
    if (answer.stream && serve->streams >= serve->limits.streams) {
        free(answer.text);
        client_refuse(client, 503, "Retry-After: 5\r\n",
                      SPAN("Too many event streams are open.\n"));
        return;
    }
    client_answer(client, &answer, head->method == METHOD_HEAD);
}

/* A head that parsed. False: its body is not there yet. */
static bool client_take(struct client *client, const struct head *head)
{
    struct conn *conn = &client->conn;
    struct span text = buf_bytes(&conn->in);
    size_t body = head->framing == FRAMING_LENGTH && head->content_length <= SERVE_BODY_MAX
                      ? (size_t)head->content_length
                      : 0;
    if (head->method != METHOD_GET && head->method != METHOD_HEAD && head->method != METHOD_POST) {
        client_refuse(client, 405, "Allow: GET, HEAD, POST\r\n", SPAN("GET, HEAD or POST only.\n"));
    } else if (head->framing == FRAMING_CHUNKED) {
        client_refuse(client, 411, NULL, SPAN("A body needs a Content-Length here.\n"));
    } else if (head->framing == FRAMING_LENGTH && head->content_length > SERVE_BODY_MAX) {
        client_refuse(client, 413, NULL, SPAN("The body is too large.\n"));
    } else if (text.len < head->bytes + body) {
        if (head->expect_continue && !client->continued) {
            struct span interim = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
            client->continued = true;
            conn_write(conn, &interim, 1);
        }
        return false;
    } else {
        client_ask(client, head, span_upto(text, head->bytes + body));
        conn_consume(conn, head->bytes + body);
        client->consumed = true;
    }
    return true;
}

/* False: a whole request is not there yet. */
static bool client_read(struct client *client)
{
    static const struct head_limits limits = {
        .header_bytes = SERVE_HEAD_MAX, .fields = 100, .target = 2048};
    struct serve *serve = client->serve;
    struct head_error error;
    size_t seen = client->seen;
    struct span text = buf_bytes(&client->conn.in);
    if (text.len == 0)
        return false;
    if (client->state == CLIENT_WAITING) {
        client->state = CLIENT_READING;
        client_wait(client, serve->limits.request_ms);
    }
    switch (head_parse_request(&serve->head, text, &seen, &limits, &error)) {
    case HEAD_MORE:
        client->seen = seen;
        return false;
    case HEAD_BAD:
        client_refuse(client, error.status, NULL, SPAN("That is not a request we understand.\n"));
        return true;
    case HEAD_OK:
        break;
    }
    return client_take(client, &serve->head);
}

/* ---- going on ---- */

/* What was to be sent is sent. */
static void client_sent(struct client *client)
{
    if (client->stream) {
        client->state = CLIENT_STREAMING;
        loop_timer_stop(client->serve->loop, &client->timer);
        conn_consume(&client->conn, buf_len(&client->conn.in));
        conn_resume(&client->conn);
    } else if (client->keep) {
        client_await(client);
    } else {
        client_linger(client);
    }
}

/* As far as it can: answers, requests that wait, the end. */
static void client_go_on(struct client *client)
{
    for (;;) {
        if (client->state == CLIENT_ANSWERING || client->state == CLIENT_STREAMING) {
            switch (conn_open(&client->conn) ? client_write(client) : WRITTEN_FAILED) {
            case WRITTEN_FAILED:
                client_end(client);
                return;
            case WRITTEN_SOME:
                return;
            case WRITTEN_ALL:
                break;
            }
            client_sent(client);
        }
        if (client->state != CLIENT_WAITING && client->state != CLIENT_READING)
            return;
        if (!client_read(client))
            break;
    }
    if (client->eof) {
        client_end(client);
    } else if (client->consumed) { // Not otherwise: it would tell of the same bytes for ever.
        client->consumed = false;
        conn_resume(&client->conn);
    }
}

/* ---- conn's events ---- */

static struct client *client_of(struct conn *conn)
{
    return container_of(conn, struct client, conn);
}

static void client_on_connected(struct conn *conn)
{
    (void)conn; // Accepted connections are connected from the start.
}

static void client_on_bytes(struct conn *conn)
{
    struct client *client = client_of(conn);
    switch (client->state) {
    case CLIENT_WAITING:
    case CLIENT_READING:
        client_go_on(client);
        return;
    case CLIENT_ANSWERING:
        return; // They wait for their turn.
    case CLIENT_STREAMING:
    case CLIENT_LINGERING:
        conn_consume(conn, buf_len(&conn->in));
        return;
    }
}

static void client_on_drained(struct conn *conn)
{
    struct client *client = client_of(conn);
    if (client->state == CLIENT_ANSWERING || client->state == CLIENT_STREAMING)
        client_go_on(client);
}

static void client_on_eof(struct conn *conn)
{
    struct client *client = client_of(conn);
    client->eof = true;
    if (client->state != CLIENT_ANSWERING || client->stream)
        client_end(client);
}

static void client_on_failed(struct conn *conn)
{
    client_end(client_of(conn));
}

static const struct conn_owner client_owner = {
    .connected = client_on_connected,
    .bytes = client_on_bytes,
    .drained = client_on_drained,
    .eof = client_on_eof,
    .failed = client_on_failed,
};

static void client_on_timer(struct timer *timer)
{
    struct client *client = container_of(timer, struct client, timer);
    const struct serve_limits *limits = &client->serve->limits;
    int64_t age_ms = client->serve->loop->now_ms - client->began_ms;
    bool moved = client->state == CLIENT_ANSWERING && client->conn.sent != client->moved;
    if (moved && age_ms < limits->answer_ms)
        client_wait(client, limits->stall_ms);
    else
        client_end(client);
}

/* ---- accepting ---- */

static bool client_new(struct serve *serve, int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return false;
    int bytes = SEND_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (!conn_init(&client->conn, serve->loop, serve->shelf, fd, false, &client_owner)) {
        free(client);
        return false;
    }
    client->serve = serve;
    client->grave.fn = client_bury;
    timer_init(&client->timer, client_on_timer);
    list_init(&client->node);
    serve->count++;
    client_await(client);
    return true;
}

/* Room for one more: closes the client that waits longest for a next request, if there is one. */
static bool serve_make_room(struct serve *serve)
{
    list_each(node, &serve->clients)
    {
        struct client *client = container_of(node, struct client, node);
        if (client->state == CLIENT_WAITING) {
            client_end(client);
            return true;
        }
    }
    return false;
}

static void serve_on_retry(struct timer *timer)
{
    serve_pause(container_of(timer, struct serve, retry), false);
}

static void serve_on_accept(struct io *io, uint32_t events)
{
    (void)events;
    struct serve *serve = container_of(io, struct serve, listener);
    if (serve->count >= serve->limits.connections && !serve_make_room(serve)) {
        serve_pause(serve, true);
        return;
    }
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (!client_new(serve, fd))
            close(fd);
        return;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    log_warning("cannot accept on %s, trying again in 1 s error=\"%s\"", serve->name,
                strerror(errno));
    serve_pause(serve, true);
    loop_timer_start(serve->loop, &serve->retry, RETRY_MS);
}

struct serve *serve_new(struct loop *loop, struct shelf *shelf, int fd, const char *name,
                        const struct serve_limits *limits, serve_answer_fn *answer, void *ctx)
{
    struct serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL)
        return NULL;
    serve->loop = loop;
    serve->shelf = shelf;
    serve->name = name;
    serve->limits = *limits;
    serve->answer = answer;
    serve->ctx = ctx;
    list_init(&serve->clients);
    timer_init(&serve->retry, serve_on_retry);
    io_init(&serve->listener, fd, serve_on_accept);
    if (loop_add_level(loop, &serve->listener, EPOLLIN))
        return serve;
    int error = errno;
    free(serve);
    errno = error;
    return NULL;
}

void serve_free(struct serve *serve)
{
    if (serve == NULL)
        return;
    list_each_safe(node, &serve->clients) client_end(container_of(node, struct client, node));
    loop_timer_stop(serve->loop, &serve->retry);
    loop_close(serve->loop, &serve->listener);
    free(serve);
}

/* ---- events ---- */

size_t serve_streams(const struct serve *serve)
{
    return serve->streams;
}

/* The next events of one stream; blocks are made when the first one needs them. */
static void client_publish(struct client *client, struct span bytes, struct serve_block **shared)
{
    if (bytes.len == 0)
        return;
    if (*shared == NULL)
        *shared = block_copy(client->serve, bytes);
    if (*shared == NULL) {
        client->behind = true;
        return;
    }
    (*shared)->refs++;
    client->behind = false;
    client_send(client, *shared);
    client_go_on(client);
}

void serve_publish(struct serve *serve, struct span news, struct span all)
{
    struct serve_block *news_block = NULL, *all_block = NULL;
    list_each_safe(node, &serve->clients)
    {
        struct client *client = container_of(node, struct client, node);
        if (!client->stream)
            continue;
        if (client->state != CLIENT_STREAMING || client->block != NULL) {
            client->behind = true;
        } else if (client->behind) {
            client_publish(client, all, &all_block);
        } else {
            client_publish(client, news, &news_block);
        }
    }
    block_unref(news_block);
    block_unref(all_block);
}
