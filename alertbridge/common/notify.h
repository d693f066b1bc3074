/* SPDX-License-Identifier: Apache-2.0
 * Tells the service manager how things are. */
#ifndef CLEW_ALERTBRIDGE_NOTIFY_H
#define CLEW_ALERTBRIDGE_NOTIFY_H

/* Sends "READY=1" and the like to the socket in NOTIFY_SOCKET; without the variable
 * nothing happens. Never blocks; what cannot be sent is lost. MT-Safe. */
void clew__notify(const char *state);

/* RELOADING=1 with the time that systemd wants beside it (Type=notify-reload). */
void clew__notify_reloading(void);

#endif
