/* SPDX-License-Identifier: Apache-2.0
 *
 * A body of Alertmanager: it is taken, or refused with a reason; what was taken
 * goes through the routes, and every kind of receiver writes a page about it that
 * is JSON again.
 */
#include "bridge_config.h"

#include <intake/check.h>
#include <intake/notification.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char configuration[] =
    "storage: unused\n"
    "route:\n"
    "  receiver: all\n"
    "  routes:\n"
    "    - {receiver: some, matchers: ['severity=~\"crit.*|[a-f]+\"'], continue: true}\n"
    "    - {receiver: all, matchers: ['alertname!=\"Watchdog\"']}\n"
    "receivers:\n"
    "  - name: some\n"
    "    pagerduty_configs:\n"
    "      - {routing_key: k, dedup: group, description: '{{ .Labels.a | toUpper }}'}\n"
    "  - name: all\n"
    "    slack_configs: [{api_url: 'http://127.0.0.1/s', title: '{{ .CommonLabels.alertname }}'}]\n"
    "    pagerduty_configs: [{routing_key: k}]\n"
    "    msteamsv2_configs: [{webhook_url: 'http://127.0.0.1/t'}]\n"
    "    webhook_configs:\n"
    "      - {url: 'http://127.0.0.1/w'}\n"
    "      - {url: 'http://127.0.0.1/w', payload: {a: '{{ .Alerts }}', b: '{{ .Status }}'}}\n"
    "    email_configs: [{to: a@b.c, from: a@b.c, smarthost: '127.0.0.1:25'}]\n"
    "links: [{text: Logs, url: 'http://127.0.0.1/{{ .Labels.alertname | urlquery }}'}]\n";

static void must(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "fuzz_webhook: %s: %s\n", what, clew_last_error());
        abort();
    }
}

static void render(const struct clew__config *config, const struct clew__integration *integration,
                   const struct clew__page *page)
{
    struct clew__buf body;
    json_error_t error;
    json_t *json;

    clew__buf_init(&body, PAGE_MAX);
    must(integration->ops->render(integration, config, page, &body) == 0, integration->ops->kind);
    must(!body.failed && body.len, "an empty page");
    if (!integration->mail) {
        json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
        must(json != NULL, error.text);
        json_decref(json);
    }
    clew__buf_done(&body);
}

static void make_page(const struct clew__notification *n, struct clew__page *page,
                      struct clew__page_alert alerts[CLEW__PAGE_ALERTS_MAX])
{
    *page = (struct clew__page){.id = 7,
                                .dedup_key = "d1",
                                .opened_at = 1795208357632000000,
                                .group_key = n->group_key,
                                .receiver = "all",
                                .external_url = n->external_url,
                                .group_labels = n->group_labels,
                                .common_labels = n->common_labels,
                                .common_annotations = n->common_annotations,
                                .alerts = alerts,
                                .ntruncated = n->ntruncated};
    for (unsigned firing = 2; firing-- > 0;)
        for (size_t i = 0; i < n->nalerts && page->nalerts < CLEW__PAGE_ALERTS_MAX; i++) {
            const struct clew__alert *alert = &n->alerts[i];

            if (alert->firing != (firing == 1))
                continue;
            alerts[page->nalerts++] = (struct clew__page_alert){
                .firing = alert->firing,
                .starts_at = alert->starts_at,
                .ends_at = alert->ends_at,
                .fingerprint = alert->fingerprint,
                .generator_url = alert->generator_url,
                .labels = alert->labels,
                .annotations = alert->annotations,
            };
            *(firing ? &page->nfired : &page->nresolved) += 1;
        }
    page->nfiring = page->nfired;
    page->action = page->nfired ? CLEW__ACTION_TRIGGER : CLEW__ACTION_RESOLVE;
    page->note = "";
}

static void check(const struct clew__config *config, const struct clew__notification *n)
{
    struct clew__page_alert alerts[CLEW__PAGE_ALERTS_MAX];
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    struct clew__page page;

    for (size_t i = 0; i < n->nalerts; i++) {
        size_t len = strlen(n->alerts[i].fingerprint);

        must(len > 0 && len <= CLEW__FINGERPRINT_MAX, "a fingerprint");
        must(clew__route_match(config->route, n->alerts[i].labels, hits) > 0, "no route");
    }
    make_page(n, &page, alerts);
    if (page.nalerts == 0)
        return;
    for (size_t i = 0; i < config->nreceivers; i++)
        for (size_t j = 0; j < config->receivers[i].n; j++)
            render(config, &config->receivers[i].integrations[j], &page);
}

/* Read one at a time, the alerts are the same. */
static void compare_lean(const struct clew__notification *whole, const char *data, size_t size)
{
    struct clew__notification lean;

    must(clew__notification_parse_lean(&lean, data, size) == 0, "lean");
    must(lean.lean && strcmp(lean.source, whole->source) == 0, "another group");
    for (size_t i = 0; i < whole->nalerts; i++) {
        const struct clew__alert *a = &lean.alerts[i], *b = &whole->alerts[i];

        must(clew__notification_open(&lean, i) == 0, "an alert does not open");
        must(a->firing == b->firing && a->starts_at == b->starts_at && a->ends_at == b->ends_at &&
                 strcmp(a->fingerprint, b->fingerprint) == 0 &&
                 strcmp(a->generator_url, b->generator_url) == 0 &&
                 json_equal(a->labels, b->labels) && json_equal(a->annotations, b->annotations),
             "another alert");
        clew__notification_close(&lean, i);
    }
    clew__notification_done(&lean);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct clew__config *config;
    static json_t *pin;
    struct clew__notification notification;
    const char *file;
    struct clew__shape shape;
    int r;

    if (!config) {
        must(fuzz_load_config(configuration, sizeof(configuration) - 1, NULL, &file, &config) == 0,
             "the configuration");
        pin = json_pack("{s:s}", "tenant", "checkout");
    }
    r = clew__notification_parse(&notification, (const char *)data, size);
    if (clew__notification_check((const char *)data, size, &shape)) {
        must(r == 0 && shape.nalerts == notification.nalerts, "recognised too much");
        compare_lean(&notification, (const char *)data, size);
    }
    if (r < 0) {
        must(r == -ENOMEM || (r == -EINVAL && *clew_last_error()), "no reason");
        return 0;
    }
    check(config, &notification);
    must(clew__notification_pin(&notification, pin) == 0, "the labels of a source");
    check(config, &notification);
    clew__notification_done(&notification);
    return 0;
}
