// SPDX-License-Identifier: Apache-2.0
/* The running program: one loop with everything on it. */
#ifndef LIMPET_SENTINEL_WATCH_SERVICE_H
#define LIMPET_SENTINEL_WATCH_SERVICE_H

#include "base/commands.h"
#include "config/config.h"
#include "sentinel-watch/doors.h"
#include "sentinel-watch/journal.h"
#include "sentinel-watch/link.h"
#include "sentinel-watch/master.h"

struct web;

struct service {
    struct loop loop;
    struct link_world world;
    const char *file;
    char watcher[160];
    struct config *config;
    struct doors *doors;
    struct journal *journal;
    struct master **masters; /* in the configuration's order */
    size_t master_count;
    struct web *web; /* NULL: no admin.http */
    struct commands commands;
    struct console *console;  /* NULL: no admin.socket */
    struct addr http, socket; /* where they are; len 0: nowhere */
    struct io signals;
    struct timer patience; /* how long a graceful stop waits, or a reload for calm */
    bool stopping, reloading;
    int64_t began_wall_ms, began_ms;
    int64_t give_up_ms; /* of a graceful stop */
    uint64_t reloads, failed_reloads;
    char reload_error[256]; /* of the last reload, "": it was fine */
};

/* Runs until it is told to stop. Takes the configuration over. Returns the exit code. */
int service_run(const char *file, struct config *config);

struct master *service_master(const struct service *service, struct span name); /* or NULL */
/* Loads the file anew, as soon as nothing is under way. */
void service_reload(struct service *service);

#endif
