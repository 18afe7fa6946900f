// SPDX-License-Identifier: Apache-2.0
/*
 * The system calls that every byte costs, without the C library's cancellation points: in a process
 * with threads those are an atomic exchange before and another behind each call, a hundred cycles per
 * relayed message, and nobody here is ever cancelled. Results and errno as of the functions that they
 * are named after. Sanitizers see the functions themselves, whose buffers they check.
 */
#ifndef LIMPET_BASE_SYS_H
#define LIMPET_BASE_SYS_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef LIMPET_SANITIZED

#define sys_recv       recv
#define sys_send       send
#define sys_epoll_wait epoll_wait

#else

static inline ssize_t sys_recv(int fd, void *bytes, size_t size, int flags)
{
    return syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);
}

static inline ssize_t sys_send(int fd, const void *bytes, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

static inline int sys_epoll_wait(int epfd, struct epoll_event *events, int most, int timeout_ms)
{
    return (int)syscall(SYS_epoll_pwait, epfd, events, most, timeout_ms, NULL, 0);
}

#endif
#endif
