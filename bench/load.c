// SPDX-License-Identifier: Apache-2.0
/*
 * The generator's frame: options, opening, pace, window, report. One thread; when it is the slowest
 * part nothing is wrong with the figures, because they are the proxy's CPU time per operation and
 * not operations per second. The proxy's clocks are read at the edges of the window, and only
 * operations that end inside count.
 */
#include "bench/load.h"

#include "base/clock.h"
#include "base/mem.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPENING_MAX = 64, LATENCY_MAX = 4 * 1024 * 1024 }; /* at a time; samples */

static const struct mode *const modes[] = {&mode_http,
                                           &mode_new,
                                           &mode_poll,
                                           &mode_handshake,
                                           &mode_websocket,
                                           &mode_idle_poll,
                                           &mode_burst,
                                           &mode_idle_websocket,
                                           NULL};

/* ---- clients */

void load_error(struct client *client, const char *what)
{
    struct load *load = client->load;
    if (load->errors++ == 0)
        fprintf(stderr, "bench_load: client %u: %s\n", client->index, what);
    stream_close(&client->stream);
    if (client->busy && load->options.operations > 0)
        loop_stop(&load->loop); // Its count would never be reached.
}

static void client_connected(struct stream *stream)
{
    struct client *client = container_of(stream, struct client, stream);
    client->load->options.mode->connected(client);
}

static void client_bytes(struct stream *stream, struct span in)
{
    struct client *client = container_of(stream, struct client, stream);
    client->load->options.mode->bytes(client, in);
}

static void client_ended(struct stream *stream)
{
    struct client *client = container_of(stream, struct client, stream);
    if (client->busy || !client->prepared || !client->load->options.mode->reconnects)
        load_error(client, "the connection ended");
}

static const struct stream_owner client_owner = {client_connected, client_bytes, client_ended};

void load_open(struct client *client)
{
    struct load *load = client->load;
    if (!stream_connect(&client->stream, &load->loop, &load->options.to, load->tls, &client_owner))
        load_error(client, "cannot connect");
}

/* Of a slope's two parts, the first until its memory was read. */
static unsigned load_wanted(const struct load *load)
{
    bool first_part = load->options.from > 0 && load->pss[0] == 0;
    return first_part ? load->options.from : load->options.connections;
}

void load_open_more(struct load *load)
{
    while (load->opened < load_wanted(load) && load->opened - load->prepared < OPENING_MAX) {
        struct client *client = &load->clients[load->opened];
        client->load = load;
        client->index = load->opened++;
        load_open(client);
    }
}

/* ---- operations */

static void load_report(struct load *load);

static void client_begin(struct client *client, int64_t due_us)
{
    struct load *load = client->load;
    if (load->options.operations > 0 && load->begun >= load->options.operations)
        return;
    load->begun++;
    client->busy = true;
    client->due_us = due_us;
    load->options.mode->begin(client);
}

static void note_latency(struct load *load, int64_t us)
{
    if (load->latency_count < LATENCY_MAX)
        load->latencies[load->latency_count++] = us > 0 ? (uint32_t)us : 0;
}

void load_done(struct client *client)
{
    struct load *load = client->load;
    client->busy = false;
    if (load->options.mode->crowd)
        return;
    int64_t now_us = clock_mono_us();
    if (load->measuring) {
        load->done++;
        note_latency(load, now_us - client->due_us);
        if (load->done == load->options.operations) {
            load_report(load);
            return;
        }
    }
    if (load->running && load->options.rate <= 0)
        client_begin(client, now_us);
}

/* Begins what is due by now; a client that is still busy is skipped, and the operation waits with
 * its due time, so a slow proxy cannot slow the clock down (coordinated omission). */
static void load_pace(struct load *load)
{
    double gap_us = 1e6 / load->options.rate;
    unsigned tried = 0;
    while (tried < load->opened) {
        int64_t due_us = load->begun_us + (int64_t)(gap_us * (double)load->begun);
        if (due_us > clock_mono_us())
            return;
        struct client *client = &load->clients[load->next];
        load->next = (load->next + 1) % load->opened;
        tried++;
        if (client->busy || !stream_is_open(&client->stream))
            continue;
        tried = 0;
        client_begin(client, due_us);
    }
}

/* ---- time */

void load_after(struct load *load, int64_t us, void (*fn)(struct load *load))
{
    load->after = fn;
    load->after_us = clock_mono_us() + us;
}

static void load_tick(struct timer *timer)
{
    struct load *load = container_of(timer, struct load, tick);
    loop_timer_start(&load->loop, timer, 1);
    if (load->running && load->options.rate > 0)
        load_pace(load);
    if (load->after && clock_mono_us() >= load->after_us) {
        void (*fn)(struct load *) = load->after;
        load->after = NULL;
        fn(load);
    }
}

static int latency_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static unsigned percentile(const struct load *load, double part)
{
    if (load->latency_count == 0)
        return 0;
    return load->latencies[(size_t)((double)(load->latency_count - 1) * part)];
}

static void load_report(struct load *load)
{
    int64_t cpu_ns = measure_cpu_ns(&load->options.proxy) - load->begun_cpu_ns;
    double seconds = (double)(clock_mono_us() - load->begun_us) / 1e6;
    load->running = load->measuring = false;
    qsort(load->latencies, load->latency_count, sizeof *load->latencies, latency_order);
    double operations = load->done > 0 ? (double)load->done : 1;
    printf("{\"operations\": %llu, \"seconds\": %.3f, \"per_second\": %.0f, "
           "\"cpu_us\": %.3f, \"p50_us\": %u, \"p99_us\": %u, \"errors\": %llu}\n",
           (unsigned long long)load->done, seconds, (double)load->done / seconds,
           (double)cpu_ns / 1000 / operations, percentile(load, 0.5), percentile(load, 0.99),
           (unsigned long long)load->errors);
    loop_stop(&load->loop);
}

static void load_measure(struct load *load)
{
    load->measuring = true;
    load->begun_us = clock_mono_us();
    load->begun = 0;
    load->begun_cpu_ns = measure_cpu_ns(&load->options.proxy);
    if (load->options.operations == 0)
        load_after(load, (int64_t)(load->options.seconds * 1e6), load_report);
}

/* Everybody is there: warm up for a quarter of the time, or count from the first operation on. */
static void load_run(struct load *load)
{
    if (load->options.mode->crowd) {
        crowd_begin(load);
        return;
    }
    load->running = true;
    load->begun_us = clock_mono_us();
    if (load->options.operations > 0)
        load_measure(load);
    else
        load_after(load, (int64_t)(load->options.seconds * 0.25e6), load_measure);
    for (unsigned i = 0; load->options.rate <= 0 && i < load->opened; i++)
        client_begin(&load->clients[i], clock_mono_us());
}

void load_prepared(struct client *client)
{
    struct load *load = client->load;
    client->prepared = true;
    load->prepared++;
    if (load->options.mode->crowd)
        client_begin(client, clock_mono_us()); // One operation each, as soon as it is there.
    load_open_more(load);
    if (load->prepared == load_wanted(load))
        load_run(load);
}

/* ---- options */

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_load MODE ADDRESS [--connections N] [--seconds S | --operations N]\n"
            "                  [--rate PER_SECOND] [--size BYTES] [--tls full|resumed]\n"
            "                  [--from N] [--pid PID]...\n");
    for (size_t i = 0; modes[i]; i++)
        fprintf(stderr, "  %-16s %s\n", modes[i]->name, modes[i]->what);
    return 1;
}

static const struct option long_options[] = {{"connections", required_argument, NULL, 'c'},
                                             {"seconds", required_argument, NULL, 's'},
                                             {"operations", required_argument, NULL, 'n'},
                                             {"rate", required_argument, NULL, 'r'},
                                             {"size", required_argument, NULL, 'b'},
                                             {"tls", required_argument, NULL, 't'},
                                             {"from", required_argument, NULL, 'f'},
                                             {"pid", required_argument, NULL, 'p'},
                                             {NULL, 0, NULL, 0}};

static bool option_take(struct options *options, int letter, const char *value)
{
    switch (letter) {
    case 'c':
        options->connections = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'f':
        options->from = (unsigned)strtoul(value, NULL, 10);
        break;
    case 's':
        options->seconds = strtod(value, NULL);
        break;
    case 'n':
        options->operations = strtoull(value, NULL, 10);
        break;
    case 'r':
        options->rate = strtod(value, NULL);
        break;
    case 'b':
        options->size = strtoul(value, NULL, 10);
        break;
    case 't':
        options->tls = strcmp(value, "resumed") == 0 ? TLS_RESUMED : TLS_FULL;
        break;
    case 'p':
        if (options->proxy.count == MEASURE_MAX)
            return false;
        options->proxy.pids[options->proxy.count++] = (pid_t)strtol(value, NULL, 10);
        break;
    default:
        return false;
    }
    return true;
}

static bool options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.connections = 1, .seconds = 1};
    int letter;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!option_take(options, letter, optarg))
            return false;
    }
    if (argc - optind != 2 || options->connections == 0)
        return false;
    for (size_t i = 0; modes[i]; i++) {
        if (strcmp(modes[i]->name, argv[optind]) == 0)
            options->mode = modes[i];
    }
    struct endpoint to;
    endpoint_parse(span_str(argv[optind + 1]), false, &to);
    options->to = to.addr;
    return options->mode && to.kind == ENDPOINT_ADDR;
}

int main(int argc, char **argv)
{
    static struct load load;
    if (!options_parse(&load.options, argc, argv))
        return usage();
    signal(SIGPIPE, SIG_IGN);
    if (!loop_init(&load.loop, &load))
        return 2;
    if (load.options.tls != TLS_NONE)
        load.tls = tls_client_new(load.options.tls);
    load.clients = mem_must_alloc(load.options.connections * sizeof *load.clients);
    load.latencies = mem_must_alloc(LATENCY_MAX * sizeof *load.latencies);
    timer_init(&load.tick, load_tick);
    loop_timer_start(&load.loop, &load.tick, 1);
    if (load.options.mode == &mode_burst)
        load.pss[0] = measure_pss_bytes(&load.options.proxy);
    load_open_more(&load);
    loop_run(&load.loop);
    return load.errors > 0;
}
