// SPDX-License-Identifier: Apache-2.0
/* The arguments of `limpet ctl`. The talk itself is base/ctl. */
#include "lb/cli_ctl.h"

#include "base/ctl.h"

#include <getopt.h>
#include <stdio.h>

enum { EXIT_ERROR = 1 };

static const char usage[] = "usage: limpet ctl [-s SOCKET] COMMAND...\n"
                            "Sends a runtime command, e.g. 'show info', and prints the answer.\n"
                            "  -s, --socket SOCKET   the runtime socket (" CTL_DEFAULT_SOCKET ")\n"
                            "Exit code: 0; 1 when the answer is an error; 2 without an answer.\n";

int cli_ctl(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = CTL_DEFAULT_SOCKET;
    optind = 0;
    for (;;) {
        int option = getopt_long(argc, argv, "+s:h", options, NULL);
        if (option < 0)
            break;
        if (option == 's') {
            path = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : EXIT_ERROR;
        }
    }
    if (optind >= argc) {
        fputs(usage, stderr);
        return EXIT_ERROR;
    }
    return ctl_command("limpet", path, argv + optind, argc - optind);
}
