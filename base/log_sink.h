// SPDX-License-Identifier: Apache-2.0
/*
 * Sinks from the inside, for log_writer.c only: opening them and writing to them. Not thread-safe;
 * one thread at a time (the writer, or whoever holds its lock when there is none) uses a sink.
 */
#ifndef LIMPET_BASE_LOG_SINK_H
#define LIMPET_BASE_LOG_SINK_H

#include "base/list.h"
#include "base/log.h"
#include "base/net.h"

enum sink_kind { SINK_FILE, SINK_STREAM, SINK_SYSLOG };

struct log_sink {
    struct list node; /* in the writer's list of sinks */
    enum sink_kind kind;
    int fd;
    char *path;               /* to be opened anew by log_reopen; NULL for others */
    struct addr addr;         /* of syslog */
    bool stuck;               /* was unwritable for too long */
    bool torn;                /* the last thing written was a part of a line */
    struct log_sink *reopen;  /* next to be reopened, while on that list */
    struct log_sink *closing; /* next to be freed, likewise */
    bool reopening;
};

extern struct log_sink sink_stderr;

/* See log_sink_open. */
struct log_sink *sink_new(const char *target, const char **error);
void sink_free(struct log_sink *sink); /* not for sink_stderr */

/* Writes whole lines, waiting a second for a stopped reader at most; what it does not take is
 * dropped. */
void sink_write(struct log_sink *sink, struct span lines);
/* Opens a file anew; if that fails the old one stays in use, and false says so (errno). */
bool sink_reopen(struct log_sink *sink);

/* Counts these lines as dropped. */
void sink_count_dropped(struct span lines);

#endif
