/* SPDX-License-Identifier: Apache-2.0
 * The pages: metrics, health, and what there is when none was meant. */
#include "management_priv.h"

#include "health.h"
#include "metrics/metrics_priv.h"

#include <clew/metrics.h>

#include <jansson.h>
#include <string.h>
#include <time.h>

void clew__page_json(struct clew__page *page, unsigned status, json_t *json)
{
    page->text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL;
    page->len = page->text ? strlen(page->text) : 0;
    page->status = page->text ? status : 500;
    page->type = "application/json";
    json_decref(json);
}

void clew__page_metrics(struct clew__page *page, const struct clew_page_format *format)
{
    page->type = format->content_type;
    page->encoding = format->gzip ? "gzip" : NULL;
    page->status = 200;
    if (clew_page_render(format, &page->text, &page->len) < 0) {
        page->encoding = NULL;
        clew__page_error(page, 500, "there is no memory for the page");
    }
}

/* ---- health ---------------------------------------------------------------------- */

static json_t *checks_of(const struct clew__health *health, bool reasons)
{
    json_t *object = json_object();

    for (size_t i = 0; i < health->n; i++) {
        const struct clew__health_result *check = &health->checks[i];

        if (!reasons)
            (void)json_object_set_new(object, check->name, json_boolean(check->healthy));
        else if (check->reason[0])
            (void)json_object_set_new(object, check->name, json_string(check->reason));
    }
    return object;
}

static void health_page(struct clew__page *page, const struct clew__page_request *request)
{
    struct clew__health health;
    struct timespec now;

    (void)request;
    clew__health_read(&health);
    clock_gettime(CLOCK_REALTIME, &now);
    clew__page_json(page, health.healthy ? 200 : 503,
                    json_pack("{s:s, s:s, s:b, s:b, s:b, s:f, s:o, s:o, s:f}", "service",
                              clew_service_name(), "version", clew_service_version(), "healthy",
                              health.healthy, "ready", health.ready, "live", health.live,
                              "uptime_seconds", clew__process_uptime(), "checks",
                              checks_of(&health, false), "reasons", checks_of(&health, true),
                              "timestamp", (double)now.tv_sec + (double)now.tv_nsec / 1e9));
}

static void ready_page(struct clew__page *page, const struct clew__page_request *request)
{
    struct clew__health health;

    (void)request;
    clew__health_read(&health);
    clew__page_json(page, health.ready ? 200 : 503, json_pack("{s:b}", "ready", health.ready));
}

static void live_page(struct clew__page *page, const struct clew__page_request *request)
{
    struct clew__health health;

    (void)request;
    clew__health_read(&health);
    clew__page_json(page, health.live ? 200 : 503, json_pack("{s:b}", "live", health.live));
}

/* ---- which ----------------------------------------------------------------------- */

static const struct clew__page_kind kinds[] = {
    {"/metrics", CLEW__PORT_METRICS, false, false, NULL},
    {"/health", CLEW__PORT_PAGES, false, false, health_page},
    {"/health/live", CLEW__PORT_PAGES, true, false, live_page},
    {"/health/ready", CLEW__PORT_PAGES, true, false, ready_page},
    {"/loglevel", CLEW__PORT_PAGES, false, true, clew__page_loglevel},
    {"/buildinfo", CLEW__PORT_PAGES, false, false, clew__page_buildinfo},
};

#define N (sizeof(kinds) / sizeof(kinds[0]))

const struct clew__page_kind *clew__page_find(unsigned ports, const char *path)
{
    for (size_t i = 0; i < N; i++)
        if ((kinds[i].ports & ports) && strcmp(kinds[i].path, path) == 0)
            return &kinds[i];
    return NULL;
}

void clew__page_error(struct clew__page *page, unsigned status, const char *why)
{
    clew__page_json(page, status, json_pack("{s:s}", "error", why));
}

void clew__page_not_found(struct clew__page *page, unsigned ports)
{
    json_t *list = json_array();

    for (size_t i = 0; i < N; i++)
        if (kinds[i].ports & ports)
            (void)json_array_append_new(list, json_string(kinds[i].path));
    clew__page_json(page, 404, json_pack("{s:s, s:o}", "error", "no such page", "pages", list));
}
