/* SPDX-License-Identifier: Apache-2.0
 * Keeps slow connections from taking the place of honest ones. MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_GUARD_H
#define CLEW_ALERTBRIDGE_GUARD_H

#include <microhttpd.h>

struct clew__guard;

/* max: so many connections stay open. NULL: out of memory. */
struct clew__guard *clew__guard_new(unsigned max);
/* After the server has ended. Accepts NULL, returns NULL. */
struct clew__guard *clew__guard_free(struct clew__guard *guard);

/* For MHD_start_daemon(), with the guard as its argument: whether a client may connect. */
enum MHD_Result clew__guard_accepts(void *guard, const struct sockaddr *address, socklen_t len);
/* From now on nobody may. (MHD_quiesce_daemon() is not for threads that poll by epoll: it may
 * take the socket from them in the very moment in which they give it up, and that aborts.) */
void clew__guard_close(struct clew__guard *guard);

/* For MHD_OPTION_NOTIFY_CONNECTION, with the guard as its argument. */
void clew__guard_notify(void *guard, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode what);

/* The head of a request is complete: its body may take as long again. */
void clew__guard_head(struct clew__guard *guard, struct MHD_Connection *connection);
/* The request is complete: while it is worked on nobody cuts it. */
void clew__guard_busy(struct clew__guard *guard, struct MHD_Connection *connection);
/* It is answered: the connection waits for the next one. */
void clew__guard_idle(struct clew__guard *guard, struct MHD_Connection *connection);

#endif
