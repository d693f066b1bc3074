/* SPDX-License-Identifier: Apache-2.0
 * What the variants' handlers have in common. */
#ifndef BENCH_SERVICE_SERVE_H
#define BENCH_SERVICE_SERVE_H

#include "bench.h"

#include <microhttpd.h>

#define BENCH_FLAGS MHD_USE_EPOLL_INTERNAL_THREAD

static inline const char *bench_authorization(struct MHD_Connection *connection)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
}

static inline struct MHD_Response *bench_response(unsigned status, char *body, size_t len,
                                                  const struct bench_order *order)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_COPY);

    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (status == 200)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, order->etag);
    return response;
}

#endif
