// SPDX-License-Identifier: Apache-2.0
/* The back of the log: what log.c and log_writer.c agree on. Everybody else includes base/log.h. */
#ifndef LIMPET_BASE_LOG_WRITER_H
#define LIMPET_BASE_LOG_WRITER_H

#include "base/log.h"

/* Hands whole lines for stderr to the writer; writes them directly while there is none. */
void log_writer_stderr(struct span lines);

/* Formats one log line, with its \n, into out; returns its length. */
size_t log_line(enum log_level level, const char *message, char *out, size_t size);

/* The program's name, for syslog's tag. */
const char *log_program(void);

#endif
