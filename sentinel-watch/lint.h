// SPDX-License-Identifier: Apache-2.0
/* Looks at the sentinels and masters that a configuration names, once, and says what will go wrong. */
#ifndef LIMPET_SENTINEL_WATCH_LINT_H
#define LIMPET_SENTINEL_WATCH_LINT_H

#include "config/config.h"

/* Prints a line per finding: "error: …" for what keeps failovers from being followed, "warning: …" for
 * what makes them worse. The number of errors; -1: it could not look (errno). */
int lint_run(const struct config *config, FILE *out);

#endif
