/* SPDX-License-Identifier: Apache-2.0
 *
 * What the three demonstration services have in common: a small HTTP server
 * and client. Nothing in here is special to Clewline but three calls:
 * clew_mhd_handle(), clew_mhd_respond() and clew_curl_perform().
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <clew/export.h>
#include <clew/http.h>

#include <jansson.h>

struct MHD_Connection;

/* One request with its whole body, and what it is answered with. */
struct request {
    const char *method;
    const char *path;
    json_t *body; /* NULL when there is none or it is not JSON */
    unsigned status;
    json_t *answer; /* taken */
};

typedef void service_handler(struct request *request);

/* Starts Clewline, serves handler on 127.0.0.1:$PORT until SIGTERM or SIGINT.
 * Returns the exit status of main(). */
int service_run(const char *name, const char *version, service_handler *handler);

/* Calls another service; body may be NULL. Returns the status, 0 when no
 * answer came; *ret_answer (may be NULL) is a new reference or NULL. */
unsigned service_call(const char *method, const char *base_url, const char *path, json_t *body,
                      json_t **ret_answer);

/* $NAME or the default. */
const char *service_setting(const char *name, const char *fallback);

void service_route(const char *route);
/* Answers {"error": text}. */
void service_fail(struct request *request, unsigned status, const char *text);

#endif
