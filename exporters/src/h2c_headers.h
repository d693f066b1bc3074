/* SPDX-License-Identifier: Apache-2.0
 * The headers of a gRPC request, from a URL and lines as HTTP/1.1 has them. */
#ifndef CLEW_H2C_HEADERS_H
#define CLEW_H2C_HEADERS_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#define CLEW__H2C_HEADERS_MAX 128u

struct clew__h2c_headers {
    nghttp2_nv all[CLEW__H2C_HEADERS_MAX]; /* pointing into text */
    size_t n;
    char *text;
    size_t used, room;
};

/* lines: "Name: value\n…"; those that HTTP/2 does not have are left out. ret_host
 * has no brackets. false: no memory, no URL, or too many. */
bool clew__h2c_headers_make(struct clew__h2c_headers *ret, const char *url, const char *lines,
                            char ret_host[256], char ret_port[8]);
void clew__h2c_headers_done(struct clew__h2c_headers *headers);

#endif
