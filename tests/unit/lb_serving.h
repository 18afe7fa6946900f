// SPDX-License-Identifier: Apache-2.0
/* A serving process without process: one worker whose loop the test turns, no control. */
#ifndef LIMPET_TESTS_UNIT_LB_SERVING_H
#define LIMPET_TESTS_UNIT_LB_SERVING_H

#include "base/clock.h"
#include "lb/bindings.h"
#include "lb/edition.h"
#include "lb/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct config *config;
    struct bindings bindings;
    struct serving serving;
};

/* `text` is the configuration; its first listen address is served. */
static inline void fixture_open(struct fixture *f, const char *text, unsigned workers)
{
    *f = (struct fixture){0};
    struct problems problems;
    f->config = config_load_text("test", span_str(text), &problems);
    if (!f->config)
        problems_print(&problems, "test", false, stderr);
    problems_free(&problems);
    assert_non_null(f->config);
    assert_true(bindings_open(&f->bindings, f->config, workers));
    struct serving *serving = &f->serving;
    serving->config = f->config;
    serving->worker_count = workers;
    serving->max_connections = 1000;
    serving->snapshot = snapshot_new(f->config, f->bindings.table_fds, clock_mono_ms());
    assert_non_null(serving->snapshot);
    size_t bytes = workers * sizeof(struct worker);
    serving->workers = aligned_alloc(_Alignof(struct worker), bytes);
    memset((void *)serving->workers, 0, bytes);
    for (unsigned i = 0; i < workers; i++) {
        assert_true(worker_init(&serving->workers[i], serving, i));
        assert_true(worker_listen(&serving->workers[i], &serving->snapshot->frontends[0],
                                  f->bindings.list[0].id, f->bindings.list[0].fds[i]));
        f->bindings.list[0].fds[i] = -1;
    }
    signal(SIGPIPE, SIG_IGN);
}

static inline void fixture_close(struct fixture *f)
{
    for (unsigned i = 0; i < f->serving.worker_count; i++) {
        worker_order(&f->serving.workers[i], ORDER_END, 0);
        worker_settle(&f->serving.workers[i]);
    }
    for (unsigned i = 0; i < f->serving.worker_count; i++)
        worker_fini(&f->serving.workers[i]);
    editions_fini(f->serving.snapshot);
    snapshot_free(f->serving.snapshot);
    free(f->serving.workers);
    bindings_close(&f->bindings, true);
    config_free(f->config);
}

/* A client, connected with the kernel, perhaps not accepted yet. */
static inline int fixture_connect(struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct addr *addr = &f->bindings.list[0].addr;
    assert_int_equal(connect(fd, &addr->any, addr->len), 0);
    return fd;
}

/* A few turns, each waiting at most 2 ms. */
static inline void fixture_turns(struct worker *worker, int turns)
{
    for (int i = 0; i < turns; i++)
        loop_turn(&worker->loop, 2);
}

#endif
