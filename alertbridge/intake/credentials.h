/* SPDX-License-Identifier: Apache-2.0
 * Who sent a request. MT-Safe; all comparisons take the same time for any input. */
#ifndef CLEW_ALERTBRIDGE_CREDENTIALS_H
#define CLEW_ALERTBRIDGE_CREDENTIALS_H

#include <config/config.h>

#include <microhttpd.h>

/* Whether webhooks are taken at this path. */
bool clew__source_path(const struct clew__webhook *webhook, const char *path);

/* The source of a webhook by what its head shows; NULL: none, or *ret_signed: none
 * before the signature in its head was compared with the body. */
const struct clew__source *clew__source_of_head(const struct clew__webhook *webhook,
                                                const char *path, struct MHD_Connection *connection,
                                                bool *ret_signed);
/* The source by the signature of the body, at the time now (ns); NULL: none. */
const struct clew__source *clew__source_of_body(const struct clew__webhook *webhook,
                                                const char *path, struct MHD_Connection *connection,
                                                const char *body, size_t len, int64_t now);

/* Whether the head shows the webhook's own user or token; true when nothing is
 * asked for. A GET has no body to sign: with HMAC alone it is refused. */
bool clew__authorized(const struct clew__webhook *webhook, struct MHD_Connection *connection);

/* With a CA for clients: whether this one's certificate is by it. Else true. */
bool clew__client_trusted(const struct clew__webhook *webhook, struct MHD_Connection *connection);

#endif
