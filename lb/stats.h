// SPDX-License-Identifier: Apache-2.0
/*
 * What the counters say, in HAProxy's forms: show info, show stat (CSV), show table. Runs on control's thread and never stops a worker: it reads their atomics.
 */
#ifndef LIMPET_LB_STATS_H
#define LIMPET_LB_STATS_H

#include "lb/worker.h"

/* A growing text. Allocation failure is noted and the text stays cut. */
struct text {
    char *data;
    size_t len, cap;
    bool failed;
};
void text_add(struct text *text, struct span bytes);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

int64_t stats_sum(const struct serving *serving, uint16_t stat_id, enum counter id); /* over all workers */
void stats_info(struct serving *serving, struct text *out);
void stats_csv(struct serving *serving, struct text *out);
void stats_tables(struct serving *serving, struct text *out);                        /* `show table`: the head lines of all */
bool stats_table(struct serving *serving, struct span backend, struct text *out);    /* `show table B`: with entries; false: no such */

#endif
