// SPDX-License-Identifier: Apache-2.0
/* Environment variables inside scalars. */
#ifndef LIMPET_CONFIG_EXPAND_H
#define LIMPET_CONFIG_EXPAND_H

#include "base/span.h"

enum { EXPAND_ERROR_MAX = 256, EXPAND_BYTES_MAX = 1024 * 1024 };

/*
 * A copy of `text` with its ${VAR}, ${VAR:-default}, ${VAR:?message} and $$ replaced; the caller
 * frees it. As in a shell, ":-" and ":?" also act on an empty variable. A '$' before anything else
 * stays. NULL and a sentence in `error` when a variable is not set or a form is broken.
 */
char *expand(struct span text, char error[static EXPAND_ERROR_MAX]);

#endif
