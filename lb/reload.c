// SPDX-License-Identifier: Apache-2.0
/*
 * Reload, the serving side.
 *
 *     master (or, without one, this thread)            control                      workers
 *       file → config, checked                            │
 *       new addresses bound, new tables made              │
 *       ── text, descriptors ────────────────────────────►│ text → config, snapshot beside the old
 *                                                         │ one, editions: may fail, then all of it
 *                                                         │ is freed again
 *                                                         │ ── from here on nothing fails ──
 *                                                         │ values that the file changed
 *                                                         │ checks go on with the new options
 *                                                         │ editions ─────────────────►│ at the top
 *                                                         │                            │ of a turn
 *       ◄───────────────── done, "Reloaded." ─────────────│◄──── adopted, by all ──────┤
 *       closes what is gone                               │                            │
 *                                                         │◄──── older editions back ──┤
 *                                                         │ freed, oldest snapshot …
 *
 * What an operator changed (weights, states, limits, addresses) stays, unless the file's value for
 * it is another than the file's value before. Servers that the file lacks leave: they get no new
 * session and no checks, and a snapshot without them follows by itself (reload_tidy) when their last
 * session is gone.
 */
#include "lb/reload.h"

#include "base/clock.h"
#include "lb/edition.h"
#include "lb/events.h"
#include "lb/operate.h"
#include "lb/secure.h"
#include "lb/stats.h"
#include "lb/upstream.h"
#include "lb/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIDY_MS = 1000, EXPIRY_MS = 86400000 /* between two looks at certificates */ };

struct reload {
    struct serving *serving;
    struct loop *loop;
    struct watch *watch;
    struct shelf *shelf;
    struct snapshot *older; /* not free yet */
    struct list waits;
    struct timer tidy;
    struct reload_status status;
    int64_t expiry_ms; /* when certificates were last looked at */
    bool over;         /* workers are being taken apart: nobody mails any more */
};

/* ---- older snapshots ---- */

static void snapshot_end(struct reload *reload, struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->server_count + backend->leaving_count; k++) {
            struct server *server = backend->servers[k];
            if (server->refs > 1)
                continue;
            log_info("a server that left the configuration is gone server=%s/%s", backend->name,
                     server->name);
            watch_forget(reload->watch, server);
        }
    }
    struct config *config = snapshot->own_config;
    editions_fini(snapshot);
    snapshot_free(snapshot);
    config_free(config);
}

static void older_free(struct reload *reload, struct snapshot *snapshot)
{
    struct snapshot **at = &reload->older;
    while (*at != snapshot)
        at = &(*at)->next;
    *at = snapshot->next;
    snapshot_end(reload, snapshot);
}

/* On control's thread: it has been through all mailboxes again. */
static void edition_came_back(struct letter *letter, void *receiver)
{
    struct edition *edition = container_of(letter, struct edition, letter);
    struct snapshot *snapshot = edition->snapshot;
    struct serving *serving = edition->worker->serving;
    (void)receiver;
    if (serving->reload->over || --snapshot->released > 0)
        return;
    older_free(serving->reload, snapshot);
}

/* On the worker's: what was mailed to it before has been delivered. */
static void edition_turn_round(struct letter *letter, void *receiver)
{
    struct worker *worker = receiver;
    letter->deliver = edition_came_back;
    mailbox_post(&worker->serving->reload->loop->mailbox, letter);
}

/* On control's thread: a worker needs it no more. */
static void edition_released(struct letter *letter, void *receiver)
{
    struct edition *edition = container_of(letter, struct edition, letter);
    struct snapshot *snapshot = edition->snapshot;
    struct serving *serving = edition->worker->serving;
    (void)receiver;
    if (serving->reload->over || ++snapshot->released < snapshot->edition_count)
        return;
    for (unsigned i = 0; i < snapshot->edition_count; i++) {
        struct edition *one = &snapshot->editions[i];
        one->letter.deliver = edition_turn_round;
        mailbox_post(&one->worker->loop.mailbox, &one->letter);
    }
}

/* serving->released: on the worker's thread. */
static void release(struct serving *serving, struct edition *edition)
{
    edition->letter.deliver = edition_released;
    mailbox_post(&serving->reload->loop->mailbox, &edition->letter);
}

/* ---- preparing: may fail ---- */

static bool prepare_listens(struct snapshot *snapshot, struct parcel *parcel)
{
    snapshot->listens = parcel->listens;
    snapshot->listen_count = parcel->listen_count;
    parcel->listens = NULL;
    parcel->listen_count = 0;
    for (size_t i = 0; i < snapshot->listen_count; i++) {
        if (snapshot->listens[i].frontend >= snapshot->frontend_count)
            return false;
    }
    return true;
}

/* Gives the sockets back to the parcel, which closes them. */
static void give_back_listens(struct snapshot *snapshot, struct parcel *parcel)
{
    parcel->listens = snapshot->listens;
    parcel->listen_count = snapshot->listen_count;
    snapshot->listens = NULL;
    snapshot->listen_count = 0;
}

/* Its own files', or, when there are none, those of before. */
static bool prepare_tls(struct snapshot *snapshot, const struct snapshot *old,
                        const struct parcel *parcel)
{
    if (parcel->keyring)
        return secure_snapshot(snapshot, parcel->keyring);
    secure_share(snapshot, old);
    return true;
}

static struct snapshot *prepare(struct reload *reload, const struct config *config,
                                struct parcel *parcel)
{
    struct serving *serving = reload->serving;
    if (parcel->table_count != 2 * config->backend_count) {
        errno = EPROTO;
        return NULL;
    }
    struct snapshot *snapshot = snapshot_renew(serving->snapshot, config, parcel->table_fds,
                                               reload->loop->now_ms);
    if (!snapshot)
        return NULL;
    bool fits = prepare_listens(snapshot, parcel);
    upstream_prepare(serving, snapshot);
    bool secure = prepare_tls(snapshot, serving->snapshot, parcel);
    if (fits && secure && editions_new(serving, snapshot))
        return snapshot;
    errno = !secure ? EINVAL : fits ? ENOMEM : EPROTO;
    give_back_listens(snapshot, parcel);
    snapshot_free(snapshot);
    return NULL;
}

/* ---- committing: cannot fail ---- */

/* Numbers of counter blocks that others may have used before. */
static void clear_counters(struct reload *reload, const struct snapshot *snapshot)
{
    struct serving *serving = reload->serving;
    for (size_t i = 0; i < snapshot->frontend_count; i++) {
        if (snapshot->frontends[i].home->refs == 1)
            stats_forget(serving, snapshot->frontends[i].stat_id);
    }
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        if (backend->home->refs == 1)
            stats_forget(serving, backend->stat_id);
        for (size_t k = 0; k < backend->server_count; k++) {
            if (backend->servers[k]->refs == 1)
                stats_forget(serving, backend->servers[k]->stat_id);
        }
    }
}

/* The file's value counts where it is another one than before. */
static void take_frontend_values(struct frontend *frontend, const struct snapshot *old)
{
    const struct frontend *before = snapshot_frontend(old, frontend->name);
    int64_t max = frontend->config->opt.max_connections;
    if (before && before->config->opt.max_connections != max)
        atomic_store(&frontend->home->max_connections, (int)max);
}

static void take_server_values(struct reload *reload, struct server *server,
                               const struct config_server *before)
{
    const struct config_server *now = server->config;
    bool back = !before; // It was leaving.
    if (back || before->opt.max_connections != now->opt.max_connections) {
        atomic_store(&server->max_connections, (int)now->opt.max_connections);
        watch_limit_changed(reload->watch, server);
    }
    if (back || before->opt.weight != now->opt.weight) {
        atomic_store(&server->weight, (int)now->opt.weight);
        watch_weight_changed(reload->watch, server);
    }
    if (!back && strcmp(before->opt.address, now->opt.address) != 0)
        watch_address_changed(reload->watch, server);
}

/* What a server was configured with before, to be compared. */
static const struct config_server *config_before(const struct snapshot *old, const char *backend,
                                                 const struct server *server)
{
    const struct backend *before = snapshot_backend(old, backend);
    return before ? backend_server_config(before, server) : NULL;
}

static void log_servers(const struct backend *backend, const struct backend *before)
{
    for (size_t i = 0; i < backend->leaving_count; i++) {
        const struct server *server = backend->servers[backend->server_count + i];
        if (before && backend_server_config(before, server))
            log_info("a server left the configuration, its sessions are served on server=%s/%s "
                     "sessions=%lld",
                     backend->name, server->name, (long long)server_load(server));
    }
}

static void take_values(struct reload *reload, const struct snapshot *old)
{
    struct snapshot *snapshot = reload->serving->snapshot;
    for (size_t i = 0; i < snapshot->frontend_count; i++)
        take_frontend_values(&snapshot->frontends[i], old);
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct backend *backend = snapshot->backends[i];
        const struct backend *before = snapshot_backend(old, backend->name);
        log_servers(backend, before);
        for (size_t k = 0; before && k < backend->server_count; k++) {
            struct server *server = backend->servers[k];
            if (backend_index_of(before, server) >= 0)
                take_server_values(reload, server, config_before(old, backend->name, server));
        }
    }
}

static void commit(struct reload *reload, struct snapshot *snapshot)
{
    struct serving *serving = reload->serving;
    struct snapshot *old = serving->snapshot;
    const struct config *before = serving->config;
    clear_counters(reload, snapshot);
    snapshot_settle(snapshot);
    serving->snapshot = snapshot;
    serving->config = snapshot->config;
    old->next = reload->older;
    reload->older = old;
    watch_change(reload->watch, reload->shelf);
    take_values(reload, old);
    if (before->process.max_connections != serving->config->process.max_connections)
        operate_max_connections(serving, 0, "reload");
    log_set_level((enum log_level)serving->config->log.level);
    for (unsigned i = 0; i < snapshot->edition_count; i++) {
        struct edition *edition = &snapshot->editions[i];
        edition->letter.deliver = worker_change_edition;
        mailbox_post(&edition->worker->loop.mailbox, &edition->letter);
    }
    // The workers have the sockets now.
    for (size_t i = 0; i < snapshot->listen_count; i++)
        serving->listen_fd_count += (int)snapshot->listens[i].fd_count;
}

/* ---- certificates ---- */

static void look_at_certificates(struct reload *reload)
{
    reload->expiry_ms = reload->loop->now_ms;
    secure_log_expiry(reload->serving->snapshot);
}

/* ---- what is said about it ---- */

/* Those that wait for this snapshot; NULL: for one that does not come. */
static void tell_waiting(struct reload *reload, const struct snapshot *snapshot)
{
    struct list told;
    list_init(&told);
    list_each_safe(node, &reload->waits)
    {
        if (container_of(node, struct reload_wait, node)->snapshot != snapshot)
            continue;
        list_remove(node);
        list_push_back(&told, node);
    }
    while (!list_empty(&told)) {
        struct reload_wait *wait = container_of(list_first(&told), struct reload_wait, node);
        list_remove(&wait->node);
        wait->done(wait, &reload->status);
    }
}

/* On control's thread. */
static void edition_adopted(struct letter *letter, void *receiver)
{
    struct edition *edition = container_of(letter, struct edition, adopted);
    struct snapshot *snapshot = edition->snapshot;
    struct reload *reload = edition->worker->serving->reload;
    (void)receiver;
    if (!reload->over && ++snapshot->adopted == snapshot->edition_count)
        tell_waiting(reload, snapshot);
}

/* serving->adopted: on the worker's thread. */
static void adopt(struct serving *serving, struct edition *edition)
{
    edition->adopted.deliver = edition_adopted;
    mailbox_post(&serving->reload->loop->mailbox, &edition->adopted);
}

void reload_refuse(struct reload *reload, const char *why)
{
    struct reload_status *status = &reload->status;
    status->failed++;
    status->tried_wall_ms = clock_wall_ms();
    status->last_failed = true;
    snprintf(status->error, sizeof(status->error), "%s", why);
    log_error("reload failed, nothing changed reason=\"%s\"", why);
    events_add(reload->serving, EVENT_RELOAD, "reload failed, nothing changed: %s", why);
    tell_waiting(reload, NULL);
}

static void note_done(struct reload *reload, size_t restarts, const char *names, int64_t began_ms)
{
    struct reload_status *status = &reload->status;
    const struct config *config = reload->serving->config;
    status->done++;
    status->last_failed = false;
    status->error[0] = '\0';
    status->loaded_wall_ms = status->tried_wall_ms = clock_wall_ms();
    snprintf(status->restart, sizeof(status->restart), "%s", names);
    log_info("configuration loaded again file=%s checksum=%016llx frontends=%zu backends=%zu "
             "took=%lldms",
             config->file, (unsigned long long)config->checksum, config->frontend_count,
             config->backend_count, (long long)(clock_mono_ms() - began_ms));
    if (restarts > 0)
        log_warning("%zu changed options need a restart, their old values stay in force "
                    "options=\"%s\"",
                    restarts, names);
    events_add(reload->serving, EVENT_RELOAD, "configuration loaded again: %s%s%s", config->file,
               restarts > 0 ? "; needs a restart: " : "", names);
    list_each(node, &reload->waits)
    {
        struct reload_wait *wait = container_of(node, struct reload_wait, node);
        if (!wait->snapshot)
            wait->snapshot = reload->serving->snapshot;
    }
}

void reload_describe(const struct problems *problems, const char *file, char *out, size_t size)
{
    if (problems->count == 0) {
        snprintf(out, size, "%s: unknown problem", file);
        return;
    }
    const struct problem *first = &problems->list[0];
    int n = first->line > 0 ? snprintf(out, size, "%s:%d:%d: %s", file, first->line, first->column,
                                       first->message)
                            : snprintf(out, size, "%s: %s", file, first->message);
    if (problems->count > 1 && n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, " (and %zu more)", problems->count - 1);
}

/* ---- the whole ---- */

bool reload_apply(struct reload *reload, struct parcel *parcel)
{
    struct serving *serving = reload->serving;
    struct problems problems;
    char text[RELOAD_ERROR_MAX];
    int64_t began_ms = clock_mono_ms();
    if (atomic_load(&serving->stopping)) {
        reload_refuse(reload, "the process is stopping");
        return false;
    }
    const char *file = serving->config->file;
    struct config *config = config_load_text(file, span_of(parcel->text, parcel->len), &problems);
    if (!config)
        reload_describe(&problems, file, text, sizeof(text));
    problems_free(&problems);
    if (!config) {
        reload_refuse(reload, text);
        return false;
    }
    char names[RELOAD_NAMES_MAX];
    size_t restarts = config_keep_restart(config, serving->config, names, sizeof(names));
    struct snapshot *snapshot = prepare(reload, config, parcel);
    if (!snapshot) {
        snprintf(text, sizeof(text), "it cannot be prepared: %s", strerror(errno));
        config_free(config);
        reload_refuse(reload, text);
        return false;
    }
    snapshot->own_config = config;
    commit(reload, snapshot);
    note_done(reload, restarts, names, began_ms);
    look_at_certificates(reload);
    return true;
}

bool reload_alone(struct reload *reload, struct bindings *bindings)
{
    const char *file = reload->serving->config->file;
    struct problems problems;
    char why[RELOAD_ERROR_MAX] = "";
    size_t len;
    char *text = config_read_file(file, &len, &problems);
    struct config *config = text ? config_load_text(file, span_of(text, len), &problems) : NULL;
    if (!config)
        reload_describe(&problems, file, why, sizeof(why));
    problems_free(&problems);
    struct bindings next;
    bool bound = config && bindings_renew(&next, bindings, config);
    if (config && !bound)
        snprintf(why, sizeof(why), "%s", next.error);
    bool done = false;
    if (bound) {
        struct parcel parcel;
        parcel_pack(&parcel, span_of(text, len), &next);
        done = reload_apply(reload, &parcel);
        parcel_free(&parcel);
        if (done) {
            // Names in them lead into a configuration that stays.
            bindings_point_at(&next, reload->serving->config);
            bindings_commit(bindings, &next);
            bindings_close_listeners(bindings); // Copies: the workers have theirs.
        } else {
            bindings_rollback(&next);
        }
    } else {
        reload_refuse(reload, why);
    }
    config_free(config);
    free(text);
    return done;
}

/* ---- servers that have left ---- */

static bool has_done_leaving(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        const struct backend *backend = snapshot->backends[i];
        for (size_t k = 0; k < backend->leaving_count; k++) {
            if (!server_in_use(backend->servers[backend->server_count + k]))
                return true;
        }
    }
    return false;
}

/* The same configuration without servers that nobody needs any more. */
static void tidy_up(struct reload *reload)
{
    struct snapshot *old = reload->serving->snapshot;
    const struct config *config = old->config;
    struct parcel parcel = {.table_count = 2 * config->backend_count};
    parcel.table_fds = mem_must_alloc(parcel.table_count * sizeof(int) + 1);
    for (size_t i = 0; i < parcel.table_count; i++)
        parcel.table_fds[i] = -1;
    parcel.listen_count = old->listen_count;
    parcel.listens = mem_must_alloc((old->listen_count + 1) * sizeof(*parcel.listens));
    for (size_t i = 0; i < old->listen_count; i++)
        parcel.listens[i] = (struct snapshot_listen){.id = old->listens[i].id,
                                                     .frontend = old->listens[i].frontend};
    struct snapshot *snapshot = prepare(reload, config, &parcel);
    if (snapshot) {
        snapshot->own_config = old->own_config;
        if (old->own_config)
            old->own_config->shared++;
        commit(reload, snapshot);
    }
    parcel_free(&parcel);
}

static void reload_tidy(struct timer *timer)
{
    struct reload *reload = container_of(timer, struct reload, tidy);
    bool stopping = atomic_load(&reload->serving->stopping);
    if (!stopping && has_done_leaving(reload->serving->snapshot))
        tidy_up(reload);
    if (!stopping && reload->loop->now_ms - reload->expiry_ms >= EXPIRY_MS)
        look_at_certificates(reload);
    if (!stopping)
        loop_timer_start(reload->loop, timer, TIDY_MS);
}

/* ---- life ---- */

struct reload *reload_new(struct serving *serving, struct loop *loop, struct watch *watch,
                          struct shelf *shelf)
{
    struct reload *reload = mem_must_alloc(sizeof(*reload));
    reload->serving = serving;
    reload->loop = loop;
    reload->watch = watch;
    reload->shelf = shelf;
    reload->status.loaded_wall_ms = clock_wall_ms();
    list_init(&reload->waits);
    timer_init(&reload->tidy, reload_tidy);
    loop_timer_start(loop, &reload->tidy, TIDY_MS);
    look_at_certificates(reload);
    serving->reload = reload;
    serving->reload_status = &reload->status;
    serving->adopted = adopt;
    serving->released = release;
    return reload;
}

void reload_end(struct reload *reload)
{
    reload->over = true;
    loop_timer_stop(reload->loop, &reload->tidy);
}

void reload_free(struct reload *reload)
{
    while (reload->older)
        older_free(reload, reload->older);
    free(reload);
}

const struct reload_status *reload_status(const struct reload *reload)
{
    return &reload->status;
}

void reload_await(struct reload *reload, struct reload_wait *wait)
{
    wait->snapshot = NULL;
    list_push_back(&reload->waits, &wait->node);
}

void reload_forget(struct reload_wait *wait)
{
    list_remove(&wait->node);
}
