// SPDX-License-Identifier: Apache-2.0
/*
 * One struct balancer per socket. A round is everything there is to say:
 *
 *     idle ── changed, or time ──► connect ── line ──► answer … end ──► next line or idle
 *
 * The runtime API takes one line of commands per connection and closes behind its answer, so a round
 * is as many connections as it takes lines; nothing is kept between rounds, and a balancer that
 * restarts needs no care. What changes during a round is said in the next one, which follows at once.
 *
 * An answer that is not empty holds what a command was refused for; it is logged when it changes.
 */
#include "sentinel-watch/balancer.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 8 * 1024, /* half of what a balancer reads */
    ANSWER_MAX = 1024,         /* that is looked at */
    ROUND_MS = 2000,           /* for one line and its answer */
    RETRY_MS = 500,
    TROUBLE_MAX = 160,
};

struct balancer {
    struct list node;
    struct grave grave;
    struct balancers *all;
    struct conn conn;
    struct timer timer; /* the next round, or the end of this line's time */
    char *socket;
    struct addr addr;
    bool busy, changed, keep;
    bool up;          /* the last round was heard */
    struct text text; /* of this round */
    size_t at;        /* what of it has been said */
    char answer[ANSWER_MAX];
    size_t answer_len;
    char trouble[TROUBLE_MAX]; /* "": none */
    uint64_t rounds, failed;
};

struct balancers {
    struct loop *loop;
    struct shelf *shelf;
    balancer_fill_fn *fill;
    void *ctx;
    struct list list;
};

static struct balancer *balancer_of(struct list *node)
{
    return container_of(node, struct balancer, node);
}

static void set_trouble(struct balancer *balancer, const char *trouble)
{
    if (strcmp(balancer->trouble, trouble) == 0)
        return;
    snprintf(balancer->trouble, sizeof(balancer->trouble), "%s", trouble);
    if (trouble[0] != '\0')
        log_warning("a balancer cannot be told of failovers: socket=%s: %s", balancer->socket,
                    trouble);
    else
        log_info("a balancer is told of failovers again: socket=%s", balancer->socket);
}

static void next_after(struct balancer *balancer, int64_t wait_ms)
{
    conn_close(&balancer->conn);
    balancer->busy = false;
    loop_timer_start(balancer->all->loop, &balancer->timer, balancer->changed ? 1 : wait_ms);
}

static void round_failed_for(struct balancer *balancer, const char *why, int64_t wait_ms)
{
    balancer->failed++;
    balancer->up = false;
    balancer->changed = false; // It will hear everything anyway, when it hears at all.
    set_trouble(balancer, why);
    next_after(balancer, wait_ms);
}

static void round_failed(struct balancer *balancer, const char *why)
{
    round_failed_for(balancer, why, RETRY_MS);
}

/* ---- a line and its answer ----------------------------------------------------------------- */

static bool open_connection(struct balancer *balancer);

/* The commands that fit one line, split by ';'. Returns its length. */
static size_t next_line(struct balancer *balancer, char out[static LINE_MAX_BYTES])
{
    static const char first[] = "set severity-output number";
    size_t len = sizeof(first) - 1;
    memcpy(out, first, len);
    while (balancer->at < balancer->text.len) {
        struct span rest = span_of(balancer->text.data + balancer->at,
                                   balancer->text.len - balancer->at);
        struct span command = span_upto(rest, span_index(rest, '\n'));
        if (len + command.len + 2 > LINE_MAX_BYTES)
            break;
        out[len++] = ';';
        memcpy(out + len, command.ptr, command.len);
        len += command.len;
        balancer->at += command.len + 1;
    }
    out[len++] = '\n';
    return len;
}

static void on_connected(struct conn *conn)
{
    struct balancer *balancer = container_of(conn, struct balancer, conn);
    char line[LINE_MAX_BYTES];
    struct span bytes = span_of(line, next_line(balancer, line));
    balancer->answer_len = 0;
    if (conn_write(conn, &bytes, 1) == IO_FAILED)
        round_failed(balancer, "it closes the connection");
}

static void on_bytes(struct conn *conn)
{
    struct balancer *balancer = container_of(conn, struct balancer, conn);
    struct span in = buf_bytes(&conn->in);
    struct span kept = span_upto(in, ANSWER_MAX - balancer->answer_len);
    memcpy(balancer->answer + balancer->answer_len, kept.ptr, kept.len);
    balancer->answer_len += kept.len;
    conn_consume(conn, in.len);
}

/* The first line that says something; empty when every command was taken. */
static struct span complaint(const struct balancer *balancer)
{
    struct span rest = span_of(balancer->answer, balancer->answer_len);
    while (rest.ptr) {
        struct span line = span_trim(span_cut(&rest, '\n'));
        if (line.len > 0)
            return line;
    }
    return SPAN_NONE;
}

static void on_eof(struct conn *conn)
{
    struct balancer *balancer = container_of(conn, struct balancer, conn);
    struct span line = complaint(balancer);
    if (balancer->answer_len == 0) {
        round_failed(balancer, "it gives no answer");
        return;
    }
    if (line.len > 0) {
        char why[TROUBLE_MAX] = "it says ";
        log_escape(line, why + strlen(why), sizeof(why) - strlen(why) - 1);
        round_failed_for(balancer, why, BALANCER_RENEW_MS); // It took the rest.
        return;
    }
    if (balancer->at < balancer->text.len) {
        conn_close(conn);
        if (!open_connection(balancer))
            round_failed(balancer, strerror(errno));
        return;
    }
    balancer->rounds++;
    balancer->up = true;
    set_trouble(balancer, "");
    next_after(balancer, BALANCER_RENEW_MS);
}

static void on_failed(struct conn *conn)
{
    round_failed(container_of(conn, struct balancer, conn), strerror(conn->error));
}

static void on_drained(struct conn *conn)
{
    (void)conn;
}

static const struct conn_owner conn_owner = {
    .connected = on_connected,
    .bytes = on_bytes,
    .drained = on_drained,
    .eof = on_eof,
    .failed = on_failed,
};

/* False: errno. */
static bool open_connection(struct balancer *balancer)
{
    struct balancers *all = balancer->all;
    int fd = net_connect(&balancer->addr);
    if (fd < 0)
        return false;
    if (!conn_init(&balancer->conn, all->loop, all->shelf, fd, true, &conn_owner)) {
        int error = errno;
        close(fd);
        errno = error;
        return false;
    }
    loop_timer_start(all->loop, &balancer->timer, ROUND_MS);
    return true;
}

static void begin_round(struct balancer *balancer)
{
    struct balancers *all = balancer->all;
    balancer->changed = false;
    balancer->text.len = balancer->at = 0;
    all->fill(all->ctx, &balancer->text);
    if (balancer->text.len == 0) {
        next_after(balancer, BALANCER_RENEW_MS);
        return;
    }
    balancer->busy = true;
    if (!open_connection(balancer))
        round_failed(balancer, strerror(errno));
}

static void on_timer(struct timer *timer)
{
    struct balancer *balancer = container_of(timer, struct balancer, timer);
    if (balancer->busy)
        round_failed(balancer, "it does not answer in time");
    else
        begin_round(balancer);
}

/* ---- which there are ----------------------------------------------------------------------- */

static void balancer_free(struct grave *grave)
{
    struct balancer *balancer = container_of(grave, struct balancer, grave);
    text_free(&balancer->text);
    free(balancer->socket);
    free(balancer);
}

static void balancer_leave(struct balancer *balancer)
{
    list_remove(&balancer->node);
    loop_timer_stop(balancer->all->loop, &balancer->timer);
    conn_close(&balancer->conn);
    loop_bury(balancer->all->loop, &balancer->grave);
}

void balancers_begin(struct balancers *balancers)
{
    list_each(node, &balancers->list) balancer_of(node)->keep = false;
}

void balancers_name(struct balancers *balancers, const char *socket)
{
    struct endpoint endpoint;
    list_each(node, &balancers->list)
    {
        if (strcmp(balancer_of(node)->socket, socket) == 0) {
            balancer_of(node)->keep = true;
            return;
        }
    }
    endpoint_parse(span_str(socket), false, &endpoint);
    struct balancer *balancer = mem_must_alloc(sizeof(*balancer));
    balancer->all = balancers;
    balancer->socket = mem_must_copy(socket);
    balancer->addr = endpoint.addr;
    balancer->keep = true;
    balancer->conn.io.fd = -1;
    balancer->grave.fn = balancer_free;
    timer_init(&balancer->timer, on_timer);
    list_push_back(&balancers->list, &balancer->node);
    loop_timer_start(balancers->loop, &balancer->timer, 1);
}

void balancers_end(struct balancers *balancers)
{
    list_each_safe(node, &balancers->list)
    {
        if (!balancer_of(node)->keep)
            balancer_leave(balancer_of(node));
    }
}

void balancers_tell(struct balancers *balancers)
{
    list_each(node, &balancers->list)
    {
        struct balancer *balancer = balancer_of(node);
        balancer->changed = true;
        if (!balancer->busy)
            loop_timer_start(balancers->loop, &balancer->timer, 1);
    }
}

struct balancers *balancers_new(struct loop *loop, struct shelf *shelf, balancer_fill_fn *fill,
                                void *ctx)
{
    struct balancers *balancers = mem_must_alloc(sizeof(*balancers));
    balancers->loop = loop;
    balancers->shelf = shelf;
    balancers->fill = fill;
    balancers->ctx = ctx;
    list_init(&balancers->list);
    return balancers;
}

void balancers_free(struct balancers *balancers)
{
    if (!balancers)
        return;
    list_each_safe(node, &balancers->list) balancer_leave(balancer_of(node));
    free(balancers);
}

/* ---- for people and tools ------------------------------------------------------------------ */

/* Sockets come from our own configuration; their text is fit for JSON and labels but for these. */
static void add_quoted(struct text *out, const char *text)
{
    text_add(out, SPAN("\""));
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            text_add(out, SPAN("\\"));
        text_add(out, span_of((unsigned char)*at < 0x20 ? "?" : at, 1));
    }
    text_add(out, SPAN("\""));
}

void balancers_show(const struct balancers *balancers, struct text *out)
{
    bool first = true;
    text_add(out, SPAN("["));
    list_each(node, &balancers->list)
    {
        const struct balancer *balancer = balancer_of(node);
        text_add(out, first ? SPAN("{\"socket\":") : SPAN(",{\"socket\":"));
        add_quoted(out, balancer->socket);
        text_addf(out, ",\"told\":%s,\"trouble\":", balancer->up ? "true" : "false");
        if (balancer->trouble[0] != '\0')
            add_quoted(out, balancer->trouble);
        else
            text_add(out, SPAN("null"));
        text_add(out, SPAN("}"));
        first = false;
    }
    text_add(out, SPAN("]"));
}

static void metric(const struct balancers *balancers, const char *name, const char *type,
                   const char *help, int64_t (*value)(const struct balancer *), struct text *out)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    list_each(node, &balancers->list)
    {
        text_addf(out, "%s{socket=", name);
        add_quoted(out, balancer_of(node)->socket);
        text_addf(out, "} %" PRId64 "\n", value(balancer_of(node)));
    }
}

static int64_t is_up(const struct balancer *balancer)
{
    return balancer->up;
}

static int64_t rounds(const struct balancer *balancer)
{
    return (int64_t)balancer->rounds;
}

static int64_t failures(const struct balancer *balancer)
{
    return (int64_t)balancer->failed;
}

void balancers_metrics(const struct balancers *balancers, struct text *out)
{
    metric(balancers, "limpet_sentinel_balancer_up", "gauge",
           "whether a balancer took what it was told last", is_up, out);
    metric(balancers, "limpet_sentinel_balancer_rounds_total", "counter",
           "times a balancer was told everything", rounds, out);
    metric(balancers, "limpet_sentinel_balancer_errors_total", "counter",
           "times a balancer could not be told, or refused", failures, out);
}
