// SPDX-License-Identifier: Apache-2.0
/*
 * Memory. A slope: some clients come and do one operation each, PSS is read, the others come and do
 * the same, PSS is read again. A burst: everybody sends half a request, so that the proxy has to
 * keep it; then the other half, then all leave, and PSS is read until it stays low or time is up.
 */
#include "bench/load.h"

#include <stdio.h>

enum { SETTLE_US = 700000, SAMPLE_US = 100000, SECOND_US = 1000000 };
enum { BURST_BODY = 12000, BURST_FIRST = 8000 }; /* bytes */

/* ---- hanging polls: the operation is to have sent the poll */

static void idle_poll_bytes(struct client *client, struct span in)
{
    enum answer_state state = answer_feed(&client->answer, &in);
    if (state == ANSWER_MORE)
        return;
    if (client->prepared || state == ANSWER_BAD || !http_take_sid(client))
        load_error(client, client->answer.head);
    else
        load_prepared(client);
}

static void idle_poll_begin(struct client *client)
{
    http_send(client,
              "GET /socket.io/?EIO=4&transport=polling&hang=1&sid=%s HTTP/1.1\r\n"
              "Host: bench.example\r\nAccept: */*\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\r\n",
              client->sid);
    load_done(client);
}

const struct mode mode_idle_poll = {
    .name = "idle-poll",
    .what = "memory per hanging poll",
    .connected = http_ask_sid,
    .begin = idle_poll_begin,
    .bytes = idle_poll_bytes,
    .crowd = true,
};

/* ---- a burst */

static void burst_send(struct client *client, size_t bytes)
{
    static char filler[BURST_BODY];
    stream_send(&client->stream, span_of(filler, bytes));
}

static void burst_begin(struct client *client)
{
    http_send(client,
              "POST /upload HTTP/1.1\r\nHost: bench.example\r\nContent-Type: text/plain\r\n"
              "Content-Length: %d\r\n\r\n",
              BURST_BODY);
    burst_send(client, BURST_FIRST);
    load_done(client);
}

static void burst_bytes(struct client *client, struct span in)
{
    struct load *load = client->load;
    enum answer_state state = answer_feed(&client->answer, &in);
    if (state == ANSWER_MORE)
        return;
    if (state == ANSWER_BAD || client->answer.status != 200)
        load_error(client, client->answer.head);
    load->prepared--;
    stream_close(&client->stream);
}

const struct mode mode_burst = {
    .name = "burst",
    .what = "memory that stays after a crowd of half-sent requests has left",
    .connected = load_prepared,
    .begin = burst_begin,
    .bytes = burst_bytes,
    .crowd = true,
};

/* ---- what happens when */

static int64_t pss(const struct load *load)
{
    return measure_pss_bytes(&load->options.proxy);
}

static void slope_report(struct load *load)
{
    const struct options *options = &load->options;
    load->pss[1] = pss(load);
    double per = (double)(load->pss[1] - load->pss[0]) / (options->connections - options->from);
    printf("{\"bytes_per_connection\": %.1f, \"pss\": [%lld, %lld], \"errors\": %llu}\n", per,
           (long long)load->pss[0], (long long)load->pss[1], (unsigned long long)load->errors);
    loop_stop(&load->loop);
}

static void slope_grow(struct load *load)
{
    load->pss[0] = pss(load);
    load_open_more(load);
}

static void burst_watch(struct load *load)
{
    int64_t now = pss(load);
    load->pss[2] = now < load->pss[2] ? now : load->pss[2];
    int64_t grown = load->pss[1] - load->pss[0], back = load->pss[1] - load->pss[2];
    double passed = (double)(load->loop.now_us - load->begun_us) / SECOND_US;
    if (passed < load->options.seconds && back * 100 < grown * 95) {
        load_after(load, SECOND_US, burst_watch);
        return;
    }
    printf("{\"grown_bytes\": %lld, \"kept_bytes\": %lld, \"given_back\": %.3f, "
           "\"after_seconds\": %.1f, \"errors\": %llu}\n",
           (long long)grown, (long long)(grown - back),
           grown > 0 ? (double)back / (double)grown : 1, passed,
           (unsigned long long)(load->errors + load->prepared));
    loop_stop(&load->loop);
}

/* While the answers come; the peak may be here. */
static void burst_leave(struct load *load)
{
    int64_t now = pss(load);
    load->pss[1] = now > load->pss[1] ? now : load->pss[1];
    load->pss[2] = now;
    load->begun_us = load->loop.now_us;
    bool over = load->prepared == 0 || --load->patience == 0;
    load_after(load, SAMPLE_US, over ? burst_watch : burst_leave);
}

static void burst_finish(struct load *load)
{
    load->pss[1] = pss(load);
    load->patience = 100;
    for (unsigned i = 0; i < load->opened; i++) {
        if (stream_is_open(&load->clients[i].stream))
            burst_send(&load->clients[i], BURST_BODY - BURST_FIRST);
    }
    load_after(load, 0, burst_leave);
}

void crowd_begin(struct load *load)
{
    const struct options *options = &load->options;
    if (options->mode == &mode_burst)
        load_after(load, SETTLE_US, burst_finish);
    else
        load_after(load, SETTLE_US,
                   load->opened < options->connections ? slope_grow : slope_report);
}
