// SPDX-License-Identifier: Apache-2.0
/*
 * A ring of the last max_fails failure times: full, and its oldest no older than fail_timeout,
 * means max_fails failures within fail_timeout, for every window and not only for those of a fixed
 * grid.
 *
 * The floor is there because live traffic is weak evidence: one poisonous request that every server
 * answers badly, or our own broken network, must not empty a backend.
 */
#include "health/passive.h"

#include "base/mem.h"

#include <stdlib.h>

void passive_init(struct passive *passive, int64_t max_fails, int64_t fail_timeout_ms)
{
    *passive = (struct passive){.fail_timeout_ms = fail_timeout_ms, .trial_until_ms = INT64_MIN};
    if (max_fails <= 0)
        return;
    passive->size = (size_t)max_fails;
    passive->times_ms = mem_must_alloc(passive->size * sizeof(*passive->times_ms));
}

void passive_fini(struct passive *passive)
{
    free(passive->times_ms);
    *passive = (struct passive){0};
}

bool passive_note(struct passive *passive, int64_t now_ms)
{
    if (passive->size == 0)
        return false;
    passive->times_ms[passive->next] = now_ms;
    passive->next = (passive->next + 1) % passive->size;
    if (passive->count < passive->size)
        passive->count++;
    if (now_ms < passive->trial_until_ms)
        return true;
    int64_t oldest_ms = passive->times_ms[passive->next];
    return passive->count == passive->size && now_ms - oldest_ms <= passive->fail_timeout_ms;
}

void passive_clear(struct passive *passive)
{
    passive->next = passive->count = 0;
    passive->trial_until_ms = INT64_MIN;
}

void passive_try(struct passive *passive, int64_t now_ms)
{
    passive_clear(passive);
    passive->trial_until_ms = now_ms + passive->fail_timeout_ms;
}

bool passive_floor_allows(size_t total, size_t up)
{
    return up > (total + 1) / 2;
}
