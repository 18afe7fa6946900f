// SPDX-License-Identifier: Apache-2.0
/*
 * sentinel-watch's subcommands. argv[0] is the subcommand's name. They return the exit code: 0 fine,
 * 1 configuration or usage, 2 system.
 */
#ifndef LIMPET_SENTINEL_WATCH_CLI_H
#define LIMPET_SENTINEL_WATCH_CLI_H

#include <stdbool.h>

#define SENTINEL_DEFAULT_FILE "/etc/limpet/limpet.yaml"

int cli_run(int argc, char **argv);   /* [-f FILE] */
int cli_ctl(int argc, char **argv);   /* [-f FILE] [-s SOCKET] COMMAND… */
int cli_check(int argc, char **argv); /* [-f FILE] [--offline] [--json] */

#endif
