/* SPDX-License-Identifier: Apache-2.0
 * Answers in JSON, and who gets one. Secrets are compared by their digests, name
 * and password both in any case, so that the time tells nothing. No state; runs in
 * the server's threads. */
#include "answer.h"

#include <common/digest.h>

#include <clew/mhd.h>

#include <json.h>

#include <stdlib.h>
#include <string.h>

enum MHD_Result clew__answer_text(struct MHD_Connection *connection, unsigned status, char *text,
                                  size_t len)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    enum MHD_Result result;

    if (!response) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, POST");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, "WWW-Authenticate",
                                      "Basic realm=\"alertbridge\", Bearer");
    result = clew_mhd_respond(connection, status, response);
    MHD_destroy_response(response);
    return result;
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

bool clew__authorized(const struct clew__config *config, struct MHD_Connection *connection)
{
    bool basic = config->username && *config->username;
    bool bearer = config->bearer_token && *config->bearer_token;
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    char *password = NULL, *username;
    bool right = false;

    if (!basic && !bearer)
        return true;
    if (!header)
        return false;
    if (bearer && strncasecmp(header, "Bearer ", 7) == 0)
        return clew__secret_equal(header + 7, config->bearer_token);
    if (!basic)
        return false;
    username = MHD_basic_auth_get_username_password(connection, &password);
    if (username && password) {
        bool same_name = clew__secret_equal(username, config->username);
        bool same_password = clew__secret_equal(password, config->password);

        right = same_name && same_password;
    }
    MHD_free(username);
    MHD_free(password);
    return right;
}
