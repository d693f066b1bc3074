/* SPDX-License-Identifier: Apache-2.0
 * Answers. No state; runs in the server's threads. */
#include "answer.h"

#include <clew/mhd.h>

#include <json.h>

#include <stdlib.h>
#include <string.h>

/* A page runs nothing, asks nobody, and is shown in no other page. */
static void add_page_headers(struct MHD_Response *response)
{
    (void)MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
    (void)MHD_add_response_header(response, "Content-Security-Policy",
                                  "default-src 'none'; style-src 'unsafe-inline'; "
                                  "frame-ancestors 'none'");
    (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text,
                              size_t len, bool page)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    enum MHD_Result result;

    if (!response) {
        free(text);
        return MHD_NO;
    }
    if (page)
        add_page_headers(response);
    else
        (void)MHD_add_response_header(response, "Content-Type", "application/json");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, POST");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, "WWW-Authenticate",
                                      "Basic realm=\"alertbridge\", Bearer");
    result = clew_mhd_respond(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result clew__answer_text(struct MHD_Connection *connection, unsigned status, char *text,
                                  size_t len)
{
    return answer(connection, status, text, len, false);
}

enum MHD_Result clew__answer_page(struct MHD_Connection *connection, char *html, size_t len)
{
    return answer(connection, MHD_HTTP_OK, html, len, true);
}

enum MHD_Result clew__answer_error(struct MHD_Connection *connection, unsigned status,
                                   const char *reason)
{
    struct clew__buf json;
    size_t len = 0;
    char *text;

    clew__buf_init(&json, 8192);
    clew__buf_adds(&json, "{\"error\":");
    clew__json_string(&json, reason, strlen(reason));
    clew__buf_adds(&json, "}\n");
    text = clew__buf_take(&json, &len);
    return clew__answer_text(connection, status, text, len);
}
