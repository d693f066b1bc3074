/* SPDX-License-Identifier: Apache-2.0
 * The HTTP side of clew-local: requests with whole bodies, answers as bytes.
 * Handlers run in a pool of threads. */
#ifndef CLEW_LOCAL_SERVER_H
#define CLEW_LOCAL_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;

struct request {
    struct MHD_Connection *connection;
    const char *method;
    const char *path;
    const char *rest; /* of the path, behind the route's prefix */
    const char *body; /* decoded of Content-Encoding gzip and deflate */
    size_t body_len;
    /* the answer */
    unsigned status;
    const char *content_type; /* static */
    const char *location;     /* static; where to go instead */
    char *answer;             /* free()d by the server; NULL: empty */
    size_t answer_len;
};

const char *request_header(const struct request *request, const char *name); /* NULL: absent */
const char *request_argument(const struct request *request, const char *name);
/* A field of a body that is a form, to be free()d; NULL: absent, or no form. */
char *request_field(const struct request *request, const char *name);

/* Answers a text of printf's kind; json is taken. */
void answer_text(struct request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void answer_json(struct request *request, unsigned status, json_t *json);
void answer_see_other(struct request *request, const char *path); /* static */

/* loki_push.c, loki_query.c, traces.c, slack.c, slack_click.c, pagerduty.c, pages.c, page_*.c */
void handle_loki_push(struct request *request);
void handle_loki_query(struct request *request);
void handle_loki_labels(struct request *request);
void handle_loki_label_values(struct request *request);
void handle_traces_push(struct request *request);
void handle_trace(struct request *request);
void handle_trace_search(struct request *request);
void handle_slack_post(struct request *request);
void handle_slack_list(struct request *request);
void handle_slack_api(struct request *request);
void handle_slack_click(struct request *request);
void handle_pagerduty_post(struct request *request);
void handle_pagerduty_events(struct request *request);
void handle_pagerduty_incidents(struct request *request);
void handle_page_overview(struct request *request);
void handle_page_logs(struct request *request);
void handle_page_trace(struct request *request);
void handle_page_slack(struct request *request);
void handle_page_pagerduty(struct request *request);

/* Listens; *ret_port is the port it got. 0 or -errno, clew_last_error(). */
int server_start(const char *listen, uint16_t *ret_port);
void server_stop(void);

#endif
