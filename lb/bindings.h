// SPDX-License-Identifier: Apache-2.0
/*
 * The descriptors that outlive a serving process: listening sockets, the runtime socket, and the
 * sid tables' memory. Opened once by the process that keeps the privileges; every serving process
 * that it starts, also the one after a crash, gets the same ones.
 */
#ifndef LIMPET_LB_BINDINGS_H
#define LIMPET_LB_BINDINGS_H

#include "config/config.h"

#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/* One listen address: a socket per worker (a unix socket: copies of one). */
struct binding {
    const struct config_frontend *frontend;
    size_t frontend_index;
    const char *address;            /* as configured; the configuration's */
    char *name, *inherited_address; /* lb/upgrade: while there is no configuration */
    unsigned id;      /* what the workers' listeners know it by, also after a reload */
    struct addr addr; /* as bound: port 0 has become a real one */
    int *fds; /* worker i's are i, i + worker_count, …; -1: closed, or taken by a worker */
    size_t fd_count;
    bool kept; /* in bindings_renew's result: the sockets are those of the bindings before */
};

/* A path that a unix socket was bound to, and what it led to then: removed at the end only if it
 * still does. */
struct bound_path {
    char *path;
    dev_t device;
    ino_t inode;
    struct timespec changed; /* inode numbers come back at once */
};

struct bindings {
    char error[256];  /* why bindings_open or _renew said no */
    unsigned last_id; /* of a binding */
    struct binding *list;
    size_t count;
    unsigned worker_count;
    int admin_fd;                       /* -1: no runtime socket */
    const char *admin_path, *http_text; /* as configured */
    int http_fd;                        /* of admin.http; -1: none */
    struct addr http_addr;              /* as bound */
    struct keyring *keyring;            /* of the same configuration */
    int *table_fds;     /* two per backend: sids, cookies (-1: does not learn any) */
    bool *tables_kept;  /* as `kept` */
    char **table_names; /* per backend */
    size_t table_count;
    char *states;    /* lb/upgrade: of servers, from a predecessor; NULL: none */
    int predecessor; /* its pid while it drains, else 0 */
    struct bound_path *paths;
    size_t path_count;
};

/* Binds everything. False: the reason has been logged, and what was opened is closed again. */
bool bindings_open(struct bindings *bindings, const struct config *config, unsigned worker_count);

/*
 * What another configuration wants, in its order: what is open already is shared with `now`, only
 * the rest is bound and made. False: `now` is as it was, next->error says why. Then one of:
 *   commit    `now` closes what `next` does not have, and becomes it
 *   rollback  `next` closes what `now` does not have
 */
bool bindings_renew(struct bindings *next, struct bindings *now, const struct config *config);
void bindings_commit(struct bindings *now, struct bindings *next);
/* The same configuration in other memory: names lead there from now on. */
void bindings_point_at(struct bindings *bindings, const struct config *config);
void bindings_rollback(struct bindings *next);

/* For a successor (lb/upgrade). The runtime socket and admin.http that a predecessor had at these
 * addresses (NULL: none) stay if the configuration wants them there. False: logged. */
bool bindings_adopt_admin(struct bindings *bindings, const struct config *config,
                          const char *socket, const char *http);
/* A socket for each worker, when the predecessor had fewer. False: logged. */
bool bindings_widen(struct bindings *bindings);

/* Nobody is accepted any more: closes the listening sockets (and removes their paths). The runtime
 * socket stays. */
void bindings_close_listeners(struct bindings *bindings);
/* Closes all. `remove_paths`: also removes the unix sockets' names; for the process that bound
 * them. */
void bindings_close(struct bindings *bindings, bool remove_paths);
/* " main=127.0.0.1:8080 … admin.socket=/run/…" */
void bindings_print(const struct bindings *bindings, const struct config *config, FILE *out);

#endif
