// SPDX-License-Identifier: Apache-2.0
/* A runtime socket's other end, for the command line: sends a command, takes the answer. Blocking. */
#ifndef LIMPET_BASE_CTL_H
#define LIMPET_BASE_CTL_H

#include "base/text.h"

/* Sends a line (with its line feed) and takes the whole answer. False: errno. */
bool ctl_ask(const char *path, struct span line, int patience_s, struct text *answer);

/*
 * Sends a command, its words put together with blanks, and prints the answer. Returns the exit code:
 * 0; 1 when the answer is an error; 2 when the socket cannot be reached or breaks off. `program` is
 * for messages.
 */
int ctl_command(const char *program, const char *path, char *const *words, int count);

#endif
