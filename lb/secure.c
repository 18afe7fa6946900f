// SPDX-License-Identifier: Apache-2.0
/*
 * From options and files to contexts. They stand in one list: first those of all listeners, numbered
 * through all frontends in the order of the configuration, then those of the backends. Who has no TLS
 * has no context.
 */
#include "lb/secure.h"

#include "base/clock.h"
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

/* ---- certificates ---- */

struct visiting {
    const char *owner;
    secure_certificate_fn *visit;
    void *ctx;
};

static void visit_one(const struct visiting *visiting, const struct tls_context *context, size_t i,
                      const char *file)
{
    struct secure_certificate one = {.owner = visiting->owner, .file = file};
    tls_context_certificate(context, i, &one.info);
    visiting->visit(&one, visiting->ctx);
}

/* Does an earlier listener of the frontend, or this one, show this file already? */
static bool is_repeated(const struct config_frontend *frontend, size_t listen, size_t n)
{
    const char *file = frontend->listens[listen].certificates[n].opt.cert;
    for (size_t i = 0; i <= listen; i++) {
        const struct config_listen *one = &frontend->listens[i];
        size_t end = i == listen ? n : one->certificate_count;
        for (size_t k = 0; k < end; k++) {
            if (strcmp(one->certificates[k].opt.cert, file) == 0)
                return true;
        }
    }
    return false;
}

/* Each once. `contexts` as in a snapshot; those that could not be made are NULL. */
static void each_certificate(const struct config *config, struct tls_context *const *contexts,
                             secure_certificate_fn *visit, void *ctx)
{
    struct visiting visiting = {.visit = visit, .ctx = ctx};
    for (size_t i = 0; i < config->frontend_count; i++) {
        const struct config_frontend *frontend = &config->frontends[i];
        visiting.owner = frontend->name;
        for (size_t k = 0; k < frontend->listen_count; k++, contexts++) {
            for (size_t n = 0; *contexts && n < tls_context_certificates(*contexts); n++) {
                if (!is_repeated(frontend, k, n))
                    visit_one(&visiting, *contexts, n,
                              frontend->listens[k].certificates[n].opt.cert);
            }
        }
    }
    for (size_t i = 0; i < config->backend_count; i++, contexts++) {
        visiting.owner = config->backends[i].name;
        for (size_t n = 0; *contexts && n < tls_context_certificates(*contexts); n++)
            visit_one(&visiting, *contexts, n, config->backends[i].opt.tls_cert);
    }
}

int64_t secure_days_left(const struct secure_certificate *certificate, int64_t now_wall_ms)
{
    enum { DAY_S = 86400 };
    int64_t left_s = certificate->info.expires_s - now_wall_ms / 1000;
    return left_s >= 0 ? left_s / DAY_S : -1 - (-left_s) / DAY_S;
}

char *secure_expiry_text(int64_t days, char out[static 48])
{
    int64_t n = days >= 0 ? days : -days - 1;
    const char *s = n == 1 ? "" : "s";
    if (days >= 0)
        snprintf(out, 48, "expires in %lld day%s", (long long)n, s);
    else
        snprintf(out, 48, "expired %lld day%s ago", (long long)n, s);
    return out;
}

void secure_check(const struct config *config, const struct keyring *keyring,
                  keyring_fault_fn *fault, secure_certificate_fn *shown, void *ctx)
{
    struct telling telling = {fault, ctx};
    size_t listens = listens_of(config), count = listens + config->backend_count;
    struct tls_context **contexts = mem_must_alloc((count + 1) * sizeof(struct tls_context *));
    make_listens(config, keyring, contexts, &telling);
    make_backends(config, keyring, contexts + listens, &telling);
    if (shown)
        each_certificate(config, contexts, shown, ctx);
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
        secure_check(config, keyring, note_first, NULL, &first);
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

void secure_each(const struct snapshot *snapshot, secure_certificate_fn *visit, void *ctx)
{
    if (snapshot->tls)
        each_certificate(snapshot->config, snapshot->tls, visit, ctx);
}

static void log_one(const struct secure_certificate *certificate, void *ctx)
{
    char text[48];
    int64_t days = secure_days_left(certificate, clock_wall_ms());
    int64_t staple_s = certificate->info.staple_ends_s;
    (void)ctx;
    if (days < SECURE_SOON_DAYS)
        log_warning("a certificate %s, renew it and reload file=%s name=%s kind=%s of=%s",
                    secure_expiry_text(days, text), certificate->file, certificate->info.name,
                    certificate->info.kind, certificate->owner);
    if (staple_s != 0 && staple_s < clock_wall_ms() / 1000)
        log_warning("an OCSP response has ended and is not shown, fetch another one and reload "
                    "certificate=%s of=%s",
                    certificate->file, certificate->owner);
}

void secure_log_expiry(const struct snapshot *snapshot)
{
    secure_each(snapshot, log_one, NULL);
}

void secure_fini(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->tls_count; i++)
        tls_context_unref(snapshot->tls[i]);
    free(snapshot->tls);
    snapshot->tls = NULL;
    snapshot->tls_count = 0;
}
