// SPDX-License-Identifier: Apache-2.0
/*
 * Collecting problems while one text is being loaded: each with its position, each once, in any
 * order; diag_finish sorts them. And the "did you mean" of unknown words.
 */
#ifndef LIMPET_CONFIG_DIAG_H
#define LIMPET_CONFIG_DIAG_H

#include "config/config.h"

struct node;

enum {
    DIAG_PROBLEMS_MAX = 100, /* further ones are counted only */
    DIAG_QUOTE_MAX = 60,     /* bytes of the file that a message repeats */
};

struct diag {
    struct problems *problems;
    struct span text; /* the file, for source lines; must outlive the diag */
    size_t dropped;
};

void diag_init(struct diag *diag, struct problems *problems, struct span text);
/* Sorts by position and says how many problems are not shown. */
void diag_finish(struct diag *diag);

/* Line 0: the file as a whole. */
void diag_add(struct diag *diag, int line, int column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* At the first character of a node. */
void diag_at(struct diag *diag, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Position of a byte of the text, counted as libyaml counts. */
void diag_locate(struct span text, size_t offset, int *line, int *column);

/* For "%.*s": at most DIAG_QUOTE_MAX bytes, cut between characters. */
struct span diag_quote(struct span text);

/* The candidate that a mistyped word most likely means; "" when none is near. */
enum {
    SUGGESTION_MAX = 40,        /* bytes; longer words get no suggestion */
    SUGGESTION_TRIES_MAX = 500, /* candidates that are looked at */
};
struct suggestion {
    struct span word;
    char best[SUGGESTION_MAX + 1];
    size_t distance; /* of best */
    size_t tried;
};
void suggestion_init(struct suggestion *suggestion, struct span word);
void suggestion_try(struct suggestion *suggestion, const char *candidate);

#endif
