// SPDX-License-Identifier: Apache-2.0
/*
 * One malformed head behind one lock, overwritten by the next. A worker only tries the lock, so
 * that a flood of bad requests costs it a copy of at most CAPTURE_BYTES each and never a wait.
 */
#include "lb/capture.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct capture *capture_new(void)
{
    struct capture *capture = mem_must_alloc(sizeof(*capture));
    pthread_mutex_init(&capture->lock, NULL);
    return capture;
}

void capture_free(struct capture *capture)
{
    if (!capture)
        return;
    pthread_mutex_destroy(&capture->lock);
    free(capture);
}

void capture_take(struct capture *capture, const struct capture_what *what, struct span bytes)
{
    if (pthread_mutex_trylock(&capture->lock) != 0)
        return;
    capture->any = true;
    capture->what = *what;
    capture->what.total = bytes.len;
    bytes = span_upto(bytes, CAPTURE_BYTES);
    capture->len = bytes.len;
    if (bytes.len > 0)
        memcpy(capture->bytes, bytes.ptr, bytes.len);
    pthread_mutex_unlock(&capture->lock);
}

bool capture_copy(struct capture *capture, struct capture *out)
{
    pthread_mutex_lock(&capture->lock);
    bool any = capture->any;
    out->any = any;
    out->what = capture->what;
    out->len = capture->len;
    if (any)
        memcpy(out->bytes, capture->bytes, capture->len);
    pthread_mutex_unlock(&capture->lock);
    return any;
}
