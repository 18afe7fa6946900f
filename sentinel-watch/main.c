// SPDX-License-Identifier: Apache-2.0
/* The program: which command was asked for. */
#include "sentinel-watch/cli.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "sentinel-watch " LIMPET_VERSION ", carries a Redis Sentinel failover to Socket.IO servers\n"
    "\n"
    "usage:\n"
    "  sentinel-watch run [-f FILE]              watch, in the foreground (also: sentinel-watch -f FILE)\n"
    "  sentinel-watch check [-f FILE] [--offline] [--json]\n"
    "                                            check a configuration, and the sentinels that it names;\n"
    "                                            --offline: the file alone; --json: that, for CI\n"
    "  sentinel-watch ctl [-f FILE] [-s SOCKET] COMMAND…   send a command to a running one\n"
    "  sentinel-watch --version\n"
    "  sentinel-watch --help\n"
    "\n"
    "FILE is " SENTINEL_DEFAULT_FILE " unless given; its section 'sentinel' is read.\n"
    "Exit codes: 0 fine, 1 configuration or usage, 2 system.\n"
    "Signals: SIGTERM, SIGINT stop; SIGHUP reloads; SIGUSR1 reopens log files.\n";

static int usage_error(const char *problem, const char *what)
{
    fprintf(stderr, "sentinel-watch: %s%s\nTry 'sentinel-watch --help'.\n", problem, what);
    return 1;
}

/* --help and --version, alone or behind a command. */
static bool answer_question(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        fputs(help, stdout);
    else if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0)
        puts("sentinel-watch " LIMPET_VERSION);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return 1;
    }
    const char *command = argv[1];
    if (answer_question(command) || (argc > 2 && answer_question(argv[2])))
        return 0;
    if (strcmp(command, "check") == 0)
        return cli_check(argc - 1, argv + 1);
    if (strcmp(command, "run") == 0)
        return cli_run(argc - 1, argv + 1);
    if (strcmp(command, "ctl") == 0)
        return cli_ctl(argc - 1, argv + 1);
    if (command[0] != '-')
        return usage_error("unknown command ", command);
    return cli_run(argc, argv);
}
