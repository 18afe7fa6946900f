// SPDX-License-Identifier: Apache-2.0
/* TLS towards the servers of a backend, as its options say: the same ones that limpet obeys. */
#ifndef LIMPET_SENTINEL_WATCH_SECURE_H
#define LIMPET_SENTINEL_WATCH_SECURE_H

#include "base/tls.h"
#include "config/config.h"

/* A context of the backend's tls options, with its files read now. NULL: *error (from malloc) says why
 * not. */
struct tls_context *secure_backend(const struct config_backend *backend, char **error);

#endif
