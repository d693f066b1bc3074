/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's side of one HTTP/2 connection (RFC 9113; libnghttp2) with one
 * request at a time, without its socket: bytes go in and come out. Bodies are
 * not copied; they go out from where they are. What the far side says is
 * bounded, and checked by libnghttp2. Delivery thread.
 */
#ifndef CLEW_H2_SESSION_H
#define CLEW_H2_SESSION_H

#include "exchange.h"

#include <nghttp2/nghttp2.h>

#define CLEW__H2_RUNS 256  /* of bytes to write at once; IOV_MAX is 1024 */
#define CLEW__H2_OWN 16384 /* bytes of frames other than the body's */

struct clew__h2 {
    nghttp2_session *session;
    struct clew__exchange *x; /* of the request; NULL when none is in flight */
    int32_t stream;           /* its number */
    unsigned status;          /* of the answer, as far as it came */
    bool going_away;          /* the far side takes no further request here */
    bool refused;             /* the last request: not looked at, for sure */
    bool broken;              /* no memory, or nothing that can be answered */
    /* what is to be written, in order */
    struct iovec runs[CLEW__H2_RUNS];
    size_t first, end;
    char own[CLEW__H2_OWN];
    size_t own_len;
};

/* NULL: no memory. Connection preface and settings are its first output. */
struct clew__h2 *clew__h2_new(void);
struct clew__h2 *clew__h2_free(struct clew__h2 *h2);

/* Sends a request; headers and body stay valid and unchanged until it ends, which
 * shows in x of h2 being NULL: then the exchange has the answer. false: this
 * connection takes no further one. */
bool clew__h2_request(struct clew__h2 *h2, const nghttp2_nv *headers, size_t n,
                      struct clew__exchange *x);
/* Bytes that came. */
void clew__h2_read(struct clew__h2 *h2, const void *bytes, size_t n);
/* What to write next, borrowed until the next call of any of these; *ret_n 0:
 * nothing for now. */
struct iovec *clew__h2_output(struct clew__h2 *h2, size_t *ret_n);
/* So much of it was written. */
void clew__h2_written(struct clew__h2 *h2, size_t n);
/* Nothing more will come of it: a request in flight is lost. */
bool clew__h2_is_over(const struct clew__h2 *h2);
/* With no request in flight: whether another can be sent. Not when there is
 * output left, because that may be of a body that is not ours any more. */
bool clew__h2_is_open(const struct clew__h2 *h2);
/* The last output is a goodbye. */
void clew__h2_say_goodbye(struct clew__h2 *h2);

#endif
