// SPDX-License-Identifier: Apache-2.0
/* Arguments, the configuration, and what to do with it. */
#include "sentinel-watch/cli.h"

#include "base/log.h"
#include "config/config.h"
#include "sentinel-watch/service.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_CONFIG = 1 };

struct arguments {
    const char *file;
    bool json;
};

/* False: said what is wrong. */
static bool parse(int argc, char **argv, bool json_allowed, struct arguments *args)
{
    *args = (struct arguments){.file = SENTINEL_DEFAULT_FILE};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0 && i + 1 < argc)
            args->file = argv[++i];
        else if (strncmp(argv[i], "-f", 2) == 0 && argv[i][2] != '\0')
            args->file = argv[i] + 2;
        else if (json_allowed && strcmp(argv[i], "--json") == 0)
            args->json = true;
        else {
            fprintf(stderr, "sentinel-watch: %s%s\nTry 'sentinel-watch --help'.\n",
                    strcmp(argv[i], "-f") == 0 ? "-f needs a file" : "unknown argument ",
                    strcmp(argv[i], "-f") == 0 ? "" : argv[i]);
            return false;
        }
    }
    return true;
}

static struct config *load(const struct arguments *args)
{
    struct problems problems;
    struct config *config = config_load_sentinel_file(args->file, &problems);
    if (!config || args->json)
        problems_print(&problems, args->file, args->json, args->json ? stdout : stderr);
    problems_free(&problems);
    return config;
}

int cli_check(int argc, char **argv)
{
    struct arguments args;
    if (!parse(argc, argv, true, &args))
        return EXIT_CONFIG;
    struct config *config = load(&args);
    if (config && !args.json)
        printf("sentinel-watch: %s is valid\n", args.file);
    int code = config ? EXIT_FINE : EXIT_CONFIG;
    config_free(config);
    return code;
}

int cli_run(int argc, char **argv)
{
    struct arguments args;
    if (!parse(argc, argv, false, &args))
        return EXIT_CONFIG;
    struct config *config = load(&args);
    if (!config)
        return EXIT_CONFIG;
    log_setup("sentinel-watch", (enum log_level)config->log.level,
              (enum log_format)config->log.format);
    return service_run(args.file, config);
}
