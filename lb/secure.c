// SPDX-License-Identifier: Apache-2.0
/*
 * From options and files to contexts. They stand in one list: first those of all listeners, numbered
 * through all frontends in the order of the configuration, then those of the backends. Who has no TLS
 * has no context.
 */
#include "lb/secure.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct telling {
    keyring_fault_fn *fault;
    void *ctx;
};

/* ---- one context ---- */

static struct span key_of(const struct keyring *keyring, const struct config_certificate *one)
{
    return keyring_find(keyring, one->opt.key ? one->opt.key : one->opt.cert);
}

static void tell(const struct telling *telling, struct config_place place, const char *file,
                 const char *text)
{
    char message[TLS_ERROR_MAX + 320];
    snprintf(message, sizeof(message), "%s%.300s%s%s",
             file ? "certificate '" : "tls: ", file ? file : "", file ? "': " : "", text);
    telling->fault(place, message, telling->ctx);
}

/* What tickets of this listener follow from. False: the file is too short. */
static bool take_seed(const struct config_listen *listen, const struct keyring *keyring,
                      uint8_t seed[static TLS_SEED_BYTES])
{
    memcpy(seed, keyring->seed, TLS_SEED_BYTES);
    if (!listen->opt.tls_ticket_key_file)
        return true;
    return tls_seed_from(keyring_find(keyring, listen->opt.tls_ticket_key_file), seed);
}

static struct tls_context *listen_context(const struct config_frontend *frontend,
                                          const struct config_listen *listen,
                                          const struct keyring *keyring,
                                          const struct telling *telling)
{
    struct tls_fault fault;
    uint8_t seed[TLS_SEED_BYTES];
    if (!take_seed(listen, keyring, seed)) {
        tell(telling, listen->tls_place, NULL, "'ticket_key_file' needs at least 32 bytes");
        return NULL;
    }
    size_t count = listen->certificate_count;
    struct tls_certificate *certificates = mem_must_alloc(count * sizeof(*certificates));
    for (size_t i = 0; i < count; i++) {
        const struct config_certificate *one = &listen->certificates[i];
        certificates[i] = (struct tls_certificate){keyring_find(keyring, one->opt.cert),
                                                   key_of(keyring, one),
                                                   keyring_find(keyring, one->opt.ocsp)};
    }
    struct tls_server_options options = {
        .certificates = certificates,
        .certificate_count = count,
        .client_ca = keyring_find(keyring, listen->opt.tls_client_ca),
        .verify = (enum tls_verify)listen->opt.tls_client_verify,
        .only_13 = listen->opt.tls_min_version == TLS_VERSION_13,
        .ciphers = listen->opt.tls_ciphers,
        .ciphersuites = listen->opt.tls_ciphersuites,
        .seed = seed,
        .rotate_s = listen->opt.tls_tickets ? listen->opt.tls_ticket_rotation_ms / 1000 : 0,
        .realm = span_str(frontend->name),
    };
    struct tls_context *context = tls_context_server(&options, &fault);
    explicit_bzero(seed, sizeof(seed));
    free(certificates);
    if (context)
        return context;
    const struct config_certificate *blamed = fault.certificate >= 0
                                                  ? &listen->certificates[fault.certificate]
                                                  : NULL;
    tell(telling, blamed ? blamed->place : listen->tls_place, blamed ? blamed->opt.cert : NULL,
         fault.text);
    return NULL;
}

static struct tls_context *backend_context(const struct config_backend *backend,
                                           const struct keyring *keyring,
                                           const struct telling *telling)
{
    const struct backend_options *opt = &backend->opt;
    struct tls_fault fault;
    struct tls_client_options options = {
        .verify = opt->tls_verify,
        .ca = keyring_find(keyring, opt->tls_ca),
        .certificate = {.cert = keyring_find(keyring, opt->tls_cert),
                        .key = keyring_find(keyring, opt->tls_key ? opt->tls_key : opt->tls_cert)},
        .only_13 = opt->tls_min_version == TLS_VERSION_13,
    };
    struct tls_context *context = NULL;
    if (opt->tls_ca && options.ca.len == 0)
        snprintf(fault.text, sizeof(fault.text), "'ca' is an empty file");
    else
        context = tls_context_client(&options, &fault);
    if (!context)
        tell(telling, backend->tls_place, NULL, fault.text);
    return context;
}

/* ---- all ---- */

static size_t listens_of(const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->frontend_count; i++)
        count += config->frontends[i].listen_count;
    return count;
}

/* False: some could not be made, and that was told. */
static bool make_listens(const struct config *config, const struct keyring *keyring,
                         struct tls_context **out, const struct telling *telling)
{
    bool all = true;
    size_t at = 0;
    for (size_t i = 0; i < config->frontend_count; i++) {
        const struct config_frontend *frontend = &config->frontends[i];
        for (size_t k = 0; k < frontend->listen_count; k++, at++) {
            if (frontend->listens[k].certificate_count == 0)
                continue;
            out[at] = listen_context(frontend, &frontend->listens[k], keyring, telling);
            all = all && out[at];
        }
    }
    return all;
}

/* Likewise. */
static bool make_backends(const struct config *config, const struct keyring *keyring,
                          struct tls_context **out, const struct telling *telling)
{
    bool all = true;
    for (size_t i = 0; i < config->backend_count; i++) {
        if (!config->backends[i].tls)
            continue;
        out[i] = backend_context(&config->backends[i], keyring, telling);
        all = all && out[i];
    }
    return all;
}

void secure_check(const struct config *config, const struct keyring *keyring,
                  keyring_fault_fn *fault, void *ctx)
{
    struct telling telling = {fault, ctx};
    size_t listens = listens_of(config), count = listens + config->backend_count;
    struct tls_context **contexts = mem_must_alloc((count + 1) * sizeof(struct tls_context *));
    make_listens(config, keyring, contexts, &telling);
    make_backends(config, keyring, contexts + listens, &telling);
    for (size_t i = 0; i < count; i++)
        tls_context_unref(contexts[i]);
    free(contexts);
}

/* ---- the first fault as a text ---- */

struct first_fault {
    const char *file;
    char *error;
    size_t size;
};

static void note_first(struct config_place place, const char *text, void *ctx)
{
    struct first_fault *first = ctx;
    if (first->error[0] == '\0')
        snprintf(first->error, first->size, "%s:%d:%d: %s", first->file, place.line, place.column,
                 text);
}

struct keyring *secure_read(const struct config *config, const struct keyring *before, char *error,
                            size_t size)
{
    struct first_fault first = {config->file, error, size};
    error[0] = '\0';
    struct keyring *keyring = keyring_read(config, before, note_first, &first);
    if (error[0] == '\0')
        secure_check(config, keyring, note_first, &first);
    if (error[0] == '\0')
        return keyring;
    keyring_free(keyring);
    return NULL;
}

/* ---- a snapshot's ---- */

static void log_fault(struct config_place place, const char *text, void *ctx)
{
    const struct config *config = ctx;
    log_error("TLS cannot be set up file=%s line=%d reason=\"%s\"", config->file, place.line, text);
}

static void point_backends(struct snapshot *snapshot)
{
    size_t listens = listens_of(snapshot->config);
    for (size_t i = 0; i < snapshot->backend_count; i++)
        snapshot->backends[i]->tls = snapshot->tls[listens + i];
}

bool secure_snapshot(struct snapshot *snapshot, const struct keyring *keyring)
{
    const struct config *config = snapshot->config;
    struct telling telling = {log_fault, (void *)(uintptr_t)config};
    size_t listens = listens_of(config);
    snapshot->tls_count = listens + config->backend_count;
    snapshot->tls = mem_must_alloc((snapshot->tls_count + 1) * sizeof(struct tls_context *));
    bool all = make_listens(config, keyring, snapshot->tls, &telling);
    all = make_backends(config, keyring, snapshot->tls + listens, &telling) && all;
    errno = EINVAL;
    point_backends(snapshot);
    return all;
}

void secure_share(struct snapshot *snapshot, const struct snapshot *old)
{
    snapshot->tls_count = old->tls_count;
    snapshot->tls = mem_must_alloc((old->tls_count + 1) * sizeof(struct tls_context *));
    for (size_t i = 0; i < old->tls_count; i++)
        snapshot->tls[i] = old->tls[i] ? tls_context_ref(old->tls[i]) : NULL;
    point_backends(snapshot);
}

void secure_fini(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->tls_count; i++)
        tls_context_unref(snapshot->tls[i]);
    free(snapshot->tls);
    snapshot->tls = NULL;
    snapshot->tls_count = 0;
}
