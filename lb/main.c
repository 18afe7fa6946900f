// SPDX-License-Identifier: Apache-2.0
/* The program: which command was asked for, and the balancer itself. */
#include "base/log.h"
#include "base/mem.h"
#include "base/tls.h"
#include "lb/cli_config.h"
#include "lb/cli_ctl.h"
#include "lb/cli_top.h"
#include "lb/master.h"
#include "lb/serving.h"
#include "lb/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE CLI_CONFIG_DEFAULT_FILE

static const char help[] =
    "limpet " LIMPET_VERSION ", a balancer for Socket.IO\n"
    "\n"
    "usage:\n"
    "  limpet run [-f FILE]              run the balancer, in the foreground (also: limpet -f FILE)\n"
    "  limpet check [-f FILE] [--json]   check a configuration (also: limpet -t -f FILE, -c)\n"
    "  limpet config dump [-f FILE]      print the effective configuration, with defaults\n"
    "  limpet config schema              print the JSON Schema of the configuration\n"
    "  limpet config init                print a commented starter file\n"
    "  limpet ctl [-s SOCKET] COMMAND…   send a command to a running limpet\n"
    "  limpet top [-s SOCKET]            live view of servers, transports and rates\n"
    "  limpet --version\n"
    "  limpet --help\n"
    "\n"
    "FILE is " DEFAULT_FILE " unless given.\n"
    "Exit codes: 0 fine, 1 configuration or usage, 2 system.\n"
    "Signals: SIGTERM, SIGINT stop gracefully, a second one now; SIGHUP reloads; SIGUSR1\n"
    "reopens log files; SIGUSR2 upgrades the executable.\n";

static int usage_error(const char *problem, const char *what)
{
    fprintf(stderr, "limpet: %s%s\nTry 'limpet --help'.\n", problem, what);
    return 1;
}

/* limpet run [-f FILE]; argv[0] is the command's name. */
static int run(int argc, char **argv)
{
    const char *file = DEFAULT_FILE;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0 && i + 1 < argc)
            file = argv[++i];
        else if (strcmp(argv[i], "-f") == 0)
            return usage_error("-f needs a file", "");
        else if (strncmp(argv[i], "-f", 2) == 0)
            file = argv[i] + 2;
        else
            return usage_error("unknown argument ", argv[i]);
    }
    tls_keep_blocks();
    struct problems problems;
    struct config *config = config_load_file(file, &problems);
    int code = 1;
    if (config) {
        log_setup("limpet", (enum log_level)config->log.level, (enum log_format)config->log.format);
        serving_raise_descriptors();
        code = master_run(config);
    } else {
        problems_print(&problems, file, false, stderr);
    }
    config_free(config);
    problems_free(&problems);
    return code;
}

/* Is this old spelling of `check` among the options? Takes it out. */
static bool take_check_flag(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "-t") != 0 && strcmp(argv[i], "-c") != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i - 1) * sizeof(*argv));
        (*argc)--;
        return true;
    }
    return false;
}

static bool is_either(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

/* --help and --version, alone or behind a command. */
static bool answer_question(const char *word)
{
    if (is_either(word, "--help", "-h"))
        fputs(help, stdout);
    else if (is_either(word, "--version", "-v"))
        puts("limpet " LIMPET_VERSION);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    upgrade_note_command(argv);
    if (argc < 2) {
        fputs(help, stderr);
        return 1;
    }
    const char *command = argv[1];
    if (answer_question(command) || (argc > 2 && answer_question(argv[2])))
        return 0;
    if (strcmp(command, "help") == 0)
        return answer_question("--help") ? 0 : 1;
    if (strcmp(command, "run") == 0)
        return run(argc - 1, argv + 1);
    if (strcmp(command, "check") == 0)
        return cli_check(argc - 1, argv + 1);
    if (strcmp(command, "config") == 0)
        return cli_config(argc - 1, argv + 1);
    if (strcmp(command, "ctl") == 0)
        return cli_ctl(argc - 1, argv + 1);
    if (strcmp(command, "top") == 0)
        return cli_top(argc - 1, argv + 1);
    if (command[0] != '-')
        return usage_error("unknown command ", command);
    // No command, only options: `run` or, in the old spelling, `check`.
    if (take_check_flag(&argc, argv))
        return cli_check(argc, argv);
    return run(argc, argv);
}
