/* SPDX-License-Identifier: Apache-2.0
 * Questions about a page that several receivers ask. Pure functions. */
#include "page.h"

#include <common/instant.h>

#include <string.h>

static const char *const actions[] = {
#define X(name, text) [CLEW__ACTION_##name] = text,
    CLEW__ACTION_MAP(X)
#undef X
};

const char *clew__action_text(enum clew__action action)
{
    return actions[action];
}

enum clew__action clew__action_of(const char *text)
{
    for (unsigned i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i], text) == 0)
            return (enum clew__action)i;
    return CLEW__ACTION_UPDATE;
}

static json_t *map_of(const struct clew__page_alert *alert, bool annotation)
{
    return annotation ? alert->annotations : alert->labels;
}

const char *clew__page_shared(const struct clew__page *page, bool annotation, const char *name)
{
    const char *value;

    if (page->nalerts == 0)
        return clew__page_value(annotation ? page->common_annotations : page->common_labels, name);
    value = clew__page_value(map_of(&page->alerts[0], annotation), name);
    for (size_t i = 1; i < page->nalerts; i++)
        if (strcmp(value, clew__page_value(map_of(&page->alerts[i], annotation), name)) != 0)
            return "";
    return value;
}

const char *clew__page_name(const struct clew__page *page)
{
    const char *name = clew__page_value(page->group_labels, "alertname");

    if (!*name)
        name = clew__page_value(page->common_labels, "alertname");
    if (!*name && page->nalerts)
        name = clew__page_value(page->alerts[0].labels, "alertname");
    return *name ? name : "alert";
}

enum clew__tone clew__page_tone(const struct clew__page *page)
{
    const char *severity = clew__page_shared(page, false, "severity");

    if (page->nfiring == 0)
        return CLEW__TONE_GOOD;
    if (strcmp(severity, "warning") == 0)
        return CLEW__TONE_WARNING;
    return strcmp(severity, "info") == 0 || strcmp(severity, "none") == 0 ? CLEW__TONE_INFO
                                                                          : CLEW__TONE_DANGER;
}

int64_t clew__page_starts_at(const struct clew__page *page)
{
    int64_t first = 0;

    for (size_t i = 0; i < page->nalerts; i++)
        if (page->alerts[i].starts_at > 0 && (first == 0 || page->alerts[i].starts_at < first))
            first = page->alerts[i].starts_at;
    return first ? first : page->opened_at;
}

int64_t clew__page_ends_at(const struct clew__page *page)
{
    int64_t last = 0;

    for (size_t i = 0; i < page->nalerts; i++) {
        if (page->alerts[i].firing || page->alerts[i].ends_at == 0)
            return clew__instant_now();
        if (page->alerts[i].ends_at > last)
            last = page->alerts[i].ends_at;
    }
    return last ? last : clew__instant_now();
}
