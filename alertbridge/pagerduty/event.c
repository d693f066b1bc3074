/* SPDX-License-Identifier: Apache-2.0
 * Of an event only what is used is looked at, since PagerDuty adds fields and types
 * of events as it likes. While a secret is exchanged a body has a signature by each
 * of the two, and the bridge knows each of the two: any pair will do. */
#include "event.h"

#include <common/digest.h>
#include <common/instant.h>

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURES_MAX 16u

/* Whether any of the header's signatures is this one; all of them are looked at. */
static bool has_signature(const char *header, const char *right)
{
    bool found = false;

    for (unsigned i = 0; i < SIGNATURES_MAX && *header; i++) {
        char given[CLEW__DIGEST_TEXT] = "";
        size_t len;

        header += strspn(header, " \t,");
        len = strcspn(header, ",");
        while (len && (header[len - 1] == ' ' || header[len - 1] == '\t'))
            len--;
        if (len == 3 + CLEW__DIGEST_TEXT - 1 && memcmp(header, "v1=", 3) == 0)
            memcpy(given, header + 3, CLEW__DIGEST_TEXT - 1);
        found = clew__secret_equal(given, right) || found;
        header += strcspn(header, ",");
    }
    return found;
}

bool clew__pagerduty_verify(char *const *secrets, const char *header, const char *body, size_t len)
{
    bool right = false;

    for (; header && *secrets; secrets++) {
        char digest[CLEW__DIGEST_TEXT];

        clew__sign(*secrets, NULL, body, len, digest);
        right = has_signature(header, digest) || right;
    }
    return right;
}

static enum clew__pagerduty_event_kind kind_of(const char *type)
{
    static const struct {
        const char *type;
        enum clew__pagerduty_event_kind kind;
    } kinds[] = {
        {"incident.acknowledged", CLEW__PAGERDUTY_ACKNOWLEDGED},
        {"incident.unacknowledged", CLEW__PAGERDUTY_UNACKNOWLEDGED},
        {"incident.resolved", CLEW__PAGERDUTY_RESOLVED},
        {"incident.reopened", CLEW__PAGERDUTY_REOPENED},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].kind;
    return CLEW__PAGERDUTY_OTHER;
}

/* A text of 1 to size - 1 bytes without control characters. */
static bool take_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (!value || !*value || strlen(value) >= size)
        return false;
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            return false;
    (void)snprintf(text, size, "%s", value);
    return true;
}

/* Who did it. Somebody whose name is odd is still somebody. */
static void take_person(const json_t *agent, struct clew__pagerduty_event *event)
{
    const char *type = json_string_value(json_object_get(agent, "type"));
    const char *name = json_string_value(json_object_get(agent, "summary"));
    char id[33] = "", clean[121];
    size_t len;

    event->echo = type && strstr(type, "integration") != NULL;
    (void)take_text(agent, "id", id, sizeof(id));
    if (!name || !*name) {
        (void)snprintf(event->person, sizeof(event->person), "PagerDuty%s%s", *id ? " " : "", id);
        return;
    }
    len = clew__utf8_cut(name, strlen(name), sizeof(clean) - 1);
    for (size_t i = 0; i < len; i++)
        clean[i] = (unsigned char)name[i] < ' ' || name[i] == 0x7F ? ' ' : name[i];
    clean[len] = '\0';
    (void)snprintf(event->person, sizeof(event->person), "%s (PagerDuty%s%s)", clean,
                   *id ? " " : "", id);
}

static int take_event(const json_t *json, struct clew__pagerduty_event *event)
{
    const json_t *data = json_object_get(json, "data");
    char at[64];

    if (!json_is_object(json))
        return clew_set_error(-EINVAL, "the body has no event");
    if (!take_text(json, "id", event->id, sizeof(event->id)))
        return clew_set_error(-EINVAL, "event.id is missing or too long");
    if (!take_text(json, "event_type", event->type, sizeof(event->type)))
        return clew_set_error(-EINVAL, "event.event_type is missing or too long");
    event->kind = kind_of(event->type);
    if (event->kind == CLEW__PAGERDUTY_OTHER)
        return 0;
    if (!take_text(json, "occurred_at", at, sizeof(at)) ||
        !clew__instant_parse(at, &event->occurred_at))
        return clew_set_error(-EINVAL, "event.occurred_at is no time");
    take_person(json_object_get(json, "agent"), event);
    /* An incident that nobody's event opened, but a person, has none that is ours. */
    if (!take_text(data, "incident_key", event->dedup_key, sizeof(event->dedup_key)))
        event->kind = CLEW__PAGERDUTY_OTHER;
    return 0;
}

int clew__pagerduty_read_event(const char *body, size_t len, struct clew__pagerduty_event *ret)
{
    json_error_t error;
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    int r;

    *ret = (struct clew__pagerduty_event){.kind = CLEW__PAGERDUTY_OTHER};
    if (!json)
        return clew_set_error(-EINVAL, "line %d, column %d: %s", error.line, error.column,
                              error.text);
    r = take_event(json_object_get(json, "event"), ret);
    json_decref(json);
    return r;
}
