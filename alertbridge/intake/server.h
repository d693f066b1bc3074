/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd as the intake needs it: threads, limits, TLS. */
#ifndef CLEW_ALERTBRIDGE_SERVER_H
#define CLEW_ALERTBRIDGE_SERVER_H

#include "guard.h"

#include <config/webhook.h>

#include <clew/mhd.h>

/* Serves the listening socket fd with the middleware's handler.
 * owner    MHD_stop_daemon(), then clew__guard_free(); fd stays the caller's until
 *          the server has started
 * returns  NULL: it did not start; *ret_guard may be set then */
struct MHD_Daemon *clew__server_start(const struct clew__webhook *webhook, int fd,
                                      struct clew_mhd *middleware, struct clew__guard **ret_guard);

#endif
