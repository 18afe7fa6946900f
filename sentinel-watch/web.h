// SPDX-License-Identifier: Apache-2.0
/* admin.http: GET /healthz, /metrics, /master/NAME, /events. */
#ifndef LIMPET_SENTINEL_WATCH_WEB_H
#define LIMPET_SENTINEL_WATCH_WEB_H

#include "sentinel-watch/service.h"

struct web;

/* fd is bound and listening, the web's from here on. NULL: errno. */
struct web *web_new(struct service *service, int fd);
void web_free(struct web *web); /* NULL is fine */
/* Something was written into the journal. */
void web_news(struct web *web, const struct entry *entry);

#endif
