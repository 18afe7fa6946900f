// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a configuration: no crash, no hang; what loads is dumped, and the dump loads to the
 * same.
 */
#include "config/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dump(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert(out);
    config_dump(config, out);
    fclose(out);
    return text;
}

static void check_dump(const struct config *config)
{
    struct problems problems;
    char *first = dump(config);
    struct config *again = config_load_text("dump", span_str(first), &problems);
    assert(again);
    char *second = dump(again);
    assert(strcmp(first, second) == 0);
    free(first);
    free(second);
    config_free(again);
    problems_free(&problems);
}

static void check_problems(const struct problems *problems)
{
    FILE *out = fopen("/dev/null", "w");
    assert(out && problems->count > 0);
    problems_print(problems, "fuzz", false, out);
    problems_print(problems, "fuzz", true, out);
    fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems;
    struct config *config = config_load_text("fuzz", span_of((const char *)data, size), &problems);
    if (config)
        check_dump(config);
    else
        check_problems(&problems);
    config_free(config);
    problems_free(&problems);
    return 0;
}
