// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into limpet: calls on stream sockets do less than they could, as they may. The first
 * LIMPET_SHORT_IO bytes (20000) of each direction of a connection pass one at a time, later ones in pieces
 * of at most 8 KiB. One call in eight does nothing: EINTR, or EAGAIN where the caller does not wait;
 * accept4 and epoll_wait are interrupted now and then, too.
 *
 * A caller that asks epoll for edges takes a short count for "that was all", and is right: the kernel
 * would not have stopped early. So after such a call the descriptor is noted with epoll anew, which
 * tells of what is still there, as if it had come only now.
 *
 * io_uring is refused: what goes through it cannot be made to do less.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { FDS = 65536, PIECE = 8192, DEFAULT_FIRST = 20000 };

/* What is known of a descriptor. One thread at a time uses it. */
static struct known {
    _Atomic int epfd; /* + 1; 0: none */
    struct epoll_event event;
    _Atomic size_t received, sent;
} known[FDS];

static size_t first = DEFAULT_FIRST;

__attribute__((constructor)) static void short_io_open(void)
{
    const char *text = getenv("LIMPET_SHORT_IO");
    if (text != NULL && *text != '\0')
        first = strtoull(text, NULL, 10);
}

/* ---- the real calls ---- */

static long raw(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    result = x0;
#endif
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

#define RAW(number, a, b, c, d, e, f)                                                              \
    raw(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* ---- chance ---- */

static bool chance(unsigned one_in)
{
    static __thread unsigned long long state;
    if (state == 0)
        state = 88172645463325252ULL ^ (unsigned long long)&state;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 20) % one_in == 0;
}

/* ---- descriptors ---- */

/* Standard error is left alone: lines of several processes stay whole only when each is one call. */
static bool stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;
    int before = errno;
    bool yes = fd > 2 && fd < FDS &&
               RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len, 0) == 0 &&
               type == SOCK_STREAM;
    errno = before;
    return yes;
}

static void note_anew(int fd)
{
    int before = errno;
    int epfd = known[fd].epfd - 1;
    struct epoll_event event = known[fd].event;
    if (epfd >= 0)
        RAW(SYS_epoll_ctl, epfd, EPOLL_CTL_MOD, fd, &event, 0, 0);
    errno = before;
}

static bool waits(int fd, int flags)
{
    return !(flags & MSG_DONTWAIT) &&
           !(RAW(SYS_fcntl, fd, 3 /* F_GETFL */, 0, 0, 0, 0) & 04000 /* O_NONBLOCK */);
}

/* Does this call do nothing at all? */
static bool refused(int fd, int flags)
{
    if (!chance(8))
        return false;
    bool interrupted = waits(fd, flags) || chance(2);
    if (!interrupted)
        note_anew(fd);
    errno = interrupted ? EINTR : EAGAIN;
    return true;
}

static size_t share(_Atomic size_t *done, size_t wanted)
{
    size_t most = *done < first ? 1 : PIECE;
    return wanted < most ? wanted : most;
}

/* A call that moved `moved` bytes of what it was let, when it wanted more. */
static ssize_t moved(int fd, _Atomic size_t *done, size_t wanted, size_t let, ssize_t bytes)
{
    if (bytes > 0)
        *done += (size_t)bytes;
    if (let < wanted && bytes == (ssize_t)let)
        note_anew(fd);
    return bytes;
}

static size_t total(const struct iovec *iov, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* The front of a gathering call, `let` bytes at most, as one piece. */
static struct iovec front(const struct iovec *iov, size_t count, size_t let)
{
    size_t i = 0;
    while (i + 1 < count && iov[i].iov_len == 0)
        i++;
    struct iovec one = iov[i];
    if (one.iov_len > let)
        one.iov_len = let;
    return one;
}

/* ---- receiving and sending ---- */

static ssize_t receive(int fd, void *bytes, size_t size, int flags, void *from, void *from_len)
{
    if (size == 0 || flags & (MSG_PEEK | MSG_OOB) || !stream(fd))
        return RAW(SYS_recvfrom, fd, bytes, size, flags, from, from_len);
    if (refused(fd, flags))
        return -1;
    size_t let = share(&known[fd].received, size);
    return moved(fd, &known[fd].received, size, let,
                 RAW(SYS_recvfrom, fd, bytes, let, flags, from, from_len));
}

static ssize_t transmit(int fd, const void *bytes, size_t size, int flags, const void *to,
                        long to_len)
{
    if (size == 0 || !stream(fd))
        return RAW(SYS_sendto, fd, bytes, size, flags, to, to_len);
    if (refused(fd, flags))
        return -1;
    size_t let = share(&known[fd].sent, size);
    return moved(fd, &known[fd].sent, size, let,
                 RAW(SYS_sendto, fd, bytes, let, flags, to, to_len));
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    return receive(fd, bytes, size, flags, NULL, NULL);
}

ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *len)
{
    return receive(fd, bytes, size, flags, from, len);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    return transmit(fd, bytes, size, flags, NULL, 0);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
               socklen_t len)
{
    return transmit(fd, bytes, size, flags, to, len);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    return stream(fd) ? receive(fd, bytes, size, 0, NULL, NULL)
                      : RAW(SYS_read, fd, bytes, size, 0, 0, 0);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return stream(fd) ? transmit(fd, bytes, size, 0, NULL, 0)
                      : RAW(SYS_write, fd, bytes, size, 0, 0, 0);
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
    if (!stream(fd) || total(iov, (size_t)count) == 0)
        return RAW(SYS_readv, fd, iov, count, 0, 0, 0);
    struct iovec one = front(iov, (size_t)count, PIECE);
    return receive(fd, one.iov_base, one.iov_len, 0, NULL, NULL);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    return stream(fd) ? sendmsg(fd, &message, 0) : RAW(SYS_writev, fd, iov, count, 0, 0, 0);
}

/* Those with descriptors in them are left alone. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t wanted = total(message->msg_iov, message->msg_iovlen);
    if (wanted == 0 || message->msg_controllen > 0 || !stream(fd))
        return RAW(SYS_sendmsg, fd, message, flags, 0, 0, 0);
    if (refused(fd, flags))
        return -1;
    struct iovec one = front(message->msg_iov, message->msg_iovlen, share(&known[fd].sent, wanted));
    return moved(fd, &known[fd].sent, wanted, one.iov_len,
                 RAW(SYS_sendto, fd, one.iov_base, one.iov_len, flags, message->msg_name,
                     message->msg_namelen));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return RAW(SYS_recvmsg, fd, message, flags, 0, 0, 0);
}

/* ---- epoll, and what comes in ---- */

struct io_uring;
int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    (void)entries, (void)ring, (void)flags;
    return -EPERM;
}

int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
    if (fd >= 0 && fd < FDS) {
        if (operation == EPOLL_CTL_ADD)
            known[fd].received = known[fd].sent = 0;
        if (operation != EPOLL_CTL_DEL && event != NULL)
            known[fd].event = *event;
        known[fd].epfd = operation == EPOLL_CTL_DEL ? 0 : epfd + 1;
    }
    return (int)RAW(SYS_epoll_ctl, epfd, operation, fd, event, 0, 0);
}

static int interrupted(unsigned one_in)
{
    if (!chance(one_in))
        return 0;
    errno = EINTR;
    return -1;
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
    return interrupted(32) < 0 ? -1
                               : (int)RAW(SYS_epoll_pwait, epfd, events, most, timeout, NULL, 0);
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    return interrupted(8) < 0 ? -1 : (int)RAW(SYS_accept4, fd, from, len, flags, 0, 0);
}

/* What goes past the functions above. */
long syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long);
    long d = va_arg(args, long), e = va_arg(args, long), f = va_arg(args, long);
    va_end(args);
    if (number == SYS_recvfrom)
        return receive((int)a, (void *)b, (size_t)c, (int)d, (void *)e, (void *)f);
    if (number == SYS_sendto)
        return transmit((int)a, (const void *)b, (size_t)c, (int)d, (const void *)e, f);
    if (number == SYS_epoll_pwait && interrupted(32) < 0)
        return -1;
    return raw(number, a, b, c, d, e, f);
}
