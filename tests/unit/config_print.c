// SPDX-License-Identifier: Apache-2.0
/*
 * What config prints: the dump loads again to the same, the starter loads, and the generated files
 * in docs/ are those of this table (`LIMPET_UPDATE=1 unit_config_print` writes them anew).
 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(out);
    fclose(out);
    return text;
}

static struct config *load(const char *text)
{
    struct problems problems;
    struct config *config = config_load_text("test", span_str(text), &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    assert_non_null(config);
    problems_free(&problems);
    return config;
}

static char *dump(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_dump(config, out);
    fclose(out);
    return text;
}

/* Loads the dump of a configuration and dumps that; returns the second one. */
static char *check_dump(struct config *config)
{
    char *first = dump(config);
    struct config *again = load(first);
    char *second = dump(again);
    assert_string_equal(first, second);
    config_free(config);
    config_free(again);
    free(first);
    return second;
}

static void test_dump_of_the_examples(void **state)
{
    (void)state;
    static const char *const files[] = {"config/examples/minimal.yaml",
                                        "config/examples/full.yaml"};
    for (size_t i = 0; i < 2; i++) {
        struct problems problems;
        struct config *config = config_load_file(files[i], &problems);
        assert_non_null(config);
        free(check_dump(config));
        problems_free(&problems);
    }
}

static void test_dump_of_odd_values(void **state)
{
    (void)state;
    setenv("LIMPET_ODD", "a$$\"\\\xc2\x85\xe2\x80\xa8\xc3\xa4${X}", 1);
    char *text = check_dump(
        load("frontends:\n"
             "  \"1\": {listen: [\":8080\", \"unix:/run/x${LIMPET_ODD}\"], backend: \"-\",\n"
             "        rate_limit: {handshakes_per_ip: 5/90s}, limits: {body: 0, target: 1000}}\n"
             "  null: {listen: \":0\", routes: [{path: /, backend: \"-\"}]}\n"
             "  more: {listen: \":0\", backend: \"-\"}\n"
             "backends:\n"
             "  \"-\": {sticky: [], health: {tcp: false, interval: 90s}, slow_start: 0ms,\n"
             "        servers: {a: {address: \"h:1\"}, \"b:\": \"[::1]:2\", x-c: 1}}\n"));
    assert_non_null(
        strstr(text, "\"unix:/run/xa$$$$\\\"\\\\\\U00000085\\U00002028\xc3\xa4$${X}\""));
    assert_non_null(strstr(text, "handshakes_per_ip: 5/90s\n"));
    assert_non_null(strstr(text, "body: 0\n"));
    assert_non_null(strstr(text, "target: 1000\n"));
    assert_non_null(strstr(text, "  \"-\":\n"));
    assert_non_null(strstr(text, "sticky: []\n"));
    assert_non_null(strstr(text, "tcp: false\n"));
    assert_non_null(strstr(text, "interval: 90s\n"));
    assert_non_null(strstr(text, "slow_start: 0s\n"));
    free(text);
}

static void test_starter_loads(void **state)
{
    (void)state;
    char *text = printed(config_print_starter);
    struct config *config = load(text);
    assert_int_equal(config->frontend_count, 1);
    assert_string_equal(config->backends[0].servers[1].name, "app02");
    config_free(config);
    free(text);
}

static void check_generated(const char *path, void (*print)(FILE *out))
{
    char *expected = printed(print);
    if (getenv("LIMPET_UPDATE")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(expected, out);
        fclose(out);
    }
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t len = strlen(expected);
    char *found = calloc(1, len + 2);
    assert_int_equal(fread(found, 1, len + 1, in), len);
    assert_string_equal(found, expected);
    fclose(in);
    free(found);
    free(expected);
}

static void test_reference_is_current(void **state)
{
    (void)state;
    check_generated("docs/options.md", config_print_reference);
}

static void test_schema_is_current(void **state)
{
    (void)state;
    check_generated("docs/limpet.schema.json", config_print_schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_of_the_examples), cmocka_unit_test(test_dump_of_odd_values),
        cmocka_unit_test(test_starter_loads),        cmocka_unit_test(test_reference_is_current),
        cmocka_unit_test(test_schema_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
