// SPDX-License-Identifier: Apache-2.0
/*
 * The ways to tell of a failover that need no code in a server, for one master:
 *
 *   exec     a program for each phase (exec.h)
 *   file     FILE holds the newest event as JSON, FILE.addr where the master is (scribe.h)
 *   signal   SIGUSR2 to the process of a pid file, when the master has changed and FILE says so
 *   publish  the event on a channel of the new master, when all may publish there (announce.h)
 */
#ifndef LIMPET_SENTINEL_WATCH_HOOK_H
#define LIMPET_SENTINEL_WATCH_HOOK_H

#include "base/text.h"
#include "config/config.h"
#include "sentinel-watch/failover.h"
#include "sentinel-watch/phase.h"
#include "sentinel-watch/world.h"

struct hook;

struct hook *hook_new(const struct world *world);
void hook_free(struct hook *hook);
/* Must outlive the hook or the next call. */
void hook_configure(struct hook *hook, const struct config_sentinel *sentinel);

/* The master is there now; `changed`: it was elsewhere before. */
void hook_lead(struct hook *hook, const struct failover *failover, bool changed);
/* All servers enter this phase. */
void hook_phase(struct hook *hook, const struct failover *failover, enum phase phase);

#endif
