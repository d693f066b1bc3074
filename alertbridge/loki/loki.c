/* SPDX-License-Identifier: Apache-2.0
 * Lines are a help, not a page: they are asked for when the page is out already, by
 * a thread of their own, within a few seconds, and when Loki has not answered for a
 * minute nobody waits for them any more. MT-Safe; no state. */
#include "loki.h"

#include "lines.h"

#include <common/instant.h>
#include <config/authorization.h>
#include <config/config.h>
#include <delivery/sending.h>
#include <store/slack.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000L
#define ANSWER_MAX (1u << 20)
#define GIVE_UP_NS (60 * CLEW__SECOND_NS)
#define LINES_DEFAULT 5u
#define SINCE_DEFAULT_S 900u
#define QUERY_DEFAULT \
    "{service_name=\"{{ .Labels.service }}\"} | detected_level=~\"error|critical|fatal\""

struct loki {
    struct clew__template *query;
    char *tenant;        /* X-Scope-OrgID, "" for none */
    char *authorization; /* NULL: none */
    struct clew__tls_files tls;
    uint64_t lines, since_seconds;
};

static const char *const keys[] = {"url",           "query",         "tenant",
                                   "lines",         "since_seconds", "basic_auth",
                                   "authorization", "tls_config",    NULL};

static void release(void *options)
{
    struct loki *loki = options;

    if (!loki)
        return;
    (void)clew__template_free(loki->query);
    free(loki->tenant);
    free(loki->authorization);
    clew__tls_files_done(&loki->tls);
    free(loki);
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct loki *loki = calloc(1, sizeof(*loki));
    int r;

    self->options = loki;
    if (!loki)
        return clew_set_error(-ENOMEM, "out of memory");
    loki->lines = LINES_DEFAULT;
    loki->since_seconds = SINCE_DEFAULT_S;
    r = clew__yaml_text(clew__yaml_get(node, "url"), 1024, "", &self->url);
    if (r == 0)
        r = clew__config_template(node, "query", QUERY_DEFAULT, &loki->query);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "tenant"), 150, "", &loki->tenant);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "lines"), 1, CLEW__LOKI_LINES_MAX, &loki->lines);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "since_seconds"), 1, 86400, &loki->since_seconds);
    if (r == 0)
        r = clew__config_authorization(node, &loki->authorization);
    if (r == 0)
        r = clew__config_tls(node, &loki->tls);
    if (r < 0)
        return r;
    self->tls = &loki->tls;
    self->off = !*self->url;
    if (!self->off && !clew__is_url(self->url))
        return clew__yaml_error(node, "url is no http or https URL");
    clew__integration_name_target(self, loki->tenant);
    return 0;
}

static void headers(const struct clew__integration *self, const struct clew__buf *body, int64_t now,
                    clew__add_header *add, void *arg)
{
    const struct loki *loki = self->options;

    (void)body, (void)now;
    if (*loki->tenant)
        add(arg, "X-Scope-OrgID", loki->tenant);
    if (loki->authorization)
        add(arg, "Authorization", loki->authorization);
}

/* The question about a page; false: there is none, as the alert has no such label. */
static bool add_url(const struct clew__sending *sending, struct clew__buf *url)
{
    const struct loki *loki = sending->integration->options;
    int64_t now = clew__instant_now();
    struct clew__buf query;
    bool any;

    clew__buf_init(&query, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(loki->query, sending->page, clew__loki_escape, &query);
    clew__buf_addc(&query, '\0');
    any = !query.failed && !clew__loki_asks_for_nothing(query.data);
    if (any)
        clew__loki_url(url, sending->integration->url, query.data, (unsigned)loki->lines,
                       now - (int64_t)loki->since_seconds * CLEW__SECOND_NS, now);
    clew__buf_addc(url, '\0');
    clew__buf_done(&query);
    return any && !url->failed;
}

struct left {
    struct clew__slack_say say;
    char text[];
};

static bool leave(struct clew__sending *sending, const char *answer)
{
    const struct loki *loki = sending->integration->options;
    struct clew__buf text;
    struct left *left = NULL;
    unsigned n;

    clew__buf_init(&text, 64u << 10);
    clew__buf_adds(&text, "Newest errors:\n");
    n = clew__loki_text(&text, answer, (unsigned)loki->lines);
    if (n && !text.failed)
        left = malloc(sizeof(*left) + text.len + 1);
    if (left) {
        memcpy(left->text, text.data, text.len);
        left->text[text.len] = '\0';
        left->say =
            (struct clew__slack_say){sending->delivery->id, clew__instant_now(), left->text};
        sending->record = clew__slack_say;
        sending->left = left;
    }
    clew__buf_done(&text);
    return n > 0;
}

static struct clew__verdict attempt_lines(struct clew__sending *sending)
{
    struct clew__verdict verdict = {CLEW__DONE, "nothing_to_ask", -1, false};
    struct clew__answer answer;
    struct clew__buf url;

    clew__buf_init(&url, 64u << 10);
    if (clew__instant_now() - sending->delivery->created_at > GIVE_UP_NS) {
        verdict = (struct clew__verdict){CLEW__DONE, "too_late", -1, false};
    } else if (add_url(sending, &url)) {
        clew__http_send(sending->connection, sending->integration,
                        &(struct clew__http_request){
                            .url = url.data, .timeout_ms = TIMEOUT_MS, .answer_max = ANSWER_MAX},
                        &answer);
        sending->status = answer.status;
        verdict = clew__verdict_of_status(&answer);
        if (verdict.kind == CLEW__DONE && !leave(sending, answer.body))
            (void)snprintf(verdict.reason, sizeof(verdict.reason), "no_lines");
    }
    clew__buf_done(&url);
    return verdict;
}

const struct clew__receiver_ops clew__loki = {
    .kind = "loki",
    .keys = keys,
    .configure = configure,
    .release = release,
    .headers = headers,
    .send = attempt_lines,
};
