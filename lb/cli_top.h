// SPDX-License-Identifier: Apache-2.0
/* `limpet top`: a live terminal view over the runtime socket. */
#ifndef LIMPET_LB_CLI_TOP_H
#define LIMPET_LB_CLI_TOP_H

/* argv[0] is the subcommand's name. The exit code: 0, 1 usage, 2 no answer. */
int cli_top(int argc, char **argv);

#endif
