// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime API, whole: a real configuration, control, a worker and the runtime socket, in two
 * houses that know nothing of each other; the input is what somebody writes to the socket. Time
 * stands still, so that answers are the same whenever they are given. A house in which something was
 * changed is built anew for the next input.
 *
 * Checked: the conversation ends; a first line that comes in pieces is answered like a whole one;
 * every answer ends with an empty line (or the prompt); what one byte asks for is bounded; at level
 * `user` nothing changes and nobody's session id is shown; what `show servers state` says is
 * understood again and means the same; and no buffer is left behind.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lb/admin_command.h"
#include "lb/control.h"
#include "lb/edition.h"
#include "lb/events.h"
#include "lb/reload.h"
#include "lb/states.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ANSWER_PER_BYTE = 1 << 17, /* the longest answer to the shortest command */
    TURNS_MAX = 100000,
    SERVERS = 5,
};

/* In the place of base/clock's. */
int64_t clock_mono_us(void)
{
    return INT64_C(5000000000);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return INT64_C(1800000000000);
}

static const char configuration[] =
    "process: {workers: 1, master: false}\n"
    "admin: {socket: admin.sock}\n"
    "log: {level: error}\n"
    "frontends:\n"
    "  web: {listen: 'unix:web.sock', backend: sio, max_connections: 200}\n"
    "  alt: {listen: 'unix:alt.sock', backend: bare}\n"
    "backends:\n"
    "  sio:\n"
    "    health: {interval: 1h}\n"
    "    sid: {max_entries: 100}\n"
    "    cookie: {mode: insert, name: node}\n"
    "    servers:\n"
    "      a: {address: 'unix:a.sock', max_connections: 100}\n"
    "      b: {address: '127.0.0.1:9', weight: 4}\n"
    "      spare: {address: 'unix:spare.sock', backup: true}\n"
    "  bare:\n"
    "    health: {tcp: false}\n"
    "    sid: {mode: tag, max_entries: 100}\n"
    "    servers: {only: '127.0.0.1:9', other: '[::1]:9'}\n";

#define SID "sid-of-somebody"

struct house {
    char dir[32];
    struct config *config;
    struct bindings bindings;
    struct serving *serving; /* NULL: to be built anew */
    char *state;             /* in the beginning */
};
static struct house houses[2];
static int began_in = -1; /* where the fuzzer expects us to be */

/* All paths are relative, so that both houses say the same. */
static void enter(const struct house *house)
{
    int moved = chdir(house->dir);
    assert(moved == 0);
}

static void turn(struct house *house)
{
    loop_turn(control_loop(house->serving->control), 0);
    loop_turn(&house->serving->workers[0].loop, 0);
}

/* One command's answer, at once. */
static void ask(struct house *house, const char *command, struct text *out)
{
    struct admin_caller caller = {.serving = house->serving,
                                  .loop = control_loop(house->serving->control),
                                  .level = ADMIN_LEVEL_ADMIN};
    admin_run(&caller, span_str(command));
    text_add(out, span_of(caller.answer.data, caller.answer.len));
    text_free(&caller.answer);
}

/* All that commands can change. */
static char *state_of(struct house *house)
{
    static const char *const commands[] = {
        "show servers state", "show servers conn", "show table sio",
        "show table bare",    "show events",       "sio failover",
        "sio redis",          "sio drain",         "sio rebalance",
    };
    struct text text = {0};
    struct serving *serving = house->serving;
    for (size_t i = 0; i < array_len(commands); i++)
        ask(house, commands[i], &text);
    for (size_t i = 0; i < serving->snapshot->frontend_count; i++) {
        const struct frontend_home *home = serving->snapshot->frontends[i].home;
        text_addf(&text, "%d %d\n", home->max_connections, (int)home->disabled);
    }
    const struct reload_status *status = reload_status(serving->reload);
    text_addf(&text, "%lld %llu %llu%c", (long long)serving->max_connections,
              (unsigned long long)status->done, (unsigned long long)status->failed, 0);
    assert(!text.failed);
    return text.data;
}

static void leave(void)
{
    int moved = fchdir(began_in);
    assert(moved == 0);
}

/* ---- houses ---- */

static void house_listen(struct house *house)
{
    struct snapshot *snapshot = house->serving->snapshot;
    snapshot->listens = mem_must_alloc((house->bindings.count + 1) * sizeof(*snapshot->listens));
    for (size_t i = 0; i < house->bindings.count; i++) {
        struct binding *binding = &house->bindings.list[i];
        struct frontend *frontend = &snapshot->frontends[binding->frontend_index];
        snapshot->listens[snapshot->listen_count++] = (struct snapshot_listen){
            .id = binding->id, .frontend = binding->frontend_index};
        bool listens = worker_listen(&house->serving->workers[0], frontend, binding->id,
                                     binding->fds[0]);
        assert(listens);
        binding->fds[0] = -1;
    }
}

static void house_serve(struct house *house)
{
    struct serving *serving = mem_must_alloc(sizeof(*serving));
    house->serving = serving;
    serving->config = house->config;
    serving->worker_count = 1;
    serving->started_ms = clock_mono_ms();
    serving->started_wall_ms = clock_wall_ms();
    serving->max_connections = serving->hard_max_connections = 1000;
    serving->snapshot = snapshot_new(house->config, house->bindings.table_fds, clock_mono_ms());
    assert(serving->snapshot);
    serving->control = control_new(serving);
    serving->workers = aligned_alloc(_Alignof(struct worker), sizeof(struct worker));
    assert(serving->control && serving->workers);
    memset((void *)serving->workers, 0, sizeof(struct worker));
    bool good = worker_init(&serving->workers[0], serving, 0);
    assert(good);
    house_listen(house);
    good = control_start(serving->control, &house->bindings, -1);
    assert(good);
    sidmap_bind(serving->snapshot->backends[0]->sids, SPAN(SID), 0, 60000, clock_mono_ms());
}

static void house_open(struct house *house)
{
    enter(house);
    FILE *file = fopen("limpet.yaml", "w");
    assert(file);
    fputs(configuration, file);
    fclose(file);
    struct problems problems;
    house->config = config_load_file("limpet.yaml", &problems);
    if (!house->config)
        problems_print(&problems, "limpet.yaml", false, stderr);
    problems_free(&problems);
    assert(house->config);
    bool bound = bindings_open(&house->bindings, house->config, 1);
    assert(bound);
    house_serve(house);
    for (int i = 0; i < 10; i++) // First checks.
        turn(house);
    house->state = state_of(house);
}

static void house_close(struct house *house)
{
    enter(house);
    struct serving *serving = house->serving;
    struct worker *worker = &serving->workers[0];
    worker_order(worker, ORDER_END, 0);
    worker_settle(worker);
    control_stop(serving->control);
    worker_settle(worker);
    worker_settle(worker);
    worker_fini(worker);
    control_free(serving->control); // Asserts that every buffer is back.
    stats_fini(serving);
    events_fini(serving);
    struct config *own = serving->snapshot->own_config;
    editions_fini(serving->snapshot);
    snapshot_free(serving->snapshot);
    config_free(own);
    bindings_close(&house->bindings, true);
    config_free(house->config);
    free(serving->workers);
    free(serving);
    free(house->state);
    house->serving = NULL;
}

static void houses_at_exit(void)
{
    for (size_t i = 0; i < array_len(houses); i++) {
        if (houses[i].serving)
            house_close(&houses[i]);
        enter(&houses[i]);
        unlink("limpet.yaml");
        rmdir(houses[i].dir);
    }
}

static void houses_make(void)
{
    began_in = open(".", O_DIRECTORY | O_CLOEXEC);
    log_setup("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    for (size_t i = 0; i < array_len(houses); i++) {
        snprintf(houses[i].dir, sizeof(houses[i].dir), "/tmp/limpet-fuzz-XXXXXX");
        char *made = mkdtemp(houses[i].dir);
        assert(made);
    }
    atexit(houses_at_exit);
}

/* ---- a conversation ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    int connected = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
    assert(connected == 0);
    return fd;
}

/* What has been answered so far. False: that was the end. */
static bool hear(int fd, struct text *out)
{
    char room[65536];
    for (;;) {
        ssize_t n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        text_add(out, span_of(room, (size_t)n));
    }
}

/* Says it in pieces of `step` bytes up to the first line's end, the rest at once. */
static struct text converse(struct house *house, struct span in, size_t step)
{
    struct text out = {0};
    enter(house);
    int fd = connect_to("admin.sock");
    bool more = true, first = true;
    while (in.len > 0 && more) {
        struct span piece = span_upto(in, step);
        first = first && span_index(piece, '\n') == SIZE_MAX;
        piece = first ? piece : in;
        // It may have said goodbye.
        bool sent = send(fd, piece.ptr, piece.len, MSG_NOSIGNAL) == (ssize_t)piece.len;
        in = span_from(in, piece.len);
        turn(house);
        more = hear(fd, &out) && sent;
    }
    shutdown(fd, SHUT_WR);
    int turns = 0;
    for (; more && turns < TURNS_MAX; turns++) {
        turn(house);
        more = hear(fd, &out);
    }
    assert(turns < TURNS_MAX && !out.failed);
    close(fd);
    turn(house);
    return out;
}

/* ---- what is checked ---- */

/* What an operator has set, of each server. */
static size_t settings_of(struct house *house, int out[static 2 * SERVERS])
{
    const struct snapshot *snapshot = house->serving->snapshot;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        for (size_t k = 0; k < snapshot->backends[i]->server_count; k++) {
            const struct server *server = snapshot->backends[i]->servers[k];
            assert(count < (size_t)2 * SERVERS && server->weight >= 0 && server->weight <= 256);
            out[count++] = server->admin;
            out[count++] = server->weight;
        }
    }
    return count;
}

static void check_states(struct house *house)
{
    struct text text = {0};
    size_t taken, count;
    int before[2 * SERVERS], after[2 * SERVERS];
    count = settings_of(house, before);
    ask(house, "show servers state", &text);
    bool read = states_read(house->serving->snapshot, span_of(text.data, text.len), &taken);
    assert(read && taken == SERVERS && count == (size_t)2 * SERVERS);
    settings_of(house, after);
    assert(memcmp(before, after, sizeof(before)) == 0);
    text_free(&text);
}

static void check_user(struct house *house, struct span in)
{
    struct text said = {0};
    text_add(&said, SPAN("user;"));
    text_add(&said, in);
    struct text out = converse(house, span_of(said.data, said.len), said.len);
    struct span answer = span_of(out.data, out.len);
    char *state = state_of(house);
    assert(strcmp(state, house->state) == 0);
    assert(span_find(answer, SPAN(SID)) == SIZE_MAX || span_find(in, SPAN(SID)) != SIZE_MAX);
    free(state);
    text_free(&said);
    text_free(&out);
}

static void check_answer(struct span answer, size_t asked)
{
    assert(answer.len <= (asked + 1) * ANSWER_PER_BYTE);
    // The last one: the prompt was there until the last command turned it off.
    assert(answer.len == 0 || span_ends(answer, SPAN("\n\n")) || span_eq(answer, SPAN("\n")) ||
           span_ends(answer, SPAN("\n> ")) || span_ends(answer, SPAN("\n> \n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    if (began_in < 0)
        houses_make();
    for (size_t i = 0; i < array_len(houses); i++) {
        if (!houses[i].serving)
            house_open(&houses[i]);
    }
    check_user(&houses[1], in);
    struct text whole = converse(&houses[0], in, size);
    struct text pieces = converse(&houses[1], in, size / 5 + 1);
    assert(span_eq(span_of(whole.data, whole.len), span_of(pieces.data, pieces.len)));
    check_answer(span_of(whole.data, whole.len), size);
    text_free(&whole);
    text_free(&pieces);
    for (size_t i = 0; i < array_len(houses); i++) {
        char *state = state_of(&houses[i]);
        bool changed = strcmp(state, houses[i].state) != 0;
        free(state);
        if (changed) {
            check_states(&houses[i]);
            house_close(&houses[i]);
        }
    }
    leave();
    return 0;
}
