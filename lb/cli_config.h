// SPDX-License-Identifier: Apache-2.0
/*
 * The subcommands that look at a configuration and serve nothing. argv[0] is the subcommand's name.
 * They return the exit code: 0 fine, 1 configuration or usage, 2 system.
 */
#ifndef LIMPET_LB_CLI_CONFIG_H
#define LIMPET_LB_CLI_CONFIG_H

#define CLI_CONFIG_DEFAULT_FILE "/etc/limpet/limpet.yaml"

/* limpet check [-f FILE] [--json] */
int cli_check(int argc, char **argv);
/* limpet config dump|schema|init|reference [-f FILE] */
int cli_config(int argc, char **argv);

#endif
