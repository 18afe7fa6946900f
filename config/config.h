// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration: YAML text in, one checked and immutable snapshot out, or every problem at once
 * with its position. options.def is the only list of options; the structs below get their fields
 * from it.
 *
 * Ownership: a struct config owns everything that it points to; nothing changes after config_load.
 */
#ifndef LIMPET_CONFIG_CONFIG_H
#define LIMPET_CONFIG_CONFIG_H

#include "base/net.h"
#include "base/span.h"

#include <stdio.h>

struct rate {
    int64_t events; /* 0 = no limit */
    int64_t per_ms;
};

struct status_range {
    uint16_t from, to; /* both included */
};

/* An entry of a mapping of texts. */
struct pair {
    char *from, *to;
};

#include "config/fields.h"

/* How a server is checked, worked out from the health.* options. */
enum health_kind { HEALTH_NONE, HEALTH_TCP, HEALTH_HTTP, HEALTH_ENGINEIO };

/* Where something stands in the file, for what can be said about it only later. */
struct config_place {
    int line, column;
};

struct config_certificate {
    struct certificate_options opt;
    struct config_place place;
};

struct config_listen {
    struct listen_options opt;
    struct endpoint endpoint;
    struct config_certificate *certificates;
    size_t certificate_count;      /* 0: without TLS */
    struct config_place tls_place; /* of its tls */
};

struct config_route {
    struct route_options opt;
    size_t backend; /* index in config.backends */
};

struct config_frontend {
    char *name;
    struct frontend_options opt;
    struct config_listen *listens;
    size_t listen_count;
    struct config_route *routes;
    size_t route_count;
    ptrdiff_t backend; /* index in config.backends, -1: none; what no route names is answered 404 */
};

struct config_server {
    char *name;
    struct server_options opt;
    struct endpoint endpoint;
};

struct config_backend {
    char *name;
    struct backend_options opt;
    enum health_kind health_kind;
    bool tls; /* towards its servers */
    struct config_place tls_place;
    struct config_server *servers;
    size_t server_count;
};

/* A master that sentinel-watch follows. */
struct config_sentinel {
    struct sentinel_options opt;
    struct endpoint *sentinels; /* of opt.sentinels, in their order */
    struct endpoint *relays;    /* of opt.relay_listen */
    size_t *backends;           /* of opt.notify_backends: indexes in config.backends */
    struct endpoint admin_http; /* of opt.admin_http, when that is given */
};

struct config {
    char *file;        /* as given, for messages */
    uint64_t checksum; /* of its text */
    unsigned shared;   /* owners beside the first: each calls config_free */
    struct process_options process;
    struct admin_options admin;
    struct endpoint admin_http; /* of admin.http, when that is given */
    struct log_options log;
    struct config_frontend *frontends;
    size_t frontend_count;
    struct config_backend *backends;
    size_t backend_count;
    struct config_sentinel *sentinels;
    size_t sentinel_count;
};

/* One problem. Lines and columns count from 1; columns in characters. */
struct problem {
    int line, column;
    char *message;     /* "unknown key 'blance'; did you mean 'balance'?" */
    char *source_line; /* NULL when there is none */
};
struct problems {
    struct problem *list;
    size_t count;
};

/*
 * NULL, and at least one problem, when anything is wrong; there are no warnings. `name` is the file
 * as messages shall call it. *problems need not be initialised; problems_free it in any case.
 */
struct config *config_load_text(const char *name, struct span text, struct problems *problems);
/* Reads the file (at most 1 MiB), or stdin for "-". */
struct config *config_load_file(const char *path, struct problems *problems);
/* Its bytes alone, for somebody who shall load the same text; the caller frees them. NULL: *problems
 * says why. */
char *config_read_file(const char *path, size_t *len, struct problems *problems);
void config_free(struct config *config);
/*
 * The same file as sentinel-watch reads it: `sentinel` must be there and its secrets are known, also
 * those in files; `frontends` and `admin` are the balancer's and left alone, so certificates may be
 * unreadable; `backends` may be absent. (limpet, the other way round, neither expands nor reads the
 * secrets of `sentinel`: they are none of its business.)
 */
struct config *config_load_sentinel_text(const char *name, struct span text,
                                         struct problems *problems);
struct config *config_load_sentinel_file(const char *path, struct problems *problems);

/*
 * A reload: what needs a restart keeps the value that it has in `now`. Names of such options whose
 * value differs are written to `names`, e.g. "process.workers backends.chat.sid.max_entries", as far
 * as they fit; the number of them is returned.
 */
size_t config_keep_restart(struct config *next, const struct config *now, char *names, size_t size);
void problems_free(struct problems *problems);
/* The name that a server of a backend with TLS must have in its certificate: tls.sni, else the host of
 * its address, else `addr`, where it is now (written to text). NULL: it has none. */
const char *config_tls_name(const struct config_backend *backend,
                            const struct config_server *server, const struct addr *addr,
                            char text[static ADDR_TEXT_MAX]);
/* One more, found behind config_load; text: the file, for the source line, or nothing. */
void problems_add(struct problems *problems, struct span text, struct config_place place,
                  const char *message);

/* "file:line:column: error: …" with the source line and a caret, or a JSON array for CI. */
void problems_print(const struct problems *problems, const char *file, bool json, FILE *out);

/* The effective configuration as YAML, with defaults; loads again to the same. */
void config_dump(const struct config *config, FILE *out);
/* JSON Schema draft 7, a commented starter file that loads, and Markdown for docs/options.md. */
void config_print_schema(FILE *out);
void config_print_starter(FILE *out);
void config_print_reference(FILE *out);

/* The word of an enum option's value, e.g. config_word("balance_kind", BALANCE_HASH) = "hash". */
const char *config_word(const char *choices, int value);

#endif
