/* SPDX-License-Identifier: Apache-2.0
 *
 * /loglevel: which call sites are on, as CLEW_LOG_LEVEL says it. GET shows it
 * as JSON; PUT takes that text, or the same JSON back.
 */
#include "management_priv.h"

#include <clew/log.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *as_json(void)
{
    char levels[CLEW_LOG_LEVELS_MAX];

    (void)clew_log_levels(levels);
    return json_pack("{s:s, s:s%}", "level", clew_level_name(clew_log_level()), "levels", levels,
                     strlen(levels));
}

/* The text in {"levels": "…"}; NULL and why not. free() */
static char *from_json(const char *body, size_t len, const char **ret_why)
{
    json_error_t error;
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    const char *levels = json_string_value(json_object_get(json, "levels"));
    char *copy = levels ? strdup(levels) : NULL;

    *ret_why = "use {\"levels\":\"info,db=debug\"}";
    json_decref(json);
    return copy;
}

/* The text alone; a line break at its end does no harm. */
static char *from_text(const char *body, size_t len, const char **ret_why)
{
    while (len && strchr(" \r\n\t", body[len - 1]))
        len--;
    *ret_why = "the body is empty or has a NUL: use LEVEL or LEVEL,NAME=LEVEL,…";
    return len && !memchr(body, '\0', len) ? strndup(body, len) : NULL;
}

static void change(struct clew__page *page, const struct clew__page_request *request)
{
    const char *body = request->body ? request->body : "", *why;
    bool is_json =
        request->content_type && strncasecmp(request->content_type, "application/json", 16) == 0;
    char *levels =
        is_json ? from_json(body, request->len, &why) : from_text(body, request->len, &why);
    int err = levels ? clew_log_set_levels(levels) : -EINVAL;

    if (err < 0) {
        clew__page_error(page, 400, levels ? clew_last_error() : why);
    } else {
        clew_info("log levels were changed", clew_kv("levels", (const char *)levels));
        clew__page_json(page, 200, as_json());
    }
    free(levels);
}

void clew__page_loglevel(struct clew__page *page, const struct clew__page_request *request)
{
    if (request->changes)
        change(page, request);
    else
        clew__page_json(page, 200, as_json());
}
