// SPDX-License-Identifier: Apache-2.0
/*
 * The format is HAProxy's, version 1: a line "1", a line of column names, a line per server. Of its
 * columns, these matter:
 *
 *     be_name srv_name srv_admin_state (1 maintenance, 8 drain) srv_uweight srv_iweight
 *
 * Health is not taken over: checks find out within moments, and what was true then may not be now.
 */
#include "lb/states.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4 * 1024 * 1024, MAINT_BITS = 0x01 | 0x02 | 0x04, DRAIN_BITS = 0x08 | 0x10 };

enum column { BE_NAME, SRV_NAME, ADMIN_STATE, UWEIGHT, IWEIGHT, COLUMNS };
static const char *const column_names[COLUMNS] = {"be_name", "srv_name", "srv_admin_state",
                                                  "srv_uweight", "srv_iweight"};

/* Where the columns are. False: one is missing. */
static bool columns_find(struct span head, int *places)
{
    size_t found = 0;
    if (!span_starts(head, SPAN("# ")))
        return false;
    head = span_from(head, 2);
    for (int at = 0; head.ptr; at++) {
        struct span name = span_cut(&head, ' ');
        for (int column = 0; column < COLUMNS; column++) {
            if (!span_eq(name, span_str(column_names[column])))
                continue;
            places[column] = at;
            found++;
        }
    }
    return found == COLUMNS;
}

static void server_restore(struct server *server, uint64_t state, uint64_t weight,
                           uint64_t configured)
{
    enum server_admin admin = state & MAINT_BITS   ? SERVER_MAINT
                              : state & DRAIN_BITS ? SERVER_DRAIN
                                                   : SERVER_READY;
    atomic_store(&server->admin, (int)admin);
    if (configured != (uint64_t)server->config->opt.weight || weight > 256)
        return;
    atomic_store(&server->weight, (int)weight);
    atomic_store(&server->weight_now, (int)weight * SERVER_WEIGHT_SCALE);
}

/* False: no server of ours, or not to be understood. */
static bool line_take(struct snapshot *snapshot, struct span line, const int *places)
{
    struct span value[COLUMNS] = {{0}};
    uint64_t state, weight, configured;
    for (int at = 0; line.ptr; at++) {
        struct span word = span_cut(&line, ' ');
        for (int column = 0; column < COLUMNS; column++) {
            if (places[column] == at)
                value[column] = word;
        }
    }
    struct server *server = snapshot_server(snapshot, value[BE_NAME], value[SRV_NAME]);
    if (!server || !span_to_u64(value[ADMIN_STATE], &state) ||
        !span_to_u64(value[UWEIGHT], &weight) || !span_to_u64(value[IWEIGHT], &configured))
        return false;
    server_restore(server, state, weight, configured);
    return true;
}

bool states_read(struct snapshot *snapshot, struct span text, size_t *taken)
{
    int places[COLUMNS];
    *taken = 0;
    if (!span_eq(span_trim(span_cut(&text, '\n')), SPAN("1")) ||
        !columns_find(span_trim(span_cut(&text, '\n')), places))
        return false;
    while (text.len > 0) {
        struct span line = span_trim(span_cut(&text, '\n'));
        if (line.len > 0 && line.ptr[0] != '#' && line_take(snapshot, line, places))
            ++*taken;
    }
    return true;
}

void states_load(struct snapshot *snapshot, const char *path)
{
    size_t taken = 0;
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(FILE_MAX) : NULL;
    if (!text) {
        log_warning("cannot read the servers' states, all begin ready file=%s reason=\"%s\"", path,
                    strerror(errno));
        if (file)
            fclose(file);
        return;
    }
    size_t len = fread(text, 1, FILE_MAX, file);
    fclose(file);
    if (states_read(snapshot, span_of(text, len), &taken))
        log_info("servers' states taken over file=%s servers=%zu", path, taken);
    else
        log_warning("these are no states of servers, all begin ready file=%s", path);
    free(text);
}
