// SPDX-License-Identifier: Apache-2.0
/*
 * The answer to a signal. Checked: every text in an answer that was taken ends with its NUL within
 * its bound, the id written again reads as the same, and white space around the answer changes
 * nothing, while a byte behind it does.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentinel-watch/ack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(const struct ack *ack)
{
    assert(memchr(ack->master, '\0', sizeof(ack->master)));
    assert(memchr(ack->connected_to, '\0', sizeof(ack->connected_to)));
    assert(memchr(ack->role, '\0', sizeof(ack->role)));
    assert(memchr(ack->run_id, '\0', sizeof(ack->run_id)));
    assert(ack->phase > PHASE_NONE && ack->phase <= PHASE_CANCEL);
    char id[FAILOVER_ID_MAX], master[FAILOVER_NAME_MAX];
    uint64_t generation, epoch;
    int len = snprintf(id, sizeof(id), "%s:%" PRIu64 ":%" PRIu64, ack->master, ack->generation,
                       ack->epoch);
    assert(failover_id_parse(span_of(id, (size_t)len), master, &generation, &epoch));
    assert(strcmp(master, ack->master) == 0);
    assert(generation == ack->generation && epoch == ack->epoch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ack ack, again;
    if (size == 0 || size + 3 > ACK_BYTES_MAX)
        return 0;
    char *copy = malloc(size + 3);
    assert(copy != NULL);
    if (ack_parse(span_of((const char *)data, size), &ack) == NULL) {
        check_texts(&ack);
        copy[0] = '\n';
        memcpy(copy + 1, data, size);
        copy[size + 1] = '\t';
        copy[size + 2] = '0';
        assert(ack_parse(span_of(copy, size + 2), &again) == NULL);
        assert(again.epoch == ack.epoch && strcmp(again.run_id, ack.run_id) == 0);
        assert(ack_parse(span_of(copy, size + 3), &again) != NULL);
    }
    free(copy);
    return 0;
}
