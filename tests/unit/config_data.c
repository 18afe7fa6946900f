// SPDX-License-Identifier: Apache-2.0
/*
 * Files with mistakes: each config_data/NAME.yaml must give exactly the problems of NAME.expected,
 * one per line as LINE:COLUMN: MESSAGE. `LIMPET_UPDATE=1 unit_config_data` writes the expectations
 * anew, to be read before they are committed. And the examples, which must have none.
 */
#include "config/config.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATA     "tests/unit/config_data"
#define EXAMPLES "config/examples"

static char *read_all(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    FILE *out = open_memstream(&text, &len);
    for (int c = getc(in); c != EOF; c = getc(in))
        putc(c, out);
    fclose(in);
    fclose(out);
    return text;
}

static char *problems_of(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    struct problems problems;
    struct config *config = config_load_file(path, &problems);
    FILE *out = open_memstream(&text, &len);
    for (size_t i = 0; i < problems.count; i++)
        fprintf(out, "%d:%d: %s\n", problems.list[i].line, problems.list[i].column,
                problems.list[i].message);
    fclose(out);
    assert_true((config == NULL) == (problems.count > 0));
    config_free(config);
    problems_free(&problems);
    return text;
}

static void check_bad_file(const char *name)
{
    char path[512], expected_path[512];
    snprintf(path, sizeof path, "%s/%s", DATA, name);
    snprintf(expected_path, sizeof expected_path, "%s/%.*s.expected", DATA,
             (int)(strlen(name) - strlen(".yaml")), name);
    char *found = problems_of(path);
    if (getenv("LIMPET_UPDATE")) {
        FILE *out = fopen(expected_path, "w");
        fputs(found, out);
        fclose(out);
    }
    char *expected = read_all(expected_path);
    assert_string_not_equal(expected, "");
    if (strcmp(found, expected) != 0)
        print_message("%s\n", path);
    assert_string_equal(found, expected);
    free(found);
    free(expected);
}

static void check_good_file(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", EXAMPLES, name);
    char *found = problems_of(path);
    assert_string_equal(found, "");
    free(found);
}

static size_t each_file(const char *directory, void (*check)(const char *name))
{
    size_t count = 0;
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!span_ends(span_str(entry->d_name), SPAN(".yaml")))
            continue;
        check(entry->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static void test_bad_files(void **state)
{
    (void)state;
    setenv("LIMPET_TEST_SET", "nobody", 1);
    setenv("LIMPET_TEST_EMPTY", "", 1);
    unsetenv("LIMPET_TEST_UNSET");
    assert_true(each_file(DATA, check_bad_file) >= 18);
}

static void test_examples(void **state)
{
    (void)state;
    unsetenv("GAMES_SERVER");
    assert_true(each_file(EXAMPLES, check_good_file) >= 2);
}

static void test_nine_mistakes_have_nine_positions(void **state)
{
    (void)state;
    struct problems problems;
    assert_null(config_load_file(DATA "/nine-mistakes.yaml", &problems));
    assert_int_equal(problems.count, 9);
    for (size_t i = 1; i < problems.count; i++)
        assert_true(problems.list[i - 1].line < problems.list[i].line);
    problems_free(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_nine_mistakes_have_nine_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
