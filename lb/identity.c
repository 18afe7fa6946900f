// SPDX-License-Identifier: Apache-2.0
/*
 * Dropping privileges. The order matters: supplementary groups and the group first, while we may;
 * the user last. Afterwards it must be impossible to go back, which is tried, not believed. Threads
 * share one identity, so this happens before the first is started.
 */
#include "lb/identity.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

bool identity_find(const struct process_options *options, struct identity *out)
{
    *out = (struct identity){.uid = getuid(), .gid = getgid()};
    if (geteuid() != 0 || (!options->user && !options->group))
        return true;
    if (options->user) {
        const struct passwd *user = getpwnam(options->user);
        if (!user) {
            log_error("there is no such user process.user=%s", options->user);
            return false;
        }
        out->uid = user->pw_uid;
        out->gid = user->pw_gid;
    }
    if (options->group) {
        const struct group *group = getgrnam(options->group);
        if (!group) {
            log_error("there is no such group process.group=%s", options->group);
            return false;
        }
        out->gid = group->gr_gid;
    }
    out->change = true;
    return true;
}

/* Supplementary groups: the user's own; none without a user. */
static bool groups_assume(const struct process_options *options, const struct identity *identity)
{
    if (options->user)
        return initgroups(options->user, identity->gid) == 0;
    return setgroups(1, &identity->gid) == 0;
}

bool identity_assume(const struct process_options *options)
{
    struct identity identity;
    if (!identity_find(options, &identity))
        return false;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!identity.change) {
        if (geteuid() == 0)
            log_info("running as root: process.user is not set");
        return true;
    }
    if (!groups_assume(options, &identity) || setgid(identity.gid) < 0 ||
        setuid(identity.uid) < 0) {
        log_error("cannot drop privileges uid=%u gid=%u reason=\"%s\"", (unsigned)identity.uid,
                  (unsigned)identity.gid, strerror(errno));
        return false;
    }
    if (identity.uid != 0 && setuid(0) == 0) {
        log_error("privileges came back after they were dropped uid=%u", (unsigned)identity.uid);
        return false;
    }
    return true;
}
