// SPDX-License-Identifier: Apache-2.0
/*
 * What the counters say, in HAProxy's forms: show info, show stat (CSV), show table. Runs on
 * control's thread and never stops a worker: it reads their atomics.
 */
#ifndef LIMPET_LB_STATS_H
#define LIMPET_LB_STATS_H

#include "base/text.h"
#include "lb/worker.h"

#include <stdio.h>

int64_t stats_sum(const struct serving *serving, uint16_t stat_id,
                  enum counter id); /* over all workers */
void stats_info(struct serving *serving, struct text *out);
/* The forms of show info and show stat. */
enum stats_format_kind { STATS_PLAIN, STATS_TYPED, STATS_JSON };
struct stats_format {
    enum stats_format_kind kind;
    bool described; /* with what each field means */
};
/* Markdown tables of all keys and columns. */
void stats_info_reference(FILE *out);
void stats_columns_reference(FILE *out);
void stats_info_as(struct serving *serving, struct stats_format format, struct text *out);
void stats_csv(struct serving *serving, struct text *out);

/* HAProxy's numbers of the kinds of rows: the csv's type column, and (as bits) the filter of `show
 * stat`. */
enum stats_row_type { STATS_FRONTEND, STATS_BACKEND, STATS_SERVER };
enum { STATS_ANY = -1 };

/* Which rows. Start from STATS_ALL. */
struct stats_filter {
    struct span proxy;      /* a frontend's or backend's name; empty: any */
    int iid;                /* STATS_ANY: any */
    int types;              /* 1 << enum stats_row_type, or STATS_ANY */
    int sid;                /* of servers; STATS_ANY: any */
    bool up_only, no_maint; /* servers that are down (in maintenance) are left out */
    bool addresses;         /* show servers' addresses and cookies */
    struct stats_format format;
};
#define STATS_ALL                                                                                  \
    ((struct stats_filter){                                                                        \
        .iid = STATS_ANY, .types = STATS_ANY, .sid = STATS_ANY, .addresses = true})
void stats_csv_some(struct serving *serving, const struct stats_filter *filter, struct text *out);
bool stats_has_proxy(const struct serving *serving, struct span name);

/* `show table`: the head lines of all sid tables. */
void stats_tables(struct serving *serving, struct text *out);
/* `show table B`: the head, and the entries (with a key: that one) if wanted; false: no such
 * backend. */
bool stats_table(struct serving *serving, struct span backend, bool entries, struct span key,
                 struct text *out);
/* A key of a table, escaped. */
void stats_add_key(struct text *out, struct span key);
/* Maxima begin anew; `all`: so do counters, in the workers' next turn. */
void stats_clear(struct serving *serving, bool all);

/* A counter block's number is given to something new: it begins with nothing. */
void stats_forget(struct serving *serving, uint16_t stat_id);

/*
 * Takes the samples that rates and maxima come from. Control calls it once a second; before the
 * first call rates are 0. The samples hang on serving; stats_fini frees them.
 */
void stats_tick(struct serving *serving);
void stats_fini(struct serving *serving);

#endif
