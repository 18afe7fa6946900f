// SPDX-License-Identifier: Apache-2.0
/*
 * Asks one Redis node for its ROLE, again and again, and for its run id once per connection. It is
 * the witness beside the sentinels.
 */
#ifndef LIMPET_SENTINEL_WATCH_ASKER_H
#define LIMPET_SENTINEL_WATCH_ASKER_H

#include "sentinel-watch/follower.h"
#include "sentinel-watch/link.h"

struct asker;

struct asker_options {
    struct place place; /* as it is reached from here */
    const char *username, *password;
    int64_t interval_ms; /* between an answer and the next question, and after a failure */
    int64_t timeout_ms;
};

struct asker_answer {
    enum role role;
    const char *run_id;  /* "" when not known */
    struct place master; /* of a replica: whom it follows */
    bool linked;         /* of a replica: its link to the master is up */
    int64_t offset;      /* of the replication stream */
    size_t replicas;     /* of a master */
    const char *trouble; /* why there is no role; "" */
};
/* From the loop; the asker may be freed in it. */
typedef void asker_fn(void *ctx, const struct asker_answer *answer);

struct asker *asker_new(struct link_world *world, const struct asker_options *options, asker_fn *fn,
                        void *ctx);
void asker_free(struct asker *asker); /* NULL is fine */

#endif
