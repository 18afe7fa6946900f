// SPDX-License-Identifier: Apache-2.0
/*
 * PROXY headers. Checked: bytes that come one by one lead to the same, and nothing is decided before
 * it is known; what was read, written anew in both versions, reads the same.
 */
#include <assert.h>
#include <string.h>

#include "proto/proxyproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const struct proxy_header *first, size_t len, const char *text)
{
    struct proxy_header again;
    char cut = text[len - 1];
    assert(proxy_read(span_of(text, len), &again) == PROXY_OK && again.bytes == len);
    assert(proxy_read(span_of(text, len - 1), &again) == PROXY_MORE && cut == text[len - 1]);
    assert(proxy_read(span_of(text, len), &again) == PROXY_OK);
    bool known = addr_ip_bytes(&first->source).len > 0;
    assert(again.local == !known);
    if (known) {
        assert(span_eq(addr_ip_bytes(&again.source), addr_ip_bytes(&first->source)));
        assert(addr_port(&again.destination) == addr_port(&first->destination));
    }
}

static void check_rewrite(const struct proxy_header *header)
{
    char out[PROXY_WRITE_MAX];
    struct proxy_tls tls = {SPAN("TLSv1.3"), SPAN("X"), SPAN("a.example"), SPAN("me"), true};
    size_t len = proxy_write_v1(&header->source, &header->destination, out);
    check_written(header, len, out);
    len = proxy_write_v2(&header->source, &header->destination, header->tls ? &tls : NULL, out);
    check_written(header, len, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    struct proxy_header whole, part;
    enum proxy_result result = proxy_read(in, &whole);
    assert((result == PROXY_BAD) == (whole.error != NULL));
    assert(result != PROXY_OK || (whole.bytes > 0 && whole.bytes <= size));
    for (size_t n = 0; n < size && n < PROXY_HEADER_MAX; n++) {
        enum proxy_result early = proxy_read(span_upto(in, n), &part);
        if (early == PROXY_MORE)
            continue;
        assert(early == result && part.bytes == whole.bytes);
        break;
    }
    if (result == PROXY_OK && !whole.local)
        check_rewrite(&whole);
    return 0;
}
