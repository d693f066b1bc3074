/* SPDX-License-Identifier: Apache-2.0
 * A listening socket from "host:port", ":port" or "[::1]:port". */
#ifndef CLEW_ALERTBRIDGE_LISTEN_H
#define CLEW_ALERTBRIDGE_LISTEN_H

#include <stdint.h>

/* returns  the socket, close() it; -errno, clew_last_error() says why */
int clew__listen(const char *address, uint16_t *ret_port);

/* Whether address has the form. */
int clew__listen_check(const char *address);

#endif
