/* SPDX-License-Identifier: Apache-2.0
 * The connections to far sides, for forks: the child closes its copies, without a
 * word on them, or a far side would not see the parent hang up. MT-Safe; forget
 * is for the child. */
#ifndef CLEW_SOCKETS_H
#define CLEW_SOCKETS_H

/* socket() with close-on-exec, remembered. */
int clew__sockets_open(int family, int type, int protocol);
/* Remembers one; -1 is none. Returns it. */
int clew__sockets_add(int fd);
/* Forgets and closes it; 0 or -1 as close(). */
int clew__sockets_close(int fd);
/* In the child of a fork: closes all. */
void clew__sockets_forget(void);

#endif
