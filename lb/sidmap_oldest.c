// SPDX-License-Identifier: Apache-2.0
/*
 * Which sessions leave first: the oldest entries of one server, for control, and their marks.
 *
 * A walk keeps the `max` oldest in a heap whose root is the youngest of them, so that its cost
 * beyond looking at every slot is small and its memory bounded, whatever the table holds. Each
 * shard is locked on its own, as by sidmap_each; entries that come meanwhile are young.
 */
#include "lb/sidmap_shard.h"

struct oldest {
    struct sid_name *list; /* a heap, the youngest at its root */
    size_t count, max;
};

static void sift_down(struct sid_name *list, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && list[child + 1].created_ms > list[child].created_ms)
            child++;
        if (child >= count || list[child].created_ms <= list[at].created_ms)
            return;
        struct sid_name other = list[child];
        list[child] = list[at];
        list[at] = other;
        at = child;
    }
}

static void oldest_add(struct oldest *oldest, const struct sid_name *name)
{
    struct sid_name *list = oldest->list;
    if (oldest->count == oldest->max) {
        if (name->created_ms < list[0].created_ms) {
            list[0] = *name;
            sift_down(list, oldest->count, 0);
        }
        return;
    }
    size_t at = oldest->count++;
    for (; at > 0 && list[(at - 1) / 2].created_ms < name->created_ms; at = (at - 1) / 2)
        list[at] = list[(at - 1) / 2];
    list[at] = *name;
}

/* The heap becomes a list, the oldest first. */
static void oldest_sort(struct oldest *oldest)
{
    struct sid_name *list = oldest->list;
    for (size_t count = oldest->count; count > 1; count--) {
        struct sid_name youngest = list[0];
        list[0] = list[count - 1];
        list[count - 1] = youngest;
        sift_down(list, count - 1, 0);
    }
}

static bool moves(const struct slot *slot, int server_id, int64_t now_ms)
{
    return slot_is_entry(slot) && slot->server == (uint32_t)server_id && !slot->kick &&
           (slot_holds(slot) > 0 || slot_expires(slot) > now_ms);
}

size_t sidmap_oldest(struct sidmap *map, int server_id, int64_t now_ms, struct sid_name *out,
                     size_t max)
{
    struct oldest oldest = {.list = out, .max = max};
    if (max == 0)
        return 0;
    for (uint32_t i = 0; i < map->table->shard_count; i++) {
        struct shard shard = shard_view(map->table, i);
        shard_lock(&shard);
        for (uint32_t at = 0; at < shard.head->high; at++) {
            const struct slot *slot = &shard.slots[at];
            if (!moves(slot, server_id, now_ms))
                continue;
            struct sid_name name = {i, at, slot->generation, slot_created(slot)};
            oldest_add(&oldest, &name);
        }
        shard_unlock(&shard);
    }
    oldest_sort(&oldest);
    return oldest.count;
}

bool sidmap_mark_named(struct sidmap *map, const struct sid_name *name, int server_id, bool *held)
{
    struct shard shard = shard_view(map->table, name->shard);
    shard_lock(&shard);
    struct slot *slot = &shard.slots[name->slot];
    bool ok = slot_is_entry(slot) && slot->generation == name->generation &&
              slot->server == (uint32_t)server_id && !slot->kick;
    if (ok) {
        slot->kick = 1;
        *held = slot_holds(slot) > 0;
    }
    shard_unlock(&shard);
    return ok;
}

bool sidmap_marked(struct sidmap *map, const struct sid_hold *hold)
{
    if (!hold->held)
        return false;
    struct shard shard = shard_view(map->table, hold->shard);
    shard_lock(&shard);
    const struct slot *slot = &shard.slots[hold->slot];
    bool marked = slot_is_entry(slot) && slot->generation == hold->generation && slot->kick;
    shard_unlock(&shard);
    return marked;
}
