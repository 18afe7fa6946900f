// SPDX-License-Identifier: Apache-2.0
/*
 * Another configuration on its way from the process that binds to the one that serves: its text,
 * and what was opened for it.
 */
#ifndef LIMPET_LB_PARCEL_H
#define LIMPET_LB_PARCEL_H

#include "lb/bindings.h"
#include "lb/keyring.h"
#include "lb/line.h"
#include "lb/snapshot.h"

struct parcel {
    char *text;
    size_t len;
    struct keyring *keyring;         /* NULL: what is there already goes on */
    struct snapshot_listen *listens; /* in the configuration's order; with sockets: new ones */
    size_t listen_count;
    int *table_fds; /* two per backend of the configuration; -1: known, or none */
    size_t table_count;

    int *fds; /* come so far, in that order */
    size_t fds_come, fds_due;
};

/* What is new in `next` (bindings_renew). False: errno. */
bool parcel_send(int line, struct span text, const struct bindings *next);

/* LINE_PARCEL, then LINE_FDS until parcel_complete. False: it is broken. Takes the descriptors. */
bool parcel_open(struct parcel *parcel, const struct line_message *message);
bool parcel_add(struct parcel *parcel, const struct line_message *message);
bool parcel_complete(struct parcel *parcel); /* true: listens and table_fds are filled */

/* The same within one process, with copies of the new descriptors. */
void parcel_pack(struct parcel *parcel, struct span text, const struct bindings *next);
/* Frees; closes what nobody has taken (set to -1). */
void parcel_free(struct parcel *parcel);

#endif
