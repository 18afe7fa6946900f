// SPDX-License-Identifier: Apache-2.0
/*
 * What happened lately: events of sentinels and our own decisions, in a ring, for `show events`, the
 * event stream and the log. Ids count on for ever, so that a reader that remembers the last one that
 * it has seen misses none that is still kept.
 */
#ifndef LIMPET_SENTINEL_WATCH_JOURNAL_H
#define LIMPET_SENTINEL_WATCH_JOURNAL_H

#include "base/text.h"
#include "sentinel-watch/failover.h"

enum { JOURNAL_MAX = 500, ENTRY_TEXT_MAX = 512, ENTRY_SOURCE_MAX = 64 };

enum entry_kind {
    ENTRY_EVENT,    /* a sentinel published something */
    ENTRY_STATE,    /* what the state machine says */
    ENTRY_SENTINEL, /* a sentinel is heard, or not any more */
    ENTRY_PHASE,    /* servers enter a phase */
    ENTRY_PROGRAM,  /* start, reload, stop */
    ENTRY_KINDS
};
const char *entry_word(enum entry_kind kind);

struct entry {
    uint64_t id;     /* from 1 on, without gaps */
    int64_t wall_ms; /* since 1970 */
    int64_t mono_ms; /* loop time */
    enum entry_kind kind;
    char master[FAILOVER_NAME_MAX]; /* "": none in particular */
    char source[ENTRY_SOURCE_MAX];  /* the sentinel's address; "": ourselves */
    char channel[64];               /* of an event: its name */
    int64_t skew_ms;                /* after the first sentinel that published it */
    bool warning;
    char text[ENTRY_TEXT_MAX]; /* printable ASCII */
};

struct journal;
struct journal *journal_new(void); /* never NULL */
void journal_free(struct journal *journal);

/* Called for every new entry, from inside journal_add and journal_event. */
typedef void journal_news_fn(void *ctx, const struct entry *entry);
void journal_tell(struct journal *journal, journal_news_fn *news, void *ctx);

/* Also written to the log. `master` and `source` may be NULL. */
void journal_add(struct journal *journal, int64_t now_ms, enum entry_kind kind, bool warning,
                 const char *master, const char *source, const char *text);
/* Something that a sentinel published. */
void journal_event(struct journal *journal, int64_t now_ms, const char *master, const char *source,
                   struct span channel, struct span payload);

/* The oldest entry with an id above `after`, NULL: none. */
const struct entry *journal_next(const struct journal *journal, uint64_t after);
uint64_t journal_last_id(const struct journal *journal); /* 0: none yet */

/* One JSON object, and one line for people. */
void entry_json(const struct entry *entry, struct text *out);
void entry_line(const struct entry *entry, struct text *out);

#endif
