// SPDX-License-Identifier: Apache-2.0
/* One packet per message: its first byte is the word. Descriptors travel beside it (SCM_RIGHTS). */
#include "lb/line.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(LINE_FDS_MAX * sizeof(int))];
};

bool line_send(int line, enum line_word word, struct span text, const int *fds, size_t fd_count)
{
    char first = (char)word;
    text = span_upto(text, LINE_TEXT_MAX);
    struct iovec parts[2] = {{&first, 1}, {(void *)(uintptr_t)text.ptr, text.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = text.len > 0 ? 2 : 1};
    union control_room room;
    if (fd_count > LINE_FDS_MAX) {
        errno = E2BIG;
        return false;
    }
    if (fd_count > 0) {
        memset(&room, 0, sizeof(room));
        message.msg_control = room.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(control), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(line, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

enum line_result line_receive(int line, struct line_message *out)
{
    char first = 0;
    struct iovec parts[2] = {{&first, 1}, {out->text, LINE_TEXT_MAX}};
    union control_room room;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    ssize_t got = recvmsg(line, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? LINE_NOTHING : LINE_ENDED;
    out->fd_count = 0;
    struct cmsghdr *control = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS) {
        size_t bytes = control->cmsg_len - CMSG_LEN(0);
        memcpy(out->fds, CMSG_DATA(control), bytes);
        out->fd_count = bytes / sizeof(int);
    }
    if (got == 0)
        return LINE_ENDED;
    out->word = (enum line_word)first;
    out->len = (size_t)got - 1;
    out->text[out->len] = '\0';
    return LINE_GOT;
}
