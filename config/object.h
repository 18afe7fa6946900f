// SPDX-License-Identifier: Apache-2.0
/*
 * One options struct being filled from mappings of the file, by the rows of its section. Remembers
 * which node gave each option, so that later checks can point at it.
 */
#ifndef LIMPET_CONFIG_OBJECT_H
#define LIMPET_CONFIG_OBJECT_H

#include "config/load.h"
#include "config/options.h"

struct object {
    const struct section *section; /* without `also` */
    void *opt;
    struct diag *diag;
    bool sealed; /* secrets are taken as they are written, variables and all */
    struct {
        const struct node *node; /* the value; NULL: the default */
        bool inherited;          /* from `defaults` */
    } from[SECTION_ROWS_MAX];    /* by row */
};

/* `opt` must be zeroed. */
void object_init(struct object *object, const struct section *section, void *opt,
                 struct diag *diag);

/*
 * Takes the options of a mapping, leaving alone what the section does not know; a later call
 * overrides an earlier one. NULL and empty nodes are fine.
 */
void object_read(struct object *object, const struct node *map, bool inherited);
/* Takes one option from a node. */
void object_set(struct object *object, const char *path, const struct node *value);

/* Fills in defaults and reports what is missing, at `place`. `what` calls it, e.g. "server 'a'". */
void object_finish(struct object *object, const struct node *place, const char *what);

/* The value node that gave this option, NULL when it has its default. */
const struct node *object_from(const struct object *object, const char *path);
bool object_inherited(const struct object *object, const char *path);

/* Forgets a text or a list as if it had never been given; it must have no default. */
void object_drop(struct object *object, const char *path);

/* Frees what the options own. */
void options_free(const struct section *section, void *opt);

/*
 * Reports the keys of a mapping that neither are the section's nor stand in `also`
 * (paths, NULL-terminated), nor begin with "x-". Looks into groups.
 */
void keys_check(struct diag *diag, const struct section *section, const struct node *map,
                const char *const *also);
/* Is this key for the file's own use ("x-…")? */
bool key_is_private(const struct node *key);

/* The scalar's text with its variables expanded; the caller frees it. NULL: a problem was reported.
 */
char *node_text(struct diag *diag, const struct node *node, const char *what);

#endif
