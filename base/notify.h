// SPDX-License-Identifier: Apache-2.0
/* Tells systemd how we are (sd_notify(3)): "READY=1", "STOPPING=1". Nothing happens when nobody
 * asked. */
#ifndef LIMPET_BASE_NOTIFY_H
#define LIMPET_BASE_NOTIFY_H

void notify_systemd(const char *state);
/* "RELOADING=1" with the time that systemd wants beside it (Type=notify-reload compares it). The end
 * of the reload is another "READY=1". */
void notify_reloading(void);

#endif
