/* SPDX-License-Identifier: Apache-2.0
 * One POST with libcurl, as a client span, within strict times. */
#ifndef CLEW_ALERTBRIDGE_HTTP_H
#define CLEW_ALERTBRIDGE_HTTP_H

#include <receivers/receiver.h>

#include <stdatomic.h>

struct clew__http; /* one easy handle and its connection: MT-Unsafe */

/* abort: looked at all the time; a request ends when it becomes true.
 * owner clew__http_free(). returns NULL without memory */
struct clew__http *clew__http_new(const atomic_bool *abort);
/* Accepts NULL, returns NULL. */
struct clew__http *clew__http_free(struct clew__http *http);

/* Sends body as JSON. The span that it makes under the current scope, and
 * everything else that may be seen, has the URL's host only: its path may be a
 * secret. ret_answer borrows from http until the next call.
 * blocks   up to 15 s */
void clew__http_post(struct clew__http *http, const char *url, const char *body, size_t len,
                     struct clew__answer *ret_answer);

#endif
