// SPDX-License-Identifier: Apache-2.0
/*
 * Whose certificate does a client see? The input is one byte (bit 0: in capitals, 1: with a dot at
 * the end, 2: TLS 1.2, the rest: how much of the hello comes at a time, 0: all at once), and the
 * name that the client asks for.
 *
 * Checked: it is the certificate that a plain reading of the rules names (the exact name, else a
 * wildcard for the first label, else the first certificate), in the hello of a real client and when
 * the name is looked up.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tls_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The certificates, and their names in what openssl req takes. The first is for all others. */
static const char *const alt_names[] = {"DNS:default.test", "DNS:chat.test,DNS:*.wild.test",
                                        "DNS:a.wild.test,DNS:*.deep.wild.test",
                                        "DNS:*.chat.test,DNS:x.chat.test,DNS:localhost"};
enum { CERTIFICATES = sizeof(alt_names) / sizeof(alt_names[0]) };

static const struct {
    const char *name;
    int certificate;
} exact[] = {{"default.test", 0},     {"chat.test", 1},   {"*.wild.test", 1}, {"a.wild.test", 2},
             {"*.deep.wild.test", 2}, {"*.chat.test", 3}, {"x.chat.test", 3}, {"localhost", 3}};

static struct tls_context *context;
static SSL_CTX *client;
static struct shelf *shelf;

static struct span read_file(const char *dir, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *in = fopen(path, "re");
    assert(in);
    char *bytes = mem_must_alloc(8192);
    size_t len = fread(bytes, 1, 8192, in);
    fclose(in);
    return span_of(bytes, len);
}

static void make_certificate(const char *names, struct tls_certificate *out)
{
    char dir[] = "/tmp/limpet-fuzz-XXXXXX", command[512];
    char *made = mkdtemp(dir);
    assert(made);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 "
             "-subj /CN=x -addext subjectAltName=%s -keyout %s/key -out %s/cert 2>/dev/null",
             names, dir, dir);
    int code = system(command);
    assert(code == 0);
    *out = (struct tls_certificate){read_file(dir, "cert"), read_file(dir, "key"), SPAN_NONE};
    snprintf(command, sizeof(command), "rm -r %s", dir);
    code = system(command);
    assert(code == 0);
}

static void make_contexts(void)
{
    static const uint8_t seed[TLS_SEED_BYTES] = {7};
    struct tls_certificate certificates[CERTIFICATES];
    for (size_t i = 0; i < CERTIFICATES; i++)
        make_certificate(alt_names[i], &certificates[i]);
    struct tls_server_options options = {.certificates = certificates,
                                         .certificate_count = CERTIFICATES,
                                         .seed = seed,
                                         .rotate_s = 3600};
    struct tls_fault fault;
    context = tls_context_server(&options, &fault);
    assert(context);
    for (size_t i = 0; i < CERTIFICATES; i++) {
        free((char *)certificates[i].cert.ptr);
        free((char *)certificates[i].key.ptr);
    }
    client = SSL_CTX_new(TLS_client_method());
    assert(client);
    shelf = shelf_new();
}

/* As the rules say it; -1: nobody is called so. */
static int plainly(struct span name)
{
    char folded[256];
    if (span_ends(name, SPAN(".")))
        name.len--;
    if (name.len == 0 || name.len > 253)
        return -1;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c <= 0x20 || c >= 0x7f)
            return -1;
        folded[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    folded[name.len] = '\0';
    for (int wild = 0; wild < 2; wild++) {
        const char *text = wild ? strchr(folded, '.') : folded;
        if (!text || (wild && (text == folded || folded[0] == '*')))
            return -1;
        for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
            const char *other = exact[i].name;
            if (strcmp(text, wild && other[0] == '*' ? other + 1 : wild ? "" : other) == 0)
                return exact[i].certificate;
        }
    }
    return -1;
}

static int shown(X509 *certificate)
{
    for (size_t i = 0; i < context->identity_count; i++) {
        if (X509_cmp(certificate, context->identities[i].leaf) == 0)
            return (int)i;
    }
    return -1;
}

/* The certificate that the server chose for this hello. */
static int choose(struct span hello, size_t step)
{
    struct tls *tls = tls_accept(context);
    assert(tls);
    enum tls_result result = TLS_MORE;
    while (hello.len > 0 && result == TLS_MORE) {
        struct span piece = span_upto(hello, step > 0 ? step : hello.len);
        bool taken = buf_append(shelf, &tls->raw, piece);
        assert(taken);
        hello = span_from(hello, piece.len);
        result = tls_handshake(tls, shelf);
    }
    assert(result == TLS_MORE && buf_len(&tls->wire) > 0);
    int chosen = shown(SSL_get_certificate(tls->inside->ssl));
    tls_free(tls, shelf);
    return chosen;
}

/* False: OpenSSL's client does not ask for such a name. */
static bool ask(const char *name, int version, size_t step, int *chosen)
{
    SSL *ssl = SSL_new(client);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    assert(ssl && in && out);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    SSL_set_max_proto_version(ssl, version);
    // The macro's cast drops const.
    bool asked = SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                          (void *)(uintptr_t)name) == 1;
    if (asked) {
        SSL_do_handshake(ssl);
        char *bytes = NULL;
        long len = BIO_get_mem_data(out, &bytes);
        assert(len > 0);
        *chosen = choose(span_of(bytes, (size_t)len), step);
    }
    SSL_free(ssl);
    return asked;
}

/* The name as the client writes it: as it is, or in capitals, or with a dot at its end. */
static void check_name(struct span raw, uint8_t how)
{
    char name[300];
    int chosen, expected = plainly(raw);
    if (raw.len == 0 || raw.len > sizeof(name) - 2)
        return;
    span_to_str(raw, name, sizeof(name));
    size_t len = strlen(name);
    for (size_t i = 0; (how & 1) != 0 && i < len; i++)
        name[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32) : name[i];
    if ((how & 2) != 0 && len == raw.len && name[len - 1] != '.')
        memcpy(name + len, ".", 2);
    if (len < raw.len) // No C string has a NUL inside.
        expected = plainly(span_of(raw.ptr, len));
    int version = (how & 4) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (ask(name, version, how >> 3, &chosen))
        assert(chosen == (expected < 0 ? 0 : expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!context)
        make_contexts();
    if (size == 0)
        return 0;
    struct span raw = span_of((const char *)data + 1, size - 1);
    SSL_CTX *found = tls_names_find(context, raw);
    int expected = plainly(raw);
    assert(found ? shown(SSL_CTX_get0_certificate(found)) == expected : expected < 0);
    check_name(raw, data[0]);
    struct shelf_stats stats;
    shelf_stats(shelf, &stats);
    assert(stats.lent == 0);
    return 0;
}
