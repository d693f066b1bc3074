/* SPDX-License-Identifier: Apache-2.0
 * What the HTTP server's handlers answer with. MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_ANSWER_H
#define CLEW_ALERTBRIDGE_ANSWER_H

#include <microhttpd.h>

/* Answers with JSON; takes text, a heap string (NULL: the connection is cut). */
enum MHD_Result clew__answer_text(struct MHD_Connection *connection, unsigned status, char *text,
                                  size_t len);
/* The same for HTML, with 200. */
enum MHD_Result clew__answer_page(struct MHD_Connection *connection, char *html, size_t len);
/* {"error":reason} */
enum MHD_Result clew__answer_error(struct MHD_Connection *connection, unsigned status,
                                   const char *reason);

#endif
