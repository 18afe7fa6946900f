// SPDX-License-Identifier: Apache-2.0
/* Who the serving process is: process.user and process.group, dropped to after binding. */
#ifndef LIMPET_LB_IDENTITY_H
#define LIMPET_LB_IDENTITY_H

#include "config/config.h"

#include <sys/types.h>

struct identity {
    bool change; /* false: stay who we are (not root, or no user configured) */
    uid_t uid;
    gid_t gid;
};

/* Looks the names up. False: there is no such user or group (logged). */
bool identity_find(const struct process_options *options, struct identity *out);
/* Becomes it, for good. False: logged. */
bool identity_assume(const struct process_options *options);

#endif
