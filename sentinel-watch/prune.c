// SPDX-License-Identifier: Apache-2.0
/*
 *                        every minute, or when asked
 *   IDLE ──► LOOK ──► (a plan, or a doubt) ──► IDLE
 *              │ a run, without a doubt
 *              ▼                                       next sentinel
 *            LOCK ──► RESET ──► RELEARN ──► PAUSE ──► LOOK ──► RESET …  until all had their turn
 *
 * Anything that is not as it should be, at any point, ends the run: the sentinels that had no turn
 * keep what they know. A RESET that was sent cannot be taken back; a sentinel that does not learn
 * everything again within RELEARN_MS is an alarm.
 *
 * The lock is a key on the master that lives for an hour and is left there: so only one watcher
 * prunes, and only once an hour.
 *
 * Connections to sentinels are opened for one look and closed behind it, as the user that may RESET.
 */
#include "sentinel-watch/prune.h"

#include "base/mem.h"
#include "sentinel-watch/master.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 200,
    LOOK_EVERY_MS = 60000,
    LOOK_MS = 3000, /* a look that takes longer is one without answers */
    RELEARN_EVERY_MS = 500,
    RELEARN_MS = 25000, /* expected: 11 s at most, as INFO is asked every 10 s */
    TIMEOUT_MS = 2000,
    LOCK_MS = 3600000, /* between two runs */
};

enum stage { STAGE_IDLE, STAGE_LOOK, STAGE_LOCK, STAGE_RESET, STAGE_RELEARN, STAGE_PAUSE };
static const char *const stage_words[] = {
    [STAGE_IDLE] = "idle",   [STAGE_LOOK] = "looking",       [STAGE_LOCK] = "locking",
    [STAGE_RESET] = "reset", [STAGE_RELEARN] = "relearning", [STAGE_PAUSE] = "pausing",
};

/* One sentinel that is being asked. */
struct asked {
    struct prune *prune;
    struct prune_witness *witness;
    struct redis *redis;
    enum prune_question next; /* to be answered */
};

struct prune {
    struct link_world *world;
    struct master *master;
    const struct config_sentinel *config;
    const char *watcher;
    prune_note_fn *note;
    void *ctx;
    struct timer tick;
    struct grave grave;

    enum stage stage;
    int64_t stage_ms;  /* since when */
    int64_t unrest_ms; /* the last sign of a failover, or when we began to watch */
    uint64_t epoch;
    bool running; /* a run, not only a look */

    struct link *node; /* to the master */
    struct place place;
    struct prune_view *view;
    struct asked asked[PRUNE_SENTINELS_MAX];
    size_t asked_count;
    unsigned node_waits; /* answers of the master that have not come */

    char names[PRUNE_SENTINELS_MAX][PLACE_TEXT_MAX]; /* who gets a turn */
    size_t name_count, turn;
    struct prune_witness before, now; /* of the one whose turn it is */
    int64_t asked_ms;

    struct prune_plan plan;
    bool planned;
    int64_t looked_ms;
    char told[PRUNE_DOUBT_MAX + 512]; /* what was noted of the last plan */
    char ended[256];
    int64_t ended_ms; /* when; 0: there was none */
    uint64_t runs, resets, aborts;
};

static int64_t now_ms(const struct prune *p)
{
    return p->world->loop->now_ms;
}

__attribute__((format(printf, 3, 4))) static void say(struct prune *p, bool warning,
                                                      const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->note(p->ctx, warning, text);
}

static void enter(struct prune *p, enum stage stage)
{
    p->stage = stage;
    p->stage_ms = now_ms(p);
}

/* ---- asking sentinels ---- */

static void asked_close(struct asked *asked)
{
    redis_free(asked->redis);
    asked->redis = NULL;
}

static void close_all(struct prune *p)
{
    for (size_t i = 0; i < p->asked_count; i++)
        asked_close(&p->asked[i]);
    p->asked_count = 0;
}

/* redis_answer_fn; answers come in the order of the questions. */
static void on_answer(void *ctx, const struct resp *answer)
{
    struct asked *asked = ctx;
    prune_hear(asked->witness, asked->next++, answer);
    if (asked->next == PRUNE_ANSWERS)
        asked_close(asked);
}

static void on_ended(void *ctx, enum redis_end end, const char *why)
{
    struct asked *asked = ctx;
    asked->redis = NULL;
    asked->witness->refused = true;
    snprintf(asked->witness->trouble, sizeof(asked->witness->trouble), "%s: %s",
             redis_end_word(end), why);
}

static const struct redis_owner asked_owner = {.ended = on_ended};

static struct redis *dial(struct prune *p, const struct addr *addr, const struct redis_owner *owner,
                          void *ctx)
{
    const struct sentinel_options *opt = &p->config->opt;
    bool own = opt->prune_username || opt->prune_password;
    struct redis_options options = {
        .addr = *addr,
        .username = own ? opt->prune_username : opt->username,
        .password = own ? opt->prune_password : opt->password,
        .timeout_ms = TIMEOUT_MS,
    };
    return addr->len > 0 ? redis_new(p->world->loop, p->world->shelf, &options, owner, ctx) : NULL;
}

static void ask(struct prune *p, struct asked *asked, const struct addr *addr,
                struct prune_witness *witness)
{
    const char *name = p->config->opt.master;
    *asked = (struct asked){.prune = p, .witness = witness};
    asked->redis = dial(p, addr, &asked_owner, asked);
    struct redis *r = asked->redis;
    bool sent = r &&
                redis_command(r, on_answer, asked, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name,
                              NULL) &&
                redis_command(r, on_answer, asked, "SENTINEL", "MASTER", name, NULL) &&
                redis_command(r, on_answer, asked, "SENTINEL", "REPLICAS", name, NULL) &&
                redis_command(r, on_answer, asked, "SENTINEL", "SENTINELS", name, NULL) &&
                redis_command(r, on_answer, asked, "SENTINEL", "CKQUORUM", name, NULL) &&
                redis_command(r, on_answer, asked, "SENTINEL", "MYID", NULL) &&
                redis_command(r, on_answer, asked, "INFO", "sentinel", NULL);
    if (!sent) {
        witness->refused = true;
        snprintf(witness->trouble, sizeof(witness->trouble), "it cannot be asked");
        asked_close(asked);
    }
}

static bool all_answered(const struct prune *p)
{
    for (size_t i = 0; i < p->asked_count; i++)
        if (p->asked[i].redis)
            return false;
    return p->node_waits == 0;
}

/* ---- asking the master ---- */

static void on_role(void *ctx, const struct resp *answer)
{
    struct prune *p = ctx;
    p->node_waits -= p->node_waits > 0;
    if (p->view)
        prune_hear_role(p->view, answer);
}

static void on_replication(void *ctx, const struct resp *answer)
{
    struct prune *p = ctx;
    p->node_waits -= p->node_waits > 0;
    if (p->view)
        prune_hear_replication(p->view, answer);
}

static void node_up(void *ctx)
{
    (void)ctx;
}

static void node_down(void *ctx, enum redis_end end, const char *why)
{
    struct prune *p = ctx;
    (void)end;
    (void)why;
    p->node_waits = 0;
}

static const struct link_owner node_owner = {.up = node_up, .down = node_down};

/* A connection to where the master is now. */
static void node_follow(struct prune *p)
{
    const struct follower *follower = master_follower(p->master);
    if (place_eq(&p->place, &follower->place) || !place_known(&follower->place))
        return;
    p->place = follower->place;
    link_free(p->node);
    struct link_options options = {
        .username = p->config->opt.redis_username,
        .password = p->config->opt.redis_password,
        .timeout_ms = TIMEOUT_MS,
        .retry_min_ms = 1000,
        .retry_max_ms = 10000,
    };
    place_map(p->config, &p->place, &options.place);
    p->node_waits = 0;
    p->node = link_new(p->world, &options, &node_owner, p);
}

/* ---- looking ---- */

static void look_begin(struct prune *p)
{
    const struct follower *follower = master_follower(p->master);
    close_all(p);
    if (!p->view)
        p->view = mem_must_alloc(sizeof(*p->view));
    *p->view = (struct prune_view){
        .configured = p->config->opt.sentinels_count,
        .master = follower->place,
        .calm = follower->state == FOLLOWER_CALM,
        .quiet_ms = now_ms(p) - p->unrest_ms,
    };
    for (size_t i = 0; i < master_sentinel_count(p->master); i++) {
        struct sentinel_info info;
        sentinel_info(master_sentinel(p->master, i), &info);
        if ((!info.configured && !info.up) || p->view->witness_count == PRUNE_SENTINELS_MAX)
            continue; // One that others tell of, and that is gone: a member, not a witness.
        struct prune_witness *witness = &p->view->witnesses[p->view->witness_count++];
        place_show(&info.place, witness->name);
        ask(p, &p->asked[p->asked_count++], info.addr, witness);
    }
    struct redis *node = link_redis(p->node);
    p->node_waits = 0;
    if (node && redis_command(node, on_role, p, "ROLE", NULL))
        p->node_waits++;
    if (node && redis_command(node, on_replication, p, "INFO", "replication", NULL))
        p->node_waits++;
    enter(p, STAGE_LOOK);
}

static void list_members(const struct prune_plan *plan, char *out, size_t size)
{
    size_t len = 0;
    char place[PLACE_TEXT_MAX];
    out[0] = '\0';
    for (size_t i = 0; i < plan->replica_count + plan->sentinel_count && len < size; i++) {
        bool replica = i < plan->replica_count;
        const struct prune_member *member = replica ? &plan->replicas[i]
                                                    : &plan->sentinels[i - plan->replica_count];
        int wrote = snprintf(out + len, size - len, "%s%s %s", i > 0 ? ", " : "",
                             replica ? "replica" : "sentinel", place_show(&member->place, place));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
}

static bool nothing_to_do(const struct prune_plan *plan)
{
    return plan->replica_count + plan->sentinel_count == 0;
}

/* Said once, as long as it is the same. */
static void tell_plan(struct prune *p)
{
    char list[512];
    list_members(&p->plan, list, sizeof(list));
    if (nothing_to_do(&p->plan) || strcmp(list, p->told) == 0)
        return;
    snprintf(p->told, sizeof(p->told), "%s", list);
    say(p, false, "gone for good, by all sentinels: %s%s", list,
        p->config->opt.prune_mode == PRUNE_ON ? "" : "; `prune run` makes them forget it");
}

static void run_end(struct prune *p, bool aborted, const char *why)
{
    snprintf(p->ended, sizeof(p->ended), "%s", why);
    p->aborts += aborted;
    p->running = false;
    p->ended_ms = now_ms(p);
    p->name_count = 0;
    close_all(p);
    say(p, aborted, "pruning %s: %s", aborted ? "was given up" : "is done", why);
    enter(p, STAGE_IDLE);
}

/* ---- a run ---- */

static struct prune_witness *witness_named(struct prune *p, const char *name)
{
    for (size_t i = 0; i < p->view->witness_count; i++)
        if (strcmp(p->view->witnesses[i].name, name) == 0)
            return &p->view->witnesses[i];
    return NULL;
}

static const struct addr *addr_of(const struct prune *p, const char *name)
{
    char text[PLACE_TEXT_MAX];
    for (size_t i = 0; i < master_sentinel_count(p->master); i++) {
        struct sentinel_info info;
        sentinel_info(master_sentinel(p->master, i), &info);
        if (strcmp(place_show(&info.place, text), name) == 0)
            return info.addr;
    }
    return NULL;
}

/* redis_answer_fn of RESET. */
static void on_reset(void *ctx, const struct resp *answer)
{
    struct asked *asked = ctx;
    struct prune *p = asked->prune;
    char why[160];
    asked_close(asked);
    if (p->stage != STAGE_RESET)
        return;
    if (answer->type == RESP_INTEGER && answer->integer == 1) {
        p->resets++;
        say(p, false, "the sentinel %s was made to forget what is gone", p->names[p->turn]);
        enter(p, STAGE_RELEARN);
        return;
    }
    snprintf(why, sizeof(why), "the sentinel refuses RESET: %.*s",
             (int)(answer->text.len < 100 ? answer->text.len : 100),
             answer->text.len > 0 ? answer->text.ptr : "");
    run_end(p, true, why);
}

static void turn_begin(struct prune *p)
{
    struct prune_witness *witness = witness_named(p, p->names[p->turn]);
    const struct addr *addr = addr_of(p, p->names[p->turn]);
    if (!witness || !addr) {
        run_end(p, true, "a sentinel is not there any more");
        return;
    }
    p->before = *witness;
    enter(p, STAGE_RESET);
    struct asked *asked = &p->asked[0];
    *asked = (struct asked){.prune = p, .witness = &p->now};
    p->now = (struct prune_witness){0};
    p->asked_count = 1;
    asked->redis = dial(p, addr, &asked_owner, asked);
    if (!asked->redis || !redis_command(asked->redis, on_reset, asked, "SENTINEL", "RESET",
                                        p->config->opt.master, NULL))
        run_end(p, true, "the sentinel cannot be asked");
}

/* redis_answer_fn of SET … NX. */
static void on_lock(void *ctx, const struct resp *answer)
{
    struct prune *p = ctx;
    p->node_waits -= p->node_waits > 0;
    if (p->stage != STAGE_LOCK)
        return;
    if (answer->type == RESP_STATUS) {
        p->runs++;
        p->turn = 0;
        p->name_count = p->view->witness_count;
        for (size_t i = 0; i < p->name_count; i++)
            memcpy(p->names[i], p->view->witnesses[i].name, sizeof(p->names[i]));
        turn_begin(p);
    } else if (answer->type == RESP_NIL) {
        run_end(p, true, "a watcher prunes, or has within the last hour");
    } else {
        run_end(p, true, "the master refuses the lock (a key is set there)");
    }
}

static void lock(struct prune *p)
{
    char key[FAILOVER_NAME_MAX + 16], lock_ms[16];
    struct redis *node = link_redis(p->node);
    snprintf(key, sizeof(key), "limpet:prune:%s", p->config->opt.master);
    snprintf(lock_ms, sizeof(lock_ms), "%d", (int)LOCK_MS);
    enter(p, STAGE_LOCK);
    p->node_waits++;
    if (!node ||
        !redis_command(node, on_lock, p, "SET", key, p->watcher, "NX", "PX", lock_ms, NULL))
        run_end(p, true, "the master cannot be asked for the lock");
}

/* Behind a turn: nothing may have come into doubt; the plan stays what it was. */
static void look_again(struct prune *p, const struct prune_bounds *bounds)
{
    struct prune_plan again;
    prune_plan(p->view, bounds, &again);
    if (again.doubt[0])
        run_end(p, true, again.doubt);
    else if (p->turn < p->name_count)
        turn_begin(p);
    else
        run_end(p, !nothing_to_do(&again),
                nothing_to_do(&again) ? "all sentinels have forgotten what is gone"
                                      : "a sentinel was told again of what is gone");
}

static void look_end(struct prune *p)
{
    const struct sentinel_options *opt = &p->config->opt;
    const struct prune_bounds bounds = {.after_ms = opt->prune_after_ms,
                                        .quiet_ms = opt->prune_quiet_ms};
    close_all(p);
    if (p->running && p->name_count > 0) {
        look_again(p, &bounds);
        return;
    }
    prune_plan(p->view, &bounds, &p->plan);
    p->planned = true;
    p->looked_ms = now_ms(p);
    tell_plan(p);
    bool may = p->ended_ms == 0 || now_ms(p) - p->ended_ms >= LOCK_MS;
    bool wanted = p->running || (opt->prune_mode == PRUNE_ON && may);
    if (!wanted || (nothing_to_do(&p->plan) && !p->running)) {
        enter(p, STAGE_IDLE);
        return;
    }
    p->running = true;
    p->turn = p->name_count = 0;
    if (p->plan.doubt[0])
        run_end(p, true, p->plan.doubt);
    else if (nothing_to_do(&p->plan))
        run_end(p, false, "nothing is gone");
    else
        lock(p);
}

static void relearn(struct prune *p)
{
    const char *missing = p->asked_count > 0 && all_answered(p)
                              ? prune_relearned(p->view, &p->before, &p->now, &p->plan)
                              : "it has not answered yet";
    if (!missing) {
        close_all(p);
        enter(p, STAGE_PAUSE);
        return;
    }
    if (now_ms(p) - p->stage_ms > RELEARN_MS) {
        char why[400];
        snprintf(why, sizeof(why), "ALARM: the sentinel %s was reset and has not recovered: %s",
                 p->names[p->turn], missing);
        run_end(p, true, why);
        return;
    }
    if (now_ms(p) - p->asked_ms < RELEARN_EVERY_MS)
        return;
    const struct addr *addr = addr_of(p, p->names[p->turn]);
    close_all(p);
    p->asked_ms = now_ms(p);
    p->now = (struct prune_witness){0};
    memcpy(p->now.name, p->names[p->turn], sizeof(p->now.name));
    if (addr)
        ask(p, &p->asked[p->asked_count++], addr, &p->now);
}

/* ---- time ---- */

static bool unrest(struct prune *p)
{
    const struct follower *follower = master_follower(p->master);
    bool restless = follower->state != FOLLOWER_CALM || follower->epoch != p->epoch;
    p->epoch = follower->epoch;
    if (restless)
        p->unrest_ms = now_ms(p);
    return restless;
}

static void on_tick(struct timer *timer)
{
    struct prune *p = container_of(timer, struct prune, tick);
    loop_timer_start(p->world->loop, timer, TICK_MS);
    node_follow(p);
    if (unrest(p) && p->running) {
        bool midway = p->stage == STAGE_RESET || p->stage == STAGE_RELEARN;
        run_end(p, true,
                midway ? "ALARM: the master came into doubt while a sentinel was learning again"
                       : "a failover is under way, or the master is in doubt");
        return;
    }
    switch (p->stage) {
    case STAGE_IDLE:
        if (p->config->opt.prune_mode != PRUNE_OFF && now_ms(p) - p->stage_ms >= LOOK_EVERY_MS)
            look_begin(p);
        break;
    case STAGE_LOOK:
        if (all_answered(p) || now_ms(p) - p->stage_ms > LOOK_MS)
            look_end(p);
        break;
    case STAGE_LOCK:
        if (now_ms(p) - p->stage_ms > LOOK_MS)
            run_end(p, true, "the master does not answer");
        break;
    case STAGE_RESET:
        if (now_ms(p) - p->stage_ms > LOOK_MS)
            enter(p, STAGE_RELEARN); // It may have been reset: it is seen to its end.
        break;
    case STAGE_RELEARN:
        relearn(p);
        break;
    case STAGE_PAUSE:
        if (now_ms(p) - p->stage_ms >= p->config->opt.prune_pause_ms) {
            p->turn++;
            look_begin(p);
        }
        break;
    }
}

/* ---- public ---- */

struct prune *prune_new(struct link_world *world, struct master *master, const char *watcher,
                        prune_note_fn *note, void *ctx)
{
    struct prune *p = mem_must_alloc(sizeof(*p));
    *p = (struct prune){.world = world,
                        .master = master,
                        .config = master_config(master),
                        .watcher = watcher,
                        .note = note,
                        .ctx = ctx};
    p->unrest_ms = p->stage_ms = now_ms(p);
    timer_init(&p->tick, on_tick);
    loop_timer_start(world->loop, &p->tick, TICK_MS);
    return p;
}

static void prune_bury(struct grave *grave)
{
    struct prune *p = container_of(grave, struct prune, grave);
    free(p->view);
    free(p);
}

void prune_free(struct prune *p)
{
    if (!p)
        return;
    loop_timer_stop(p->world->loop, &p->tick);
    close_all(p);
    link_free(p->node);
    p->grave.fn = prune_bury;
    loop_bury(p->world->loop, &p->grave);
}

void prune_look(struct prune *p)
{
    if (p->stage == STAGE_IDLE)
        look_begin(p);
}

const char *prune_run(struct prune *p)
{
    if (p->config->opt.prune_mode == PRUNE_OFF)
        return "prune.mode is off.";
    if (p->running)
        return "It is under way; see 'prune status'.";
    p->running = true;
    p->turn = p->name_count = 0;
    if (p->stage == STAGE_IDLE)
        look_begin(p);
    return NULL;
}

void prune_info(const struct prune *p, struct prune_info *out)
{
    *out = (struct prune_info){
        .stage = stage_words[p->stage],
        .turn = p->running && p->turn < p->name_count ? p->names[p->turn] : "",
        .plan = p->planned ? &p->plan : NULL,
        .looked_ms = p->looked_ms,
        .ended = p->ended,
        .runs = p->runs,
        .resets = p->resets,
        .aborts = p->aborts,
    };
}
