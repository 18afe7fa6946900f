// SPDX-License-Identifier: Apache-2.0
/*
 * YAML text as a tree of nodes with positions. Scalars stay text: what they mean is said by the
 * option table, never by YAML. Aliases are shared nodes, merges (`<<`) are done, keys are unique;
 * the bounds of depth and of what aliases expand to have been kept, so a walk over the tree is
 * bounded too.
 */
#ifndef LIMPET_CONFIG_LOAD_H
#define LIMPET_CONFIG_LOAD_H

#include "config/diag.h"

enum {
    LOAD_BYTES_MAX = 1024 * 1024,
    LOAD_DEPTH_MAX = 64,
    LOAD_ALIASED_MAX = 100000, /* nodes that all aliases together may stand for */
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    int line, column;    /* from 1; columns in characters */
    bool plain;          /* a scalar without quotes */
    struct span text;    /* scalar; a NUL follows */
    size_t count;        /* list, map */
    struct node **items; /* values */
    struct node **keys;  /* map: scalars, beside items */
    size_t weight;       /* nodes in it, aliases expanded */
    struct node *next;   /* of all nodes of the tree */
};

struct tree {
    struct node *root; /* NULL: nothing usable */
    struct node *all;
};

/* Problems go to `diag`. A tree with a root may come with problems (duplicate keys). tree_free it
 * in any case. */
void tree_load(struct tree *tree, struct span text, struct diag *diag);
void tree_free(struct tree *tree);

/* "admin:" with nothing behind it. */
bool node_is_empty(const struct node *node);
/* The value of a map's key, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

#endif
