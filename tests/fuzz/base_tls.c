// SPDX-License-Identifier: Apache-2.0
/*
 * What a client says first. The input is one byte, how much comes at a time (0: all at once), and
 * the bytes of a handshake; and all of it once more as a name that is looked up.
 *
 * Checked: a handshake that nobody finished is never done; every failure has words; a name leads to
 * a certificate only if that has the name, or a wildcard for the rest of it.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tls_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_context *context;
static struct shelf *shelf;

static char *read_file(const char *dir, const char *name, size_t *len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *in = fopen(path, "re");
    assert(in);
    char *bytes = mem_must_alloc(8192);
    *len = fread(bytes, 1, 8192, in);
    fclose(in);
    return bytes;
}

static void make_context(void)
{
    static const uint8_t seed[TLS_SEED_BYTES] = {7};
    char dir[] = "/tmp/limpet-fuzz-XXXXXX", command[512];
    assert(mkdtemp(dir));
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 "
             "-subj /CN=x -addext subjectAltName=DNS:chat.test,DNS:*.wild.test "
             "-keyout %s/key -out %s/cert 2>/dev/null",
             dir, dir);
    int made = system(command);
    assert(made == 0);
    struct tls_certificate certificate = {.ocsp = SPAN_NONE};
    size_t cert_len, key_len;
    char *cert = read_file(dir, "cert", &cert_len), *key = read_file(dir, "key", &key_len);
    certificate.cert = span_of(cert, cert_len);
    certificate.key = span_of(key, key_len);
    struct tls_server_options options = {
        .certificates = &certificate, .certificate_count = 1, .seed = seed, .rotate_s = 3600};
    struct tls_fault fault;
    context = tls_context_server(&options, &fault);
    assert(context);
    free(cert);
    free(key);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    made = system(command);
    assert(made == 0);
    shelf = shelf_new();
}

static void check_handshake(struct span bytes, size_t step)
{
    struct tls *tls = tls_accept(context);
    assert(tls);
    enum tls_result result = TLS_MORE;
    while (bytes.len > 0 && result == TLS_MORE) {
        struct span piece = span_upto(bytes, step > 0 ? step : bytes.len);
        if (!buf_append(shelf, &tls->raw, piece))
            break;
        bytes = span_from(bytes, piece.len);
        result = tls_handshake(tls, shelf);
    }
    assert(result != TLS_DONE); // Nobody can finish it without having seen our part.
    assert(result != TLS_FAILED || (tls->trouble != TLS_TROUBLE_NONE && tls_error(tls)[0] != '\0'));
    assert(result == TLS_FAILED || bytes.len == 0 || buf_len(&tls->raw) < BUF_MAX);
    tls_free(tls, shelf);
}

static void check_name(struct span name)
{
    if (!tls_names_find(context, name))
        return;
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    size_t dot = span_index(name, '.');
    bool exact = span_eq_nocase(name, SPAN("chat.test")) ||
                 span_eq_nocase(name, SPAN("*.wild.test"));
    bool wild = dot != SIZE_MAX && dot > 0 &&
                span_eq_nocase(span_from(name, dot), SPAN(".wild.test"));
    assert(exact || wild);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!context)
        make_context();
    if (size == 0)
        return 0;
    check_handshake(span_of((const char *)data + 1, size - 1), data[0]);
    check_name(span_of((const char *)data + 1, size - 1));
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert(stats.lent == 0);
    return 0;
}
