/* SPDX-License-Identifier: Apache-2.0
 * Three data sources ask in three forms; all else is the same. The state of a pane
 * is JSON in the URL's query. No state; MT-Safe. */
#include "explore.h"

#include "text.h"

#include <common/duration.h>
#include <common/instant.h>
#include <config/config.h>
#include <loki/lines.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 1024
#define QUERY_MAX 4096
#define MS_NS (CLEW__SECOND_NS / 1000)

/* What a query of this type has in Grafana besides its text. */
static const struct source {
    const char *type, *query_key, *rest;
} sources[] = {
    {"loki", "expr", ",\"queryType\":\"range\""},
    {"tempo", "query", ",\"queryType\":\"traceql\",\"limit\":20"},
    {"prometheus", "expr", ",\"range\":true"},
};

struct clew__explore {
    char *url, *datasource;
    const struct source *source;
    struct clew__template *query;
    uint64_t org_id;
    int64_t before_ns, after_ns; /* around what the page is about */
};

static int read_type(struct clew__yaml_node node, struct clew__explore *explore)
{
    struct clew__yaml_node type = clew__yaml_get(node, "type");
    char *word = NULL;
    int r = clew__yaml_text(type, 64, "loki", &word);

    for (size_t i = 0; r == 0 && i < sizeof(sources) / sizeof(sources[0]); i++)
        if (strcmp(word, sources[i].type) == 0)
            explore->source = &sources[i];
    free(word);
    return r == 0 && !explore->source ? clew__yaml_error(type, "type is loki, tempo or prometheus")
                                      : r;
}

static int read_span(struct clew__yaml_node node, const char *key, const char *fallback,
                     int64_t *ret_ns)
{
    struct clew__yaml_node span = clew__yaml_get(node, key);
    char *text = NULL;
    int r = clew__yaml_text(span, 32, fallback, &text);

    if (r == 0 && !clew__duration_parse(text, ret_ns))
        r = clew__yaml_error(span, "%s is no span of time, as 10m", key);
    free(text);
    return r;
}

static int read_all(struct clew__yaml_node node, struct clew__explore *explore)
{
    static const char *const keys[] = {"url",    "datasource", "type",  "query",
                                       "org_id", "before",     "after", NULL};
    int r = clew__yaml_keys(node, keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "url"), URL_MAX, "", &explore->url);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "datasource"), 256, "", &explore->datasource);
    if (r == 0)
        r = read_type(node, explore);
    if (r == 0)
        r = clew__config_template(node, "query", NULL, &explore->query);
    explore->org_id = 1;
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "org_id"), 1, 1u << 31, &explore->org_id);
    if (r == 0)
        r = read_span(node, "before", "10m", &explore->before_ns);
    if (r == 0)
        r = read_span(node, "after", "5m", &explore->after_ns);
    if (r < 0)
        return r;
    if (!clew__is_url(explore->url) || strpbrk(explore->url, "?#"))
        return clew__yaml_error(node, "url is not the address of Grafana");
    if (!*explore->datasource || !explore->query)
        return clew__yaml_error(node, "explore needs datasource (its uid) and query");
    explore->url[strlen(explore->url) - (explore->url[strlen(explore->url) - 1] == '/')] = '\0';
    return 0;
}

int clew__explore_read(struct clew__yaml_node node, struct clew__explore **ret_explore)
{
    struct clew__explore *explore = calloc(1, sizeof(*explore));
    int r;

    if (!explore)
        return clew_set_error(-ENOMEM, "out of memory");
    r = read_all(node, explore);
    if (r < 0)
        (void)clew__explore_free(explore);
    else
        *ret_explore = explore;
    return r;
}

struct clew__explore *clew__explore_free(struct clew__explore *explore)
{
    if (!explore)
        return NULL;
    (void)clew__template_free(explore->query);
    free(explore->url);
    free(explore->datasource);
    free(explore);
    return NULL;
}

static void add_panes(struct clew__buf *json, const struct clew__explore *explore,
                      const struct clew__page *page)
{
    clew__buf_adds(json, "{\"page\":{");
    clew__text_member(json, "datasource", explore->datasource, 256);
    clew__buf_adds(json, ",\"queries\":[{\"refId\":\"A\",\"datasource\":{");
    clew__text_member(json, "type", explore->source->type, 64);
    clew__text_member(json, "uid", explore->datasource, 256);
    clew__buf_addc(json, '}');
    clew__text_template(json, explore->source->query_key, explore->query, page, clew__loki_escape,
                        QUERY_MAX);
    clew__buf_adds(json, explore->source->rest);
    clew__buf_addf(json, "}],\"range\":{\"from\":\"%lld\",\"to\":\"%lld\"}}}",
                   (long long)((clew__page_starts_at(page) - explore->before_ns) / MS_NS),
                   (long long)((clew__page_ends_at(page) + explore->after_ns) / MS_NS));
}

void clew__explore_url(const struct clew__explore *explore, const struct clew__page *page,
                       struct clew__buf *url)
{
    struct clew__buf json;

    if (!clew__template_complete(explore->query, page))
        return;
    clew__buf_init(&json, CLEW__TEMPLATE_RESULT_MAX);
    add_panes(&json, explore, page);
    clew__buf_addf(url, "%s/explore?schemaVersion=1&orgId=%llu&panes=", explore->url,
                   (unsigned long long)explore->org_id);
    clew__text_urlquery(url, json.data ? json.data : "", json.len);
    if (json.failed)
        url->failed = true;
    clew__buf_done(&json);
}
