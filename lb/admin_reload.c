// SPDX-License-Identifier: Apache-2.0
/* The command `reload`. Its answer is the reload's end, for which admin.c waits. */
#include "lb/admin_command.h"

void admin_reload(struct admin_caller *caller, const struct span *args, size_t count)
{
    if (!admin_unexpected(caller, args, count, 0))
        caller->reloads = true;
}
