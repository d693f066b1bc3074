/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC requests without TLS: HTTP/2 with prior knowledge (RFC 9113, section 3.3;
 * gRPC over HTTP/2) on one connection that is kept over requests. libcurl copies
 * bodies and, before 8.0, makes a connection for each request. Nothing here
 * waits. Delivery thread.
 */
#ifndef CLEW_H2C_H
#define CLEW_H2C_H

#include "connector.h"
#include "delivery.h"
#include "exchange.h"

struct clew__h2c;

/* For an http:// URL; NULL: no memory, or the URL or the headers are none. In the
 * child of a fork the parent's is left alone; its sockets are closed by
 * clew__sockets_forget(). */
struct clew__h2c *clew__h2c_new(const struct clew__destination *to, struct clew__exchange *x);
/* Says goodbye to the far side if it can at once. Returns NULL */
struct clew__h2c *clew__h2c_free(struct clew__h2c *c);

/* Begins to send the body; the exchange has the answer when run says so. */
void clew__h2c_send(struct clew__h2c *c);
/* Reads and writes as far as that goes now; true: the request has ended. */
bool clew__h2c_run(struct clew__h2c *c);
/* The request will not be run any more. */
void clew__h2c_cancel(struct clew__h2c *c);
/* As clew__connector_wait(). */
size_t clew__h2c_wait(const struct clew__h2c *c, struct curl_waitfd *ret, uint64_t *ret_ns);

#endif
