/* SPDX-License-Identifier: Apache-2.0
 * A sender's connection to its target by libcurl, and what is sent over it. */
#ifndef CLEW_ALERTBRIDGE_CONNECTION_H
#define CLEW_ALERTBRIDGE_CONNECTION_H

#include <receivers/receiver.h>

#include <curl/curl.h>
#include <stdatomic.h>

struct clew_span;
struct clew__lease;

/* Takes a piece of an answer; false: no more of it. */
typedef bool clew__take_body(void *arg, const char *data, size_t len);

/* One easy handle for one target, so for one protocol: MT-Unsafe. */
struct clew__connection {
    CURL *easy;
    const atomic_bool *abort;
    const struct clew__lease *lease; /* NULL: none is needed */
    int64_t epoch;                   /* in which it has to be held */
    struct clew__buf body;           /* of the answer, cut */
    char retry_after[128];           /* of HTTP */
    clew__take_body *take;           /* of the request at hand */
    void *take_arg;
    unsigned refused; /* recipients, of SMTP */
};

/* abort: looked at all the time; a request ends when it becomes true.
 * owner clew__connection_free(). returns NULL without memory */
struct clew__connection *clew__connection_new(const atomic_bool *abort);
/* Accepts NULL, returns NULL. */
struct clew__connection *clew__connection_free(struct clew__connection *connection);

/* Closes what is open and gives its memory back: the certificates of all authorities are
 * 5 MB for each handle that has spoken TLS. The next request is 20 ms slower for it. */
void clew__connection_rest(struct clew__connection *connection);

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

/* Cuts answers from here on at max bytes; 0: 64 KiB, which is how it begins. */
void clew__connection_expect(struct clew__connection *connection, size_t max);

/* A request by HTTP to an integration, with the headers that its kind adds. Zeros are
 * the usual. */
struct clew__http_request {
    const char *url;              /* NULL: the integration's */
    const struct clew__buf *body; /* of a POST; NULL: a GET */
    const char *content_type;     /* of the body; NULL: JSON */
    long timeout_ms;              /* 0: 15 s */
    size_t answer_max;            /* bytes; 0: 64 KiB */
    clew__take_body *take;        /* gets the body of a 200 as it comes, of any length; NULL:
                                     it is kept, cut */
    void *take_arg;
    bool once; /* twice would be seen: on a kept connection that turns out
                  to be dead libcurl sends a request a second time */
};
/* As a client span under the current scope. Redirects are not followed.
 * blocks   up to the timeout */
void clew__http_send(struct clew__connection *connection,
                     const struct clew__integration *integration,
                     const struct clew__http_request *request, struct clew__answer *ret_answer);
/* Sends body by SMTP, in the same way.
 * blocks   up to 60 s */
void clew__smtp_send(struct clew__connection *connection,
                     const struct clew__integration *integration, const struct clew__buf *body,
                     struct clew__answer *ret_answer);

#endif
