// SPDX-License-Identifier: Apache-2.0
/*
 * Another configuration for a running process, all of it or nothing: everything is prepared beside
 * what runs, and only when nothing can fail any more do the workers hear of it. On control's thread.
 */
#ifndef LIMPET_LB_RELOAD_H
#define LIMPET_LB_RELOAD_H

#include "lb/parcel.h"
#include "lb/worker.h"

struct watch;
struct reload;

enum { RELOAD_ERROR_MAX = 512, RELOAD_NAMES_MAX = 512 };

/* For `show info`, metrics, dashboard. */
struct reload_status {
    uint64_t done, failed;          /* reloads */
    int64_t loaded_wall_ms;         /* what is in force now, since when */
    int64_t tried_wall_ms;          /* the last reload, done or failed; 0: none yet */
    bool last_failed;               /* that one */
    char error[RELOAD_ERROR_MAX];   /* of the last one that failed; "" once one was done since */
    char restart[RELOAD_NAMES_MAX]; /* options whose new values wait for a restart */
};

struct reload *reload_new(struct serving *serving, struct loop *loop, struct watch *watch,
                          struct shelf *shelf);
/* The workers are about to be taken apart: nothing is mailed to them any more. */
void reload_end(struct reload *reload);
/* When all workers are taken apart, before watch_free: older snapshots go. */
void reload_free(struct reload *reload);
const struct reload_status *reload_status(const struct reload *reload);

/* The configuration of a parcel is in force when this returns true, and its descriptors are taken;
 * else nothing has changed and the status says why. */
bool reload_apply(struct reload *reload, struct parcel *parcel);
/* Somebody else (the master) found out why not. */
void reload_refuse(struct reload *reload, const char *why);
/* Without a master: reads the file, binds, applies. */
bool reload_alone(struct reload *reload, struct bindings *bindings);

/* Somebody waits for the end of the reload that has been asked for: it failed, or every worker goes by
 * the new configuration. `done` comes once, from the loop; reload_forget: it shall not. */
struct reload_wait {
    struct list node;
    const struct snapshot *snapshot; /* what came of it; NULL: nothing yet */
    void (*done)(struct reload_wait *wait, const struct reload_status *status);
};
void reload_await(struct reload *reload, struct reload_wait *wait);
void reload_forget(struct reload_wait *wait);

/* The first problem of a file as one line: file:line:column: message. */
void reload_describe(const struct problems *problems, const char *file, char *out, size_t size);

#endif
