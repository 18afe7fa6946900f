// SPDX-License-Identifier: Apache-2.0
/*
 * Logs. A line is a sentence with key=value tails: what happened, to whom, why, what we do now.
 * error = an operator must act, warning = will become one, info = a state changed, debug = per
 * exchange.
 *
 * No caller ever waits for a disk or a stopped reader: lines go into a bounded memory and a thread
 * of their own writes them; what does not fit is dropped and counted. Before log_start (and after
 * log_stop) lines are written directly.
 */
#ifndef LIMPET_BASE_LOG_H
#define LIMPET_BASE_LOG_H

#include "base/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Text: "2026-11-21T20:00:00.123Z warning: sentence key=value"; without time when stderr is the
 * journal. */
void log_setup(const char *program, enum log_level level, enum log_format format);
void log_set_level(enum log_level level); /* any time */
bool log_enabled(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Starts and stops the writing thread. log_stop writes everything that is left, for at most a
 * second. */
bool log_start(void);
void log_stop(void);

/*
 * A sink is where access lines go: stderr, a file (appended, reopened on log_reopen), or a syslog
 * address: "syslog:/dev/log", "syslog:HOST:PORT" (UDP; the line gets "<134>"). NULL with *error set
 * to a phrase when it cannot be opened.
 */
struct log_sink;
struct log_sink *log_sink_open(const char *target, const char **error);
void log_sink_close(struct log_sink *sink);
/* Whole lines, each ending with \n; never blocks, any thread. */
void log_sink_write(struct log_sink *sink, struct span lines);
/* Opens file sinks anew, after logrotate moved them. */
void log_reopen(void);
uint64_t log_dropped(void); /* lines dropped so far */

/* Escapes bytes from the network for a log line: printable ASCII without '"' and '\' stays, the
 * rest becomes \xHH. Returns the length. */
size_t log_escape(struct span bytes, char *out, size_t size);

#endif
