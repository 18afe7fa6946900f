// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct ring {
    struct io_uring uring;
    unsigned queued;
};

/* Only this from here on. By number, since the library of Debian 12 does not export its own functions
 * for it. 0 or -errno. */
static int ring_restrict(const struct io_uring *uring)
{
    struct io_uring_restriction only = {
        .opcode = IORING_RESTRICTION_SQE_OP,
        .sqe_op = IORING_OP_RECV,
    };
    unsigned fd = (unsigned)uring->ring_fd;
    int error = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, &only, 1);
    return error < 0 ? error : io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Does it do what is asked of it: bytes where there are some, and no waiting where there are none? */
static bool ring_works(struct ring *ring)
{
    int pair[2], some = 0, none = 0;
    char bytes[2] = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    bool works = write(pair[0], "x", 1) == 1;
    ring_recv(ring, pair[1], &bytes[0], 1, &some);
    ring_recv(ring, pair[1], &bytes[1], 1, &none);
    works = ring_run(ring) && works && some == 1 && bytes[0] == 'x' && none == -EAGAIN;
    close(pair[0]);
    close(pair[1]);
    return works;
}

struct ring *ring_new(void)
{
    struct ring *ring = mem_must_alloc(sizeof(*ring));
    int error = io_uring_queue_init(RING_SIZE, &ring->uring, IORING_SETUP_R_DISABLED);
    if (error == 0) {
        error = ring_restrict(&ring->uring);
        if (error == 0 && ring_works(ring))
            return ring;
        io_uring_queue_exit(&ring->uring);
    }
    free(ring);
    errno = error ? -error : ENOTSUP;
    return NULL;
}

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

void ring_recv(struct ring *ring, int fd, void *bytes, size_t size, int *result)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    assert(sqe);
    io_uring_prep_recv(sqe, fd, bytes, size, MSG_DONTWAIT);
    io_uring_sqe_set_data(sqe, result);
    *result = RING_NOT_DONE;
    ring->queued++;
}

bool ring_run(struct ring *ring)
{
    unsigned queued = ring->queued, done = 0;
    int submitted;
    do
        submitted = io_uring_submit(&ring->uring);
    while (submitted == -EINTR);
    ring->queued = 0;
    struct io_uring_cqe *cqe;
    // All have ended by now; should one not have, it must not write behind our back.
    while ((int)done < submitted && io_uring_wait_cqe(&ring->uring, &cqe) == 0) {
        int *result = io_uring_cqe_get_data(cqe);
        *result = cqe->res;
        io_uring_cqe_seen(&ring->uring, cqe);
        done++;
    }
    return done == queued;
}
