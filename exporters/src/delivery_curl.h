/* SPDX-License-Identifier: Apache-2.0
 * What libcurl carries for a line: HTTP/1.1, and HTTP/2 over TLS. Delivery thread. */
#ifndef CLEW_DELIVERY_CURL_H
#define CLEW_DELIVERY_CURL_H

#include "delivery.h"
#include "exchange.h"

#include <curl/curl.h>

struct clew__curl {
    CURL *easy;
    struct curl_slist *headers;
    struct clew__exchange *x;
};

/* owner: CURLINFO_PRIVATE. x stays where it is. false: no memory, or headers that
 * are too long. */
bool clew__curl_open(struct clew__curl *c, const struct clew__destination *to,
                     struct clew__exchange *x, void *owner);
/* In the child of a fork: a handle of its own; the parent's is left alone. */
bool clew__curl_reopen(struct clew__curl *c, const struct clew__destination *to,
                       struct clew__exchange *x, void *owner);
void clew__curl_close(struct clew__curl *c);

bool clew__curl_send(struct clew__curl *c, CURLM *multi);
/* curl is done with it: the exchange has the answer. */
void clew__curl_finish(struct clew__curl *c, CURLM *multi, CURLcode code);
void clew__curl_cancel(struct clew__curl *c, CURLM *multi);
/* Lets curl work, as far as the sockets go now. */
void clew__curl_run(CURLM *multi);

#endif
