// SPDX-License-Identifier: Apache-2.0
/* `limpet ctl [-s SOCKET] COMMAND…`: sends one runtime command and prints the answer. */
#ifndef LIMPET_LB_CLI_CTL_H
#define LIMPET_LB_CLI_CTL_H

/*
 * argv[0] is "ctl". The command's words are put together with blanks. Returns the exit code: 0; 1
 * when the answer is an error, or for wrong usage; 2 when the socket cannot be reached or breaks
 * off.
 */
int cli_ctl(int argc, char **argv);

#define CTL_DEFAULT_SOCKET "/run/limpet/limpet.sock"

#endif
