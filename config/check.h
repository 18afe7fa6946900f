// SPDX-License-Identifier: Apache-2.0
/*
 * What the types cannot say: names, references, and which options go together. Each function checks
 * one finished object, works out what follows from it (endpoints, indexes, kinds) and reports to
 * its diag.
 */
#ifndef LIMPET_CONFIG_CHECK_H
#define LIMPET_CONFIG_CHECK_H

#include "config/object.h"

/* A name of a frontend, backend or server. `what` says of which. */
bool check_name(struct diag *diag, const struct node *place, struct span name, const char *what);

/* Text addresses; `node` is where the option's value stands, NULL: nothing to check. */
void check_address(struct diag *diag, const struct node *node, const char *address, bool listening,
                   struct endpoint *endpoint);
/* An absolute path in a URL. */
void check_url_path(const struct object *object, const char *option, const char *path,
                    const struct node *node);
void check_socket_path(const struct object *object, const char *option, const char *path);
/* The index of a backend, -1 and a report when there is none. */
ptrdiff_t check_backend_name(struct diag *diag, const struct config *config, const char *name,
                             const struct node *node);

void check_admin(const struct object *object, const struct admin_options *opt,
                 struct endpoint *http);
void check_log(const struct object *object, const struct log_options *opt);

/* config.backends must be complete; `key` is the frontend's name in the file. */
void check_frontend(const struct object *object, const struct config *config,
                    struct config_frontend *frontend, const struct node *key);
void check_listen(const struct object *object, struct config_listen *listen);
void check_route(const struct object *object, const struct config *config,
                 struct config_route *route, const struct node *place);

/* A route's allow, deny, methods … */
void check_rules(const struct object *object, const struct route_options *opt);
/* RFC 9110 §5.6.2: what methods, header fields and cookies may be called. */
bool check_is_token(struct span text);

void check_backend(struct object *object, struct config_backend *backend);
void check_server(const struct object *object, struct config_server *server);

#endif
