// SPDX-License-Identifier: Apache-2.0
/* Tells systemd how we are (sd_notify(3)): "READY=1", "STOPPING=1". Nothing happens when nobody
 * asked. */
#ifndef LIMPET_LB_NOTIFY_H
#define LIMPET_LB_NOTIFY_H

void notify_systemd(const char *state);

#endif
