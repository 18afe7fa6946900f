// SPDX-License-Identifier: Apache-2.0
/* End reasons: why an exchange or a flow ended. reasons.def is the one list. */
#ifndef LIMPET_LB_REASONS_H
#define LIMPET_LB_REASONS_H

#include <stdint.h>

enum end_reason {
#define END(id, word, flags, status, fault) END_##id,
#include "lb/reasons.def"
    END_REASONS
};

enum fault { FAULT_NOBODY, FAULT_CLIENT, FAULT_SERVER, FAULT_OURS };

struct end_info {
    const char *word;
    char flags[3];
    uint16_t status;
    enum fault fault;
};
extern const struct end_info end_table[END_REASONS];

#endif
