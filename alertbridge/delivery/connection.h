/* SPDX-License-Identifier: Apache-2.0
 * A sender's connection to its target by libcurl, and what is sent over it. */
#ifndef CLEW_ALERTBRIDGE_CONNECTION_H
#define CLEW_ALERTBRIDGE_CONNECTION_H

#include <receivers/receiver.h>

#include <curl/curl.h>
#include <stdatomic.h>

struct clew_span;
struct clew__lease;

/* One easy handle for one target, so for one protocol: MT-Unsafe. */
struct clew__connection {
    CURL *easy;
    const atomic_bool *abort;
    const struct clew__lease *lease; /* NULL: none is needed */
    int64_t epoch;                   /* in which it has to be held */
    struct clew__buf body;           /* of the answer, cut at 64 KiB */
    char retry_after[128];           /* of HTTP */
    unsigned refused;                /* recipients, of SMTP */
};

/* abort: looked at all the time; a request ends when it becomes true.
 * owner clew__connection_free(). returns NULL without memory */
struct clew__connection *clew__connection_new(const atomic_bool *abort);
/* Accepts NULL, returns NULL. */
struct clew__connection *clew__connection_free(struct clew__connection *connection);

/* Whether what is asked for now may be sent: neither the shutdown nor another replica
 * came in between. */
bool clew__connection_may_send(const struct clew__connection *connection);

/* Performs what was set and fills the answer, which borrows from connection until
 * the next call. least_failure: a status from here on is the far side's answer
 * even if libcurl calls it a failure; 0: never. */
void clew__connection_perform(struct clew__connection *connection, unsigned least_failure,
                              struct clew__answer *ret_answer);

/* Ends a client span with the host of url alone: the rest may be a secret. */
void clew__connection_end_span(struct clew_span *span, const char *method, const char *url,
                               const struct clew__answer *answer);

/* Sends body by HTTP (http.c) or SMTP (smtp.c), as a client span under the
 * current scope. Redirects are not followed.
 * blocks   HTTP: up to 15 s; SMTP: up to 60 s */
void clew__http_post(struct clew__connection *connection,
                     const struct clew__integration *integration, const struct clew__buf *body,
                     struct clew__answer *ret_answer);
void clew__smtp_send(struct clew__connection *connection,
                     const struct clew__integration *integration, const struct clew__buf *body,
                     struct clew__answer *ret_answer);

#endif
