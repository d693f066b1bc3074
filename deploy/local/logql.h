/* SPDX-License-Identifier: Apache-2.0
 * The part of LogQL that finding lines needs: a stream selector, then label
 * filters over labels and structured metadata and line filters:
 *
 *     {service="a", env=~"p.*"} | request_id="r-1" |= "text" != "noise"
 */
#ifndef CLEW_LOCAL_LOGQL_H
#define CLEW_LOCAL_LOGQL_H

#include "store.h"

struct logql;

/* NULL when text is not understood; error[256] says where and why. */
struct logql *logql_parse(const char *text, char error[256]);
void logql_free(struct logql *query);
bool logql_matches(const struct logql *query, const struct store_line *line);
/* The value that key must equal, NULL when nothing says so. */
const char *logql_exact(const struct logql *query, const char *key);

#endif
