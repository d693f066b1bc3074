/* SPDX-License-Identifier: Apache-2.0
 * What the HTTP server's handlers answer with. MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_ANSWER_H
#define CLEW_ALERTBRIDGE_ANSWER_H

#include <config/config.h>

#include <microhttpd.h>

/* Answers with JSON; takes text, a heap string (NULL: the connection is cut). */
enum MHD_Result clew__answer_text(struct MHD_Connection *connection, unsigned status, char *text,
                                  size_t len);
/* {"error":reason} */
enum MHD_Result clew__answer_error(struct MHD_Connection *connection, unsigned status,
                                   const char *reason);

/* Whether the request shows one of the configured credentials; true when none is
 * configured. */
bool clew__authorized(const struct clew__config *config, struct MHD_Connection *connection);

#endif
