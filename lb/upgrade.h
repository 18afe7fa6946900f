// SPDX-License-Identifier: Apache-2.0
/*
 * A binary upgrade: one master starts another program in its place, which inherits every descriptor
 * that clients or sessions depend on, and what operators and checks have found out.
 */
#ifndef LIMPET_LB_UPGRADE_H
#define LIMPET_LB_UPGRADE_H

#include "lb/bindings.h"
#include "lb/snapshot.h"

#include <sys/types.h>

/* How this program was started: the successor is started in the same way. */
void upgrade_note_command(char **argv);

/*
 * Starts the successor. *ready: a socket on which it sends one byte when it serves, and whose end
 * says that it is gone. `states` as upgrade_write_states wrote them. -1: errno.
 */
pid_t upgrade_start(const struct bindings *bindings, struct span states, int *ready);

/* What a predecessor left, for the successor. */
struct inheritance {
    struct bindings bindings;          /* of the configuration before */
    struct config_frontend *frontends; /* whom they name */
    char **addresses;                  /* where they listen */
    size_t frontend_count;
    char *socket, *http; /* addresses of the runtime socket and admin.http */
    char *states;
    unsigned party; /* in the session tables */
    int ready;      /* to the predecessor's master */
    pid_t predecessor;
};
/* NULL: there is none, or (logged, *broken) it cannot be used. */
struct inheritance *upgrade_inherit(bool *broken);
/* What the configuration wants, out of that and anew. False: logged. */
bool upgrade_adopt(struct inheritance *inheritance, const struct config *config,
                   unsigned worker_count, struct bindings *out);
void inheritance_free(struct inheritance *inheritance);

/* States, weights, limits and health of all servers, as text; control's thread. False: no memory. */
bool upgrade_write_states(const struct snapshot *snapshot, FILE *out);
/* Before checks begin. Servers that are not configured any more are passed over. */
void upgrade_read_states(struct snapshot *snapshot, struct span states);

#endif
