// SPDX-License-Identifier: Apache-2.0
/* Words of the phases. */
#include "sentinel-watch/phase.h"

#include "base/mem.h"

static const char *const words[] = {
    [PHASE_NONE] = "calm", [PHASE_HOLD] = "hold",   [PHASE_SUB] = "sub",
    [PHASE_PUB] = "pub",   [PHASE_FENCE] = "fence", [PHASE_CANCEL] = "cancel",
};

const char *phase_word(enum phase phase)
{
    return words[phase];
}

bool phase_parse(struct span word, enum phase *out)
{
    for (size_t i = PHASE_HOLD; i < array_len(words); i++) {
        if (span_eq(word, span_str(words[i]))) {
            *out = (enum phase)i;
            return true;
        }
    }
    return false;
}
