/* SPDX-License-Identifier: Apache-2.0
 * See pages.h. */
#include "pages.h"

#include <clew/log.h>

#include <stdlib.h>

void page_init(struct made_page *made, size_t n)
{
    *made = (struct made_page){.page = {.receiver = "team",
                                        .external_url = "http://am.example",
                                        .id = 7,
                                        .dedup_key = "d1",
                                        .opened_at = 1795208357632000000,
                                        .note = "",
                                        .group_key = "{}:{alertname=\"Down\"}",
                                        .group_labels = json_pack("{s:s}", "alertname", "Down"),
                                        .common_labels = json_pack("{s:s, s:s}", "alertname",
                                                                   "Down", "severity", "critical"),
                                        .common_annotations = json_object(),
                                        .alerts = made->alerts,
                                        .nalerts = n,
                                        .nfired = n,
                                        .nfiring = n}};
    for (size_t i = 0; i < 3; i++)
        made->alerts[i] = (struct clew__page_alert){
            .firing = true,
            .starts_at = 1795208357632000000,
            .fingerprint = "132a18f910b64af5",
            .generator_url = "http://prometheus.example/graph?g0.expr=up",
            .labels = json_pack("{s:s, s:s, s:s}", "alertname", "Down", "severity", "critical",
                                "instance", i ? "two" : "one"),
            .annotations = json_pack("{s:s, s:s}", "summary", i ? "two is down" : "one is down",
                                     "runbook_url", "https://runbooks.example/Down")};
}

void page_done(struct made_page *made)
{
    for (size_t i = 0; i < 3; i++) {
        json_decref(made->alerts[i].labels);
        json_decref(made->alerts[i].annotations);
    }
    json_decref(made->page.group_labels);
    json_decref(made->page.common_labels);
    json_decref(made->page.common_annotations);
}

char *page_text(const struct clew__config *config, const struct clew__page *page, size_t *ret_len)
{
    const struct clew__integration *self = &config->receivers[0].integrations[0];
    struct clew__buf body;

    clew__buf_init(&body, 4u << 20);
    if (self->ops->render(self, config, page, &body) < 0)
        fail_msg("%s", clew_last_error());
    return clew__buf_take(&body, ret_len);
}

json_t *page_render(const struct clew__config *config, const struct clew__page *page)
{
    json_error_t error;
    size_t len;
    char *text = page_text(config, page, &len);
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    if (!json)
        fail_msg("%s: %s", error.text, text);
    free(text);
    return json;
}

char *big_text(size_t n, const char *of)
{
    struct clew__buf big;
    size_t len;

    clew__buf_init(&big, 16u << 20);
    while (n--)
        clew__buf_adds(&big, of);
    return clew__buf_take(&big, &len);
}
