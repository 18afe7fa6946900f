// SPDX-License-Identifier: Apache-2.0
/* Arguments, the configuration, and what to do with it. */
#include "sentinel-watch/cli.h"

#include "base/ctl.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "sentinel-watch/lint.h"
#include "sentinel-watch/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_CONFIG = 1, EXIT_SYSTEM = 2 };

struct arguments {
    const char *file;
    bool json;
    bool offline; /* the file alone */
};

/* False: said what is wrong. */
static bool parse(int argc, char **argv, bool checking, struct arguments *args)
{
    *args = (struct arguments){.file = SENTINEL_DEFAULT_FILE};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0 && i + 1 < argc)
            args->file = argv[++i];
        else if (strncmp(argv[i], "-f", 2) == 0 && argv[i][2] != '\0')
            args->file = argv[i] + 2;
        else if (checking && strcmp(argv[i], "--json") == 0)
            args->json = true;
        else if (checking && strcmp(argv[i], "--offline") == 0)
            args->offline = true;
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

/* What is wrong with the sentinels themselves. */
static int check_live(const struct config *config, const char *file)
{
    log_setup("sentinel-watch", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    int errors = lint_run(config, stdout);
    if (errors < 0) {
        fprintf(stderr, "sentinel-watch: cannot look at the sentinels: %s\n", strerror(errno));
        return EXIT_SYSTEM;
    }
    printf("sentinel-watch: %s is valid; %d error%s in the set-up\n", file, errors,
           errors == 1 ? "" : "s");
    return errors > 0 ? EXIT_CONFIG : EXIT_FINE;
}

int cli_check(int argc, char **argv)
{
    struct arguments args;
    if (!parse(argc, argv, true, &args))
        return EXIT_CONFIG;
    struct config *config = load(&args);
    int code = config ? EXIT_FINE : EXIT_CONFIG;
    if (config && args.offline && !args.json)
        printf("sentinel-watch: %s is valid\n", args.file);
    else if (config && !args.json)
        code = check_live(config, args.file);
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

/* The file's runtime socket; NULL: said why. From malloc. */
static char *socket_of(const struct arguments *args)
{
    struct config *config = load(args);
    char *path = NULL;
    for (size_t i = 0; config && i < config->sentinel_count && !path; i++)
        if (config->sentinels[i].opt.admin_socket)
            path = mem_must_copy(config->sentinels[i].opt.admin_socket);
    if (config && !path)
        fprintf(stderr, "sentinel-watch ctl: %s gives no admin.socket\n", args->file);
    config_free(config);
    return path;
}

int cli_ctl(int argc, char **argv)
{
    struct arguments args = {.file = SENTINEL_DEFAULT_FILE};
    const char *given = NULL;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "-f") == 0)
            args.file = argv[i + 1];
        else if (strcmp(argv[i], "-s") == 0)
            given = argv[i + 1];
        else
            break;
    }
    if (i >= argc || argv[i][0] == '-') {
        fputs("usage: sentinel-watch ctl [-f FILE] [-s SOCKET] COMMAND...\n", stderr);
        return EXIT_CONFIG;
    }
    char *path = given ? mem_must_copy(given) : socket_of(&args);
    int code = path ? ctl_command("sentinel-watch", path, argv + i, argc - i) : EXIT_CONFIG;
    free(path);
    return code;
}
