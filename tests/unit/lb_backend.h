// SPDX-License-Identifier: Apache-2.0
/* A backend for tests of lb's deciders, without a configuration file. */
#ifndef LIMPET_TESTS_UNIT_LB_BACKEND_H
#define LIMPET_TESTS_UNIT_LB_BACKEND_H

#include "lb/server.h"

#include <stdio.h>

enum { FIXTURE_SERVERS = 8 };

struct fixture {
    struct config_backend config;
    struct config_server servers[FIXTURE_SERVERS];
    char names[FIXTURE_SERVERS][16];
    enum sticky_kind sticky[3];
    struct backend *backend;
};

/* app0, app1, … of weight 1, sticky [sid, cookie], cookie `io`, leastconn; to be changed before
 * fixture_open. */
static inline void fixture_init(struct fixture *f, size_t servers)
{
    *f = (struct fixture){.sticky = {STICKY_SID, STICKY_COOKIE}};
    f->config.name = (char *)"chat";
    f->config.health_kind = HEALTH_TCP;
    f->config.servers = f->servers;
    f->config.server_count = servers;
    f->config.opt.balance = BALANCE_LEASTCONN;
    f->config.opt.sticky = f->sticky;
    f->config.opt.sticky_count = 2;
    f->config.opt.sid_max_entries = 1000;
    f->config.opt.cookie_name = (char *)"io";
    f->config.opt.cookie_mode = COOKIE_LEARN;
    for (size_t i = 0; i < servers; i++) {
        snprintf(f->names[i], sizeof(f->names[i]), "app%u", (unsigned)i);
        f->servers[i].name = f->names[i];
        f->servers[i].opt.weight = 1;
    }
}

static inline void fixture_open(struct fixture *f)
{
    f->backend = backend_new(&f->config, 0, 10, -1, -1, 0);
}

static inline void fixture_close(struct fixture *f)
{
    backend_free(f->backend);
}

#endif
