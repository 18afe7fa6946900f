// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into limpet: what code that took over the serving process would try. It does so in the
 * worker that accepts the first connection, and says on stderr how each attempt ended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    char text[128];
    int n = snprintf(text, sizeof text, "intruder: %s %s\n", what,
                     result < 0 ? strerror(errno) : "worked");
    (void)!write(2, text, (size_t)n);
}

static void intrude(void)
{
    char *arguments[] = {"true", NULL};
    if (getenv("INTRUDER_SYSTEM")) {
        // The C library blocks signals around it, so the one of the sandbox kills.
        say("system", system("true") == 0 ? 0 : -1);
        return;
    }
    if (!getenv("INTRUDER_MILD")) { // What ends or doubles a process that may.
        say("execve", execve("/bin/true", arguments, NULL));
        say("fork", syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0));
        say("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
    }
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    say("unshare", unshare(CLONE_NEWUSER));
    say("kill", syscall(SYS_kill, getppid(), 0));
    say("write", open(getenv("INTRUDER_FILE"), O_WRONLY | O_CREAT, 0600));
    say("append", open("/etc/passwd", O_WRONLY | O_APPEND));
    say("read", open("/etc/hosts", O_RDONLY));
    say("internet", socket(AF_INET6, SOCK_STREAM, 0));
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    static int done;
    int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    int accepted = real(fd, addr, len, flags);
    if (accepted >= 0 && !done && getenv("INTRUDER_FILE")) {
        done = 1;
        intrude();
    }
    return accepted;
}
