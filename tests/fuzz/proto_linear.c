// SPDX-License-Identifier: Apache-2.0
/*
 * Time and memory: who sends eight times as much costs at most a few times eight times as much. The
 * first byte chooses a reader, the second says how much of the rest comes first and once; what is
 * left is repeated up to the length wanted.
 *
 * Checked, for each reader of bytes from the network: 64 KiB cost less than 30 times what 8 KiB cost
 * (linear: 8, squared: 64), unless they are done in a few milliseconds anyway; what is kept of
 * them is within a bound per byte. Both are measured in this one run, in the thread's own CPU time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/resp.h"
#include "proto/answer.h"
#include "proto/cookie.h"
#include "proto/engineio_tag.h"
#include "proto/headers.h"
#include "proto/proxyproto.h"
#include "proto/wsframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of AddressSanitizer; NULL without. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

enum {
    SMALL = 8192,
    LARGE = 8 * SMALL,
    TIMES_MOST = 30,
    ANYWAY_US = 20000,
    TRIES = 3,
    KEPT_PER_BYTE = 200, /* a reply of one byte is a struct and its place in an array */
};

static size_t kept_most; /* while a reader was at work */

static size_t memory_now(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

static void note_memory(size_t before)
{
    size_t now = memory_now();
    if (now > before && now - before > kept_most)
        kept_most = now - before;
}

/* ---- the readers; those that keep a state get the bytes in pieces ---- */

enum { PIECE = 16 };

static void read_head(struct span in)
{
    static const struct head_limits limits = {
        .header_bytes = 1 << 20, .fields = 200, .target = 8000};
    static struct head head;
    struct head_error error;
    for (int response = 0; response < 2; response++) {
        size_t seen = 0, have = 0;
        enum head_result result = HEAD_MORE;
        while (result == HEAD_MORE && have < in.len) {
            have = in.len - have < PIECE ? in.len : have + PIECE;
            struct span so_far = span_upto(in, have);
            result = response
                         ? head_parse_response(&head, so_far, &seen, METHOD_GET, &limits, &error)
                         : head_parse_request(&head, so_far, &seen, &limits, &error);
        }
    }
}

static void read_chunked(struct span in)
{
    struct chunked chunked;
    struct span data;
    size_t used = 0;
    chunked_init(&chunked);
    enum chunked_result result = CHUNKED_MORE;
    while (in.len > 0 && (result == CHUNKED_MORE || result == CHUNKED_DATA)) {
        result = chunked_next(&chunked, span_upto(in, PIECE), &used, &data);
        in = span_from(in, used);
    }
}

static void read_query(struct span in)
{
    static const struct span path = {"/socket.io/", 11};
    static struct eio_request request;
    char *out = malloc(in.len);
    assert(out);
    eio_classify(path, in, &path, 1, &request);
    eio_untag_target(in, EIO_SID_IN_QUERY, out);
    eio_untag_target(in, EIO_SID_IN_PATH, out);
    free(out);
}

static void read_cookies(struct span in)
{
    struct span value, name;
    struct cookie_edit edit = {COOKIE_REMOVE, SPAN("io")};
    char *out = malloc(in.len);
    assert(out);
    cookie_find(in, edit.name, &value);
    cookie_write(in, &edit, out);
    edit.change = COOKIE_STRIP_PREFIX;
    cookie_write(in, &edit, out);
    set_cookie_parse(in, &name, &value);
    free(out);
}

/* Only its first EIO_HANDSHAKE_MAX bytes are looked at. */
static void read_handshake(struct span in)
{
    static struct eio_handshake handshake;
    eio_parse_handshake(in, false, &handshake);
    eio_parse_handshake(in, true, &handshake);
    eio_is_unknown_sid(in);
    eio_is_close(in, 3);
    eio_is_close(in, 4);
}

static void read_frames(struct span in)
{
    struct wsframe frame;
    wsframe_init(&frame);
    while (in.len > 0) {
        wsframe_to_boundary(&frame, span_upto(in, PIECE));
        wsframe_feed(&frame, span_upto(in, PIECE));
        in = span_from(in, PIECE);
    }
}

static void read_proxy(struct span in)
{
    struct proxy_header header;
    proxy_read(in, &header);
}

static void read_replies(struct span in)
{
    struct resp_reader *reader = resp_reader_new();
    size_t before = memory_now();
    bool good = true;
    assert(reader);
    while (good && in.len > 0) {
        struct resp *reply = NULL;
        good = resp_reader_feed(reader, span_upto(in, PIECE));
        in = span_from(in, PIECE);
        note_memory(before);
        while (good && resp_reader_next(reader, &reply) == RESP_WHOLE) {
            note_memory(before);
            resp_free(reply);
        }
    }
    resp_reader_free(reader);
}

static void read_answer(struct span in)
{
    static struct shelf *shelf;
    struct answer_reader reader;
    size_t taken = 0, have = 0;
    shelf = shelf ? shelf : shelf_new();
    size_t before = memory_now();
    answer_init(&reader, false, 16384);
    enum answer_step step = ANSWER_MORE;
    while (step == ANSWER_MORE && have < in.len) {
        size_t used = 0;
        have = in.len - have < PIECE ? in.len : have + PIECE;
        step = answer_read(&reader, shelf, span_from(span_upto(in, have), taken), &used);
        taken += used;
        note_memory(before);
    }
    answer_fini(&reader, shelf);
}

static void (*const readers[])(struct span in) = {read_head,    read_chunked,   read_query,
                                                  read_cookies, read_handshake, read_frames,
                                                  read_proxy,   read_replies,   read_answer};

/* ---- measuring ---- */

static struct span repeated(struct span first, struct span rest, char *out, size_t len)
{
    memcpy(out, first.ptr, first.len);
    for (size_t at = first.len; at < len; at++)
        out[at] = rest.ptr[(at - first.len) % rest.len];
    return span_of(out, len);
}

static int64_t cost_us(void (*reader)(struct span), struct span in)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    reader(in);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return (end.tv_sec - begin.tv_sec) * INT64_C(1000000) + (end.tv_nsec - begin.tv_nsec) / 1000;
}

static int64_t least_cost_us(void (*reader)(struct span), struct span in, int64_t known)
{
    for (int i = 0; i < TRIES; i++) {
        int64_t cost = cost_us(reader, in);
        known = cost < known ? cost : known;
    }
    return known;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char room[LARGE];
    if (size < 3)
        return 0;
    void (*reader)(struct span) = readers[data[0] % (sizeof(readers) / sizeof(readers[0]))];
    struct span in = span_of((const char *)data + 2, size - 2);
    size_t once = data[1] < in.len ? data[1] : in.len - 1;
    struct span first = span_upto(in, once), rest = span_from(in, once);
    kept_most = 0;
    int64_t large = cost_us(reader, repeated(first, rest, room, LARGE));
    assert(kept_most <= (size_t)KEPT_PER_BYTE * LARGE);
    if (large < ANYWAY_US)
        return 0;
    large = least_cost_us(reader, span_of(room, LARGE), large);
    int64_t small = least_cost_us(reader, span_of(room, SMALL), large);
    assert(large < ANYWAY_US || large < TIMES_MOST * (small > 0 ? small : 1));
    return 0;
}
