// SPDX-License-Identifier: Apache-2.0
/*
 * `show table`: a backend's sid table in the form of HAProxy's stick tables. An entry's "0x…" is a
 * hash of its key: like HAProxy's pointer it only tells entries apart. The keys are whole session
 * ids, so who may see them is the caller's decision.
 */
#include "base/clock.h"
#include "base/rand.h"
#include "lb/stats.h"

#include <ctype.h>

static void table_head(const struct backend *backend, struct text *out)
{
    text_addf(out, "# table: %s, type: string, size:%zu, used:%zu\n", backend->name,
              sidmap_max(backend->sids), sidmap_used(backend->sids));
}

/* HAProxy's escapes for keys. */
void stats_add_key(struct text *out, struct span key)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.ptr[i];
        if (!isgraph(c) || c >= 0x7f)
            text_addf(out, "\\x%02x", c);
        else if (c == '\\' || c == '=' || c == '\'')
            text_addf(out, "\\%c", c);
        else
            text_add(out, span_of(key.ptr + i, 1));
    }
}

struct table_walk {
    struct backend *backend;
    struct text *out;
    struct span key; /* empty: all */
};

static bool table_entry(void *ctx, struct span sid, int server_id, int64_t expires_in_ms,
                        unsigned holds, int64_t age_ms)
{
    (void)age_ms;
    struct table_walk *walk = ctx;
    if (walk->key.len > 0 && !span_eq(walk->key, sid))
        return true;
    const struct server *owner = backend_server_by_sid_id(walk->backend, server_id);
    text_addf(walk->out, "0x%016llx: key=", (unsigned long long)hash_stable(sid));
    stats_add_key(walk->out, sid);
    text_addf(walk->out, " use=%u exp=%lld shard=0 server_id=%d server_key=%s\n", holds,
              (long long)(expires_in_ms > 0 ? expires_in_ms : 0), server_id + 1,
              owner != NULL ? owner->name : "-");
    return !walk->out->failed;
}

void stats_tables(struct serving *serving, struct text *out)
{
    const struct snapshot *snapshot = serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        if (snapshot->backends[i]->sids != NULL)
            table_head(snapshot->backends[i], out);
    }
}

bool stats_table(struct serving *serving, struct span backend, bool entries, struct span key,
                 struct text *out)
{
    const struct snapshot *snapshot = serving->snapshot;
    for (size_t i = 0; i < snapshot->backend_count; i++) {
        struct table_walk walk = {snapshot->backends[i], out, key};
        if (walk.backend->sids == NULL || !span_eq(backend, span_str(walk.backend->name)))
            continue;
        table_head(walk.backend, out);
        if (entries)
            sidmap_each(walk.backend->sids, -1, clock_mono_ms(), table_entry, &walk);
        return true;
    }
    return false;
}
