// SPDX-License-Identifier: Apache-2.0
/*
 * `limpet check` and `limpet config`. Problems go to stderr as text, or to stdout as JSON; what was
 * asked for goes to stdout, so that it can be redirected.
 */
#include "lb/cli_config.h"

#include "base/clock.h"
#include "lb/secure.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_SYSTEM = 2 };

static const char check_usage[] =
    "usage: limpet check [-f FILE] [--json]\n"
    "Checks a configuration and reports every problem with its position. FILE is\n" CLI_CONFIG_DEFAULT_FILE
    " unless given, - is stdin. --json reports to stdout, for CI.\n";

static const char config_usage[] =
    "usage: limpet config dump [-f FILE]     the effective configuration, with defaults\n"
    "       limpet config schema             its JSON Schema (draft 7)\n"
    "       limpet config init [-f FILE]     a commented starter file, to FILE if given\n"
    "       limpet config reference          every option, as Markdown\n";

struct arguments {
    const char *file; /* NULL: not given */
    bool json, help, bad;
    const char *word; /* the argument that is no option, NULL: none */
};

static struct arguments parse(int argc, char **argv, bool json_allowed)
{
    static const struct option options[] = {
        {"file", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct arguments args = {0};
    optind = 0; /* main has used getopt before */
    for (;;) {
        int c = getopt_long(argc, argv, "f:h", options, NULL);
        if (c == -1)
            break;
        if (c == 'f')
            args.file = optarg;
        args.json = args.json || c == 'j';
        args.help = args.help || c == 'h';
        args.bad = args.bad || c == '?' || (c == 'j' && !json_allowed);
    }
    args.word = optind < argc ? argv[optind++] : NULL;
    args.bad = args.bad || optind < argc;
    return args;
}

static int usage(const char *text, bool asked)
{
    fputs(text, asked ? stdout : stderr);
    return asked ? EXIT_FINE : EXIT_CONFIG;
}

/* What was printed must have arrived: a full disk is not a success. */
static int finish(FILE *out)
{
    if (fflush(out) == 0 && !ferror(out))
        return EXIT_FINE;
    fprintf(stderr, "limpet: cannot write: %s\n", strerror(errno));
    return EXIT_SYSTEM;
}

/* json: problems of the file go to stdout; when there are none, that is left to what follows. */
static struct config *load(const char *file, bool json)
{
    struct problems problems;
    struct config *config = config_load_file(file, &problems);
    if (!config)
        problems_print(&problems, file, json, json ? stdout : stderr);
    problems_free(&problems);
    return config;
}

struct checking {
    struct problems problems;
    char *text;
    size_t len;
};

static void add_fault(struct config_place place, const char *text, void *ctx)
{
    struct checking *checking = ctx;
    problems_add(&checking->problems, span_of(checking->text, checking->len), place, text);
}

static void print_certificate(const struct secure_certificate *certificate, void *ctx)
{
    char text[48];
    int64_t days = secure_days_left(certificate, clock_wall_ms());
    (void)ctx;
    printf("limpet: %s%s (%s, %s, of %s) %s\n", days < SECURE_SOON_DAYS ? "attention: " : "",
           certificate->file, certificate->info.name, certificate->info.kind, certificate->owner,
           secure_expiry_text(days, text));
}

/* Keys and certificates: what is in the files, not only their names. False: printed. */
static bool check_certificates(const struct config *config, const char *file, bool json)
{
    struct checking checking = {0};
    struct problems unread = {0};
    if (strcmp(file, "-") != 0) // stdin was read to its end before.
        checking.text = config_read_file(file, &checking.len, &unread);
    problems_free(&unread);
    struct keyring *keyring = keyring_read(config, NULL, add_fault, &checking);
    if (checking.problems.count == 0)
        secure_check(config, keyring, add_fault, json ? NULL : print_certificate, &checking);
    bool good = checking.problems.count == 0;
    if (!good || json)
        problems_print(&checking.problems, file, json, json ? stdout : stderr);
    problems_free(&checking.problems);
    keyring_free(keyring);
    free(checking.text);
    return good;
}

int cli_check(int argc, char **argv)
{
    struct arguments args = parse(argc, argv, true);
    if (args.help)
        return usage(check_usage, true);
    if (args.bad || args.word)
        return usage(check_usage, false);
    const char *file = args.file ? args.file : CLI_CONFIG_DEFAULT_FILE;
    struct config *config = load(file, args.json);
    bool good = config && check_certificates(config, file, args.json);
    int code = good ? EXIT_FINE : EXIT_CONFIG;
    if (good && !args.json)
        printf("limpet: %s is valid\n", file);
    config_free(config);
    int written = finish(stdout);
    return code != EXIT_FINE ? code : written;
}

static int config_dump_file(const char *file)
{
    struct config *config = load(file ? file : CLI_CONFIG_DEFAULT_FILE, false);
    if (!config)
        return EXIT_CONFIG;
    config_dump(config, stdout);
    config_free(config);
    return finish(stdout);
}

/* Never over a file that is there. */
static int config_init(const char *file)
{
    if (!file) {
        config_print_starter(stdout);
        return finish(stdout);
    }
    FILE *out = fopen(file, "wxe");
    if (!out) {
        fprintf(stderr, "limpet: %s: %s\n", file, strerror(errno));
        return EXIT_SYSTEM;
    }
    config_print_starter(out);
    int code = finish(out);
    fclose(out);
    return code;
}

int cli_config(int argc, char **argv)
{
    struct arguments args = parse(argc, argv, false);
    if (args.help)
        return usage(config_usage, true);
    if (args.bad || !args.word)
        return usage(config_usage, false);
    if (strcmp(args.word, "dump") == 0)
        return config_dump_file(args.file);
    if (strcmp(args.word, "init") == 0)
        return config_init(args.file);
    bool schema = strcmp(args.word, "schema") == 0;
    if (args.file || (!schema && strcmp(args.word, "reference") != 0))
        return usage(config_usage, false);
    if (schema)
        config_print_schema(stdout);
    else
        config_print_reference(stdout);
    return finish(stdout);
}
