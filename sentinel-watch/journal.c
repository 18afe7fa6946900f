// SPDX-License-Identifier: Apache-2.0
/*
 * The ring, the log and the skew. Every sentinel publishes the same event in its own time; how much
 * later than the first one is found by looking back over the last seconds for the same channel, master
 * and instance (what follows a '#' is the sentinel's own). That look is over at most JOURNAL_MAX entries, and stops at the first that is too old.
 */
#include "sentinel-watch/journal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SKEW_MAX_MS = 10000 };

struct journal {
    uint64_t last_id;
    journal_news_fn *news;
    void *ctx;
    struct entry ring[JOURNAL_MAX];
};

const char *entry_word(enum entry_kind kind)
{
    static const char *const words[ENTRY_KINDS] = {
        [ENTRY_EVENT] = "event", [ENTRY_STATE] = "state",     [ENTRY_SENTINEL] = "sentinel",
        [ENTRY_PHASE] = "phase", [ENTRY_PROGRAM] = "program",
    };
    return words[kind];
}

struct journal *journal_new(void)
{
    return mem_must_alloc(sizeof(struct journal));
}

void journal_free(struct journal *journal)
{
    free(journal);
}

void journal_tell(struct journal *journal, journal_news_fn *news, void *ctx)
{
    journal->news = news;
    journal->ctx = ctx;
}

static struct entry *entry_at(const struct journal *journal, uint64_t id)
{
    return (struct entry *)(uintptr_t)&journal->ring[(id - 1) % JOURNAL_MAX];
}

static struct entry *begin(struct journal *journal, int64_t now_ms, enum entry_kind kind,
                           const char *master, const char *source)
{
    struct entry *entry = entry_at(journal, ++journal->last_id);
    *entry = (struct entry){
        .id = journal->last_id,
        .wall_ms = clock_wall_ms(),
        .mono_ms = now_ms,
        .kind = kind,
    };
    snprintf(entry->master, sizeof(entry->master), "%s", master ? master : "");
    snprintf(entry->source, sizeof(entry->source), "%s", source ? source : "");
    return entry;
}

static void finish(struct journal *journal, const struct entry *entry)
{
    struct text line = {0};
    entry_line(entry, &line);
    struct span sentence = line.failed ? SPAN("an event, for which there was no memory")
                                       : span_of(line.data, line.len);
    if (entry->warning)
        log_warning("%.*s", SPAN_ARG(sentence));
    else
        log_info("%.*s", SPAN_ARG(sentence));
    text_free(&line);
    if (journal->news)
        journal->news(journal->ctx, entry);
}

void journal_add(struct journal *journal, int64_t now_ms, enum entry_kind kind, bool warning,
                 const char *master, const char *source, const char *text)
{
    struct entry *entry = begin(journal, now_ms, kind, master, source);
    entry->warning = warning;
    snprintf(entry->text, sizeof(entry->text), "%s", text);
    for (char *c = entry->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    finish(journal, entry);
}

static bool same_occasion(const struct entry *a, const struct entry *b)
{
    size_t len = strcspn(a->text, "#");
    return b->kind == ENTRY_EVENT && strcmp(a->channel, b->channel) == 0 &&
           strcmp(a->master, b->master) == 0 && strncmp(a->text, b->text, len) == 0;
}

/* The first one to publish this event, lately. */
static int64_t skew_of(const struct journal *journal, const struct entry *entry)
{
    int64_t first_ms = entry->mono_ms;
    uint64_t oldest = journal->last_id > JOURNAL_MAX ? journal->last_id - JOURNAL_MAX + 1 : 1;
    for (uint64_t id = entry->id - 1; id >= oldest && id > 0; id--) {
        const struct entry *other = entry_at(journal, id);
        if (entry->mono_ms - other->mono_ms > SKEW_MAX_MS)
            break;
        if (!same_occasion(entry, other))
            continue;
        if (strcmp(other->source, entry->source) == 0)
            break; // Its own earlier one: another occasion.
        first_ms = other->mono_ms;
    }
    return entry->mono_ms - first_ms;
}

void journal_event(struct journal *journal, int64_t now_ms, const char *master, const char *source,
                   struct span channel, struct span payload)
{
    struct entry *entry = begin(journal, now_ms, ENTRY_EVENT, master, source);
    char name[sizeof(entry->channel)];
    size_t len = log_escape(span_upto(channel, 40), name, sizeof(name) - 1);
    span_to_str(span_of(name, len), entry->channel, sizeof(entry->channel));
    len = log_escape(span_upto(payload, 400), entry->text, sizeof(entry->text) - 1);
    entry->text[len < sizeof(entry->text) ? len : sizeof(entry->text) - 1] = '\0';
    entry->skew_ms = skew_of(journal, entry);
    finish(journal, entry);
}

const struct entry *journal_next(const struct journal *journal, uint64_t after)
{
    if (after >= journal->last_id)
        return NULL;
    uint64_t oldest = journal->last_id > JOURNAL_MAX ? journal->last_id - JOURNAL_MAX : 0;
    return entry_at(journal, (after > oldest ? after : oldest) + 1);
}

uint64_t journal_last_id(const struct journal *journal)
{
    return journal->last_id;
}

/* ---- forms ---- */

/* Texts hold printable ASCII only. */
static void add_quoted(struct text *out, const char *text)
{
    text_add(out, SPAN("\""));
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            text_add(out, SPAN("\\"));
        text_add(out, span_of(text, 1));
    }
    text_add(out, SPAN("\""));
}

static void add_time(struct text *out, int64_t wall_ms)
{
    time_t seconds = wall_ms / 1000;
    struct tm tm;
    char text[32];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    text_addf(out, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

void entry_json(const struct entry *entry, struct text *out)
{
    text_addf(out, "{\"id\":%" PRIu64 ",\"at\":\"", entry->id);
    add_time(out, entry->wall_ms);
    text_addf(out, "\",\"mono_ms\":%" PRId64 ",\"kind\":\"%s\"", entry->mono_ms,
              entry_word(entry->kind));
    if (entry->master[0]) {
        text_add(out, SPAN(",\"master\":"));
        add_quoted(out, entry->master);
    }
    if (entry->source[0]) {
        text_add(out, SPAN(",\"sentinel\":"));
        add_quoted(out, entry->source);
    }
    if (entry->kind == ENTRY_EVENT) {
        text_add(out, SPAN(",\"event\":"));
        add_quoted(out, entry->channel);
        text_addf(out, ",\"skew_ms\":%" PRId64, entry->skew_ms);
    }
    text_add(out, SPAN(",\"text\":"));
    add_quoted(out, entry->text);
    text_add(out, SPAN("}"));
}

void entry_line(const struct entry *entry, struct text *out)
{
    if (entry->kind == ENTRY_EVENT)
        text_addf(out, "a sentinel published %s payload=\"%s\" skew_ms=%" PRId64, entry->channel,
                  entry->text, entry->skew_ms);
    else
        text_addf(out, "%s", entry->text);
    if (entry->master[0])
        text_addf(out, " master=%s", entry->master);
    if (entry->source[0])
        text_addf(out, " sentinel=%s", entry->source);
}
